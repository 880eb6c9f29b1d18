//! How fast lists of each format are read, and compiled to an index in memory.
//!
//! Rates are of rules: lines that give none take time too, in real lists.

use std::{fmt, fmt::Write as _, fs};

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

/// Which lists are measured.
#[derive(Debug, Clone, Copy)]
struct Kind {
    format: Format,
    real: bool,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.real { "real" } else { "made-up" }, self.format)
    }
}

/// Lists of one format, in memory, so that the disk is not measured.
struct Lists {
    format: Format,
    sources: Vec<Source>,
    bytes: u64,
    rules: u64,
}

fn kinds() -> Vec<Kind> {
    let real = if support::folder().is_some() { &[false, true][..] } else { &[false] };
    let of = |&real: &bool| Format::ALL.into_iter().map(move |format| Kind { format, real });
    // Files of names within squidGuard's folders are read as plain names are.
    real.iter().flat_map(of).filter(|kind| kind.real || kind.format != Format::Squidguard).collect()
}

#[divan::bench(args = kinds(), sample_count = 5, sample_size = 1)]
fn read(bencher: Bencher<'_, '_>, kind: Kind) {
    let lists = kind.lists();
    bencher.counter(ItemsCount::new(lists.rules)).counter(BytesCount::new(lists.bytes)).bench(|| {
        let mut rules = 0_u64;
        for source in &lists.sources {
            rules += count(source, lists.format);
        }
        rules
    });
}

#[divan::bench(args = kinds(), sample_count = 3, sample_size = 1)]
fn compile(bencher: Bencher<'_, '_>, kind: Kind) {
    let lists = kind.lists();
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

impl Kind {
    fn lists(self) -> Lists {
        if self.real { real(self.format) } else { made_up(self.format) }
    }
}

/// All real lists of a format.
fn real(format: Format) -> Lists {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = Names::Real.write(folder.path()).expect("the lists are written");
    let mut lists = Lists { format, sources: Vec::new(), bytes: 0, rules: 0 };
    for file in files {
        // A file of names knows by what lies beside it that it is squidGuard's.
        let Ok(contents) = Source::at(&file).read(None, MatchMode::Subdomains, &mut |_, _| {}) else {
            continue;
        };
        if contents.format == format {
            let bytes = fs::read(&file).expect("it was written");
            lists.bytes += bytes.len() as u64;
            let source = Source::bytes(file.display().to_string(), bytes);
            lists.rules += count(&source, format);
            lists.sources.push(source);
        }
    }
    lists
}

/// A list of made-up names, or addresses, as this format writes them.
fn made_up(format: Format) -> Lists {
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
            Format::Squidguard => Ok(()),
        };
    }
    let bytes = text.len() as u64;
    let source = Source::bytes(format.to_string(), text.into_bytes());
    let rules = count(&source, format);
    Lists { format, sources: vec![source], bytes, rules }
}
