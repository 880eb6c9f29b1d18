//! What browsers send in forms whose fields come more than once, and what is said where a form was refused.

use axum::http::StatusCode;

use super::{failure::Failure, visit::Visit};
use crate::control::ControlError;

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

/// Why a form was refused.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusal {
    /// What is said at the form.
    pub(super) sentence: String,
    /// One line each of what exactly.
    pub(super) details: Vec<String>,
    /// Whether a reason would do.
    pub(super) wants_reason: bool,
    status: StatusCode,
}

impl Refusal {
    /// A sentence of the catalogue, or of a part that refused.
    pub(super) fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), status: StatusCode::UNPROCESSABLE_ENTITY, ..Self::default() }
    }

    /// What is said of a change that was not made.
    ///
    /// # Errors
    ///
    /// When the box could not, which is a failure of the page.
    pub(super) fn of(visit: &Visit, error: ControlError) -> Result<Self, Failure> {
        let words = &visit.words;
        match error {
            ControlError::Collision { by, changes, .. } => {
                let sentence = if by.is_empty() {
                    words.get("failure-collision")
                } else {
                    words.with("form-collision", [("who", by.into())])
                };
                let status = StatusCode::CONFLICT;
                Ok(Self { sentence, details: changes, status, ..Self::default() })
            }
            ControlError::ReasonWanted { loosens } => Ok(Self {
                wants_reason: true,
                details: loosens,
                ..Self::new(words.get("form-reason-wanted"))
            }),
            // It is kept, and where that is told is another page.
            error @ ControlError::Proposed { .. } => Err(error.into()),
            error if error.is_bad_input() => {
                let said = error.to_string();
                let mut lines = said.lines().map(|line| line.trim_start_matches("policy: ").to_owned());
                let first = lines.next().unwrap_or_default();
                Ok(Self { details: lines.collect(), ..Self::new(first) })
            }
            error => Err(error.into()),
        }
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
