//! Any bytes at the places where pages and the API read what others wrote: the first byte chooses the place. No panic, no
//! error of the box, nothing of it in a page as markup, and nobody is led away.
#![no_main]

use std::sync::{Arc, LazyLock};

use axum::{Router, body::to_bytes};
use libfuzzer_sys::fuzz_target;
use schoolgate::{
    accounts::{Accounts, NewToken, NewUser, Role, Scope, Settings},
    admin::{Admin, Config, Parts},
    clock::Clock,
    control::Control,
    feeds::{self, Feeds, http::SystemLookup},
    querylog::{LogFolder, QueryLog},
    tls::Certificates,
};
use tower::ServiceExt as _;

#[path = "../../tests/support/foreign.rs"]
mod foreign;

/// A box that was set up, and a token of its head teacher.
struct School {
    runtime: tokio::runtime::Runtime,
    router: Router,
    token: String,
    _data: tempfile::TempDir,
}

static SCHOOL: LazyLock<School> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _within = runtime.enter();
    let data = tempfile::tempdir().expect("a folder");
    let clock = Clock::held_at("2026-11-26T10:15:00Z".parse().expect("a time"));
    let config = feeds::Config { automatic: false, ..feeds::Config::default() };
    let feeds = Feeds::new(&config, Arc::new(SystemLookup), clock.clone()).expect("feeds");
    let control = Control::open(data.path(), clock.clone(), feeds, 5).expect("a policy");
    let log = QueryLog::open(LogFolder::in_data(data.path()), clock.clone(), control.vault(), &[]);
    let log = Arc::new(log.expect("a log"));
    let control = Arc::new(control.with_log(Arc::clone(&log)));
    let accounts = Accounts::open(data.path(), clock.clone(), control.vault(), Settings::default());
    let accounts = Arc::new(accounts.expect("accounts"));
    let code = accounts.setup_code().expect("accounts").expect("a new box");
    let head = NewUser {
        name: String::from("head"),
        full_name: String::from("The head"),
        role: Role::Head,
        ends: None,
    };
    let from = std::net::IpAddr::from([10, 20, 1, 2]);
    let head = accounts.claim(code.expose(), &head, "purple kettle under seven bridges", from.into());
    let new = NewToken { name: String::from("fuzz"), scopes: Scope::ALL.to_vec(), ends: None };
    let token = accounts.add_token(head.expect("a user").0, &new).expect("a token").1.expose().to_owned();
    let router = Admin::new(Parts {
        control,
        accounts,
        certificates: Some(Arc::new(Certificates::open(data.path(), &[], &clock).expect("certificates"))),
        log: Some(log),
        clock,
        config: Config::default(),
        dns: Vec::new(),
        stop: tokio_util::sync::CancellationToken::new(),
    })
    .router();
    drop(_within);
    School { runtime, router, token, _data: data }
});

fuzz_target!(|data: &[u8]| {
    let Some((&first, data)) = data.split_first() else { return };
    let way = foreign::WAYS[usize::from(first) % foreign::WAYS.len()];
    let Some(request) = foreign::request(way, data, &SCHOOL.token) else { return };
    SCHOOL.runtime.block_on(async {
        let (parts, body) = SCHOOL.router.clone().oneshot(request).await.expect("an answer").into_parts();
        let body = to_bytes(body, 64 << 20).await.expect("a body");
        foreign::check(way, parts.status, &parts.headers, &String::from_utf8_lossy(&body));
    });
});
