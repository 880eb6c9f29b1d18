//! The curated safeguarding core: names of the categories that public lists are thin in, each with a reason.
//!
//! `lists/curated/` has a file for each such category. An entry says where it is known from, who looked at it and when
//! it is looked at again, so that a school can be told why a name is blocked. [`lint`] keeps the files right.

pub mod lint;

use std::ops::Range;

use jiff::civil::Date;
use rust_embed::Embed;
use serde::Deserialize;
use toml::{Spanned, value::Datetime};

#[derive(Embed)]
#[folder = "lists/curated/"]
struct Files;

/// A name of the curated core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name as in a rule: with what is below it, or alone after `=`.
    pub name: String,
    /// The identifier of the category.
    pub category: String,
    /// What it is, in a few plain words; may be empty.
    pub note: String,
    /// Where that is known from.
    pub source: String,
    /// When it was last looked at.
    pub date: Date,
    /// Who looked at it.
    pub reviewer: String,
    /// The last day before it must be looked at again.
    pub review_by: Date,
    /// Its line in the file, from 1.
    pub line: u64,
}

impl Entry {
    /// Why the name is there, in one line: `ngl.link: anonymous messages; reviewed 2026-11-20 by …, review by …`.
    #[must_use]
    pub fn provenance(&self) -> String {
        let Self { name, note, source, date, reviewer, review_by, .. } = self;
        let note = if note.is_empty() { String::new() } else { format!(" {note};") };
        format!("{name}:{note} reviewed {date} by {reviewer}, review by {review_by}; source: {source}")
    }
}

/// An entry as it stands in a file: anything can be missing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    category: Option<String>,
    note: Option<String>,
    source: Option<String>,
    date: Option<Datetime>,
    reviewer: Option<String>,
    review_by: Option<Datetime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    entry: Vec<Spanned<Written>>,
}

impl Written {
    /// The entry, where nothing is missing that must be there.
    fn whole(self, line: u64) -> Option<Entry> {
        Some(Entry {
            name: self.name?,
            category: self.category?,
            note: self.note.unwrap_or_default(),
            source: self.source?,
            date: day(self.date?)?,
            reviewer: self.reviewer?,
            review_by: day(self.review_by?)?,
            line,
        })
    }
}

/// The day of a TOML date that is a day alone.
fn day(written: Datetime) -> Option<Date> {
    written.to_string().parse().ok().filter(|_| written.time.is_none())
}

/// The line, from 1, on which a part of a text begins.
fn line_of(text: &str, span: &Range<usize>) -> u64 {
    1 + text.get(..span.start).unwrap_or(text).matches('\n').count() as u64
}

/// The entries of a file that are whole; [`lint`] tells what is wrong with the others.
fn entries(text: &str) -> Vec<Entry> {
    let Ok(table) = toml::from_str::<Table>(text) else { return Vec::new() };
    table
        .entry
        .into_iter()
        .filter_map(|entry| {
            let line = line_of(text, &entry.span());
            entry.into_inner().whole(line)
        })
        .collect()
}

/// All entries that the product ships, those of one file together.
#[must_use]
pub fn shipped() -> Vec<Entry> {
    files().flat_map(|(_, text)| entries(&text)).collect()
}

/// The files with their texts, sorted by name.
pub(super) fn files() -> impl Iterator<Item = (String, String)> {
    super::shipped::embedded::<Files>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_core_has_its_thin_categories_and_an_empty_one_that_says_why() {
        let entries = shipped();
        for category in
            ["ai-companion", "alcohol-tobacco", "anonymous", "cheating", "hate", "strangers", "weapons"]
        {
            assert!(entries.iter().filter(|entry| entry.category == category).count() > 5, "{category}");
        }
        let (_, text) = files().find(|(file, _)| file == "self-harm.toml").unwrap();
        assert!(super::entries(&text).is_empty() && text.contains("Empty on purpose"));
        for forbidden in ["illegal-child-abuse", "illegal-terrorism", "illegal-piracy"] {
            assert!(entries.iter().all(|entry| entry.category != forbidden), "{forbidden}");
        }
    }

    #[test]
    fn an_entry_knows_its_line_and_says_why_it_is_there() {
        let text = "# a comment\n\n[[entry]]\nname = 'a.example'\ncategory = 'hate'\nnote = 'a forum'\nsource = 'the press'\n\
                    date = 2026-11-20\nreviewer = 'us'\nreview_by = 2027-05-20\n\n[[entry]]\nname = 'b.example'\n";
        let found = entries(text);
        assert_eq!(found.len(), 1, "the second is not whole");
        assert_eq!(found[0].line, 3);
        assert_eq!(
            found[0].provenance(),
            "a.example: a forum; reviewed 2026-11-20 by us, review by 2027-05-20; source: the press"
        );
    }
}
