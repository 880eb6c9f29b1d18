//! Schedules, lessons and rules.

use std::collections::HashMap;

use super::{Check, check_name, place_of_rule};
use crate::policy::{bundles::IN_LESSONS, file::Action, names::NamePattern, schedule};

impl Check<'_> {
    pub(super) fn schedules(&mut self) {
        for schedule in &self.file.schedules {
            let place = format!("schedule {:?}", schedule.id);
            if schedule.windows.is_empty() {
                self.problems.error(
                    &place,
                    "it has no windows",
                    "write windows = [{ days = \"mon-fri\", from = \"12:00\", to = \"13:15\" }]",
                );
            }
            for (i, window) in schedule.windows.iter().enumerate() {
                for (part, what) in schedule::window_problems(window) {
                    self.problems.error(format!("{place}: windows[{i}].{part}"), what, "");
                }
            }
            if schedule.term_only && self.file.terms.is_empty() {
                self.problems.warning(
                    place,
                    "it holds in terms only, but no terms are given, so every day counts as term",
                    "write terms = [{ from = 2026-09-02, to = 2026-12-18 }] at the top of the file",
                );
            }
        }
    }

    pub(super) fn lessons(&mut self) {
        for lesson in &self.file.lessons {
            let place = format!("lesson {:?}", lesson.name);
            self.members(&format!("{place}: room"), &lesson.room);
            for (i, name) in lesson.only.iter().enumerate() {
                let place = format!("{place}: only[{i}]");
                match name.trim().strip_prefix(IN_LESSONS) {
                    Some(bundle) => self.is_bundle(&place, bundle.trim()),
                    None => check_name(&mut self.problems, &place, name),
                }
            }
            self.until(&place, lesson.until);
        }
    }

    pub(super) fn rules(&mut self) {
        // What makes rules of one name meet: the same profiles and clients, and both or neither with an end.
        type About = (NamePattern, Option<Vec<String>>, Option<Vec<String>>, bool);
        let mut seen: HashMap<About, (Action, usize)> = HashMap::new();
        for (i, rule) in self.file.rules.iter().enumerate() {
            let place = place_of_rule(i, &rule.name);
            check_name(&mut self.problems, &place, &rule.name);
            for profile in rule.profiles.iter().flatten() {
                if !self.file.profiles.iter().any(|p| p.id == *profile) {
                    self.unknown(&format!("{place}: profiles"), "profile", profile);
                }
            }
            if rule.profiles.as_ref().is_some_and(Vec::is_empty) {
                self.problems.error(
                    format!("{place}: profiles"),
                    "it names no profile",
                    "leave profiles out for all of them",
                );
            }
            if let Some(clients) = &rule.clients {
                let place = format!("{place}: clients");
                if clients.is_empty() {
                    let instead = "leave clients out for all of them";
                    self.problems.error(&place, "it names no client", instead);
                } else {
                    self.members(&place, clients);
                }
            }
            self.until(&place, rule.until);
            let Ok(pattern) = NamePattern::parse(&rule.name) else { continue };
            let key = (pattern, rule.profiles.clone(), rule.clients.clone(), rule.until.is_some());
            match seen.insert(key, (rule.action, i)) {
                Some((action, other)) if action != rule.action && rule.until.is_none() => {
                    self.problems.warning(
                        place,
                        format!("rule[{other}] says the opposite; the one that blocks wins"),
                        "take one of them out",
                    )
                }
                Some((action, other)) if action == rule.action => {
                    self.problems.warning(
                        place,
                        format!("rule[{other}] says the same"),
                        "take one of them out",
                    );
                }
                _ => {}
            }
        }
    }

    fn until(&mut self, place: &str, until: Option<toml::value::Datetime>) {
        let Some(until) = until else { return };
        match schedule::moment(until, &self.zone) {
            Err(e) => self.problems.error(format!("{place}: until"), e, ""),
            Ok(end) if self.now.is_some_and(|now| end <= now) => self.problems.warning(
                format!("{place}: until"),
                format!("{until} is past, so it does nothing"),
                "take it out",
            ),
            Ok(_) => {}
        }
    }
}
