//! What each network of the school gets.

use hickory_proto::{
    op::ResponseCode,
    rr::{RData, RecordType},
};

use crate::{
    school::{POLICY, School, gateway},
    support::{addresses, ede, out, question},
};

#[test]
fn a_category_is_blocked_by_profile_with_each_block_response() {
    let school = School::open();
    let name = "www.payhe.example.";
    let page = school.ask("ks2", name, RecordType::A);
    assert_eq!(page.metadata.response_code, ResponseCode::NoError);
    assert_eq!(
        addresses(&page),
        [gateway("ks2").to_string()],
        "the block page is at the address that was asked"
    );
    assert_eq!(ede(&page)[0].0, 17, "{page:?}");
    assert!(page.answers.iter().all(|r| r.ttl <= 300));
    let other = school.ask("ks2", name, RecordType::TXT);
    assert!(other.answers.is_empty() && other.authorities.len() == 1, "{other:?}");

    let nodata = school.ask("secondary", name, RecordType::A);
    assert_eq!(nodata.metadata.response_code, ResponseCode::NoError);
    assert!(nodata.answers.is_empty(), "{nodata:?}");
    assert_eq!(nodata.authorities[0].record_type(), RecordType::SOA);

    let nxdomain = school.ask("guest", name, RecordType::A);
    assert_eq!(nxdomain.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(nxdomain.authorities[0].record_type(), RecordType::SOA);

    let null = school.ask("ks1", name, RecordType::A);
    assert_eq!(addresses(&null), ["0.0.0.0"]);
    assert_eq!(addresses(&school.ask("ks1", name, RecordType::AAAA)), ["::"]);

    let open = school.ask("staff", name, RecordType::A);
    assert_eq!(addresses(&open), ["80.64.26.80"], "{open:?}");

    // Staff's block response is a refusal; malware.example is on no list, so the policy's own rule shows it.
    let refused = School::with(
        &format!("{POLICY}\n[[rule]]\naction = \"block\"\nname = \"good3.test\"\nprofiles = [\"staff\"]\n"),
        "",
    );
    let answer = refused.ask("staff", "www.good3.test.", RecordType::A);
    assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
    assert_eq!(ede(&answer)[0].0, 15);
}

#[test]
fn the_starter_lists_are_in_force_beside_the_schools() {
    let school = School::open();
    for (name, code) in [("bet365.com.", 17), ("www.pornhub.com.", 16)] {
        let answer = school.ask("guest", name, RecordType::A);
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain, "{name}: {answer:?}");
        assert_eq!(ede(&answer)[0].0, code, "{name}: {answer:?}");
    }
}

#[test]
fn a_name_between_a_listed_parent_and_a_listed_child_is_blocked() {
    let school = School::open();
    for name in
        ["payhe.example.", "cdn.payhe.example.", "secure.cdn.payhe.example.", "x.secure.cdn.payhe.example."]
    {
        let answer = school.ask("guest", name, RecordType::A);
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain, "{name}: {answer:?}");
    }
    assert_eq!(addresses(&school.ask("staff", "cdn.payhe.example.", RecordType::A)), ["80.64.26.81"]);
}

#[test]
fn a_tracker_behind_a_first_party_name_is_blocked() {
    let school = School::open();
    for (name, kind) in [
        ("metrics.firstparty.test.", RecordType::A),
        ("stats.firstparty.test.", RecordType::A),
        ("collect.t.firstparty.test.", RecordType::A),
        ("shop.firstparty.test.", RecordType::HTTPS),
        ("news.firstparty.test.", RecordType::HTTPS),
    ] {
        // Twice: the second answer comes from the cache and is reviewed too.
        for _ in 0..2 {
            let answer = school.ask("guest", name, kind);
            assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain, "{name}: {answer:?}");
            assert!(answer.answers.is_empty(), "{name}: {answer:?}");
            assert_eq!(ede(&answer)[0].0, 17, "{name}: {answer:?}");
        }
        let open = school.ask("staff", name, kind);
        assert!(!open.answers.is_empty(), "{name}: staff may: {open:?}");
    }
    for name in ["www.firstparty.test.", "images.firstparty.test."] {
        assert!(!addresses(&school.ask("guest", name, RecordType::A)).is_empty(), "{name}");
    }
    let check = school.command(&["check", "metrics.firstparty.test", "--client", "10.20.50.10"]);
    let text = out(&check);
    assert_eq!(check.status.code(), Some(1), "{text}");
    assert!(text.contains("collect.tracker.example") && text.contains("fixtures"), "{text}");
}

#[test]
fn a_public_name_does_not_lead_into_the_school() {
    let school = School::open();
    for (name, kind) in [
        ("ten.rebind.test.", RecordType::A),
        ("lan.rebind.test.", RecordType::A),
        ("loopback.rebind.test.", RecordType::A),
        ("school.rebind.test.", RecordType::A),
        ("ula.rebind.test.", RecordType::AAAA),
        ("mapped.rebind.test.", RecordType::AAAA),
        ("mixed.rebind.test.", RecordType::A),
        ("alias.rebind.test.", RecordType::A),
        ("hint.rebind.test.", RecordType::HTTPS),
        ("hint6.rebind.test.", RecordType::HTTPS),
    ] {
        for client in ["guest", "staff"] {
            let answer = school.ask(client, name, kind);
            assert!(answer.answers.is_empty(), "{client} {name}: {answer:?}");
            assert_eq!(ede(&answer)[0].0, 17, "{client} {name}: {answer:?}");
        }
    }
    assert_eq!(addresses(&school.ask("staff", "public.rebind.test.", RecordType::A)), ["80.64.23.82"]);
}

#[test]
fn safesearch_is_answered_for_every_type() {
    let school = School::open();
    for kind in [RecordType::A, RecordType::AAAA, RecordType::HTTPS] {
        let answer = school.ask("ks2", "www.google.com.", kind);
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{kind}: {answer:?}");
        let RData::CNAME(target) = &answer.answers[0].data else { panic!("{kind}: {answer:?}") };
        assert_eq!(target.0.to_string(), "forcesafesearch.google.com.");
        assert!(!answer.metadata.authentic_data);
        assert_eq!(ede(&answer)[0].0, 4, "{kind}: {answer:?}");
        let expected: &[&str] = match kind {
            RecordType::A => &["216.239.38.120"],
            RecordType::AAAA => &["2001:4860:4802:32::78"],
            _ => &[],
        };
        assert_eq!(addresses(&answer), expected, "{kind}: {answer:?}");
    }
    let text = school.ask("ks2", "www.google.com.", RecordType::TXT);
    assert!(text.answers.is_empty(), "{text:?}");
    let open = school.ask("staff", "www.google.com.", RecordType::A);
    assert_eq!(addresses(&open), ["142.250.200.4"], "staff have it off");
    for (client, target) in [("ks2", "restrict.youtube.com."), ("secondary", "restrictmoderate.youtube.com.")]
    {
        let answer = school.ask(client, "www.youtube.com.", RecordType::A);
        let RData::CNAME(to) = &answer.answers[0].data else { panic!("{client}: {answer:?}") };
        assert_eq!(to.0.to_string(), target, "{client}");
    }
}

#[test]
fn the_youngest_get_only_what_was_approved() {
    let school = School::open();
    assert!(!addresses(&school.ask("ks1", "www.good.test.", RecordType::A)).contains(&"0.0.0.0".to_owned()));
    let closed = school.ask("ks1", "www.good3.test.", RecordType::A);
    assert_eq!(addresses(&closed), ["0.0.0.0"]);
    assert_eq!(ede(&closed)[0].0, 15, "{closed:?}");
    assert!(!addresses(&school.ask("ks2", "www.good3.test.", RecordType::A)).is_empty());
}

#[test]
fn a_client_that_nobody_knows_gets_the_strictest_profile() {
    let school = School::open();
    let answer = school.ask("stranger", "www.good3.test.", RecordType::A);
    assert_eq!(addresses(&answer), ["0.0.0.0"], "{answer:?}");
    let check = out(&school.command(&["check", "www.good3.test", "--client", "10.77.0.10"]));
    assert!(check.contains("fallback"), "{check}");
}

#[test]
fn canaries_say_no_at_once() {
    let school = School::open();
    for name in ["use-application-dns.net.", "mask.icloud.com.", "mask-h2.icloud.com."] {
        let answer = school.ask("ks2", name, RecordType::A);
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain, "{name}: {answer:?}");
    }
    let answer = school.ask("ks2", "_dns.resolver.arpa.", RecordType::SVCB);
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    assert!(answer.answers.is_empty(), "{answer:?}");
}

#[test]
fn encrypted_hellos_are_stripped_for_pupils() {
    let school = School::open();
    let text = |client: &str| school.dig(client, &["ech.svcb.test", "HTTPS"]);
    let (pupil, staff) = (text("ks2"), text("staff"));
    assert!(!pupil.contains("ech=") && pupil.contains("alpn="), "{pupil}");
    assert!(staff.contains("ech="), "{staff}");
    let mut wanted = question("ech.svcb.test.", RecordType::HTTPS);
    wanted.metadata.authentic_data = true;
    assert!(!school.send("ks2", wanted).metadata.authentic_data, "a changed answer is not proven");
}

#[test]
fn checking_disabled_does_not_go_round_the_filter() {
    let school = School::open();
    let mut question = question("www.payhe.example.", RecordType::A);
    question.metadata.checking_disabled = true;
    assert_eq!(school.send("guest", question).metadata.response_code, ResponseCode::NXDomain);
}

#[test]
fn a_schedule_opens_a_category_at_lunch() {
    let school = School::open();
    let check = |at: &str| {
        school.command(&["check", "www.roblox.com", "--client", "10.20.2.10", "--at", at, "--no-resolve"])
    };
    // A Monday in winter, when London is at UTC, and one in summer, when it is an hour ahead.
    assert!(check("2026-11-23T12:30:00Z").status.success());
    assert_eq!(check("2026-11-23T14:00:00Z").status.code(), Some(1));
    assert!(check("2026-07-06T11:30:00Z").status.success());
    assert_eq!(check("2026-07-06T12:30:00Z").status.code(), Some(1), "13:30 in London");
    assert_eq!(check("2026-11-22T12:30:00Z").status.code(), Some(1), "a Sunday");
}

#[test]
fn an_alias_and_an_address_of_a_locked_feed_are_blocked_and_not_shown() {
    let feed = tempfile::tempdir().expect("a folder");
    let file = feed.path().join("feed.rpz");
    std::fs::write(
        &file,
        "$TTL 300\n@ SOA localhost. root.localhost. 1 300 300 300 300\n@ NS localhost.\n\
         collect.tracker.example CNAME .\n*.collect.tracker.example CNAME .\n32.80.26.64.80.rpz-ip CNAME .\n",
    )
    .expect("a list");
    let school = School::with(
        &format!(
            "{POLICY}\n[[list]]\nid = \"feed\"\ncategory = \"illegal-terrorism\"\nfile = \"{}\"\n",
            file.display()
        ),
        "",
    );
    for (name, kind) in [("metrics.firstparty.test", RecordType::A), ("www.payhe.example", RecordType::A)] {
        // Staff may use what both are about.
        let answer = school.ask("staff", &format!("{name}."), kind);
        let why = ede(&answer);
        assert_eq!(why[0].0, 16, "{name}: {answer:?}");
        assert!(why[0].1.contains(" locked:"), "{why:?}");
        let bytes = answer.to_vec().expect("encodes");
        assert!(!bytes.windows(7).any(|window| window == b"tracker"), "{answer:?}");
        assert!(!bytes.windows(4).any(|window| window == [80, 64, 26, 80]), "{answer:?}");
        for json in [&["--json"][..], &[]] {
            let check = school.command(&[json, &["check", name, "--client", "10.20.9.5"]].concat());
            let text = out(&check);
            assert!(text.contains("locked:") && text.contains(name), "{text}");
            assert!(!text.contains("collect.tracker") && !text.contains("80.64.26.80"), "{text}");
            // Nor where the alias leads.
            assert!(!text.contains("80.64.25.81"), "{text}");
        }
    }
}
