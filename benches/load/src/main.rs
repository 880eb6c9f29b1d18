//! The load of the benches that ask a running server: see `benches/support/load.py`, which builds and starts it.
//!
//! ```text
//! load echo ADDRESS
//! ```
//!
//! sends every question back as its answer: what the least that a server can do costs, in the same calls to the kernel.
//!
//! ```text
//! load flood ADDRESS FILE SECONDS OUTSTANDING [CLIENTS]
//! ```
//!
//! keeps so many questions in flight, as dnsperf does at a fraction of its cost, and prints how many were answered. CLIENTS
//! is from how many addresses they come, spread over 127.16.0.0/12.
//!
//! ```text
//! load pace ADDRESS RATE SECONDS KIND=FILE…
//! ```
//!
//! asks for the next name of each kind in turn, so many questions a second whether or not answers come, and prints how
//! long they took. SECONDS is `-` for as long as its input is open. Answers are waited for, not polled, so that the
//! processor is left to others.
//!
//! ```text
//! load far BEGINNING=SERVER…
//! ```
//!
//! stands between a resolver and name servers, as a network that takes its time, and counts the questions.
//!
//! ```text
//! load names NUMBER FOLDER
//! ```
//!
//! writes lists of about so many made-up names. Files of questions are dnsperf's: a name and a type a line.

mod batch;
mod echo;
mod far;
mod flood;
#[path = "../../support/names.rs"]
mod names;
mod pace;
mod questions;

use std::{
    error::Error,
    io::{self, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["echo", address] => echo::run(address.parse()?),
        ["flood", address, file, seconds, outstanding, ref clients @ ..] if clients.len() < 2 => {
            let clients = clients.first().map(|clients| clients.parse()).transpose()?;
            flood::run(address.parse()?, Path::new(file), seconds.parse()?, outstanding.parse()?, clients)
        }
        ["pace", address, rate, seconds, ref kinds @ ..] if !kinds.is_empty() => {
            let seconds = (seconds != "-").then(|| seconds.parse()).transpose()?;
            pace::run(address.parse()?, rate.parse()?, seconds, kinds)
        }
        ["far", ref servers @ ..] if !servers.is_empty() => far::run(servers),
        ["names", number, folder] => Ok(names::made_up(number.parse()?, Path::new(folder)).map(drop)?),
        _ => Err("load echo|flood|pace|far|names …: see the head of benches/load/src/main.rs".into()),
    }
}

/// Becomes true when the input ends: whoever started this closes it.
fn input_ends() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&ended);
    thread::spawn(move || {
        // An error is an end too.
        let _ = io::copy(&mut io::stdin().lock().take(u64::MAX), &mut io::sink());
        told.store(true, Ordering::Relaxed);
    });
    ended
}
