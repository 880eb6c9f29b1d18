//! Which subnet is which profile's: added, moved, taken out.

use askama::Template;
use axum::{
    extract::{Form, Query},
    http::StatusCode,
    response::Response,
};
use ipnet::IpNet;
use serde::Deserialize;

use super::{Asked, page, profiles, view::subnet};
use crate::admin::{form::Refusal, pages::change};
use crate::{
    admin::{
        failure::Failure,
        page::{Page, html_with, see},
        visit::Visit,
    },
    control::Edit,
    policy::PolicyFile,
};

/// The edits that give subnets to a profile, or (none) to no profile any more.
fn give(file: &PolicyFile, nets: &[IpNet], profile: Option<&str>) -> Vec<Edit> {
    let mut edits = Vec::new();
    for other in &file.profiles {
        let is_given = |text: &String| subnet(text).is_some_and(|net| nets.contains(&net));
        let mut subnets: Vec<String> = other.subnets.clone();
        if profile == Some(&other.id) {
            let has = |net: &IpNet| other.subnets.iter().any(|text| subnet(text) == Some(*net));
            subnets.extend(nets.iter().filter(|net| !has(net)).map(ToString::to_string));
        } else {
            subnets.retain(|text| !is_given(text));
        }
        if subnets != other.subnets {
            edits.push(Edit::SetSubnets { profile: other.id.clone(), subnets });
        }
    }
    edits
}

/// The subnets of a text, or what is wrong with which.
fn read(text: &str) -> Result<Vec<IpNet>, Vec<String>> {
    let words =
        text.split(|c: char| c.is_whitespace() || c == ',' || c == ';').filter(|word| !word.is_empty());
    let (mut nets, mut wrong) = (Vec::new(), Vec::new());
    for word in words {
        match subnet(word) {
            Some(net) if net.prefix_len() == 0 => wrong.push(format!("{word}: this is the whole Internet")),
            Some(net) if !nets.contains(&net) => nets.push(net),
            Some(_) => {}
            None => wrong.push(format!("{word}: write it as 10.20.2.0/24 or 2001:db8:2::/64")),
        }
    }
    if wrong.is_empty() { Ok(nets) } else { Err(wrong) }
}

pub(super) async fn add(visit: Visit, Form(asked): Form<Asked>) -> Result<Response, Failure> {
    let file = visit.admin.control.policy_file()?.file;
    let words = &visit.words;
    let nets = match read(&asked.subnets) {
        Ok(nets) if nets.is_empty() => Err(Refusal::new(words.get("networks-none-written"))),
        Ok(nets) => Ok(nets),
        Err(lines) => Err(Refusal::listing(words.get("networks-wrong"), lines)),
    };
    let known = file.profiles.iter().any(|profile| profile.id == asked.profile);
    let outcome = match nets {
        Ok(_) if !known => Err(Refusal::new(words.get("networks-no-profile"))),
        Ok(nets) => {
            let edits = give(&file, &nets, Some(&asked.profile));
            change::edit(&visit, edits, &asked.reason, asked.revision).await?
        }
        Err(refusal) => Err(refusal),
    };
    match outcome {
        Ok(report) => Ok(see(&format!("/networks?changed={}", report.revision), "done-saved")),
        Err(refusal) => page(&visit, asked, refusal).await,
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct OneAsked {
    subnet: String,
    /// The profile that it gets; empty for none.
    profile: String,
    reason: String,
    revision: Option<i64>,
}

#[derive(Template)]
#[template(path = "networks_subnet.html")]
struct OnePage {
    p: Page,
    asked: OneAsked,
    profiles: Vec<(String, String)>,
    revision: i64,
    refusal: Refusal,
}

impl OnePage {
    fn new(visit: &Visit, asked: OneAsked, refusal: Refusal) -> Result<Self, Failure> {
        let in_force = visit.admin.control.policy_file()?;
        let mut p = visit.page("networks-subnet-title", "/networks");
        p.title = visit.words.with("networks-subnet-of", [("network", (&asked.subnet).into())]);
        let revision = asked.revision.unwrap_or(in_force.revision);
        Ok(Self { p, asked, profiles: profiles(&in_force.file), revision, refusal })
    }
}

pub(super) async fn show(visit: Visit, Query(asked): Query<OneAsked>) -> Result<Response, Failure> {
    let file = visit.admin.control.policy_file()?.file;
    let net = subnet(&asked.subnet).ok_or_else(Failure::not_found)?;
    let has = |text: &String| subnet(text) == Some(net);
    let owner = file.profiles.iter().find(|profile| profile.subnets.iter().any(has));
    let profile = owner.ok_or_else(Failure::not_found)?.id.clone();
    let asked = OneAsked { subnet: net.to_string(), profile, ..OneAsked::default() };
    html_with(StatusCode::OK, &OnePage::new(&visit, asked, Refusal::default())?)
}

pub(super) async fn set(visit: Visit, Form(asked): Form<OneAsked>) -> Result<Response, Failure> {
    let file = visit.admin.control.policy_file()?.file;
    let net = subnet(&asked.subnet).ok_or_else(Failure::not_found)?;
    let profile = Some(asked.profile.as_str()).filter(|profile| !profile.is_empty());
    let outcome = if profile.is_some_and(|id| !file.profiles.iter().any(|profile| profile.id == id)) {
        Err(Refusal::new(visit.words.get("networks-no-profile")))
    } else {
        change::edit(&visit, give(&file, &[net], profile), &asked.reason, asked.revision).await?
    };
    match outcome {
        Ok(report) => Ok(see(&format!("/networks?changed={}", report.revision), "done-saved")),
        Err(refusal) => html_with(refusal.status(), &OnePage::new(&visit, asked, refusal)?),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn subnets_are_read_from_whatever_was_pasted() {
        let text = "10.20.2.7/24, 10.20.3.0/255.255.255.0;2001:db8:2::/64\n10.20.9.9\n10.20.2.0/24";
        let read: Vec<String> = read(text).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(read, ["10.20.2.0/24", "10.20.3.0/24", "2001:db8:2::/64", "10.20.9.9/32"]);
    }

    proptest! {
        #[test]
        fn what_was_read_is_whole_subnets_each_once_and_is_read_again(
            text in "(10\\.20\\.[0-9]{1,3}\\.0|2001:db8::|/[0-9]{1,3}|/255\\.255\\.[0-9]{1,3}\\.0|0\\.0\\.0\\.0/0|[,; \n]|\\PC){0,12}",
        ) {
            match read(&text) {
                Ok(nets) => {
                    prop_assert!(nets.iter().all(|net| *net == net.trunc() && net.prefix_len() > 0));
                    let written: Vec<String> = nets.iter().map(ToString::to_string).collect();
                    prop_assert_eq!(read(&written.join("\n")), Ok(nets));
                }
                Err(wrong) => prop_assert!(!wrong.is_empty()),
            }
        }
    }
}
