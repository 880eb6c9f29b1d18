//! Limits: what DNS filtering can't do, what the school does about each, and who supplies the lists of illegal content.

use askama::Template;
use axum::{
    extract::{Form, Path},
    http::StatusCode,
    response::Response,
};
use jiff::civil::Date;

use super::super::{
    access::Right,
    failure::Failure,
    form::{Fields, Refusal},
    page::{Page, html_with, see},
    routes::Routes,
    visit::Visit,
};
use crate::{
    control::{Edit, MitigationEdit, SupplierEdit},
    policy::{LIMITS, LONGEST_MITIGATION, MitigationFile, Supplied, Supply, VERIFY_DAYS},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/limits", Right::SignedIn, show).post("/limits/{limit}", Right::ChangeLimits, mitigate).post(
        "/limits/suppliers/{category}",
        Right::ChangeLimits,
        supply,
    )
}

/// One limit, with what the school says of it.
struct Limit {
    id: &'static str,
    statement: String,
    /// What the box does about it.
    here: String,
    /// What helps beside it.
    beside: String,
    /// What the school does, and when and by whom that was decided.
    said: Option<Said>,
    form: MitigationForm,
}

struct Said {
    text: String,
    decided: String,
    by: String,
}

/// What stands in the form of a limit.
#[derive(Default)]
struct MitigationForm {
    text: String,
    decided: String,
    by: String,
    refusal: Refusal,
}

/// A category that is locked for everyone, with who supplies it.
struct Supplier {
    said: Supplied,
    verified: String,
    form: SupplierForm,
}

/// What stands in the form of a supplier.
#[derive(Default)]
struct SupplierForm {
    by: String,
    who: String,
    verified: String,
    verified_by: String,
    note: String,
    refusal: Refusal,
}

#[derive(Template)]
#[template(path = "limits.html")]
struct Show {
    p: Page,
    may_change: bool,
    expect: i64,
    longest: usize,
    days: i64,
    /// How many limits the school says something about.
    answered: usize,
    limits: Vec<Limit>,
    suppliers: Vec<Supplier>,
}

/// A form that was refused.
enum Kept {
    Mitigation(String, MitigationForm),
    Supplier(String, SupplierForm),
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    page(&visit, StatusCode::OK, None)
}

fn page(visit: &Visit, status: StatusCode, kept: Option<Kept>) -> Result<Response, Failure> {
    let (admin, words) = (&visit.admin, &visit.words);
    let in_force = admin.control.policy_file()?;
    let file = &in_force.file;
    let now = admin.clock.now();
    let today = now.to_zoned(crate::querylog::search::zone(&admin.control.policy().load())).date();
    let me = visit.session().map(|session| session.full_name.clone()).unwrap_or_default();
    let (mut kept_limit, mut kept_supplier) = (None, None);
    match kept {
        Some(Kept::Mitigation(id, form)) => kept_limit = Some((id, form)),
        Some(Kept::Supplier(id, form)) => kept_supplier = Some((id, form)),
        None => {}
    }
    let limit = |id: &'static str| {
        let written = file.mitigations.iter().find(|mitigation| mitigation.limit == id);
        let form = match kept_limit.take_if(|(kept, _)| kept == id) {
            Some((_, form)) => form,
            None => MitigationForm {
                text: written.map(|written| written.text.clone()).unwrap_or_default(),
                decided: today.to_string(),
                by: me.clone(),
                refusal: Refusal::default(),
            },
        };
        Limit {
            id,
            statement: words.get(&format!("limits-{id}")),
            here: words.get(&format!("limits-{id}-here")),
            beside: words.get(&format!("limits-{id}-beside")),
            said: written.map(|written| Said {
                text: written.text.clone(),
                decided: written_day(written).map(day).unwrap_or_default(),
                by: written.by.clone(),
            }),
            form,
        }
    };
    let limits: Vec<Limit> = LIMITS.into_iter().map(limit).collect();
    let supplier = |said: Supplied| {
        let form = match kept_supplier.take_if(|(kept, _)| *kept == said.category) {
            Some((_, form)) => form,
            None => SupplierForm {
                by: said.by.word().to_owned(),
                who: said.who.clone(),
                verified: said.verified.map(|day| day.to_string()).unwrap_or_default(),
                verified_by: said.verified_by.clone(),
                note: said.note.clone(),
                refusal: Refusal::default(),
            },
        };
        Supplier { verified: said.verified.map(day).unwrap_or_default(), said, form }
    };
    let suppliers = file.suppliers(admin.control.categories(), now).into_iter().map(supplier).collect();
    html_with(
        status,
        &Show {
            p: visit.page("limits-title", "/limits"),
            may_change: visit.may(Right::ChangeLimits),
            expect: in_force.revision,
            longest: LONGEST_MITIGATION,
            days: VERIFY_DAYS,
            answered: limits.iter().filter(|limit| limit.said.is_some()).count(),
            limits,
            suppliers,
        },
    )
}

fn written_day(written: &MitigationFile) -> Option<Date> {
    written.decided?.to_string().parse().ok()
}

/// `26 Nov 2026`.
fn day(day: Date) -> String {
    day.strftime("%-d %b %Y").to_string()
}

/// A day that somebody may leave out.
fn typed_day(visit: &Visit, text: &str) -> Result<Option<Date>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| Refusal::new(visit.words.with("limits-no-day", [("text", text.into())])))
}

async fn mitigate(
    visit: Visit,
    Path(limit): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let edit = typed_day(&visit, fields.get("decided")).map(|decided| {
        Edit::SetMitigation(MitigationEdit {
            limit: limit.clone(),
            text: fields.get("text").replace("\r\n", "\n"),
            decided,
            by: fields.get("by").to_owned(),
        })
    });
    match published(&visit, edit, &fields).await? {
        None => Ok(see(&format!("/limits#{limit}"), "done-saved")),
        Some(refusal) => {
            let form = MitigationForm {
                text: fields.whole("text").to_owned(),
                decided: fields.get("decided").to_owned(),
                by: fields.get("by").to_owned(),
                refusal: refusal.clone(),
            };
            page(&visit, refusal.status(), Some(Kept::Mitigation(limit, form)))
        }
    }
}

async fn supply(
    visit: Visit,
    Path(category): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let by = match fields.get("by") {
        "feed" => Ok(Supply::Feed),
        "upstream" => Ok(Supply::Upstream),
        "nobody" => Ok(Supply::Nobody),
        _ => Err(Refusal::new(visit.words.get("limits-choose-supply"))),
    };
    let edit = by.and_then(|by| {
        let verified = typed_day(&visit, fields.get("verified"))?;
        Ok(Edit::SetSupplier(SupplierEdit {
            category: category.clone(),
            by,
            who: fields.get("who").to_owned(),
            verified,
            verified_by: fields.get("verified_by").to_owned(),
            note: fields.get("note").to_owned(),
        }))
    });
    match published(&visit, edit, &fields).await? {
        None => Ok(see("/limits#suppliers", "done-saved")),
        Some(refusal) => {
            let text = |name: &str| fields.get(name).to_owned();
            let form = SupplierForm {
                by: text("by"),
                who: text("who"),
                verified: text("verified"),
                verified_by: text("verified_by"),
                note: text("note"),
                refusal: refusal.clone(),
            };
            page(&visit, refusal.status(), Some(Kept::Supplier(category, form)))
        }
    }
}

/// Publishes an edit; gives why it was refused.
async fn published(
    visit: &Visit,
    edit: Result<Edit, Refusal>,
    fields: &Fields,
) -> Result<Option<Refusal>, Failure> {
    let edit = match edit {
        Ok(edit) => edit,
        Err(refusal) => return Ok(Some(refusal)),
    };
    match visit.admin.control.edit(vec![edit], visit.asked("", fields.expect())).await {
        Ok(_) => Ok(None),
        Err(error) => Refusal::of(visit, error).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::{accounts::Role, admin::tests::TestBox};

    #[tokio::test]
    async fn everybody_reads_the_limits_and_some_write_what_the_school_does() {
        let school = TestBox::new().await;
        let page = school.get(Role::Governor, "/limits").await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.has("id=\"suppliers\"") && page.has("id=\"vpn\""), "{}", page.body);
        assert!(!page.has("<textarea"), "a governor only reads");
        let form = [
            ("text", "Firewall <b>stops</b> it."),
            ("decided", "2026-11-20"),
            ("by", "Ann"),
            ("expect", "0"),
        ];
        let done = school.post(Role::Safeguarding, "/limits/vpn", &form).await;
        assert_eq!(done.leads_to(), "/limits?done=done-saved#vpn");
        let page = school.get(Role::Governor, "/limits").await;
        assert!(page.has("Firewall &#60;b&#62;stops&#60;/b&#62; it."), "{}", page.body);
        assert!(page.has("20 Nov 2026") && page.has("Ann"), "{}", page.body);
        // Somebody else still has the form of before.
        let late = school.post(Role::Head, "/limits/vpn", &form).await;
        assert_eq!(late.status, StatusCode::CONFLICT);
        assert!(late.has("safeguarding changed the policy meanwhile"), "{}", late.body);
        let none = school.post(Role::Head, "/limits/vpn", &[("text", ""), ("expect", "1")]).await;
        assert_eq!(none.status, StatusCode::SEE_OTHER);
        assert!(!school.get(Role::Head, "/limits").await.has("Firewall"));
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_at_the_form_and_what_was_typed_stays() {
        let school = TestBox::new().await;
        let wrong = school.post(Role::Head, "/limits/vpn", &[("text", "typed"), ("decided", "soon")]).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(wrong.has("soon") && wrong.has(">typed</textarea>"), "{}", wrong.body);
        let unknown = school.post(Role::Head, "/limits/vpm", &[("text", "typed")]).await;
        assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
        let supplier = [("by", "somebody"), ("who", "typed too")];
        let wrong = school.post(Role::Head, "/limits/suppliers/illegal-terrorism", &supplier).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(wrong.has("value=\"typed too\""), "{}", wrong.body);
    }

    #[tokio::test]
    async fn a_supplier_is_named_and_the_banner_goes() {
        let school = TestBox::new().await;
        assert!(school.get(Role::Head, "/limits").await.has("class=\"banner\""));
        for category in ["illegal-child-abuse", "illegal-terrorism", "illegal-piracy"] {
            let form = [("by", "upstream"), ("who", "The broadband supplier"), ("verified", "2026-11-20")];
            let done = school.post(Role::Head, &format!("/limits/suppliers/{category}"), &form).await;
            assert_eq!(done.leads_to(), "/limits?done=done-saved#suppliers");
        }
        let page = school.get(Role::Head, "/limits").await;
        assert!(page.has("The broadband supplier") && page.has("20 Nov 2026"), "{}", page.body);
        assert!(!page.has("Nobody is named as supplier"), "{}", page.body);
    }
}
