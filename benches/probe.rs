//! Asks a server at a steady pace and says how long answers took, and how long none came.
//!
//! `benches/swap` and `benches/rpz` build it with `rustc -O` and start it:
//!
//! ```text
//! probe ask SERVER:PORT MICROSECONDS KIND=NAME,NAME… KIND=NAME…
//! ```
//!
//! asks for the next name of each kind in turn, one question each so many microseconds whether or not answers come,
//! until its input ends; then prints JSON. Answers are waited for, not polled, so that the processor is left to others.
//!
//! ```text
//! probe names NUMBER FOLDER
//! ```
//!
//! writes lists of about so many made-up names.

#![expect(clippy::print_stdout, reason = "this is a program of its own")]

#[path = "support/names.rs"]
mod names;

use std::{
    io::{self, Read},
    net::UdpSocket,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ask", server, every, ref kinds @ ..] => ask(server, every, kinds),
        ["names", number, folder] => {
            let number = number.parse().map_err(io::Error::other)?;
            names::made_up(number, Path::new(folder)).map(drop)
        }
        _ => {
            println!("This bench is run by benches/swap and benches/rpz.");
            Ok(())
        }
    }
}

/// Names that are asked for, of which the answers are measured together.
struct Kind<'a> {
    title: &'a str,
    names: Vec<&'a str>,
}

/// When each question was asked, in nanoseconds from the start; 0 when it is answered.
type Asked = Arc<Vec<AtomicU64>>;

fn ask(server: &str, every: &str, kinds: &[&str]) -> io::Result<()> {
    let every = Duration::from_micros(every.parse().map_err(io::Error::other)?);
    let kinds: Vec<_> = kinds
        .iter()
        .filter_map(|kind| kind.split_once('='))
        .map(|(title, names)| Kind { title, names: names.split(',').collect() })
        .collect();
    if kinds.is_empty() || kinds.len() > 16 {
        return Err(io::Error::other("from one to sixteen kinds of names are asked for"));
    }
    let socket = UdpSocket::bind(if server.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" })?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;

    let start = Instant::now();
    let asked: Asked = Arc::new((0..=u16::MAX).map(|_| AtomicU64::new(0)).collect());
    let done = Arc::new(AtomicBool::new(false));
    let answers = {
        let (socket, asked, done) = (socket.try_clone()?, Arc::clone(&asked), Arc::clone(&done));
        let kinds = kinds.len();
        thread::spawn(move || answers(&socket, &asked, &done, start, kinds))
    };
    let stop = Arc::new(AtomicBool::new(false));
    {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            // Whoever started this closes it; an error is an end too.
            let _ = io::copy(&mut io::stdin().lock().take(u64::MAX), &mut io::sink());
            stop.store(true, Ordering::Relaxed);
        });
    }

    let mut sent = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let due = start + every * u32::try_from(sent).map_err(io::Error::other)?;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let kind = (sent % kinds.len() as u64) as usize;
        let names = &kinds[kind].names;
        let name = names[(sent / kinds.len() as u64) as usize % names.len()];
        let packet = question(sent as u16, name);
        asked[usize::from(sent as u16)].store(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        // A full buffer is a lost question, which is counted.
        let _ = socket.send(&packet);
        sent += 1;
    }
    thread::sleep(Duration::from_millis(500));
    done.store(true, Ordering::Relaxed);
    let answers =
        answers.join().map_err(|_| io::Error::other("the thread that waits for answers broke off"))?;

    let received: usize = answers.times.iter().map(Vec::len).sum();
    print!("{{\"sent\": {sent}, \"lost\": {}, ", sent - received as u64);
    print!("\"longest_silence_ms\": {:.2}", answers.silence.as_secs_f64() * 1e3);
    for (kind, mut times) in kinds.iter().zip(answers.times) {
        times.sort_unstable();
        let at = |share: f64| {
            let place = (times.len() as f64 * share) as usize;
            times.get(place.min(times.len().saturating_sub(1))).map_or(0.0, |&nanos| nanos as f64 / 1e3)
        };
        print!(", \"{}\": {{\"answers\": {}, ", kind.title, times.len());
        print!("\"p50\": {:.1}, \"p99\": {:.1}, ", at(0.5), at(0.99));
        print!("\"p99.9\": {:.1}, \"max\": {:.1}}}", at(0.999), at(1.0));
    }
    println!("}}");
    Ok(())
}

struct Answers {
    /// How long each answer took, in nanoseconds, by kind.
    times: Vec<Vec<u64>>,
    /// The longest time between two answers.
    silence: Duration,
}

fn answers(socket: &UdpSocket, asked: &Asked, done: &AtomicBool, start: Instant, kinds: usize) -> Answers {
    let mut times = vec![Vec::new(); kinds];
    let mut silence = Duration::ZERO;
    let mut last: Option<Instant> = None;
    let mut buffer = [0; 4096];
    let mut sent_before = 0_u64;
    while !done.load(Ordering::Relaxed) {
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        let now = Instant::now();
        let [high, low, ..] = buffer[..length] else { continue };
        let id = u16::from_be_bytes([high, low]);
        let at = asked[usize::from(id)].swap(0, Ordering::Relaxed);
        if at == 0 {
            continue;
        }
        times[(place(id, &mut sent_before) % kinds as u64) as usize]
            .push(now.duration_since(start).as_nanos() as u64 - at);
        silence = silence.max(last.map_or(Duration::ZERO, |last| now.duration_since(last)));
        last = Some(now);
    }
    Answers { times, silence }
}

/// Which question an identifier belongs to: the one of that identifier that is nearest to the one before.
fn place(id: u16, before: &mut u64) -> u64 {
    let ahead = id.wrapping_sub(*before as u16) as i16;
    *before = before.saturating_add_signed(i64::from(ahead));
    *before
}

/// A question for A in wire format (RFC 1035), that wants recursion.
fn question(id: u16, name: &str) -> Vec<u8> {
    let mut packet = Vec::with_capacity(64);
    packet.extend_from_slice(&id.to_be_bytes());
    packet.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    packet
}
