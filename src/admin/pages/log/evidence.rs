//! Taking lines of the log out as evidence: a signed package, with the settings that were in force.

use std::io::ErrorKind;

use askama::Template;
use axum::{
    body::{Body, Bytes},
    extract::{Form, Path, Query},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;

use super::{
    super::super::{
        access::Right,
        failure::Failure,
        log::actor,
        page::{Page, html, html_with},
        routes::Routes,
        visit::Visit,
    },
    asked::{Choices, Fields, Wrong},
};
use crate::{control::ExportRequest, querylog::evidence::Made};

/// How much of a package is read at once, in bytes.
const PIECE: usize = 64 << 10;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/log/evidence", Right::ExportLog, show).post("/log/evidence", Right::ExportLog, make).get(
        "/log/evidence/{file}",
        Right::ExportLog,
        fetch,
    )
}

#[derive(Template)]
#[template(path = "log_evidence.html")]
struct Show {
    p: Page,
    fields: Fields,
    choices: Choices,
    reason: String,
    wrong: Wrong,
    made: Option<Package>,
}

/// A package that was made.
pub(super) struct Package {
    pub(super) file: String,
    pub(super) rows: String,
    pub(super) gaps: Vec<String>,
    pub(super) manifest: String,
    pub(super) fingerprint: String,
}

async fn show(visit: Visit, Query(fields): Query<Fields>) -> Result<Response, Failure> {
    let p = visit.page("evidence-title", "/log");
    let choices = Choices::of(&visit.admin.control.policy().load(), &p, &fields);
    html(&Show { p, fields, choices, reason: String::new(), wrong: Wrong::default(), made: None })
}

#[derive(Debug, Deserialize)]
struct Order {
    #[serde(default)]
    why: String,
    #[serde(flatten)]
    fields: Fields,
}

async fn make(visit: Visit, Form(order): Form<Order>) -> Result<Response, Failure> {
    let Order { why, fields } = order;
    let request = ExportRequest { rows: fields.asked(None), reason: why.clone() };
    let (made, wrong) = match visit.admin.control.log_export(&actor(&visit), request).await {
        Ok(made) => (Some(made), Wrong::default()),
        Err(error) => (None, Wrong::of(error)?),
    };
    let p = visit.page("evidence-title", "/log");
    let choices = Choices::of(&visit.admin.control.policy().load(), &p, &fields);
    let status = if wrong.is_none() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let made = made.map(|made| Package::of(&p, made));
    html_with(status, &Show { p, fields, choices, reason: why, wrong, made })
}

impl Package {
    pub(super) fn of(p: &Page, made: Made) -> Self {
        let name = made.file.file_name().map(|name| name.to_string_lossy().into_owned());
        Self {
            file: name.unwrap_or_default(),
            rows: p.number(&made.rows),
            gaps: made.gaps,
            manifest: made.manifest_sha256,
            fingerprint: made.fingerprint,
        }
    }
}

/// Whether a text is the name of a package, and of nothing else.
fn is_package(file: &str) -> bool {
    let Some(name) = file.strip_suffix(".zip") else { return false };
    let parts: Vec<&str> = name.split('-').collect();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let hex = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    matches!(parts[..], [time, "evidence" | "subject", random] if digits(time) && hex(random))
}

async fn fetch(visit: Visit, Path(file): Path<String>) -> Result<Response, Failure> {
    if !is_package(&file) {
        return Err(Failure::not_found());
    }
    let path = visit.admin.control.log_folder().outgoing().join(&file);
    let opened = match tokio::fs::File::open(&path).await {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Failure::not_found()),
        Err(error) => return Err(Failure::inside(error)),
    };
    let length = opened.metadata().await.map_err(Failure::inside)?.len();
    visit.admin.control.audit_from(&visit.by(), "log.export.fetch", &file, Some(visit.address()));
    let pieces = stream::try_unfold(opened, async |mut file| {
        let mut piece = vec![0; PIECE];
        let read = file.read(&mut piece).await?;
        piece.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(piece), file)))
    });
    let headers = [
        (header::CONTENT_TYPE, String::from("application/zip")),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{file}\"")),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

#[cfg(test)]
mod tests {
    use super::is_package;

    #[test]
    fn nothing_but_packages_can_be_fetched() {
        assert!(is_package("1795688100000-evidence-0a1b2c3d.zip"));
        assert!(is_package("1795688100000-subject-0a1b2c3d.zip"));
        for file in [
            "",
            ".zip",
            "../../schoolgate.db",
            "1-evidence-0a1b2c3d.zip/../x",
            "-evidence-0a1b2c3d.zip",
            "1-evidence-0a1b2c3d.part",
            "1-other-0a1b2c3d.zip",
            "1-evidence-..1b2c3d.zip",
            "1-evidence-0a1b2c3d-1.zip",
        ] {
            assert!(!is_package(file), "{file}");
        }
    }
}
