use std::net::SocketAddr;

use hickory_proto::{
    op::MessageType,
    rr::{
        RData,
        rdata::{A, CNAME, NS, SOA},
    },
};
use tokio::net::UdpSocket;

use super::*;
use crate::{delegation::Delegation, resolver::config::Source};

/// A server that is the root and every zone below it, unsigned; and the settings to ask it.
struct Internet {
    config: Config,
    _folder: tempfile::TempDir,
}

impl Internet {
    async fn new(behave: impl Fn(&Name, RecordType) -> Option<Says> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut packet = [0; 1_500];
            while let Ok((received, from)) = socket.recv_from(&mut packet).await {
                let question = Message::from_vec(&packet[..received]).unwrap();
                let asked = &question.queries[0];
                let says = if asked.query_type() == RecordType::NS {
                    delegation(asked.name(), address)
                } else {
                    behave(&asked.name().to_lowercase(), asked.query_type())
                };
                let reply = match says {
                    None => continue,
                    Some(Says::Bytes(bytes)) => [&packet[..2], &bytes].concat(),
                    Some(says) => reply(&question, says).to_vec().unwrap(),
                };
                socket.send_to(&reply, from).await.unwrap();
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let hints = folder.path().join("root.hints");
        std::fs::write(&hints, ". 60 NS a.root.\na.root. 60 A 127.0.0.1\n").unwrap();
        let config = Config {
            root_hints: Source::File(hints),
            dnssec: Dnssec::Off,
            port: address.port(),
            allow_servers: vec!["127.0.0.0/8".parse().unwrap()],
            ..Config::default()
        };
        Self { config, _folder: folder }
    }

    async fn ask(&self, text: &str) -> Result<Found, Failure> {
        let query = Query::query(name(text), RecordType::A);
        Recursor::new(&self.config).unwrap().ask(&query, Ask::default()).await
    }
}

/// What a server says.
enum Says {
    Records(Vec<Record>),
    Nothing(ResponseCode),
    Bytes(Vec<u8>),
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn alias(owner: &str, target: &str) -> Option<Says> {
    Some(Says::Records(vec![Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(target))))]))
}

fn address(owner: &Name) -> Option<Says> {
    Some(Says::Records(vec![Record::from_rdata(owner.clone(), 60, RData::A(A::new(192, 0, 2, 1)))]))
}

/// Only the names of one label are zones.
fn delegation(owner: &Name, server: SocketAddr) -> Option<Says> {
    if owner.num_labels() != 1 {
        return Some(Says::Nothing(ResponseCode::NoError));
    }
    let host = name("ns.").append_domain(owner).unwrap();
    let SocketAddr::V4(server) = server else { return None };
    Some(Says::Records(vec![
        Record::from_rdata(owner.clone(), 60, RData::NS(NS(host.clone()))),
        Record::from_rdata(host, 60, RData::A(A(*server.ip()))),
    ]))
}

fn reply(question: &Message, says: Says) -> Message {
    let mut message = Message::query().into_response();
    message.metadata.id = question.metadata.id;
    message.metadata.message_type = MessageType::Response;
    message.metadata.authoritative = true;
    let query = question.queries[0].clone();
    match says {
        Says::Records(records) => {
            let (answers, glue): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| {
                record.record_type() == query.query_type() || record.record_type() == RecordType::CNAME
            });
            message.add_answers(answers);
            message.add_additionals(glue);
        }
        Says::Nothing(rcode) => {
            message.metadata.response_code = rcode;
            let zone = query.name().trim_to(1);
            let soa = SOA::new(name("ns.test."), name("admin.test."), 1, 2, 3, 4, 60);
            message.add_authority(Record::from_rdata(zone, 60, RData::SOA(soa)));
        }
        Says::Bytes(_) => {}
    }
    message.add_query(query);
    message
}

fn chain(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| record.data.to_string()).collect()
}

#[test]
fn the_weakest_link_counts() {
    use Security::{Bogus, Indeterminate, Insecure, Secure};
    assert_eq!(weaker(Secure, Secure), Secure);
    assert_eq!(weaker(Secure, Insecure), Insecure);
    assert_eq!(weaker(Bogus, Secure), Bogus);
    assert_eq!(weaker(Insecure, Indeterminate), Indeterminate);
    assert_eq!(weaker(Indeterminate, Bogus), Bogus);
}

#[tokio::test]
async fn types_that_are_no_records_are_never_asked() {
    let recursor = Recursor::new(&Config::default()).unwrap();
    for rtype in [RecordType::ANY, RecordType::AXFR, RecordType::Unknown(253)] {
        let failure = recursor.ask(&Query::query(name("example."), rtype), Ask::default()).await.unwrap_err();
        assert_eq!(failure.ede[0].code, EdeCode::NotSupported, "{rtype}");
    }
    let mut query = Query::query(name("example."), RecordType::A);
    query.set_query_class(DNSClass::CH);
    assert!(recursor.ask(&query, Ask::default()).await.is_err());
}

#[tokio::test]
async fn an_answer_keeps_the_case_of_the_question() {
    let internet = Internet::new(|name, _| address(name)).await;
    let found = internet.ask("wWw.School.test.").await.unwrap();
    assert_eq!(found.message.answers[0].name.to_string(), "wWw.School.test.");
    assert_eq!(found.security, Security::Insecure);
}

#[tokio::test]
async fn aliases_are_followed_to_their_end() {
    let internet = Internet::new(|name, _| match name.to_string().as_str() {
        "one.test." => alias("one.test.", "two.example."),
        "two.example." => alias("two.example.", "three.test."),
        _ => address(name),
    })
    .await;
    let found = internet.ask("one.test.").await.unwrap();
    assert_eq!(chain(&found.message.answers), ["two.example.", "three.test.", "192.0.2.1"]);
}

/// `zone: servers @ addresses` of each delegation.
fn served(found: &Found) -> Vec<String> {
    let show = |delegation: &Delegation| {
        let servers: Vec<String> = delegation.servers().map(|key| key.to_string()).collect();
        let addresses: Vec<String> = delegation.addresses().iter().map(ToString::to_string).collect();
        format!("{}: {} @ {}", delegation.zone(), servers.join(" "), addresses.join(" "))
    };
    found.delegations.iter().map(show).collect()
}

#[tokio::test]
async fn an_answer_names_the_delegation_of_each_zone_that_it_came_from() {
    let internet = Internet::new(|name, _| match name.to_string().as_str() {
        "one.test." => alias("one.test.", "two.example."),
        "two.example." => alias("two.example.", "three.test."),
        "gone.test." => Some(Says::Nothing(ResponseCode::NXDomain)),
        _ => address(name),
    })
    .await;
    let recursor = Recursor::new(&internet.config).unwrap();
    let (test, example) = ("test: ns.test @ 127.0.0.1", "example: ns.example @ 127.0.0.1");
    // The second time, hickory answers from what it keeps.
    for _ in 0..2 {
        for (asked, from) in [
            ("three.test.", &[test][..]),
            ("Gone.TEST.", &[test]),
            ("two.example.", &[example, test]),
            ("one.test.", &[test, example]),
        ] {
            let query = Query::query(name(asked), RecordType::A);
            let found = recursor.ask(&query, Ask::default()).await.unwrap();
            assert_eq!(served(&found), from, "{asked}");
        }
    }
    // The DS of a zone is the root's, which is delegated to nobody.
    let found = recursor.ask(&Query::query(name("test."), RecordType::DS), Ask::default()).await;
    assert!(found.is_ok_and(|found| found.delegations.is_empty()));
}

#[tokio::test]
async fn aliases_to_a_name_that_does_not_exist_are_kept() {
    for rcode in [ResponseCode::NXDomain, ResponseCode::NoError] {
        let internet = Internet::new(move |name, _| match name.to_string().as_str() {
            "one.test." => alias("one.test.", "two.example."),
            "two.example." => alias("two.example.", "gone.test."),
            _ => Some(Says::Nothing(rcode)),
        })
        .await;
        let found = internet.ask("one.test.").await.unwrap();
        assert_eq!(found.message.metadata.response_code, rcode);
        assert_eq!(chain(&found.message.answers), ["two.example.", "gone.test."]);
        assert_eq!(found.message.authorities.len(), 1);
    }
}

#[tokio::test]
async fn aliases_to_a_name_that_fails_are_told() {
    let internet = Internet::new(|name, _| match name.to_string().as_str() {
        "one.test." => alias("one.test.", "two.example."),
        "two.example." => alias("two.example.", "broken.test."),
        _ => Some(Says::Nothing(ResponseCode::Refused)),
    })
    .await;
    let failure = internet.ask("one.test.").await.unwrap_err();
    assert_eq!(failure.ede[0].code, EdeCode::NoReachableAuthority, "{failure:?}");
    assert_eq!(chain(&failure.aliases), ["two.example.", "broken.test."]);
}

#[tokio::test]
async fn aliases_in_a_circle_are_a_failure_that_says_so() {
    let internet = Internet::new(|name, _| match name.to_string().as_str() {
        "one.test." => alias("one.test.", "two.test."),
        _ => alias("two.test.", "one.test."),
    })
    .await;
    let failure = internet.ask("one.test.").await.unwrap_err();
    assert!(failure.ede[0].text.contains("in a circle"), "{failure}");
    assert_eq!(failure.aliases.len(), 2);
}

#[tokio::test]
async fn a_long_row_of_aliases_has_an_end() {
    let internet = Internet::new(|name, _| {
        let first = String::from_utf8_lossy(name.iter().next().unwrap()).into_owned();
        let next = first.trim_start_matches('a').parse::<u32>().map_or(1, |number| number + 1);
        alias(&name.to_string(), &format!("a{next}.test."))
    })
    .await;
    let failure = internet.ask("a0.test.").await.unwrap_err();
    assert!(failure.aliases.len() <= MAX_ALIASES + 1, "{}", failure.aliases.len());
}

#[tokio::test]
async fn garbage_from_a_server_is_a_failure() {
    for bytes in [
        vec![0x80; 30],
        vec![0x84, 0, 0, 1, 0, 200, 0, 0, 0, 0, 0xc0, 0x0c],
        vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let mut internet = Internet::new(move |_, _| Some(Says::Bytes(bytes.clone()))).await;
        internet.config.time_limit_ms = 1_500;
        let failure = internet.ask("www.test.").await.unwrap_err();
        assert!(!failure.ede.is_empty());
    }
}

#[tokio::test]
async fn silence_ends_at_the_limit() {
    let mut internet = Internet::new(|_, _| None).await;
    internet.config.time_limit_ms = 600;
    let failure = internet.ask("www.test.").await.unwrap_err();
    assert_eq!(failure.ede[0].code, EdeCode::NoReachableAuthority);
}

#[tokio::test]
async fn servers_at_private_addresses_are_not_asked_unless_allowed() {
    let mut internet = Internet::new(|name, _| address(name)).await;
    internet.config.allow_servers.clear();
    let failure = internet.ask("www.test.").await.unwrap_err();
    assert!(failure.reason.contains("no address that may be asked"), "{failure}");
}
