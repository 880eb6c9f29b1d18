use std::{fs, path::Path};

use proptest::prelude::*;

use super::*;

/// What reading gives, one line for each rule and skip: `4 block bet.example`, `7 block =one.example` for a name
/// alone, `9 allow 192.0.2.0/24`, `12 skip modifier`.
fn outcome(text: &[u8], format: Format, mode: MatchMode) -> Vec<String> {
    let mut found = Vec::new();
    read(&mut &*text, format, mode, &mut |line, outcome| {
        found.push((
            line,
            match outcome {
                Ok(rule) => format!("{line} {}", shown(&rule)),
                Err(skip) => format!("{line} skip {}", skip.reason.word()),
            },
        ));
    })
    .unwrap();
    found.sort_by_key(|(line, _)| *line);
    found.into_iter().map(|(_, text)| text).collect()
}

fn shown(rule: &Rule) -> String {
    let verb = if rule.allow { "allow" } else { "block" };
    match &rule.subject {
        Subject::Name { key, mode: MatchMode::Subdomains } => format!("{verb} {key}"),
        Subject::Name { key, mode: MatchMode::Exact } => format!("{verb} ={key}"),
        Subject::Address(net) => format!("{verb} {net}"),
        Subject::NameServer { key, mode: MatchMode::Subdomains } => format!("{verb} server {key}"),
        Subject::NameServer { key, mode: MatchMode::Exact } => format!("{verb} server ={key}"),
        Subject::NameServerAddress(net) => format!("{verb} server {net}"),
    }
}

fn fixtures() -> Vec<(String, Vec<u8>, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lists");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "txt") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let expected = fs::read_to_string(path.with_extension("expected")).unwrap_or_default();
            found.push((name, fs::read(&path).unwrap(), expected));
        }
    }
    found
}

fn format_of(fixture: &str) -> Format {
    fixture.split('-').next().unwrap().parse().unwrap()
}

#[test]
fn every_fixture_gives_what_is_expected() {
    let fixtures = fixtures();
    for format in Format::ALL {
        assert!(fixtures.iter().any(|(name, ..)| format_of(name) == format), "{format} has no fixture");
    }
    let mut wrong = Vec::new();
    for (name, text, expected) in fixtures {
        let found = outcome(&text, format_of(&name), MatchMode::Subdomains);
        let expected: Vec<&str> = expected.lines().collect();
        let missing = expected.iter().filter(|line| !found.iter().any(|f| f == *line));
        wrong.extend(missing.map(|line| format!("{name}.txt: expected {line}")));
        let extra = found.iter().filter(|line| !expected.contains(&line.as_str()));
        wrong.extend(extra.map(|line| format!("{name}.txt: found {line}")));
        assert!(!expected.is_empty(), "{name}.expected");
        if wrong.is_empty() {
            assert_eq!(found, expected, "{name}.txt");
        }
    }
    assert!(wrong.is_empty(), "tests/data/lists:\n{}", wrong.join("\n"));
}

#[test]
fn the_format_of_every_fixture_is_detected() {
    for (name, text, _) in fixtures() {
        // A file of names says nothing of the folder it came from.
        let expected = match format_of(&name) {
            Format::Squidguard => Format::Domains,
            format => format,
        };
        assert_eq!(detect(&text), Ok(expected), "{name}.txt");
    }
}

#[test]
fn the_mode_decides_what_a_bare_name_means_and_nothing_else() {
    for (format, text) in [
        (Format::Domains, "a.example\n.b.example\n*.c.example\n"),
        (Format::Hosts, "0.0.0.0 a.example\n0.0.0.0 .b.example\n0.0.0.0 *.c.example\n"),
    ] {
        assert_eq!(
            outcome(text.as_bytes(), format, MatchMode::Exact),
            ["1 block =a.example", "2 block b.example", "3 block c.example"]
        );
    }
    for (format, text) in [
        (Format::Adblock, "||a.example^"),
        (Format::Dnsmasq, "server=/a.example/"),
        (Format::Unbound, "local-zone: \"a.example\" always_null"),
        (Format::Squidguard, "a.example"),
    ] {
        assert_eq!(outcome(text.as_bytes(), format, MatchMode::Exact), ["1 block a.example"], "{format}");
    }
}

#[test]
fn a_word_names_its_format_and_back() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
        assert_eq!(serde_json::to_value(format).unwrap(), format.word());
    }
    assert!("pihole".parse::<Format>().unwrap_err().to_string().contains("squidguard"));
}

#[test]
fn a_record_that_is_never_closed_does_not_swallow_the_zone() {
    let text = format!("open.example CNAME (\n{}bet.example CNAME .\n", "; filler\nx\n".repeat(MAX_LINE / 2));
    let found = outcome(text.as_bytes(), Format::Rpz, MatchMode::Subdomains);
    assert_eq!(found.iter().filter(|line| line.ends_with("skip line-too-long")).count(), 1);
    assert!(found.last().unwrap().ends_with("block =bet.example"), "{:?}", found.last());
    assert_eq!(outcome(b"a.example CNAME (", Format::Rpz, MatchMode::Subdomains), ["1 skip syntax"]);
}

/// How a name is written in a format so that it and what is below it are blocked.
fn written(name: &str, format: Format) -> Option<String> {
    Some(match format {
        Format::Domains | Format::Squidguard => name.to_owned(),
        Format::Hosts => format!("0.0.0.0 {name}"),
        Format::Adblock => format!("||{name}^"),
        Format::Dnsmasq => format!("address=/{name}/#"),
        Format::Unbound => format!("local-zone: \"{name}.\" always_null"),
        Format::Rpz => format!("*.{name} CNAME ."),
        Format::Addresses => return None,
    })
}

fn names() -> impl Strategy<Value = Vec<String>> {
    let label = "[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9_])?";
    let name = (proptest::collection::vec(label, 1..5), prop_oneof!["example", "test", "Com", "co.uk"])
        .prop_map(|(labels, last)| format!("{}.{last}", labels.join(".")))
        .prop_filter("a suffix itself, or the machine's own name", |name| {
            entry::name(name, MatchMode::Subdomains, false).is_ok()
        });
    proptest::collection::vec(name, 1..30)
}

fn lines_of(text: &str, format: Format) -> Vec<String> {
    let found = outcome(text.as_bytes(), format, MatchMode::Subdomains);
    found.into_iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn names_written_in_any_format_come_back(names in names(), end in prop_oneof!["\n", "\r\n"]) {
        let expected: Vec<String> =
            names.iter().map(|name| format!("block {}", Key::parse(name).unwrap())).collect();
        for format in Format::ALL {
            let Some(lines) = names.iter().map(|name| written(name, format)).collect::<Option<Vec<_>>>() else {
                continue;
            };
            let text = lines.join(&end);
            prop_assert_eq!(&lines_of(&text, format), &expected, "{}", format);
            prop_assert_eq!(detect(text.as_bytes()).map(|f| if format == Format::Squidguard { format } else { f }), Ok(format));
        }
    }

    #[test]
    fn the_order_of_lines_does_not_matter(at in 0..100_usize) {
        for (name, text, _) in fixtures() {
            // A zone file's and a settings file's lines build on each other, as do conditions.
            if matches!(format_of(&name), Format::Rpz | Format::Unbound) {
                continue;
            }
            let text = String::from_utf8_lossy(&text).into_owned();
            let mut lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("!#")).collect();
            let mut before = lines_of(&lines.join("\n"), format_of(&name));
            let middle = at % lines.len();
            lines.rotate_left(middle);
            lines.reverse();
            let mut after = lines_of(&lines.join("\n"), format_of(&name));
            before.sort();
            after.sort();
            prop_assert_eq!(before, after, "{}", name);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        for format in Format::ALL {
            outcome(&bytes, format, MatchMode::Exact);
        }
        let _ = detect(&bytes);
    }

    #[test]
    fn any_mix_of_what_formats_mean_is_read_without_a_panic(
        pieces in proptest::collection::vec(
            prop_oneof![
                "[a-z.*]{0,12}", r#"[\n\n |^$@/!#;:()="'-]{1,3}"#, Just("||a.example^".to_owned()),
                Just("$badfilter".to_owned()), Just("\n$ORIGIN ".to_owned()), Just(" CNAME . ".to_owned()),
                Just("rpz-ip".to_owned()), Just(".rpz-nsip".to_owned()), Just("local-zone:".to_owned()), Just("address=/".to_owned()),
                Just("192.0.2.1".to_owned()), Just("\u{fc}".to_owned()),
            ],
            0..60,
        )
    ) {
        let text = pieces.concat();
        for format in Format::ALL {
            outcome(text.as_bytes(), format, MatchMode::Subdomains);
        }
        let _ = detect(text.as_bytes());
    }
}
