//! End to end: the real binary on an internet of our own, asked from the networks of a school.
//!
//! Runs within `tests/internet/up --run`, which makes the network namespaces and tells where they are:
//!
//! ```sh
//! tests/internet/up --run cargo test --test e2e
//! ```

#![allow(unreachable_pub, reason = "the modules of a test are not for others")]

mod answers;
mod filtering;
mod lasting;
mod novelty;
mod school;
mod servers;
#[path = "../support/mod.rs"]
mod support;
mod zones;
