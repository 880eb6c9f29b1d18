//! The machine of an appliance: what its own helpers found out, and what is asked of them.
//!
//! The service can't change the system. Where it runs on the appliance's image, root's helpers take requests from
//! files and answer by files; [`Machine`] writes, waits and reads. Elsewhere there are no such folders, and nothing of
//! this [is there](Machine::is_there). Whatever lies in the files, reading it never panics.

mod ask;
mod facts;
mod keys;
mod network;

#[cfg(test)]
pub(crate) use self::ask::helper;
pub use self::{
    ask::{Asked, Machine, MachineError, Outcome},
    facts::{Last, Look, Observed, Updates, is_window},
    keys::{PublicKey, public_keys},
    network::{Method, Network},
};
