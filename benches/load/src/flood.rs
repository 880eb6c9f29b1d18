//! As many questions as a server can answer, with a fixed number in flight.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    path::Path,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{
    Outcome,
    batch::{self, BATCH, Incoming, Way},
    questions::Questions,
};

/// Over so many sockets, so that a server that shares questions out by their sender has something to share.
const SOCKETS: usize = 8;

/// After how long a question counts as lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// One socket and its questions in flight.
struct Lane {
    socket: UdpSocket,
    /// What is in flight, by the identifier's rest when it is divided by their number.
    slots: Vec<Slot>,
    free: Vec<u16>,
    /// The addresses that it asks from, where there are several.
    clients: Option<Clients>,
}

/// Addresses of clients, to be taken in turn.
struct Clients {
    server: SocketAddrV4,
    count: u32,
    next: u32,
}

impl Clients {
    /// From the next client to the server.
    fn way(&mut self) -> Way {
        self.next = (self.next + 1) % self.count;
        let step = (1 << 20) / self.count;
        let from = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 16, 0, 1)) + self.next * step);
        Way { from, to: self.server }
    }
}

#[derive(Clone, Copy)]
struct Slot {
    id: u16,
    /// When it was sent; none when it is free.
    sent: Option<Instant>,
}

/// What has come of the questions.
struct Counts {
    answered: u64,
    lost: u64,
    /// Answers by their code.
    codes: [u64; 16],
}

/// Asks for so many seconds and prints what became of it.
pub(crate) fn run(
    server: SocketAddr,
    file: &Path,
    seconds: f64,
    outstanding: usize,
    clients: Option<u32>,
) -> Outcome<()> {
    let mut questions = Questions::read(file)?.side_by_side(BATCH);
    let slots = u16::try_from(outstanding.div_ceil(SOCKETS))?.max(1);
    let mut lanes = (0..SOCKETS).map(|_| Lane::open(server, slots, clients)).collect::<Outcome<Vec<_>>>()?;
    let mut counts = Counts { answered: 0, lost: 0, codes: [0; 16] };
    let mut incoming = Incoming::new();
    let mut next = 0;
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(seconds);
    let mut now = begun;
    let mut looked = begun;
    while now < end {
        let mut came = 0;
        for lane in &mut lanes {
            came += lane.take(&mut incoming, &mut counts)?;
            // A call for each answer would cost more than the answer.
            if lane.free.len() >= BATCH.min(lane.slots.len()) / 2 {
                lane.ask(&mut questions, &mut next, now);
            }
        }
        now = Instant::now();
        if came == 0 {
            for lane in &mut lanes {
                lane.ask(&mut questions, &mut next, now);
            }
            let mut waiting: Vec<_> =
                lanes.iter().map(|lane| PollFd::new(&lane.socket, PollFlags::IN)).collect();
            poll(&mut waiting, Some(&Timespec { tv_sec: 0, tv_nsec: 10_000_000 }))?;
        }
        if now - looked > PATIENCE / 10 {
            looked = now;
            counts.lost += lanes.iter_mut().map(|lane| lane.give_up(now)).sum::<u64>();
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let codes: Vec<_> = counts
        .codes
        .iter()
        .enumerate()
        .filter(|(_, n)| **n > 0)
        .map(|(code, n)| format!("\"{code}\": {n}"))
        .collect();
    println!(
        "{{\"answered\": {}, \"lost\": {}, \"rcodes\": {{{}}}, \"seconds\": {seconds:.3}, \"processor\": {:.3}}}",
        counts.answered,
        counts.lost,
        codes.join(", "),
        processor()?
    );
    Ok(())
}

impl Lane {
    fn open(server: SocketAddr, slots: u16, clients: Option<u32>) -> Outcome<Self> {
        let socket = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        let clients = match (clients, server) {
            (None, _) => None,
            (Some(count @ 1..=0xf_ffff), SocketAddr::V4(server)) => Some(Clients { server, count, next: 0 }),
            _ => return Err("there are 1,048,575 clients at most, of a server at an IPv4 address".into()),
        };
        if clients.is_none() {
            socket.connect(server)?;
        }
        socket.set_nonblocking(true)?;
        let slots: Vec<_> = (0..slots).map(|id| Slot { id, sent: None }).collect();
        Ok(Self { socket, free: slots.iter().map(|slot| slot.id).collect(), slots, clients })
    }

    /// Takes answers; how many.
    fn take(&mut self, incoming: &mut Incoming<()>, counts: &mut Counts) -> Outcome<usize> {
        let came = incoming.receive(&self.socket)?;
        for packet in incoming.packets() {
            let [high, low, flags, code, ..] = *packet else { continue };
            let id = u16::from_be_bytes([high, low]);
            let place = usize::from(id) % self.slots.len();
            let slot = &mut self.slots[place];
            // What came too late for its question is not counted twice.
            if flags & 0x80 == 0 || slot.id != id || slot.sent.take().is_none() {
                continue;
            }
            self.free.push(place as u16);
            counts.answered += 1;
            counts.codes[usize::from(code & 15)] += 1;
        }
        Ok(came)
    }

    /// Asks for as much as there is room for.
    fn ask(&mut self, questions: &mut Questions, next: &mut usize, now: Instant) {
        while !self.free.is_empty() {
            let count = questions.alike(*next, self.free.len().min(BATCH));
            let (asked, step) = (self.free.len() - count.., self.slots.len() as u32);
            for (at, place) in self.free[asked.clone()].iter().enumerate() {
                let slot = &mut self.slots[usize::from(*place)];
                // The next of the identifiers that belong to this place.
                slot.id = u16::try_from(u32::from(slot.id) + step).unwrap_or(*place);
                questions.number(*next + at, slot.id);
            }
            let (packets, length) = questions.several(*next, count);
            if !batch::send(&self.socket, packets, length, self.clients.as_mut().map(Clients::way)) {
                return;
            }
            for place in self.free.drain(asked) {
                self.slots[usize::from(place)].sent = Some(now);
            }
            *next = (*next + count) % questions.len();
        }
    }

    /// Gives up what was not answered in time; how many.
    fn give_up(&mut self, now: Instant) -> u64 {
        let mut lost = 0;
        for (place, slot) in self.slots.iter_mut().enumerate() {
            if slot.sent.is_some_and(|sent| now - sent > PATIENCE) {
                slot.sent = None;
                self.free.push(place as u16);
                lost += 1;
            }
        }
        lost
    }
}

/// How many seconds of a processor this program had.
fn processor() -> Outcome<f64> {
    // In nanoseconds, of the only thread there is.
    let text = fs::read_to_string("/proc/self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse::<f64>()? / 1e9)
}
