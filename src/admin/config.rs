//! `[admin]` in `schoolgate.toml`: where the web pages are, and who reaches what of them.

use std::{net::SocketAddr, time::Duration};

use ipnet::IpNet;
use serde::Deserialize;

use crate::accounts::Settings;

/// The settings of the web admin.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the pages and the API are; none at all, if empty. TLS and plain HTTP share a port, and the latter is led to the
    /// former.
    pub listen: Vec<SocketAddr>,
    /// Where the page is that blocked clients are led to; none, if empty.
    pub block_page: Vec<SocketAddr>,
    /// Whether the pages are served over TLS. Without it passwords cross the network in clear: only behind a proxy that has
    /// TLS itself, or for a trial.
    pub tls: bool,
    /// Further names by which browsers reach the box, for its certificate.
    pub names: Vec<String>,
    /// After how many minutes without a request somebody is signed out: 1 to 480.
    pub idle_minutes: u16,
    /// After how many days a password must be changed; 0 is never, which is what is advised today.
    pub password_max_age_days: u16,
    /// From where `/metrics` can be read without a token.
    pub metrics_from: Vec<IpNet>,
}

impl Config {
    /// What the accounts are to keep to, at a school of this name.
    #[must_use]
    pub fn accounts(&self, school: &str) -> Settings {
        let mut settings = Settings { school: school.to_owned(), ..Settings::default() };
        settings.password_max_age_days = self.password_max_age_days;
        settings.limits.idle = Duration::from_secs(u64::from(self.idle_minutes.clamp(1, 480)) * 60);
        settings
    }
}

impl Default for Config {
    fn default() -> Self {
        let loopback =
            [[127, 0, 0, 0].into()].map(|address| IpNet::new_assert(std::net::IpAddr::V4(address), 8));
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            block_page: vec![SocketAddr::from(([127, 0, 0, 1], 8081))],
            tls: true,
            names: Vec::new(),
            idle_minutes: 30,
            password_max_age_days: 0,
            metrics_from: loopback.to_vec(),
        }
    }
}
