//! The certificates of the box, for its web pages and for encrypted DNS: had at the start or as soon as they can be, and
//! made anew before they end.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::{
    clock::Clock,
    config::Config,
    tls::{Certificates, Shown, SubjectName, TlsError},
};

/// How long it takes to try again to have certificates.
const AGAIN: Duration = Duration::from_secs(10);

/// How often it is looked whether the certificate has to be made anew.
const DUE: Duration = Duration::from_secs(6 * 3600);

/// The name by which browsers find the box without any DNS of the school (RFC 6762).
const LOCAL_NAME: &str = "schoolgate.local";

/// Opens the certificates, where anything is served over TLS. What can't be had is told in the log, and tried again.
pub(super) fn open(
    config: &Config,
    clock: &Clock,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Arc<Shown> {
    let shown = Arc::new(Shown::default());
    let dns = [&config.dns.tls, &config.dns.https, &config.dns.quic];
    let has_pages = config.admin.tls && !config.admin.listen.is_empty();
    if !has_pages && dns.into_iter().all(Vec::is_empty) {
        return shown;
    }
    let keeper = Keeper {
        data: config.data.clone(),
        names: names(config),
        clock: clock.clone(),
        shown: Arc::clone(&shown),
    };
    if let Err(error) = keeper.open() {
        error!(%error, "There is no certificate, so nothing is served over TLS yet");
    }
    tasks.spawn(Arc::new(keeper).keep(stop.clone()));
    shown
}

struct Keeper {
    data: PathBuf,
    names: Vec<SubjectName>,
    clock: Clock,
    shown: Arc<Shown>,
}

impl Keeper {
    fn open(&self) -> Result<(), TlsError> {
        self.shown.set(Arc::new(Certificates::open(&self.data, &self.names, &self.clock)?));
        Ok(())
    }

    async fn keep(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let pause = if self.shown.get().is_some() { DUE } else { AGAIN };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let keeper = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || keeper.look());
            if let Ok(Err(error)) = looked.await {
                error!(%error, "The certificate of the box can't be made");
            }
        }
    }

    /// Makes what is due.
    fn look(&self) -> Result<(), TlsError> {
        match self.shown.get() {
            Some(certificates) => certificates.renew_if_due(self.clock.now()).map(drop),
            None => {
                self.open()?;
                info!("There is a certificate: DNS is served over TLS too");
                Ok(())
            }
        }
    }
}

/// What the box is called by who speaks TLS to it.
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
    let listening = [&config.admin.listen, &config.dns.tls, &config.dns.https, &config.dns.quic];
    for listening in listening.into_iter().flatten().map(SocketAddr::ip) {
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
            warn!(name, %error, "The certificate of the box can't have this name");
            None
        }
    });
    names.chain(addresses.into_iter().map(SubjectName::from)).collect()
}
