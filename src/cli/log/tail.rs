//! `schoolgate log tail`: questions as they are written down.

use std::{
    io::{self, Write},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    Context, Failure, other_version,
    search::{Filters, lines},
    show::{Table, unkept},
};
use crate::{
    control::{Answer, ControlError, LogReport, Request, socket},
    querylog::{Entry, csv, search::Asked},
};

/// How often it is looked whether somebody still reads.
const READER: Duration = Duration::from_millis(250);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    filters: Filters,
    /// Decided by this: category, block-rule, locked …
    #[arg(long, value_name = "WORD")]
    reason: Option<String>,
    /// Print CSV, for a spreadsheet; with `--json`, each question is a document in a line of its own
    #[arg(long)]
    csv: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
    Csv,
}

/// How following ended.
enum End {
    /// Whoever read the output went away.
    NoReader,
    Output(io::Error),
    /// What came is no answer of this version.
    Other,
}

pub(super) fn run(context: &Context, args: Args) -> Result<bool, Failure> {
    let form = match (context.json, args.csv) {
        (true, true) => return Err(Failure::bad("--csv and --json can't be had together")),
        (true, false) => Form::Json,
        (false, true) => Form::Csv,
        (false, false) => Form::Text,
    };
    let data = context.settings()?.data;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::could_not(format!("can't start: {e}")))?;
    let request = Request::LogTail(Asked { reason: args.reason, ..args.filters.asked() });
    runtime.block_on(async {
        let mut end = None;
        let mut is_first = true;
        let following = socket::follow(&data, &request, |answer| {
            let shown = match answer {
                Answer::Log(report) => show(&report, form, is_first),
                _ => Err(End::Other),
            };
            is_first = false;
            end = shown.err();
            end.is_none()
        });
        let done = tokio::select! {
            done = following => done,
            _ = tokio::signal::ctrl_c() => return Ok(true),
            () = no_reader() => return Ok(true),
        };
        match (finished(done)?, end) {
            (_, Some(End::Output(error))) => Err(Failure::could_not(error.to_string())),
            (_, Some(End::Other)) => Err(other_version()),
            _ => Ok(true),
        }
    })
}

fn finished(done: Result<Option<()>, ControlError>) -> Result<(), Failure> {
    done?.ok_or_else(|| {
        Failure::could_not(
            "no server runs on this data folder, so nothing is being logged; `schoolgate log search` shows what was",
        )
    })
}

/// Writes what is new. The first answer has nothing, and says that it goes on from here.
fn show(report: &LogReport, form: Form, is_first: bool) -> Result<(), End> {
    let table = Table::wide(&report.timezone);
    let mut text = String::new();
    match form {
        Form::Csv if is_first => text.push_str(&csv::line(Entry::COLUMNS)),
        Form::Csv => {}
        Form::Json | Form::Text if is_first => {
            let _ = writeln!(io::stderr(), "Following the log; Ctrl-C ends it.");
        }
        Form::Json | Form::Text => {}
    }
    let page = &report.page;
    match form {
        Form::Csv => text.push_str(&lines(&page.entries, false)),
        Form::Json => {
            for entry in &page.entries {
                let line = serde_json::to_string(entry).map_err(|error| End::Output(error.into()))?;
                text.push_str(&line);
                text.push('\n');
            }
        }
        Form::Text => {
            for entry in &page.entries {
                text.push_str(&table.line(entry));
                text.push('\n');
            }
        }
    }
    for ones in &page.unkept {
        let _ = writeln!(io::stderr(), "{}", unkept(ones, &report.timezone));
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => End::NoReader,
        _ => End::Output(error),
    })
}

/// Ends when whoever read the output has gone away, which a write would only show when there is something to write.
async fn no_reader() {
    let out = io::stdout();
    loop {
        // Errors are told whatever is asked for.
        let mut looked = [PollFd::new(&out, PollFlags::empty())];
        let gone = poll(&mut looked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
            && looked[0].revents().intersects(PollFlags::ERR | PollFlags::HUP);
        if gone {
            return;
        }
        tokio::time::sleep(READER).await;
    }
}
