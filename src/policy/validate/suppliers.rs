//! Who supplies the categories that are locked for everyone.

use std::collections::HashSet;

use super::Check;
use crate::{
    category::{SEALED, is_sealed},
    policy::{
        problem::suggest,
        supplier::{Supply, VERIFY_DAYS, days_between},
    },
};

impl Check<'_> {
    pub(super) fn suppliers(&mut self) {
        let mut seen = HashSet::new();
        for supplier in &self.file.suppliers {
            let place = format!("supplier of {:?}", supplier.category);
            if !is_sealed(&supplier.category) {
                let what = if self.categories.find(&supplier.category).is_some() {
                    format!("{} is not locked for everyone", supplier.category)
                } else {
                    format!("there is no category {:?}", supplier.category)
                };
                let instead = suggest(&supplier.category, SEALED.iter().copied());
                self.problems.error(&place, what, instead);
                continue;
            }
            if !seen.insert(&supplier.category) {
                self.problems.error(&place, "it is there twice", "say in one place who supplies it");
            }
            let day = match supplier.day() {
                Some(Err(what)) => {
                    self.problems.error(format!("{place}: verified"), what, "");
                    continue;
                }
                Some(Ok(day)) => Some(day),
                None => None,
            };
            if supplier.by == Supply::Nobody {
                continue;
            }
            if supplier.by == Supply::Feed && self.file.feeds(&supplier.category).next().is_none() {
                self.problems.warning(
                    &place,
                    "a feed is said to supply it, and no list of the policy does",
                    "add the list, or write by = \"nobody\"",
                );
            }
            if supplier.who.trim().is_empty() {
                self.problems.warning(&place, "it does not say who supplies it", "write who = \"…\"");
            }
            let Some(today) = self.now.map(|now| self.file.today(now)) else { continue };
            let test = "see that it is blocked, and write verified = with that day";
            match day.map(|day| (day, days_between(day, today))) {
                None => self.problems.warning(&place, "nobody has verified it yet", test),
                Some((day, days)) if days < 0 => {
                    self.problems.warning(
                        format!("{place}: verified"),
                        format!("{day} is still to come"),
                        test,
                    );
                }
                Some((day, days)) if days > VERIFY_DAYS => self.problems.warning(
                    &place,
                    format!("it was last verified on {day}, {days} days ago"),
                    format!("{test}; every {VERIFY_DAYS} days is usual"),
                ),
                Some(_) => {}
            }
        }
    }
}
