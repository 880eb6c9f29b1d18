//! How fast lists of each format are read, and compiled to an index in memory.
//!
//! Rates are of rules: lines that give none take time too, in real lists.

use std::{fmt::Write, fs, sync::Arc};

use super::support::{self, Names};
use divan::{
    Bencher,
    counter::{BytesCount, ItemsCount},
};
use schoolgate::lists::{
    compiler::{Compiler, Identity},
    format::{Format, MatchMode},
    source::Source,
};

/// How many rules made-up lists have.
const RULES: u64 = 300_000;

/// Lists of one format.
#[derive(Debug, Clone)]
struct Lists {
    format: Format,
    title: &'static str,
    sources: Vec<Source>,
    bytes: u64,
    rules: u64,
}

impl std::fmt::Display for Lists {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.title, self.format)
    }
}

#[divan::bench(args = lists(), sample_count = 5, sample_size = 1)]
fn read(bencher: Bencher<'_, '_>, lists: &Lists) {
    bencher.counter(ItemsCount::new(lists.rules)).counter(BytesCount::new(lists.bytes)).bench(|| {
        let mut rules = 0_u64;
        for source in &lists.sources {
            rules += count(source, lists.format);
        }
        rules
    });
}

#[divan::bench(args = lists(), sample_count = 3, sample_size = 1)]
fn compile(bencher: Bencher<'_, '_>, lists: &Lists) {
    bencher.counter(ItemsCount::new(lists.rules)).bench(|| {
        let mut compiler = Compiler::in_memory();
        for (i, source) in lists.sources.iter().enumerate() {
            let identity = Identity {
                id: format!("list-{i}"),
                title: String::from("A list"),
                category: String::from("games"),
            };
            compiler
                .add_source(identity, source, Some(lists.format), MatchMode::Subdomains)
                .expect("it was read before");
        }
        compiler.finish_bytes().expect("memory can be written")
    });
}

fn count(source: &Source, format: Format) -> u64 {
    let mut rules = 0;
    source
        .read(Some(format), MatchMode::Subdomains, &mut |_, line| rules += u64::from(line.is_ok()))
        .expect("it was read before");
    rules
}

fn lists() -> Vec<Lists> {
    let mut all: Vec<_> = Format::ALL.into_iter().filter_map(made_up).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    if support::folder().is_some() {
        let files = Names::Real.write(folder.path()).expect("the lists are written");
        for file in files {
            // Texts are held in memory, so that reading is measured and not the disk.
            let bytes: Arc<[u8]> = fs::read(&file).expect("it was written").into();
            let length = bytes.len() as u64;
            let source = Source::bytes(file.display().to_string(), bytes);
            let Ok(contents) = source.read(None, MatchMode::Subdomains, &mut |_, _| {}) else { continue };
            let format = contents.format;
            let rules = count(&source, format);
            let place = all.iter().position(|lists| lists.format == format && lists.title == "real");
            let place = place.unwrap_or_else(|| {
                all.push(Lists { format, title: "real", sources: Vec::new(), bytes: 0, rules: 0 });
                all.len() - 1
            });
            all[place].sources.push(source);
            all[place].bytes += length;
            all[place].rules += rules;
        }
    }
    all
}

/// A list of made-up names, or addresses, as this format writes them.
fn made_up(format: Format) -> Option<Lists> {
    let mut text = String::new();
    if format == Format::Rpz {
        text.push_str("$TTL 300\n@ SOA localhost. root.localhost. 1 3600 600 86400 300\n NS localhost.\n");
    }
    for i in 0..RULES {
        let name = support::names::name(i);
        // Writing to a string does not fail.
        let _ = match format {
            Format::Domains => writeln!(text, "{name}"),
            Format::Hosts => writeln!(text, "0.0.0.0 {name}"),
            Format::Adblock => writeln!(text, "||{name}^"),
            Format::Dnsmasq => writeln!(text, "address=/{name}/#"),
            Format::Unbound => writeln!(text, "local-zone: \"{name}\" always_null"),
            Format::Rpz => writeln!(text, "{name} CNAME .\n*.{name} CNAME ."),
            Format::Addresses => {
                writeln!(text, "{}.{}.{}.0/24", 11 + i % 100, i / 100 % 250, i / 25_000 % 250)
            }
            // Its files of names are read as plain names are.
            Format::Squidguard => return None,
        };
    }
    let bytes = text.len() as u64;
    let source = Source::bytes(format.to_string(), text.into_bytes());
    let rules = count(&source, format);
    Some(Lists { format, title: "made-up", sources: vec![source], bytes, rules })
}
