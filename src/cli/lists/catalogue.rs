//! `schoolgate lists catalogue`.

use clap::Args as ClapArgs;

use super::{Context, Failure};
use crate::lists::catalogue::{Catalogue, Listing, SchoolKind};

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Args {
    /// One of them, with all that is known of it
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Only those that are recommended to this kind of school: primary, secondary, special, sixth-form
    #[arg(long, value_name = "KIND")]
    recommended: Option<SchoolKind>,
    /// Only those of this category
    #[arg(long)]
    category: Option<String>,
}

/// Exit code 1 when there is none.
pub(in crate::cli) fn run(context: &Context, args: &Args) -> Result<bool, Failure> {
    let Args { id, recommended, category } = args;
    let found: Vec<&Listing> = Catalogue::shipped()
        .matching(*recommended, category.as_deref())
        .filter(|listing| id.as_ref().is_none_or(|id| listing.id == *id))
        .collect();
    context.print(&found, || match found.as_slice() {
        [] => String::from("No list of the catalogue is such."),
        [only] => whole(only),
        several => several.iter().map(|listing| line(listing)).collect(),
    })?;
    Ok(!found.is_empty())
}

fn line(listing: &Listing) -> String {
    let Listing { id, title, category, typical_entries, licence, .. } = listing;
    let star = if listing.recommended.is_empty() { ' ' } else { '*' };
    format!("{star} {id:<32} {category:<20} {typical_entries:>9}  {:<16} {title}\n", licence.name)
}

fn whole(listing: &Listing) -> String {
    let Listing {
        id,
        title,
        publisher,
        home,
        url,
        licence,
        category,
        typical_entries,
        refresh_hours,
        good,
        bad,
        ..
    } = listing;
    let kinds: Vec<&str> = listing.recommended.iter().map(|kind| kind.word()).collect();
    let kinds = if kinds.is_empty() { String::from("to no school by default") } else { kinds.join(", ") };
    let school = if licence.school_use { "a school may use it" } else { "a school may not use it" };
    format!(
        "{title} ({id})\n\n  publisher    {publisher}\n  about it     {home}\n  fetched from {url}\n  \
         licence      {} ({school})\n  category     {category}\n  format       {}\n  entries      about {typical_entries}\n  \
         fetched      every {refresh_hours} hours\n  good at      {good}\n  bad at       {bad}\n  recommended  {kinds}\n\n\
         To subscribe: schoolgate lists add {id}",
        licence.name,
        listing.format.title(),
    )
}
