//! Schoolgate: a DNS resolver that filters for schools.
//!
//! The program is one path, from a packet to an answer. [`dns`] receives the packet; [`clients`] finds who asks;
//! [`policy`] decides, by what [`lists`] know of the name; [`resolver`] finds the answer in a local zone, in its cache
//! or on the internet; [`policy`] reviews that answer, and the [`delegation`] that it came from; [`dns`] sends it. `dns::Handler` is the one place where the path
//! can be read.
//!
//! Beside the path, [`feeds`] brings lists to the box, [`control`] has every action of an administrator, [`store`] keeps what the school decided,
//! [`querylog`] every question and what became of it, [`seen`] since when the school asks for which names, [`accounts`] who may sign in, [`school`] who answers for filtering there, [`mail`] through which server messages leave, [`machine`] what an appliance can be asked, [`admin`] is the pages and the HTTP API, over the certificates of [`tls`], and [`appliance`] builds the whole from its [`config`], starts it and stops it. [`cli`] is the command line.
//!
//! [`vault`] keeps what must never stand in clear. [`name`], [`category`], [`clock`], [`disk`], [`background`] and
//! [`ede`] are the words that all of them use. A module imports only from those
//! below it; `ARCHITECTURE.md` has the floors.

pub mod accounts;
pub mod admin;
pub mod appliance;
pub mod background;
pub mod backup;
pub mod category;
pub mod cli;
pub mod clients;
pub mod clock;
pub mod config;
pub mod control;
pub mod delegation;
pub mod disk;
pub mod dns;
pub mod ede;
pub mod feeds;
pub mod lists;
pub mod machine;
pub mod mail;
mod memory;
pub mod name;
mod places;
pub mod policy;
pub mod querylog;
pub mod resolver;
pub mod school;
pub mod seen;
mod spelling;
pub mod store;
pub mod tls;
pub mod vault;
mod versions;
