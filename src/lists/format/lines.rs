//! Lines of a text of any size in bounded memory.

use std::io::{self, BufRead, ErrorKind};

/// The longest line that is read, in bytes; a longer one is skipped.
///
/// Four times the longest line seen in public lists (browser rules with thousands of sites in one modifier).
pub const MAX_LINE: usize = 64 * 1024;

/// How much of a line that is too long is handed on, to show it.
const SHOWN: usize = 512;

/// A line without its end.
pub(super) enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// Its start; the rest was over [`MAX_LINE`] and not kept.
    TooLong(&'a [u8]),
}

/// Hands each line with its number (from 1) to `each`, without its LF or CRLF and without a byte-order mark.
pub(super) fn for_each(input: &mut dyn BufRead, each: &mut dyn FnMut(u64, Line<'_>)) -> io::Result<()> {
    let mut number = 0;
    // The part of a line that earlier buffers held.
    let mut carried = Vec::new();
    let mut too_long = false;
    loop {
        let buffer = match input.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if buffer.is_empty() {
            if !carried.is_empty() || too_long {
                finish(number + 1, &carried, too_long, each);
            }
            return Ok(());
        }
        let used = buffer.len();
        let mut rest = buffer;
        while let Some(end) = rest.iter().position(|&b| b == b'\n') {
            number += 1;
            if carried.is_empty() && !too_long {
                finish(number, &rest[..end], end > MAX_LINE, each);
            } else {
                carry(&mut carried, &mut too_long, &rest[..end]);
                finish(number, &carried, too_long, each);
                carried.clear();
                too_long = false;
            }
            rest = &rest[end + 1..];
        }
        carry(&mut carried, &mut too_long, rest);
        input.consume(used);
    }
}

fn carry(carried: &mut Vec<u8>, too_long: &mut bool, more: &[u8]) {
    if *too_long {
        return;
    }
    carried.extend_from_slice(&more[..more.len().min(MAX_LINE + 1)]);
    if carried.len() > MAX_LINE {
        *too_long = true;
        carried.truncate(SHOWN);
    }
}

fn finish(number: u64, line: &[u8], too_long: bool, each: &mut dyn FnMut(u64, Line<'_>)) {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    if too_long {
        each(number, Line::TooLong(&line[..line.len().min(SHOWN)]));
    } else {
        each(number, Line::Whole(line.strip_suffix(b"\r").unwrap_or(line)));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use super::*;

    fn lines(input: &mut dyn BufRead) -> Vec<(u64, Option<String>)> {
        let mut found = Vec::new();
        for_each(input, &mut |number, line| {
            found.push((
                number,
                match line {
                    Line::Whole(bytes) => Some(String::from_utf8(bytes.to_vec()).unwrap()),
                    Line::TooLong(_) => None,
                },
            ));
        })
        .unwrap();
        found
    }

    #[test]
    fn lines_are_the_same_whatever_the_buffer_holds() {
        let text = b"\xef\xbb\xbfone\r\n\ntwo\nthree";
        let expected = [(1, "one"), (2, ""), (3, "two"), (4, "three")].map(|(n, t)| (n, Some(t.to_owned())));
        for capacity in 1..20 {
            assert_eq!(lines(&mut BufReader::with_capacity(capacity, &text[3..])), expected);
        }
        assert_eq!(lines(&mut &text[..]), expected);
    }

    #[test]
    fn a_last_line_end_makes_no_line() {
        assert_eq!(lines(&mut &b"a\n"[..]).len(), 1);
        assert_eq!(lines(&mut &b""[..]).len(), 0);
    }

    #[test]
    fn a_line_over_the_limit_neither_takes_memory_nor_stops_the_reading() {
        let endless = io::repeat(b'x').take(50_000_000);
        let mut input = BufReader::new(io::Cursor::new(b"first\n").chain(endless).chain(&b"\nlast.example\n"[..]));
        assert_eq!(
            lines(&mut input),
            [(1, Some("first".to_owned())), (2, None), (3, Some("last.example".to_owned()))]
        );
    }

    #[test]
    fn the_limit_is_exact() {
        for (length, whole) in [(MAX_LINE, true), (MAX_LINE + 1, false)] {
            let mut text = vec![b'x'; length];
            text.push(b'\n');
            assert_eq!(lines(&mut &text[..])[0].1.is_some(), whole);
            assert_eq!(lines(&mut BufReader::with_capacity(100, &text[..]))[0].1.is_some(), whole);
        }
    }
}
