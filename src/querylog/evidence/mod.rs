//! Rows of the log as evidence: a package that can be handed over, and that shows for itself if it was changed.
//!
//! [`make()`] writes it: the rows, a summary for people, the settings and list versions in force, and a manifest with the
//! digest of each file, signed with the box's own key. [`verify()`] checks it, on any machine. `docs/privacy.md` says
//! what is in it and how it can be checked without this program.

mod make;
mod package;
mod rows;
mod summary;
#[cfg(test)]
mod tests;
mod verify;
mod zip;

pub(crate) use self::zip::ZipWriter;
pub use self::{
    make::{About, Made, Order, filters, make},
    package::{FORMAT, FileEntry, Kind, MANIFEST, Manifest, SIGNATURE, VERSION},
    verify::{Findings, VerifyError, unpack, verify},
};
pub(super) use self::{
    make::{Outgoing, machine, program},
    package::Package,
    rows::Rows,
    summary::{Tally, both_times, gap_lines},
};
