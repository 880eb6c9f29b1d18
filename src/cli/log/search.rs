//! `schoolgate log search`: finding questions.

use std::io::{self, Write};

use super::{
    Context, Failure, other_version,
    show::{Table, unkept},
};
use crate::{
    cli::print,
    control::{Answer, LogReport, Request},
    querylog::{Entry, csv, search::Asked},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
TIMES are 2026-11-22, \"2026-11-22 09:00\", 09:00, today, \"yesterday 14:30\" by the school's clock; 30m, 2h, 3d, 2w for
so long ago; or RFC 3339 (2026-11-22T09:00:00Z).
NAMES: example.com is that name alone, *.example.com the domain and all below it, *tok* every name with tok in it,
tok* and *tok every name that begins or ends with it. Put a * in quotes.")]
pub(in crate::cli) struct Args {
    /// From this time on
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this time; a day that is named is within
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    #[command(flatten)]
    filters: Filters,
    /// Decided by this: category, block-rule, locked …
    #[arg(long, value_name = "WORD")]
    reason: Option<String>,
    /// How many to show: 1 to 10000 [default: 100]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Go on after this place: what the search before said, for older ones
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
    /// Print CSV, for a spreadsheet
    #[arg(long)]
    csv: bool,
}

/// What questions must be like.
#[derive(Debug, clap::Args)]
pub(super) struct Filters {
    /// From this client: an address, a subnet, a MAC address, the name of a device, or a pseudonym
    #[arg(long, value_name = "WHO")]
    client: Option<String>,
    /// From clients of this profile
    #[arg(long, value_name = "ID")]
    profile: Option<String>,
    /// For these names: example.com, *.example.com, *tok*
    #[arg(long, value_name = "GLOB")]
    name: Option<String>,
    /// Of this category: whether it decided, or the name is in it
    #[arg(long, value_name = "ID")]
    category: Option<String>,
    /// With this outcome: allowed, blocked, rewritten, refused, limited or failed
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only what somebody may have to look at
    #[arg(long)]
    alert: bool,
    /// Decided by this list
    #[arg(long, value_name = "ID")]
    list: Option<String>,
}

impl Filters {
    pub(super) fn asked(self) -> Asked {
        let Self { client, profile, name, category, action, alert, list } = self;
        Asked { client, profile, name, category, action, alert, list, ..Asked::default() }
    }
}

pub(super) fn run(context: &Context, args: Args) -> Result<bool, Failure> {
    if args.csv && context.json {
        return Err(Failure::bad("--csv and --json can't be had together"));
    }
    let Args { from, to, filters, reason, limit, after, csv: as_csv } = args;
    let report = find(context, Asked { from, to, reason, limit, after, ..filters.asked() })?;
    for day in &report.page.unreadable {
        // Nowhere is left to say it when this fails.
        let _ = writeln!(io::stderr(), "schoolgate: the log of {} can't be read: {}", day.day, day.why);
    }
    let page = &report.page;
    if as_csv {
        print(&lines(&page.entries, true))?;
        if let Some(next) = page.next {
            let _ = writeln!(io::stderr(), "schoolgate: there are older ones: go on with --after {next}");
        }
    } else {
        context.print(&report, || text(&report))?;
    }
    if page.entries.is_empty() && !page.unreadable.is_empty() {
        return Err(Failure::could_not("nothing was found in the days that can be read"));
    }
    Ok(true)
}

/// Asks until the page is full: a search that takes long is answered in parts.
fn find(context: &Context, mut asked: Asked) -> Result<LogReport, Failure> {
    let mut whole: Option<LogReport> = None;
    loop {
        let Answer::Log(mut report) = context.ask(Request::LogSearch(asked.clone()))? else {
            return Err(other_version());
        };
        if let Some(before) = whole {
            let mut page = before.page;
            page.entries.append(&mut report.page.entries);
            page.unkept.append(&mut report.page.unkept);
            for day in report.page.unreadable {
                if !page.unreadable.contains(&day) {
                    page.unreadable.push(day);
                }
            }
            (page.next, page.unfinished) = (report.page.next, report.page.unfinished);
            report.page = page;
        }
        let page = &report.page;
        let wanted = asked.limit.unwrap_or(crate::querylog::search::USUAL);
        let left = wanted.saturating_sub(u32::try_from(page.entries.len()).unwrap_or(u32::MAX));
        match page.next {
            Some(next) if page.unfinished && left > 0 => {
                asked.after = Some(next.to_string());
                // The first answer said whether the number is right; from here on it is what is left.
                asked.limit = Some(left);
                whole = Some(report);
            }
            _ => return Ok(report),
        }
    }
}

/// Lines of CSV, with or without the header.
pub(super) fn lines(entries: &[Entry], header: bool) -> String {
    let mut text = if header { csv::line(Entry::COLUMNS) } else { String::new() };
    text.extend(entries.iter().map(|entry| csv::line(entry.fields())));
    text
}

fn text(report: &LogReport) -> String {
    let page = &report.page;
    let mut text = Table::of(&page.entries, &report.timezone).whole(&page.entries);
    for unkept_ones in &page.unkept {
        text.push_str(&unkept(unkept_ones, &report.timezone));
        text.push('\n');
    }
    match page.entries.len() {
        0 => text.push_str("Nothing was found."),
        1 => text.push_str("1 question."),
        n => text.push_str(&format!("{n} questions, the newest first.")),
    }
    if let Some(next) = page.next {
        text.push_str(&format!(" For older ones, the same with --after {next}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::log::show::tests::entry;

    #[test]
    fn a_line_of_csv_has_a_cell_for_each_column_and_no_formula() {
        let mut one = entry("-evil.example");
        one.device = String::from("=HYPERLINK(\"http://x\",\"y\")");
        let text = lines(&[one], true);
        let mut rows = text.split("\r\n");
        assert_eq!(rows.next(), Some(Entry::COLUMNS.join(",").as_str()));
        let row = rows.next().unwrap();
        assert!(row.contains(",\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\","), "{row}");
        assert!(row.contains(",'-evil.example,"), "{row}");
        assert_eq!(rows.next(), Some(""));
    }
}
