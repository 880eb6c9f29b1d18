//! Active Directory: which of the school's own servers know its domain.

use std::{fmt::Write as _, net::IpAddr};

use askama::Template;
use axum::{extract::Form, response::Response};

use super::{
    super::{
        super::{failure::Failure, page::Page, visit::Visit},
        change,
    },
    Fields, Refusal, Step, Wizard, around, edit, shown, went_on,
};
use crate::control::{Directory, OwnZone};

#[derive(Template)]
#[template(path = "set_up_directory.html")]
struct DirectoryPage {
    p: Page,
    w: Wizard,
    domain: String,
    server: String,
    found: Option<Directory>,
    /// The zones that were given before.
    zones: Vec<OwnZone>,
    /// Those of the settings.
    settings_zones: Vec<String>,
    /// What to write where zones can't be given here; empty where they can.
    lines: String,
}

fn page(
    visit: &Visit,
    wrong: Option<&Refusal>,
    fields: &Fields,
    found: Option<Directory>,
) -> Result<Response, Failure> {
    let (p, w) = around(visit, Step::Directory, wrong, fields);
    let resolving = visit.admin.control.resolving();
    let lines = match (&found, &resolving) {
        (Some(found), None) => settings_lines(found),
        _ => String::new(),
    };
    let page = DirectoryPage {
        p,
        w,
        domain: fields.get("domain").to_owned(),
        server: fields.get("server").to_owned(),
        found,
        zones: visit.admin.control.own_zones(),
        settings_zones: resolving.map(|resolving| resolving.settings_zones).unwrap_or_default(),
        lines,
    };
    shown(wrong, &page)
}

/// The lines for `schoolgate.toml` that say the same.
fn settings_lines(found: &Directory) -> String {
    let servers = found.controllers.iter().map(|controller| match controller.address {
        IpAddr::V4(four) => format!("\"{four}\""),
        IpAddr::V6(six) => format!("\"[{six}]\""),
    });
    let servers = servers.collect::<Vec<_>>().join(", ");
    let mut text = String::new();
    for zone in &found.zones {
        // Writing to a string does not fail.
        let _ = write!(text, "[[resolver.zone]]\nname = \"{zone}\"\nservers = [{servers}]\n\n");
    }
    text
}

pub(super) async fn show(visit: Visit) -> Result<Response, Failure> {
    page(&visit, None, &Fields::default(), None)
}

pub(super) async fn find(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    if fields.is_on("skip") {
        return went_on(&visit, Step::Directory);
    }
    let server = match fields.get("server") {
        "" => None,
        text => match text.parse::<IpAddr>() {
            Ok(address) => Some(address),
            Err(_) => {
                let wrong =
                    Refusal::new(visit.words.with("set-up-directory-no-address", [("text", text.into())]));
                return page(&visit, Some(&wrong), &fields, None);
            }
        },
    };
    if fields.get("domain").is_empty() {
        let wrong = Refusal::new(visit.words.get("set-up-directory-no-domain"));
        return page(&visit, Some(&wrong), &fields, None);
    }
    match visit.admin.control.find_directory(fields.get("domain"), server).await {
        Ok(found) => page(&visit, None, &fields, Some(found)),
        Err(error) if error.is_bad_input() => {
            page(&visit, Some(&Refusal::new(error.to_string())), &fields, None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Puts the zones that were found, and stayed ticked, in force; those of before stay unless they are unticked.
pub(super) async fn put(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let control = &visit.admin.control;
    let servers: Vec<IpAddr> = fields.all("server").filter_map(|text| text.parse().ok()).collect();
    let mut zones: Vec<OwnZone> = fields
        .all("zone")
        .filter(|name| !name.is_empty())
        .map(|name| OwnZone { name: name.to_owned(), servers: servers.clone() })
        .collect();
    let kept: Vec<&str> = fields.all("keep").collect();
    let (before, names) = (control.own_zones(), control.names_given());
    let stay = before
        .iter()
        .filter(|old| kept.contains(&old.name.as_str()) && !zones.iter().any(|new| new.name == old.name));
    zones.extend(stay.cloned().collect::<Vec<_>>());
    if let Err(error) = control.set_own_zones(zones, &visit.by(), Some(visit.address())).await {
        if error.is_bad_input() {
            return page(&visit, Some(&Refusal::new(error.to_string())), &Fields::default(), None);
        }
        return Err(error.into());
    }
    let reason = Fields(vec![("reason".to_owned(), visit.words.get("set-up-directory-reason"))]);
    match edit(&visit, &reason, change::own_names(&visit, &names).into_iter().collect()).await? {
        Ok(()) => went_on(&visit, Step::Directory),
        Err(wrong) => page(&visit, Some(&wrong), &Fields::default(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Controller;

    #[test]
    fn the_lines_for_the_settings_are_read_as_settings() {
        let controller = |name: &str, address: &str| Controller {
            name: name.to_owned(),
            address: address.parse().unwrap(),
            answers: true,
        };
        let found = Directory {
            domain: String::from("ad.school.example"),
            controllers: vec![
                controller("dc1.ad.school.example", "10.20.0.10"),
                controller("dc2.ad.school.example", "fd00::10"),
            ],
            zones: vec![String::from("ad.school.example"), String::from("20.10.in-addr.arpa")],
        };
        #[derive(serde::Deserialize)]
        struct File {
            resolver: crate::resolver::Config,
        }
        let file: File = toml::from_str(&settings_lines(&found)).unwrap();
        assert_eq!(file.resolver.zone.len(), 2);
        assert!(crate::resolver::build(&file.resolver).is_ok());
    }
}
