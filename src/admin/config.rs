//! `[admin]` in `schoolgate.toml`: where the web pages are, and who reaches what of them.

use std::net::SocketAddr;

use ipnet::IpNet;
use serde::Deserialize;

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
    /// From where `/metrics` can be read without a token.
    pub metrics_from: Vec<IpNet>,
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
            metrics_from: loopback.to_vec(),
        }
    }
}
