//! Names of single devices of the school, such as a printer's, which the box answers by itself.

use std::net::IpAddr;

use askama::Template;
use axum::{extract::Form, http::StatusCode, response::Response};

use super::super::{
    super::{
        access::Right,
        failure::Failure,
        form::{Fields, Refusal},
        page::{Page, html_with, see},
        visit::Visit,
    },
    change,
};
use crate::control::OwnRecord;

#[derive(Template)]
#[template(path = "system_names.html")]
struct Show {
    p: Page,
    may_change: bool,
    /// One line for each: the name, and where it leads.
    typed: String,
    /// The names that stand in the settings.
    of_settings: Vec<String>,
    refusal: Refusal,
}

pub(super) async fn show(visit: Visit) -> Result<Response, Failure> {
    page(&visit, written(&visit.admin.control.own_records()), Refusal::default())
}

fn page(visit: &Visit, typed: String, refusal: Refusal) -> Result<Response, Failure> {
    let status = if refusal.is_none() { StatusCode::OK } else { refusal.status() };
    let page = Show {
        p: visit.page("names-title", "/system"),
        may_change: visit.may(Right::ChangeSystem),
        typed,
        of_settings: visit.admin.control.settings_records(),
        refusal,
    };
    html_with(status, &page)
}

pub(super) async fn put(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let control = &visit.admin.control;
    let typed = fields.whole("names").to_owned();
    let records = match read(&typed) {
        Ok(records) => records,
        Err((line, text)) => {
            let sentence = visit.words.with("names-no-line", [("line", line.into()), ("text", text.into())]);
            return page(&visit, typed, Refusal::new(sentence));
        }
    };
    let before = control.names_given();
    if let Err(error) = control.set_own_records(records, &visit.by(), Some(visit.address())).await {
        let refusal = Refusal::of(&visit, error)?;
        return page(&visit, typed, refusal);
    }
    let Some(edit) = change::own_names(&visit, &before) else {
        return Ok(see("/system/names", "done-saved"));
    };
    match change::edit(&visit, vec![edit], &visit.words.get("names-reason"), None).await? {
        Ok(_) => Ok(see("/system/names", "done-saved")),
        Err(refusal) => page(&visit, typed, refusal),
    }
}

/// Records as the form has them.
fn written(records: &[OwnRecord]) -> String {
    records.iter().map(|record| format!("{} {}\n", record.name, record.value)).collect()
}

/// Reads lines of a name and where it leads; of an address and names as well, as hosts files have them. An error is a line
/// that is neither, by its number.
fn read(text: &str) -> Result<Vec<OwnRecord>, (usize, String)> {
    let mut records = Vec::new();
    let mut add = |name: &str, value: &str| {
        records.push(OwnRecord { name: name.to_owned(), value: value.to_owned() });
    };
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> =
            line.split([' ', '\t', ',', ';', '=']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => {}
            [address, names @ ..] if address.parse::<IpAddr>().is_ok() && !names.is_empty() => {
                for name in names {
                    add(name, address);
                }
            }
            [name, value] => add(name, value),
            _ => return Err((number, line.trim().chars().take(60).collect())),
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        accounts::Role,
        admin::tests::TestBox,
        control::{Asker, CheckRequest, RECORDS},
    };

    #[tokio::test]
    async fn names_are_answered_at_once_in_each_profile_and_can_be_taken_back() {
        let school = TestBox::resolving_at("2026-11-26T10:15:00Z").await;
        let (head, page, control) = (Role::Head, "/system/names", &school.admin.control);
        let own_names = || control.policy().load().file().own_names.clone();
        let check = CheckRequest {
            name: String::from("printer.school.example"),
            r#type: String::from("A"),
            who: Asker::Profile(String::from("ks1")),
            at: None,
            resolve: true,
        };
        let wrong = school.post(head, page, &[("names", "printer.school.example\nb.example 10.0.0.1")]).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(wrong.has("Line 1") && wrong.has("b.example 10.0.0.1"), "{}", wrong.body);
        let place = school.post(head, page, &[("names", "printer.school.example 0.0.0.0")]).await;
        assert!(place.status == StatusCode::UNPROCESSABLE_ENTITY && control.own_records().is_empty());
        let names = "printer.school.example 10.0.0.40\r\n*.lab.school.example printer.school.example\r\n";
        let saved = school.post(head, page, &[("names", names)]).await;
        assert_eq!(saved.leads_to(), "/system/names?done=done-saved", "{}", saved.body);
        assert_eq!(own_names(), ["printer.school.example", "lab.school.example"]);
        let report = control.check(&check).await.unwrap();
        assert!(!report.blocked() && format!("{report:?}").contains("10.0.0.40"), "{report:?}");
        assert!(school.data.path().join(RECORDS).exists());
        let shown = school.get(Role::Auditor, page).await;
        assert!(shown.has("printer.school.example 10.0.0.40") && !shown.has("<textarea"), "{}", shown.body);
        assert_eq!(
            school.post(head, page, &[("names", "")]).await.leads_to(),
            "/system/names?done=done-saved"
        );
        assert!(own_names().is_empty() && control.check(&check).await.unwrap().blocked());
    }

    #[tokio::test]
    async fn that_a_technicians_name_is_open_to_all_waits_for_approval() {
        let school = TestBox::resolving_at("2026-11-26T10:15:00Z").await;
        let names = [("names", "nas.school.example 10.0.0.7")];
        let answer = school.post(Role::Technician, "/system/names", &names).await;
        assert!(answer.leads_to().starts_with("/proposals"), "{}", answer.body);
        assert_eq!(school.admin.control.own_records().len(), 1);
        assert!(school.admin.control.policy().load().file().own_names.is_empty());
    }

    #[test]
    fn lines_are_read_as_people_and_hosts_files_have_them() {
        let text = "printer.school.example 10.0.0.40\r\n\n# the library\nlibrary.school.example, www.school.example\n\
                    10.0.0.9\tmis.school.example intranet.school.example # both\nnas.school.example = fd00::7\n";
        let read = read(text).unwrap();
        let lines = "printer.school.example 10.0.0.40\nlibrary.school.example www.school.example\n\
                     mis.school.example 10.0.0.9\nintranet.school.example 10.0.0.9\nnas.school.example fd00::7\n";
        assert_eq!(written(&read), lines);
        assert_eq!(super::read(lines).unwrap(), read);
        for (text, line) in [("a.example", 1), ("\na.example b.example c.example", 2), ("10.0.0.1", 1)] {
            assert_eq!(super::read(text).unwrap_err().0, line, "{text}");
        }
    }
}
