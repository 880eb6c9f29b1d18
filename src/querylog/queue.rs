//! The door's inside: one queue for each answering thread, and what becomes of an event that finds it full.
//!
//! A queue is a buffer behind a lock that only its own thread and the writer know. The thread holds it while it copies
//! an event, the writer while it takes the whole buffer and leaves an empty one: nobody waits for a disk, or for another
//! thread that answers. What many events have in common (who asked, what became of it, the policy that decided) stands
//! in a buffer once.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasher, Hash},
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::SyncSender,
    },
};

use foldhash::fast::RandomState;

use super::{
    event::{Event, Fate, Refusal},
    recorder::Command,
};
use crate::{
    clients::{Client, ProfileId},
    policy::{Decision, Policy},
    resolver::AnswerSource,
};

/// What all queues together hold at most, in bytes; the writer may hold as much again while it writes.
pub(super) const ALL: usize = 8 << 20;

/// What one queue holds at least, whatever the number of processors.
const LEAST: usize = 512 << 10;

/// How many bytes of room an emptied buffer keeps for events, and for their names: enough for some ten thousand events a second.
const KEPT: usize = 256 << 10;

/// How many fates are looked at before the table is: a block and an answer for each of the usual types.
const LAST_FATES: usize = 4;

/// All queues of one log.
#[derive(Debug)]
pub(super) struct Queues {
    /// Tells the log apart from others in the same process, whose queues a thread may have too.
    number: u64,
    all: Mutex<Vec<Arc<Queue>>>,
    /// Bytes of each queue.
    most: usize,
    hasher: RandomState,
    /// Where the writer is told that a queue fills.
    wake: SyncSender<Command>,
    /// Whether whole replies are kept, for those who collect them.
    replies: bool,
}

/// The queue of one thread.
#[derive(Debug, Default)]
struct Queue {
    buffer: Mutex<Buffer>,
}

/// Events of one thread, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    pub(super) policies: Vec<Arc<Policy>>,
    pub(super) askers: Vec<QueuedAsker>,
    pub(super) fates: Vec<QueuedFate>,
    pub(super) events: Vec<QueuedEvent>,
    pub(super) lost: Lost,
    /// Names and replies, one behind the other.
    bytes: Vec<u8>,
    /// Places of askers and fates by their hash. Two of one hash are kept twice, which does no harm.
    places: HashMap<u64, u32, RandomState>,
    /// Places of the last asker and of the fates that were met last: most questions have one of them.
    last_asker: u32,
    last_fates: [u32; LAST_FATES],
    /// Bytes that the events take, about.
    cost: usize,
    /// The writer was told that it fills.
    told: bool,
}

/// Who asked some of the events.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct QueuedAsker {
    /// The place of the policy that knew it.
    pub(super) policy: u32,
    pub(super) client: Client,
    /// It is in no network that is served.
    pub(super) stranger: bool,
}

/// What became of some of the events.
#[derive(Debug, Clone)]
pub(super) struct QueuedFate {
    /// The place of the policy that decided.
    pub(super) policy: u32,
    /// The profile that it decided for.
    pub(super) profile: ProfileId,
    /// Its decision in an owned form.
    decision: Result<Decision, Refusal>,
    /// The rest; what it says of the decision is of no use.
    rest: Fate<'static>,
}

/// One event, with the places of what it shares with others.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueuedEvent {
    /// Milliseconds since 1970.
    pub(super) at_ms: i64,
    pub(super) asker: u32,
    pub(super) fate: u32,
    /// Microseconds.
    pub(super) took: u32,
    start: u32,
    reply: u16,
    name: u8,
}

/// Events that found a queue full.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lost {
    pub(super) questions: u64,
    /// Milliseconds since 1970, of the first and the last.
    pub(super) from_ms: i64,
    pub(super) until_ms: i64,
}

impl QueuedFate {
    /// Where the answer came from.
    pub(super) fn source(&self) -> AnswerSource {
        self.rest.source
    }

    /// The fate, as it was handed in.
    pub(super) fn fate(&self) -> Fate<'_> {
        Fate { decision: self.decision.as_ref().map_err(|refusal| *refusal), ..self.rest }
    }
}

impl Lost {
    fn add(&mut self, at_ms: i64) {
        if self.questions == 0 {
            (self.from_ms, self.until_ms) = (at_ms, at_ms);
        }
        self.questions += 1;
        self.from_ms = self.from_ms.min(at_ms);
        self.until_ms = self.until_ms.max(at_ms);
    }
}

impl Buffer {
    /// The key of the event's name (the bytes of a [`Key`](crate::name::Key)), and its reply; empty where none was kept.
    pub(super) fn texts(&self, event: &QueuedEvent) -> (&[u8], &[u8]) {
        let name = event.start as usize;
        let reply = name + usize::from(event.name);
        let end = reply + usize::from(event.reply);
        // Both were written by `push`; a place outside is a place of another buffer.
        (self.bytes.get(name..reply).unwrap_or_default(), self.bytes.get(reply..end).unwrap_or_default())
    }

    fn clear(&mut self) {
        self.policies.clear();
        self.askers.clear();
        self.fates.clear();
        self.events.clear();
        self.bytes.clear();
        self.places.clear();
        self.lost = Lost::default();
        (self.cost, self.told) = (0, false);
    }

    fn push(&mut self, policy: &Arc<Policy>, event: &Event<'_>, hasher: &RandomState, replies: bool) {
        let policy = self.policy(policy);
        let asker = QueuedAsker {
            policy,
            client: event.client.clone(),
            stranger: event.fate.decision == Err(Refusal::Network),
        };
        let asker = self.asker(asker, hasher);
        let fate = self.fate(policy, event, hasher);
        let name = event.name.as_bytes();
        let reply = event.reply.filter(|reply| replies && reply.len() <= usize::from(u16::MAX));
        let reply = reply.unwrap_or_default();
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(reply);
        self.events.push(QueuedEvent {
            at_ms: event.at.as_millisecond(),
            asker,
            fate,
            took: event.took,
            // A queue has some megabytes, a key up to 253 bytes, and longer replies were left out above.
            start: start as u32,
            reply: reply.len() as u16,
            name: name.len() as u8,
        });
        self.cost += size_of::<QueuedEvent>() + name.len() + reply.len();
    }

    /// The place of a policy, which is nearly always the last.
    fn policy(&mut self, policy: &Arc<Policy>) -> u32 {
        let place = self.policies.iter().rposition(|known| Arc::ptr_eq(known, policy)).unwrap_or_else(|| {
            self.policies.push(Arc::clone(policy));
            self.policies.len() - 1
        });
        place as u32
    }

    fn asker(&mut self, asker: QueuedAsker, hasher: &RandomState) -> u32 {
        if self.askers.get(self.last_asker as usize) != Some(&asker) {
            self.last_asker = self.find_asker(asker, hasher);
        }
        self.last_asker
    }

    fn find_asker(&mut self, asker: QueuedAsker, hasher: &RandomState) -> u32 {
        let hash = hasher.hash_one((0u8, &asker));
        if let Some(&place) = self.places.get(&hash)
            && self.askers.get(place as usize) == Some(&asker)
        {
            return place;
        }
        let place = self.askers.len() as u32;
        self.places.insert(hash, place);
        self.askers.push(asker);
        self.cost += size_of::<QueuedAsker>() + 32;
        place
    }

    fn fate(&mut self, policy: u32, event: &Event<'_>, hasher: &RandomState) -> u32 {
        let known = self.last_fates.iter().position(|&place| self.is_fate(place, policy, event));
        if let Some(known) = known {
            return self.last_fates[known];
        }
        self.last_fates.rotate_right(1);
        self.last_fates[0] = self.find_fate(policy, event, hasher);
        self.last_fates[0]
    }

    fn is_fate(&self, place: u32, policy: u32, event: &Event<'_>) -> bool {
        self.fates.get(place as usize).is_some_and(|known| {
            (known.policy, known.profile) == (policy, event.client.profile) && known.fate() == *event.fate
        })
    }

    fn find_fate(&mut self, policy: u32, event: &Event<'_>, hasher: &RandomState) -> u32 {
        let profile = event.client.profile;
        let hash = hasher.hash_one((1u8, policy, profile, event.fate));
        if let Some(&place) = self.places.get(&hash)
            && self.is_fate(place, policy, event)
        {
            return place;
        }
        let place = self.fates.len() as u32;
        self.places.insert(hash, place);
        self.fates.push(QueuedFate {
            policy,
            profile,
            decision: event.fate.decision.cloned(),
            rest: Fate { decision: Err(Refusal::Internal), ..*event.fate },
        });
        self.cost += size_of::<QueuedFate>() + 64;
        place
    }
}

thread_local! {
    /// This thread's queues, one for each log in the process: one, but in tests.
    static MINE: RefCell<Vec<(u64, Arc<Queue>)>> = const { RefCell::new(Vec::new()) };
}

impl Queues {
    /// Queues that wake the writer through `wake` and hold `all` bytes together; `replies` says whether whole replies are
    /// kept.
    pub(super) fn new(wake: SyncSender<Command>, all: usize, replies: bool) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            number: NUMBERS.fetch_add(1, Relaxed),
            all: Mutex::default(),
            most: (all / threads).max(LEAST),
            hasher: RandomState::default(),
            wake,
            replies,
        }
    }

    /// Copies an event to the queue of this thread. Never waits for the disk; a full queue counts it as lost.
    pub(super) fn push(&self, policy: &Arc<Policy>, event: &Event<'_>) {
        MINE.with_borrow_mut(|mine| {
            let place = mine.iter().position(|(number, _)| *number == self.number).unwrap_or_else(|| {
                // Those of logs that ended have nobody left but this thread.
                mine.retain(|(_, queue)| Arc::strong_count(queue) > 1);
                mine.push((self.number, self.enter()));
                mine.len() - 1
            });
            let mut buffer = mine[place].1.buffer.lock().unwrap_or_else(PoisonError::into_inner);
            if buffer.cost >= self.most {
                buffer.lost.add(event.at.as_millisecond());
                return;
            }
            buffer.push(policy, event, &self.hasher, self.replies);
            if !buffer.told && buffer.cost >= self.most / 2 {
                buffer.told = true;
                // It is awake already where this finds no room.
                let _ = self.wake.try_send(Command::Wake);
            }
        });
    }

    /// A new queue for the thread that calls.
    fn enter(&self) -> Arc<Queue> {
        let queue = Arc::<Queue>::default();
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&queue));
        queue
    }

    /// Takes what is in each queue, and leaves an empty buffer, one of `spare` where there is one.
    pub(super) fn take(&self, spare: &mut Vec<Buffer>, taken: &mut Vec<Buffer>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        // A thread that ended fills its queue no more: the last time that it is emptied is the last.
        let ended: Vec<bool> = all.iter().map(|queue| Arc::strong_count(queue) == 1).collect();
        for queue in all.iter() {
            let mut buffer = queue.buffer.lock().unwrap_or_else(PoisonError::into_inner);
            if buffer.events.is_empty() && buffer.lost.questions == 0 {
                continue;
            }
            let empty = spare.pop().unwrap_or_default();
            taken.push(mem::replace(&mut buffer, empty));
        }
        let mut ended = ended.into_iter();
        all.retain(|_| !ended.next().unwrap_or(false));
    }

    /// How full the fullest queue is, from 0 to 1.
    pub(super) fn fill(&self) -> f64 {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let most = all
            .iter()
            .map(|queue| queue.buffer.lock().unwrap_or_else(PoisonError::into_inner).cost)
            .max()
            .unwrap_or(0);
        most as f64 / self.most as f64
    }
}

/// Makes a buffer that was written ready for new events. Its room is kept, but for that of a flood.
pub(super) fn emptied(mut buffer: Buffer) -> Buffer {
    buffer.clear();
    buffer.events.shrink_to(KEPT / size_of::<QueuedEvent>());
    buffer.bytes.shrink_to(KEPT);
    buffer
}
