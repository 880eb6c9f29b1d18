//! What every page has around it: the school's name, where one can go, who is signed in, and in which language.

use std::sync::Arc;

use askama::Template;
use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    access::Right,
    assets,
    failure::Failure,
    words::{Value, Words},
};
use crate::accounts::{Role, Scope};

/// One place in the navigation.
pub(super) struct Place {
    /// Its address.
    pub(super) path: &'static str,
    /// The key of its title.
    pub(super) key: &'static str,
    /// The name of its icon in `icons.svg`.
    pub(super) icon: &'static str,
    /// Who finds it there.
    pub(super) right: Right,
}

/// Where one can go, in the order of the navigation.
pub(super) const PLACES: &[Place] = &[
    Place { path: "/", key: "nav-overview", icon: "gauge", right: Right::SeeOverview },
    Place { path: "/policy", key: "nav-policy", icon: "table-2", right: Right::SeePolicy },
    Place { path: "/proposals", key: "nav-proposals", icon: "hourglass", right: Right::SeePolicy },
    Place { path: "/sites", key: "nav-sites", icon: "list-checks", right: Right::SeePolicy },
    Place { path: "/check", key: "nav-check", icon: "search", right: Right::CheckSites },
    Place { path: "/lists", key: "nav-lists", icon: "book-open", right: Right::SeeLists },
    Place { path: "/networks", key: "nav-networks", icon: "network", right: Right::SeePolicy },
    Place { path: "/schedules", key: "nav-schedules", icon: "calendar-clock", right: Right::SeePolicy },
    Place { path: "/lessons", key: "nav-lessons", icon: "timer", right: Right::RunLessons },
    Place { path: "/log", key: "nav-log", icon: "scroll-text", right: Right::SeeLog },
    Place { path: "/limits", key: "nav-limits", icon: "info", right: Right::SignedIn },
    Place { path: "/users", key: "nav-users", icon: "users", right: Right::ManageUsers },
    Place { path: "/audit", key: "nav-audit", icon: "history", right: Right::SeeAudit },
    Place { path: "/system", key: "nav-system", icon: "server", right: Right::SeeSystem },
];

/// Who is signed in, as far as pages show it.
#[derive(Debug, Clone)]
pub(super) struct SignedIn {
    pub(super) name: String,
    pub(super) role: Role,
}

/// The frame of a page. Templates call it `p`.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) words: Arc<Words>,
    /// What the page is called, in its heading and in the browser's tab.
    pub(super) title: String,
    /// The school's name; empty on a new box.
    pub(super) school: String,
    /// The address of the place in the navigation that the page belongs to.
    pub(super) current: &'static str,
    pub(super) signed_in: Option<SignedIn>,
    /// What was just done, to be said at the top.
    pub(super) done: Option<String>,
    /// `light`, `dark`, or empty for what the device prefers.
    pub(super) theme: &'static str,
    /// What must not be forgotten, on every page: a sentence, and where it can be seen to.
    pub(super) banners: Vec<(String, &'static str)>,
}

impl Page {
    /// The sentence of a key.
    pub(super) fn t(&self, key: &str) -> String {
        self.words.get(key)
    }

    /// The sentence of a key that speaks of something: `name` is what the catalogue calls it.
    pub(super) fn with(&self, key: &str, name: &str, value: impl Into<Value>) -> String {
        self.words.with(key, [(name, value.into())])
    }

    /// The sentence of a key that speaks of two things.
    pub(super) fn with2(
        &self,
        key: &str,
        name: &str,
        value: impl Into<Value>,
        other: &str,
        other_value: impl Into<Value>,
    ) -> String {
        self.words.with(key, [(name, value.into()), (other, other_value.into())])
    }

    /// The language, for the page.
    pub(super) fn language(&self) -> &str {
        self.words.language()
    }

    /// The address of a style sheet, script or picture.
    pub(super) fn asset(&self, name: &str) -> String {
        assets::address(name)
    }

    /// The address of an icon, for `<use href>`.
    pub(super) fn icon(&self, name: &str) -> String {
        format!("{}#{name}", assets::address("icons.svg"))
    }

    /// Where who is signed in can go.
    pub(super) fn places(&self) -> impl Iterator<Item = &'static Place> + '_ {
        PLACES.iter().filter(|place| self.may(place.right))
    }

    /// Whether who is signed in may do something.
    pub(super) fn may(&self, right: Right) -> bool {
        self.signed_in.as_ref().is_some_and(|who| right.is_of(who.role))
    }

    /// Whether who is signed in may change the policy.
    pub(super) fn may_change(&self) -> bool {
        self.may(Right::ChangePolicy)
    }

    /// What people call a role.
    pub(super) fn role(&self, role: &Role) -> String {
        self.t(&format!("role-{}", role.word()))
    }

    /// What a scope of API tokens is for.
    pub(super) fn scope(&self, scope: &Scope) -> String {
        self.t(&format!("tokens-scope-{}", scope.word()))
    }

    /// A number as people read it: with a comma after each three digits.
    pub(super) fn number(&self, number: &u64) -> String {
        let digits = number.to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    }
}

/// An answer that is a page, or a part of one.
pub(super) fn html(template: &impl Template) -> Result<Response, Failure> {
    html_with(StatusCode::OK, template)
}

/// The same, with another status.
pub(super) fn html_with(status: StatusCode, template: &impl Template) -> Result<Response, Failure> {
    let text = template.render().map_err(Failure::inside)?;
    Ok((status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response())
}

/// A place of the box, and nowhere else, whatever a link says. Browsers take `\` for `/`, and leave out tabs and line
/// ends, so that with one of them `/` could begin the name of another site.
pub(super) fn own_place(to: &str) -> &str {
    let leaves = to.starts_with("//") || to.contains(|c: char| c == '\\' || c.is_control());
    if to.starts_with('/') && !leaves { to } else { "/" }
}

/// Leads on to another page after something was done. `done` is the key of the sentence that says so there.
pub(super) fn see(path: &str, done: &'static str) -> Response {
    let (path, anchor) = path.split_once('#').map_or((path, ""), |(path, anchor)| (path, anchor));
    let mark = if path.contains('?') { '&' } else { '?' };
    let hash = if anchor.is_empty() { "" } else { "#" };
    let to = if done.is_empty() {
        format!("{path}{hash}{anchor}")
    } else {
        format!("{path}{mark}done={done}{hash}{anchor}")
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::words::Catalogue;

    #[test]
    fn every_place_has_a_title_and_an_icon() {
        let words = Catalogue::shipped().choose("en");
        let icons = include_str!("../../web-admin/static/icons.svg");
        for place in PLACES {
            assert!(words.has(place.key), "{}", place.key);
            assert!(icons.contains(&format!("id=\"{}\"", place.icon)), "{}", place.icon);
        }
    }

    #[test]
    fn nobody_is_led_away_from_the_box() {
        for to in ["/log?name=a", "/", "/policy#games"] {
            assert_eq!(own_place(to), to);
        }
        for to in [
            "",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "/a\r\nb",
            "https://evil.example",
            "x",
        ] {
            assert_eq!(own_place(to), "/", "{to:?}");
        }
    }

    #[test]
    fn after_a_change_the_browser_is_led_on_and_told() {
        let to = |path: &str, done| see(path, done).headers()[header::LOCATION].to_str().unwrap().to_owned();
        assert_eq!(to("/sites", "done-saved"), "/sites?done=done-saved");
        assert_eq!(to("/sites?q=a#x", "done-saved"), "/sites?q=a&done=done-saved#x");
        assert_eq!(to("/", ""), "/");
    }
}
