//! policy.toml, any bytes: no panic; what can be read survives being written; what has no errors decides.
#![no_main]

use std::sync::Arc;

use hickory_proto::rr::RecordType;
use libfuzzer_sys::fuzz_target;
use schoolgate::{
    category::Categories,
    clock::Day,
    name::Key,
    policy::{FirstAsked, Knowledge, Policy, PolicyFile, Question},
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(file) = PolicyFile::parse(text) else { return };
    assert_eq!(PolicyFile::parse(&file.to_toml()).as_ref(), Ok(&file));
    let categories = Categories::shipped();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let _ = file.validate(&categories, now);
    let _ = PolicyFile::shipped().changes_to(&file, &categories);
    let knowledge = Knowledge { categories: Arc::new(categories), indexes: Vec::new() };
    let Ok(policy) = Policy::build(&file, &knowledge) else { return };
    let client = policy.identify([10, 0, 0, 1].into(), None);
    for rule in &file.rules {
        let Ok(key) = Key::parse(rule.name.trim_start_matches('=')) else { continue };
        for first_asked in [FirstAsked::Unknown, FirstAsked::Never { began: Day::default() }] {
            let question = Question { key: key.clone(), qtype: RecordType::A, first_asked };
            let decision = policy.decide(&question, &client, now);
            let _ = policy.explain(&decision, &question, &client);
        }
    }
});
