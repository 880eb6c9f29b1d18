//! What is counted by `benches/instructions`, which runs this under valgrind.
//!
//! ```text
//! instructions NUMBER
//! ```
//!
//! does each thing NUMBER times and then twice as many times, always within [`counted`], and prints what it does.

#![expect(clippy::print_stdout, reason = "this is a program of its own")]

use std::{future::Future, hint::black_box, pin::Pin, sync::Arc};

use arc_swap::ArcSwap;
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, CNAME},
    },
};
use schoolgate::{
    category::Categories,
    clock::Clock,
    delegation::Delegations,
    dns::{Asked, Config, Handler, Transport},
    lists::{
        DomainIndex,
        compiler::{Compiler, Identity},
        format::{MatchMode, Rule, Subject},
    },
    name::Key,
    policy::{Knowledge, Policy, PolicyFile},
    resolver::{
        Ask, Resolver, Routes, Security,
        backend::{Backend, Failure, Found},
        cache::CacheConfig,
    },
};

/// How many names are on the list; asked for in turn, so that no one name's bytes are all that is counted.
const LISTED: usize = 20_000;

/// What the hashes of the list start from, so that each run counts the same.
const SEED: u64 = 6;

/// How many names are asked for in turn.
const ASKED: usize = 500;

fn main() {
    let number = std::env::args().nth(1).and_then(|number| number.parse().ok());
    let Some(number) = number else {
        println!("This bench is run by benches/instructions.");
        return;
    };
    let school = School::open();
    let asked = Asked {
        from: "10.20.2.5:4000".parse().expect("an address"),
        at: "10.20.2.1".parse().expect("an address"),
        transport: Transport::Udp,
    };
    let short = |packet: &Vec<u8>| school.handler.short(packet, asked);
    let measure = Measure { number };

    // Everything else that is asked brings room for its reply along.
    measure.all("room for a reply", &[()], |()| Some(vec![0_u8; usize::from(u16::MAX)]));
    for (what, names) in [
        ("cached, one address", cached("one")),
        ("cached, an alias and two addresses", cached("alias")),
        ("blocked by a list", (0..ASKED).map(|i| format!("www.{}", listed(i * 7))).collect()),
    ] {
        let packets: Vec<_> = names.iter().map(|name| question(name)).collect();
        for packet in &packets {
            school.ask(packet, asked);
        }
        measure.all(what, &packets, short);
    }
    let keys = |names: &mut dyn Iterator<Item = String>| -> Vec<_> {
        names.map(|name| Key::parse(&name).expect("a name")).collect()
    };
    let look = |key: &Key| Some(school.index.lookup(key)).filter(|found| !found.is_empty());
    measure.all("look-up of a listed name", &keys(&mut (0..ASKED).map(|i| listed(i * 7))), look);
    let others = keys(&mut (0..ASKED).map(|i| format!("www.other{i}.example.org")));
    assert!(others.iter().all(|key| look(key).is_none()), "none of these is listed");
    measure.all("look-up of a name that is not listed", &others, |key| {
        let _ = black_box(look(key));
        Some(())
    });
}

/// What is counted: nothing but calls of `what`.
#[inline(never)]
fn counted(times: usize, what: &mut dyn FnMut(usize)) {
    for turn in 0..times {
        what(turn);
    }
}

struct Measure {
    number: usize,
}

impl Measure {
    /// Has something done so many times, and twice as many, with each of some things in turn.
    fn all<T, U>(&self, title: &str, with: &[T], what: impl Fn(&T) -> Option<U>) {
        let mut each = |turn: usize| {
            let done = black_box(what(black_box(&with[turn % with.len()])));
            assert!(done.is_some(), "{title}: this is not what is measured");
        };
        // What is done once only, at first, is not counted.
        for turn in 0..with.len() {
            each(turn);
        }
        counted(self.number, &mut each);
        counted(2 * self.number, &mut each);
        println!("{title}");
    }
}

fn listed(i: usize) -> String {
    format!("casino{i}-bets.example.com")
}

fn cached(shape: &str) -> Vec<String> {
    (0..ASKED).map(|i| format!("{shape}.host{i}.example.org")).collect()
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).expect("a name")
}

fn question(asked: &str) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name(asked), RecordType::A));
    message.to_vec().expect("a question")
}

/// Has an address for each name, and for some an alias before it.
#[derive(Debug)]
struct Internet;

impl Backend for Internet {
    fn ask<'a>(
        &'a self,
        query: &'a Query,
        _: Ask,
    ) -> Pin<Box<dyn Future<Output = Result<Found, Failure>> + Send + 'a>> {
        Box::pin(async move {
            let asked = query.name();
            let a = |owner: &Name, last| {
                Record::from_rdata(owner.clone(), 86_400, RData::A(A::new(192, 0, 2, last)))
            };
            let mut message = Message::response(0, OpCode::Query);
            if asked.iter().next() == Some(b"alias") {
                let target = name("www.school.example.edge.test");
                let alias = Record::from_rdata(asked.clone(), 86_400, RData::CNAME(CNAME(target.clone())));
                message.answers = vec![alias, a(&target, 1), a(&target, 2)];
            } else {
                message.answers = vec![a(asked, 1)];
            }
            Ok(Found {
                message,
                security: Security::Insecure,
                ede: Vec::new(),
                delegations: Delegations::NONE,
            })
        })
    }
}

/// A box with the shipped policy, without sockets, on which time stands still.
struct School {
    handler: Handler,
    index: Arc<DomainIndex>,
    runtime: tokio::runtime::Runtime,
}

impl School {
    fn open() -> Self {
        let mut file = PolicyFile::shipped();
        for profile in &mut file.profiles {
            match profile.id.as_str() {
                "ks2" => profile.subnets = vec!["10.20.2.0/24".into()],
                "staff" => profile.subnets = vec!["10.20.9.0/24".into()],
                _ => {}
            }
        }
        let rule = |name: String| Rule {
            subject: Subject::Name { key: Key::parse(&name).expect("a name"), mode: MatchMode::Subdomains },
            allow: false,
        };
        let casinos = Identity { id: "casinos".into(), title: String::new(), category: "gambling".into() };
        // With a seed that chance chose, a parent of all names may belong into a line that is full, or not.
        let mut compiler = Compiler::in_memory().with_seed(SEED);
        let mut list = compiler.list(casinos).expect("one list");
        (0..LISTED).for_each(|i| list.rule(rule(listed(i))));
        list.end().expect("memory can be written");
        let (bytes, _) = compiler.finish_bytes().expect("memory can be written");
        let index = Arc::new(DomainIndex::from_bytes(&bytes).expect("what was compiled can be read"));
        let knowledge =
            Knowledge { categories: Arc::new(Categories::shipped()), indexes: vec![Arc::clone(&index)] };
        let policy = Policy::build(&file, &knowledge).expect("the shipped policy is valid");
        let policy = Arc::new(ArcSwap::from_pointee(policy));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let clock = Clock::held_at("2026-11-23T10:00:00Z".parse().expect("a time"));
        let routes = Routes { local: Arc::new(|_| None), own: Vec::new(), main: Arc::new(Internet) };
        let resolver = Resolver::new(routes, CacheConfig::default(), clock.clone(), runtime.handle().clone());
        let handler = Handler::new(&Config::default(), policy, Arc::new(resolver), clock);
        Self { handler, index, runtime }
    }

    /// Asks the ordinary way, so that the answer lies in the cache.
    fn ask(&self, packet: &[u8], asked: Asked) {
        let answered = self.runtime.block_on(self.handler.handle(packet, asked));
        assert!(answered.reply.is_some(), "a question has a reply");
    }
}
