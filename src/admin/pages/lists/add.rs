//! Subscribing to a list: one of the catalogue, or the school's own choice.

use askama::Template;
use axum::{
    extract::{Form, Query},
    response::Response,
};
use serde::Deserialize;

use super::{
    super::super::{
        failure::Failure,
        form::{Fields, Refusal, identifier},
        page::{Page, html_with, see},
        visit::Visit,
    },
    category,
};
use crate::{
    category::{NEWLY_SEEN, UNCATEGORISED},
    lists::catalogue::{Catalogue, Listing},
    policy::{Action, ListFile, Policy},
};

/// A list of the catalogue, as a row.
struct Offer {
    listing: &'static Listing,
    category: String,
    there: bool,
    recommended: bool,
}

#[derive(Template)]
#[template(path = "list_add.html")]
struct Show {
    p: Page,
    offers: Vec<Offer>,
    /// The categories, by identifier and title.
    categories: Vec<(String, String)>,
    asked: Asked,
    form: OwnForm,
    refusal: Refusal,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// Only lists of this category.
    category: String,
}

/// What stands in the form of a list of one's own.
#[derive(Default)]
struct OwnForm {
    title: String,
    category: String,
    kind: String,
    url: String,
    text: String,
    opens: bool,
    reason: String,
}

pub(super) async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    page(&visit, asked, OwnForm::default(), Refusal::default())
}

fn page(visit: &Visit, asked: Asked, form: OwnForm, refusal: Refusal) -> Result<Response, Failure> {
    let policy = visit.admin.control.policy().load_full();
    let there = |id: &str| policy.file().lists.iter().any(|list| list.id == id);
    let offers = Catalogue::shipped()
        .iter()
        .filter(|listing| asked.category.is_empty() || listing.category == asked.category);
    let offers = offers.map(|listing| Offer {
        listing,
        category: category(&policy, &listing.category),
        there: there(&listing.id),
        recommended: !listing.recommended.is_empty(),
    });
    let status = refusal.status();
    html_with(
        status,
        &Show {
            p: visit.page("lists-add", "/lists"),
            offers: offers.collect(),
            categories: categories(&policy),
            asked,
            form,
            refusal,
        },
    )
}

/// The categories that a list can feed.
fn categories(policy: &Policy) -> Vec<(String, String)> {
    let all = policy.categories().iter().map(|(_, category)| category);
    let fed = all.filter(|category| ![NEWLY_SEEN, UNCATEGORISED].contains(&category.id.as_str()));
    fed.map(|category| (category.id.clone(), category.title.clone())).collect()
}

/// Subscribes to a list of the catalogue.
pub(super) async fn subscribe(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let listing = Catalogue::shipped().find(fields.get("id")).ok_or_else(Failure::not_found)?;
    if !listing.licence.school_use {
        let refusal = Refusal::new(visit.words.get("lists-not-for-schools"));
        return page(&visit, Asked::default(), OwnForm::default(), refusal);
    }
    added(&visit, ListFile::from(listing), OwnForm::default()).await
}

/// Adds a list of the school's choice: fetched from an address, brought by hand, or written here.
pub(super) async fn own(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let text = fields.whole("text").replace("\r\n", "\n");
    let form = OwnForm {
        title: fields.get("title").to_owned(),
        category: fields.get("category").to_owned(),
        kind: fields.get("kind").to_owned(),
        url: fields.get("url").to_owned(),
        text: text.clone(),
        opens: fields.get("action") == "allow",
        reason: fields.get("reason").to_owned(),
    };
    let id = identifier(&form.title);
    let wrong = match form.kind.as_str() {
        _ if id.is_empty() => "lists-title-wanted",
        _ if form.category.is_empty() => "lists-category-wanted",
        "url" if form.url.is_empty() => "lists-url-wanted",
        "url" | "upload" | "text" => "",
        _ => "lists-kind-wanted",
    };
    if !wrong.is_empty() {
        let refusal = Refusal::new(visit.words.get(wrong));
        return page(&visit, Asked::default(), form, refusal);
    }
    let list = ListFile {
        action: if form.opens { Action::Allow } else { Action::Block },
        url: (form.kind == "url").then(|| form.url.clone()),
        upload: form.kind == "upload",
        text: (form.kind == "text").then_some(text),
        ..ListFile::new(id, form.title.clone(), form.category.clone())
    };
    added(&visit, list, form).await
}

async fn added(visit: &Visit, list: ListFile, form: OwnForm) -> Result<Response, Failure> {
    let (id, upload) = (list.id.clone(), list.upload);
    let control = &visit.admin.control;
    match control.add_lists(vec![list], visit.asked(&form.reason, None)).await {
        Ok(_) => {
            // What was pasted beside “brought by hand” is its first version.
            if upload && !form.text.trim().is_empty() {
                control.upload_text(&id, form.text.into_bytes(), false, &visit.by()).await?;
            }
            Ok(see(&format!("/lists/list/{id}"), "done-list-added"))
        }
        Err(error) => {
            let refusal = Refusal::of(visit, error)?;
            page(visit, Asked::default(), form, refusal)
        }
    }
}
