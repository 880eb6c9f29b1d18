//! The seam between us and whoever finds answers on the internet.

use std::{future::Future, pin::Pin};

use hickory_proto::{
    op::{Message, Query},
    rr::Record,
};

use super::{Ask, Security, report::ServerReport};
use crate::{delegation::Delegations, ede::Ede};

/// Finds the answer to one question by asking others.
///
/// Asks with DO set; hands over the whole chain of aliases as far as it got, even when its end failed.
pub trait Backend: Send + Sync + std::fmt::Debug {
    /// Asks. Has its own time limit, so it always ends.
    fn ask<'a>(
        &'a self,
        query: &'a Query,
        ask: Ask,
    ) -> Pin<Box<dyn Future<Output = Result<Found, Failure>> + Send + 'a>>;

    /// The servers that it always asks, and how that goes; none for one that finds its servers itself.
    fn servers(&self) -> Vec<ServerReport> {
        Vec::new()
    }
}

/// An answer from outside.
#[derive(Debug, Clone)]
pub struct Found {
    /// The whole message: rcode, answers (aliases first), authorities.
    pub message: Message,
    /// Whether it is proven.
    pub security: Security,
    /// What is to be said about it, for example why it is bogus.
    pub ede: Vec<Ede>,
    /// The delegations that it came from, where the backend asked the authoritative servers itself.
    pub delegations: Delegations,
}

/// No usable answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// What went wrong, for the log.
    pub reason: String,
    /// What the client is told.
    pub ede: Vec<Ede>,
    /// The aliases that were followed before it went wrong, so that they can be reviewed.
    pub aliases: Vec<Record>,
}
