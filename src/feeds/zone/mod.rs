//! Response policy zones by zone transfer: trusts and protective DNS services hand their lists out this way.
//!
//! [`transfer`] brings the newest version of a zone into a file, which the reader of response policy zones
//! ([`Format::Rpz`](crate::lists::Format)) takes like any other; [`plan`] says when to ask again; [`Listener`] takes
//! the notices by which a primary tells of a new version. Transfers and notices are signed where there is a
//! [`TsigKey`].
//!
//! The file has the zone's SOA in its first line, then one record a line in the order of their bytes, so that two
//! versions can be compared line by line. That order is also what lets a transfer of changes be worked in while the
//! old version is read once, whatever its size.

mod answers;
mod assembly;
mod changes;
mod connection;
mod error;
mod key;
mod notify;
mod records;
mod serial;
mod sorted;
mod timers;
mod tsig;
mod wire;

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufRead, BufWriter, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use ring::rand::{SecureRandom, SystemRandom};

use self::{
    answers::Answers,
    assembly::{Assembly, Contents},
    connection::Connection,
    records::Soa,
    tsig::Verifier,
    wire::{Name, kind},
};
pub use self::{
    error::{Failure, TransferError, Try},
    key::{KeyAlgorithm, KeyConfig, KeyError, KeyProblem, TsigKey},
    notify::{Listener, News, Noticed, Subscription},
    serial::is_newer,
    timers::{History, Plan, Timers, plan},
};
use crate::{clock::Clock, lists::source::Source};

/// The port that primaries have unless another is said.
pub const PORT: u16 = 53;

/// What is to be transferred, and from whom.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The zone's name, with or without its last dot.
    pub zone: &'a str,
    /// Who has it, in the order in which they are asked.
    pub primaries: &'a [SocketAddr],
    /// The key that signs questions, and has to sign answers.
    pub key: Option<&'a TsigKey>,
    /// The version that we have, if any.
    pub have: Option<Have<'a>>,
    /// Where the new version goes; replaced whole, and only when a new version is complete.
    pub into: &'a Path,
    /// When a transfer is too much.
    pub limits: Limits,
    /// Set by another thread to stop the transfer, which takes a quarter of a second, or five while it connects.
    pub cancel: &'a AtomicBool,
    /// The time, which signatures need.
    pub clock: &'a Clock,
}

/// A version of a zone that a former transfer brought.
#[derive(Debug, Clone, Copy)]
pub struct Have<'a> {
    /// Its number.
    pub serial: u32,
    /// Its file as [`transfer`] wrote it, plain or compressed. Read only when there are changes to work in; when it is
    /// missing or of another version, the whole zone is transferred.
    pub file: &'a Path,
}

/// When a transfer is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes that a primary sends, and that the records of a transfer take as text.
    pub bytes: u64,
    /// The most records that it sends.
    pub records: u64,
    /// The longest that it is silent.
    pub silence: Duration,
    /// The longest that it takes in all.
    pub total: Duration,
}

impl Default for Limits {
    /// 512 MiB, 20 million records, 30 seconds, an hour.
    fn default() -> Self {
        Self {
            bytes: 512 * 1024 * 1024,
            records: 20_000_000,
            silence: Duration::from_secs(30),
            total: Duration::from_secs(60 * 60),
        }
    }
}

impl Limits {
    fn bytes_in_words(&self) -> String {
        match self.bytes / (1024 * 1024) {
            0 => format!("{} bytes", self.bytes),
            mebibytes => format!("{mebibytes} MiB"),
        }
    }
}

/// What a transfer led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transferred {
    /// We have the newest version.
    Current {
        /// Its number.
        serial: u32,
        /// What its SOA says about asking again.
        timers: Timers,
        /// Who said so.
        primary: SocketAddr,
    },
    /// There is a new version, in the file that was asked for.
    New {
        /// Its number.
        serial: u32,
        /// How many lines of records its file has beside the SOA.
        records: u64,
        /// What its SOA says about asking again.
        timers: Timers,
        /// Whether only changes were transferred.
        incremental: bool,
        /// Who gave it.
        primary: SocketAddr,
    },
}

/// Brings the newest version of a zone, if there is one that we don't have.
///
/// Primaries are asked in order until one answers well. A primary is asked for its version; when that is newer than
/// ours, for the changes; and when it has none, or they do not fit, for the whole zone. Blocks for as long as
/// [`Limits`] say, so it belongs on a thread of its own. Memory is bounded: about 100 MiB for a zone of any size.
///
/// # Errors
///
/// When no primary gave the zone: what each did, in plain words. When the file can't be written or the transfer is
/// cancelled, at once. The file of the version that we have, and whatever is at `into`, is then as it was.
pub fn transfer(request: &Request<'_>) -> Result<Transferred, TransferError> {
    let name = zone_name(request.zone).ok_or_else(|| TransferError::Zone(request.zone.to_owned()))?;
    let zone = name.text();
    if request.primaries.is_empty() {
        return Err(TransferError::NoPrimaries(zone));
    }
    let mut tries = Vec::new();
    for &primary in request.primaries {
        if request.cancel.load(Ordering::Relaxed) {
            return Err(TransferError::Cancelled(zone));
        }
        match (Primary { request, zone: &name, address: primary }).ask() {
            Ok(transferred) => return Ok(transferred),
            Err(Failure::Cancelled) => return Err(TransferError::Cancelled(zone)),
            Err(Failure::Write(source)) => {
                return Err(TransferError::Write { file: request.into.to_owned(), source });
            }
            Err(why) => tries.push(Try { primary, why }),
        }
    }
    Err(TransferError::Failed { zone, tries })
}

/// The number and the timers of a version that [`transfer`] wrote, by its first line; none when the file can't be read
/// or is none of this zone's.
#[must_use]
pub fn version(zone: &str, file: &Path) -> Option<(u32, Timers)> {
    let soa = first_line(&zone_name(zone)?, &mut Source::at(file).text().ok()?)?;
    Some((soa.serial, soa.timers))
}

fn first_line(zone: &Name, text: &mut impl BufRead) -> Option<Soa> {
    Soa::of_line(&sorted::read_line(text).ok()??, zone)
}

fn zone_name(zone: &str) -> Option<Name> {
    let mut name = hickory_proto::rr::Name::from_ascii(zone).ok()?;
    name.set_fqdn(true);
    // Nobody hands out the root as a list.
    Name::of(&name).filter(|name| name.wire().len() > 1)
}

/// One primary of a request.
struct Primary<'a> {
    request: &'a Request<'a>,
    zone: &'a Name,
    address: SocketAddr,
}

impl Primary<'_> {
    fn ask(&self) -> Result<Transferred, Failure> {
        let soa = self.soa()?;
        let Some(have) = self.request.have else { return self.transfer(None) };
        if soa.serial == have.serial {
            return Ok(self.current(&soa));
        }
        if !is_newer(soa.serial, have.serial) {
            return Err(Failure::Older { theirs: soa.serial, ours: have.serial });
        }
        // Nothing that changes could be worked into.
        if !have.file.exists() {
            return self.transfer(None);
        }
        match self.transfer(Some(have)) {
            Err(why) if !why.is_final() => {
                tracing::info!(zone = %self.zone.text(), primary = %self.address, %why,
                    "The changes of a zone could not be used; transferring all of it");
                self.transfer(None)
            }
            transferred => transferred,
        }
    }

    fn current(&self, soa: &Soa) -> Transferred {
        Transferred::Current { serial: soa.serial, timers: soa.timers, primary: self.address }
    }

    fn now(&self) -> u64 {
        // Before 1970 no signature holds.
        u64::try_from(self.request.clock.now().as_second()).unwrap_or(0)
    }

    /// Sends a question over a connection of its own.
    fn open(&self, kind: u16, have: Option<u32>) -> Result<(Connection<'_>, Answers<'_>), Failure> {
        let mut connection = Connection::open(self.address, &self.request.limits, self.request.cancel)?;
        let id = random_id()?;
        let mut question = wire::question(id, self.zone, kind, have);
        let verifier = self.request.key.map(|key| {
            let mac = tsig::sign(&mut question, key, None, self.now());
            Verifier::new(key, &mac)
        });
        connection.send(&question)?;
        Ok((connection, Answers::new(self.zone, id, kind, verifier)))
    }

    /// The primary's version. Over TCP, since a forged answer could keep us from every later version.
    fn soa(&self) -> Result<Soa, Failure> {
        let (mut connection, mut answers) = self.open(kind::SOA, None)?;
        let mut bytes = Vec::new();
        connection.receive(&mut bytes)?;
        let message = answers.take(&bytes, self.now())?;
        answers.finish()?;
        if !message.is_authoritative() {
            return Err(Failure::NoZone("it answers at second hand"));
        }
        for record in message.answers() {
            let record = record?;
            if record.kind == kind::SOA && record.owner == *self.zone {
                return Ok(Soa::read(&record)?);
            }
        }
        Err(Failure::NoZone("it answers without an SOA record"))
    }

    /// The zone, or what has changed in it since the version that we have.
    fn transfer(&self, have: Option<Have<'_>>) -> Result<Transferred, Failure> {
        let limits = &self.request.limits;
        let asked = have.map(|have| have.serial);
        let kind = if have.is_some() { kind::IXFR } else { kind::AXFR };
        let (mut connection, mut answers) = self.open(kind, asked)?;
        let mut assembly = Assembly::new(self.zone, asked, limits, self.request.into);
        let mut bytes = Vec::new();
        while !assembly.is_complete() {
            connection.receive(&mut bytes)?;
            assembly.take(&answers.take(&bytes, self.now())?)?;
        }
        answers.finish()?;
        let (soa, contents) = assembly.finish()?;
        if let Some(ours) = self.request.have
            && !matches!(contents, Contents::Current)
            && !is_newer(soa.serial, ours.serial)
        {
            return Err(Failure::Older { theirs: soa.serial, ours: ours.serial });
        }
        let (records, incremental) = match contents {
            // It said otherwise a moment ago, so this is another server or an older version.
            Contents::Current if asked == Some(soa.serial) => return Ok(self.current(&soa)),
            Contents::Current => {
                return Err(Failure::Older { theirs: soa.serial, ours: asked.unwrap_or_default() });
            }
            Contents::Whole(sorter) => (write(self.request.into, &soa, |out| Ok(sorter.write(out)?))?, false),
            Contents::Changes(changes) => {
                // Only a question with a version leads to changes.
                let Some(have) = have else { return Err(Failure::OtherQuestion) };
                let mut old = open_version(self.zone, have)?;
                let written = write(self.request.into, &soa, |out| Ok(changes.write(&mut old, out)?))?;
                (written, true)
            }
        };
        let (serial, timers) = (soa.serial, soa.timers);
        Ok(Transferred::New { serial, records, timers, incremental, primary: self.address })
    }
}

/// The records of the version that we have.
fn open_version(zone: &Name, have: Have<'_>) -> Result<impl BufRead + use<>, Failure> {
    let mut text = Source::at(have.file)
        .text()
        .map_err(|error| Failure::Changes(format!("the version that we have can't be read ({error})")))?;
    match first_line(zone, &mut text) {
        Some(soa) if soa.serial == have.serial => Ok(text),
        _ => {
            let file = have.file.display();
            Err(Failure::Changes(format!("{file} does not hold version {} of the zone", have.serial)))
        }
    }
}

/// Writes a version beside its file, and puts it there when it is whole.
fn write(
    into: &Path,
    soa: &Soa,
    records: impl FnOnce(&mut BufWriter<File>) -> Result<u64, WriteFailure>,
) -> Result<u64, Failure> {
    let mut beside = OsString::from(into);
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let written = (|| {
        let mut out = BufWriter::new(File::create(&beside)?);
        out.write_all(&soa.line)?;
        out.write_all(b"\n")?;
        let count = records(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&beside, into)?;
        Ok(count)
    })();
    written.map_err(|failure: WriteFailure| {
        // Best effort: the error that counts is the one returned.
        let _ = fs::remove_file(&beside);
        failure.0
    })
}

/// A failure while writing, where an I/O error is one of the file written.
struct WriteFailure(Failure);

impl From<io::Error> for WriteFailure {
    fn from(error: io::Error) -> Self {
        Self(Failure::Write(error))
    }
}

impl From<changes::Unfit> for WriteFailure {
    fn from(unfit: changes::Unfit) -> Self {
        Self(unfit.into())
    }
}

fn random_id() -> Result<u16, Failure> {
    let mut id = [0; 2];
    SystemRandom::new()
        .fill(&mut id)
        .map_err(|_| Failure::Broken(io::Error::other("this machine gives no random numbers")))?;
    Ok(u16::from_be_bytes(id))
}

/// What the messages of an unsigned transfer, each with its length before it, make of a version's text; for fuzzing.
///
/// The first message's id is taken for the question's.
///
/// # Errors
///
/// As [`transfer`] would tell it.
#[doc(hidden)]
pub fn assemble(zone: &str, have: Option<&str>, mut stream: &[u8]) -> Result<String, String> {
    let zone = zone_name(zone).ok_or("no zone")?;
    let mut old = have.unwrap_or_default().as_bytes();
    let had = first_line(&zone, &mut old).map(|soa| soa.serial);
    let limits = Limits { bytes: 1 << 20, records: 10_000, ..Limits::default() };
    let mut assembly = Assembly::new(&zone, had, &limits, Path::new("/nonexistent/zone"));
    let kind = if had.is_some() { kind::IXFR } else { kind::AXFR };
    let id = stream.get(2..4).map_or(0, |id| u16::from_be_bytes([id[0], id[1]]));
    let mut answers = Answers::new(&zone, id, kind, None);
    while !assembly.is_complete() {
        let (length, rest) = stream.split_first_chunk::<2>().ok_or("cut off")?;
        let length = usize::from(u16::from_be_bytes(*length));
        let bytes = rest.get(..length).ok_or("cut off")?;
        stream = &rest[length..];
        let told = |failure: Failure| failure.to_string();
        assembly.take(&answers.take(bytes, 0).map_err(told)?).map_err(told)?;
    }
    let (soa, contents) = assembly.finish().map_err(|failure| failure.to_string())?;
    let mut out = [&soa.line[..], b"\n"].concat();
    match contents {
        Contents::Current => {}
        Contents::Whole(sorter) => drop(sorter.write(&mut out).map_err(|error| error.to_string())?),
        Contents::Changes(changes) => {
            changes.write(&mut old, &mut out).map_err(|unfit| unfit.to_string())?;
        }
    }
    String::from_utf8(out).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
