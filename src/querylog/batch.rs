//! A batch: what the queues held at one moment, in the order of time, on its way to the files of its days.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    day::{
        DAY_MS,
        rows::{AskerRow, FateRow, QuestionRow},
        write::DayWriter,
    },
    error::LogError,
    event::{Action, known_by, security_word, source_word},
    flood::Floods,
    names::Names,
    privacy::{DayKey, SealedIdentity},
    queue::{Buffer, QueuedAsker, QueuedEvent, QueuedFate},
    search::rows::{Raw, Words},
    sink::{self, Item, Sinks},
};
use crate::{
    clock::Day,
    policy::{LogLevel, Policy},
    resolver::AnswerSource,
    vault::Vault,
};

/// What the queues held at one moment.
#[derive(Debug, Default)]
pub(super) struct Batch {
    buffers: Vec<Buffer>,
    /// The events in the order of time: buffer and place.
    order: Vec<(u32, u32)>,
    /// How many of them are in a file for good.
    written: usize,
    /// Losses that no file has yet.
    losses: Vec<Loss>,
}

/// Questions that have no row.
#[derive(Debug, Clone, Copy)]
struct Loss {
    questions: u64,
    from_ms: i64,
    until_ms: i64,
    reason: &'static str,
}

/// What the rows of a batch are written with.
pub(super) struct Means<'a> {
    pub(super) names: &'a mut Names,
    pub(super) floods: &'a mut Floods,
    /// There, where a row needs a pseudonym.
    pub(super) key: Option<&'a DayKey>,
    pub(super) vault: Option<&'a Vault>,
    /// There, where somebody collects what is written.
    pub(super) collected: Option<&'a mut Collected>,
}

/// Rows for those who collect them: as many as find room, and how many more there were.
#[derive(Debug, Default)]
pub(super) struct Collected {
    rows: Vec<(Raw, Option<Bytes>)>,
    lost: u64,
    /// The policy that decided the last of them.
    policy: Option<Arc<Policy>>,
}

impl Collected {
    /// Hands the rows on, as the log shows them. Called when they are in the file for good.
    pub(super) fn send(&self, to: &Sinks, writer: &DayWriter) -> rusqlite::Result<()> {
        let Some(policy) = &self.policy else { return Ok(()) };
        let mut words = Words::new(writer.connection(), policy, writer.day());
        let items = self
            .rows
            .iter()
            .map(|(row, reply)| Ok(Item { entry: Arc::new(words.entry(row)?), reply: reply.clone() }));
        to.offer(&items.collect::<rusqlite::Result<Vec<_>>>()?);
        to.lose(self.lost);
        Ok(())
    }
}

/// An asker as the file of the day has it.
struct Asker {
    /// None where no row is to have it.
    number: Option<i64>,
    level: LogLevel,
    /// Names of help lines are not written down.
    help_unnamed: bool,
}

/// A fate as the file of the day has it.
struct Fate {
    row: FateRow,
    number: Option<i64>,
    profile: String,
    /// How many questions had it, in the hour that is being counted.
    questions: u64,
}

/// How many questions of an hour took how long: for each source, by the bits of their microseconds.
struct Latency([[u64; Self::BUCKETS]; AnswerSource::ALL.len()]);

impl Latency {
    const BUCKETS: usize = u32::BITS as usize + 1;

    fn add(&mut self, source: AnswerSource, took: u32) {
        self.0[source as usize][(u32::BITS - took.leading_zeros()) as usize] += 1;
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self([[0; Self::BUCKETS]; AnswerSource::ALL.len()])
    }
}

/// What one buffer's places are in the file of the day, as far as they were needed.
#[derive(Default)]
struct Numbers {
    askers: Vec<Option<Asker>>,
    fates: Vec<Option<Fate>>,
}

impl Batch {
    /// A batch of what was taken from the queues. `loss` says why events were lost, where some were.
    pub(super) fn new(buffers: Vec<Buffer>, loss: &'static str) -> Self {
        let mut order: Vec<(i64, u32, u32)> =
            Vec::with_capacity(buffers.iter().map(|buffer| buffer.events.len()).sum());
        let mut losses = Vec::new();
        for (buffer, number) in buffers.iter().zip(0..) {
            order.extend(buffer.events.iter().zip(0..).map(|(event, place)| (event.at_ms, number, place)));
            let lost = buffer.lost;
            if lost.questions > 0 {
                let (from_ms, until_ms) = (lost.from_ms, lost.until_ms);
                losses.push(Loss { questions: lost.questions, from_ms, until_ms, reason: loss });
            }
        }
        order.sort_unstable();
        let order = order.into_iter().map(|(_, buffer, place)| (buffer, place)).collect();
        Self { buffers, order, written: 0, losses }
    }

    /// Whether everything in it is in a file.
    pub(super) fn is_empty(&self) -> bool {
        self.next_day().is_none()
    }

    /// How many questions it has, those that were lost not among them.
    pub(super) fn questions(&self) -> u64 {
        self.order.len() as u64
    }

    /// How many of its questions are in no file yet.
    pub(super) fn left(&self) -> u64 {
        (self.order.len() - self.written) as u64
    }

    /// How many questions were lost before it could have them.
    pub(super) fn lost(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.lost.questions).sum()
    }

    /// Gives the buffers back.
    pub(super) fn into_buffers(self) -> Vec<Buffer> {
        self.buffers
    }

    /// The day to be written next; none when all is written.
    pub(super) fn next_day(&self) -> Option<Day> {
        let event = self.order.get(self.written).map(|place| day_of(self.event(*place).at_ms));
        event.or_else(|| self.losses.first().map(|loss| day_of(loss.from_ms)))
    }

    /// Whether one of the day's rows stands under a pseudonym.
    pub(super) fn wants_key(&self) -> bool {
        self.buffers.iter().any(|buffer| {
            buffer.askers.iter().any(|asker| {
                buffer.policies.get(asker.policy as usize).is_some_and(|policy| {
                    !asker.stranger && policy.log_level(asker.client.profile) == LogLevel::Pseudonymous
                })
            })
        })
    }

    /// Writes what it has of a day, without a commit; says up to where that is, for [`done`](Self::done).
    pub(super) fn write_day(
        &self,
        day: Day,
        writer: &mut DayWriter,
        mut with: Means<'_>,
    ) -> Result<usize, LogError> {
        let mut numbers: Vec<Numbers> = self.buffers.iter().map(Numbers::of).collect();
        let mut flood: Option<Loss> = None;
        let mut latency = Latency::default();
        let mut hour = None;
        let mut end = self.written;
        for place in &self.order[self.written..] {
            let event = self.event(*place);
            if day_of(event.at_ms) != day {
                break;
            }
            end += 1;
            let ms = event.at_ms.rem_euclid(DAY_MS);
            let now = (ms / 3_600_000) as u8;
            if hour.replace(now).is_some_and(|before| before != now) {
                count(writer, now - 1, &mut numbers, &mut latency)?;
            }
            let buffer = &self.buffers[place.0 as usize];
            let numbers = &mut numbers[place.0 as usize];
            let row = Row { buffer, event, ms };
            if !row.write(writer, numbers, &mut latency, &mut with)? {
                let loss = flood.get_or_insert(Loss {
                    questions: 0,
                    from_ms: event.at_ms,
                    until_ms: event.at_ms,
                    reason: "flood",
                });
                loss.questions += 1;
                loss.until_ms = event.at_ms;
            }
        }
        if let Some(hour) = hour {
            count(writer, hour, &mut numbers, &mut latency)?;
        }
        for loss in self.losses.iter().filter(|loss| day_of(loss.from_ms) == day).chain(&flood) {
            writer.unkept(loss.from_ms, loss.until_ms, loss.questions, loss.reason)?;
        }
        Ok(end)
    }

    /// What was written of a day, up to `end`, is committed.
    pub(super) fn done(&mut self, day: Day, end: usize) {
        self.written = end;
        self.losses.retain(|loss| day_of(loss.from_ms) != day);
    }

    fn event(&self, (buffer, place): (u32, u32)) -> &QueuedEvent {
        &self.buffers[buffer as usize].events[place as usize]
    }
}

fn day_of(at_ms: i64) -> Day {
    Day::from_number(u16::try_from(at_ms.div_euclid(DAY_MS).max(0)).unwrap_or(u16::MAX))
}

/// Writes the counts of an hour, and begins anew.
fn count(
    writer: &mut DayWriter,
    hour: u8,
    numbers: &mut [Numbers],
    latency: &mut Latency,
) -> Result<(), LogError> {
    for fate in numbers.iter_mut().flat_map(|numbers| numbers.fates.iter_mut().flatten()) {
        let questions = std::mem::take(&mut fate.questions);
        if questions > 0 {
            let category = if fate.row.category.is_empty() {
                fate.row.categories.split(' ').next().unwrap_or_default()
            } else {
                &fate.row.category
            };
            writer.count(hour, &fate.profile, category, fate.row.action, questions)?;
        }
    }
    for (source, buckets) in AnswerSource::ALL.into_iter().zip(std::mem::take(latency).0) {
        for (questions, bucket) in buckets.into_iter().zip(0..).filter(|(questions, _)| *questions > 0) {
            writer.latency(hour, source_word(source), bucket, questions)?;
        }
    }
    Ok(())
}

/// One question on its way to its row.
struct Row<'a> {
    buffer: &'a Buffer,
    event: &'a QueuedEvent,
    /// The millisecond of the day.
    ms: i64,
}

impl Row<'_> {
    /// Counts the question, and writes its row where it is to have one; false where it has none because of a flood.
    fn write(
        &self,
        writer: &mut DayWriter,
        numbers: &mut Numbers,
        latency: &mut Latency,
        with: &mut Means<'_>,
    ) -> Result<bool, LogError> {
        let Self { buffer, event, ms } = *self;
        let queued = &buffer.askers[event.asker as usize];
        let queued_fate = &buffer.fates[event.fate as usize];
        let policy = &buffer.policies[queued_fate.policy as usize];
        let fate = numbers.fates[event.fate as usize]
            .get_or_insert_with(|| Fate::of(queued_fate, policy, queued.stranger));
        let asker = numbers.askers[event.asker as usize].get_or_insert_with(|| Asker::of(queued, policy));
        fate.questions += 1;
        latency.add(queued_fate.source(), event.took);

        let blocked = fate.row.action == Action::Blocked || fate.row.alert || !fate.row.would.is_empty();
        if asker.level == LogLevel::BlockedOnly && !blocked {
            return Ok(true);
        }
        let key = buffer.texts(event).0;
        let known = with.names.find(key, policy);
        if known.help && asker.help_unnamed {
            return Ok(true);
        }
        if matches!(fate.row.action, Action::Limited | Action::Refused)
            && !with.floods.admits(queued.client.address, event.at_ms)
        {
            return Ok(false);
        }
        let asker = match asker.number {
            Some(number) => number,
            None => {
                let row = asker_row(queued, policy, asker.level, with.key)?;
                *asker.number.insert(writer.asker(&row)?)
            }
        };
        let fate = match fate.number {
            Some(number) => number,
            None => *fate.number.insert(writer.fate(&fate.row)?),
        };
        let name = with.names.number(key, known, policy, writer, with.vault)?;
        let at = writer.question(&QuestionRow { ms, asker, name, fate, took: event.took })?;
        if let Some(collected) = with.collected.as_deref_mut() {
            if collected.rows.len() < sink::QUEUE {
                let row = Raw { at, asker, name, fate, took: event.took.into() };
                let reply = buffer.texts(event).1;
                let reply = (!reply.is_empty()).then(|| Bytes::copy_from_slice(reply));
                collected.rows.push((row, reply));
                collected.policy = Some(Arc::clone(policy));
            } else {
                collected.lost += 1;
            }
        }
        Ok(true)
    }
}

impl Numbers {
    fn of(buffer: &Buffer) -> Self {
        let mut numbers = Self::default();
        numbers.askers.resize_with(buffer.askers.len(), || None);
        numbers.fates.resize_with(buffer.fates.len(), || None);
        numbers
    }
}

impl Asker {
    fn of(queued: &QueuedAsker, policy: &Policy) -> Self {
        let profile = queued.client.profile;
        let level = if queued.stranger { LogLevel::Full } else { policy.log_level(profile) };
        Self { number: None, level, help_unnamed: policy.hides_help_lines(profile) }
    }
}

impl Fate {
    fn of(queued: &QueuedFate, policy: &Policy, stranger: bool) -> Self {
        let fate = queued.fate();
        let words = match fate.decision {
            Ok(decision) => policy.words(decision, queued.profile),
            Err(refusal) => crate::policy::DecisionWords { reason: refusal.word(), ..Default::default() },
        };
        let row = FateRow {
            transport: fate.transport.word().to_owned(),
            qtype: fate.qtype.to_string(),
            rcode: rcode_word(fate.rcode),
            action: fate.action(),
            reason: words.reason.to_owned(),
            category: words.category,
            list: words.list,
            rule: words.rule,
            detail: words.detail,
            would: words.would,
            categories: words.categories.join(" "),
            dnssec: security_word(fate.security).to_owned(),
            source: source_word(fate.source).to_owned(),
            alert: words.alert,
        };
        let profile = if stranger { String::new() } else { policy.profile(queued.profile).0.to_owned() };
        Self { row, number: None, profile, questions: 0 }
    }
}

/// Who asked, as far as the profile lets it be written down.
fn asker_row(
    queued: &QueuedAsker,
    policy: &Policy,
    level: LogLevel,
    key: Option<&DayKey>,
) -> Result<AskerRow, LogError> {
    let client = &queued.client;
    if queued.stranger {
        return Ok(AskerRow {
            client: client.address.to_string(),
            known_by: String::from("nothing"),
            confidence: String::from("none"),
            ..AskerRow::default()
        });
    }
    let (known_by, confidence) = known_by(client, policy.device_has_mac(client.device));
    let identity = SealedIdentity {
        address: client.address.to_string(),
        device: client.device.and_then(|place| policy.device(place)).unwrap_or_default().to_owned(),
        mac: client.mac.map(|mac| mac.to_string()).unwrap_or_default(),
    };
    let row = AskerRow {
        profile: policy.profile(client.profile).0.to_owned(),
        known_by: known_by.word().to_owned(),
        confidence: confidence.word().to_owned(),
        ..AskerRow::default()
    };
    match level {
        LogLevel::Full | LogLevel::BlockedOnly => {
            Ok(AskerRow { client: identity.address, device: identity.device, mac: identity.mac, ..row })
        }
        LogLevel::Pseudonymous => {
            // Rather no row than one that says who it was.
            let key = key.ok_or(LogError::Stopped)?;
            let sealed = Some(key.seal(&identity));
            Ok(AskerRow { client: key.of_device(&identity.address, &identity.mac), sealed, ..row })
        }
    }
}

/// The mnemonic of a response code, as in RFC 1035 and the registry: `NOERROR`, `NXDOMAIN`.
fn rcode_word(rcode: hickory_proto::op::ResponseCode) -> String {
    use hickory_proto::op::ResponseCode;
    match rcode {
        ResponseCode::NoError => String::from("NOERROR"),
        ResponseCode::FormErr => String::from("FORMERR"),
        ResponseCode::ServFail => String::from("SERVFAIL"),
        ResponseCode::NXDomain => String::from("NXDOMAIN"),
        ResponseCode::NotImp => String::from("NOTIMP"),
        ResponseCode::Refused => String::from("REFUSED"),
        ResponseCode::BADVERS => String::from("BADVERS"),
        other => format!("RCODE{}", u16::from(other)),
    }
}
