//! Records as lines of a zone file.
//!
//! A record is one line, `bad.example CNAME .`: its owner relative to the zone, its type, its data. Time to live and
//! class are left out, since no rule depends on them; readers take those of the SOA, which stands first in full. Two
//! records are the same when their lines are, which is what a transfer of changes goes by.

use std::{
    io::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{
    Timers,
    wire::{Garbled, Name, Reader, Record, kind, push_escaped, push_labels, push_name},
};

/// Types that prove or sign other records: RRSIG, NSEC, DNSKEY, NSEC3, NSEC3PARAM, CDS, CDNSKEY, ZONEMD.
///
/// They are left out: no rule is in them, and each signing would change every line of the file.
const PROOFS: &[u16] = &[46, 47, 48, 50, 51, 59, 60, 63];

/// The record that begins and ends a version of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Soa {
    pub(super) serial: u32,
    pub(super) timers: Timers,
    /// As the first line of a zone file, without its end.
    pub(super) line: Vec<u8>,
}

impl Soa {
    pub(super) fn read(record: &Record<'_>) -> Result<Self, Garbled> {
        let mut data = record.data();
        let (server, mailbox) = (data.name()?, data.name()?);
        let numbers = [data.u32()?, data.u32()?, data.u32()?, data.u32()?, data.u32()?];
        all_read(&data, record)?;
        let mut line = Vec::with_capacity(128);
        push_name(&mut line, &record.owner);
        push(&mut line, format_args!(" {} IN SOA ", record.ttl & 0x7fff_ffff));
        push_name(&mut line, &server);
        line.push(b' ');
        push_name(&mut line, &mailbox);
        for number in numbers {
            push(&mut line, format_args!(" {number}"));
        }
        let [serial, refresh, retry, expire, _] = numbers;
        Ok(Self { serial, timers: Timers { refresh, retry, expire }, line })
    }

    /// Reads the first line of a zone file that [`read`](Self::read) made; none when it is anything else.
    pub(super) fn of_line(line: &[u8], zone: &Name) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let words: Vec<&str> = text.split(' ').collect();
        let [owner, _ttl, "IN", "SOA", _, _, serial, refresh, retry, expire, _] = words[..] else {
            return None;
        };
        if owner != zone.text() {
            return None;
        }
        let timers = Timers {
            refresh: refresh.parse().ok()?,
            retry: retry.parse().ok()?,
            expire: expire.parse().ok()?,
        };
        Some(Self { serial: serial.parse().ok()?, timers, line: line.to_owned() })
    }
}

/// Writes a record of a zone as a line without its end; false for one that is left out.
///
/// The owner's labels above the zone are `above`; none of them is the zone itself.
pub(super) fn write(line: &mut Vec<u8>, above: &[u8], record: &Record<'_>) -> Result<bool, Garbled> {
    if PROOFS.contains(&record.kind) {
        return Ok(false);
    }
    line.clear();
    if above.is_empty() {
        line.push(b'@');
    } else {
        push_labels(line, above);
    }
    let mut data = record.data();
    match record.kind {
        kind::A => {
            let octets = <[u8; 4]>::try_from(record.raw()).map_err(|_| LENGTH)?;
            push(line, format_args!(" A {}", Ipv4Addr::from(octets)));
            return Ok(true);
        }
        kind::AAAA => {
            let octets = <[u8; 16]>::try_from(record.raw()).map_err(|_| LENGTH)?;
            push(line, format_args!(" AAAA {}", Ipv6Addr::from(octets)));
            return Ok(true);
        }
        kind::CNAME => target(line, " CNAME ", &mut data)?,
        kind::DNAME => target(line, " DNAME ", &mut data)?,
        kind::NS => target(line, " NS ", &mut data)?,
        kind::PTR => target(line, " PTR ", &mut data)?,
        kind::MX => {
            push(line, format_args!(" MX {}", data.u16()?));
            target(line, " ", &mut data)?;
        }
        kind::SRV => {
            push(line, format_args!(" SRV {} {} {}", data.u16()?, data.u16()?, data.u16()?));
            target(line, " ", &mut data)?;
        }
        kind::TXT => {
            line.extend_from_slice(b" TXT");
            let end = record.raw().len() + data.at();
            while data.at() < end {
                let length = data.u8()?;
                line.extend_from_slice(b" \"");
                push_escaped(line, data.take(usize::from(length))?);
                line.push(b'"');
            }
        }
        // RFC 3597, section 5.
        other => {
            push(line, format_args!(" TYPE{other} \\# {}", record.raw().len()));
            if !record.raw().is_empty() {
                line.push(b' ');
            }
            for byte in record.raw() {
                push(line, format_args!("{byte:02x}"));
            }
            return Ok(true);
        }
    }
    all_read(&data, record)?;
    Ok(true)
}

const LENGTH: Garbled = Garbled("the data of a record are not as long as they have to be");

fn target(line: &mut Vec<u8>, before: &str, data: &mut Reader<'_>) -> Result<(), Garbled> {
    line.extend_from_slice(before.as_bytes());
    push_name(line, &data.name()?);
    Ok(())
}

fn all_read(data: &Reader<'_>, record: &Record<'_>) -> Result<(), Garbled> {
    let mut rest = record.data();
    rest.take(record.raw().len())?;
    if rest.at() == data.at() { Ok(()) } else { Err(LENGTH) }
}

fn push(line: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector does not fail.
    let _ = line.write_fmt(text);
}
