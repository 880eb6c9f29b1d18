//! Signatures of messages (TSIG, RFC 8945): one of a question or a notice, and the chain over a whole transfer.

use ring::hmac;

use super::{
    key::TsigKey,
    wire::{ANY, Garbled, Message, Name, Record, kind},
};

/// How far the clocks of the two sides may be apart, in seconds (RFC 8945, section 10).
pub(super) const FUDGE: u16 = 300;
/// How many messages of a transfer may follow each other unsigned (RFC 8945, section 5.3.1).
const MAX_UNSIGNED: u32 = 99;

/// Errors of signatures, by their numbers.
pub(super) mod error {
    pub(in super::super) const BADSIG: u16 = 16;
    pub(in super::super) const BADKEY: u16 = 17;
    pub(in super::super) const BADTIME: u16 = 18;
}

/// What is wrong with the signature of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is none where there must be one.
    Unsigned,
    /// It is of another key or algorithm.
    OtherKey,
    /// It does not fit the message.
    Wrong,
    /// The signer's clock is so many seconds ahead of ours, or behind.
    Clock(i64),
    /// The message is not readable.
    Garbled(Garbled),
}

impl From<Garbled> for Fault {
    fn from(garbled: Garbled) -> Self {
        Self::Garbled(garbled)
    }
}

/// The contents of a TSIG record.
pub(super) struct Signature<'a> {
    pub(super) key: Name,
    pub(super) algorithm: Name,
    pub(super) time: u64,
    fudge: u16,
    mac: &'a [u8],
    original_id: u16,
    pub(super) error: u16,
    other: &'a [u8],
}

impl<'a> Signature<'a> {
    /// The signature of a message, if it has one.
    pub(super) fn of(message: &Message<'a>) -> Result<Option<Self>, Garbled> {
        message.tsig()?.map(Self::read).transpose()
    }

    fn read(record: Record<'a>) -> Result<Self, Garbled> {
        const WRONG: Garbled = Garbled("a signature record is malformed");
        let mut data = record.data();
        let algorithm = data.name()?;
        let time = data.u48()?;
        let fudge = data.u16()?;
        let length = data.u16()?;
        let mac = data.take(usize::from(length))?;
        let (original_id, error, length) = (data.u16()?, data.u16()?, data.u16()?);
        let other = data.take(usize::from(length))?;
        if record.class != ANY || data.take(1).is_ok() {
            return Err(WRONG);
        }
        Ok(Self { key: record.owner, algorithm, time, fudge, mac, original_id, error, other })
    }

    /// The server's time, which a BADTIME error brings.
    pub(super) fn servers_time(&self) -> Option<u64> {
        let six: [u8; 6] = self.other.try_into().ok()?;
        Some(six.into_iter().fold(0, |time, byte| time << 8 | u64::from(byte)))
    }

    /// Whether it is of this key.
    pub(super) fn is_of(&self, key: &TsigKey) -> bool {
        self.key == *key.owner() && self.algorithm == *key.algorithm_name()
    }

    fn push_timers(&self, context: &mut hmac::Context) {
        context.update(&self.time.to_be_bytes()[2..]);
        context.update(&self.fudge.to_be_bytes());
    }

    /// RFC 8945, section 4.3.3.
    fn push_variables(&self, context: &mut hmac::Context) {
        context.update(self.key.wire());
        context.update(&ANY.to_be_bytes());
        context.update(&0u32.to_be_bytes());
        context.update(self.algorithm.wire());
        self.push_timers(context);
        context.update(&self.error.to_be_bytes());
        context.update(&(self.other.len() as u16).to_be_bytes());
        context.update(self.other);
    }

    /// Adds the message as it was before it was signed.
    fn push_message(&self, context: &mut hmac::Context, message: &Message<'_>) {
        let bytes = message.bytes();
        // A signature is of a message that has one, and that has a header.
        let end = message.tsig_at.unwrap_or(bytes.len());
        let additional = u16::from_be_bytes([bytes[10], bytes[11]]).saturating_sub(1);
        context.update(&self.original_id.to_be_bytes());
        context.update(&bytes[2..10]);
        context.update(&additional.to_be_bytes());
        context.update(&bytes[12..end]);
    }

    fn check_clock(&self, now: u64) -> Result<(), Fault> {
        if self.time.abs_diff(now) <= u64::from(self.fudge) {
            return Ok(());
        }
        Err(Fault::Clock(apart(self.time, now)))
    }
}

/// How many seconds `theirs` is ahead of `ours`.
pub(super) fn apart(theirs: u64, ours: u64) -> i64 {
    // Both are times of 48 bits.
    theirs as i64 - ours as i64
}

/// Whether two MACs are the same, in a time that does not depend on where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

fn push_mac(context: &mut hmac::Context, mac: &[u8]) {
    context.update(&(mac.len() as u16).to_be_bytes());
    context.update(mac);
}

/// Signs a message and gives the MAC, which the answer's signature covers too.
///
/// `before` is the MAC of the request that the message answers; none for a request. `now` is in seconds since 1970.
pub(super) fn sign(message: &mut Vec<u8>, key: &TsigKey, before: Option<&[u8]>, now: u64) -> Vec<u8> {
    let mut context = key.begin();
    if let Some(mac) = before {
        push_mac(&mut context, mac);
    }
    context.update(message);
    let mut signature = stub(key, now);
    signature.push_variables(&mut context);
    let mac = context.sign().as_ref().to_vec();
    signature.mac = &mac;
    push_record(message, &signature);
    mac
}

/// Adds a signature record that says what is wrong and signs nothing (RFC 8945, section 5.2).
pub(super) fn say(message: &mut Vec<u8>, about: &Signature<'_>, error: u16, now: u64) {
    let id = u16::from_be_bytes([message[0], message[1]]);
    let signature = Signature {
        key: about.key.clone(),
        algorithm: about.algorithm.clone(),
        time: now,
        fudge: FUDGE,
        mac: &[],
        original_id: id,
        error,
        other: &[],
    };
    push_record(message, &signature);
}

/// Signs the answer to a request whose time is wrong, with our own time in it (RFC 8945, section 5.2.3).
pub(super) fn sign_bad_time(message: &mut Vec<u8>, key: &TsigKey, request: &Signature<'_>, now: u64) {
    let ours = now.to_be_bytes();
    let mut context = key.begin();
    push_mac(&mut context, request.mac);
    context.update(message);
    let mut signature = stub(key, request.time);
    signature.error = error::BADTIME;
    signature.other = &ours[2..];
    signature.push_variables(&mut context);
    let mac = context.sign();
    signature.mac = mac.as_ref();
    push_record(message, &signature);
}

fn stub(key: &TsigKey, time: u64) -> Signature<'static> {
    Signature {
        key: key.owner().clone(),
        algorithm: key.algorithm_name().clone(),
        time,
        fudge: FUDGE,
        mac: &[],
        original_id: 0,
        error: 0,
        other: &[],
    }
}

fn push_record(message: &mut Vec<u8>, signature: &Signature<'_>) {
    let id = [message[0], message[1]];
    let additional = u16::from_be_bytes([message[10], message[11]]).saturating_add(1);
    message[10..12].copy_from_slice(&additional.to_be_bytes());
    message.extend_from_slice(signature.key.wire());
    message.extend_from_slice(&kind::TSIG.to_be_bytes());
    message.extend_from_slice(&ANY.to_be_bytes());
    message.extend_from_slice(&0u32.to_be_bytes());
    let length = signature.algorithm.wire().len() + 16 + signature.mac.len() + signature.other.len();
    message.extend_from_slice(&(length as u16).to_be_bytes());
    message.extend_from_slice(signature.algorithm.wire());
    message.extend_from_slice(&signature.time.to_be_bytes()[2..]);
    message.extend_from_slice(&signature.fudge.to_be_bytes());
    message.extend_from_slice(&(signature.mac.len() as u16).to_be_bytes());
    message.extend_from_slice(signature.mac);
    message.extend_from_slice(&id);
    message.extend_from_slice(&signature.error.to_be_bytes());
    message.extend_from_slice(&(signature.other.len() as u16).to_be_bytes());
    message.extend_from_slice(signature.other);
}

/// Verifies the signature of a request, such as a notice, and gives its MAC for the answer.
pub(super) fn verify_request<'a>(
    message: &Message<'a>,
    signature: &Signature<'a>,
    key: &TsigKey,
    now: u64,
) -> Result<&'a [u8], Fault> {
    if !signature.is_of(key) {
        return Err(Fault::OtherKey);
    }
    let mut context = key.begin();
    signature.push_message(&mut context, message);
    signature.push_variables(&mut context);
    if !same(context.sign().as_ref(), signature.mac) {
        return Err(Fault::Wrong);
    }
    signature.check_clock(now)?;
    Ok(signature.mac)
}

/// Verifies the answers to one signed request, message by message (RFC 8945, section 5.3.1).
pub(super) struct Verifier<'k> {
    key: &'k TsigKey,
    context: hmac::Context,
    first: bool,
    unsigned: u32,
}

impl<'k> Verifier<'k> {
    pub(super) fn new(key: &'k TsigKey, request: &[u8]) -> Self {
        let mut context = key.begin();
        push_mac(&mut context, request);
        Self { key, context, first: true, unsigned: 0 }
    }

    /// Takes the next message. An unsigned one is believed only when a signed one after it says so: what it holds
    /// must not be used before [`finish`](Self::finish).
    pub(super) fn take(&mut self, message: &Message<'_>, now: u64) -> Result<(), Fault> {
        let Some(signature) = Signature::of(message)? else {
            self.unsigned += 1;
            if self.first || self.unsigned > MAX_UNSIGNED {
                return Err(Fault::Unsigned);
            }
            self.context.update(message.bytes());
            return Ok(());
        };
        if !signature.is_of(self.key) {
            return Err(Fault::OtherKey);
        }
        let mut context = self.key.begin();
        push_mac(&mut context, signature.mac);
        let mut signed = std::mem::replace(&mut self.context, context);
        signature.push_message(&mut signed, message);
        if self.first {
            signature.push_variables(&mut signed);
        } else {
            signature.push_timers(&mut signed);
        }
        if !same(signed.sign().as_ref(), signature.mac) {
            return Err(Fault::Wrong);
        }
        signature.check_clock(now)?;
        self.first = false;
        self.unsigned = 0;
        Ok(())
    }

    /// Whether all that was taken is signed.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        if self.first || self.unsigned > 0 { Err(Fault::Unsigned) } else { Ok(()) }
    }
}

/// What a primary does, for tests: signs the messages of a stream.
#[cfg(test)]
pub(super) mod stream {
    use super::*;

    pub(in super::super) struct Signer<'k> {
        key: &'k TsigKey,
        context: hmac::Context,
        first: bool,
    }

    impl<'k> Signer<'k> {
        pub(in super::super) fn new(key: &'k TsigKey, request_mac: &[u8]) -> Self {
            let mut context = key.begin();
            push_mac(&mut context, request_mac);
            Self { key, context, first: true }
        }

        pub(in super::super) fn sign(&mut self, message: &mut Vec<u8>, now: u64) {
            self.context.update(message);
            let mut signature = stub(self.key, now);
            if self.first {
                signature.push_variables(&mut self.context);
            } else {
                signature.push_timers(&mut self.context);
            }
            self.first = false;
            let context = std::mem::replace(&mut self.context, self.key.begin());
            let mac = context.sign().as_ref().to_vec();
            push_mac(&mut self.context, &mac);
            signature.mac = &mac;
            push_record(message, &signature);
        }

        pub(in super::super) fn leave_unsigned(&mut self, message: &[u8]) {
            self.context.update(message);
        }
    }

    /// The MAC of a signed message.
    pub(in super::super) fn mac(message: &[u8]) -> Vec<u8> {
        Signature::of(&Message::read(message).unwrap()).unwrap().unwrap().mac.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::key::KeyAlgorithm, *};

    const NOW: u64 = 1_795_000_000;

    fn key(name: &str, secret: u8) -> TsigKey {
        TsigKey::new(name, KeyAlgorithm::HmacSha256, &[secret; 32]).unwrap()
    }

    /// A message without a body, told apart by its id.
    fn message(id: u16) -> Vec<u8> {
        [&id.to_be_bytes()[..], &[0; 10]].concat()
    }

    fn verify(bytes: &[u8], key: &TsigKey, now: u64) -> Result<(), Fault> {
        let message = Message::read(bytes).unwrap();
        let signature = Signature::of(&message).unwrap().unwrap();
        verify_request(&message, &signature, key, now).map(drop)
    }

    #[test]
    fn a_signature_is_as_another_implementation_makes_it() {
        use hickory_proto::{
            op::{Message as Theirs, Query},
            rr::{Name, RecordType, TSigner, rdata::tsig::TsigAlgorithm},
        };
        let name = Name::from_ascii("transfer.").unwrap();
        for (ours, theirs) in [
            (KeyAlgorithm::HmacSha256, TsigAlgorithm::HmacSha256),
            (KeyAlgorithm::HmacSha384, TsigAlgorithm::HmacSha384),
            (KeyAlgorithm::HmacSha512, TsigAlgorithm::HmacSha512),
        ] {
            let signer = TSigner::new(vec![7; 32], theirs, name.clone(), FUDGE).unwrap();
            let key = TsigKey::new("transfer", ours, &[7; 32]).unwrap();
            let mut request = Theirs::query();
            request.add_query(Query::query(Name::from_ascii("rpz.example.").unwrap(), RecordType::SOA));
            let mut bytes = request.to_vec().unwrap();
            sign(&mut bytes, &key, None, NOW);
            let (_, time, _) = signer.verify_message_byte(&bytes, None, true).unwrap();
            assert_eq!(time, NOW);
            verify(&bytes, &key, NOW).unwrap();
        }
    }

    #[test]
    fn a_request_with_another_key_secret_or_time_is_not_taken() {
        let mut bytes = message(1);
        sign(&mut bytes, &key("a", 1), None, NOW);
        assert_eq!(verify(&bytes, &key("a", 1), NOW + 300), Ok(()));
        assert_eq!(verify(&bytes, &key("a", 1), NOW + 301), Err(Fault::Clock(-301)));
        assert_eq!(verify(&bytes, &key("a", 1), NOW - 301), Err(Fault::Clock(301)));
        assert_eq!(verify(&bytes, &key("a", 2), NOW), Err(Fault::Wrong));
        assert_eq!(verify(&bytes, &key("b", 1), NOW), Err(Fault::OtherKey));
        bytes[3] ^= 1;
        assert_eq!(verify(&bytes, &key("a", 1), NOW), Err(Fault::Wrong));
    }

    #[test]
    fn a_forwarder_may_change_the_id() {
        let mut bytes = message(1);
        sign(&mut bytes, &key("a", 1), None, NOW);
        bytes[0] ^= 0xff;
        assert_eq!(verify(&bytes, &key("a", 1), NOW), Ok(()));
    }

    /// A stream of messages, of which those that `signed` says are signed.
    fn streamed(key: &TsigKey, signed: &[bool]) -> Vec<Vec<u8>> {
        let mut signer = stream::Signer::new(key, b"request");
        let each = |(id, signed): (usize, &bool)| {
            let mut bytes = message(id as u16);
            if *signed {
                signer.sign(&mut bytes, NOW);
            } else {
                signer.leave_unsigned(&bytes);
            }
            bytes
        };
        signed.iter().enumerate().map(each).collect()
    }

    fn verify_all(key: &TsigKey, messages: &[Vec<u8>]) -> Result<(), Fault> {
        let mut verifier = Verifier::new(key, b"request");
        for bytes in messages {
            verifier.take(&Message::read(bytes).unwrap(), NOW)?;
        }
        verifier.finish()
    }

    #[test]
    fn a_stream_is_verified_with_up_to_99_unsigned_messages_between() {
        let key = key("a", 1);
        assert_eq!(verify_all(&key, &streamed(&key, &[true, true, true])), Ok(()));
        assert_eq!(verify_all(&key, &streamed(&key, &[true, false, false, true])), Ok(()));
        let gap = |unsigned: usize| [vec![true], vec![false; unsigned], vec![true]].concat();
        assert_eq!(verify_all(&key, &streamed(&key, &gap(99))), Ok(()));
        assert_eq!(verify_all(&key, &streamed(&key, &gap(100))), Err(Fault::Unsigned));
    }

    #[test]
    fn the_first_and_the_last_message_are_signed() {
        let key = key("a", 1);
        assert_eq!(verify_all(&key, &streamed(&key, &[false, true])), Err(Fault::Unsigned));
        assert_eq!(verify_all(&key, &streamed(&key, &[true, false])), Err(Fault::Unsigned));
        assert_eq!(verify_all(&key, &[]), Err(Fault::Unsigned));
    }

    #[test]
    fn a_message_that_was_changed_left_out_or_moved_is_noticed() {
        let key = key("a", 1);
        let good = streamed(&key, &[true, false, true, true]);
        let mut changed = good.clone();
        changed[1][3] ^= 1;
        assert_eq!(verify_all(&key, &changed), Err(Fault::Wrong));
        let mut shorter = good.clone();
        shorter.remove(1);
        assert_eq!(verify_all(&key, &shorter), Err(Fault::Wrong));
        let mut swapped = good;
        swapped.swap(2, 3);
        assert_eq!(verify_all(&key, &swapped), Err(Fault::Wrong));
    }
}
