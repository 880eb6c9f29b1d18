//! What the linter finds, and that what we ship has none of it.

use proptest::prelude::*;

use super::*;

const ENTRY: &str = "[[entry]]\nname = 'bad.example.org'\ncategory = 'hate'\nsource = 'the press'\ndate = 2026-11-20\n\
                     reviewer = 'us'\nreview_by = 2027-05-20\n";

fn protected() -> Vec<Protected> {
    let name = |text: &str, exact, help| Protected { key: Key::parse(text).unwrap(), exact, help };
    vec![
        name("childline.org.uk", false, true),
        name("www.nhs.uk", false, true),
        name("captive.example.com", true, false),
    ]
}

/// What is found in some files on the day before the entry's review is due.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    found_on("2027-05-20", files)
}

fn found_on(today: &str, files: &[(&str, &str)]) -> Vec<String> {
    let (categories, protected) = (Categories::shipped(), protected());
    let mut linter = Linter::new(&categories, &protected, today.parse().unwrap());
    for (file, text) in files {
        linter.file(file, text);
    }
    linter.finish().findings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_right_entry_is_left_alone() {
    assert_eq!(found(&[("core.toml", ENTRY)]), Vec::<String>::new());
    assert_eq!(found(&[("core.toml", "# empty on purpose\n")]), Vec::<String>::new());
}

#[test]
fn everything_that_can_be_missing_or_wrong_is_told_with_its_line() {
    let cases = [
        ("name = 'bad.example.org'\n", "", "an entry has no name; write the name"),
        ("source = 'the press'\n", "", "bad.example.org has no source; say where it is known from"),
        ("source = 'the press'", "source = ' '", "bad.example.org has no source"),
        ("reviewer = 'us'\n", "", "bad.example.org has no reviewer; say who looked at it"),
        ("date = 2026-11-20\n", "", "bad.example.org has no date; write it as 2026-11-20"),
        ("date = 2026-11-20", "date = 2026-11-20T10:00:00", "date: 2026-11-20T10:00:00 is no day"),
        (
            "review_by = 2027-05-20",
            "review_by = 2026-11-20",
            "is to be looked at again (2026-11-20) before it was",
        ),
        ("'hate'", "'hatte'", "there is no category \"hatte\"; did you mean \"hate\"?"),
        ("'hate'", "'illegal-terrorism'", "illegal-terrorism is for members' lists only"),
        ("reviewer", "reviewr", "unknown field `reviewr`"),
        ("'bad.example.org'", "'bad example'", "the name has the character ' '"),
        (
            "'bad.example.org'",
            "'Bad.example.org.'",
            "is not how names are written here; write bad.example.org",
        ),
        ("'bad.example.org'", "'=*.bad.example.org'", "write =bad.example.org"),
        ("'bad.example.org'", "'bücher.example.org'", "write xn--bcher-kva.example.org"),
        ("'bad.example.org'", "'192.0.2.1'", "\"192.0.2.1\" is an address; write a name"),
        ("'bad.example.org'", "'co.uk'", "co.uk is a public suffix"),
        (
            "'bad.example.org'",
            "'childline.org.uk'",
            "childline.org.uk would block childline.org.uk, a help site",
        ),
        ("'bad.example.org'", "'nhs.uk'", "nhs.uk would block www.nhs.uk, a help site"),
        (
            "'bad.example.org'",
            "'example.com'",
            "example.com would block captive.example.com, an essential name",
        ),
        (
            "'bad.example.org'",
            "'x.childline.org.uk'",
            "lies below childline.org.uk, a help site, so it does nothing",
        ),
    ];
    for (from, to, said) in cases {
        let text = format!("# a comment\n{}", ENTRY.replacen(from, to, 1));
        let found = found(&[("core.toml", &text)]);
        assert!(found.iter().any(|line| line.contains(said)), "{said}: {found:?}");
        let line = if said.starts_with("unknown") { 7 } else { 2 };
        assert!(found[0].starts_with(&format!("core.toml, line {line}: ")), "{found:?}");
    }
    // A name alone covers nothing below it, and a name protected alone protects nothing below it.
    for name in ["=example.com", "x.captive.example.com"] {
        assert_eq!(
            found(&[("core.toml", &ENTRY.replace("bad.example.org", name))]),
            Vec::<String>::new(),
            "{name}"
        );
    }
}

#[test]
fn an_overdue_review_is_a_warning_from_the_day_after() {
    assert_eq!(found_on("2027-05-20", &[("core.toml", ENTRY)]), Vec::<String>::new());
    let late = found_on("2027-05-21", &[("core.toml", ENTRY)]);
    assert_eq!(late.len(), 1);
    assert!(late[0].contains("warning: bad.example.org was to be looked at again by 2027-05-20"), "{late:?}");
    let early = found_on("2026-11-19", &[("core.toml", ENTRY)]);
    assert!(early[0].contains("looked at on 2026-11-20, which is yet to come"), "{early:?}");
}

#[test]
fn a_name_has_one_home() {
    let twice =
        found(&[("core.toml", ENTRY), ("lists/hate.txt", "ok.example.org\nbad.example.org  # again\n")]);
    assert_eq!(
        twice,
        ["lists/hate.txt, line 2: bad.example.org is in core.toml, line 1 already; take one of them out"]
    );
    let both = found(&[("core.toml", ENTRY), ("weapons.txt", "bad.example.org\n")]);
    assert!(both[0].contains("warning: bad.example.org is in hate too (core.toml, line 1)"), "{both:?}");
    let below = found(&[("core.toml", ENTRY), ("hate.txt", "x.bad.example.org\n")]);
    assert!(below[0].contains("warning: x.bad.example.org lies below bad.example.org"), "{below:?}");
    assert_eq!(found(&[("hate.txt", "www.example.org\n")]).len(), 1, "www. alone");
    assert_eq!(found(&[("hate.txt", "=example.org\nwww.example.org\n")]), Vec::<String>::new());
}

#[test]
fn a_starter_list_may_have_addresses_and_one_of_name_servers_whatever_is_a_server() {
    assert_eq!(found(&[("hate.txt", "192.0.2.1\n2001:db8::/32\n")]), Vec::<String>::new());
    let odd = found(&[("hate.txt", "192.0.2.9/24\n192.0.2.1/32\n")]);
    assert!(odd[0].ends_with("write 192.0.2.0/24") && odd[1].ends_with("write 192.0.2.1"), "{odd:?}");
    // A name server may have the name of a suffix or of an essential name; it is not the same as the name.
    let servers = "duckdns.org\nchildline.org.uk\nbad.example.org\n";
    assert_eq!(
        found(&[("lists/name-servers/hate.txt", servers), ("core.toml", ENTRY)]),
        Vec::<String>::new()
    );
    let wrong = found(&[("name-servers/hate.txt", "co.uk\nns.example.org\nns.example.org\n")]);
    assert!(wrong[0].contains("co.uk is a public suffix") && wrong[1].contains("already"), "{wrong:?}");
}

#[test]
fn services_share_no_name_and_need_only_services() {
    let service = |id: &str, more: &str| {
        format!("[[service]]\nid = '{id}'\ntitle = 'T'\ncategory = 'games'\nsource = 's'\n{more}\n")
    };
    let right = service("a", "names = ['a.example.org', '=example.org']")
        + &service("b", "names = ['b.example.org']\nneeds = ['a']");
    assert_eq!(found(&[("s.toml", &right)]), Vec::<String>::new());
    let wrong = service("a", "names = ['a.example.org']\nneeds = ['bb']")
        + &service("b", "names = ['x.a.example.org']")
        + &service("b", "names = ['a.example.org']\nlisted = false")
        + &service("c", "names = []");
    let said = found(&[("s.toml", &wrong)]).join("\n");
    for expected in [
        "line 1: there is no service \"bb\"; did you mean \"b\"?",
        "line 14: the service \"b\" is in s.toml, line 8 already",
        "line 14: a.example.org is in s.toml, line 1 already (service a)",
        "line 8: warning: x.a.example.org lies below a.example.org",
        "line 21: c has no names",
    ] {
        assert!(said.contains(expected), "{expected}:\n{said}");
    }
    // Names that another list has are at home there.
    let unlisted = service("a", "names = ['bad.example.org']\nlisted = false");
    assert_eq!(found(&[("core.toml", ENTRY), ("s.toml", &unlisted)]), Vec::<String>::new());
}

proptest! {
    #[test]
    fn any_text_is_looked_through_without_a_panic(text in "(?s).{0,300}", kind in 0..3_usize) {
        let file = ["core.toml", "hate.txt", "services.toml"][kind];
        let text = if kind == 2 { format!("[[service]]\n{text}") } else { text };
        let lines = text.matches('\n').count() + 1;
        for finding in found(&[(file, &text)]) {
            let line: usize = finding.split("line ").nth(1).unwrap().split(':').next().unwrap().parse().unwrap();
            prop_assert!((1..=lines).contains(&line), "{}", finding);
        }
    }

    #[test]
    fn a_canonical_name_that_protects_nobody_is_right(name in "[a-z]{2,9}[.]example[.]org") {
        prop_assume!(!name.starts_with("www."));
        prop_assert_eq!(found(&[("core.toml", &ENTRY.replace("bad.example.org", &name))]), Vec::<String>::new());
    }
}
