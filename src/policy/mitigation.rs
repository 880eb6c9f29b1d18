//! What a school does about what DNS filtering can't do: a sentence for each limit, with the day on which it was decided
//! and by whom. It changes nothing about what is blocked; reviews and reports print it.

use serde::{Deserialize, Serialize};
use toml::value::Datetime;

use super::{file::DateRange, schedule};

/// The limits of DNS filtering that a school can say something about, by their words, in the order in which people read
/// them.
pub const LIMITS: [&str; 22] = [
    "illegal-lists",
    "names-only",
    "search-terms",
    "mixed-sites",
    "vpn",
    "encrypted-dns",
    "second-dns",
    "hidden-clients",
    "devices",
    "mobile-data",
    "at-home",
    "fixed-addresses",
    "weak-lists",
    "new-sites",
    "safe-search",
    "block-page",
    "kept-answers",
    "broken-lessons",
    "attempts",
    "test-sites",
    "not-perfect",
    "not-alone",
];

/// How long a mitigation can be, in characters.
pub const LONGEST_MITIGATION: usize = 1_000;

/// What a school does about one limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MitigationFile {
    /// The limit, one of [`LIMITS`].
    pub limit: String,
    /// What the school does about it, in at most [`LONGEST_MITIGATION`] characters.
    pub text: String,
    /// The day on which that was decided, or last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Datetime>,
    /// Who decided it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

impl MitigationFile {
    /// The day of `decided`, or what is wrong with it.
    pub(crate) fn day(&self) -> Option<Result<jiff::civil::Date, String>> {
        let from = self.decided?;
        Some(schedule::days(&DateRange { from, to: None }).map(|(day, _)| day))
    }
}

#[cfg(test)]
mod tests {
    use crate::{category::Categories, policy::PolicyFile};

    /// What is wrong with a policy of one mitigation.
    fn problems(mitigation: &str) -> Vec<String> {
        let shipped = PolicyFile::shipped().to_toml();
        let file = PolicyFile::parse(&format!("{shipped}\n{mitigation}")).unwrap();
        let now = "2026-11-26T10:15:00Z".parse().unwrap();
        let found = file.validate(&Categories::shipped(), now);
        found.iter().map(ToString::to_string).filter(|text| text.contains("mitigation")).collect()
    }

    #[test]
    fn a_mitigation_is_for_a_limit_that_there_is_and_says_something() {
        let good =
            "[[mitigation]]\nlimit = \"vpn\"\ntext = \"The firewall stops it.\"\ndecided = 2026-11-20\n";
        assert_eq!(problems(good), [""; 0]);
        let wrong = problems("[[mitigation]]\nlimit = \"vpm\"\ntext = \"x\"\n");
        assert!(wrong[0].contains("did you mean \"vpn\"?"), "{wrong:?}");
        assert!(problems("[[mitigation]]\nlimit = \"vpn\"\ntext = \" \"\n")[0].contains("empty"));
        assert!(problems(&format!("{good}{good}"))[0].contains("twice"));
        let long = format!("[[mitigation]]\nlimit = \"vpn\"\ntext = \"{}\"\n", "x".repeat(1_001));
        assert!(problems(&long)[0].contains("1000"));
        let moment = "[[mitigation]]\nlimit = \"vpn\"\ntext = \"x\"\ndecided = 2026-11-20T10:00:00Z\n";
        assert!(problems(moment)[0].contains("no day"), "{:?}", problems(moment));
    }
}
