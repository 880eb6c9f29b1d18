//! Looking into the query log.

use std::{fmt, time::Duration};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Control, ControlError};
use crate::{
    policy::Policy,
    querylog::{
        LogError, LogFolder, Status,
        search::{self, Asked, Page, Query, Tail},
        stats::{self, Stats},
    },
};

/// How long who looks at a page waits for what arrived a moment ago to be written.
pub(crate) const GLANCE: Duration = Duration::from_millis(50);

/// What was found in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogReport {
    /// The school's time zone, by its IANA name, for showing times; those of the entries are UTC.
    pub timezone: String,
    /// What was found.
    #[serde(flatten)]
    pub page: Page,
}

/// What is new in the log, again and again.
#[derive(Debug)]
pub struct LogTail {
    folder: LogFolder,
    tail: Tail,
}

impl Control {
    /// The folder of the log.
    #[must_use]
    pub(crate) fn log_folder(&self) -> LogFolder {
        LogFolder::in_data(&self.folder)
    }

    /// Searches the log: a page of questions, the newest first, also of those that arrived a moment ago, as far as they
    /// are written within `patience`; with none, however long that takes. Reads on a thread that may block.
    ///
    /// # Errors
    ///
    /// When an argument is wrong (the error names it), a newer program wrote a day, or the folder can't be read.
    pub async fn log_search(
        &self,
        asked: Asked,
        patience: Option<Duration>,
    ) -> Result<LogReport, ControlError> {
        self.log_search_by(asked, patience, search::search).await
    }

    /// The same, but says soon what it has: for who waits in front of a page, and can go on.
    ///
    /// # Errors
    ///
    /// As [`log_search`](Self::log_search).
    pub async fn log_search_briefly(&self, asked: Asked) -> Result<LogReport, ControlError> {
        self.log_search_by(asked, Some(GLANCE), search::search_briefly).await
    }

    async fn log_search_by(
        &self,
        asked: Asked,
        patience: Option<Duration>,
        search: fn(&LogFolder, &Query, &Policy) -> Result<Page, LogError>,
    ) -> Result<LogReport, ControlError> {
        let (folder, policy, now) = (self.log_folder(), self.policy.load_full(), self.clock.now());
        let log = self.log.clone();
        blocking(move || {
            let query = Query::understand(&asked, &policy, &folder, now)?;
            if let Some(log) = log.filter(|_| query.after.is_none()) {
                // What can't be written is told by the status; what was written can be searched all the same.
                match patience {
                    Some(patience) => log.settle(patience),
                    None => drop(log.flush()),
                }
            }
            let page = search(&folder, &query, &policy)?;
            Ok(LogReport { timezone: policy.file().timezone.clone(), page })
        })
        .await
    }

    /// Begins to follow the log: what arrives from now on, as far as it is asked for. Times, place and limit don't
    /// count.
    ///
    /// # Errors
    ///
    /// When an argument is wrong; the error names it.
    pub async fn log_tail(&self, asked: Asked) -> Result<LogTail, ControlError> {
        let (folder, policy, now) = (self.log_folder(), self.policy.load_full(), self.clock.now());
        blocking(move || {
            let query = Query::understand(&asked, &policy, &folder, now)?;
            Ok(LogTail { tail: Tail::new(query, now), folder })
        })
        .await
    }

    /// What has been written to the log since the last time, the oldest first.
    ///
    /// # Errors
    ///
    /// When a newer program wrote a day, or the folder can't be read.
    pub async fn log_news(&self, mut following: LogTail) -> Result<(LogTail, LogReport), ControlError> {
        let (policy, now) = (self.policy.load_full(), self.clock.now());
        blocking(move || {
            let page = following.tail.news(&following.folder, &policy, now)?;
            Ok((following, LogReport { timezone: policy.file().timezone.clone(), page }))
        })
        .await
    }

    /// A number that grows whenever a running log writes something; none without one.
    #[must_use]
    pub fn log_commits(&self) -> Option<watch::Receiver<u64>> {
        self.log.as_ref().map(|log| log.commits())
    }

    /// What the log has, and how it fares. `day` is the one that is counted by profile; the newest, if none is named.
    ///
    /// # Errors
    ///
    /// When there is no such day, a newer program wrote one, or the folder can't be read.
    pub async fn log_stats(&self, day: Option<Date>) -> Result<Stats, ControlError> {
        let folder = self.log_folder();
        let stats = blocking(move || stats::stats(&folder, day)).await?;
        let alarms = self.keeping.alarms().into_iter().map(|alarm| alarm.what).collect();
        Ok(Stats { status: self.log.as_ref().map(|log| log.status()), alarms, ..stats })
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, ControlError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| ControlError::Server {
        message: format!("an internal error: {error}"),
        bad_input: false,
    })?;
    Ok(done?)
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days.is_empty() && self.unreadable.is_empty() {
            writeln!(f, "The log has no day yet.")?;
        } else {
            writeln!(
                f,
                "{:<10}  {:>14}  {:>14}  {:>9}  {:<8}  {:<8}  not kept",
                "day (UTC)", "questions", "rows kept", "size", "first", "last"
            )?;
        }
        for day in &self.days {
            let rows = format!("{}{}", if day.counted { "" } else { "~" }, grouped(day.rows));
            let clock = |time: Option<Timestamp>| {
                time.map_or_else(String::new, |time| time.strftime("%T").to_string())
            };
            writeln!(
                f,
                "{:<10}  {:>14}  {rows:>14}  {:>9}  {:<8}  {:<8}  {}",
                day.day.to_string(),
                grouped(day.questions),
                size(day.bytes),
                clock(day.first),
                clock(day.last),
                listed(&day.unkept),
            )?;
        }
        if let Some(counts) = &self.day {
            writeln!(f, "\nQuestions of {}, by profile:", counts.day)?;
            for (profile, actions) in &counts.profiles {
                let profile = if profile.is_empty() { "(none)" } else { profile };
                writeln!(f, "  {profile:<20}  {}", listed(actions))?;
            }
            if !counts.blocked.is_empty() {
                writeln!(f, "Blocked, by category:")?;
                let mut blocked: Vec<_> = counts.blocked.iter().collect();
                blocked.sort_by_key(|(_, questions)| std::cmp::Reverse(**questions));
                for (category, questions) in blocked {
                    let category = if category.is_empty() { "(none)" } else { category };
                    writeln!(f, "  {category:<20}  {:>12}", grouped(*questions))?;
                }
            }
        }
        for day in &self.unreadable {
            writeln!(f, "{} can't be read: {}", day.day, day.why)?;
        }
        for file in &self.set_aside {
            writeln!(f, "{file} was damaged and lies aside")?;
        }
        for alarm in &self.alarms {
            writeln!(f, "ALARM: {alarm}")?;
        }
        match &self.status {
            Some(status) => write_status(f, status),
            None => writeln!(f, "\nNo server runs on this data folder: nothing is being logged."),
        }
    }
}

fn write_status(f: &mut fmt::Formatter<'_>, status: &Status) -> fmt::Result {
    match &status.failing {
        None => writeln!(f, "\nThe log is being written.")?,
        Some(why) => writeln!(f, "\nTHE LOG CAN'T BE WRITTEN: {why}")?,
    }
    let last =
        status.last_commit.map_or_else(|| String::from("never"), |time| time.strftime("%F %TZ").to_string());
    writeln!(f, "  written since the start: {}; the last time: {last}", grouped(status.written))?;
    writeln!(f, "  the fullest queue is full to {:.0} %", status.queue_fill * 100.0)?;
    if !status.lost.is_empty() {
        writeln!(f, "  lost since the start: {}", listed(&status.lost))?;
    }
    for file in &status.set_aside {
        writeln!(f, "  damaged and set aside since the start: {}", file.display())?;
    }
    for sink in &status.sinks {
        let (sent, lost) = (grouped(sink.sent), grouped(sink.lost));
        write!(f, "  sent on to {} by {}: {sent}, lost: {lost}", sink.address, sink.kind)?;
        match &sink.error {
            Some(why) => writeln!(f, "; it can't be reached: {why}")?,
            None => writeln!(f)?,
        }
    }
    Ok(())
}

/// `queue-full 12, flood 3`.
fn listed(counts: &std::collections::BTreeMap<String, u64>) -> String {
    counts.iter().map(|(word, count)| format!("{word} {}", grouped(*count))).collect::<Vec<_>>().join(", ")
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `312.4 MB`.
fn size(bytes: u64) -> String {
    let tenths = |unit: u64| {
        let tenths = u128::from(bytes) * 10 / u128::from(unit);
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    match bytes {
        0..1_000_000 => format!("{} kB", tenths(1_000)),
        1_000_000..1_000_000_000 => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} GB", tenths(1_000_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_legible() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(size(400), "0.4 kB");
        assert_eq!(size(312_450_000), "312.4 MB");
        assert_eq!(size(2_000_000_000), "2.0 GB");
    }
}
