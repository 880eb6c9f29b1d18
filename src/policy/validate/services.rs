//! Services that are switched by themselves, and bundles.

use super::{Check, check_name};
use crate::{
    category::LOCKED,
    policy::{
        bundles::{IN_LESSONS, MAX_BUNDLES},
        file::{Cell, Mode, ProfileFile, YouTube},
        problem::suggest,
    },
};

/// The service that the profile's setting `youtube` is about, too.
const YOUTUBE: &str = "youtube";

impl Check<'_> {
    pub(super) fn services(&mut self, profile: &ProfileFile) {
        for (id, cell) in &profile.services {
            let place = format!("profile {:?}: services.{id}", profile.id);
            let Some(service) = self.tables.service(id) else {
                let services = &self.tables.services;
                // `teams` is meant for `microsoft-teams`, and not for `steam`.
                let part = services.iter().find(|service| service.id.split('-').any(|part| part == id));
                let instead = match part {
                    _ if self.categories.find(id).is_some() => {
                        format!("{id} is a category: write it under [profile.categories]")
                    }
                    Some(service) => format!("did you mean {:?}?", service.id),
                    None => suggest(id, services.iter().map(|service| service.id.as_str())),
                };
                self.problems.error(place, "there is no such service", instead);
                continue;
            };
            let opens = match cell {
                Cell::Allow | Cell::Report => true,
                Cell::Block => false,
                Cell::AllowDuring(schedule) => {
                    if !self.file.schedules.iter().any(|s| s.id == *schedule) {
                        self.unknown(&place, "schedule", schedule);
                    }
                    true
                }
                Cell::AllowFor(group) => {
                    if !self.file.groups.iter().any(|g| g.id == *group) {
                        self.unknown(&place, "group", group);
                    }
                    true
                }
                Cell::Locked => {
                    let instead = format!("write \"block\", or lock its category {}", service.category);
                    self.problems.error(place, "only categories can be locked", instead);
                    continue;
                }
            };
            let Some(category) = self.categories.find(&service.category) else { continue };
            let category = self.categories.get(category);
            let state = profile.cell(category, self.tables);
            let locked = state == Cell::Locked
                || LOCKED.iter().any(|(id, whom)| *id == category.id && whom.contains(&profile.audience));
            if opens && locked {
                let what = format!("its category {} is locked here, and nothing opens it", category.id);
                self.problems.error(&place, what, "leave it out");
                continue;
            }
            if state == *cell || (locked && !opens) {
                let what = format!("it changes nothing now: its category {} has the same state", category.id);
                self.problems.warning(
                    &place,
                    what,
                    "leave it out, unless it is to stay when the category changes",
                );
            }
            if opens && profile.mode == Mode::AllowOnly {
                self.problems.warning(
                    &place,
                    "it opens nothing that was not approved, since only approved names are open here",
                    "write an allow rule or a bundle with its names",
                );
            }
            if opens && id == YOUTUBE && profile.youtube == YouTube::Block {
                self.problems.warning(
                    &place,
                    "it stays closed, since the setting youtube = \"block\" closes it whatever opened it",
                    "write youtube = \"strict\" or \"moderate\"",
                );
            }
        }
    }

    /// That a bundle is there.
    pub(super) fn is_bundle(&mut self, place: &str, bundle: &str) {
        if !self.file.all_bundles(self.tables).any(|known| known.id() == bundle) {
            let known: Vec<_> = self.file.all_bundles(self.tables).collect();
            let instead = suggest(bundle, known.iter().map(|known| known.id()));
            self.problems.error(place, format!("there is no bundle {bundle:?}"), instead);
        }
    }

    pub(super) fn bundles(&mut self) {
        let shipped = self.tables.bundles.len();
        if shipped + self.file.bundles.len() > MAX_BUNDLES {
            let what = format!("there are {} bundles", self.file.bundles.len());
            let most = MAX_BUNDLES.saturating_sub(shipped);
            self.problems.error("bundle", what, format!("{most} beside the shipped ones is the most"));
        }
        for bundle in &self.file.bundles {
            let place = format!("bundle {:?}", bundle.id);
            if self.tables.bundle(&bundle.id).is_some() {
                self.problems.error(
                    &place,
                    "a shipped bundle has this id",
                    format!("write another one, such as \"our-{}\"", bundle.id),
                );
            }
            if bundle.names.is_empty() {
                self.problems.warning(&place, "it has no names, so it opens nothing", "");
            }
            for (i, name) in bundle.names.iter().enumerate() {
                check_name(&mut self.problems, &format!("{place}: names[{i}]"), name);
            }
            let in_lessons = format!("{IN_LESSONS}{}", bundle.id);
            let used = self.file.profiles.iter().any(|profile| profile.bundles.contains(&bundle.id))
                || self.file.lessons.iter().any(|lesson| lesson.only.contains(&in_lessons));
            if !used {
                let instead = format!(
                    "write bundles = [\"{}\"] in a profile, or \"{in_lessons}\" in a lesson",
                    bundle.id
                );
                self.problems.warning(&place, "no profile and no lesson names it", instead);
            }
        }
    }
}
