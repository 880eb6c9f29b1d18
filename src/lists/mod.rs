//! What is known about names: category lists of any format, compiled into one index.
//!
//! A list is text in one of several [`Format`]s. [`format`](mod@format) reads it, [`compiler`] turns any number of lists into one
//! [`DomainIndex`], which answers, for a name, every list that has it or a parent of it. An index is immutable; a new
//! one is swapped in whole.

pub mod catalogue;
pub mod compiler;
pub mod curated;
pub mod diff;
pub mod format;
pub mod guard;
pub mod index;
pub mod inspect;
pub mod popular;
pub mod services;
pub mod shipped;
pub mod source;
pub mod survey;

pub use format::Format;
pub use index::{DomainIndex, Entry, Hit, ListMeta};
