use proptest::prelude::*;

use super::*;

fn key(name: &str) -> Key {
    Key::parse(name).unwrap()
}

fn keys(names: &[&str]) -> Vec<Key> {
    names.iter().map(|name| key(name)).collect()
}

fn references() -> References {
    References::none()
        .essential(keys(&["help.example", "mail.school.example", "tax.gov.uk"]))
        .popular(keys(&["popular.example"]))
        .busy(keys(&["busy.example"]))
}

fn of(text: &str, format: Option<Format>) -> Survey {
    let source = Source::bytes("a list", text.as_bytes().to_vec());
    survey(&Reading { source: &source, format, mode: MatchMode::Subdomains }, &references()).unwrap()
}

fn hits(survey: &Survey, kind: FindingKind) -> Vec<&str> {
    survey.hits.get(&kind).into_iter().flatten().map(String::as_str).collect()
}

#[test]
fn everything_is_counted_in_one_look() {
    let found = of("bet.example\nbet.example\n*.bet.example\n!!\n192.0.2.1\nslots.example\n", None);
    assert_eq!((found.entries, found.allow, found.addresses, found.duplicates), (4, 0, 0, 2));
    assert_eq!((found.skips(), found.damaged()), (1, 0));
    assert_eq!(found.prints.len(), 2);
    assert_eq!(found.format, Some(Format::Domains));
    let addresses = of("192.0.2.1\n192.0.2.1/32\n2001:db8::/32\n", None);
    assert_eq!((addresses.entries, addresses.addresses, addresses.duplicates), (3, 3, 1));
}

#[test]
fn a_name_server_is_no_name_that_people_ask_for() {
    let text = "popular.example.rpz-nsdname CNAME .\n*.busy.example.rpz-nsdname CNAME .\n\
                blogspot.com.rpz-nsdname CNAME .\n24.0.2.0.192.rpz-nsip CNAME .\n";
    let found = of(text, Some(Format::Rpz));
    assert_eq!((found.entries, found.name_servers, found.addresses), (4, 4, 0));
    assert!(found.hits.is_empty() && found.findings.is_empty(), "{:?}", found.findings);
}

#[test]
fn what_is_no_list_is_found_out_without_an_error() {
    for (text, format, expected) in [
        ("<!DOCTYPE html><title>503</title>", Some(Format::Domains), NotAList::WebPage),
        ("{\"error\": \"rate limit\"}", Some(Format::Hosts), NotAList::Json),
        ("a\0b\0c\0d\0", Some(Format::Domains), NotAList::Binary),
        ("# Title\n", None, NotAList::Empty),
        ("", None, NotAList::Empty),
        ("Dear all,\nthis is a letter.\n", None, NotAList::Unknown),
    ] {
        let found = of(text, format);
        assert_eq!(found.not_a_list, Some(expected), "{text}");
        assert_eq!((found.format, found.entries), (None, 0));
    }
    assert_eq!(of("", Some(Format::Domains)).not_a_list, None);
}

#[test]
fn a_list_that_can_not_be_read_is_an_error() {
    let source = Source::at("/no/such/list");
    let list = Reading { source: &source, format: None, mode: MatchMode::Exact };
    assert!(survey(&list, &References::none()).unwrap_err().is_io());
    let cut = Source::bytes("cut.gz", &b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x4a"[..]);
    let list = Reading { source: &cut, ..list };
    assert!(matches!(survey(&list, &References::none()).unwrap_err().problem, Problem::Read(_)));
}

#[test]
fn an_entry_hits_what_it_would_block() {
    for (text, format, kind, expected) in [
        ("help.example\n", Format::Domains, FindingKind::Essential, &["help.example"][..]),
        ("school.example\n", Format::Domains, FindingKind::Essential, &["mail.school.example"]),
        ("school.example CNAME .\n", Format::Rpz, FindingKind::Essential, &[]),
        ("*.school.example CNAME .\n", Format::Rpz, FindingKind::Essential, &["mail.school.example"]),
        ("x.help.example\n", Format::Domains, FindingKind::Essential, &[]),
        ("nothelp.example\n", Format::Domains, FindingKind::Essential, &[]),
        ("www.popular.example\n", Format::Domains, FindingKind::Popular, &["popular.example"]),
        ("www.popular.example CNAME .\n", Format::Rpz, FindingKind::Popular, &["popular.example"]),
        ("www2.popular.example\n", Format::Domains, FindingKind::Popular, &[]),
        ("www.busy.example\n", Format::Domains, FindingKind::Busy, &[]),
        ("busy.example\n", Format::Domains, FindingKind::Busy, &["busy.example"]),
        ("||busy.example^\n@@||busy.example^\n", Format::Adblock, FindingKind::Busy, &[]),
        ("||busy.example^\n@@||www.busy.example^\n", Format::Adblock, FindingKind::Busy, &["busy.example"]),
        ("||school.example^\n@@||mail.school.example^\n", Format::Adblock, FindingKind::Essential, &[]),
        (
            "@@||school.example^\n||mail.school.example^\n",
            Format::Adblock,
            FindingKind::Essential,
            &["mail.school.example"],
        ),
        ("0.0.0.0 gov.uk # all\n", Format::Hosts, FindingKind::PublicSuffix, &["gov.uk"]),
        ("server=/gov.uk/\n", Format::Dnsmasq, FindingKind::PublicSuffix, &["gov.uk"]),
        ("local-zone: \"gov.uk.\" always_null\n", Format::Unbound, FindingKind::PublicSuffix, &["gov.uk"]),
        // Nobody here would miss it, so it is counted, no more.
        ("net.kg\n", Format::Domains, FindingKind::PublicSuffix, &[]),
    ] {
        assert_eq!(hits(&of(text, Some(format)), kind), expected, "{text}");
    }
}

#[test]
fn below_a_name_that_the_category_is_about_nothing_is_missed() {
    let source = Source::bytes("a list", &b"youtube.com\ngoogle.com\n"[..]);
    let list = Reading { source: &source, format: None, mode: MatchMode::Subdomains };
    let essential = keys(&["accounts.youtube.com", "accounts.google.com"]);
    let video = survey(&list, &References::of_category("video", essential.clone(), [])).unwrap();
    assert_eq!(hits(&video, FindingKind::Essential), ["accounts.google.com"]);
    assert!(hits(&video, FindingKind::Popular).contains(&"google.com"));
    let adult = survey(&list, &References::of_category("adult", essential, keys(&["youtube.com"]))).unwrap();
    assert_eq!(hits(&adult, FindingKind::Essential).len(), 2);
    assert_eq!(hits(&adult, FindingKind::Busy), ["youtube.com"]);
}

#[test]
fn findings_have_their_line_and_are_capped_but_counted_in_full() {
    let many: Vec<Key> = (0..120).map(|n| key(&format!("h{n}.school.example"))).collect();
    let references = References::none().essential(many);
    let source = Source::bytes("a list", &b"bet.example\nschool.example\n"[..]);
    let list = Reading { source: &source, format: None, mode: MatchMode::Subdomains };
    let found = survey(&list, &references).unwrap();
    let essential = found.found(FindingKind::Essential).unwrap();
    assert_eq!((essential.count, essential.first.len()), (120, SHOWN_FINDINGS));
    assert_eq!(found.hits[&FindingKind::Essential].len(), 120);
    assert_eq!((essential.first[0].listed.as_str(), essential.first[0].line), ("school.example", 2));
    assert_eq!(essential.first[0].name(), "h0.school.example");
}

#[test]
fn a_web_page_within_a_list_is_noticed() {
    let text = "bet.example\n<!DOCTYPE html>\n<html><head><title>504</title>\n<p>x</p>\n";
    assert_eq!(of(text, Some(Format::Domains)).markup, 2);
}

#[test]
fn the_header_of_a_plain_list_counts() {
    assert_eq!(of("# Entries: 2,510\nbet.example\n", None).declared, Some(2_510));
    assert_eq!(of("bet.example\n", None).declared, None);
}

#[test]
fn fingerprints_tell_meanings_apart_but_not_order_and_format() {
    let prints = |text: &str, format| of(text, Some(format)).prints;
    assert_eq!(
        prints("b.example\na.example\n# x\na.example\n", Format::Domains),
        prints("||a.example^\n||b.example^\n", Format::Adblock)
    );
    let different = prints(
        "a.example CNAME .\n*.a.example CNAME .\na.example CNAME rpz-passthru.\n32.1.2.0.192.rpz-ip CNAME .\n\
         a.example.rpz-nsdname CNAME .\n*.a.example.rpz-nsdname CNAME .\n32.1.2.0.192.rpz-nsip CNAME .\n",
        Format::Rpz,
    );
    assert_eq!(different.len(), 7);
    assert!(Fingerprints::default().is_empty());
}

proptest! {
    #[test]
    fn a_look_agrees_with_looking_again(names in prop::collection::vec("[ab]{1,2}\\.[cd]{1,2}\\.example", 0..40)) {
        let text = names.join("\n");
        let source = Source::bytes("a list", text.into_bytes());
        let list = Reading { source: &source, format: Some(Format::Domains), mode: MatchMode::Subdomains };
        let found = survey(&list, &References::none()).unwrap();
        prop_assert_eq!(&Fingerprints::of(&list).unwrap(), &found.prints);
        let different: BTreeSet<_> = names.iter().collect();
        prop_assert_eq!(found.prints.len(), different.len());
        prop_assert_eq!(found.entries - found.duplicates, different.len() as u64);
    }

    #[test]
    fn no_text_breaks_a_look(text in ".{0,200}", hosts in any::<bool>()) {
        let format = Some(if hosts { Format::Hosts } else { Format::Domains });
        let found = of(&text, format);
        prop_assert!(found.damaged() <= found.skips());
    }
}
