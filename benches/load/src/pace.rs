//! A steady pace, and how long answers take at it.

use std::{
    net::{SocketAddr, UdpSocket},
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant, SystemTime},
};

use nix::sys::socket::{setsockopt, sockopt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{Outcome, batch::Incoming, input_ends, questions::Questions};

/// How long answers are waited for after the last question.
const PATIENCE: Duration = Duration::from_millis(500);

/// Names of which the answers are measured together.
struct Kind {
    title: String,
    questions: Questions,
    /// How long each answer took.
    times: Vec<Duration>,
}

/// A question without an answer as yet.
#[derive(Clone, Copy)]
struct Asked {
    kind: usize,
    /// When it was sent, since 1970: the clock by which the kernel says when answers came, so that it does not matter
    /// when we are woken.
    at: Duration,
}

/// Everything that is asked and answered.
struct Pace {
    socket: UdpSocket,
    kinds: Vec<Kind>,
    asked: Vec<Option<Asked>>,
    sent: u64,
    incoming: Incoming<()>,
    last: Option<Duration>,
    /// The longest time between two answers.
    silence: Duration,
}

/// Asks `rate` questions a second for so many seconds, or until the input ends, and prints how long answers took.
pub(crate) fn run(server: SocketAddr, rate: f64, seconds: Option<f64>, kinds: &[&str]) -> Outcome<()> {
    let mut pace = Pace::open(server, kinds)?;
    let every = Duration::from_secs_f64(1.0 / rate);
    // By the time or by the input, not by both.
    let ended = if seconds.is_none() { input_ends() } else { Arc::default() };
    let start = Instant::now();
    let end = seconds.map(|seconds| start + Duration::from_secs_f64(seconds));
    while !ended.load(Ordering::Relaxed) && end.is_none_or(|end| Instant::now() < end) {
        pace.receive_until(start + every.mul_f64(pace.sent as f64))?;
        pace.ask();
    }
    pace.receive_until(Instant::now() + PATIENCE)?;
    pace.print();
    Ok(())
}

impl Pace {
    fn open(server: SocketAddr, kinds: &[&str]) -> Outcome<Self> {
        let kinds = kinds.iter().map(|kind| {
            let (title, file) = kind.split_once('=').ok_or("a kind of names is TITLE=FILE")?;
            let questions = Questions::read(Path::new(file))?;
            Ok(Kind { title: title.to_owned(), questions, times: Vec::new() })
        });
        let socket = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        Ok(Self {
            socket,
            kinds: kinds.collect::<Outcome<_>>()?,
            asked: vec![None; usize::from(u16::MAX) + 1],
            sent: 0,
            incoming: Incoming::new(),
            last: None,
            silence: Duration::ZERO,
        })
    }

    fn ask(&mut self) {
        let kinds = self.kinds.len() as u64;
        let (which, turn, id) = ((self.sent % kinds) as usize, self.sent / kinds, self.sent as u16);
        let questions = &mut self.kinds[which].questions;
        let at = (turn % questions.len() as u64) as usize;
        questions.number(at, id);
        self.asked[usize::from(id)] = Some(Asked { kind: which, at: now() });
        // A full buffer is a lost question, which is counted.
        let _ = self.socket.send(questions.get(at));
        self.sent += 1;
    }

    /// Takes answers until it is time for something else.
    fn receive_until(&mut self, due: Instant) -> Outcome<()> {
        loop {
            while self.incoming.receive(&self.socket)? > 0 {
                self.note();
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&left))?;
        }
    }

    fn note(&mut self) {
        let times: Vec<_> = self.incoming.times().collect();
        for (packet, came) in self.incoming.packets().zip(times) {
            let [high, low, ..] = *packet else { continue };
            let id = usize::from(u16::from_be_bytes([high, low]));
            let Some((asked, came)) = self.asked[id].take().zip(came) else { continue };
            self.kinds[asked.kind].times.push(came.saturating_sub(asked.at));
            self.silence =
                self.silence.max(self.last.map_or(Duration::ZERO, |last| came.saturating_sub(last)));
            self.last = Some(came);
        }
    }

    fn print(mut self) {
        let received: usize = self.kinds.iter().map(|kind| kind.times.len()).sum();
        print!("{{\"sent\": {}, \"lost\": {}, ", self.sent, self.sent - received as u64);
        print!("\"longest_silence_ms\": {:.2}", self.silence.as_secs_f64() * 1e3);
        for Kind { title, times, .. } in &mut self.kinds {
            times.sort_unstable();
            let at = |share: f64| {
                let place = (times.len() as f64 * share) as usize;
                let time = times.get(place.min(times.len().saturating_sub(1)));
                time.map_or(0.0, |time| time.as_secs_f64() * 1e6)
            };
            print!(", \"{title}\": {{\"answers\": {}, ", times.len());
            print!("\"p50\": {:.1}, \"p99\": {:.1}, ", at(0.5), at(0.99));
            print!("\"p99.9\": {:.1}, \"max\": {:.1}}}", at(0.999), at(1.0));
        }
        println!("}}");
    }
}

fn now() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "packets that came are stamped with this clock")]
    let now = SystemTime::now();
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
