use std::{fs, path::Path};

use super::*;

fn zones(settings: &str) -> LocalZones {
    LocalZones::build(&toml::from_str(settings).unwrap()).unwrap()
}

fn error(settings: &str) -> String {
    LocalZones::build(&toml::from_str(settings).unwrap()).unwrap_err().to_string()
}

fn ask(zones: &LocalZones, name: &str, rtype: RecordType) -> Option<LocalAnswer> {
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    zones.answer(&Query::query(name, rtype))
}

/// The code and the data of the answers; nothing when the name is resolved elsewhere.
fn outcome(zones: &LocalZones, name: &str, rtype: RecordType) -> Option<(ResponseCode, Vec<String>)> {
    let answer = ask(zones, name, rtype)?;
    Some((answer.rcode, answer.answers.iter().map(|record| record.data.to_string()).collect()))
}

fn data(texts: &[&str]) -> Option<(ResponseCode, Vec<String>)> {
    Some((ResponseCode::NoError, texts.iter().map(ToString::to_string).collect()))
}

fn nxdomain() -> Option<(ResponseCode, Vec<String>)> {
    Some((ResponseCode::NXDomain, Vec::new()))
}

use RecordType::{A, AAAA, DS, MX, TXT};
const PTR_: RecordType = RecordType::PTR;

#[test]
fn ordinary_names_go_elsewhere() {
    let zones = zones("");
    for name in
        ["example.com", "arpa", "in-addr.arpa", "8.8.8.8.in-addr.arpa", "www.example", ".", "local.example"]
    {
        assert_eq!(outcome(&zones, name, A), None, "{name}");
    }
}

#[test]
fn special_names_stay_here() {
    let zones = zones("");
    assert_eq!(outcome(&zones, "localhost", A), data(&["127.0.0.1"]));
    assert_eq!(outcome(&zones, "www.LOCALHOST", AAAA), data(&["::1"]));
    assert_eq!(outcome(&zones, "localhost", MX), data(&[]));
    for name in [
        "invalid",
        "a.invalid",
        "test",
        "www.test",
        "printer.local",
        "abc.onion",
        "x.alt",
        "nas.home.arpa",
        "_http._tcp.default.service.arpa",
    ] {
        assert_eq!(outcome(&zones, name, A), nxdomain(), "{name}");
    }
    assert_eq!(outcome(&zones, "home.arpa", A), data(&[]));
    assert_eq!(outcome(&zones, "_dns.resolver.arpa", RecordType::SVCB), data(&[]));
    assert_eq!(outcome(&zones, "ipv4only.arpa", A), data(&["192.0.0.170", "192.0.0.171"]));
    assert_eq!(outcome(&zones, "ipv4only.arpa", AAAA), data(&[]));
    assert_eq!(outcome(&zones, "a.ipv4only.arpa", A), nxdomain());
}

#[test]
fn every_locally_served_reverse_zone_is_empty() {
    let zones = zones("");
    for address in [
        "0.0.0.1",
        "10.1.2.3",
        "127.0.0.2",
        "169.254.1.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "255.255.255.255",
        "100.64.0.1",
        "100.127.0.1",
        "::",
        "fd00::1",
        "fe80::1",
        "febf::1",
        "2001:db8::1",
        "3fff:fff::1",
    ] {
        let name = Name::from(address.parse::<IpAddr>().unwrap()).to_string();
        let answer = ask(&zones, &name, PTR_).unwrap_or_else(|| panic!("{address}"));
        assert!(answer.answers.is_empty(), "{address}");
        assert_eq!(answer.authorities.len(), 1, "{address}");
        assert_eq!(answer.authorities[0].record_type(), RecordType::SOA, "{address}");
    }
    for address in
        ["172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "11.0.0.1", "2001:db9::1", "fc00::1", "::2"]
    {
        let name = Name::from(address.parse::<IpAddr>().unwrap()).to_string();
        assert_eq!(outcome(&zones, &name, PTR_), None, "{address}");
    }
    assert_eq!(outcome(&zones, "1.0.0.127.in-addr.arpa", PTR_), data(&["localhost."]));
    let loopback = Name::from(IpAddr::from(Ipv6Addr::LOCALHOST)).to_string();
    assert_eq!(outcome(&zones, &loopback, PTR_), data(&["localhost."]));
}

use std::net::Ipv6Addr;

#[test]
fn the_parent_is_asked_for_the_ds_of_a_special_name() {
    let zones = zones("");
    assert_eq!(outcome(&zones, "10.in-addr.arpa", DS), None);
    assert_eq!(outcome(&zones, "home.arpa", DS), None);
    assert_eq!(outcome(&zones, "onion", DS), nxdomain());
}

#[test]
fn a_special_name_can_be_let_through() {
    let zones = zones("allow_special = [\"test\"]");
    assert_eq!(outcome(&zones, "www.test", A), None);
    assert_eq!(outcome(&zones, "www.invalid", A), nxdomain());
    assert!(error("allow_special = [\"example\"]").contains("\"example\" is not a special name"));
}

#[test]
fn a_record_of_the_schools_own_answers_for_its_name_alone() {
    let zones = zones(
        r#"
        record = [
            { name = "printer.school.example", type = "a", value = "10.0.0.20", ttl = 60 },
            { name = "Printer.School.Example.", type = "A", value = "10.0.0.21" },
            { name = "school.example", type = "TXT", value = '"a b" c' },
            { name = "nas.home.arpa", type = "AAAA", value = "fd00::5" },
        ]"#,
    );
    assert_eq!(outcome(&zones, "printer.school.example", A), data(&["10.0.0.20", "10.0.0.21"]));
    assert_eq!(ask(&zones, "printer.school.example", A).unwrap().answers[0].ttl, 60);
    let nodata = ask(&zones, "printer.school.example", AAAA).unwrap();
    assert_eq!((nodata.rcode, nodata.answers.len(), nodata.authorities.len()), (ResponseCode::NoError, 0, 1));
    assert_eq!(outcome(&zones, "www.school.example", A), None);
    assert_eq!(outcome(&zones, "a.printer.school.example", A), None);
    assert_eq!(ask(&zones, "school.example", TXT).unwrap().answers.len(), 1);
    assert_eq!(outcome(&zones, "nas.home.arpa", AAAA), data(&["fd00::5"]));
    assert_eq!(outcome(&zones, "other.home.arpa", AAAA), nxdomain());
}

#[test]
fn the_reverse_of_private_addresses_is_made() {
    let zones = zones(
        r#"
        record = [
            { name = "printer.school.example", type = "A", value = "10.0.0.20" },
            { name = "www.school.example", type = "A", value = "198.51.100.7" },
            { name = "nas.school.example", type = "AAAA", value = "fd00::5" },
            { name = "dc.ad.school.example", type = "A", value = "10.20.0.10" },
        ]
        [[zone]]
        name = "20.10.in-addr.arpa"
        servers = ["10.20.0.10"]
        "#,
    );
    assert_eq!(outcome(&zones, "20.0.0.10.in-addr.arpa", PTR_), data(&["printer.school.example."]));
    assert_eq!(outcome(&zones, "7.100.51.198.in-addr.arpa", PTR_), nxdomain());
    let reverse = Name::from("fd00::5".parse::<IpAddr>().unwrap()).to_string();
    assert_eq!(outcome(&zones, &reverse, PTR_), data(&["nas.school.example."]));
    assert_eq!(outcome(&zones, "10.0.20.10.in-addr.arpa", PTR_), None);
}

#[test]
fn a_wildcard_record_answers_below_it() {
    let zones = zones(
        r#"record = [
            { name = "*.lab.school.example", type = "A", value = "10.9.9.9" },
            { name = "pc1.lab.school.example", type = "A", value = "10.0.0.1" },
        ]"#,
    );
    assert_eq!(outcome(&zones, "anything.lab.school.example", A), data(&["10.9.9.9"]));
    assert_eq!(outcome(&zones, "a.b.lab.school.example", A), data(&["10.9.9.9"]));
    assert_eq!(outcome(&zones, "pc1.lab.school.example", A), data(&["10.0.0.1"]));
    assert_eq!(outcome(&zones, "lab.school.example", A), None);
}

#[test]
fn a_forwarded_zone_beats_the_empty_zone_at_its_name_and_below() {
    let zones = zones(
        r#"
        [[zone]]
        name = "20.10.in-addr.arpa"
        servers = ["10.20.0.10"]
        [[zone]]
        name = "172.in-addr.arpa"
        servers = ["10.20.0.10"]
        [[zone]]
        name = "168.192.in-addr.arpa"
        servers = ["10.20.0.10"]
        [[zone]]
        name = "school.test"
        servers = ["10.20.0.10"]
        "#,
    );
    for name in [
        "1.0.20.10.in-addr.arpa",
        "20.10.in-addr.arpa",
        "1.0.16.172.in-addr.arpa",
        "1.1.168.192.in-addr.arpa",
        "dc.school.test",
    ] {
        assert_eq!(outcome(&zones, name, PTR_), None, "{name}");
    }
    assert_eq!(outcome(&zones, "1.0.21.10.in-addr.arpa", PTR_), nxdomain());
    assert_eq!(outcome(&zones, "other.test", A), nxdomain());
}

fn zone_file(content: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("school.zone");
    fs::write(&file, content).unwrap();
    let settings = format!("[[zone]]\nname = \"school.example\"\nfile = {:?}\n", file.display().to_string());
    (folder, settings)
}

#[test]
fn a_zone_file_is_the_authority_for_its_names() {
    let (_folder, settings) = zone_file(
        "$TTL 600\n@ SOA ns admin 1 2 3 4 120\n@ NS ns\nns A 10.0.0.1\nwww CNAME web\nweb A 10.0.0.2\n\
         out CNAME www.example.com.\n*.wild A 10.0.0.3\na.b.deep A 10.0.0.4\nsub NS ns.elsewhere.example.\n",
    );
    let zones = zones(&settings);
    assert_eq!(outcome(&zones, "www.school.example", A), data(&["web.school.example.", "10.0.0.2"]));
    let nodata = ask(&zones, "www.school.example", AAAA).unwrap();
    assert_eq!((nodata.rcode, nodata.answers.len(), nodata.authorities.len()), (ResponseCode::NoError, 1, 1));
    assert_eq!(nodata.authorities[0].ttl, 120);
    assert_eq!(outcome(&zones, "nothing.school.example", A), nxdomain());
    assert_eq!(outcome(&zones, "x.wild.school.example", A), data(&["10.0.0.3"]));
    assert_eq!(outcome(&zones, "x.wild.school.example", TXT), data(&[]));
    assert_eq!(outcome(&zones, "wild.school.example", A), data(&[]));
    assert_eq!(outcome(&zones, "b.deep.school.example", A), data(&[]));
    assert_eq!(outcome(&zones, "c.deep.school.example", A), nxdomain());
    assert_eq!(outcome(&zones, "www.sub.school.example", A), None);
    assert_eq!(outcome(&zones, "2.0.0.10.in-addr.arpa", PTR_), data(&["web.school.example."]));
    let out = ask(&zones, "out.school.example", A).unwrap();
    assert_eq!(out.continue_at, Some(Name::from_ascii("www.example.com.").unwrap()));
    assert_eq!(out.answers.len(), 1);
}

#[test]
fn the_owner_keeps_the_case_of_the_question() {
    let zones = zones("record = [{ name = \"a.school.example\", type = \"A\", value = \"10.0.0.1\" }]");
    let answer = ask(&zones, "A.School.example", A).unwrap();
    assert_eq!(answer.answers[0].name.to_string(), "A.School.example.");
}

#[test]
fn an_alias_in_a_circle_is_an_error_with_file_and_line() {
    let (folder, settings) = zone_file("a A 10.0.0.1\none CNAME two\n\ntwo CNAME one\n");
    let text = error(&settings);
    let file = folder.path().join("school.zone");
    assert!(text.starts_with(&file.display().to_string()), "{text}");
    assert!(text.contains(":2: ") || text.contains(":4: "), "{text}");
    assert!(text.contains("leads back to itself"), "{text}");
    let text = error("record = [{ name = \"a.example\", type = \"CNAME\", value = \"a.example.\" }]");
    assert!(text.starts_with("resolver.record \"a.example\": "), "{text}");
}

#[test]
fn errors_name_the_setting() {
    let (_folder, settings) = zone_file("a A 10.0.0.1\na CNAME b\n");
    assert!(
        error(&settings).contains("school.zone:2: a.school.example. has a CNAME"),
        "{}",
        error(&settings)
    );
    let (_folder, settings) = zone_file("other.example. A 10.0.0.1\n");
    assert!(error(&settings).contains("school.zone:1: other.example. is not within"), "{}", error(&settings));
    for (record, text) in [
        ("{ name = \"a b\", type = \"A\", value = \"10.0.0.1\" }", "resolver.record \"a b\": "),
        ("{ name = \"a.example\", type = \"B\", value = \"10.0.0.1\" }", "\"B\" is not a record type"),
        ("{ name = \"a.example\", type = \"A\", value = \"10.0.0\" }", "resolver.record \"a.example\": "),
        (
            "{ name = \"a.example\", type = \"A\", value = \"10.0.0.1\\nb.example. A 10.0.0.2\" }",
            "line break",
        ),
    ] {
        assert!(
            error(&format!("record = [{record}]")).contains(text),
            "{}",
            error(&format!("record = [{record}]"))
        );
    }
    let twice = "zone = [{ name = \"a.example\", servers = [\"10.0.0.1\"] }, { name = \"A.example.\", servers = [\"10.0.0.1\"] }]";
    assert!(error(twice).contains("two zones"));
    assert!(!Path::new("/nowhere").exists());
    assert!(
        error("zone = [{ name = \"a.example\", file = \"/nowhere/a.zone\" }]")
            .contains("could not read /nowhere/a.zone")
    );
}
