//! The policy of a box that nobody has set up yet.

use super::{
    file::{NewlySeen, PolicyFile, ProfileFile, VERSION},
    keeping::LogFile,
    tables::Tables,
};
use crate::category::{Categories, UNCATEGORISED};

/// The profile of questions from the box itself, so that whoever tries it there meets a filter that also answers.
const LOOPBACK_PROFILE: &str = "ks2";

/// The box itself.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

impl PolicyFile {
    /// The policy that the product ships: its profiles, with the state of every category written out.
    ///
    /// It knows no network but the box itself, so every other client gets the strictest pupil profile.
    #[must_use]
    pub fn shipped() -> Self {
        let tables = Tables::shipped();
        let mut file = Self {
            version: VERSION,
            school: String::new(),
            timezone: String::from("Europe/London"),
            fallback_profile: None,
            contact: None,
            block_ttl: 10,
            day_ends: None,
            own_names: Vec::new(),
            terms: Vec::new(),
            holidays: Vec::new(),
            newly_seen: NewlySeen::default(),
            log: LogFile::default(),
            profiles: tables
                .profiles
                .iter()
                .map(|profile| ProfileFile {
                    id: profile.id.clone(),
                    name: profile.name.clone(),
                    subnets: if profile.id == LOOPBACK_PROFILE {
                        LOOPBACK.map(String::from).into()
                    } else {
                        Vec::new()
                    },
                    audience: profile.audience,
                    mode: profile.mode,
                    uncategorised: Some(profile.uncategorised),
                    safe_search: profile.safe_search,
                    youtube: profile.youtube,
                    strip_ech: profile.strip_ech,
                    block_with: profile.block_with,
                    log: Some(profile.log),
                    canaries: true,
                    bundles: profile.bundles.clone(),
                    categories: [].into(),
                    services: [].into(),
                    why: [].into(),
                })
                .collect(),
            groups: Vec::new(),
            devices: Vec::new(),
            schedules: Vec::new(),
            lessons: Vec::new(),
            bundles: Vec::new(),
            rules: Vec::new(),
            lists: Vec::new(),
            suppliers: Vec::new(),
            mitigations: Vec::new(),
            categories: Vec::new(),
        };
        file.fill(&Categories::shipped());
        file
    }

    /// Writes out the state of every category of every profile, so that a reader sees them all and an update of the
    /// product changes none.
    pub fn fill(&mut self, categories: &Categories) {
        for profile in &mut self.profiles {
            for (_, category) in categories.iter() {
                if category.id != UNCATEGORISED && !profile.categories.contains_key(&category.id) {
                    let cell = profile.cell(category, Tables::shipped());
                    profile.categories.insert(category.id.clone(), cell);
                }
            }
        }
    }
}
