//! Real lists, read by each format: what their publishers say is in them must come out.
//!
//! The lists are not part of the project. `SCHOOLGATE_LIST_DATA` names a folder that holds them; without it these
//! tests say that they did not run.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::{Path, PathBuf},
    sync::Once,
    time::Instant,
};

use schoolgate::{
    lists::{
        Format,
        format::{MatchMode, NotAList, SkipReason, Subject, detect},
        inspect::{FindingKind, inspect},
        source::{Note, Source},
        survey::{Reading, References},
    },
    name::Key,
};

#[path = "lists_real/guard.rs"]
mod guard;

/// The folder of real lists; says once why the tests do not run.
fn data() -> Option<PathBuf> {
    static SAID: Once = Once::new();
    let folder = std::env::var_os("SCHOOLGATE_LIST_DATA").map(PathBuf::from);
    let why = match folder {
        Some(folder) if folder.is_dir() => return Some(folder),
        Some(folder) => format!("SCHOOLGATE_LIST_DATA names {}, which is no folder", folder.display()),
        None => String::from("set SCHOOLGATE_LIST_DATA to a folder of real lists to run them"),
    };
    // Not a macro that prints: the test harness would swallow the line.
    SAID.call_once(|| {
        let line = format!("tests over real lists did not run: {why}\n");
        std::io::stderr().write_all(line.as_bytes()).expect("stderr is open");
    });
    None
}

#[derive(Default)]
struct List {
    block: BTreeSet<Key>,
    allow: BTreeSet<Key>,
    entries: usize,
    skipped: BTreeMap<SkipReason, usize>,
    notes: Vec<Note>,
    format: Option<Format>,
}

fn reading(source: &Source) -> Reading<'_> {
    Reading { source, format: None, mode: MatchMode::Subdomains }
}

fn read(path: &Path) -> List {
    let mut list = List::default();
    let contents = Source::at(path)
        .read(None, MatchMode::Subdomains, &mut |_, outcome| match outcome {
            Ok(rule) => {
                list.entries += 1;
                if let Subject::Name { key, .. } = rule.subject {
                    if rule.allow { &mut list.allow } else { &mut list.block }.insert(key);
                }
            }
            Err(skip) => *list.skipped.entry(skip.reason).or_default() += 1,
        })
        .unwrap_or_else(|error| panic!("{error}"));
    list.format = Some(contents.format);
    list.notes = contents.notes;
    list
}

impl List {
    /// The blocked names without those below another.
    fn minimal(&self) -> BTreeSet<&Key> {
        let parents: BTreeSet<&[u8]> = self.block.iter().map(Key::as_bytes).collect();
        self.block
            .iter()
            .filter(|key| !(1..key.depth()).any(|depth| parents.contains(key.prefix(depth))))
            .collect()
    }

    fn blocks(&self, name: &str) -> bool {
        let key = Key::parse(name).expect("a name of the test");
        (1..=key.depth()).any(|depth| self.block.iter().any(|listed| listed.as_bytes() == key.prefix(depth)))
    }
}

/// One list in several formats: the file without its ending, and for each ending how many different names it holds.
struct Golden {
    stem: &'static str,
    formats: &'static [(&'static str, Format, usize)],
    minimal: usize,
}

const GOLDEN: &[Golden] = &[
    Golden { stem: "vpn/hagezi-doh-vpn-proxy-bypass", formats: &six(714, 1_205), minimal: 714 },
    Golden { stem: "search/hagezi-nosafesearch", formats: &six(135, 175), minimal: 135 },
    Golden { stem: "malware/hagezi-fake", formats: &six(7_355, 14_043), minimal: 7_355 },
    Golden {
        stem: "ads/hagezi-light",
        formats: &[("adblock", Format::Adblock, 122_680), ("wildcard", Format::Domains, 122_680)],
        minimal: 122_680,
    },
    Golden {
        stem: "ads/oisd-small__domains",
        formats: &[
            ("", Format::Domains, 57_170),
            ("adblock", Format::Adblock, 57_170),
            ("rpz", Format::Rpz, 57_170),
            ("routedns", Format::Domains, 57_170),
            ("original", Format::Domains, 57_170),
        ],
        minimal: 57_170,
    },
    Golden { stem: "drugs/blp-drugs", formats: &four(26_029), minimal: 19_014 },
    Golden { stem: "social/blp-facebook", formats: &four(22_362), minimal: 79 },
    Golden { stem: "social/blp-tiktok", formats: &four(3_725), minimal: 294 },
    Golden { stem: "social/blp-twitter", formats: &four(1_193), minimal: 30 },
    Golden { stem: "piracy/blp-piracy", formats: &four(2_154), minimal: 1_166 },
    Golden { stem: "piracy/blp-torrent", formats: &four(2_620), minimal: 2_342 },
    Golden { stem: "chat/blp-whatsapp", formats: &four(226), minimal: 174 },
    Golden { stem: "drugs/blp-vaping", formats: &four(108), minimal: 32 },
    Golden { stem: "malware/blp-scam", formats: &four(8_527), minimal: 7_980 },
];

const fn six(minimal: usize, all: usize) -> [(&'static str, Format, usize); 6] {
    [
        ("adblock", Format::Adblock, minimal),
        ("dnsmasq", Format::Dnsmasq, minimal),
        ("domains", Format::Domains, all),
        ("hosts", Format::Hosts, all),
        ("wildcard", Format::Domains, minimal),
        ("unbound", Format::Unbound, minimal),
    ]
}

const fn four(all: usize) -> [(&'static str, Format, usize); 4] {
    [
        ("hosts", Format::Hosts, all),
        ("adguard", Format::Adblock, all),
        ("dnsmasq", Format::Dnsmasq, all),
        ("domains", Format::Domains, all),
    ]
}

#[test]
fn one_list_in_several_formats_is_one_list() {
    let Some(data) = data() else { return };
    for Golden { stem, formats, minimal } in GOLDEN {
        let mut first: Option<List> = None;
        for (ending, format, all) in *formats {
            let dot = if ending.is_empty() { "" } else { "." };
            let file = format!("{stem}{dot}{ending}.zst");
            let list = read(&data.join(&file));
            assert_eq!(list.format, Some(*format), "{file}");
            // `net.kg` in one of them: a suffix of the ICANN section is counted, not blocked.
            let suffixes = list.skipped.get(&SkipReason::PublicSuffix).copied().unwrap_or_default();
            assert!(suffixes <= 1, "{file}");
            assert_eq!(list.block.len() + suffixes, *all, "{file}: {:?}", list.skipped);
            assert_eq!(list.minimal().len() + suffixes, *minimal, "{file}");
            assert_eq!(list.allow.len(), 0, "{file}");
            if let Some(first) = &first {
                assert_eq!(list.minimal(), first.minimal(), "{file}");
            } else {
                first = Some(list);
            }
        }
    }
}

#[test]
fn dnsmasq_and_unbound_builds_of_one_list_agree_but_for_the_row_that_allows() {
    let Some(data) = data() else { return };
    let dnsmasq = read(&data.join("ads/oisd-accomplist__oisd-small__dnsmasq-filter.conf.zst"));
    let unbound = read(&data.join("ads/oisd-accomplist__oisd-small__unbound-filter.conf.zst"));
    assert_eq!(dnsmasq.minimal().len(), 57_114);
    assert_eq!(dnsmasq.minimal(), unbound.minimal());
    assert_eq!(dnsmasq.allow, BTreeSet::from([Key::parse("raw.githubusercontent.com").unwrap()]));
    assert!(unbound.allow.is_empty());
}

#[test]
fn a_report_counts_what_reading_counts() {
    let Some(data) = data() else { return };
    for Golden { stem, formats, minimal } in GOLDEN {
        let (ending, _, all) = formats[1];
        let source = Source::at(data.join(format!("{stem}.{ending}.zst")));
        let report = inspect(&reading(&source), &References::none()).unwrap();
        let suffixes: u64 = report
            .survey
            .findings
            .iter()
            .filter(|f| f.kind == FindingKind::PublicSuffix)
            .map(|f| f.count)
            .sum();
        assert_eq!(report.unique + suffixes, all as u64, "{stem}");
        assert_eq!(report.unique - report.covered + suffixes, *minimal as u64, "{stem}");
    }
}

#[test]
fn a_rule_with_a_modifier_is_never_applied_without_it() {
    let Some(data) = data() else { return };
    let mut modifiers = 0;
    for file in [
        "malware/ublock-badware.txt.zst",
        "ads/ublock-easylist.txt.zst",
        "ads/ublock-easyprivacy.txt.zst",
        "ads/ublock-privacy.txt.zst",
        "allow/ublock-unbreak.txt.zst",
        "crypto/nocoin.txt.zst",
    ] {
        let list = read(&data.join(file));
        assert_eq!(list.format, Some(Format::Adblock), "{file}");
        modifiers += list.skipped.get(&SkipReason::Modifier).copied().unwrap_or_default();
        for name in ["amazonaws.com", "cloudfront.net", "com", "google.com", "github.io", "discordap.com"] {
            assert!(!list.blocks(name), "{file} blocks {name}");
        }
    }
    assert!(modifiers > 15_000, "{modifiers}");
}

#[test]
fn white_lists_of_ut1_never_block() {
    let Some(data) = data() else { return };
    let archive = data.join("ut1/blacklists.tar.gz");
    let whole = read(&archive);
    assert_eq!(whole.format, Some(Format::Squidguard));
    assert!(whole.allow.is_empty());
    for white in [
        "child",
        "liste_blanche",
        "liste_bu",
        "update",
        "educational_games",
        "sexual_education",
        "examen_pix",
    ] {
        let said = Note::WhiteLeftOut(white.to_owned());
        assert!(whole.notes.contains(&said), "{white}: {:?}", whole.notes);
        let chosen = read(Path::new(&format!("{}#{white}", archive.display())));
        assert!(chosen.block.is_empty(), "{white}");
        assert!(!chosen.allow.is_empty(), "{white}");
        assert!(chosen.notes.contains(&Note::WhiteAllows(white.to_owned())));
    }
    for both in ["chat", "webmail"] {
        assert!(whole.notes.contains(&Note::BlackAndWhite(both.to_owned())), "{both}");
    }
    for mainly_white in ["bank", "jobsearch", "ai"] {
        assert!(whole.notes.contains(&Note::MainlyWhite(mainly_white.to_owned())), "{mainly_white}");
        let chosen = read(Path::new(&format!("{}#{mainly_white}", archive.display())));
        assert!(!chosen.block.is_empty() && chosen.allow.is_empty(), "{mainly_white}");
    }
    // 43,341 of them would be whole sites if they were cut down to the host; three of the files are Shalla's.
    assert!(whole.skipped[&SkipReason::Path] > 30_000, "{:?}", whole.skipped);
    assert!(!whole.blocks("pagesperso-orange.fr"));
    assert!(whole.skipped[&SkipReason::Regex] > 0);
}

#[test]
fn a_linked_category_of_ut1_is_its_target() {
    let Some(data) = data() else { return };
    let archive = data.join("ut1/blacklists.tar.gz");
    for (link, target) in
        [("ads", "publicite"), ("aggressive", "agressif"), ("drugs", "drogue"), ("violence", "agressif")]
    {
        let by = |name: &str| read(Path::new(&format!("{}#{name}", archive.display()))).block;
        assert!(!by(target).is_empty(), "{target}");
        assert_eq!(by(link), by(target), "{link}");
    }
}

#[test]
fn what_blocks_too_much_is_found() {
    let Some(data) = data() else { return };
    let keys = |names: &[&str]| names.iter().map(|name| Key::parse(name).unwrap()).collect::<Vec<_>>();
    let found = |file: &str, kind, names: &[&str]| {
        let source = Source::at(data.join(file));
        let references = References::none().essential(keys(names)).popular(keys(names));
        let report = inspect(&reading(&source), &references).unwrap();
        report.survey.found(kind).map_or(0, |findings| findings.count)
    };
    for (file, names) in [
        ("drugs/blp-drugs.hosts.zst", &["talktofrank.com"][..]),
        ("piracy/blp-torrent.hosts.zst", &["archive.org"]),
        ("ads/blp-adobe.hosts.zst", &["amazonaws.com", "digicert.com", "okta.com"]),
        ("ut1/blacklists.tar.gz#games", &["ttrockstars.com", "play.google.com", "gravatar.com"]),
        ("ut1/blacklists.tar.gz#webmail", &["login.live.com", "mail.google.com"]),
        ("services/jmdugan-google-all.zst", &["google.com", "googleapis.com", "gstatic.com"]),
    ] {
        assert_eq!(found(file, FindingKind::Essential, names), names.len() as u64, "{file}");
        assert_eq!(found(file, FindingKind::Popular, names), names.len() as u64, "{file}");
    }
    assert!(found("services/jmdugan-microsoft-all.zst", FindingKind::PublicSuffix, &[]) > 0);
}

#[test]
fn the_format_of_each_list_is_detected() {
    let Some(data) = data() else { return };
    let manifest = std::fs::read_to_string(data.join("MANIFEST.md")).unwrap();
    let mut checked = 0;
    let mut wrong = Vec::new();
    for line in manifest.lines() {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (Some(file), Some(_), Some(said)) = (cells.next(), cells.next(), cells.next()) else { continue };
        let expected = match said {
            "domains" | "wildcard" | "dot-domains" => Format::Domains,
            "hosts" => Format::Hosts,
            "adblock" => Format::Adblock,
            "dnsmasq" => Format::Dnsmasq,
            "unbound" => Format::Unbound,
            "rpz" => Format::Rpz,
            "ip-list" => Format::Addresses,
            _ => continue,
        };
        let path = data.join(file);
        // One is a list of other lists' addresses.
        if file.contains(':') || !path.is_file() || file == "meta/ublock-badlists.txt.zst" {
            continue;
        }
        let text = Source::at(path).text().unwrap();
        let found = detect(text.head());
        checked += 1;
        let shrunk_to_nothing = file.starts_with("incidents/") && found == Err(NotAList::Empty);
        if found != Ok(expected) && !shrunk_to_nothing {
            wrong.push(format!("{file}: {said} in the manifest, detected {found:?}"));
        }
    }
    assert!(checked > 100, "{checked}");
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_list_is_read_to_its_end_and_quickly() {
    let Some(data) = data() else { return };
    let mut files = Vec::new();
    collect(&data, &mut files);
    assert!(files.len() > 100);
    let began = Instant::now();
    let (mut rules, mut skips, mut read, mut refused) = (0_u64, 0_u64, 0, Vec::new());
    for file in &files {
        let outcome = Source::at(file).read(None, MatchMode::Subdomains, &mut |_, outcome| match outcome {
            Ok(_) => rules += 1,
            Err(_) => skips += 1,
        });
        match outcome {
            Ok(_) => read += 1,
            Err(error) => refused.push(error.to_string()),
        }
    }
    let took = began.elapsed();
    println!("{read} sources, {rules} rules and {skips} skipped lines in {:.2} s", took.as_secs_f64());
    for error in &refused {
        println!("refused: {error}");
    }
    assert!(rules > 2_500_000, "{rules}");
    // Lists of regular expressions, JSON, URLs, and of comments only.
    assert!(refused.len() < 20, "{}", refused.join("\n"));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if !path.extension().is_some_and(|ending| ending == "md" || ending == "tsv") {
            files.push(path);
        }
    }
    files.sort();
}
