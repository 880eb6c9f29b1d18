//! Edits, alone and through a box.

mod alone;
mod boxed;

use jiff::Timestamp;

use super::{Edit, EditError, apply::Known};
use crate::{
    category::Categories,
    policy::{PolicyFile, Severity, Tables},
};

const SCHOOL: &str = r#"
version = 1
school = "Elm Lane"
fallback_profile = "pupils"
[[profile]]
id = "pupils"
name = "Pupils"
subnets = ["127.0.0.0/8", "10.20.2.0/24"]
audience = "pupil"
block_with = "nxdomain"
[profile.categories]
games = "block"
shopping = "allow"
[[profile]]
id = "staff"
name = "Staff"
subnets = ["10.9.0.0/16"]
audience = "staff"
[profile.categories]
games = "allow"
adult = "allow"
[profile.services]
tiktok = "allow"
replika = "allow"
[[list]]
id = "own-games"
category = "games"
text = "play.example"
"#;

/// Sunday 22 November 2026, ten in the morning.
const NOW: &str = "2026-11-22T10:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn school() -> PolicyFile {
    PolicyFile::parse(SCHOOL).unwrap()
}

/// An edit as it comes over the wire.
fn edit(json: &str) -> Edit {
    serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"))
}

fn apply(file: &mut PolicyFile, edits: &[Edit]) -> Result<(), EditError> {
    let categories = Categories::shipped();
    Known { categories: &categories, tables: Tables::shipped(), now: now(), reason: "a test" }
        .apply(file, edits)
}

fn errors(file: &PolicyFile) -> Vec<String> {
    let problems = file.validate(&Categories::shipped(), now());
    problems.iter().filter(|p| p.severity == Severity::Error).map(ToString::to_string).collect()
}
