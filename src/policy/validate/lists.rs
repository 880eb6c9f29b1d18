//! The lists that a school subscribed to.

use std::net::{IpAddr, SocketAddr};

use super::Check;
use crate::{
    category::{LOCKED, UNCATEGORISED, is_sealed},
    policy::{Action, AppliesTo, ListFile, ListSource, problem::suggest},
};

/// How long a list can be that is written in the policy, in bytes; longer ones are uploaded.
const LONGEST_TEXT: usize = 1024 * 1024;

impl Check<'_> {
    pub(super) fn lists(&mut self) {
        for list in &self.file.lists {
            let place = format!("list {:?}", list.id);
            if self.categories.find(&list.category).is_none() {
                let known = self.categories.iter().map(|(_, category)| category.id.as_str());
                let instead = suggest(&list.category, known);
                let what = format!("there is no category {:?}", list.category);
                self.problems.error(format!("{place}: category"), what, instead);
            }
            if list.category == UNCATEGORISED {
                self.problems.error(
                    format!("{place}: category"),
                    "no list can have names that are on no list",
                    "write the category that its names are about",
                );
            }
            self.list_source(&place, list);
            self.list_companions(&place, list);
            if list.refresh_hours == 0 {
                let what = "0 hours is no interval";
                self.problems.error(format!("{place}: refresh_hours"), what, "24 is usual");
            }
            let locked = LOCKED.iter().any(|(id, _)| *id == list.category);
            if list.action == Action::Allow && locked && list.applies_to == AppliesTo::Names {
                self.problems.error(
                    place,
                    format!("it would open names of {}, which is locked", list.category),
                    "nothing opens a locked category",
                );
            }
        }
    }

    fn list_source(&mut self, place: &str, list: &ListFile) {
        let all = "url, file, zone, upload or text";
        match list.source() {
            None if list.sources().next().is_none() => {
                self.problems.error(place, "it says nowhere where it comes from", format!("write {all}"));
            }
            None => self.problems.error(
                place,
                "it comes from more than one place",
                format!("write only one of {all}; the same list elsewhere goes under mirrors"),
            ),
            Some(ListSource::Url(_)) => {
                for (key, url) in list
                    .url
                    .iter()
                    .map(|url| ("url", url))
                    .chain(list.mirrors.iter().map(|url| ("mirrors", url)))
                {
                    self.address(&format!("{place}: {key}"), url, list.credential.is_some());
                }
            }
            Some(ListSource::Zone(zone)) => {
                if zone.trim_end_matches('.').is_empty() || crate::name::Key::parse(zone).is_err() {
                    let what = format!("{zone:?} is not the name of a zone");
                    self.problems.error(format!("{place}: zone"), what, "write it as rpz.trust.example");
                }
                if list.primaries.is_empty() {
                    self.problems.error(
                        place,
                        "nobody is named who has the zone",
                        "write primaries = [\"192.0.2.53\"]",
                    );
                }
                for primary in &list.primaries {
                    if primary.parse::<IpAddr>().is_err() && primary.parse::<SocketAddr>().is_err() {
                        let what = format!("{primary:?} is not an address");
                        let instead = "write it as 192.0.2.53 or 192.0.2.53:5353";
                        self.problems.error(format!("{place}: primaries"), what, instead);
                    }
                }
            }
            Some(ListSource::Text(_)) if is_sealed(&list.category) => self.problems.error(
                format!("{place}: text"),
                format!("a list of {} must lie nowhere in clear, and the policy does", list.category),
                "write upload = true, or file, url or zone",
            ),
            Some(ListSource::Text(text)) if text.len() > LONGEST_TEXT => self.problems.error(
                format!("{place}: text"),
                "it is longer than a policy can carry",
                "write upload = true, and bring it with `schoolgate lists upload`",
            ),
            Some(ListSource::File(_) | ListSource::Upload | ListSource::Text(_)) => {}
        }
    }

    fn address(&mut self, place: &str, url: &str, secret: bool) {
        if url.starts_with("http://") && secret {
            let what = "it would send the credential so that anybody on its way can read it";
            self.problems.error(place, what, "write https, or leave credential out");
        } else if url.starts_with("http://") {
            self.problems.warning(
                place,
                "what is fetched over http can be changed on its way",
                "write https, if the server has it",
            );
        } else if !url.starts_with("https://") {
            self.problems.error(place, format!("{url:?} is no web address"), "write it as https://…");
        }
    }

    /// Keys that mean something only beside a certain source.
    fn list_companions(&mut self, place: &str, list: &ListFile) {
        let alone = [
            ("mirrors", !list.mirrors.is_empty(), list.url.is_some(), "url"),
            ("credential", list.credential.is_some(), list.url.is_some(), "url"),
            ("primaries", !list.primaries.is_empty(), list.zone.is_some(), "zone"),
            ("key", list.key.is_some(), list.zone.is_some(), "zone"),
        ];
        for (key, there, wanted, beside) in alone {
            if there && !wanted {
                let what = format!("it does nothing without {beside}");
                self.problems.error(
                    format!("{place}: {key}"),
                    what,
                    format!("write {beside}, or leave it out"),
                );
            }
        }
    }
}
