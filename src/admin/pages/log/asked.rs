//! What somebody searches for: the fields of the form, and what they can be.

use serde::Deserialize;

use super::super::super::{failure::Failure, page::Page, visit::encoded};
use crate::{
    control::ControlError,
    policy::Policy,
    querylog::{Action, LogError, search::Asked},
    vault::Digest,
};

/// The fields of the form, as they were sent; empty ones do not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    pub(super) name: String,
    pub(super) client: String,
    pub(super) profile: String,
    pub(super) category: String,
    pub(super) action: String,
    pub(super) alert: String,
    pub(super) reason: String,
    pub(super) list: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) after: String,
    /// `on` for a page that follows the log.
    pub(super) live: String,
    /// How many lines the page has that searches on.
    pub(super) have: String,
}

impl Fields {
    /// What the log is asked, and for how many lines.
    pub(super) fn asked(&self, limit: Option<u32>) -> Asked {
        let said = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        Asked {
            from: said(&self.from),
            to: said(&self.to),
            client: said(&self.client),
            profile: said(&self.profile),
            name: said(&self.name).map(|name| pattern(&name)),
            category: said(&self.category),
            action: said(&self.action),
            alert: !self.alert.is_empty(),
            reason: said(&self.reason),
            list: said(&self.list),
            limit,
            after: said(&self.after),
        }
    }

    /// The fields that were filled in, by what the log calls them.
    fn filled(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("name", &self.name),
            ("client", &self.client),
            ("profile", &self.profile),
            ("category", &self.category),
            ("action", &self.action),
            ("alert", &self.alert),
            ("reason", &self.reason),
            ("list", &self.list),
            ("from", &self.from),
            ("to", &self.to),
        ]
        .into_iter()
        .map(|(word, value)| (word, value.trim()))
        .filter(|(_, value)| !value.is_empty())
    }

    /// The filters, for the audit: `name = bbc.co.uk`.
    pub(super) fn filters(&self) -> Vec<String> {
        self.filled().map(|(word, value)| format!("{word} = {value}")).collect()
    }

    /// The query of an address that searches for the same.
    pub(super) fn query(&self) -> String {
        let after = ("after", self.after.trim());
        let all = self.filled().chain([after].into_iter().filter(|(_, value)| !value.is_empty()));
        all.map(|(word, value)| format!("{word}={}", encoded(value))).collect::<Vec<_>>().join("&")
    }

    /// The same of the first page.
    pub(super) fn first(&self) -> String {
        Self { after: String::new(), ..self.clone() }.query()
    }

    /// How many lines the page has already.
    pub(super) fn have(&self) -> usize {
        self.have.parse().unwrap_or_default()
    }

    pub(super) fn is_live(&self) -> bool {
        self.live == "on"
    }

    /// Whether one of the fields that few need is filled in.
    pub(super) fn is_detailed(&self) -> bool {
        ![&self.reason, &self.list, &self.alert].into_iter().all(String::is_empty)
    }

    /// Whether anything is searched for.
    pub(super) fn is_any(&self) -> bool {
        self.filled().next().is_some()
    }
}

/// The pattern that people mean who write a site: all of it, and a word wherever it is in a name. `=` in front is the name
/// alone, as in rules.
fn pattern(site: &str) -> String {
    let site = if site.contains("://") { crate::name::host_of(site) } else { site };
    if let Some(name) = site.strip_prefix('=') {
        name.trim().to_owned()
    } else if site.contains('*') || site.starts_with(Digest::PREFIX) || site == "." {
        site.to_owned()
    } else if site.contains('.') {
        format!("*.{site}")
    } else {
        format!("*{site}*")
    }
}

/// What is wrong with the fields.
#[derive(Debug, Default)]
pub(super) struct Wrong {
    field: String,
    what: String,
}

impl Wrong {
    /// Of what the log said; or the failure of the page, where nothing is wrong with the fields.
    pub(super) fn of(error: ControlError) -> Result<Self, Failure> {
        match error {
            ControlError::Log(LogError::Input { argument, what }) => {
                Ok(Self { field: argument.trim_start_matches('-').to_owned(), what })
            }
            // What is asked for when lines leave the log; the filter of this name is the log's own.
            ControlError::Input(text) => match text.split_once(": ") {
                Some(("--reason", what)) => Ok(Self { field: String::from("why"), what: what.to_owned() }),
                Some(("PSEUDONYM", what)) => {
                    Ok(Self { field: String::from("pseudonym"), what: what.to_owned() })
                }
                Some((field, what)) if field.starts_with("--") => {
                    Ok(Self { field: field.trim_start_matches('-').to_owned(), what: what.to_owned() })
                }
                _ => Ok(Self { field: String::new(), what: text }),
            },
            error => super::bad_input(error).map(|what| Self { field: String::new(), what }),
        }
    }

    /// The same where lines are taken out, so that a reason is why, and not what decided.
    pub(super) fn of_taking_out(error: ControlError) -> Result<Self, Failure> {
        let wrong = Self::of(error)?;
        if wrong.is_of("reason") { Ok(Self { field: String::from("why"), ..wrong }) } else { Ok(wrong) }
    }

    pub(super) fn is_none(&self) -> bool {
        self.what.is_empty()
    }

    /// What is wrong, with the name of the field in front.
    pub(super) fn said(&self, p: &Page) -> String {
        match self.field.as_str() {
            "" => self.what.clone(),
            "after" => p.t("log-place-gone"),
            "ID" => self.what.clone(),
            field => {
                let label = p.t(&format!("log-field-{field}"));
                // What the log says of a name that is unknown ends in what would be right.
                format!("{label}: {}", self.what)
            }
        }
    }

    /// Whether it is this field.
    pub(super) fn is_of(&self, field: &str) -> bool {
        self.field == field
    }
}

/// One thing that can be chosen.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) title: String,
    pub(super) is_chosen: bool,
}

/// What can be chosen.
pub(super) struct Choices {
    pub(super) profiles: Vec<Choice>,
    pub(super) categories: Vec<Choice>,
    pub(super) actions: Vec<Choice>,
    pub(super) reasons: Vec<Choice>,
    pub(super) lists: Vec<Choice>,
}

/// What can have decided, in the order in which people look for it.
pub(super) const REASONS: [&str; 25] = [
    "category",
    "locked",
    "block-rule",
    "allow-rule",
    "exception",
    "block-service",
    "allow-service",
    "schedule",
    "lesson",
    "suspended",
    "allow-only",
    "approved",
    "essential",
    "uncategorised",
    "newly-seen",
    "safe-search",
    "canary",
    "alias",
    "address",
    "name-server",
    "rebinding",
    "default",
    "rate-limit",
    "network",
    "overload",
];

impl Choices {
    pub(super) fn of(policy: &Policy, p: &Page, fields: &Fields) -> Self {
        let profiles = policy.profiles().map(|(id, _)| policy.profile(id));
        let categories = policy.categories();
        let categories =
            categories.iter().map(|(_, category)| (category.id.as_str(), category.title.as_str()));
        let lists = policy.indexes().flat_map(|index| index.lists());
        let lists = lists.map(|list| (list.id.as_str(), list.title.as_str()));
        let actions =
            Action::ALL.map(|action| (action.word(), p.t(&format!("log-action-{}", action.word()))));
        let reasons = REASONS.map(|reason| (reason, p.t(&format!("log-reason-{reason}"))));
        Self {
            profiles: choices(profiles, &fields.profile),
            categories: sorted(choices(categories, &fields.category)),
            actions: choices(actions, &fields.action),
            reasons: choices(reasons, &fields.reason),
            lists: sorted(choices(lists, &fields.list)),
        }
    }
}

/// The choices, with the one that was made, even where there is no such thing any more.
fn choices<'a, T: Into<String>>(known: impl IntoIterator<Item = (&'a str, T)>, chosen: &str) -> Vec<Choice> {
    let chosen = chosen.trim();
    let mut choices: Vec<Choice> = known
        .into_iter()
        .map(|(value, title)| {
            let value = value.to_owned();
            Choice { is_chosen: value == chosen, value, title: title.into() }
        })
        .collect();
    if !chosen.is_empty() && choices.iter().all(|choice| !choice.is_chosen) {
        let (value, title) = (chosen.to_owned(), chosen.to_owned());
        choices.push(Choice { value, title, is_chosen: true });
    }
    choices
}

fn sorted(mut choices: Vec<Choice>) -> Vec<Choice> {
    choices.sort_by_key(|choice| choice.title.to_lowercase());
    choices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_searched_for_as_people_mean_it() {
        for (written, meant) in [
            ("bbc.co.uk", "*.bbc.co.uk"),
            ("=bbc.co.uk", "bbc.co.uk"),
            ("*.bbc.co.uk", "*.bbc.co.uk"),
            ("tiktok", "*tiktok*"),
            ("https://www.bbc.co.uk/news?x=1", "*.www.bbc.co.uk"),
            ("locked:3fa9c0ffee12", "locked:3fa9c0ffee12"),
            (".", "."),
        ] {
            assert_eq!(pattern(written), meant, "{written}");
        }
    }

    #[test]
    fn a_search_can_be_written_as_an_address_and_read_again() {
        let fields = Fields {
            name: String::from(" a&b=c "),
            from: String::from("2026-11-22 09:00"),
            live: String::from("on"),
            after: String::from("20779.5"),
            ..Fields::default()
        };
        assert_eq!(fields.query(), "name=a%26b%3Dc&from=2026-11-22%2009%3A00&after=20779.5");
        assert_eq!(fields.first(), "name=a%26b%3Dc&from=2026-11-22%2009%3A00");
        assert_eq!(fields.filters(), ["name = a&b=c", "from = 2026-11-22 09:00"]);
    }
}
