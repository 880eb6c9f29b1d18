//! The audit: who changed what, when, from where and why. It is read here, and can't be changed anywhere.

use askama::Template;
use axum::{
    extract::Query,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::super::{
    access::Right,
    failure::Failure,
    page::{Page, html, html_with},
    routes::Routes,
    visit::{Visit, encoded},
    when::When,
};
use crate::{
    policy::Policy,
    querylog::{
        LogError, csv,
        search::{Edge, moment, zone},
    },
    store::{AuditLine, AuditPage, AuditProof, AuditQuery, MOST_AUDIT_LINES},
};

/// How many lines a page has.
const LINES: u32 = 50;

/// How many lines leave as a spreadsheet at most.
const MOST: usize = 10_000;

/// The parts of the box whose changes can be looked at by themselves: what their actions begin with.
const KINDS: [(&str, &str); 8] = [
    ("policy.", "audit-kind-policy"),
    ("lists.", "audit-kind-lists"),
    ("log.", "audit-kind-log"),
    ("user.", "audit-kind-user"),
    ("sign-", "audit-kind-sign-in"),
    ("session.", "audit-kind-session"),
    ("token.", "audit-kind-token"),
    ("break-glass.", "audit-kind-break-glass"),
];

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/audit", Right::SeeAudit, show).get("/audit.csv", Right::SeeAudit, lines)
}

/// The fields of the form; empty ones do not matter.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Fields {
    by: String,
    action: String,
    text: String,
    from: String,
    to: String,
    before: String,
    /// `yes` to have the whole audit looked through.
    proof: String,
}

impl Fields {
    /// What the audit is asked, or what is wrong with it.
    fn asked(&self, visit: &Visit, limit: u32) -> Result<AuditQuery, LogError> {
        let said = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let policy = visit.admin.control.policy().load_full();
        let (zone, now) = (zone(&policy), visit.admin.clock.now());
        let time = |argument, text: &String, edge| {
            said(text).map(|text| moment(argument, &text, edge, &zone, now)).transpose()
        };
        let before = said(&self.before).map(|text| {
            let what = format!("{text:?} is no place in the audit");
            text.parse().map_err(|_| LogError::Input { argument: "--before", what })
        });
        Ok(AuditQuery {
            before: before.transpose()?,
            limit,
            by: said(&self.by),
            action: said(&self.action),
            text: said(&self.text),
            from: time("--from", &self.from, Edge::From)?,
            to: time("--to", &self.to, Edge::To)?,
        })
    }

    /// The query of an address that asks for the same, but for the page.
    fn query(&self) -> String {
        [
            ("by", &self.by),
            ("action", &self.action),
            ("text", &self.text),
            ("from", &self.from),
            ("to", &self.to),
        ]
        .into_iter()
        .filter(|(_, value)| !value.trim().is_empty())
        .map(|(word, value)| format!("{word}={}", encoded(value.trim())))
        .collect::<Vec<_>>()
        .join("&")
    }

    fn is_any(&self) -> bool {
        !self.query().is_empty()
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Show {
    p: Page,
    fields: Fields,
    lines: Vec<Line>,
    /// The number that the next page begins before.
    older: Option<i64>,
    wrong: Wrong,
    proof: Option<Proof>,
}

#[derive(Template)]
#[template(path = "audit.html", block = "found")]
struct Part {
    p: Page,
    fields: Fields,
    lines: Vec<Line>,
    older: Option<i64>,
    wrong: Wrong,
}

#[derive(Template)]
#[template(path = "audit.html", block = "proven")]
struct ProofPart {
    p: Page,
    proof: Option<Proof>,
}

impl Show {
    /// What can be looked at by itself: what its actions begin with, its title, and whether it is chosen.
    fn kinds(&self) -> impl Iterator<Item = (&'static str, String, bool)> {
        KINDS.into_iter().map(|(begin, key)| (begin, self.p.t(key), begin == self.fields.action))
    }
}

/// What is wrong with the fields.
#[derive(Debug, Default)]
struct Wrong {
    field: &'static str,
    what: String,
}

/// A line as people read it.
struct Line {
    time: String,
    stamp: String,
    by: String,
    from: String,
    action: String,
    detail: String,
    before: String,
    after: String,
    reason: String,
}

impl Line {
    fn of(p: &Page, policy: &Policy, when: &When, now: jiff::Timestamp, line: &AuditLine) -> Self {
        let record = &line.record;
        // What must not be shown today is a digest, whatever the policy of that day was.
        let shown = |text: &str| policy.masked(text).into_owned();
        let maybe = |text: &Option<String>| text.as_deref().map(shown).unwrap_or_default();
        Self {
            time: when.second(record.at, now),
            stamp: record.at.to_string(),
            by: record.by.clone(),
            from: record.from.clone().unwrap_or_default(),
            action: action(p, &record.action),
            detail: shown(&record.detail),
            before: maybe(&record.before),
            after: maybe(&record.after),
            reason: maybe(&record.reason),
        }
    }
}

/// What people call an action.
fn action(p: &Page, word: &str) -> String {
    let key = format!("audit-action-{}", word.replace('.', "-"));
    if p.words.has(&key) { p.t(&key) } else { word.replace(['.', '-'], " ") }
}

/// Whether the audit is as it was written.
struct Proof {
    is_whole: bool,
    said: String,
    /// The digest of the last line; empty where it is not whole.
    last: String,
}

async fn show(visit: Visit, Query(fields): Query<Fields>) -> Result<Response, Failure> {
    let p = visit.page("audit-title", "/audit");
    let proof = if fields.proof == "yes" { Some(proof(&visit, &p).await?) } else { None };
    if visit.part && proof.is_some() {
        return html(&ProofPart { p, proof });
    }
    let (page, wrong) = match fields.asked(&visit, LINES) {
        Ok(query) => (read(&visit, query).await?, Wrong::default()),
        Err(LogError::Input { argument, what }) => {
            (AuditPage::default(), Wrong { field: argument.trim_start_matches('-'), what })
        }
        Err(error) => return Err(Failure::inside(error)),
    };
    let policy = visit.admin.control.policy().load_full();
    let (when, now) = (When::of(&policy), visit.admin.clock.now());
    let lines = page.lines.iter().map(|line| Line::of(&p, &policy, &when, now, line)).collect();
    let older = page.next;
    let status = if wrong.what.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    if visit.part {
        html_with(status, &Part { p, fields, lines, older, wrong })
    } else {
        html_with(status, &Show { p, fields, lines, older, wrong, proof })
    }
}

async fn read(visit: &Visit, query: AuditQuery) -> Result<AuditPage, Failure> {
    Ok(visit.aside(move |visit| visit.admin.control.audit_page(&query)).await??)
}

async fn proof(visit: &Visit, p: &Page) -> Result<Proof, Failure> {
    let policy = visit.admin.control.policy().load_full();
    let (when, now) = (When::of(&policy), visit.admin.clock.now());
    Ok(match visit.aside(|visit| visit.admin.control.verify_audit()).await?? {
        AuditProof::Whole { lines, last } => {
            let said = p.with("audit-whole", "lines", lines);
            Proof { is_whole: true, said, last }
        }
        AuditProof::Broken { at, .. } => {
            let said = p.with("audit-broken", "when", when.second(at, now));
            Proof { is_whole: false, said, last: String::new() }
        }
        AuditProof::Short { written, there } => {
            let missing = written.saturating_sub(there);
            let said = p.with("audit-short", "lines", missing);
            Proof { is_whole: false, said, last: String::new() }
        }
    })
}

/// The lines that are asked for, as a file for spreadsheets.
async fn lines(visit: Visit, Query(fields): Query<Fields>) -> Result<Response, Failure> {
    let mut query =
        fields.asked(&visit, MOST_AUDIT_LINES).map_err(|error| Failure::input(error.to_string()))?;
    let policy = visit.admin.control.policy().load_full();
    let mut text = csv::line(["time", "who", "from", "action", "what", "before", "after", "why"]);
    let mut found = 0;
    loop {
        let page = read(&visit, query.clone()).await?;
        found += page.lines.len();
        for AuditLine { record, .. } in &page.lines {
            let shown = |text: &str| policy.masked(text).into_owned();
            let maybe = |text: &Option<String>| text.as_deref().map(shown).unwrap_or_default();
            text.push_str(&csv::line([
                record.at.to_string(),
                record.by.clone(),
                record.from.clone().unwrap_or_default(),
                record.action.clone(),
                shown(&record.detail),
                maybe(&record.before),
                maybe(&record.after),
                maybe(&record.reason),
            ]));
        }
        match page.next {
            Some(next) if found < MOST => query.before = Some(next),
            _ => break,
        }
    }
    let day = When::of(&policy).date(visit.admin.clock.now());
    let headers = [
        (header::CONTENT_TYPE, String::from("text/csv; charset=utf-8; header=present")),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"audit-{day}.csv\"")),
    ];
    Ok((headers, text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        accounts::Role,
        admin::tests::TestBox,
        control::{Edit, EditAsked, SchoolEdit},
    };

    async fn changed() -> TestBox {
        let school = TestBox::new().await;
        let control = &school.admin.control;
        let edit = Edit::SetSchool(SchoolEdit {
            name: Some(String::from("<script>alert(1)</script> Primary")),
            ..SchoolEdit::default()
        });
        let asked = EditAsked {
            by: String::from("policy-owner"),
            reason: String::from("=we have a new name"),
            from: Some(String::from("10.20.1.9")),
            ..EditAsked::default()
        };
        control.edit(vec![edit], asked).await.unwrap();
        control.audit_from("technician", "sign-in", "from somewhere", None);
        school
    }

    #[tokio::test]
    async fn each_change_says_who_what_from_where_and_why() {
        let school = changed().await;
        let page = school.get(Role::Auditor, "/audit").await;
        for text in ["policy-owner", "10.20.1.9", "we have a new name", "Settings changed", "Signed in"] {
            assert!(page.has(text), "{text}: {}", page.body);
        }
        assert!(!page.has("<script>alert"), "{}", page.body);
    }

    #[tokio::test]
    async fn it_can_be_searched_page_by_page() {
        let school = changed().await;
        let only = school.part(Role::Head, "/audit?by=technician").await;
        assert!(
            only.has("Signed in") && !only.has("Settings changed") && !only.has("<html"),
            "{}",
            only.body
        );
        let kind = school.get(Role::Head, "/audit?action=policy.").await;
        assert!(!kind.has("Signed in") && kind.has("Settings changed"));
        let none = school.get(Role::Head, "/audit?text=no+such+thing").await;
        assert!(none.has("Nothing of the kind"), "{}", none.body);
        for n in 0..60 {
            school.admin.control.audit_from("somebody", "sign-in", &format!("try {n}"), None);
        }
        let page = school.get(Role::Head, "/audit?by=somebody").await;
        assert!(page.has("try 59") && !page.has("try 9\n"), "{}", page.body);
        let older = page.body.split("&amp;before=").nth(1).unwrap().split('"').next().unwrap();
        let older = school.get(Role::Head, &format!("/audit?by=somebody&before={older}")).await;
        assert!(older.has("try 9\n") && !older.has("try 59"), "{}", older.body);
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_search_is_told_and_kept() {
        let school = TestBox::new().await;
        for query in ["from=soon", "to=31%2F12", "before=x"] {
            let page = school.get(Role::Head, &format!("/audit?{query}&by=me")).await;
            assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
            assert!(page.has("role=\"alert\"") && page.has("value=\"me\""), "{}", page.body);
        }
    }

    #[tokio::test]
    async fn it_says_whether_somebody_tampered_with_it() {
        let school = changed().await;
        let whole = school.part(Role::Auditor, "/audit?proof=yes").await;
        assert!(whole.has("Nothing was changed") && !whole.has("<html"), "{}", whole.body);
        let database = rusqlite::Connection::open(school.data.path().join("schoolgate.db")).unwrap();
        database.execute("UPDATE audit SET who = 'nobody' WHERE who = 'policy-owner'", []).unwrap();
        let broken = school.get(Role::Auditor, "/audit?proof=yes").await;
        assert!(broken.has("was changed outside of this box"), "{}", broken.body);
    }

    #[tokio::test]
    async fn it_leaves_as_a_spreadsheet_in_which_nothing_is_a_formula() {
        let school = changed().await;
        let file = school.get(Role::Auditor, "/audit.csv?by=policy").await;
        assert_eq!(
            file.headers[header::CONTENT_DISPOSITION],
            "attachment; filename=\"audit-2026-11-26.csv\""
        );
        let lines: Vec<&str> = file.body.lines().collect();
        assert_eq!(lines.len(), 2, "{}", file.body);
        assert!(lines[1].contains("'=we have a new name"), "{}", lines[1]);
    }
}
