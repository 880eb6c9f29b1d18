//! One cached answer: a whole DNS message as bytes, and how long it may be used.
//!
//! Bytes rather than records, since an answer of four records takes 150 bytes so and over 1,000 as records, and a
//! reader that answers from the bytes has nothing to build.

use std::{
    mem::size_of,
    sync::{
        Mutex, OnceLock, TryLockError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
};

use hickory_proto::{
    op::{Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA},
    },
    serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder, Restrict},
};
use smallvec::SmallVec;

use crate::{
    delegation::Delegations,
    ede::Ede,
    name::Key,
    policy::AnswerFacts,
    resolver::{Security, records::is_extra},
};

/// Length of a message's header, and so the place of the question's name.
const HEADER: usize = 12;

/// The longest message that is kept; longer ones answer the question that brought them and no other.
const LONGEST: usize = 16 * 1024;

/// A pointer's two highest bits (RFC 1035, section 4.1.4).
const POINTER: u8 = 0xc0;

/// A question as the cache knows it: lower-case labels, then the type.
///
/// With one byte more, it is the same question for clients that validate for themselves (CD).
pub(crate) type QuestionKey = SmallVec<[u8; 96]>;

/// Makes the key of a question; `apart` makes the one for CD.
pub(crate) fn question_key(query: &Query, apart: bool) -> QuestionKey {
    let mut key = QuestionKey::new();
    for label in query.name().iter() {
        // A label has at most 63 bytes.
        key.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        let from = key.len();
        key.extend_from_slice(label);
        key[from..].make_ascii_lowercase();
    }
    key.push(0);
    key.extend_from_slice(&u16::from(query.query_type()).to_be_bytes());
    if apart {
        key.push(1);
    }
    key
}

/// Whether a question's key is about this name (labels as in a message, the root's empty one last) or one below it.
pub(crate) fn is_below(key: &[u8], name: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&length) = key.get(at) {
        if key[at..].starts_with(name) {
            return true;
        }
        if length == 0 {
            return false;
        }
        at += 1 + usize::from(length);
    }
    false
}

/// One answer, immutable but for what is counted.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Header, question and records, names compressed; the ID is 0, owner names equal to the question's are pointers to
    /// it, TTLs are those at the start.
    wire: Box<[u8]>,
    /// The same without DNSSEC records, made when it is first wanted; never where there are none in it.
    plain: OnceLock<Option<Box<[u8]>>>,
    /// It has DNSSEC records that were not asked for by themselves.
    signed: bool,
    /// What a policy (by its number) says of the answer, whoever asks. Nobody waits for it.
    facts: Mutex<Option<(u64, AnswerFacts)>>,
    /// How many bytes of the question's key somebody registered; 0 where nobody did.
    registrable: u8,
    /// What is to be said about it.
    pub(crate) ede: Box<[Ede]>,
    /// The delegations that it came from.
    pub(crate) delegations: Delegations,
    /// When its life started, in milliseconds of the cache's time.
    pub(crate) stored: u64,
    /// Seconds of its life; 0 when it is for the waiting questions only.
    pub(crate) lifetime: u32,
    /// Seconds after `stored` past which it isn't even given as stale.
    pub(crate) stale_until: u32,
    pub(crate) rcode: ResponseCode,
    pub(crate) security: Security,
    /// It comes from a zone of the school's own.
    pub(crate) own_zone: bool,
    /// The bytes of `delegations` that this entry was the first to hold; counted once, as they are shared later.
    first_of: u32,
    /// How often it was used, up to 255.
    hits: AtomicU8,
    /// It was chosen to be fetched anew before it runs out.
    pub(crate) refreshing: AtomicBool,
}

/// What an entry is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) ede: Vec<Ede>,
    pub(crate) stored: u64,
    pub(crate) lifetime: u32,
    pub(crate) stale_until: u32,
    pub(crate) rcode: ResponseCode,
    pub(crate) security: Security,
    pub(crate) own_zone: bool,
    pub(crate) delegations: Delegations,
}

/// Which TTLs records get when they are read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ttl {
    /// Their own, less this many seconds.
    Elapsed(u32),
    /// All the same.
    Fixed(u32),
}

impl Entry {
    /// Packs an answer; none when it is not one that a DNS message can hold.
    pub(crate) fn pack(query: &Query, mut parts: Parts) -> Option<Self> {
        let mut question = query.clone();
        question.set_name(query.name().to_lowercase());
        for record in parts.answers.iter_mut().chain(&mut parts.authorities) {
            if record.name == *question.name() {
                record.name.clone_from(question.name());
            }
        }
        let wire = message(&question, parts.rcode, &parts.answers, &parts.authorities)?;
        let too_long = wire.len() > LONGEST;
        let kind = query.query_type();
        let signed = parts.answers.iter().chain(&parts.authorities).any(|record| is_extra(record, kind));
        Some(Self {
            wire,
            plain: OnceLock::new(),
            signed,
            facts: Mutex::new(None),
            registrable: Key::from_name(query.name())
                .registrable()
                .map_or(0, |name| u8::try_from(name.len()).unwrap_or(0)),
            ede: parts.ede.into_boxed_slice(),
            stored: parts.stored,
            lifetime: if too_long { 0 } else { parts.lifetime },
            stale_until: if too_long { 0 } else { parts.stale_until },
            rcode: parts.rcode,
            security: parts.security,
            own_zone: parts.own_zone,
            first_of: u32::try_from(parts.delegations.own_bytes()).unwrap_or(u32::MAX),
            delegations: parts.delegations,
            hits: AtomicU8::new(0),
            refreshing: AtomicBool::new(false),
        })
    }

    /// The bytes that this entry takes on the heap, the allocator's share included.
    pub(crate) fn bytes(&self) -> usize {
        let texts: usize = self.ede.iter().map(|e| size_of::<Ede>() + allocated(e.text.len())).sum();
        // Two counters of the Arc that holds it.
        allocated(size_of::<Self>() + 2 * size_of::<usize>())
            + allocated(self.wire.len()) * if self.signed { 2 } else { 1 }
            + allocated(texts)
            + allocated(self.first_of as usize)
    }

    /// Counts one use and tells how many there were, up to 255.
    pub(crate) fn hit(&self) -> u8 {
        let before = self.hits.load(Ordering::Relaxed);
        // A lost count is no loss, a shared cache line written for each question is; so no read-modify-write.
        if before < u8::MAX {
            self.hits.store(before + 1, Ordering::Relaxed);
        }
        before.saturating_add(1)
    }

    /// Reads the answer and authority sections.
    ///
    /// Names equal to the question's get the letter case of `asked`. None when the bytes can't be read, which would be
    /// an error of the library that wrote them.
    pub(crate) fn records(&self, asked: &Name, ttl: Ttl) -> Option<(Vec<Record>, Vec<Record>)> {
        let answers = usize::from(self.u16_at(6)?);
        let authorities = usize::from(self.u16_at(8)?);
        let mut reader = Reader {
            wire: &self.wire,
            decoder: BinDecoder::new(&self.wire),
            at: self.after_name(HEADER)? + 4,
            asked,
            last: None,
            ttl,
        };
        Some((reader.section(answers)?, reader.section(authorities)?))
    }

    /// The whole message, with or without the DNSSEC records that a question must ask for.
    fn message(&self, dnssec: bool) -> Option<&[u8]> {
        if dnssec || !self.signed {
            return Some(&self.wire);
        }
        self.plain.get_or_init(|| self.without_dnssec()).as_deref()
    }

    /// The name asked, in lower case.
    pub(crate) fn asked(&self) -> Option<Name> {
        let mut decoder = BinDecoder::new(&self.wire);
        decoder.read_slice(HEADER).ok()?;
        Name::read(&mut decoder).ok()
    }

    fn without_dnssec(&self) -> Option<Box<[u8]>> {
        let mut decoder = BinDecoder::new(&self.wire);
        decoder.read_slice(HEADER).ok()?;
        let question = Query::read(&mut decoder).ok()?;
        let (mut answers, mut authorities) = self.records(question.name(), Ttl::Elapsed(0))?;
        let kind = question.query_type();
        answers.retain(|record| !is_extra(record, kind));
        authorities.retain(|record| !is_extra(record, kind));
        message(&question, self.rcode, &answers, &authorities)
    }

    /// Writes the answer behind the header and the question that stand in `out` already, and its counts into the header;
    /// says where it ends. TTLs are less by `elapsed` seconds.
    ///
    /// None when there is not enough room, or the question is of another length.
    pub(crate) fn copy(&self, out: &mut [u8], question: usize, dnssec: bool, elapsed: u32) -> Option<usize> {
        let wire = self.message(dnssec)?;
        let mut at = after_name(wire, HEADER)? + 4;
        if at != question {
            return None;
        }
        out.get_mut(at..wire.len())?.copy_from_slice(wire.get(at..)?);
        out.get_mut(6..10)?.copy_from_slice(wire.get(6..10)?);
        let records = u32::from(u16_at(wire, 6)?) + u32::from(u16_at(wire, 8)?);
        for _ in 0..records {
            at = after_name(wire, at)?;
            let ttl = out.get_mut(at + 4..)?.first_chunk_mut::<4>()?;
            *ttl = u32::from_be_bytes(*ttl).saturating_sub(elapsed).to_be_bytes();
            at += 10 + usize::from(u16_at(wire, at + 8)?);
        }
        (at == wire.len()).then_some(at)
    }

    /// What the policy of this number says of the answer; found out once, by `find`.
    pub(crate) fn facts(
        &self,
        policy: u64,
        find: impl FnOnce() -> Option<AnswerFacts>,
    ) -> Option<AnswerFacts> {
        let mut kept = match self.facts.try_lock() {
            Ok(kept) => kept,
            // Nothing panics with it in hand.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return find(),
        };
        if let Some((_, facts)) = kept.filter(|known| known.0 == policy) {
            return Some(facts);
        }
        // Finding out takes a while, so others may have it.
        *kept = None;
        drop(kept);
        let facts = find()?;
        if let Ok(mut kept) = self.facts.try_lock() {
            *kept = Some((policy, facts));
        }
        Some(facts)
    }

    /// The part of the question's key that somebody registered.
    pub(crate) fn registrable<'a>(&self, key: &'a Key) -> Option<&'a [u8]> {
        key.as_bytes().get(..usize::from(self.registrable)).filter(|name| !name.is_empty())
    }

    fn u16_at(&self, at: usize) -> Option<u16> {
        u16_at(&self.wire, at)
    }

    fn after_name(&self, at: usize) -> Option<usize> {
        after_name(&self.wire, at)
    }
}

/// A whole message: QR, RD and RA set, the ID 0.
fn message(
    question: &Query,
    rcode: ResponseCode,
    answers: &[Record],
    authorities: &[Record],
) -> Option<Box<[u8]>> {
    let mut wire = Vec::with_capacity(512);
    // The code's high bits would need EDNS, which is never kept.
    wire.extend_from_slice(&[0, 0, 0x81, 0x80 | rcode.low()]);
    for count in [1, answers.len(), authorities.len(), 0] {
        wire.extend_from_slice(&u16::try_from(count).ok()?.to_be_bytes());
    }
    let mut encoder = BinEncoder::new(&mut wire);
    encoder.set_offset(HEADER);
    question.emit(&mut encoder).ok()?;
    for record in answers.iter().chain(authorities) {
        record.emit(&mut encoder).ok()?;
    }
    Some(wire.into_boxed_slice())
}

/// Bytes that the allocator takes for a piece of this size (glibc: a header of 8, in steps of 16, at least 32).
pub(crate) fn allocated(size: usize) -> usize {
    if size == 0 { 0 } else { (size + 8).next_multiple_of(16).max(32) }
}

fn u16_at(wire: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*wire.get(at..)?.first_chunk()?))
}

/// The place after the name that starts here.
fn after_name(wire: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *wire.get(at)? {
            0 => return Some(at + 1),
            length if length & POINTER == POINTER => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

/// Reads records one after the other.
struct Reader<'a> {
    wire: &'a [u8],
    decoder: BinDecoder<'a>,
    at: usize,
    asked: &'a Name,
    /// The name read last and its place: sets repeat their owner, and an alias's target owns the next record.
    last: Option<(usize, Name)>,
    ttl: Ttl,
}

impl Reader<'_> {
    fn section(&mut self, count: usize) -> Option<Vec<Record>> {
        let mut records = Vec::with_capacity(count);
        for _ in 0..count {
            records.push(self.record()?);
        }
        Some(records)
    }

    fn record(&mut self) -> Option<Record> {
        let owner = self.owner()?;
        let fixed: &[u8; 10] = self.wire.get(self.at..)?.first_chunk()?;
        let &[k1, k2, _, _, t1, t2, t3, t4, l1, l2] = fixed;
        let kind = RecordType::from(u16::from_be_bytes([k1, k2]));
        let ttl = match self.ttl {
            Ttl::Elapsed(seconds) => u32::from_be_bytes([t1, t2, t3, t4]).saturating_sub(seconds),
            Ttl::Fixed(seconds) => seconds,
        };
        let length = u16::from_be_bytes([l1, l2]);
        let start = self.at + fixed.len();
        self.at = start + usize::from(length);
        let data = self.wire.get(start..self.at)?;
        let data = match (kind, length) {
            (RecordType::A, 4) => RData::A(A(<[u8; 4]>::try_from(data).ok()?.into())),
            (RecordType::AAAA, 16) => RData::AAAA(AAAA(<[u8; 16]>::try_from(data).ok()?.into())),
            (_, 0) => RData::Update0(kind),
            _ => {
                let mut decoder = self.decoder.clone(u16::try_from(start).ok()?);
                RData::read(&mut decoder, kind, Restrict::new(length)).ok()?
            }
        };
        if let RData::CNAME(target) = &data {
            self.last = Some((start, target.0.clone()));
        }
        Some(Record::from_rdata(owner, ttl, data))
    }

    fn owner(&mut self) -> Option<Name> {
        let here = self.at;
        self.at = after_name(self.wire, here)?;
        let first = u16_at(self.wire, here)?;
        let place = if first >> 8 >= u16::from(POINTER) { usize::from(first & 0x3fff) } else { here };
        if place == HEADER {
            return Some(self.asked.clone());
        }
        if let Some((_, name)) = self.last.as_ref().filter(|(at, _)| *at == place) {
            return Some(name.clone());
        }
        if place >= self.wire.len() {
            return None;
        }
        let name = Name::read(&mut self.decoder.clone(u16::try_from(place).ok()?)).ok()?;
        self.last = Some((place, name.clone()));
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use hickory_proto::{
        dnssec::{
            Algorithm,
            rdata::{DNSSECRData, NSEC, RRSIG, SigInput},
        },
        rr::{
            SerialNumber,
            rdata::{
                CNAME, HTTPS, MX, SOA, SVCB, TXT,
                svcb::{Alpn, SvcParamKey, SvcParamValue},
            },
        },
    };
    use proptest::prelude::*;

    use super::*;
    use crate::ede::EdeCode;

    fn name(text: &str) -> Name {
        Name::from_str(text).unwrap()
    }

    fn parts(answers: Vec<Record>, authorities: Vec<Record>) -> Parts {
        Parts {
            answers,
            authorities,
            ede: vec![],
            stored: 0,
            lifetime: 60,
            stale_until: 600,
            rcode: ResponseCode::NoError,
            security: Security::Insecure,
            own_zone: false,
            delegations: Delegations::NONE,
        }
    }

    fn signature() -> RData {
        let input = SigInput {
            type_covered: RecordType::A,
            algorithm: Algorithm::ECDSAP256SHA256,
            num_labels: 2,
            original_ttl: 60,
            sig_expiration: SerialNumber::new(2_000_000_000),
            sig_inception: SerialNumber::new(1_000_000_000),
            key_tag: 7,
            signer_name: name("Example."),
        };
        RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, vec![9; 64])))
    }

    #[test]
    fn records_of_every_shape_come_back_as_they_were() {
        let asked = name("www.example.");
        let params = vec![
            (SvcParamKey::Alpn, SvcParamValue::Alpn(Alpn(vec!["h2".into(), "h3".into()]))),
            (SvcParamKey::Port, SvcParamValue::Port(8443)),
        ];
        let https = RData::HTTPS(HTTPS(SVCB::new(1, name("svc.Example."), params)));
        let nsec = NSEC::new(name("Next.example."), [RecordType::A, RecordType::RRSIG]);
        let soa = SOA::new(name("NS.example."), name("admin.example."), 1, 2, 3, 4, 5);
        let record = |owner: &str, data| Record::from_rdata(name(owner), 60, data);
        let answers = vec![
            record("www.example.", RData::CNAME(CNAME(name("Web.Example.")))),
            record("Web.Example.", RData::A(A::new(192, 0, 2, 1))),
            record("web.example.", RData::A(A::new(192, 0, 2, 2))),
            record("web.example.", RData::AAAA(AAAA::new(1, 2, 3, 4, 5, 6, 7, 8))),
            record("web.example.", signature()),
            record("web.example.", https),
            record("other.test.", RData::MX(MX::new(10, name("mail.other.test.")))),
            record("other.test.", RData::TXT(TXT::new(vec!["two".into(), "texts".into()]))),
            record(".", RData::A(A::new(192, 0, 2, 3))),
        ];
        let authorities = vec![
            record("example.", RData::SOA(soa)),
            record("example.", RData::DNSSEC(DNSSECRData::NSEC(nsec))),
            record("example.", signature()),
        ];
        let query = Query::query(asked.clone(), RecordType::A);
        let entry = Entry::pack(&query, parts(answers.clone(), authorities.clone())).unwrap();
        assert_eq!(entry.records(&asked, Ttl::Elapsed(0)).unwrap(), (answers.clone(), authorities));
        let (later, _) = entry.records(&asked, Ttl::Elapsed(50)).unwrap();
        assert!(later.iter().all(|r| r.ttl == 10));
        let (stale, _) = entry.records(&asked, Ttl::Fixed(30)).unwrap();
        assert!(stale.iter().all(|r| r.ttl == 30));
        // The bytes are a message that others can read.
        let message = hickory_proto::op::Message::from_vec(&entry.wire).unwrap();
        assert_eq!(message.answers, answers);
        assert_eq!(message.queries, [query]);
    }

    #[test]
    fn an_answer_over_the_limit_is_for_those_who_wait_only() {
        let asked = name("big.example.");
        let texts = |n: usize| {
            vec![Record::from_rdata(asked.clone(), 60, RData::TXT(TXT::new(vec!["x".repeat(250); n])))]
        };
        let query = Query::query(asked.clone(), RecordType::TXT);
        assert_eq!(Entry::pack(&query, parts(texts(60), vec![])).unwrap().lifetime, 60);
        let long = Entry::pack(&query, parts(texts(70), vec![])).unwrap();
        assert_eq!((long.lifetime, long.stale_until), (0, 0));
        assert_eq!(long.records(&asked, Ttl::Elapsed(0)).unwrap().0, texts(70));
        assert!(Entry::pack(&query, parts(texts(300), vec![])).is_none());
    }

    #[test]
    fn texts_are_counted() {
        let query = Query::query(name("www.example."), RecordType::A);
        let plain = Entry::pack(&query, parts(vec![], vec![])).unwrap();
        let ede = vec![Ede::new(EdeCode::Other, "t".repeat(1000))];
        let told = Entry::pack(&query, Parts { ede, ..parts(vec![], vec![]) }).unwrap();
        assert!(told.bytes() >= plain.bytes() + 1000);
    }

    #[test]
    fn below_is_by_label() {
        let key = question_key(&Query::query(name("WWW.example.test."), RecordType::A), true);
        assert!(is_below(&key, b"\x03www\x07example\x04test\0"));
        assert!(is_below(&key, b"\x07example\x04test\0"));
        assert!(is_below(&key, b"\0"));
        assert!(!is_below(&key, b"\x06xample\x04test\0"));
        assert!(!is_below(&key, b"\x07example\0"));
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_an_answer_less_and_never_a_panic(
            at in 0_usize..200, byte in any::<u8>(), cut in 0_usize..200,
        ) {
            let asked = name("www.example.");
            let answers = vec![
                Record::from_rdata(asked.clone(), 60, RData::CNAME(CNAME(name("web.test.")))),
                Record::from_rdata(name("web.test."), 60, signature()),
            ];
            let query = Query::query(asked.clone(), RecordType::A);
            let mut entry = Entry::pack(&query, parts(answers, vec![])).unwrap();
            let mut wire = entry.wire.to_vec();
            if let Some(place) = wire.get_mut(at) {
                *place = byte;
            }
            wire.truncate(wire.len().saturating_sub(cut.saturating_sub(100)));
            entry.wire = wire.into_boxed_slice();
            let _ = entry.records(&asked, Ttl::Elapsed(0));
        }
    }
}
