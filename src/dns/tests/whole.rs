//! The handler with the real policy and the real resolver, and an internet of one record.

use std::{future::Future, pin::Pin};

use hickory_proto::rr::rdata::{HTTPS, SVCB};

use super::*;
use crate::{
    category::Categories,
    delegation::Delegations,
    policy::{Knowledge, Policy, PolicyFile},
    resolver::{
        Resolver, Routes,
        backend::{Backend, Failure, Found},
        cache::CacheConfig,
    },
};

const POLICY: &str = r#"
version = 1
school = "Elm Lane Primary"
timezone = "Europe/London"
fallback_profile = "ks2"
block_ttl = 7

[[profile]]
id = "ks2"
name = "Key Stage 2"
audience = "pupil"
subnets = ["127.0.0.0/8"]
mode = "filter"
block_with = "nxdomain"

[[profile]]
id = "staff"
name = "Staff"
audience = "staff"
subnets = ["10.9.0.0/16"]
mode = "filter"

[[rule]]
action = "block"
name = "bad.example"
reason = "not for school"
"#;

/// Every name has one address; `shop.example` is an alias of a blocked name; `private.example` a rebinding.
#[derive(Debug)]
struct OneRecord;

impl Backend for OneRecord {
    fn ask<'a>(
        &'a self,
        query: &'a Query,
        _ask: Ask,
    ) -> Pin<Box<dyn Future<Output = Result<Found, Failure>> + Send + 'a>> {
        Box::pin(async move {
            let mut message = Message::response(0, OpCode::Query);
            let owner = query.name().clone();
            let data = match (owner.to_ascii().as_str(), query.query_type()) {
                ("shop.example.", _) => RData::CNAME(CNAME(name("cdn.bad.example."))),
                ("private.example.", _) => RData::A(A::new(10, 0, 0, 1)),
                (_, RecordType::HTTPS) => RData::HTTPS(HTTPS(SVCB::new(1, Name::root(), Vec::new()))),
                _ => RData::A(A::new(192, 0, 2, 1)),
            };
            message.add_answer(Record::from_rdata(owner, 60, data));
            Ok(Found {
                message,
                security: Security::Insecure,
                ede: Vec::new(),
                delegations: Delegations::NONE,
            })
        })
    }
}

#[tokio::test]
async fn the_policy_and_the_resolver_fit_the_handler() {
    let config = Config { listen: vec!["127.0.0.1:0".parse().unwrap()], threads: 1, ..Config::default() };
    let clock = Clock::held_at("2026-11-23T09:00:00Z".parse().unwrap());
    let knowledge = Knowledge { categories: Arc::new(Categories::shipped()), indexes: Vec::new() };
    let policy = Policy::build(&PolicyFile::parse(POLICY).unwrap(), &knowledge).unwrap();
    let routes = Routes { local: Arc::new(|_| None), own: Vec::new(), main: Arc::new(OneRecord) };
    let runtime = tokio::runtime::Handle::current();
    let resolver = Resolver::new(routes, CacheConfig::default(), clock.clone(), runtime);
    let policy = Arc::new(ArcSwap::from_pointee(policy));
    let handler = Arc::new(Handler::new(&config, Arc::clone(&policy), Arc::new(resolver), clock));
    let bound = Server::bind(&config).unwrap();
    let at = bound.addresses()[0];
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    tokio::spawn(bound.serve(handler, stop));

    let ask = async |asked: &str| {
        let message = edns_query(asked, RecordType::A);
        Message::from_vec(&exchange(at, &message.to_vec().unwrap()).await).unwrap()
    };
    for _ in 0..2 {
        let reply = ask("Fine.example.").await;
        assert_eq!(reply.answers[0].data.to_string(), "192.0.2.1");
        assert_eq!(reply.answers[0].name.to_ascii(), "Fine.example.", "from the cache as well");
    }
    for (asked, code) in [("www.bad.example.", 15), ("shop.example.", 15), ("private.example.", 17)] {
        let reply = ask(asked).await;
        assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain, "{asked}");
        assert!(reply.answers.is_empty());
        assert_eq!(reply.authorities[0].ttl, 7);
        assert_eq!(edes(&reply)[0].0, code, "{asked}");
        assert!(!edes(&reply)[0].1.is_empty());
    }

    // A change is in force at once, for names that are cached as well.
    let stricter = POLICY.replace("bad.example", "fine.example");
    let stricter = Policy::build(&PolicyFile::parse(&stricter).unwrap(), &knowledge).unwrap();
    policy.store(Arc::new(stricter));
    assert_eq!(ask("fine.example.").await.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(ask("www.bad.example.").await.metadata.response_code, ResponseCode::NoError);
}
