//! Edits of rules, lessons and openings.

use jiff::Timestamp;

use super::{
    EditError, Lesson, Opening, RuleEdit, WhichRule,
    apply::{Known, moment, trimmed, unknown},
};
use crate::policy::{Action, LessonFile, NamePattern, PolicyFile, RuleFile};

/// Stands before the identifier of a service where names are expected.
const SERVICE: &str = "service:";

/// What a lesson or an opening begins with.
const BUNDLE: &str = "bundle:";

/// What tells a rule from others: the name, the profiles, the clients, and whether it has an end. An exception beside a
/// lasting rule is another rule, or the lasting one would be gone when it ends.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    name: Result<NamePattern, String>,
    profiles: Vec<String>,
    clients: Vec<String>,
    ends: bool,
}

impl Identity {
    fn new(name: &str, profiles: &[String], clients: &[String], ends: bool) -> Self {
        let sorted = |words: &[String]| {
            let mut words = trimmed(words);
            words.sort_unstable();
            words
        };
        let name = NamePattern::parse(name).map_err(|_| name.trim().to_owned());
        Self { name, profiles: sorted(profiles), clients: sorted(clients), ends }
    }

    fn of(rule: &RuleFile) -> Self {
        let words = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
        Self::new(&rule.name, &words(&rule.profiles), &words(&rule.clients), rule.until.is_some())
    }
}

fn some(words: &[String]) -> Option<Vec<String>> {
    Some(trimmed(words)).filter(|words| !words.is_empty())
}

impl Known<'_> {
    pub(super) fn put_rule(&self, file: &mut PolicyFile, new: &RuleEdit) -> Result<(), EditError> {
        let given = if new.reason.trim().is_empty() { self.reason } else { new.reason.trim() };
        // Words that are all blank are a mistake, and must not become a rule for everybody.
        for (words, what) in [(&new.profiles, "no profile is named"), (&new.clients, "no client is named")] {
            if !words.is_empty() && some(words).is_none() {
                return Err(EditError::Missing { what, instead: "leave the empty words out to mean all" });
            }
        }
        let rule = RuleFile {
            action: new.action,
            name: new.name.trim().to_owned(),
            profiles: some(&new.profiles),
            clients: some(&new.clients),
            reason: given.to_owned(),
            owner: new.owner.trim().to_owned(),
            until: new.until.map(|until| self.end(until)).transpose()?,
        };
        let identity = Identity::of(&rule);
        match file.rules.iter().position(|other| Identity::of(other) == identity) {
            Some(place) => {
                file.rules[place] = rule;
                // A file may have said the same or the opposite twice; now it is said once.
                let mut first = true;
                file.rules.retain(|other| Identity::of(other) != identity || std::mem::take(&mut first));
            }
            None => file.rules.push(rule),
        }
        Ok(())
    }

    pub(super) fn remove_rule(&self, file: &mut PolicyFile, which: &WhichRule) -> Result<(), EditError> {
        let identity = Identity::new(&which.name, &which.profiles, &which.clients, which.ends);
        let before = file.rules.len();
        file.rules.retain(|rule| Identity::of(rule) != identity);
        if file.rules.len() < before {
            return Ok(());
        }
        let known: Vec<&str> = file.rules.iter().map(|rule| rule.name.as_str()).collect();
        Err(unknown("rule like that for", &which.name, &known))
    }

    /// A moment to come, as policies write it.
    fn end(&self, until: Timestamp) -> Result<toml::value::Datetime, EditError> {
        if until <= self.now { Err(EditError::End(until)) } else { moment(until) }
    }

    /// The names that words stand for.
    fn names(&self, file: &PolicyFile, words: &[String]) -> Result<Vec<String>, EditError> {
        let mut names = Vec::new();
        for word in trimmed(words) {
            if let Some(id) = word.strip_prefix(SERVICE) {
                let find = |id: &str| {
                    self.tables.service(id).ok_or_else(|| {
                        let known: Vec<&str> = self.tables.services.iter().map(|s| s.id.as_str()).collect();
                        unknown("service", id, &known)
                    })
                };
                let service = find(id.trim())?;
                names.extend(service.names.iter().cloned());
                for needed in &service.needs {
                    names.extend(find(needed)?.names.iter().cloned());
                }
            } else if let Some(id) = word.strip_prefix(BUNDLE) {
                let found = file.lesson_names(&word, self.tables);
                if found.is_empty() {
                    let known: Vec<&str> = self
                        .tables
                        .bundles
                        .iter()
                        .map(|bundle| bundle.id.as_str())
                        .chain(file.bundles.iter().map(|bundle| bundle.id.as_str()))
                        .collect();
                    return Err(unknown("bundle", id.trim(), &known));
                }
                let written =
                    |name: NamePattern| format!("{}{}", if name.exact { "=" } else { "" }, name.key);
                names.extend(found.into_iter().map(written));
            } else {
                names.push(word);
            }
        }
        Ok(trimmed(&names))
    }

    /// Takes out what is over: lessons, and rules for some clients that had an end, so that nobody's openings of last
    /// year stand in the policy.
    fn tidy(&self, file: &mut PolicyFile) {
        let ended = file.ended(self.now);
        let mut lessons = ended.lessons.into_iter();
        file.lessons.retain(|_| !lessons.next().unwrap_or(false));
        let mut rules = ended.rules.into_iter();
        file.rules.retain(|rule| !rules.next().unwrap_or(false) || rule.clients.is_none());
    }

    pub(super) fn open(&self, file: &mut PolicyFile, opening: &Opening) -> Result<(), EditError> {
        self.tidy(file);
        if some(&opening.clients).is_none() && some(&opening.profiles).is_none() {
            return Err(EditError::Missing {
                what: "it is said for nobody",
                instead: "name the clients, the profiles or both",
            });
        }
        let names = self.names(file, &opening.what)?;
        if names.is_empty() {
            return Err(EditError::Missing {
                what: "it opens nothing",
                instead: "write a name, service:ID or bundle:ID",
            });
        }
        for name in names {
            let rule = RuleEdit {
                action: Action::Allow,
                name,
                profiles: opening.profiles.clone(),
                clients: opening.clients.clone(),
                reason: String::new(),
                owner: String::new(),
                until: Some(opening.until),
            };
            self.put_rule(file, &rule)?;
        }
        Ok(())
    }

    pub(super) fn close(
        &self,
        file: &mut PolicyFile,
        what: &[String],
        clients: &[String],
        profiles: &[String],
    ) -> Result<(), EditError> {
        if some(clients).is_none() && some(profiles).is_none() {
            return Err(EditError::Missing {
                what: "it is said for nobody",
                instead: "name the clients, the profiles or both, as when it was opened",
            });
        }
        let names = self.names(file, what)?;
        let wanted: Vec<Identity> =
            names.iter().map(|name| Identity::new(name, profiles, clients, true)).collect();
        let whom = Identity::new("", profiles, clients, true);
        let before = file.rules.len();
        file.rules.retain(|rule| {
            let identity = Identity::of(rule);
            let is_opening = rule.action == Action::Allow
                && identity.ends
                && (&identity.profiles, &identity.clients) == (&whom.profiles, &whom.clients);
            !(is_opening && (wanted.is_empty() || wanted.contains(&identity)))
        });
        if file.rules.len() < before {
            return Ok(());
        }
        Err(unknown("opening for", &[clients, profiles].concat().join(", "), &[""; 0]))
    }

    pub(super) fn start_lesson(&self, file: &mut PolicyFile, lesson: &Lesson) -> Result<(), EditError> {
        self.tidy(file);
        let name = lesson.name.trim().to_owned();
        if file.lessons.iter().any(|other| other.name == name) {
            return Err(EditError::Taken { kind: "lesson", word: name });
        }
        let room = trimmed(&lesson.room);
        if room.is_empty() {
            return Err(EditError::Missing {
                what: "no room is named",
                instead: "write its subnet or devices",
            });
        }
        let mut only = self.names(file, &lesson.only)?;
        if only.is_empty() {
            return Err(EditError::Missing {
                what: "it lets the room reach nothing",
                instead: "name what is open, or open names for the room without a lesson",
            });
        }
        let until = Some(self.end(lesson.until)?);
        if !lesson.allow.is_empty() {
            only.extend(self.names(file, &lesson.allow)?);
            let (what, clients) = (lesson.allow.clone(), room.clone());
            self.open(file, &Opening { what, clients, profiles: Vec::new(), until: lesson.until })?;
        }
        file.lessons.push(LessonFile { name, room, only: trimmed(&only), until });
        Ok(())
    }

    pub(super) fn end_lesson(&self, file: &mut PolicyFile, name: &str) -> Result<(), EditError> {
        let Some(place) = file.lessons.iter().position(|lesson| lesson.name == name.trim()) else {
            let known: Vec<&str> = file.lessons.iter().map(|lesson| lesson.name.as_str()).collect();
            return Err(unknown("lesson", name, &known));
        };
        let lesson = file.lessons.remove(place);
        let room = Identity::new("", &[], &lesson.room, true);
        file.rules.retain(|rule| {
            let identity = Identity::of(rule);
            let is_the_lessons = rule.action == Action::Allow
                && lesson.until.is_some()
                && rule.until == lesson.until
                && (&identity.profiles, &identity.clients) == (&room.profiles, &room.clients);
            !is_the_lessons
        });
        Ok(())
    }
}
