//! The web pages beside DNS, which never waits for them: a port in use or a database that can't be read costs the pages and
//! nothing else, and is told.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, Socket, Type};
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
    tls::Certificates,
};

/// How long it takes to try again to listen at an address that is in use.
const AGAIN: Duration = Duration::from_secs(10);

/// How many connections may wait to be taken, as the standard library has it.
const BACKLOG: i32 = 128;

/// How many connections one client may have to the page of blocked sites, which a page with many blocked parts opens all
/// at once, and how long each may be silent.
const BLOCK_PAGE_CONNECTIONS: usize = 16;
const BLOCK_PAGE_PATIENCE: Duration = Duration::from_secs(5);

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
    /// Those that TLS needs, where they could be had.
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) stop: CancellationToken,
}

/// Begins to serve the pages. What can't be had is told in the log, and costs nothing else.
pub(super) fn start(config: &Config, means: Means, tasks: &TaskTracker) -> Web {
    let mut page = BlockPage::new(Arc::clone(&means.control), means.clock.clone());
    if let Some(listen) = config.admin.listen.first().filter(|_| config.admin.tls) {
        page = page.leading_to(&config.admin.names, listen.port());
    }
    let page = Arc::new(page);
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
    let Means { control, log, clock, dns, school, certificates, stop } = means;
    let settings = config.admin.accounts(&control.policy().load().file().school);
    let accounts = match Accounts::open(&config.data, clock.clone(), control.vault(), settings) {
        Ok(accounts) => Arc::new(accounts),
        Err(error) => {
            error!(%error, "The web pages are not served, since nobody could sign in");
            return Web::default();
        }
    };
    let certificates = if config.admin.tls {
        // Never in clear instead: passwords would cross the network.
        let Some(certificates) = certificates else {
            error!("The web pages are not served, since they have no certificate");
            return Web::default();
        };
        Some(certificates)
    } else {
        warn!("The web pages are served without TLS: passwords cross the network in clear");
        None
    };
    let set_up = accounts.setup_code().ok().flatten().map(|code| code.expose().to_owned());
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
        let bound = listen(address);
        if let Some(address) = bound.as_ref().ok().and_then(|listener| listener.local_addr().ok()) {
            addresses.push(address);
        }
        tasks.spawn(serve_at(address, bound, serve.clone(), stop.clone()));
    }
    addresses
}

/// Listens at an address. Each family has its own sockets, as DNS has, so that both addresses of a machine can be named.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether every address of IPv6 was asked for on a machine that has none.
fn lacks_ipv6(address: SocketAddr, error: &io::Error) -> bool {
    let none =
        error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT);
    address.is_ipv6() && address.ip().is_unspecified() && none
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
            Err(error) if lacks_ipv6(address, &error) => {
                warn!(%address, "This machine has no IPv6: the web pages are at the other addresses only");
                return;
            }
            Err(error) => error!(%address, %error, "The web pages are not at this address yet"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => bound = listen(address),
        }
        if bound.is_ok() {
            info!(%address, "The web pages are served");
        }
    }
}
