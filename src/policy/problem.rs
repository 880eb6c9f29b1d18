//! What is wrong with a policy, each problem with its place and what would be right.

use std::fmt;

use super::Policy;
use crate::spelling::nearest;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The policy works, but perhaps not as meant.
    Warning,
    /// The policy can't be used.
    Error,
}

/// One thing that is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is: `profile "ks2": subnets[1]`, or line and column.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What would be right, where that can be said.
    pub instead: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        write!(f, "{}: {}", self.place, self.what)?;
        match &self.instead {
            Some(instead) => write!(f, "; {instead}"),
            None => Ok(()),
        }
    }
}

/// Everything that keeps a policy from being used, never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PolicyErrors(pub Vec<Problem>);

impl PolicyErrors {
    /// The same problems, without names that must not be shown.
    #[must_use]
    pub fn masked(self, policy: &Policy) -> Self {
        let mask = |text: String| policy.masked(&text).into_owned();
        let mut problems = self.0;
        for problem in &mut problems {
            problem.place = mask(std::mem::take(&mut problem.place));
            problem.what = mask(std::mem::take(&mut problem.what));
            problem.instead = problem.instead.take().map(mask);
        }
        Self(problems)
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Collects problems while a policy is looked through.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Problem>,
}

impl Problems {
    pub(crate) fn error(
        &mut self,
        place: impl Into<String>,
        what: impl Into<String>,
        instead: impl Into<String>,
    ) {
        self.push(Severity::Error, place, what, instead);
    }

    pub(crate) fn warning(
        &mut self,
        place: impl Into<String>,
        what: impl Into<String>,
        instead: impl Into<String>,
    ) {
        self.push(Severity::Warning, place, what, instead);
    }

    fn push(
        &mut self,
        severity: Severity,
        place: impl Into<String>,
        what: impl Into<String>,
        instead: impl Into<String>,
    ) {
        let instead = Some(instead.into()).filter(|text| !text.is_empty());
        self.found.push(Problem { severity, place: place.into(), what: what.into(), instead });
    }

    pub(crate) fn into_vec(self) -> Vec<Problem> {
        self.found
    }
}

/// Says which of the known words was perhaps meant, or which there are.
pub(crate) fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(near) = nearest(word, known.iter().copied()) {
        return format!("did you mean {near:?}?");
    }
    match known.len() {
        0 => String::from("there are none yet"),
        1..=12 => format!("known are {}", known.join(", ")),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_place_what_and_instead() {
        let problem = Problem {
            severity: Severity::Error,
            place: "profile \"ks2\": subnets[1]".into(),
            what: "\"10.0.0.0/33\" is not a subnet".into(),
            instead: Some("write it as 10.20.2.0/24".into()),
        };
        assert_eq!(
            problem.to_string(),
            "profile \"ks2\": subnets[1]: \"10.0.0.0/33\" is not a subnet; write it as 10.20.2.0/24"
        );
    }
}
