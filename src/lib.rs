//! Schoolgate: a DNS resolver that filters for schools.

pub mod category;
pub mod clients;
pub mod clock;
pub mod dns;
pub mod ede;
pub mod lists;
pub mod name;
pub mod policy;
pub mod resolver;
