//! The heart of the policy as a table: categories and services by profile.

use serde::{Deserialize, Serialize};

use crate::{
    category::{Audience, LOCKED, Risk, UNCATEGORISED},
    control::Control,
    policy::{Cell, Mode, PolicyFile, ProfileFile, Tables},
};

/// Categories by profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Matrix {
    /// The revision that it is of.
    pub revision: i64,
    /// The profiles, in the policy's order.
    pub profiles: Vec<MatrixProfile>,
    /// The categories, in the table's order, the school's own last.
    pub rows: Vec<MatrixRow>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MatrixProfile {
    /// The profile's identifier.
    pub id: String,
    /// What people read.
    pub title: String,
    /// Who it is for.
    pub audience: Audience,
    /// How it decides.
    pub mode: Mode,
}

/// A row: one category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MatrixRow {
    /// The category's identifier.
    pub id: String,
    /// What people read.
    pub title: String,
    /// One plain sentence.
    pub summary: String,
    /// How much harm a wrongly opened name could do.
    pub risk: Risk,
    /// What it is about: `content`, `contact`, `conduct`, `commerce` or `technical`.
    pub group: String,
    /// For whom the program locks it.
    pub locked_for: Vec<Audience>,
    /// A cell for each profile, in the order of the columns.
    pub cells: Vec<MatrixCell>,
    /// The services within it.
    pub services: Vec<MatrixService>,
}

/// A service within a category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MatrixService {
    /// The service's identifier.
    pub id: String,
    /// What people read.
    pub title: String,
    /// What a school should know before it switches it; may be empty.
    pub note: String,
    /// A cell for each profile, in the order of the columns.
    pub cells: Vec<MatrixCell>,
}

/// The state of a category or a service in a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MatrixCell {
    /// The state now. Of a service that is not switched by itself, that of its category.
    pub state: Cell,
    /// Whether a service is switched by itself; of a category, whether the policy names it.
    pub set: bool,
    /// The state if the policy said nothing.
    pub usual: Cell,
    /// The program locks it for those whom the profile is for, and nothing opens it.
    pub locked: bool,
    /// Why it is as it is; may be empty.
    pub why: String,
}

impl Control {
    /// The categories by profile, as in force.
    #[must_use]
    pub fn matrix(&self) -> Matrix {
        let (file, revision) = self.in_force();
        let every = file.every_category(&self.categories);
        let tables = Tables::shipped();
        let bare: Vec<ProfileFile> = file.profiles.iter().map(unsaid).collect();
        let rows = every.iter().map(|(_, category)| {
            let locked = |profile: &ProfileFile| {
                LOCKED.iter().any(|(id, whom)| *id == category.id && whom.contains(&profile.audience))
            };
            let cell = |(profile, bare): (&ProfileFile, &ProfileFile)| MatrixCell {
                state: if locked(profile) { Cell::Locked } else { profile.cell(category, tables) },
                set: profile.categories.contains_key(&category.id)
                    || (category.id == UNCATEGORISED && profile.uncategorised.is_some()),
                usual: if locked(profile) { Cell::Locked } else { bare.cell(category, tables) },
                locked: locked(profile),
                why: profile.why.get(&category.id).cloned().unwrap_or_default(),
            };
            let cells: Vec<MatrixCell> = file.profiles.iter().zip(&bare).map(cell).collect();
            let services = tables.services.iter().filter(|service| service.category == category.id);
            MatrixRow {
                services: services
                    .map(|service| MatrixService {
                        id: service.id.clone(),
                        title: service.title.clone(),
                        note: service.note.clone(),
                        cells: of_service(&file, &service.id, &cells),
                    })
                    .collect(),
                id: category.id.clone(),
                title: category.title.clone(),
                summary: category.summary.clone(),
                risk: category.risk,
                group: category.area.clone(),
                locked_for: LOCKED
                    .iter()
                    .filter(|(id, _)| *id == category.id)
                    .flat_map(|(_, whom)| whom.iter().copied())
                    .collect(),
                cells,
            }
        });
        let rows = rows.collect();
        let profiles = file
            .profiles
            .iter()
            .map(|profile| MatrixProfile {
                id: profile.id.clone(),
                title: profile.title().to_owned(),
                audience: profile.audience,
                mode: profile.mode,
            })
            .collect();
        Matrix { revision, profiles, rows }
    }
}

/// The profile as if it said nothing of any category.
fn unsaid(profile: &ProfileFile) -> ProfileFile {
    ProfileFile { uncategorised: None, categories: [].into(), ..profile.clone() }
}

fn of_service(file: &PolicyFile, id: &str, category: &[MatrixCell]) -> Vec<MatrixCell> {
    file.profiles
        .iter()
        .zip(category)
        .map(|(profile, category)| {
            let written = profile.services.get(id);
            MatrixCell {
                state: written.filter(|_| !category.locked).unwrap_or(&category.state).clone(),
                set: written.is_some(),
                usual: category.state.clone(),
                locked: category.locked,
                why: profile.why.get(id).cloned().unwrap_or_default(),
            }
        })
        .collect()
}
