//! Frame Streams, the way in which dnstap travels: frames with their length in front, and control frames at the start
//! and the end of a connection, both ways.
//!
//! The sending side is small enough to be written down here. The crates that have it (`dnstap`, `framestream`) only send
//! without the handshake or to Unix sockets, and bring a second Protocol Buffers library and a second event loop.

use std::io::{self, Read, Write};

const ACCEPT: u32 = 1;
const START: u32 = 2;
const STOP: u32 = 3;
const READY: u32 = 4;
const FINISH: u32 = 5;
const CONTENT_TYPE: u32 = 1;

/// Longer control frames than this nobody sends.
const LONGEST: u32 = 512;

fn control(kind: u32, content: Option<&str>) -> Vec<u8> {
    let mut frame = kind.to_be_bytes().to_vec();
    if let Some(content) = content {
        frame.extend_from_slice(&CONTENT_TYPE.to_be_bytes());
        frame.extend_from_slice(&(content.len() as u32).to_be_bytes());
        frame.extend_from_slice(content.as_bytes());
    }
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(&(frame.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&frame);
    bytes
}

/// Agrees with a collector on what is sent, and begins.
pub(super) fn begin(stream: &mut (impl Read + Write), content: &str) -> io::Result<()> {
    stream.write_all(&control(READY, Some(content)))?;
    stream.flush()?;
    let (kind, types) = read(stream)?;
    if kind != ACCEPT {
        return Err(wrong("the collector did not accept the connection"));
    }
    // None named: it takes any.
    if !types.is_empty() && !types.iter().any(|known| known == content.as_bytes()) {
        return Err(wrong("the collector does not take dnstap"));
    }
    stream.write_all(&control(START, Some(content)))?;
    stream.flush()
}

/// Sends a frame. An empty one would be taken for the start of a control frame, and is not sent.
pub(super) fn send(stream: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    if frame.is_empty() {
        return Ok(());
    }
    let length = u32::try_from(frame.len()).map_err(|_| wrong("a frame is too long"))?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(frame)
}

/// Says that nothing follows, and waits until the collector has all.
pub(super) fn end(stream: &mut (impl Read + Write)) -> io::Result<()> {
    stream.write_all(&control(STOP, None))?;
    stream.flush()?;
    match read(stream)?.0 {
        FINISH => Ok(()),
        _ => Err(wrong("the collector did not say that it has all")),
    }
}

/// Reads a control frame: its kind, and the content types that it names.
fn read(stream: &mut impl Read) -> io::Result<(u32, Vec<Vec<u8>>)> {
    let mut number = || -> io::Result<u32> {
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    };
    if number()? != 0 {
        return Err(wrong("the collector sent data where it should not"));
    }
    let length = number()?;
    if !(4..=LONGEST).contains(&length) {
        return Err(wrong("the collector sent a control frame of an impossible length"));
    }
    let mut frame = vec![0; length as usize];
    stream.read_exact(&mut frame)?;
    fields(&frame).ok_or_else(|| wrong("the collector sent a control frame that is none"))
}

fn fields(frame: &[u8]) -> Option<(u32, Vec<Vec<u8>>)> {
    let (kind, mut rest) = frame.split_first_chunk()?;
    let mut types = Vec::new();
    while !rest.is_empty() {
        let (field, more) = rest.split_first_chunk()?;
        let (length, more) = more.split_first_chunk()?;
        let (value, more) = more.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        if u32::from_be_bytes(*field) == CONTENT_TYPE {
            types.push(value.to_vec());
        }
        rest = more;
    }
    Some((u32::from_be_bytes(*kind), types))
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    const TYPE: &str = "protobuf:dnstap.Dnstap";

    /// A collector that has said its part already.
    struct Said {
        says: Cursor<Vec<u8>>,
        heard: Vec<u8>,
    }

    impl Read for Said {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.says.read(buffer)
        }
    }

    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.heard.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(frames: &[Vec<u8>]) -> Said {
        Said { says: Cursor::new(frames.concat()), heard: Vec::new() }
    }

    #[test]
    fn both_sides_agree_before_anything_is_sent() {
        let mut collector = said(&[control(ACCEPT, Some(TYPE)), control(FINISH, None)]);
        begin(&mut collector, TYPE).unwrap();
        send(&mut collector, b"one").unwrap();
        send(&mut collector, b"").unwrap();
        end(&mut collector).unwrap();
        let frames = [
            control(READY, Some(TYPE)),
            control(START, Some(TYPE)),
            b"\0\0\0\x03one".to_vec(),
            control(STOP, None),
        ];
        assert_eq!(collector.heard, frames.concat());
        begin(&mut said(&[control(ACCEPT, None)]), TYPE).unwrap();
    }

    #[test]
    fn a_collector_of_something_else_is_told_apart() {
        for (frame, why) in [
            (control(ACCEPT, Some("text")), "does not take dnstap"),
            (control(FINISH, None), "did not accept"),
            (b"\0\0\0\x03one".to_vec(), "sent data"),
            (b"\0\0\0\0\xff\xff\xff\xff".to_vec(), "impossible length"),
            (b"\0\0\0\0\0\0\0\x06\0\0\0\x01\0\0".to_vec(), "that is none"),
            (b"\0\0\0\0\0\0\0\x0c\0\0\0\x01\0\0\0\x01\xff\xff\xff\xff".to_vec(), "that is none"),
            (b"HTTP/1.1 400 Bad Request".to_vec(), "sent data"),
        ] {
            let error = begin(&mut said(&[frame]), TYPE).unwrap_err().to_string();
            assert!(error.contains(why), "{why}: {error}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_collector_says_is_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = begin(&mut said(std::slice::from_ref(&bytes)), TYPE);
            let framed = [b"\0\0\0\0".as_slice(), &(bytes.len() as u32).to_be_bytes(), &bytes].concat();
            let _ = begin(&mut said(&[framed]), TYPE);
        }
    }
}
