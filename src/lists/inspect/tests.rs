use super::*;
use crate::lists::{Format, source::Source};

fn keys(names: &[&str]) -> Vec<Key> {
    names.iter().map(|name| Key::parse(name).unwrap()).collect()
}

fn report(text: &str, format: Option<Format>) -> Report {
    let source = Source::bytes("a list", text.as_bytes().to_vec());
    let essential = keys(&["help.example", "mail.school.example", "exam.example"]);
    let references = References::none().essential(essential).popular(keys(&["popular.example"]));
    inspect(&Reading { source: &source, format, mode: MatchMode::Subdomains }, &references).unwrap()
}

#[test]
fn names_are_counted_once_and_below_others() {
    let report = report(
        "bet.example\nbet.example\nwww.bet.example\na.www.bet.example\nbet-two.example\n192.0.2.1\nother.test\n",
        None,
    );
    assert_eq!(report.survey.format, Some(Format::Domains));
    assert_eq!(report.survey.entries, 6);
    assert_eq!(report.unique, 5);
    assert_eq!(report.survey.duplicates, 1);
    assert_eq!(report.covered, 2);
    assert_eq!(report.survey.skipped.len(), 1);
    assert_eq!(report.survey.skipped[0].first[0].line, 6);
    assert!(report.survey.findings.is_empty());
}

#[test]
fn a_name_alone_covers_nothing_below_it() {
    let report = report("a.example CNAME .\nb.a.example CNAME .\n*.b.a.example CNAME .\n", Some(Format::Rpz));
    assert_eq!(
        (report.survey.entries, report.unique, report.survey.duplicates, report.covered),
        (3, 2, 0, 0)
    );
}

#[test]
fn a_name_that_is_allowed_covers_no_blocked_one() {
    let report = report("@@||a.example^\n||b.a.example^\n||c.b.a.example^\n", None);
    assert_eq!((report.survey.entries, report.survey.allow, report.unique, report.covered), (3, 1, 3, 1));
}

#[test]
fn names_that_look_wrong_are_found_with_their_line() {
    let report = report(
        "bet.example\nco.uk\nblogspot.com\nhelp.example\nschool.example\nads.exam.example\npopular.example\n",
        None,
    );
    let found: Vec<_> = report
        .survey
        .findings
        .iter()
        .map(|findings| {
            (findings.kind, findings.count, findings.first[0].listed.as_str(), findings.first[0].line)
        })
        .collect();
    assert_eq!(
        found,
        [
            (FindingKind::PublicSuffix, 1, "co.uk", 2),
            (FindingKind::PrivateSuffix, 1, "blogspot.com", 3),
            (FindingKind::Essential, 2, "help.example", 4),
            (FindingKind::Popular, 1, "popular.example", 7),
        ]
    );
    let second = &report.survey.findings[2].first[1];
    assert_eq!(
        (second.listed.as_str(), second.covers.as_deref()),
        ("school.example", Some("mail.school.example"))
    );
}

#[test]
fn a_rule_that_opens_or_speaks_of_a_parent_alone_is_no_finding() {
    let opens = report("@@||help.example^\n||bet.example^\n", None);
    assert!(opens.survey.findings.is_empty());
    let alone = report("school.example CNAME .\n", Some(Format::Rpz));
    assert!(alone.survey.findings.is_empty());
    let itself = report("help.example CNAME .\n", Some(Format::Rpz));
    assert_eq!(itself.survey.findings[0].kind, FindingKind::Essential);
}

#[test]
fn the_first_five_skipped_lines_are_shown_and_all_are_counted() {
    let text = format!("bet.example\n{}", "192.0.2.1\n".repeat(9));
    let report = report(&text, Some(Format::Domains));
    assert_eq!(report.survey.skipped[0].count, 9);
    assert_eq!(
        report.survey.skipped[0].first.iter().map(|line| line.line).collect::<Vec<_>>(),
        [2, 3, 4, 5, 6]
    );
}

#[test]
fn a_report_reads_as_english_and_as_json() {
    let report = report("bet.example\nschool.example\ncom\n/ads/*\n", Some(Format::Domains));
    let text = report.to_string();
    for part in [
        "a list\n  format      domains (names, one a line)\n",
        "  entries     2\n",
        "line 3: com",
        "line 2: school.example blocks mail.school.example",
        "  as a subscription it would be held for a look:\n    it would block 1 name that must always work: ",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["format"], "domains");
    assert_eq!(json["entries"], 2);
    assert_eq!(json["skipped"][0]["reason"], "path");
    assert_eq!(json["skipped"][0]["first"][0]["line"], 4);
    assert_eq!(json["findings"][1]["first"][0]["covers"], "mail.school.example");
    assert_eq!(json["held"][0]["trip"], "names");
}
