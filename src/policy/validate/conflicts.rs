//! Rules that the lists in force contradict.

use super::place_of_rule;
use crate::{
    category::CategorySet,
    policy::{
        Policy,
        file::{Action, Cell},
        names::{Essential, NamePattern},
        problem::{Problem, Problems},
    },
};

impl Policy {
    /// What is wrong with the school's rules in the light of the lists, which [`PolicyFile::validate`](crate::policy::PolicyFile::validate) doesn't know:
    /// rules that try to open a locked name (errors: the rule does nothing), rules that block an essential name
    /// (warnings: it is blocked) or one that a list blocks which must not be shown (warnings: the rule shows it), and
    /// services that are opened but locked (warnings: they stay closed).
    #[must_use]
    pub fn conflicts(&self) -> Vec<Problem> {
        let mut problems = Problems::default();
        for (i, rule) in self.file.rules.iter().enumerate() {
            let Ok(pattern) = NamePattern::parse(&rule.name) else { continue };
            let sealed = self.sealed_name(&pattern.key);
            let name = self.shown(&pattern.key);
            let place = place_of_rule(i, if sealed.is_some() { &name } else { &rule.name });
            if rule.action == Action::Allow {
                let raw = self.look_up(&pattern.key).raw;
                let concerned =
                    |id: &str| rule.profiles.as_ref().is_none_or(|ids| ids.iter().any(|i| i == id));
                let locked = self
                    .file
                    .profiles
                    .iter()
                    .zip(&self.profiles)
                    .filter(|(written, _)| concerned(&written.id))
                    .fold(CategorySet::EMPTY, |set, (_, profile)| {
                        set.union(profile.locked.intersection(raw))
                    });
                if !locked.is_empty() {
                    problems.error(
                        place,
                        format!("{name} is locked ({})", self.categories.ids(locked).join(", ")),
                        "nothing opens a locked category: take the rule out",
                    );
                }
            } else if sealed.is_some() {
                problems.warning(
                    place,
                    format!("{name} is on a list that is locked, so this changes nothing"),
                    "take the rule out, or the policy shows a name that must not be shown",
                );
            } else if let Some(set) = self.essential(&pattern.key)
                && set != Essential::Own
            {
                problems.warning(
                    place,
                    format!("{name} is an essential name, and this blocks it"),
                    "be sure that nobody needs it",
                );
            }
        }
        self.locked_services(&mut problems);
        problems.into_vec()
    }

    /// Services that are open, but for names that the lists have in a locked category.
    fn locked_services(&self, problems: &mut Problems) {
        for (written, profile) in self.file.profiles.iter().zip(&self.profiles) {
            let opened = written.services.iter().filter(|(_, cell)| **cell != Cell::Block);
            for service in opened.filter_map(|(id, _)| self.tables.service(id)) {
                for name in service.names.iter().filter_map(|name| NamePattern::parse(name).ok()) {
                    let locked = self.look_up(&name.key).raw.intersection(profile.locked);
                    if !locked.is_empty() {
                        let place = format!("profile {:?}: services.{}", written.id, service.id);
                        let locked = self.categories.ids(locked).join(", ");
                        let what = format!("{} stays closed, since lists have it in {locked}", name.key);
                        problems.warning(place, what, "nothing opens a locked category");
                    }
                }
            }
        }
    }
}
