//! What is held about one device: for who asks what the school knows about them, and for who must say it.
//!
//! Other people's data is left out: rows of other devices, and the names of staff. Rows under pseudonyms are found
//! while the key of their day exists.

#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::{self, BufWriter, Write},
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{
    csv,
    day::rows::AskerRow,
    entry::Entry,
    error::LogError,
    evidence::{
        FORMAT, Kind, Made, Manifest, Outgoing, Package, Rows, Tally, VERSION, both_times, gap_lines,
        machine, program,
    },
    folder::LogFolder,
    privacy::{DayKey, SealedIdentity, is_pseudonym},
    retention::Hold,
    rollup::{ClientCount, Rollup},
    search::{Query, zone},
    who::Who,
};
use crate::{
    clients::Mac,
    clock::Day,
    policy::{DeviceFile, Policy},
    vault::SigningKey,
};

/// What is asked for, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectOrder {
    /// The device: its name, its link-layer address, an address, or a pseudonym.
    pub client: String,
    /// The first moment; all that is held, when there is none.
    pub from: Option<Timestamp>,
    /// The first moment that is not wanted.
    pub to: Option<Timestamp>,
    /// Who asks for it on the box.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What a device is known by: whatever one of these says is the device's.
#[derive(Debug)]
struct Identity(Vec<Who>);

impl Identity {
    /// Who is meant by a text.
    fn new(text: &str, devices: &[DeviceFile]) -> Result<Self, LogError> {
        let who = Who::parse(text)?;
        let own = |device: &&DeviceFile| match &who {
            Who::Mac(mac) => mac_of(device) == Some(*mac),
            Who::Name(name) => device.name.to_lowercase() == *name,
            // What else the device with this address is called, is no reason to take its rows at other addresses: the
            // address may have been another's.
            Who::Address(_) | Who::Net(_) | Who::Pseudonym(_) => false,
        };
        let mut all = Vec::new();
        for device in devices.iter().filter(own) {
            all.push(Who::Name(device.name.to_lowercase()));
            all.extend(mac_of(device).map(Who::Mac));
        }
        if matches!(who, Who::Net(_)) {
            return Err(LogError::input("--client", "name one device, not a subnet"));
        }
        all.push(who);
        Ok(Self(all))
    }

    fn is(&self, client: &str, device: &str, mac: &str) -> bool {
        self.0.iter().any(|who| who.is(client, device, mac))
    }

    fn is_asker(&self, asker: &AskerRow, key: Option<&DayKey>) -> bool {
        self.0.iter().any(|who| who.is_asker(asker, key))
    }

    /// The keys of days, where they tell which device in the open is shown under a pseudonym.
    fn keys(&self, folder: &LogFolder, days: &[Day]) -> Result<BTreeMap<Day, DayKey>, LogError> {
        if !self.is_pseudonym() {
            return Ok(BTreeMap::new());
        }
        let key = |day: &Day| Some(DayKey::load(folder, *day).transpose()?.map(|key| (*day, key)));
        days.iter().filter_map(key).collect()
    }

    /// Whether it is known by its address alone.
    fn is_address(&self) -> bool {
        matches!(self.0[..], [Who::Address(_)])
    }

    fn is_pseudonym(&self) -> bool {
        matches!(self.0[..], [Who::Pseudonym(_)])
    }

    /// Whether a text that names one device, or a subnet, means this one.
    fn is_meant_by(&self, text: &str) -> bool {
        let Ok(meant) = Who::parse(text) else { return false };
        self.0.iter().any(|who| match (who, &meant) {
            (Who::Address(address), Who::Net(net)) => net.contains(address),
            (who, meant) => who == meant,
        })
    }

    fn is_device(&self, device: &DeviceFile) -> bool {
        let address = device.address.as_deref().unwrap_or_default();
        self.is(address, &device.name, device.mac.as_deref().unwrap_or_default())
    }
}

fn mac_of(device: &DeviceFile) -> Option<Mac> {
    device.mac.as_deref().and_then(|mac| mac.parse().ok())
}

/// `device.json`: all that is held beside the rows.
#[derive(Debug, Serialize)]
struct Held {
    /// What was asked for.
    client: String,
    /// The school's own entries for it.
    devices: Vec<DeviceFile>,
    /// The groups of the school's policy that name it.
    groups: Vec<String>,
    /// How it was known, day by day, and by which lease.
    known_as: Vec<KnownAs>,
    /// The days on which it was logged under a pseudonym that can still be reversed.
    pseudonyms: BTreeMap<String, BTreeSet<String>>,
    /// The days that have pseudonyms of which nobody can say any more whose they are.
    days_that_cannot_be_searched: Vec<Date>,
    /// What keeps its rows beyond their time.
    holds: Vec<HoldOn>,
    /// The days on which it was among those that asked most, as the counts have it.
    top_counts: Vec<ClientCount>,
}

/// A way in which rows name it.
#[derive(Debug, Serialize)]
struct KnownAs {
    #[serde(flatten)]
    as_: As,
    rows: u64,
    first: Timestamp,
    last: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct As {
    client: String,
    device: String,
    mac: String,
    profile: String,
    known_by: String,
    confidence: String,
    lease: Option<(Timestamp, Timestamp)>,
}

impl As {
    fn of(entry: &Entry) -> Self {
        Self {
            client: entry.client.clone(),
            device: entry.device.clone(),
            mac: entry.mac.clone(),
            profile: entry.profile.clone(),
            known_by: entry.known_by.clone(),
            confidence: entry.confidence.clone(),
            lease: entry.lease,
        }
    }
}

/// A legal hold that covers it. Who made it and why is not the device's data.
#[derive(Debug, Serialize)]
struct HoldOn {
    id: String,
    from: Timestamp,
    to: Timestamp,
    made: Timestamp,
    made_by: &'static str,
}

/// Makes a package of what is held about one device, in the log's folder; it is there whole or not at all.
///
/// # Errors
///
/// [`LogError::Input`] where nobody can be meant by the text, or an address was more than one device's in that time:
/// then nothing is made, since other people's data would be in it. Otherwise when the log can't be read, or the package
/// not written.
pub fn subject(
    folder: &LogFolder,
    policy: &Policy,
    order: &SubjectOrder,
    holds: &[Hold],
    key: &SigningKey,
    now: Timestamp,
) -> Result<Made, LogError> {
    let file = policy.file();
    let identity = Identity::new(&order.client, &file.devices)?;
    let days = folder.days().map_err(|source| LogError::file(folder.path(), source))?;
    let oldest = days.first().map_or(now, |day| super::Place { day: *day, at: 0 }.time());
    let (from, to) = (order.from.unwrap_or(oldest), order.to.unwrap_or(now));
    if from > to {
        return Err(LogError::input("--from", format!("{from} is not before --to, which is {to}")));
    }
    let rows = Rows { folder, policy, from, to };
    let (first, last) = (Day::of(from), Day::of(to));
    let days: Vec<Day> = days.into_iter().filter(|day| (first..=last).contains(day)).collect();
    let behind = Behind::find(&rows, &days, &identity)?;
    let shown = identity.keys(folder, &days)?;

    let out = Outgoing::begin(folder, "subject", now)?;
    let problem = |error| out.problem(error);
    let zone = zone(policy);
    let mut package = Package::new(BufWriter::with_capacity(1 << 18, out.open()?), now);
    let mut known: BTreeMap<As, (u64, Timestamp, Timestamp)> = BTreeMap::new();
    let mut clients: BTreeMap<Day, BTreeSet<String>> = BTreeMap::new();
    // Of a client that was another's as well on a day, nobody can say whose the count is.
    let others = RefCell::new(BTreeSet::<(Day, String)>::new());
    let written = package.add("rows.csv", |to| {
        let mut to = BufWriter::with_capacity(1 << 16, to);
        let mut tally = Tally::default();
        to.write_all(csv::line(Entry::COLUMNS).as_bytes())?;
        let wants = |day: Day, asker: &AskerRow| {
            let own = identity.is_asker(asker, shown.get(&day)) || behind.is(day, &asker.client);
            if !own {
                others.borrow_mut().insert((day, asker.client.clone()));
            }
            own
        };
        let read = rows.for_each(&Query::default(), wants, |entry| {
            tally.count(entry);
            let of_day = clients.entry(entry.place.day).or_default();
            if !of_day.contains(&entry.client) {
                of_day.insert(entry.client.clone());
            }
            let seen = known.entry(As::of(entry)).or_insert((0, entry.time, entry.time));
            *seen = (seen.0 + 1, seen.1, entry.time);
            let mut fields = entry.fields();
            // A lesson is called after whoever gives it.
            if entry.reason == "lesson"
                && let Some(at) = Entry::COLUMNS.iter().position(|column| *column == "rule")
            {
                fields[at] = String::from("(a lesson)");
            }
            to.write_all(csv::line(fields).as_bytes()).map_err(problem)
        });
        let gaps = read.map_err(io::Error::other)?;
        to.flush()?;
        Ok((tally, gaps))
    });
    let (tally, gaps) = written.map_err(problem)?;
    only_one_device(&identity, &order.client, known.keys())?;
    let others = others.into_inner();
    for (day, of_day) in &mut clients {
        of_day.retain(|client| !others.contains(&(*day, client.clone())));
    }
    let top_counts = Rollup::new(folder.clone()).of_clients(&clients)?;
    let mut gaps = gap_lines(&gaps, &zone);
    for day in &behind.closed {
        gaps.push(format!(
            "On {day} some devices were logged under pseudonyms whose key is gone: nobody can say whose they were."
        ));
    }
    let devices: Vec<DeviceFile> =
        file.devices.iter().filter(|device| identity.is_device(device)).cloned().collect();
    let held = Held {
        client: order.client.clone(),
        groups: file
            .groups
            .iter()
            .filter(|group| group.devices.iter().any(|member| identity.is_meant_by(member)))
            .map(|group| group.id.clone())
            .collect(),
        devices,
        known_as: known
            .into_iter()
            .map(|(as_, (rows, first, last))| KnownAs { as_, rows, first, last })
            .collect(),
        pseudonyms: behind.open.iter().map(|(day, names)| (day.date().to_string(), names.clone())).collect(),
        days_that_cannot_be_searched: behind.closed.iter().map(|day| day.date()).collect(),
        holds: holds_on(holds, &identity, from, to),
        top_counts,
    };
    let fingerprint = key.public().fingerprint();
    let text = summary(order, &held, &tally, &gaps, (from, to), &Facts { policy, now, zone: &zone });
    package.add_text("summary.txt", &text).map_err(problem)?;
    let document = serde_json::to_string_pretty(&held).map_err(|error| problem(error.into()))?;
    package.add_text("device.json", &document).map_err(problem)?;
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        kind: Kind::Subject,
        school: file.school.clone(),
        machine: machine(),
        program: program(),
        made_at: now,
        // Who works at the school is not the device's data; the box's audit has it.
        by: String::from("a member of staff"),
        reason: String::from("what is held about one device"),
        from,
        to,
        filters: [(String::from("client"), order.client.clone())].into(),
        rows: tally.rows(),
        complete: gaps.is_empty(),
        public_key: String::new(),
        fingerprint: String::new(),
        files: Vec::new(),
    };
    let (to, digest) = package.finish(manifest, key).map_err(problem)?;
    out.finish(
        to,
        Made {
            file: std::path::PathBuf::new(),
            bytes: 0,
            rows: tally.rows(),
            complete: gaps.is_empty(),
            gaps,
            manifest_sha256: digest,
            fingerprint,
        },
    )
}

/// The pseudonyms of a device, by day, and the days of which nobody can tell.
#[derive(Debug, Default)]
struct Behind {
    open: BTreeMap<Day, BTreeSet<String>>,
    closed: Vec<Day>,
}

impl Behind {
    fn find(rows: &Rows<'_>, days: &[Day], identity: &Identity) -> Result<Self, LogError> {
        let mut behind = Self::default();
        for day in days {
            let askers = match rows.askers(*day) {
                // Told as a gap when the rows are read.
                Err(LogError::Database { .. }) => continue,
                other => other?,
            };
            let mut sealed = askers.iter().filter(|asker| asker.sealed.is_some()).peekable();
            if sealed.peek().is_none() {
                continue;
            }
            let Some(key) = DayKey::load(rows.folder, *day)? else {
                behind.closed.push(*day);
                continue;
            };
            for asker in sealed {
                let who = asker.sealed.as_deref().and_then(|sealed| key.open(sealed));
                if who.is_some_and(|who| identity.is(&who.address, &who.device, &who.mac)) {
                    behind.open.entry(*day).or_default().insert(asker.client.clone());
                }
            }
        }
        Ok(behind)
    }

    fn is(&self, day: Day, client: &str) -> bool {
        self.open.get(&day).is_some_and(|names| names.contains(client))
    }
}

/// An address says nothing about who held it: what was one device's is not shown to another's.
fn only_one_device<'a>(
    identity: &Identity,
    asked: &str,
    known: impl Iterator<Item = &'a As>,
) -> Result<(), LogError> {
    if !identity.is_address() && !identity.is_pseudonym() {
        return Ok(());
    }
    let (mut macs, mut names) = (BTreeSet::new(), BTreeSet::new());
    for as_ in known {
        macs.extend(Some(as_.mac.as_str()).filter(|mac| !mac.is_empty()));
        names.extend(Some(as_.device.as_str()).filter(|name| !name.is_empty()));
    }
    // A pseudonym stands for an address only where no link-layer address was known.
    if (macs.len() <= 1 && names.len() <= 1) || (identity.is_pseudonym() && !macs.is_empty()) {
        return Ok(());
    }
    let all: Vec<&str> = names.into_iter().chain(macs).collect();
    Err(LogError::input(
        "--client",
        format!(
            "more than one device had the address {asked} in this time ({}); name the device, or choose --from and --to so \
         that only one had it",
            all.join(", ")
        ),
    ))
}

/// The legal holds that keep rows of the device.
fn holds_on(holds: &[Hold], identity: &Identity, from: Timestamp, to: Timestamp) -> Vec<HoldOn> {
    let covers = |hold: &&Hold| {
        let of = hold.client.as_deref();
        of.is_none_or(|client| identity.is_meant_by(client))
            && hold.is_active()
            && hold.from < to
            && from < hold.to
    };
    let holds = holds.iter().filter(covers).map(|hold| HoldOn {
        id: hold.id.clone(),
        from: hold.from,
        to: hold.to,
        made: hold.made,
        made_by: "a member of staff",
    });
    holds.collect()
}

struct Facts<'a> {
    policy: &'a Policy,
    now: Timestamp,
    zone: &'a TimeZone,
}

fn summary(
    order: &SubjectOrder,
    held: &Held,
    tally: &Tally,
    gaps: &[String],
    (from, to): (Timestamp, Timestamp),
    facts: &Facts<'_>,
) -> String {
    let zone = facts.zone;
    let mut text = String::from("WHAT IS HELD ABOUT ONE DEVICE\n\n");
    let school = &facts.policy.file().school;
    let _ = writeln!(text, "School:   {school}");
    let _ = writeln!(text, "Device:   {}", order.client);
    let _ = writeln!(text, "Made:     {}", both_times(facts.now, zone));
    let _ = writeln!(text, "From:     {}", both_times(from, zone));
    let _ = writeln!(text, "To:       {} (that moment not included)", both_times(to, zone));
    tally.write(&mut text, zone);
    text.push_str("\nWhat is missing\n");
    if gaps.is_empty() {
        text.push_str("  Nothing that the box knows of.\n");
    }
    for gap in gaps {
        let _ = writeln!(text, "  - {gap}");
    }
    if !held.holds.is_empty() {
        text.push_str("\nLegal holds, which keep rows longer than usual\n");
        for hold in &held.holds {
            let (from, to) = (both_times(hold.from, zone), both_times(hold.to, zone));
            let _ = writeln!(text, "  {}: from {from} to {to}, made by {}", hold.id, hold.made_by);
        }
    }
    text.push_str(READING);
    text
}

const READING: &str = "
What is here
  rows.csv has every question that the log holds of this device: which names it asked for, when, and what was answered.
  Each row says that the device asked for a name, not that a person saw a page. device.json has what the school wrote
  down about the device, how it was known each day, and by which lease of an address where that is known.
  Where the device was logged under a pseudonym (\"device-\" and 12 digits), its rows are here as they stand in the log, and
  device.json says which pseudonyms were its.
  Left out, since it is other people's: what other devices asked for, who else asked for the same names, and the names of
  staff. Names on lists of illegal content stand as digests (\"locked:\" and 12 digits).
  Times in rows.csv are UTC. A cell that a spreadsheet would take for a formula has an apostrophe in front.
  top_counts in device.json has the days on which it was among the devices that asked most. Counts of many devices
  together (the questions of a profile in an hour) say nothing about one and are not here.
";

/// Who stands behind a pseudonym.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Revealed {
    /// The address that asked.
    pub address: String,
    /// The name that the school gave the device; empty where it has none.
    pub device: String,
    /// The device's link-layer address; empty where it was not known.
    pub mac: String,
    /// The profile's identifier.
    pub profile: String,
    /// What the device was recognised by.
    pub known_by: String,
    /// How sure that is.
    pub confidence: String,
    /// From when to when the address was leased to the device, where that is known.
    pub lease: Option<(Timestamp, Timestamp)>,
}

/// What came of the try to reverse a pseudonym.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reversal {
    /// Who it was; more than one line, where the device had more than one address.
    Revealed(Vec<Revealed>),
    /// The log of the day has no such pseudonym.
    Unknown,
    /// There is no file of the day.
    NoDay,
    /// The key of the day was destroyed.
    NoKey,
    /// What was sealed does not open: it was changed.
    Damaged,
}

/// Reverses a pseudonym of a day, while the key of that day exists.
///
/// It is one that the log has, or one under which a device that was logged in full is shown to those who may see no
/// device. Who may do so is for the caller to see to.
///
/// # Errors
///
/// When the log or the key can't be read.
pub fn reveal(folder: &LogFolder, policy: &Policy, pseudonym: &str, day: Day) -> Result<Reversal, LogError> {
    let rows = Rows { folder, policy, from: Timestamp::MIN, to: Timestamp::MAX };
    if !folder.day(day).exists() {
        return Ok(Reversal::NoDay);
    }
    let Some(key) = DayKey::load(folder, day)? else { return Ok(Reversal::NoKey) };
    let askers = rows.askers(day)?;
    let mut named = askers.iter().filter(|asker| key.of_asker(asker) == pseudonym).peekable();
    if named.peek().is_none() {
        return Ok(Reversal::Unknown);
    }
    let revealed: Vec<Revealed> = named
        .filter_map(|asker| {
            let AskerRow { client, device, mac, .. } = asker.clone();
            let SealedIdentity { address, device, mac } = if is_pseudonym(&client) {
                asker.sealed.as_deref().and_then(|sealed| key.open(sealed))?
            } else {
                // Logged in full, and shown under the pseudonym to who may see no device.
                SealedIdentity { address: client, device, mac }
            };
            Some(Revealed {
                address,
                device,
                mac,
                profile: asker.profile.clone(),
                known_by: asker.known_by.clone(),
                confidence: asker.confidence.clone(),
                lease: asker.lease_times(),
            })
        })
        .collect();
    Ok(if revealed.is_empty() { Reversal::Damaged } else { Reversal::Revealed(revealed) })
}
