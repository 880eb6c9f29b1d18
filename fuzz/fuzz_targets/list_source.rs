//! Any bytes as a source: plain, gzip, zstd, tar, squidGuard archives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schoolgate::lists::{
    format::MatchMode,
    source::{Limits, Source},
};

const LIMITS: Limits = Limits { expanded: 1024 * 1024, ratio: 100 };

fuzz_target!(|data: &[u8]| {
    let source = Source::bytes("fuzz", data).limits(LIMITS);
    let _ = source.read(None, MatchMode::Subdomains, &mut |_, _| {});
    let _ = source.part("adult").read(None, MatchMode::Subdomains, &mut |_, _| {});
});
