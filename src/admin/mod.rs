//! The web admin and the HTTP API.

mod listen;

pub use listen::{Limits, Peer, Serve};
