//! What leaves the query log: evidence, what is held about one device, and who stands behind a pseudonym. Each of them
//! is in the audit before anybody gets it.

use std::{fmt, sync::Arc};

use jiff::{civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{Control, ControlError};
use crate::{
    background::in_background,
    clock::Day,
    policy::PolicyFile,
    querylog::{
        LogFolder,
        evidence::{self, About, Made, Order},
        privacy::is_pseudonym,
        search::{Asked, Edge, Query, moment, zone},
        subject::{Revealed, Reversal, SubjectOrder, reveal, subject},
    },
    store::Revision,
    vault::{SigningKey, Vault},
};

/// The role that may reverse pseudonyms.
pub const SAFEGUARDING: &str = "safeguarding";

/// A longer reason is no reason but a report.
const LONGEST_REASON: usize = 2_000;

/// How many earlier policies go into a package at most; the summary names all.
const MOST_POLICIES: usize = 50;

/// Who does something, for the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Who.
    pub by: String,
    /// In which role; empty where it does not matter.
    pub role: String,
}

/// Which rows somebody wants as evidence: the arguments of `schoolgate log export`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRequest {
    /// Which rows; `from` and `to` must be there, `limit` and `after` don't count.
    pub rows: Asked,
    /// Why.
    pub reason: String,
}

/// Of which device somebody wants to know what is held: the arguments of `schoolgate log subject`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectRequest {
    /// The device: its name, its MAC address, an address, or a pseudonym.
    pub client: String,
    /// The earliest time; the oldest row, if left out.
    pub from: Option<String>,
    /// The time that it ends before; now, if left out.
    pub to: Option<String>,
    /// Why.
    pub reason: String,
}

/// Which pseudonym somebody wants to reverse: the arguments of `schoolgate log reveal`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevealRequest {
    /// The pseudonym.
    pub pseudonym: String,
    /// The UTC day, `2026-11-22`.
    pub day: String,
    /// Why.
    pub reason: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RevealReport {
    /// The pseudonym.
    pub pseudonym: String,
    /// The UTC day.
    pub day: Date,
    /// The device; more than one line, where it had more than one address. Empty where it can't be said.
    pub revealed: Vec<Revealed>,
    /// Why it can't be said.
    pub why_not: Option<String>,
}

impl fmt::Display for RevealReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pseudonym, day, revealed, why_not } = self;
        if let Some(why) = why_not {
            write!(f, "{pseudonym} of {day} can't be reversed: {why}")?;
        }
        for Revealed { address, device, mac, profile, known_by, confidence, lease } in revealed {
            writeln!(f, "{pseudonym} of {day} is the device at {address}")?;
            for (word, value) in [("name", device), ("MAC address", mac), ("profile", profile)] {
                if !value.is_empty() {
                    writeln!(f, "  {word}: {value}")?;
                }
            }
            writeln!(f, "  known by: {known_by} (confidence: {confidence})")?;
            if let Some((from, until)) = lease {
                writeln!(f, "  address leased from {from} to {until}")?;
            }
        }
        if !revealed.is_empty() {
            write!(f, "This is in the audit, with your reason.")?;
        }
        Ok(())
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = if self.rows == 1 { "1 row" } else { &format!("{} rows", self.rows) };
        writeln!(f, "{rows}, {} bytes", self.bytes)?;
        for gap in &self.gaps {
            writeln!(f, "missing: {gap}")?;
        }
        writeln!(f, "SHA-256 of the manifest: {}", self.manifest_sha256)?;
        write!(f, "signed by this box's key: {}", self.fingerprint)
    }
}

impl Control {
    /// Makes a signed package of rows of the log, which waits in the data folder for a day. The audit has it.
    ///
    /// # Errors
    ///
    /// When an argument is wrong (the error names it), the log can't be read, the package not written, or the audit not
    /// written: then there is no package.
    pub async fn log_export(&self, actor: &Actor, request: ExportRequest) -> Result<Made, ControlError> {
        let policy = self.policy.load_full();
        let now = self.clock.now();
        let reason = reason(&request.reason)?;
        let (folder, key) = (LogFolder::in_data(&self.folder), self.signing_key()?);
        let asked = Asked { limit: None, after: None, ..request.rows };
        let filters = evidence::filters(&asked);
        let query = {
            let (policy, folder) = (Arc::clone(&policy), folder.clone());
            in_background("log export", move || Query::understand(&asked, &policy, &folder, now)).await??
        };
        let (Some(from), Some(to)) = (query.from, query.to) else {
            return Err(input("--from", "say from when to when"));
        };
        // What was not asked yet is not missing from it.
        let to = to.min(now);
        if from >= to {
            return Err(input("--from", format!("{from} is still to come")));
        }
        let order = Order { from, to, query, filters, by: actor.by.clone(), reason };
        let about = self.about(&order)?;
        self.flush_log();
        let work = in_background("log export", {
            let order = order.clone();
            move || evidence::make(&folder, &policy, &order, &about, &key, now)
        });
        let made = work.await??;
        let filters: Vec<String> =
            order.filters.iter().map(|(word, value)| format!("{word} = {value}")).collect();
        let filters = if filters.is_empty() { String::from("every row") } else { filters.join(", ") };
        let detail = format!(
            "{} rows from {from} to {to} ({filters}), manifest {}, signed by {}: {}",
            made.rows, made.manifest_sha256, made.fingerprint, order.reason
        );
        self.hand_out(actor, "log.export", &detail, made)
    }

    /// Makes a signed package of what is held about one device, which waits in the data folder for a day. The audit has
    /// it.
    ///
    /// # Errors
    ///
    /// As [`log_export`](Self::log_export); also when an address was more than one device's.
    pub async fn log_subject(&self, actor: &Actor, request: SubjectRequest) -> Result<Made, ControlError> {
        let policy = self.policy.load_full();
        let (now, zone) = (self.clock.now(), zone(&policy));
        let reason = reason(&request.reason)?;
        let time = |argument, text: &Option<String>, edge| {
            text.as_deref().map(|text| moment(argument, text, edge, &zone, now)).transpose()
        };
        let (from, to) = (time("--from", &request.from, Edge::From)?, time("--to", &request.to, Edge::To)?);
        let holds = self.keeping.holds()?;
        let order = SubjectOrder { client: request.client, from, to, by: actor.by.clone(), reason };
        self.flush_log();
        let (folder, key) = (LogFolder::in_data(&self.folder), self.signing_key()?);
        let work = in_background("log subject", {
            let order = order.clone();
            move || subject(&folder, &policy, &order, &holds, &key, now)
        });
        let made = work.await??;
        let detail = format!(
            "what is held about {}: {} rows, manifest {}: {}",
            order.client, made.rows, made.manifest_sha256, order.reason
        );
        self.hand_out(actor, "log.subject", &detail, made)
    }

    /// Says who stands behind a pseudonym of a day, while the key of that day exists. The audit has every try.
    ///
    /// On the command line the role is what people say of themselves, and who may give commands is what counts.
    ///
    /// # Errors
    ///
    /// When an argument is wrong, the role is another, the log can't be read, or the audit not written: then nothing is
    /// said.
    pub async fn log_reveal(
        &self,
        actor: &Actor,
        request: RevealRequest,
    ) -> Result<RevealReport, ControlError> {
        let RevealRequest { pseudonym, day, reason: why } = request;
        let tried = |outcome: &str| {
            let role = if actor.role.is_empty() { "none" } else { &actor.role };
            // Whatever was typed in; the audit is no place for more of it.
            let short = |text: &str| text.chars().take(200).collect::<String>();
            let (pseudonym, day, role) = (short(&pseudonym), short(&day), short(role));
            let why: String = why.chars().take(LONGEST_REASON).collect();
            let detail = format!("{pseudonym} of {day}, role {role}, {outcome}: {why}");
            self.record_or_fail(&actor.by, "log.reveal", &detail)
        };
        let checked = || {
            let reason = reason(&why)?;
            if actor.role != SAFEGUARDING {
                return Err(input("--role", format!("only the role {SAFEGUARDING} may reverse a pseudonym")));
            }
            if !is_pseudonym(&pseudonym) {
                return Err(input(
                    "PSEUDONYM",
                    format!("{pseudonym:?} is none; they are written device-0123456789ab"),
                ));
            }
            let date: Date =
                day.parse().map_err(|_| input("--day", format!("{day:?} is no day; write 2026-11-22")))?;
            let midnight =
                date.to_zoned(TimeZone::UTC).map_err(|_| input("--day", format!("{day:?} is no day")))?;
            Ok((reason, date, Day::of(midnight.timestamp())))
        };
        let (_, date, number) = match checked() {
            Ok(checked) => checked,
            Err(error) => {
                tried("refused")?;
                return Err(error);
            }
        };
        self.flush_log();
        let (folder, policy) = (LogFolder::in_data(&self.folder), self.policy.load_full());
        let outcome = in_background("log reveal", {
            let pseudonym = pseudonym.clone();
            move || reveal(&folder, &policy, &pseudonym, number)
        })
        .await?;
        let report = |revealed, why_not: Option<&str>| RevealReport {
            pseudonym: pseudonym.clone(),
            day: date,
            revealed,
            why_not: why_not.map(str::to_owned),
        };
        let report = match outcome {
            Ok(Reversal::Revealed(revealed)) => report(revealed, None),
            Ok(Reversal::Unknown) => report(Vec::new(), Some("the log of that day does not have it")),
            Ok(Reversal::NoDay) => report(Vec::new(), Some("there is no log of that day")),
            Ok(Reversal::NoKey) => {
                report(Vec::new(), Some("the key of that day is gone, so nobody can say any more who it was"))
            }
            Ok(Reversal::Damaged) => report(
                Vec::new(),
                Some("what was sealed behind it does not open; the file of that day was changed"),
            ),
            Err(error) => {
                tried("failed")?;
                return Err(error.into());
            }
        };
        tried(if report.revealed.is_empty() { "not reversed" } else { "reversed" })?;
        Ok(report)
    }

    /// Gives out a package once the audit has it; without that, it is removed.
    fn hand_out(&self, actor: &Actor, action: &str, detail: &str, made: Made) -> Result<Made, ControlError> {
        self.record_or_fail(&actor.by, action, detail).inspect_err(|_| {
            // Best effort; what is left goes after a day.
            let _ = std::fs::remove_file(&made.file);
        })?;
        Ok(made)
    }

    /// What was asked up to now is to be in the files.
    fn flush_log(&self) {
        if let Some(log) = &self.log
            && let Err(error) = log.flush()
        {
            tracing::warn!(%error, "The newest questions are not in the query log yet");
        }
    }

    fn signing_key(&self) -> Result<SigningKey, ControlError> {
        let vault = match self.vault() {
            Some(vault) => vault,
            None => Arc::new(Vault::open(&self.folder).map_err(|error| ControlError::Server {
                message: format!("nothing can be signed: {error}"),
                bad_input: false,
            })?),
        };
        Ok(vault.signing_key())
    }

    /// The settings that were in force in the time of an order.
    fn about(&self, order: &Order) -> Result<About, ControlError> {
        let revisions = match &self.state().store {
            Some(store) => store.in_force_between(order.from, order.to)?,
            None => return Err(ControlError::NoStore),
        };
        let published = revisions
            .iter()
            .filter(|revision| revision.at >= order.from)
            .map(|revision| (revision.number, revision.at, revision.by.clone()))
            .collect();
        let began_shipped = revisions.first().is_none_or(|first| first.at > order.from);
        let shipped = began_shipped.then(|| (0, PolicyFile::shipped().to_toml()));
        let mut all: Vec<(i64, String)> = shipped
            .into_iter()
            .chain(revisions.into_iter().map(|Revision { number, text, .. }| (number, text)))
            .collect();
        // There is one at least: the shipped one, where no other was.
        let (revision, policy) = all.pop().unwrap_or_default();
        let earlier = all.split_off(all.len().saturating_sub(MOST_POLICIES));
        let lists = self.lists().lists.into_iter().map(|list| {
            let subscription = list.subscription.unwrap_or_default();
            serde_json::json!({
                "id": list.id,
                "title": list.title,
                "category": list.category,
                "action": list.action,
                "entries": list.entries,
                "version": list.version,
                "number": subscription.number,
                "in_force_since": subscription.since,
            })
        });
        Ok(About { policy, revision, earlier, published, lists: lists.collect() })
    }
}

fn input(argument: &str, what: impl fmt::Display) -> ControlError {
    ControlError::Input(format!("{argument}: {what}"))
}

/// A reason that says something.
fn reason(text: &str) -> Result<String, ControlError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(input("--reason", "say why; the audit keeps it"));
    }
    if text.len() > LONGEST_REASON || text.chars().any(char::is_control) {
        return Err(input("--reason", format!("write one line of at most {LONGEST_REASON} bytes")));
    }
    Ok(text.to_owned())
}
