//! What the query log keeps, and for how long: the `[log]` table of a policy, held against the limits of the box.

use serde::{Deserialize, Serialize};

use super::problem::{Problem, Problems, Severity};

/// The longest that anything is kept, in days: ten years.
const LONGEST: u16 = 3_650;

/// What the query log keeps, as a school wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogFile {
    /// For how many days every question is kept: 1 to 3,650.
    pub allowed_days: u16,
    /// For how many days blocked and rewritten questions, and those that somebody may have to look at, are kept: from
    /// `allowed_days` to 3,650.
    pub blocked_days: u16,
    /// For how many days counts are kept, from which charts are made: from `blocked_days` to 3,650.
    pub rollup_days: u16,
    /// Why something is kept for longer than the settings of the box allow otherwise.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Whether names of help lines are logged by name for pupils too.
    pub help_lines: bool,
    /// Why they are.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help_lines_reason: String,
}

impl Default for LogFile {
    fn default() -> Self {
        let Retention { allowed_days, blocked_days, rollup_days } = Retention::default();
        Self {
            allowed_days,
            blocked_days,
            rollup_days,
            reason: String::new(),
            help_lines: false,
            help_lines_reason: String::new(),
        }
    }
}

/// For how many days the query log keeps what: a school's wish, or the limits of the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Retention {
    /// Every question.
    pub allowed_days: u16,
    /// Blocked and rewritten questions, and those that somebody may have to look at.
    pub blocked_days: u16,
    /// Counts.
    pub rollup_days: u16,
}

impl Default for Retention {
    fn default() -> Self {
        Self { allowed_days: 30, blocked_days: 365, rollup_days: 730 }
    }
}

impl Retention {
    /// No limits but those that the policy has anyway.
    pub const UNLIMITED: Self = Self { allowed_days: LONGEST, blocked_days: LONGEST, rollup_days: LONGEST };

    fn days(self) -> [u16; 3] {
        [self.allowed_days, self.blocked_days, self.rollup_days]
    }
}

impl LogFile {
    /// Whether it says nothing but what holds anyway.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// The three times, each with its key.
    pub(crate) fn days(&self) -> [(&'static str, u16); 3] {
        [
            ("allowed_days", self.allowed_days),
            ("blocked_days", self.blocked_days),
            ("rollup_days", self.rollup_days),
        ]
    }

    /// What is kept longer than a box allows without a reason, each with its place; nothing where a reason is given.
    #[must_use]
    pub fn over(&self, limits: &Retention) -> Vec<Problem> {
        if !self.reason.trim().is_empty() {
            return Vec::new();
        }
        self.days()
            .into_iter()
            .zip(limits.days())
            .filter(|((_, wanted), limit)| wanted > limit)
            .map(|((key, wanted), limit)| Problem {
                severity: Severity::Error,
                place: format!("log.{key}"),
                what: format!(
                    "{wanted} days is longer than the {limit} that this box's settings allow without a reason"
                ),
                instead: Some(format!("write at most {limit}, or say why in log.reason")),
            })
            .collect()
    }

    /// For how long what is really kept. What the box does not allow is cut to its limits, and so that nothing with
    /// more detail is kept for longer than what has less.
    #[must_use]
    pub fn retention(&self, limits: &Retention) -> Retention {
        let mut kept = Retention {
            allowed_days: self.allowed_days,
            blocked_days: self.blocked_days,
            rollup_days: self.rollup_days,
        };
        if self.reason.trim().is_empty() {
            kept.rollup_days = kept.rollup_days.min(limits.rollup_days);
            kept.blocked_days = kept.blocked_days.min(limits.blocked_days);
            kept.allowed_days = kept.allowed_days.min(limits.allowed_days);
        }
        kept.allowed_days = kept.allowed_days.min(kept.blocked_days);
        kept
    }

    pub(crate) fn check(&self, problems: &mut Problems) {
        let usual = Retention::default().days();
        let mut least = (1, "1");
        for ((key, days), usual) in self.days().into_iter().zip(usual) {
            if !(1..=LONGEST).contains(&days) {
                let what = format!("{days} days is out of range");
                let instead = format!("write 1 to {LONGEST} days; {usual} is usual");
                problems.error(format!("log.{key}"), what, instead);
            } else if days < least.0 {
                let what = format!("{days} days is shorter than {} ({} days)", least.1, least.0);
                let instead = format!("write at least {}, or less for {}", least.0, least.1);
                problems.error(format!("log.{key}"), what, instead);
            }
            least = (days, key);
        }
        let given = !self.help_lines_reason.trim().is_empty();
        if self.help_lines && !given {
            problems.error(
                "log.help_lines",
                "names of help lines would be logged for pupils, and nothing says why",
                "say in log.help_lines_reason who decided it and why, or leave help_lines out",
            );
        } else if given && !self.help_lines {
            problems.warning(
                "log.help_lines_reason",
                "it says why names of help lines are logged for pupils, but they are not",
                "leave it out, or write help_lines = true",
            );
        }
    }
}
