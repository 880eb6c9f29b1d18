//! The DNS front end: sockets, the rules of the protocol, and the path of a question.
//!
//! [`Server::bind`] takes the addresses, [`Bound::serve`] answers there until it is stopped, and [`Handler`] is what
//! it answers with: bytes in, bytes out. `handler.rs` is the file to read first.

mod answer;
mod bind;
mod config;
mod connections;
mod designated;
mod encrypted;
mod fast;
mod forge;
mod handler;
mod limit;
mod message;
mod neighbours;
mod notice;
mod pulse;
mod rules;
mod seams;
mod server;
mod stream;
mod tcp;
mod udp;
mod work;

pub use crate::querylog::Transport;
pub use bind::ServeError;
pub use config::{Config, ConfigError};
pub use designated::Designated;
pub use encrypted::Encrypted;
pub use handler::{Answered, Asked, Handler, Outcome};
pub use neighbours::Neighbours;
pub use notice::NoticeReply;
pub use pulse::Pulse;
pub use seams::{Decide, Record, Resolve};
pub use server::{Bound, Server};

#[cfg(test)]
mod tests;
