//! From the messages of a transfer to a version of a zone.
//!
//! A transfer begins and ends with the same SOA (RFC 5936, section 2.2). One of changes (RFC 1995, section 4) goes on
//! with the SOA of the version that we have, and holds pairs of what goes and what comes, each behind its SOA; where
//! the primary has no changes, it sends the whole zone instead, or the one SOA that says that we have the newest.

use std::path::Path;

use super::{
    Limits,
    changes::Changes,
    error::Failure,
    records::{self, Soa},
    serial::is_newer,
    sorted::Sorter,
    wire::{IN, Message, Name, Record, kind},
};

/// Takes the messages of one transfer.
pub(super) struct Assembly<'a> {
    zone: &'a Name,
    /// The version that we have, when only its changes were asked for.
    have: Option<u32>,
    limits: &'a Limits,
    beside: &'a Path,
    state: State,
    first: Option<Soa>,
    records: u64,
    written: u64,
    line: Vec<u8>,
}

enum State {
    /// Nothing came yet.
    Empty,
    /// The first SOA came.
    Begun,
    /// The whole zone comes.
    Whole(Sorter),
    /// Changes come: those from `from` or, once its SOA came, to `to`.
    Changes { changes: Changes, from: u32, to: Option<u32> },
    /// It is complete.
    Done(Contents),
}

/// What a transfer brought.
pub(super) enum Contents {
    /// We have the newest version.
    Current,
    /// All lines of the new version.
    Whole(Sorter),
    /// What differs from the version that we have.
    Changes(Changes),
}

impl<'a> Assembly<'a> {
    /// An assembly of the zone's records; parts that don't fit in memory go beside the given file.
    pub(super) fn new(zone: &'a Name, have: Option<u32>, limits: &'a Limits, beside: &'a Path) -> Self {
        Self {
            zone,
            have,
            limits,
            beside,
            state: State::Empty,
            first: None,
            records: 0,
            written: 0,
            line: Vec::new(),
        }
    }

    /// Takes the answers of a message.
    pub(super) fn take(&mut self, message: &Message<'_>) -> Result<(), Failure> {
        for record in message.answers() {
            self.record(&record?)?;
        }
        Ok(())
    }

    /// Whether nothing more is to come.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state, State::Done(_))
    }

    /// What came; an error unless it [is complete](Self::is_complete).
    pub(super) fn finish(self) -> Result<(Soa, Contents), Failure> {
        match (self.first, self.state) {
            (Some(soa), State::Done(contents)) => Ok((soa, contents)),
            _ => Err(Failure::CutOff),
        }
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        self.records += 1;
        if self.records > self.limits.records {
            return Err(Failure::TooMuch(format!("{} records", self.limits.records)));
        }
        let Some(above) = record.owner.above(self.zone).filter(|_| record.class == IN) else {
            return Err(Failure::OutOfZone(record.owner.text()));
        };
        if record.kind == kind::SOA {
            if !above.is_empty() {
                return Err(Failure::OutOfZone(record.owner.text()));
            }
            let soa = Soa::read(record)?;
            return self.soa(soa);
        }
        if matches!(self.state, State::Begun) {
            self.state = State::Whole(Sorter::new(self.beside));
        }
        let mut line = std::mem::take(&mut self.line);
        if records::write(&mut line, above, record)? {
            self.written += line.len() as u64 + 1;
            if self.written > self.limits.bytes {
                return Err(Failure::TooMuch(self.limits.bytes_in_words()));
            }
            match &mut self.state {
                State::Whole(sorter) => sorter.push(&line).map_err(Failure::Write)?,
                State::Changes { changes, to, .. } => changes.push(&line, to.is_some())?,
                State::Empty | State::Begun => {
                    return Err(Failure::NotWhole("it does not begin with its SOA record"));
                }
                State::Done(_) => return Err(AFTER_END),
            }
        } else if matches!(self.state, State::Empty) {
            return Err(Failure::NotWhole("it does not begin with its SOA record"));
        } else if self.is_complete() {
            return Err(AFTER_END);
        }
        self.line = line;
        Ok(())
    }

    fn soa(&mut self, soa: Soa) -> Result<(), Failure> {
        let Some(first) = &self.first else {
            // RFC 1995, section 2: one SOA that is not newer says that there is nothing new.
            let current = self.have.is_some_and(|have| !is_newer(soa.serial, have));
            self.state = if current { State::Done(Contents::Current) } else { State::Begun };
            self.first = Some(soa);
            return Ok(());
        };
        let is_last = soa.serial == first.serial;
        if is_last && soa != *first {
            return Err(Failure::NotWhole("its first and its last SOA record differ"));
        }
        self.state = match std::mem::replace(&mut self.state, State::Empty) {
            State::Begun if is_last => State::Done(Contents::Whole(Sorter::new(self.beside))),
            State::Begun if Some(soa.serial) == self.have => {
                State::Changes { changes: Changes::default(), from: soa.serial, to: None }
            }
            State::Begun if self.have.is_some() => {
                return Err(Failure::NotWhole("its changes are not those from our version"));
            }
            State::Whole(sorter) if is_last => State::Done(Contents::Whole(sorter)),
            State::Begun | State::Whole(_) => {
                return Err(Failure::NotWhole("a second SOA record is within it"));
            }
            State::Changes { changes, from, to: None } => {
                if !is_newer(soa.serial, from) {
                    return Err(Failure::NotWhole("its changes lead back"));
                }
                State::Changes { changes, from, to: Some(soa.serial) }
            }
            State::Changes { changes, to: Some(to), .. } => {
                if soa.serial != to {
                    return Err(Failure::NotWhole("its changes have a gap"));
                }
                if is_last {
                    State::Done(Contents::Changes(changes))
                } else {
                    State::Changes { changes, from: to, to: None }
                }
            }
            State::Empty | State::Done(_) => return Err(AFTER_END),
        };
        Ok(())
    }
}

const AFTER_END: Failure = Failure::NotWhole("it goes on after its end");
