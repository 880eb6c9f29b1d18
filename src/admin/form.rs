//! What browsers send in forms whose fields come more than once, and what is said where a form was refused.

use axum::http::StatusCode;

use super::{failure::Failure, visit::Visit, when::When, words::Words};
use crate::{
    control::{ControlError, LaterChange},
    policy::{PolicyErrors, Problem, Severity},
};

/// The fields of a form, as they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(pub(super) Vec<(String, String)>);

impl Fields {
    /// The first field of this name, without spaces around it; empty where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.whole(name).trim()
    }

    /// The same as it came: a text of many lines.
    pub(super) fn whole(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Each field of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a box was ticked.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The revision that the form was made from.
    pub(super) fn expect(&self) -> Option<i64> {
        self.get("expect").parse().ok()
    }
}

/// Why a form was not done, as it is told above the form, which keeps what was typed. The default is that it was.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusal {
    /// What is said; empty where nothing is wrong.
    pub(super) sentence: String,
    /// One line each of what exactly.
    pub(super) details: Vec<String>,
    /// It is only that nobody said why.
    pub(super) wants_reason: bool,
    status: StatusCode,
}

impl Refusal {
    /// Something in the form is wrong: a sentence of the catalogue, or of a part that refused.
    pub(super) fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), status: StatusCode::UNPROCESSABLE_ENTITY, ..Self::default() }
    }

    /// Some things in the form are wrong.
    pub(super) fn listing(sentence: impl Into<String>, details: Vec<String>) -> Self {
        Self { details, ..Self::new(sentence) }
    }

    /// Somebody changed what the form was made from.
    pub(super) fn outdated(words: &Words) -> Self {
        Self { status: StatusCode::CONFLICT, ..Self::new(words.get("change-revision-old")) }
    }

    /// What is said of a change that was not made.
    ///
    /// # Errors
    ///
    /// When the box could not, which is a failure of the page; and for a proposal, which is kept, and told on a page of
    /// its own.
    pub(super) fn of(visit: &Visit, error: ControlError) -> Result<Self, Failure> {
        let words = &visit.words;
        Ok(match error {
            ControlError::ReasonWanted { loosens } => {
                Self { wants_reason: true, ..Self::listing(words.get("change-reason-wanted"), loosens) }
            }
            ControlError::Collision { by, at, changes, .. } => {
                let policy = visit.admin.control.policy().load_full();
                let when = at.map(|at| When::of(&policy).minute(at, visit.admin.clock.now()));
                let sentence = match when {
                    Some(when) => words.with("change-collision", [("who", by.into()), ("when", when.into())]),
                    None => words.get("failure-collision"),
                };
                Self { status: StatusCode::CONFLICT, ..Self::listing(sentence, changes) }
            }
            ControlError::InTheWay { later, .. } => {
                let line = |later: LaterChange| {
                    let by = later.revision.by;
                    later.changes.into_iter().map(move |change| format!("{by}: {change}"))
                };
                let lines = later.into_iter().flat_map(line).collect();
                Self { status: StatusCode::CONFLICT, ..Self::listing(words.get("change-in-the-way"), lines) }
            }
            ControlError::Policy { errors: PolicyErrors(problems), .. } => {
                let line = |problem: Problem| match problem.instead {
                    Some(instead) if !instead.is_empty() => format!("{}: {instead}.", problem.what),
                    _ => format!("{}.", problem.what),
                };
                let errors = problems.into_iter().filter(|problem| problem.severity == Severity::Error);
                Self::listing(words.get("change-wrong"), errors.map(line).collect())
            }
            error @ ControlError::Proposed { .. } => return Err(error.into()),
            error if error.is_bad_input() => {
                let lines = error.to_string().lines().map(str::to_owned).collect();
                Self::listing(words.get("change-wrong"), lines)
            }
            error => return Err(error.into()),
        })
    }

    /// That nothing is wrong.
    pub(super) fn is_none(&self) -> bool {
        self.sentence.is_empty()
    }

    /// The status of the page that says so.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }
}

/// An identifier made of what somebody typed: small letters, digits and hyphens, at most 40.
pub(super) fn identifier(text: &str) -> String {
    let mut id = String::new();
    for letter in text.trim().chars() {
        if letter.is_ascii_alphanumeric() {
            id.push(letter.to_ascii_lowercase());
        } else if !id.is_empty() && !id.ends_with('-') {
            id.push('-');
        }
        if id.len() == 40 {
            break;
        }
    }
    id.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_gives_each_field_of_a_name() {
        let pairs = [("day", "mon"), ("name", " Lunch "), ("day", "tue")];
        let fields = Fields(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec());
        assert_eq!((fields.get("name"), fields.whole("name"), fields.get("other")), ("Lunch", " Lunch ", ""));
        assert_eq!(fields.all("day").collect::<Vec<_>>(), ["mon", "tue"]);
        assert!(fields.is_on("day") && !fields.is_on("other"));
    }

    #[test]
    fn an_identifier_is_made_of_what_was_typed() {
        for (typed, made) in
            [(" Lunch time! ", "lunch-time"), ("Été", "t"), ("--", ""), (&"a".repeat(90), &"a".repeat(40))]
        {
            assert_eq!(identifier(typed), made);
        }
    }
}
