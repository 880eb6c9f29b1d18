//! The web admin and the HTTP API: how people and programs run the box.
//!
//! Every address has one line in `routes`, with the right that it needs ([`access`]). A request goes
//! through `security` (what browsers are told, and which requests are not let in), `visit` (who asks, and whether they
//! may), and to a page in `pages/` or a call in `api/`; what goes wrong becomes a page or a problem in `visit` again.
//! Pages are templates under `web-admin/templates/`, sentences are in `web-admin/words/`. Nothing here touches the
//! answering path: pages read what `control`, the accounts and the log tell.

pub mod access;
mod api;
mod assets;
mod backups;
mod block_page;
mod config;
mod contact;
mod diagnostics;
mod failure;
mod figures;
mod form;
mod health;
mod listen;
mod live;
mod log;
mod machines;
mod metrics;
mod monitor;
mod page;
mod pages;
mod routes;
mod searches;
mod security;
mod streams;
#[cfg(test)]
mod tests;
mod updates;
mod upkeep;
mod visit;
mod when;
mod words;

use std::{fmt, sync::Arc};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::header,
    middleware::{from_fn, from_fn_with_state},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;

use self::{
    access::Right,
    live::Live,
    monitor::Readiness,
    routes::Routes,
    searches::Searches,
    updates::Updates,
    visit::Identity,
    when::When,
    words::{Catalogue, Words},
};
pub use self::{
    block_page::BlockPage,
    config::Config,
    listen::{Limits, Peer, Serve},
};
use crate::{
    accounts::{Accounts, User},
    clock::{Clock, Day},
    control::Control,
    places::Places,
    policy::Mode,
    querylog::QueryLog,
    school::{School, Trial},
    tls::Certificates,
};

/// The largest form or text that is taken, in bytes: a list that somebody pastes.
const LARGEST_FORM: usize = 4 << 20;

/// How many requests may wait for a password to be compared; they are compared one at a time.
const SLOW: usize = 16;

/// What the pages are made from.
pub struct Admin {
    /// Every action of an administrator.
    pub control: Arc<Control>,
    /// Who may sign in.
    pub accounts: Arc<Accounts>,
    /// The box's certificates; none, where TLS is not served.
    pub certificates: Option<Arc<Certificates>>,
    /// The query log; none, where it can't be kept.
    pub log: Option<Arc<QueryLog>>,
    /// What time it is.
    pub clock: Clock,
    /// The settings.
    pub config: Config,
    /// Where DNS is served, for the pages that say what to type elsewhere.
    pub dns: Vec<std::net::SocketAddr>,
    /// What is known of the school beside its policy.
    pub school: Arc<School>,
    /// Ends what is streamed.
    pub stop: CancellationToken,
    words: Catalogue,
    /// Places for what takes a processor long, as the comparing of a password does.
    slow: Arc<Semaphore>,
    updates: Updates,
    /// The box as it is just now, for who watches.
    live: Live,
    /// How the box was when somebody last asked whether it is ready.
    readiness: Readiness,
    /// The searches that people keep.
    searches: Searches,
    /// How many follow the log.
    followers: Arc<Semaphore>,
    /// Calls of the API that are being answered.
    calls: Arc<Places>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What [`Admin::new`] is given.
#[derive(Debug)]
pub struct Parts {
    /// Every action of an administrator.
    pub control: Arc<Control>,
    /// Who may sign in.
    pub accounts: Arc<Accounts>,
    /// The box's certificates; none, where TLS is not served.
    pub certificates: Option<Arc<Certificates>>,
    /// The query log; none, where it can't be kept.
    pub log: Option<Arc<QueryLog>>,
    /// What time it is.
    pub clock: Clock,
    /// The settings.
    pub config: Config,
    /// Where DNS is served.
    pub dns: Vec<std::net::SocketAddr>,
    /// What is known of the school beside its policy.
    pub school: Arc<School>,
    /// Ends what is streamed.
    pub stop: CancellationToken,
}

impl Admin {
    /// A web admin of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { control, accounts, certificates, log, clock, config, dns, school, stop } = parts;
        Arc::new(Self {
            searches: Searches::in_data(control.folder()),
            words: Catalogue::shipped(),
            live: Live::default(),
            readiness: Readiness::default(),
            followers: Arc::new(Semaphore::new(streams::MOST_FOLLOWERS)),
            slow: Arc::new(Semaphore::new(SLOW)),
            updates: Updates::default(),
            calls: Places::new(api::MOST_CALLS, api::MOST_CALLS_EACH),
            control,
            accounts,
            certificates,
            log,
            clock,
            config,
            dns,
            school,
            stop,
        })
    }

    /// Its pages and its API.
    pub fn router(self: &Arc<Self>) -> Router {
        let state = Arc::clone(self);
        routes()
            .into_router()
            .fallback(|| async { failure::Failure::not_found() })
            .layer(from_fn(security::own_pages_only))
            .layer(from_fn_with_state(Arc::clone(&state), visit::dress))
            .layer(from_fn_with_state(Arc::clone(&state), visit::identify))
            .layer(DefaultBodyLimit::max(LARGEST_FORM))
            .layer(CompressionLayer::new())
            .layer(from_fn(security::headers))
            .with_state(state)
    }

    /// What is answered without TLS as well: whether the box is alive, and the certificate that browsers are to trust.
    pub fn plain_router(self: &Arc<Self>) -> Router {
        let certificates = self.certificates.clone();
        let router = Router::new().route("/healthz", axum::routing::get(monitor::alive));
        match certificates {
            Some(certificates) => router.route(
                "/ca.crt",
                axum::routing::get(move || async move {
                    let kind = [(header::CONTENT_TYPE, "application/x-x509-ca-cert")];
                    (kind, certificates.ca_pem())
                }),
            ),
            None => router,
        }
    }

    /// Whether somebody has set the box up; taken as so when that can't be read, since then nobody may claim it.
    fn is_claimed(&self) -> bool {
        !matches!(self.accounts.setup_code(), Ok(Some(_)))
    }

    /// Whether somebody can approve what others propose to open; taken as so when that can't be read. While a technician
    /// is alone with a new box, there is nobody whose word would be gone around.
    fn has_approver(&self) -> bool {
        let today = Day::of(self.clock.now()).date();
        let is_one = |user: &User| Right::Approve.is_of(user.role) && user.is_active(today);
        self.accounts.users().map_or(true, |users| users.iter().any(is_one))
    }

    /// What must not be forgotten, for every page: a sentence, and where it can be seen to.
    fn banners(&self, words: &Words, identity: &Identity) -> Vec<(String, &'static str)> {
        let mut banners = Vec::new();
        if self.school.file().next_step().is_some() && identity.may(Right::ChangeSystem) {
            banners.push((words.get("banner-set-up"), "/set-up"));
        }
        if let Some(version) = self.control.machine().and_then(|machine| machine.on_trial()) {
            banners.push((words.with("banner-version", [("version", version.into())]), "/system/updates"));
        }
        let findings = health::of_the_policy(self);
        // One for all categories; the overview says which.
        if let Some(missing) = findings.iter().find(|finding| finding.is_supplier_missing()) {
            banners.push((words.get("banner-no-supplier"), missing.link()));
        }
        if let Some(watching) = findings.iter().find(|finding| finding.is_watching()) {
            let link = if identity.may(watching.right()) { watching.link() } else { "/policy" };
            banners.push((
                watching.say(words, &When::of(&self.control.policy().load()), self.clock.now()),
                link,
            ));
        }
        banners
    }

    /// The trial for which profiles only watch, and in how many days filtering begins.
    fn trial(&self) -> Option<(Trial, i32)> {
        let policy = self.control.policy().load_full();
        let trial = self.school.file().trial.clone()?;
        let watches = policy.file().profiles.iter().any(|profile| profile.mode == Mode::Watch);
        let today = self.clock.now().to_zoned(crate::querylog::search::zone(&policy)).date();
        watches.then(|| {
            let left = today.duration_until(trial.ends).as_hours() / 24;
            (trial, i32::try_from(left).unwrap_or_default())
        })
    }
}

/// Every address that the box answers.
fn routes() -> Routes {
    Routes::new()
        .get("/static/{*name}", Right::Open, assets::serve)
        .with(monitor::routes)
        .with(pages::routes)
        .with(api::routes)
}
