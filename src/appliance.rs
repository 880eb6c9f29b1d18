//! The whole: what is built from the settings, in which order it starts, and how it stops.
//!
//! It binds first, so that a port in use is told before anything else happens, then says where it listens, then
//! serves. DNS never waits for lists: what is on disk is in force at once, and the rest is compiled behind.

mod certificates;
mod supervision;
mod web;

use std::{fmt::Write as _, fs, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use rustls::server::ResolvesServerCert;
use serde_json::json;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use self::{supervision::Supervisor, web::Web};
use crate::{
    backup::{self, Applied, BackupError, Staged},
    clock::Clock,
    config::{Config, ConfigError},
    control::{self, Control, ControlError, OwnLookup},
    disk,
    dns::{Designated, Encrypted, Handler, NoticeReply, Pulse, Record, ServeError, Server},
    feeds::{self, Feeds, http::SystemLookup},
    machine::Machine,
    policy::Policy,
    querylog::{LogFolder, QueryLog},
    resolver::{self, Resolver, ResolverError},
    school::School,
    seen::Seen,
    store::StoreError,
};

/// The file that tells which addresses were really bound.
const ADDRESSES: &str = "addresses.json";

/// How long stopping may take before it is cut short.
const STOPPING: Duration = Duration::from_secs(5);

/// A name of the starter lists that every visitor knows, for the greeting.
const BLOCKED_EXAMPLE: &str = "bet365.com";

/// A running Schoolgate.
#[derive(Debug)]
pub struct Appliance {
    dns: Vec<SocketAddr>,
    encrypted: Encrypted,
    control: Arc<Control>,
    seen: Arc<Seen>,
    log: Option<Arc<QueryLog>>,
    web: Web,
    supervisor: Supervisor,
    pulse: Option<Pulse>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Appliance {
    /// Starts everything; questions are answered when this returns.
    ///
    /// # Errors
    ///
    /// One line that names what is wrong: a setting, an address in use, a folder that can't be written.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        config.check()?;
        let folder =
            |source| StartError::Control(StoreError::Folder { folder: config.data.clone(), source }.into());
        fs::create_dir_all(&config.data).map_err(folder)?;
        // First, since it shows whether another server has the folder; commands wait on it until they are served.
        let socket = control::socket::bind(&config.data).await.map_err(StartError::Socket)?;
        // Those of the run before: who waits for the file must not read old ports.
        let _ = fs::remove_file(config.data.join(ADDRESSES));
        // Before anything in the folder is opened, since it puts another's files in their place.
        let restored = backup::apply(&config.data)?;
        backup::tidy(&config.data);
        let clock = Clock::system();
        let resolver = resolver(&config, &clock, Handle::current())?;
        let bound = Server::bind(&config.dns)?;
        let control = control(&config, &clock, &resolver)?;
        if let Some(restored) = &restored {
            control.record_restore(restored);
            backup::told(&config.data);
        }
        let seen = Arc::new(Seen::open(&config.data.join(control::SEEN), clock.clone()));
        let mut control = control.with_seen(Arc::clone(&seen));
        // A log that can't be kept is no reason to leave a school without names; it says so, again and again.
        let log = QueryLog::open(
            LogFolder::in_data(&config.data),
            clock.clone(),
            control.vault(),
            &config.log.sinks,
        )
        .inspect_err(|error| error!(%error, "Questions are not recorded"))
        .ok()
        .map(Arc::new);
        if let Some(log) = &log {
            control = control.with_log(Arc::clone(log));
        }
        let listener = control.listener();
        let pages_clock = clock.clone();
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let certificates = certificates::open(&config, &clock, &stop, &tasks);
        let encrypted = bound.encrypted();
        let (shown, preferred) = (Arc::clone(&certificates), config.admin.names.clone());
        let designated = Designated::new(encrypted.clone(), move || shown.get()?.name_of_school(&preferred));
        let mut handler = Handler::new(&config.dns, control.policy(), resolver, clock)
            .with_seen(Arc::clone(&seen))
            .with_designated(designated)
            .with_notices(move |packet, from| {
                let noticed = listener.take(packet, from)?;
                Some(NoticeReply { bytes: noticed.reply, known: noticed.known })
            });
        let pulse =
            Pulse::new().inspect_err(|error| error!(%error, "The box can't ask itself how it is")).ok();
        if let Some(pulse) = &pulse {
            handler = handler.with_pulse(pulse.clone());
        }
        if let Some(log) = &log {
            handler = handler.with_log(Arc::clone(log) as Arc<dyn Record<Policy>>);
        }
        let handler = Arc::new(handler);
        let asking = Arc::clone(&handler);
        let control = Arc::new(control.with_neighbours(move |address| asking.neighbours().mac(address)));
        let dns = bound.addresses();
        let bound = bound.with_certificate(Arc::clone(&certificates) as Arc<dyn ResolvesServerCert>);
        // A box that lost its index must not answer without the school's lists; an older index serves meanwhile.
        let supervisor = Supervisor::of_the_process();
        if control.lacks_its_lists() {
            tokio::select! {
                () = control.catch_up() => {}
                () = supervisor.starting() => {}
            }
        }
        let broken = stop.clone();
        let serving = bound.serve(handler, stop.clone());
        tasks.spawn(async move {
            if let Err(error) = serving.await {
                error!(%error, "DNS can't be served");
                broken.cancel();
            }
        });
        control.keep_log();
        tasks.spawn(control::socket::serve(socket, Arc::clone(&control), stop.clone()));
        let school = Arc::new(School::open(&config.data));
        tasks.spawn(Arc::clone(&control).keep_trial(Arc::clone(&school), stop.clone()));
        tasks.spawn(Arc::clone(&control).keep_backups(Arc::clone(&school), stop.clone()));
        control.resume_machine();
        let means = web::Means {
            control: Arc::clone(&control),
            log: log.clone(),
            clock: pages_clock,
            dns: dns.clone(),
            school,
            certificates: certificates.get(),
            stop: stop.clone(),
        };
        let web = web::start(&config, means, &tasks);
        // On a full disk questions are answered all the same.
        if let Err(error) = write_addresses(&config.data, &dns, &encrypted, &web) {
            error!(%error, "The addresses that are served can't be written down");
        }
        // After serving began: what is on disk is in force already.
        let behind = Arc::clone(&control);
        let stopped = stop.clone();
        let runtime = Handle::current();
        let automatic = config.lists.automatic;
        // Reading the policy and the books of the lists is no work for an answering thread.
        tasks.spawn_blocking(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    () = async {
                        behind.catch_up().await;
                        behind.forget_sealed().await;
                    } => {}
                }
                if automatic {
                    behind.keep_lists_fresh(stopped).await;
                }
            });
        });
        tasks.close();
        info!(?dns, "Answering");
        Ok(Self { dns, encrypted, control, seen, log, web, supervisor, pulse, stop, tasks })
    }

    /// Tells who supervises the service that questions are answered, and from now on that they still are.
    pub async fn tell_supervisor(&self) {
        let (starter, subscribed) = self.control.names();
        let status =
            format!("Answering; {starter} names in the starter lists, {subscribed} in lists of the school");
        self.supervisor.ready(&status).await;
        if let Some(pulse) = self.pulse.clone() {
            let watch = self.supervisor.clone().keep_watch(pulse, self.dns.clone(), self.stop.clone());
            // Closed for what serves; this one ends with `stop` and is owed nothing.
            tokio::spawn(watch);
        }
    }

    /// What an administrator can do.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// What is printed once it answers: where it listens, what is in force, and what to try.
    #[must_use]
    pub fn greeting(&self) -> String {
        let (starter, subscribed) = self.control.names();
        let mut text = format!("Schoolgate {}\n", env!("CARGO_PKG_VERSION"));
        // Writing to a string does not fail.
        let _ = writeln!(text, "{starter} names in the starter lists, {subscribed} in lists of the school");
        if let Some(first) = self.dns.first() {
            let port = if first.port() == 53 { String::new() } else { format!(" -p {}", first.port()) };
            let address =
                if first.ip().is_unspecified() { String::from("127.0.0.1") } else { first.ip().to_string() };
            let _ = writeln!(text, "try: dig @{address}{port} www.bbc.co.uk");
            let _ = writeln!(text, "     dig @{address}{port} {BLOCKED_EXAMPLE}   (blocked, and says why)");
        }
        if let Some(first) = self.web.addresses.first() {
            let scheme = if self.web.secure { "https" } else { "http" };
            let address = if first.ip().is_unspecified() {
                format!("localhost:{}", first.port())
            } else {
                first.to_string()
            };
            let _ = writeln!(text, "web pages: {scheme}://{address}/");
            if let Some(code) = &self.web.set_up {
                let _ = writeln!(
                    text,
                    "set-up code: {code}   (the pages ask for it, until somebody has set the box up)"
                );
            }
        }
        let list = |all: &[SocketAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let _ = write!(text, "listening dns={}", list(&self.dns));
        let Encrypted { tls, https, quic } = &self.encrypted;
        for (word, addresses) in
            [("tls", tls), ("https", https), ("quic", quic), ("admin", &self.web.addresses)]
        {
            if !addresses.is_empty() {
                let _ = write!(text, " {word}={}", list(addresses));
            }
        }
        text
    }

    /// Waits until it stops by itself, which it does only when it can't serve.
    pub async fn broken(&self) {
        self.stop.cancelled().await;
    }

    /// Stops answering, waits for what is under way, with a limit.
    pub async fn stop(self) {
        self.supervisor.stopping().await;
        self.stop.cancel();
        let _ = fs::remove_file(self.control.folder().join(ADDRESSES));
        if tokio::time::timeout(STOPPING, self.tasks.wait()).await.is_err() {
            warn!("Not everything ended in time");
        }
        let seen = self.seen;
        let kept = tokio::task::spawn_blocking(move || seen.flush());
        if tokio::time::timeout(STOPPING, kept).await.is_err() {
            warn!("New names could not be written in time");
        }
        let keeping = Arc::clone(&self.control);
        let kept = tokio::task::spawn_blocking(move || keeping.stop_keeping_log());
        if tokio::time::timeout(STOPPING, kept).await.is_err() {
            warn!("The query log could not be left in time by what tidies it");
        }
        // Last, since questions were answered until now.
        if let Some(log) = self.log {
            let stopped = tokio::task::spawn_blocking(move || log.stop());
            if tokio::time::timeout(STOPPING, stopped).await.is_err() {
                warn!("The last questions could not be written to the query log in time");
            }
        }
    }
}

/// What an administrator can do, on a data folder that no server runs on.
///
/// # Errors
///
/// When the settings are wrong or the data folder can't be used.
pub fn control_without_serving(config: &Config) -> Result<Control, StartError> {
    let clock = Clock::system();
    let resolver = resolver(config, &clock, Handle::current())?;
    control(config, &clock, &resolver)
}

/// Tells the audit of a data folder that no server runs on that a backup was restored there. What can't be told is in the
/// log.
pub fn record_restore(config: &Config, staged: &Staged) {
    let opened = Feeds::new(&config.lists, Arc::new(SystemLookup), Clock::system())
        .map_err(StartError::from)
        .and_then(|feeds| Ok(Control::open(&config.data, Clock::system(), feeds, config.lists.keep)?));
    match opened {
        Ok(control) => {
            control.record_restore(&Applied { staged: staged.clone() });
            backup::told(&config.data);
        }
        Err(error) => error!(%error, "The audit can't be told of the restore"),
    }
}

fn control(config: &Config, clock: &Clock, resolver: &Arc<Resolver>) -> Result<Control, StartError> {
    let lookup = Arc::new(OwnLookup(Arc::clone(resolver)));
    let feeds = Feeds::new(&config.lists, lookup, clock.clone())?;
    // Filtering never waits for a file that only some lists need.
    for error in feeds.unusable() {
        error!(%error, "Lists that need this file can't be had until it is put right");
    }
    let control = Control::open(&config.data, clock.clone(), feeds, config.lists.keep)?;
    Ok(control
        .with_resolver(Arc::clone(resolver))
        .with_routing(&config.resolver)
        .with_machine(Machine::at(&config.machine.run, &config.machine.system))
        .with_log_settings(&config.log))
}

/// Whether the settings are right, with every file that they name; touches neither sockets nor the data folder.
///
/// A server also starts where a file is of no use that only some lists need; this is where that is an error.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn check(config: &Config) -> Result<(), StartError> {
    config.check()?;
    resolver::build(&config.resolver)?;
    let feeds = Feeds::new(&config.lists, Arc::new(SystemLookup), Clock::system())?;
    match feeds.unusable().into_iter().next() {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

fn resolver(config: &Config, clock: &Clock, runtime: Handle) -> Result<Arc<Resolver>, StartError> {
    let backends = control::backends(&config.resolver, &config.data)?;
    Ok(Arc::new(Resolver::new(backends, (&config.resolver).into(), clock.clone(), runtime)))
}

fn write_addresses(folder: &Path, dns: &[SocketAddr], encrypted: &Encrypted, web: &Web) -> io::Result<()> {
    let texts = |all: &[SocketAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let document = json!({
        "dns": texts(dns),
        "admin": texts(&web.addresses),
        "block_page": texts(&web.block_page),
        "tls": texts(&encrypted.tls),
        "https": texts(&encrypted.https),
        "quic": texts(&encrypted.quic),
    });
    disk::replace(&folder.join(ADDRESSES), format!("{document}\n").as_bytes())
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings don't fit together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The `[resolver]` table is wrong, or a file that it names.
    #[error("{}", with_cause(.0))]
    Resolver(#[from] ResolverError),
    /// The `[lists]` table is wrong; in a check, also a file that it names.
    #[error(transparent)]
    Lists(#[from] feeds::ConfigError),
    /// An address can't be served.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The data folder can't be used.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A restore broke off and can't be brought to an end.
    #[error("a restore can't be brought to an end: {0}")]
    Restore(#[from] BackupError),
    /// The socket for commands can't be opened.
    #[error("{0}")]
    Socket(io::Error),
}

impl StartError {
    /// Whether a setting is wrong, rather than the box unable.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Config(_) => true,
            Self::Resolver(error) => !matches!(error, ResolverError::Read { .. }),
            Self::Control(error) => error.is_bad_input(),
            Self::Lists(error) => error.is_bad_input(),
            Self::Serve(_) | Self::Socket(_) | Self::Restore(_) => false,
        }
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
