use std::{fs, io::Write, os::unix::fs::symlink};

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use super::*;
use crate::lists::format::{SkipReason, Subject};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut options = lzma_rust2::XzOptions::with_preset(3);
    options.set_check_sum_type(lzma_rust2::CheckType::Crc64);
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// An archive of files, and of links for texts that begin with `->`.
fn tarball(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        if let Some(target) = text.strip_prefix("->") {
            header.set_size(0);
            header.set_entry_type(tar::EntryType::Symlink);
            archive.append_link(&mut header, path, target).unwrap();
        } else {
            header.set_size(text.len() as u64);
            archive.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
    }
    archive.into_inner().unwrap()
}

type Outcome = Result<(Vec<String>, Contents), SourceError>;

/// `adult/domains:1 block bet.example` for each rule and skip.
fn read(source: &Source) -> Outcome {
    read_as(source, None)
}

fn read_as(source: &Source, format: Option<Format>) -> Outcome {
    let mut found = Vec::new();
    let contents = source.read(format, MatchMode::Subdomains, &mut |place, outcome| {
        let part = place.part.map(|part| format!("{part}:")).unwrap_or_default();
        found.push(match outcome {
            Ok(Rule { subject: Subject::Name { key, .. }, allow }) => {
                format!("{part}{} {} {key}", place.line, if allow { "allow" } else { "block" })
            }
            Ok(Rule { subject: Subject::Address(net), .. }) => format!("{part}{} block {net}", place.line),
            Ok(rule) => format!("{part}{} {rule:?}", place.line),
            Err(skip) => format!("{part}{} skip {}", place.line, skip.reason.word()),
        });
    })?;
    Ok((found, contents))
}

fn problem(outcome: Outcome) -> Problem {
    outcome.unwrap_err().problem
}

const UT1: &[(&str, &str)] = &[
    ("blacklists/ads", "->publicite"),
    ("blacklists/again", "->ads"),
    ("blacklists/bank/domains", "bank.example\n"),
    ("blacklists/bank/usage", "white\nblack\n"),
    ("blacklists/chat/domains", "chat.example\n192.0.2.1\n"),
    ("blacklists/chat/urls", "pages.example/~pupil\n"),
    ("blacklists/chat/expressions", "(chat|talk)\n"),
    ("blacklists/chat/usage", "black\nwhite\n"),
    ("blacklists/child/domains", "child.example\n"),
    ("blacklists/child/usage", "white\nchild\n"),
    ("blacklists/global_usage", "NAME: bank\nDEFAULT_TYPE: white\nNAME: quiet\nDEFAULT_TYPE: white\n"),
    ("blacklists/out", "->../../etc"),
    ("blacklists/publicite/domains", "ads.example\n"),
    ("blacklists/publicite/very_restrictive_expression", "x\n"),
    ("blacklists/quiet/domains", "quiet.example\n"),
];

const UT1_READ: &[&str] = &[
    "chat/domains:1 block chat.example",
    "chat/domains:2 skip address",
    "chat/urls:1 skip path",
    "chat/expressions:1 skip regex",
    "publicite/domains:1 block ads.example",
];

#[test]
fn compression_is_told_by_the_bytes_and_undone() {
    let text = b"bet.example\nslots.example\n";
    let twice = |bytes: Vec<u8>| [bytes.clone(), bytes].concat();
    for (bytes, lines) in [
        (text.to_vec(), 2),
        (gzip(text), 2),
        (zstd(text), 2),
        (xz(text), 2),
        (twice(gzip(text)), 4),
        (twice(zstd(text)), 4),
        (twice(xz(text)), 4),
        ([vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3], zstd(text)].concat(), 2),
    ] {
        let (found, contents) = read(&Source::bytes("list", bytes)).unwrap();
        assert_eq!(contents.format, Format::Domains);
        assert_eq!(found.len(), lines);
        assert_eq!(found[0], "1 block bet.example");
    }
}

#[test]
fn compression_that_is_not_undone_is_named() {
    for (bytes, name) in
        [(&b"PK\x03\x04xxxx"[..], "zip"), (b"BZh91AY&SY", "bzip2"), (b"7z\xbc\xaf\x27\x1c", "7z")]
    {
        let error = read(&Source::bytes("list", bytes)).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_damaged_archive_is_an_error_that_names_the_source() {
    let text: String = (0..20_000).map(|n| format!("name-{}.example\n", n * 7919)).collect();
    for bytes in [gzip(text.as_bytes()), zstd(text.as_bytes()), xz(text.as_bytes())] {
        let half = bytes[..bytes.len() / 2].to_vec();
        let error = read(&Source::bytes("half.list", half)).unwrap_err();
        assert!(error.to_string().starts_with("half.list: could not read it to the end"), "{error}");
    }
    // A changed byte in the stored checksum.
    let mut bytes = gzip(text.as_bytes());
    let at = bytes.len() - 6;
    bytes[at] ^= 1;
    assert!(matches!(problem(read(&Source::bytes("list", bytes))), Problem::Read(_)));
}

#[test]
fn a_bomb_is_stopped() {
    let bomb = vec![b'x'; 64 * 1024 * 1024];
    for bytes in [gzip(&bomb), zstd(&bomb), xz(&bomb)] {
        assert!(bytes.len() < 1024 * 1024);
        let outcome = read_as(&Source::bytes("bomb", bytes), Some(Format::Domains));
        assert!(matches!(problem(outcome), Problem::OverLimit(text) if text.contains("100 times")));
    }
    let limits = Limits { expanded: 1000, ..Limits::default() };
    let long = Source::bytes("long", "bet.example\n".repeat(100).into_bytes()).limits(limits);
    assert!(matches!(problem(read(&long)), Problem::OverLimit(text) if text.contains("1000 bytes")));
}

#[test]
fn xz_is_undone_only_to_its_end_and_only_when_nothing_is_changed() {
    let text: String = (0..2_000).map(|n| format!("name-{}.example\n", n * 7919)).collect();
    let good = xz(text.as_bytes());
    for length in (6..good.len()).step_by(7) {
        let cut = Source::bytes("cut", good[..length].to_vec());
        assert!(read_as(&cut, Some(Format::Domains)).is_err(), "{length}");
    }
    // The names, the checksum behind them, the index, the end.
    for at in [good.len() / 2, good.len() - 40, good.len() - 24, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        let outcome = read_as(&Source::bytes("changed", bytes), Some(Format::Domains));
        assert!(matches!(problem(outcome), Problem::Read(_)), "{at}");
    }
}

#[test]
fn xz_that_wants_more_memory_than_a_list_needs_is_refused() {
    let mut options = lzma_rust2::XzOptions::with_preset(0);
    options.lzma_options.dict_size = 128 << 20;
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(b"bet.example\n").unwrap();
    let bytes = writer.finish().unwrap();
    let error = read(&Source::bytes("greedy", bytes)).unwrap_err();
    assert!(matches!(&error.problem, Problem::Read(_)) && error.to_string().contains("memory"), "{error}");
}

#[test]
fn a_bomb_within_an_archive_is_stopped() {
    let text = "x".repeat(64 * 1024 * 1024);
    let bytes = gzip(&tarball(&[("blacklists/bet/domains", &text)]));
    assert!(matches!(problem(read(&Source::bytes("bomb", bytes))), Problem::OverLimit(_)));
}

#[test]
fn a_web_page_is_refused_whatever_the_format_is_said_to_be() {
    let page = b"<!DOCTYPE html>\n<html><body>bet.example</body></html>";
    for format in [None, Some(Format::Domains), Some(Format::Adblock)] {
        let error = read_as(&Source::bytes("list", &page[..]), format).unwrap_err();
        assert!(error.to_string().contains("web page"), "{error}");
        assert!(!error.is_io());
    }
}

#[test]
fn a_list_without_entries_is_empty_where_its_format_is_known() {
    let source = Source::bytes("list", &b"# Entries: 0\n"[..]);
    assert!(matches!(problem(read(&source)), Problem::NotAList(NotAList::Empty)));
    assert_eq!(read_as(&source, Some(Format::Hosts)).unwrap().0, Vec::<String>::new());
}

#[test]
fn a_file_that_is_missing_is_a_fault_of_the_disk() {
    let error = read(&Source::at("/nowhere/list.txt")).unwrap_err();
    assert!(error.is_io());
    assert!(error.to_string().starts_with("/nowhere/list.txt: could not open it"), "{error}");
}

#[test]
fn an_archive_is_read_with_respect_for_usage() {
    for bytes in [tarball(UT1), gzip(&tarball(UT1)), zstd(&tarball(UT1)), xz(&tarball(UT1))] {
        let (found, contents) = read(&Source::bytes("ut1", bytes)).unwrap();
        let mut found = found;
        let mut expected: Vec<_> = UT1_READ.iter().map(|line| (*line).to_owned()).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(contents.format, Format::Squidguard);
        assert_eq!(contents.parts, ["chat/domains", "publicite/domains"]);
        assert_eq!(
            contents.notes,
            [
                Note::LinkLeftOut("blacklists/out".into()),
                Note::MainlyWhite("bank".into()),
                Note::BlackAndWhite("chat".into()),
                Note::WhiteLeftOut("child".into()),
                Note::WhiteLeftOut("quiet".into()),
            ]
        );
    }
}

#[test]
fn a_category_is_chosen_by_name_by_path_or_by_link() {
    let chosen = |part: &str| read(&Source::bytes("ut1", gzip(&tarball(UT1))).part(part));
    for part in ["publicite", "blacklists/publicite", "ads", "again"] {
        assert_eq!(chosen(part).unwrap().0, ["publicite/domains:1 block ads.example"], "{part}");
    }
    assert_eq!(chosen("bank").unwrap().0, ["bank/domains:1 block bank.example"]);
    let (found, contents) = chosen("child").unwrap();
    assert_eq!(found, ["child/domains:1 allow child.example"]);
    assert_eq!(contents.notes.last(), Some(&Note::WhiteAllows("child".into())));
    for part in ["adult", "cite", "out"] {
        match problem(chosen(part)) {
            Problem::NoPart { known, .. } => assert!(known.contains(&"chat".to_owned())),
            other => panic!("{part}: {other}"),
        }
    }
}

#[test]
fn an_archive_of_nothing_but_white_lists_is_refused() {
    let bytes = tarball(&[("child/domains", "child.example\n"), ("child/usage", "white\n")]);
    match problem(read(&Source::bytes("child", bytes))) {
        Problem::AllWhite { known } => assert_eq!(known, ["child"]),
        other => panic!("{other}"),
    }
}

#[test]
fn an_archive_of_one_file_is_that_file() {
    let one = tarball(&[("lists/bet.txt", "bet.example\n")]);
    assert_eq!(read(&Source::bytes("x", one)).unwrap().0, ["lists/bet.txt:1 block bet.example"]);
    let two = tarball(&[("a.txt", "bet.example\n"), ("b.txt", "||ads.example^\n")]);
    assert!(matches!(problem(read(&Source::bytes("x", two.clone()))), Problem::SeveralFiles { .. }));
    let (found, contents) = read(&Source::bytes("x", two).part("b.txt")).unwrap();
    assert_eq!((found, contents.format), (vec!["b.txt:1 block ads.example".to_owned()], Format::Adblock));
}

#[test]
fn a_folder_is_read_like_its_archive_and_links_stay_within() {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in UT1 {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match text.strip_prefix("->") {
            Some(target) => symlink(target, path).unwrap(),
            None => fs::write(path, text).unwrap(),
        }
    }
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("domains"), "outside.example\n").unwrap();
    symlink(outside.path(), folder.path().join("blacklists/outside")).unwrap();
    let (mut found, contents) = read(&Source::at(folder.path())).unwrap();
    found.sort();
    let mut expected: Vec<_> = UT1_READ.iter().map(|line| (*line).to_owned()).collect();
    expected.sort();
    assert_eq!(found, expected);
    assert!(contents.notes.contains(&Note::LinkLeftOut("blacklists/outside".into())));

    let at = |path: &str| read(&Source::at(folder.path().join(path))).map(|(found, _)| found);
    assert_eq!(at("blacklists#again").unwrap(), ["publicite/domains:1 block ads.example"]);
    // A category's own folder, and its file alone, know what they are for.
    assert!(matches!(
        problem(read(&Source::at(folder.path().join("blacklists/child")))),
        Problem::AllWhite { .. }
    ));
    assert_eq!(at("blacklists/child#child").unwrap(), ["child/domains:1 allow child.example"]);
    assert_eq!(at("blacklists/child/domains").unwrap(), ["1 allow child.example"]);
    assert_eq!(at("blacklists/chat/domains").unwrap(), ["1 block chat.example", "2 skip address"]);
}

#[test]
fn a_hash_in_a_file_name_is_not_a_part() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list#1.txt");
    fs::write(&path, "bet.example\n").unwrap();
    assert_eq!(read(&Source::at(&path)).unwrap().0, ["1 block bet.example"]);
    assert!(matches!(
        problem(read(&Source::bytes("x", &b"bet.example\n"[..]).part("adult"))),
        Problem::NoPart { .. }
    ));
}

#[test]
fn a_line_over_the_limit_is_skipped_and_counted() {
    let text = format!("bet.example\n{}\nslots.example\n", "x".repeat(5_000_000));
    let (found, _) = read(&Source::bytes("x", text.into_bytes())).unwrap();
    let skip = format!("2 skip {}", SkipReason::LineTooLong.word());
    assert_eq!(found, ["1 block bet.example", &skip, "3 block slots.example"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn damaged_bytes_never_panic(kind in 0..5_usize, at in any::<prop::sample::Index>(), new in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let plain = tarball(UT1);
        let mut bytes = match kind {
            0 => plain,
            1 => gzip(&plain),
            2 => zstd(&plain),
            3 => xz(&plain),
            _ => gzip(b"bet.example\n"),
        };
        let at = at.index(bytes.len());
        bytes[at] = new;
        let cut = cut.index(bytes.len() * 2).min(bytes.len());
        bytes.truncate(cut);
        let _ = read(&Source::bytes("x", bytes));
    }
}

#[test]
fn a_pipe_is_no_list_and_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (done, waits) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        done.send(Source::at(pipe).text().map(drop).map_err(|error| error.to_string()))
    });
    let read = waits.recv_timeout(std::time::Duration::from_secs(10)).expect("it does not wait for a writer");
    assert!(read.unwrap_err().contains("not a regular file"));
}
