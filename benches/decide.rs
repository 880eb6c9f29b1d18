//! How long a decision takes: `cargo bench --bench decide`.

use std::{hint::black_box, net::IpAddr, sync::Arc};

use divan::Bencher;
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata::A};
use jiff::Timestamp;
use schoolgate::{
    category::Categories,
    clients::Client,
    delegation::{Delegation, Delegations},
    lists::{
        DomainIndex, ListMeta,
        format::{MatchMode, Rule, Subject},
    },
    name::Key,
    policy::{Answer, Cell, FirstAsked, Knowledge, Policy, PolicyFile, Question, Verdict},
};

fn main() {
    divan::main();
}

/// The shipped policy with a schedule, rules, and lists of 100,000 names.
fn policy() -> Policy {
    policy_with(&[])
}

/// The same, with some services switched by themselves.
fn policy_with(services: &[(&str, Cell)]) -> Policy {
    let mut file = PolicyFile::shipped();
    let text = r#"
        version = 1
        [[schedule]]
        id = "lunch"
        windows = [{ days = "mon-fri", from = "12:00", to = "13:15" }]
        [[rule]]
        action = "allow"
        name = "www.allowed.example"
    "#;
    let more = PolicyFile::parse(text).expect("the text is a policy");
    file.schedules = more.schedules;
    file.rules = more.rules;
    for profile in &mut file.profiles {
        match profile.id.as_str() {
            "ks2" => {
                profile.subnets = vec!["10.20.2.0/24".into()];
                profile.categories.insert("games".into(), Cell::AllowDuring("lunch".into()));
                profile.services =
                    services.iter().map(|(id, cell)| ((*id).to_owned(), cell.clone())).collect();
            }
            "staff" => profile.subnets = vec!["10.20.9.0/24".into()],
            _ => {}
        }
    }
    let list = |id: &str, category: &str, names: &mut dyn Iterator<Item = String>| {
        let rules = names
            .map(|name| Rule {
                subject: Subject::Name {
                    key: Key::parse(&name).expect("a name"),
                    mode: MatchMode::Subdomains,
                },
                allow: false,
            })
            .collect();
        let (id, category) = (id.to_owned(), category.to_owned());
        (ListMeta { id, title: String::new(), category, version: String::new(), entries: 0 }, rules)
    };
    let lists = vec![
        list("bets", "gambling", &mut (0..50_000).map(|i| format!("bet{i}.example"))),
        list("games", "games", &mut (0..50_000).map(|i| format!("game{i}.example"))),
    ];
    let knowledge = Knowledge {
        categories: Arc::new(Categories::shipped()),
        indexes: vec![
            Arc::new(schoolgate::lists::shipped::starter(&Categories::shipped())),
            Arc::new(DomainIndex::from_rules(lists)),
        ],
    };
    Policy::build(&file, &knowledge).expect("the shipped policy is valid")
}

struct Case {
    policy: Policy,
    client: Client,
    question: Question,
    now: Timestamp,
}

impl Case {
    fn new(name: &str) -> Self {
        Self::of(policy(), name)
    }

    /// With services that are switched, as a school has them.
    fn switched(name: &str) -> Self {
        let open = |id| (id, Cell::Allow);
        let closed = |id| (id, Cell::Block);
        let services =
            [open("whatsapp"), open("tiktok"), closed("roblox"), closed("chatgpt"), closed("youtube")];
        Self::of(policy_with(&services), name)
    }

    fn of(policy: Policy, name: &str) -> Self {
        let client = policy.identify("10.20.2.5".parse().expect("an address"), None);
        let question = Question {
            key: Key::parse(name).expect("a name"),
            qtype: RecordType::A,
            first_asked: FirstAsked::Unknown,
        };
        let now = "2026-11-23T10:00:00Z".parse().expect("a time");
        Self { policy, client, question, now }
    }

    fn decide(self, bencher: Bencher<'_, '_>) {
        bencher.bench_local(|| {
            black_box(self.policy.decide(black_box(&self.question), black_box(&self.client), self.now))
        });
    }
}

#[divan::bench]
fn identify(bencher: Bencher<'_, '_>) {
    let policy = policy();
    let address = "10.20.9.77".parse().expect("an address");
    bencher.bench_local(|| black_box(policy.identify(black_box(address), None)));
}

#[divan::bench]
fn allowed_unknown(bencher: Bencher<'_, '_>) {
    Case::new("www.unheard.example.org").decide(bencher);
}

#[divan::bench]
fn allowed_by_a_rule(bencher: Bencher<'_, '_>) {
    Case::new("www.allowed.example").decide(bencher);
}

#[divan::bench]
fn blocked_by_a_category(bencher: Bencher<'_, '_>) {
    Case::new("www.bet4711.example").decide(bencher);
}

#[divan::bench]
fn blocked_outside_its_schedule(bencher: Bencher<'_, '_>) {
    Case::new("www.game4711.example").decide(bencher);
}

#[divan::bench]
fn allowed_unknown_beside_switched_services(bencher: Bencher<'_, '_>) {
    Case::switched("www.unheard.example.org").decide(bencher);
}

#[divan::bench]
fn allowed_by_a_service(bencher: Bencher<'_, '_>) {
    Case::switched("www.tiktok.com").decide(bencher);
}

#[divan::bench]
fn blocked_by_a_service(bencher: Bencher<'_, '_>) {
    Case::switched("www.roblox.com").decide(bencher);
}

#[divan::bench]
fn rewritten_by_safesearch(bencher: Bencher<'_, '_>) {
    Case::new("www.google.co.uk").decide(bencher);
}

#[divan::bench]
fn review_of_one_address(bencher: Bencher<'_, '_>) {
    review(bencher, &Delegations::NONE);
}

/// As most zones have it: four servers, each with an address of both kinds.
#[divan::bench]
fn review_of_one_address_and_four_name_servers(bencher: Bencher<'_, '_>) {
    let servers = (1..=4).map(|i| Key::parse(&format!("ns{i}.dns-host.example.net")).expect("a name"));
    let addresses = (1..=4_u8).flat_map(|i| {
        [IpAddr::from([192, 0, 2, i]), IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(i)])]
    });
    let zone = Key::parse("unheard.example.org").expect("a name");
    review(bencher, &Delegation::new(&zone, servers, addresses).into());
}

fn review(bencher: Bencher<'_, '_>, delegations: &Delegations) {
    let case = Case::new("www.unheard.example.org");
    let decision = case.policy.decide(&case.question, &case.client, case.now);
    assert_eq!(decision.verdict, Verdict::Allow);
    let owner = Name::from_ascii("www.unheard.example.org.").expect("a name");
    let answers = [Record::from_rdata(owner, 60, RData::A(A::new(192, 0, 2, 1)))];
    bencher.bench_local(|| {
        black_box(case.policy.review(
            &case.question,
            &case.client,
            &decision,
            black_box(&Answer { records: &answers, delegations, own_zone: false }),
            case.now,
        ))
    });
}
