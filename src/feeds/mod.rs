//! Brings lists to the box: downloads, zone transfers, the versions that are kept, and what became of each try.
//!
//! Nothing here decides and nothing here answers: what it brings is a file, which the [guard](crate::lists) looks at
//! before anything of it is in force. All of it runs on threads of its own, never on those that answer.

pub mod zone;
