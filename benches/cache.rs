//! What an answer from the cache costs, in time and in bytes: `cargo bench --bench cache`.
#![expect(clippy::print_stdout, reason = "a bench reports")]

use std::{
    collections::BTreeMap,
    future::Future,
    hint::black_box,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock},
};

use divan::{AllocProfiler, Bencher};
use futures_util::FutureExt;
use hickory_proto::{
    dnssec::{
        Algorithm,
        rdata::{DNSSECRData, RRSIG, SigInput},
    },
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType, SerialNumber,
        rdata::{A, AAAA, CNAME, SOA},
    },
};
use schoolgate::{
    clock::Clock,
    delegation::{Delegation, Delegations},
    name::Key,
    resolver::{
        Ask, Resolver, Routes, Security,
        backend::{Backend, Failure, Found},
        cache::CacheConfig,
    },
};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

const ASK: Ask = Ask { checking_disabled: false };

fn main() {
    filled();
    divan::main();
}

/// Answers each name with a shape that its first label names.
#[derive(Debug)]
struct Shapes;

impl Backend for Shapes {
    fn ask<'a>(
        &'a self,
        query: &'a Query,
        _: Ask,
    ) -> Pin<Box<dyn Future<Output = Result<Found, Failure>> + Send + 'a>> {
        Box::pin(async move { Ok(shape(query.name())) })
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

fn shape(asked: &Name) -> Found {
    let a = |owner: &Name, last| Record::from_rdata(owner.clone(), 3600, RData::A(A::new(192, 0, 2, last)));
    let mut message = Message::new(0, MessageType::Response, OpCode::Query);
    let mut security = Security::Insecure;
    match asked.iter().next().expect("a label") {
        b"single" => message.answers = vec![a(asked, 1)],
        b"pool" => message.answers = (0..4).map(|i| a(asked, i)).collect(),
        b"six" => {
            let data = RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
            message.answers = vec![Record::from_rdata(asked.clone(), 3600, data)];
        }
        b"cdn" => {
            let (edge, end) = (name("www.school.example.edge.test."), name("e1234.a.edge.test."));
            message.answers = vec![
                Record::from_rdata(asked.clone(), 3600, RData::CNAME(CNAME(edge.clone()))),
                Record::from_rdata(edge, 3600, RData::CNAME(CNAME(end.clone()))),
                a(&end, 1),
                a(&end, 2),
            ];
        }
        b"signed" => {
            let input = SigInput {
                type_covered: RecordType::A,
                algorithm: Algorithm::ECDSAP256SHA256,
                num_labels: 3,
                original_ttl: 3600,
                sig_expiration: SerialNumber::new(u32::MAX / 2),
                sig_inception: SerialNumber::new(0),
                key_tag: 1,
                signer_name: asked.base_name(),
            };
            let data = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, vec![7; 64])));
            message.answers = vec![a(asked, 1), a(asked, 2), Record::from_rdata(asked.clone(), 3600, data)];
        }
        _ => {
            message.metadata.response_code = ResponseCode::NXDomain;
            let soa = SOA::new(name("ns1.example."), name("admin.example."), 1, 2, 3, 4, 3600);
            message.authorities = vec![Record::from_rdata(asked.base_name(), 3600, RData::SOA(soa))];
            security = Security::Indeterminate;
        }
    }
    Found { message, security, ede: vec![], delegations: delegations(asked) }
}

/// The delegation of the zone that a name is in; its answers share it, as the recursor's do.
fn delegations(asked: &Name) -> Delegations {
    static ZONES: Mutex<BTreeMap<Key, Delegations>> = Mutex::new(BTreeMap::new());
    let zone = Key::from_name(&asked.base_name());
    let servers = (1..=4).map(|i| Key::parse(&format!("ns{i}.dns-host.example.net")).expect("a name"));
    let addresses = (1..=4_u8).flat_map(|i| {
        [IpAddr::from([192, 0, 2, i]), IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(i)])]
    });
    let mut zones = ZONES.lock().expect("no bench panics");
    // As many as the recursor remembers.
    if zones.len() >= 3_072 {
        zones.clear();
    }
    zones.entry(zone.clone()).or_insert_with(|| Delegation::new(&zone, servers, addresses).into()).clone()
}

fn resolver(runtime: &Runtime) -> Resolver {
    let routes = Routes { local: Arc::new(|_| None), own: vec![], main: Arc::new(Shapes) };
    Resolver::new(routes, CacheConfig::default(), Clock::system(), runtime.handle().clone())
}

const SHAPES: [&str; 6] = ["single", "pool", "six", "cdn", "signed", "none"];

/// Has each shape asked under so many names.
fn fill(runtime: &Runtime, resolver: &Resolver, names: usize) {
    for i in 0..names {
        for shape in SHAPES {
            runtime.block_on(resolver.resolve(&query(shape, i), ASK));
        }
    }
}

fn filled() -> &'static Resolver {
    static FILLED: OnceLock<(Runtime, Resolver)> = OnceLock::new();
    &FILLED
        .get_or_init(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime");
            let resolver = resolver(&runtime);
            report(&resolver, || fill(&runtime, &resolver, 10));
            report(&resolver, || fill(&runtime, &resolver, 1_667));
            report(&resolver, || fill(&runtime, &resolver, 20_000));
            resolver.flush();
            fill(&runtime, &resolver, 1_667);
            (runtime, resolver)
        })
        .1
}

fn query(shape: &str, i: usize) -> Query {
    let kind = if shape == "six" { RecordType::AAAA } else { RecordType::A };
    Query::query(name(&format!("{shape}.host{i}.example.")), kind)
}

#[divan::bench(args = SHAPES)]
fn hit(bencher: Bencher<'_, '_>, shape: &str) {
    let resolver = filled();
    let query = query(shape, 600);
    bencher.bench_local(|| resolver.resolve(black_box(&query), ASK).now_or_never().expect("a ready answer"));
}

#[divan::bench(args = ["single", "cdn"], threads = [2])]
fn hit_the_same_on_two_threads(bencher: Bencher<'_, '_>, shape: &str) {
    let resolver = filled();
    let query = query(shape, 600);
    bencher.bench(|| resolver.resolve(black_box(&query), ASK).now_or_never().expect("a ready answer"));
}

#[divan::bench]
fn miss_of_the_cache(bencher: Bencher<'_, '_>) {
    let resolver = filled();
    let query = query("single", 1_000_001);
    bencher.bench_local(|| resolver.resolve_now(black_box(&query), ASK));
}

/// For comparison: what it costs to clone the records themselves.
#[divan::bench(args = SHAPES)]
fn clone_of_records(bencher: Bencher<'_, '_>, shape: &str) {
    let resolved = filled().resolve_now(&query(shape, 600), ASK).expect("a ready answer");
    bencher.bench_local(|| black_box(&resolved).clone());
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// Says how much the cache counts and how much the process really grew.
fn report(resolver: &Resolver, fill: impl FnOnce()) {
    let (bytes, resident_before) = (resolver.stats().bytes, resident());
    fill();
    let stats = resolver.stats();
    println!(
        "{} answers, {} bytes each; {} bytes more counted, {} more resident",
        stats.entries,
        stats.bytes / stats.entries,
        stats.bytes - bytes,
        resident() - resident_before
    );
}
