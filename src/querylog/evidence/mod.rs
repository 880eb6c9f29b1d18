//! Rows of the log as evidence: a package that can be handed over, and that shows for itself if it was changed.
//!
//! [`make()`] writes it: the rows, a summary for people, the settings and list versions in force, and a manifest with the
//! digest of each file, signed with the box's own key. [`verify()`] checks it, on any machine. `docs/privacy.md` says
//! what is in it and how it can be checked without this program.

mod csv;
mod make;
mod package;
mod rows;
mod summary;
#[cfg(test)]
mod tests;
mod verify;
mod zip;

pub(super) use self::{
    csv::row as csv_row,
    make::{Outgoing, machine, program},
    package::Package,
    rows::{Asker, Rows},
    summary::{Tally, both_times, gap_lines},
};
pub use self::{
    make::{About, Made, Order, make},
    package::{FORMAT, FileEntry, Kind, MANIFEST, Manifest, SIGNATURE, VERSION},
    rows::Filter,
    verify::{Findings, VerifyError, unpack, verify},
};
