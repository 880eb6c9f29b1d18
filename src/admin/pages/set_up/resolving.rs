//! How names that are not the school's own are found: by the box itself, or by other resolvers.

use askama::Template;
use axum::{extract::Form, response::Response};

use super::{
    super::super::{failure::Failure, page::Page, visit::Visit},
    Fields, Refusal, Step, Wizard, around, shown, went_on,
};
use crate::control::{Resolving, Way};

#[derive(Template)]
#[template(path = "set_up_resolving.html")]
struct ResolvingPage {
    p: Page,
    w: Wizard,
    resolving: Option<Resolving>,
    /// Whether the box is to ask other resolvers.
    forwards: bool,
    /// Those, one a line.
    forwarders: String,
    /// What was chosen could not be tried, and may be saved all the same.
    may_save_untried: bool,
}

fn page(visit: &Visit, wrong: Option<&Refusal>, fields: &Fields) -> Result<Response, Failure> {
    let (p, w) = around(visit, Step::Resolving, wrong, fields);
    let resolving = visit.admin.control.resolving();
    let sent = wrong.is_some();
    let (forwards, forwarders) = match &resolving {
        Some(_) if sent => (fields.get("way") == "forward", fields.get("forwarders").to_owned()),
        Some(now) => (!now.recurses, now.forwarders.join("\n")),
        None => (false, String::new()),
    };
    shown(wrong, &ResolvingPage { p, w, resolving, forwards, forwarders, may_save_untried: sent })
}

pub(super) async fn show(visit: Visit) -> Result<Response, Failure> {
    page(&visit, None, &Fields::default())
}

pub(super) async fn put(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let control = &visit.admin.control;
    let Some(now) = control.resolving() else { return went_on(&visit, Step::Resolving) };
    let words = fields.get("forwarders").split([',', '\n', '\r', ' ']);
    let forwarders: Vec<String> = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let way = match fields.get("way") {
        "recurse" => Some(Way::default()),
        "forward" if forwarders.is_empty() => {
            let wrong = Refusal::new(visit.words.get("set-up-resolving-nobody"));
            return page(&visit, Some(&wrong), &fields);
        }
        "forward" => Some(Way { forwarders }),
        "settings" => None,
        _ => return went_on(&visit, Step::Resolving),
    };
    // Who only looks, and goes on, has chosen nothing: the settings may change with the next version.
    let is_so = |way: &Way| way.forwarders == now.forwarders && way.forwarders.is_empty() == now.recurses;
    if !now.is_chosen && way.as_ref().is_none_or(is_so) {
        return went_on(&visit, Step::Resolving);
    }
    match control.set_way(way, fields.is_on("untried"), &visit.by(), Some(visit.address())).await {
        Ok(()) => went_on(&visit, Step::Resolving),
        Err(error) if error.is_bad_input() => page(&visit, Some(&Refusal::new(error.to_string())), &fields),
        Err(error) => Err(error.into()),
    }
}
