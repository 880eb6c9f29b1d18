//! The web pages beside DNS, which never waits for them: a port in use or a database that can't be read costs the pages and
//! nothing else, and is told.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::{
    accounts::Accounts,
    admin::{Admin, BlockPage, Limits, Parts, Serve},
    clock::Clock,
    config::Config,
    control::Control,
    querylog::QueryLog,
    school::School,
    tls::{Certificates, SubjectName},
};

/// How long it takes to try again to listen at an address that is in use.
const AGAIN: Duration = Duration::from_secs(10);

/// How often it is looked whether the certificate has to be made anew.
const CERTIFICATE: Duration = Duration::from_secs(6 * 3600);

/// How many connections one client may have to the page of blocked sites, which a page with many blocked parts opens all
/// at once, and how long each may be silent.
const BLOCK_PAGE_CONNECTIONS: usize = 16;
const BLOCK_PAGE_PATIENCE: Duration = Duration::from_secs(5);

/// The name by which browsers find the box without any DNS of the school (RFC 6762).
const LOCAL_NAME: &str = "schoolgate.local";

/// The pages, as they run.
#[derive(Debug, Default)]
pub(super) struct Web {
    /// Where they are.
    pub(super) addresses: Vec<SocketAddr>,
    /// Where the page is that blocked sites lead to.
    pub(super) block_page: Vec<SocketAddr>,
    /// The code that sets up a new box.
    pub(super) set_up: Option<String>,
    /// Whether they are served over TLS.
    pub(super) secure: bool,
}

/// What the pages are made from.
pub(super) struct Means {
    pub(super) control: Arc<Control>,
    pub(super) log: Option<Arc<QueryLog>>,
    pub(super) clock: Clock,
    pub(super) dns: Vec<SocketAddr>,
    pub(super) school: Arc<School>,
    pub(super) stop: CancellationToken,
}

/// Begins to serve the pages. What can't be had is told in the log, and costs nothing else.
pub(super) fn start(config: &Config, means: Means, tasks: &TaskTracker) -> Web {
    let page = BlockPage::new(Arc::clone(&means.control), means.clock.clone());
    let limits = Limits {
        connections_per_address: BLOCK_PAGE_CONNECTIONS,
        patience: BLOCK_PAGE_PATIENCE,
        ..Limits::default()
    };
    let serve = Serve { router: page.router(), tls: None, plain: page.router(), limits };
    let block_page = serve_all(&config.admin.block_page, &serve, &means.stop, tasks);
    Web { block_page, ..pages(config, means, tasks) }
}

/// The pages of the admin.
fn pages(config: &Config, means: Means, tasks: &TaskTracker) -> Web {
    if config.admin.listen.is_empty() {
        return Web::default();
    }
    let Means { control, log, clock, dns, school, stop } = means;
    let settings = config.admin.accounts(&control.policy().load().file().school);
    let accounts = match Accounts::open(&config.data, clock.clone(), control.vault(), settings) {
        Ok(accounts) => Arc::new(accounts),
        Err(error) => {
            error!(%error, "The web pages are not served, since nobody could sign in");
            return Web::default();
        }
    };
    let certificates = if config.admin.tls {
        match Certificates::open(&config.data, &names(config), &clock) {
            Ok(certificates) => Some(Arc::new(certificates)),
            // Never in clear instead: passwords would cross the network.
            Err(error) => {
                error!(%error, "The web pages are not served, since they have no certificate");
                return Web::default();
            }
        }
    } else {
        warn!("The web pages are served without TLS: passwords cross the network in clear");
        None
    };
    let set_up = accounts.setup_code().ok().flatten().map(|code| code.expose().to_owned());
    if let Some(certificates) = &certificates {
        tasks.spawn(renew(Arc::clone(certificates), clock.clone(), stop.clone()));
    }
    let admin = Admin::new(Parts {
        control,
        accounts,
        certificates: certificates.clone(),
        log,
        clock,
        config: config.admin.clone(),
        dns,
        school,
        stop: stop.clone(),
    });
    let serve = Serve {
        router: admin.router(),
        tls: certificates.map(|certificates| certificates.server_config()),
        plain: admin.plain_router(),
        limits: Limits::default(),
    };
    let addresses = serve_all(&config.admin.listen, &serve, &stop, tasks);
    Web { addresses, block_page: Vec::new(), set_up, secure: config.admin.tls }
}

/// Serves at all addresses, and says which could be had at once.
fn serve_all(
    wanted: &[SocketAddr],
    serve: &Serve,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for &address in wanted {
        let bound = TcpListener::bind(address);
        if let Some(address) = bound.as_ref().ok().and_then(|listener| listener.local_addr().ok()) {
            addresses.push(address);
        }
        tasks.spawn(serve_at(address, bound, serve.clone(), stop.clone()));
    }
    addresses
}

/// Serves at one address, as soon as it can be had.
async fn serve_at(
    address: SocketAddr,
    mut bound: io::Result<TcpListener>,
    serve: Serve,
    stop: CancellationToken,
) {
    loop {
        match bound {
            Ok(listener) => {
                if let Err(error) = serve.clone().run(vec![listener], stop.clone()).await {
                    error!(%address, %error, "The web pages can't be served");
                }
            }
            Err(error) => error!(%address, %error, "The web pages are not at this address yet"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => bound = TcpListener::bind(address),
        }
        if bound.is_ok() {
            info!(%address, "The web pages are served");
        }
    }
}

/// Makes the box's certificate anew before it ends.
async fn renew(certificates: Arc<Certificates>, clock: Clock, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(CERTIFICATE) => {}
        }
        let (certificates, now) = (Arc::clone(&certificates), clock.now());
        let renewed = tokio::task::spawn_blocking(move || certificates.renew_if_due(now)).await;
        if let Ok(Err(error)) = renewed {
            error!(%error, "The certificate of the web pages can't be made anew");
        }
    }
}

/// What browsers call the box, for its certificate.
fn names(config: &Config) -> Vec<SubjectName> {
    let host =
        fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_ascii_lowercase();
    let mut names: BTreeSet<String> = [LOCAL_NAME, "localhost"].map(String::from).into();
    names.extend(Some(host.clone()).filter(|host| !host.is_empty()));
    names.extend(Some(format!("{host}.local")).filter(|_| !host.is_empty() && !host.contains('.')));
    names.extend(config.admin.names.iter().map(|name| name.trim().to_ascii_lowercase()));
    let own: Vec<IpAddr> =
        if_addrs::get_if_addrs().unwrap_or_default().iter().map(if_addrs::Interface::ip).collect();
    let mut addresses: BTreeSet<IpAddr> = BTreeSet::new();
    for listening in config.admin.listen.iter().map(SocketAddr::ip) {
        if listening.is_unspecified() {
            addresses.extend(own.iter().copied().filter(|address| address.is_ipv4() || listening.is_ipv6()));
        } else {
            addresses.insert(listening);
        }
    }
    // Those of a link need the link's name beside them, which no certificate has.
    addresses.retain(|address| !matches!(address, IpAddr::V6(six) if six.is_unicast_link_local()));
    let names = names.into_iter().filter_map(|name| match name.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            warn!(name, %error, "The certificate of the web pages can't have this name");
            None
        }
    });
    names.chain(addresses.into_iter().map(SubjectName::from)).collect()
}
