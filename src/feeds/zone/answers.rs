//! The answers to one question, each looked at before anything in it is used.

use super::{
    error::Failure,
    tsig::{Signature, Verifier},
    wire::{IN, Message, Name, QUERY},
};

/// Looks at the answers to one question about a zone.
pub(super) struct Answers<'a> {
    zone: &'a Name,
    id: u16,
    kind: u16,
    verifier: Option<Verifier<'a>>,
    first: bool,
}

impl<'a> Answers<'a> {
    /// Expects answers to the question of this id and type; signed ones, if there is a verifier.
    pub(super) fn new(zone: &'a Name, id: u16, kind: u16, verifier: Option<Verifier<'a>>) -> Self {
        Self { zone, id, kind, verifier, first: true }
    }

    /// Looks at the next message; `now` is in seconds since 1970.
    pub(super) fn take<'m>(&mut self, bytes: &'m [u8], now: u64) -> Result<Message<'m>, Failure> {
        let message = Message::read(bytes)?;
        if !message.is_response() || message.opcode() != QUERY || message.id != self.id {
            return Err(Failure::OtherQuestion);
        }
        // What a primary says about our signature, it often can't sign itself.
        if let Some(failure) = Signature::of(&message)?.and_then(|s| Failure::of_signature(&s, now)) {
            return Err(failure);
        }
        if let Some(failure) = Failure::of_code(message.rcode()) {
            return Err(failure);
        }
        if let Some(verifier) = &mut self.verifier {
            verifier.take(&message, now)?;
        }
        if message.is_truncated() {
            return Err(Failure::Unreadable("a message over TCP says that it is cut off"));
        }
        // RFC 5936, section 2.2.1: the first message repeats the question, the others may.
        match message.question()? {
            Some(asked) if asked.name != *self.zone || asked.kind != self.kind || asked.class != IN => {
                return Err(Failure::OtherQuestion);
            }
            None if self.first => return Err(Failure::OtherQuestion),
            _ => {}
        }
        self.first = false;
        Ok(message)
    }

    /// Whether all that was taken is signed, where it has to be.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        self.verifier.as_ref().map_or(Ok(()), |verifier| verifier.finish().map_err(Failure::from))
    }
}
