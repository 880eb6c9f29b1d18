//! Notices by which a primary tells of a new version (RFC 1996).
//!
//! A notice says no more than "ask me", so one from a primary's address is believed unsigned: what a forged one can do
//! is make us ask a little earlier, and [`plan`](super::plan) keeps that within bounds.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    key::TsigKey,
    tsig::{self, Fault, Signature},
    wire::{Garbled, IN, Message, NOTIFY, Name, kind},
    zone_name,
};
use crate::clock::Clock;

/// How often a wrong clock is told, in seconds.
const WARN_EVERY: u64 = 60 * 60;

/// A zone whose notices are taken.
#[derive(Debug, Clone)]
pub struct Subscription {
    name: Name,
    zone: String,
    primaries: Vec<IpAddr>,
    key: Option<TsigKey>,
}

impl Subscription {
    /// Takes notices about `zone` from its primaries (whatever their port), and from anybody who signs with the key;
    /// none when `zone` is not the name of a zone.
    #[must_use]
    pub fn new(zone: &str, primaries: &[SocketAddr], key: Option<TsigKey>) -> Option<Self> {
        let primaries = primaries.iter().map(|primary| primary.ip().to_canonical()).collect();
        Some(Self { name: zone_name(zone)?, zone: zone.to_owned(), primaries, key })
    }
}

/// There may be a new version of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The zone, as its [`Subscription`] was given it.
    pub zone: String,
    /// The number of the new version, when the notice says it. Unsigned notices may say anything.
    pub serial: Option<u32>,
}

/// What is said to a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noticed {
    /// The bytes of the answer.
    pub reply: Vec<u8>,
    /// Whether the sender is one of a zone's primaries or has its key. Who is not gets the answer only where the DNS
    /// server answers to everybody of his network.
    pub known: bool,
    /// What the notice tells, when it is taken.
    pub news: Option<News>,
    /// By how many seconds the sender's clock is ahead of ours, where that is why a signed notice was refused.
    pub clock_ahead: Option<i64>,
}

impl Noticed {
    fn refused(reply: Vec<u8>, known: bool) -> Self {
        Self { reply, known, news: None, clock_ahead: None }
    }
}

/// Takes notices for the zones that are subscribed now.
///
/// The DNS server hands it every notice, whoever sent it.
pub struct Listener {
    subscriptions: RwLock<Arc<[Subscription]>>,
    clock: Clock,
    /// When it last warned of a clock, in seconds since 1970.
    warned: AtomicU64,
    wake: Box<dyn Fn(News) + Send + Sync>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("subscriptions", &self.subscriptions).finish_non_exhaustive()
    }
}

impl Listener {
    /// A listener without subscriptions. `wake` is called for each notice that is taken, on a thread that answers
    /// questions: it must not wait.
    #[must_use]
    pub fn new(clock: Clock, wake: impl Fn(News) + Send + Sync + 'static) -> Self {
        Self {
            subscriptions: RwLock::new(Arc::new([])),
            clock,
            warned: AtomicU64::new(0),
            wake: Box::new(wake),
        }
    }

    /// Takes notices for these zones from now on, and for no others.
    pub fn subscribe(&self, to: Vec<Subscription>) {
        *self.subscriptions.write().unwrap_or_else(PoisonError::into_inner) = to.into();
    }

    /// Takes a notice from an address, and gives what to answer; none where silence is right.
    pub fn take(&self, packet: &[u8], from: IpAddr) -> Option<Noticed> {
        let subscriptions = Arc::clone(&self.subscriptions.read().unwrap_or_else(PoisonError::into_inner));
        let now = u64::try_from(self.clock.now().as_second()).unwrap_or(0);
        let noticed = take(packet, from.to_canonical(), &subscriptions, now)?;
        if let Some(news) = &noticed.news {
            // What is forged without an end must not fill the log.
            tracing::debug!(zone = news.zone, serial = news.serial, %from, "A primary tells of a new version");
            (self.wake)(news.clone());
        }
        if let Some(ahead_s) = noticed.clock_ahead
            && now.abs_diff(self.warned.load(Ordering::Relaxed)) >= WARN_EVERY
        {
            self.warned.store(now, Ordering::Relaxed);
            tracing::warn!(%from, ahead_s,
                "A signed notice of a new zone version was refused: its sender's clock and this box's differ");
        }
        Some(noticed)
    }
}

/// Codes of answers.
mod code {
    pub(super) const NOERROR: u8 = 0;
    pub(super) const FORMERR: u8 = 1;
    pub(super) const REFUSED: u8 = 5;
    pub(super) const NOTAUTH: u8 = 9;
}

/// Decides about a notice; `now` is in seconds since 1970.
fn take(packet: &[u8], from: IpAddr, subscriptions: &[Subscription], now: u64) -> Option<Noticed> {
    // Answers are never answered.
    let header = packet.first_chunk::<12>()?;
    if header[2] & 0x80 != 0 || header[2] >> 3 & 0x0f != NOTIFY {
        return None;
    }
    let primary_of = |subscription: &&Subscription| subscription.primaries.contains(&from);
    let known = subscriptions.iter().any(|subscription| primary_of(&subscription));
    let refuse = |code| Some(Noticed::refused(reply(header, &[], code), known));
    let Ok(message) = Message::read(packet) else { return refuse(code::FORMERR) };
    let Ok((name, serial)) = contents(&message) else { return refuse(code::FORMERR) };
    let Ok(signature) = Signature::of(&message) else { return refuse(code::FORMERR) };

    let of_zone: Vec<_> = subscriptions.iter().filter(|subscription| subscription.name == name).collect();
    let answer = |code| reply(header, message.question_bytes(), code);
    let news = |subscription: &Subscription| Some(News { zone: subscription.zone.clone(), serial });

    let Some(signature) = signature else {
        let taken = of_zone.iter().find(|subscription| primary_of(subscription));
        let code = match taken {
            Some(_) => code::NOERROR,
            None if of_zone.is_empty() => code::NOTAUTH,
            None => code::REFUSED,
        };
        let news = taken.and_then(|taken| news(taken));
        return Some(Noticed { news, ..Noticed::refused(answer(code), known) });
    };

    // A signature that is wrong is refused even to a primary: whoever signs wants to be asked for it.
    let signed = of_zone.iter().find_map(|subscription| {
        let key = subscription.key.as_ref().filter(|key| signature.is_of(key))?;
        Some((*subscription, key))
    });
    let Some((subscription, key)) = signed else {
        let mut reply = answer(code::NOTAUTH);
        tsig::say(&mut reply, &signature, tsig::error::BADKEY, now);
        return Some(Noticed::refused(reply, known));
    };
    match tsig::verify_request(&message, &signature, key, now) {
        Ok(mac) => {
            let mut reply = answer(code::NOERROR);
            tsig::sign(&mut reply, key, Some(mac), now);
            Some(Noticed { news: news(subscription), ..Noticed::refused(reply, true) })
        }
        Err(Fault::Clock(ahead)) => {
            let mut reply = answer(code::NOTAUTH);
            tsig::sign_bad_time(&mut reply, key, &signature, now);
            Some(Noticed { clock_ahead: Some(ahead), ..Noticed::refused(reply, true) })
        }
        Err(_) => {
            let mut reply = answer(code::NOTAUTH);
            tsig::say(&mut reply, &signature, tsig::error::BADSIG, now);
            Some(Noticed::refused(reply, known))
        }
    }
}

/// The zone of a notice and, if it says so, the number of the new version.
fn contents(message: &Message<'_>) -> Result<(Name, Option<u32>), Garbled> {
    const WRONG: Garbled = Garbled("a notice is not about one zone");
    let asked =
        message.question()?.filter(|asked| asked.kind == kind::SOA && asked.class == IN).ok_or(WRONG)?;
    let mut serial = None;
    for record in message.answers() {
        let record = record?;
        if record.kind == kind::SOA && record.owner == asked.name {
            serial = Some(super::records::Soa::read(&record)?.serial);
        }
    }
    Ok((asked.name, serial))
}

/// An answer without records: RFC 1996, section 4.7.
fn reply(header: &[u8; 12], question: &[u8], code: u8) -> Vec<u8> {
    let mut reply = Vec::with_capacity(12 + question.len());
    reply.extend_from_slice(&header[..2]);
    // QR, AA.
    reply.extend_from_slice(&[0x84 | NOTIFY << 3, code]);
    reply.extend_from_slice(&[0, u8::from(!question.is_empty()), 0, 0, 0, 0, 0, 0]);
    reply.extend_from_slice(question);
    reply
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::{super::key::KeyAlgorithm, *};

    const NOW: u64 = 1_795_000_000;
    const PRIMARY: &str = "192.0.2.53";
    const STRANGER: &str = "198.51.100.1";

    fn key(secret: u8) -> TsigKey {
        TsigKey::new("transfer", KeyAlgorithm::HmacSha256, &[secret; 32]).unwrap()
    }

    fn subscriptions() -> Vec<Subscription> {
        let primary = [SocketAddr::new(PRIMARY.parse().unwrap(), 5353)];
        vec![
            Subscription::new("rpz.trust.example", &primary, Some(key(1))).unwrap(),
            Subscription::new("Open.Trust.Example.", &primary, None).unwrap(),
        ]
    }

    fn notice(zone: &str) -> Vec<u8> {
        let mut bytes = super::super::wire::question(7, &zone_name(zone).unwrap(), kind::SOA, None);
        bytes[2] = NOTIFY << 3 | 4;
        bytes
    }

    fn taken(packet: &[u8], from: &str) -> Noticed {
        take(packet, from.parse().unwrap(), &subscriptions(), NOW).unwrap()
    }

    fn rcode(noticed: &Noticed) -> u8 {
        let message = Message::read(&noticed.reply).unwrap();
        assert!(message.is_response() && message.id == 7 && message.opcode() == NOTIFY);
        message.rcode()
    }

    fn tsig_error(noticed: &Noticed) -> Option<u16> {
        Signature::of(&Message::read(&noticed.reply).unwrap()).unwrap().map(|signature| signature.error)
    }

    #[test]
    fn a_primary_is_believed() {
        let noticed = taken(&notice("RPZ.trust.example."), PRIMARY);
        assert_eq!((rcode(&noticed), noticed.known), (code::NOERROR, true));
        assert_eq!(noticed.news, Some(News { zone: "rpz.trust.example".into(), serial: None }));
        assert_eq!(tsig_error(&noticed), None);
    }

    #[test]
    fn the_new_number_is_read() {
        let mut bytes = super::super::wire::question(
            7,
            &zone_name("open.trust.example").unwrap(),
            kind::SOA,
            Some(2_026_112_501),
        );
        bytes[2] = NOTIFY << 3;
        // The record that `question` puts under the authorities is the answer of a notice.
        bytes.swap(7, 9);
        assert_eq!(taken(&bytes, PRIMARY).news.unwrap().serial, Some(2_026_112_501));
    }

    #[test]
    fn strangers_and_other_zones_are_refused() {
        let noticed = taken(&notice("rpz.trust.example."), STRANGER);
        assert_eq!((rcode(&noticed), noticed.known, noticed.news), (code::REFUSED, false, None));
        let noticed = taken(&notice("other.example."), STRANGER);
        assert_eq!((rcode(&noticed), noticed.known, noticed.news), (code::NOTAUTH, false, None));
        let noticed = taken(&notice("other.example."), PRIMARY);
        assert_eq!((rcode(&noticed), noticed.known, noticed.news), (code::NOTAUTH, true, None));
    }

    #[test]
    fn a_signature_opens_for_anybody_and_is_answered_by_one() {
        let mut packet = notice("rpz.trust.example.");
        let mac = tsig::sign(&mut packet, &key(1), None, NOW - 100);
        let noticed = taken(&packet, STRANGER);
        assert_eq!((rcode(&noticed), noticed.known), (code::NOERROR, true));
        assert!(noticed.news.is_some());
        let key = key(1);
        let mut verifier = tsig::Verifier::new(&key, &mac);
        assert_eq!(verifier.take(&Message::read(&noticed.reply).unwrap(), NOW), Ok(()));
    }

    #[test]
    fn a_wrong_signature_is_refused_to_the_primary_too() {
        for (signer, at, zone, error) in [
            (key(2), NOW, "rpz.trust.example.", tsig::error::BADSIG),
            (key(1), NOW - 301, "rpz.trust.example.", tsig::error::BADTIME),
            (key(1), NOW, "open.trust.example.", tsig::error::BADKEY),
            (
                TsigKey::new("other", KeyAlgorithm::HmacSha256, &[1; 32]).unwrap(),
                NOW,
                "rpz.trust.example.",
                17,
            ),
            (
                TsigKey::new("transfer", KeyAlgorithm::HmacSha512, &[1; 32]).unwrap(),
                NOW,
                "rpz.trust.example.",
                17,
            ),
        ] {
            let mut packet = notice(zone);
            tsig::sign(&mut packet, &signer, None, at);
            let noticed = taken(&packet, PRIMARY);
            assert_eq!((rcode(&noticed), noticed.news.clone()), (code::NOTAUTH, None));
            assert_eq!(tsig_error(&noticed), Some(error));
        }
    }

    #[test]
    fn what_is_no_notice_is_not_taken_for_one() {
        let mut packet = notice("rpz.trust.example.");
        packet[2] |= 0x80;
        assert_eq!(take(&packet, PRIMARY.parse().unwrap(), &subscriptions(), NOW), None);
        let mut packet = notice("rpz.trust.example.");
        packet[5] = 0;
        assert_eq!(rcode(&taken(&packet[..12], PRIMARY)), code::FORMERR);
        let packet = super::super::wire::question(7, &zone_name("a.").unwrap(), kind::SOA, None);
        assert_eq!(take(&packet, PRIMARY.parse().unwrap(), &subscriptions(), NOW), None);
    }

    #[test]
    fn a_listener_wakes_for_the_zones_of_the_moment() {
        let woken = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&woken);
        let clock = Clock::held_at(jiff::Timestamp::from_second(NOW as i64).unwrap());
        let listener = Listener::new(clock, move |news| seen.lock().unwrap().push(news.zone));
        let from = "::ffff:192.0.2.53".parse().unwrap();
        assert_eq!(rcode(&listener.take(&notice("open.trust.example"), from).unwrap()), code::NOTAUTH);
        listener.subscribe(subscriptions());
        assert_eq!(rcode(&listener.take(&notice("open.trust.example"), from).unwrap()), code::NOERROR);
        listener.subscribe(Vec::new());
        assert_eq!(rcode(&listener.take(&notice("open.trust.example"), from).unwrap()), code::NOTAUTH);
        assert_eq!(*woken.lock().unwrap(), ["Open.Trust.Example."]);
    }

    proptest! {
        #[test]
        fn any_packet_is_answered_by_a_message_or_not_at_all(
            mut packet in proptest::collection::vec(any::<u8>(), 0..80),
            signed: bool,
        ) {
            if signed && packet.len() >= 12 {
                tsig::sign(&mut packet, &key(1), None, NOW);
            }
            if let Some(noticed) = take(&packet, PRIMARY.parse().unwrap(), &subscriptions(), NOW) {
                prop_assert!(Message::read(&noticed.reply).unwrap().is_response());
            }
        }
    }
}
