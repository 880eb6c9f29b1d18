//! Zones of listed name servers. `glueless.test` is delegated to `ns1.hosting.example`, whose company's own zone
//! `hosting.example` is too; `images.firstparty.test` is an alias into that.

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};

use crate::{
    school::{POLICY, School},
    support::{addresses, ede, out},
};

/// A school with these lists, each with what it holds and more keys of its `[[list]]`.
fn school(lists: &[(&str, &str, &str)]) -> School {
    let mut policy = String::from(POLICY);
    let folder = tempfile::tempdir().expect("a folder");
    for (id, text, keys) in lists {
        let file = folder.path().join(format!("{id}.txt"));
        std::fs::write(&file, text).expect("a list");
        policy.push_str(&format!(
            "\n[[list]]\nid = \"{id}\"\ncategory = \"gambling\"\nfile = {file:?}\n{keys}\n"
        ));
    }
    // The lists are read at the import; the box keeps copies of its own.
    School::with(&policy, "")
}

const OF_SERVERS: &str = "applies_to = \"name-servers\"";

fn is_blocked(answer: &Message) -> bool {
    let blocked = answer.metadata.response_code == ResponseCode::NXDomain;
    assert_eq!(blocked, ede(answer).first().is_some_and(|(code, _)| *code == 17), "{answer:?}");
    assert_eq!(blocked, addresses(answer).is_empty(), "{answer:?}");
    blocked
}

/// Which of some names guests don't get; each is asked twice, so that the second answer comes from the cache.
fn closed(school: &School) -> Vec<&'static str> {
    let names = ["www.glueless.test.", "www.hosting.example.", "images.firstparty.test.", "www.good.test."];
    let ask = |name: &&str| {
        let first = is_blocked(&school.ask("guest", name, RecordType::A));
        assert_eq!(is_blocked(&school.ask("guest", name, RecordType::A)), first, "{name}, from the cache");
        assert!(!addresses(&school.ask("staff", name, RecordType::A)).is_empty(), "{name}: staff may");
        first
    };
    names.into_iter().filter(ask).collect()
}

const HOSTED: [&str; 3] = ["www.glueless.test.", "www.hosting.example.", "images.firstparty.test."];

#[test]
fn a_zone_of_a_listed_name_server_is_blocked_from_the_cache_and_after_a_restart_too() {
    let school = school(&[("dyn", "hosting.example\n", OF_SERVERS)]);
    // Staff first, so that guests meet it in the cache at once.
    let open = school.ask("staff", "www.glueless.test.", RecordType::A);
    assert!(!addresses(&open).is_empty(), "{open:?}");
    assert_eq!(closed(&school), HOSTED);
    let school = school.restarted();
    assert_eq!(closed(&school), HOSTED);

    let check = school.command(&["check", "www.glueless.test", "--client", "10.20.50.10"]);
    let text = out(&check);
    assert_eq!(check.status.code(), Some(1), "{text}");
    for part in [
        "www.glueless.test belongs to glueless.test, which has the name server ns1.hosting.example",
        "reason      name-server",
        "listed by   dyn (dyn), version 1, line 1: hosting.example",
        "served by   NS glueless.test: ns1.hosting.example",
        "An allow rule for www.glueless.test would open it.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn an_exempt_zone_is_open_and_its_name_servers_other_zones_are_not() {
    let allow = format!("action = \"allow\"\n{OF_SERVERS}");
    let school = school(&[("dyn", "ns1.hosting.example\n", OF_SERVERS), ("home", "glueless.test\n", &allow)]);
    assert_eq!(closed(&school), HOSTED[1..]);
}

#[test]
fn a_zone_is_found_by_the_address_of_its_name_server() {
    let keys = format!("format = \"addresses\"\n{OF_SERVERS}");
    // glueless.test comes without glue, so its server's address is only learned on the way.
    let school = school(&[("net", "80.64.47.0/24\n", &keys)]);
    // Addresses of hosting.example's own hosts are in that network too, but it is about servers.
    assert_eq!(closed(&school), HOSTED);
    let check = out(&school.command(&["check", "www.glueless.test", "--client", "10.20.50.10"]));
    assert!(check.contains("which has the name server 80.64.47.1"), "{check}");
}

#[test]
fn triggers_of_a_response_policy_zone_speak_of_name_servers() {
    let nsdname = "$ORIGIN rpz.\n@ SOA a. b. 1 1 1 1 1\n*.hosting.example.rpz-nsdname CNAME .\n";
    assert_eq!(closed(&school(&[("rpz", nsdname, "format = \"rpz\"")])), HOSTED);
    let nsip = "$ORIGIN rpz.\n@ SOA a. b. 1 1 1 1 1\n32.1.47.64.80.rpz-nsip CNAME .\n";
    assert_eq!(closed(&school(&[("rpz", nsip, "format = \"rpz\"")])), HOSTED);
}
