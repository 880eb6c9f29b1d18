//! The `[dns]` table of schoolgate.toml: where questions are taken, from whom, and how many.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use serde::Deserialize;

/// The networks that are answered when nothing else is set, beside those of the policy: loopback, private and link-local
/// ones.
const PRIVATE_NETWORKS: &[&str] =
    &["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"];

/// Settings of the DNS sockets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where questions are taken, over UDP and TCP; a port of 0 lets the system choose one for both.
    pub listen: Vec<SocketAddr>,
    /// The networks that are answered; all others are refused. Without it, loopback, private and link-local ones, and the
    /// networks that the policy in force names ([`Policy::serves`](crate::policy::Policy::serves)).
    pub allow: Option<Vec<IpNet>>,
    /// Where DNS over TLS (RFC 7858) is taken.
    pub tls: Vec<SocketAddr>,
    /// Where DNS over HTTPS (RFC 8484) is taken.
    pub https: Vec<SocketAddr>,
    /// Where DNS over QUIC (RFC 9250) is taken.
    pub quic: Vec<SocketAddr>,
    /// Addresses of forwarders whose client subnet option (RFC 7871) names the real client.
    pub trusted_forwarders: Vec<IpAddr>,
    /// The box's addresses as clients reach them, for the answers that lead to the block page.
    ///
    /// Empty: the address that was asked, then one of `listen`. Needed where the box is behind address translation or
    /// a forwarder on the box itself asks over loopback.
    pub page_addresses: Vec<IpAddr>,
    /// The largest answer over UDP in bytes, 512 to 4096 (1232 stays whole on every path).
    pub udp_size: u16,
    /// How many sockets share the UDP questions of one address; 0 is one for each core.
    pub threads: usize,
    /// How many questions may wait for the internet at one time.
    pub waiting_questions: usize,
    /// How many of them may be one client's (an IPv6 client is its /64).
    pub waiting_questions_per_client: usize,
    /// Questions a second that one client may ask; 0 is no limit.
    pub rate_limit: u32,
    /// Questions that a client may ask at once before `rate_limit` holds; 0 is twice that limit.
    pub rate_burst: u32,
    /// TCP connections at one time; over TLS, HTTPS and QUIC there may be as many of each.
    pub tcp_connections: usize,
    /// How many of them may be one client's.
    pub tcp_connections_per_client: usize,
    /// Questions of one connection that are worked on at one time; the next waits unread.
    pub tcp_pipeline: usize,
    /// Seconds after which a connection that asks nothing is closed.
    pub tcp_idle_seconds: u64,
    /// Whether the class CHAOS name `version.bind` is answered with the version.
    pub version_bind: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![
                SocketAddr::from((Ipv4Addr::LOCALHOST, 5353)),
                SocketAddr::from((Ipv6Addr::LOCALHOST, 5353)),
            ],
            allow: None,
            tls: Vec::new(),
            https: Vec::new(),
            quic: Vec::new(),
            trusted_forwarders: Vec::new(),
            page_addresses: Vec::new(),
            udp_size: 1232,
            threads: 0,
            waiting_questions: 8192,
            waiting_questions_per_client: 512,
            rate_limit: 0,
            rate_burst: 0,
            tcp_connections: 1000,
            tcp_connections_per_client: 20,
            tcp_pipeline: 32,
            tcp_idle_seconds: 10,
            version_bind: false,
        }
    }
}

impl Config {
    /// The networks that are answered whatever the policy says.
    #[must_use]
    pub(super) fn served(&self) -> Vec<IpNet> {
        match &self.allow {
            Some(networks) => networks.clone(),
            None => PRIVATE_NETWORKS.iter().filter_map(|network| network.parse().ok()).collect(),
        }
    }

    /// Checks what the types can't.
    ///
    /// # Errors
    ///
    /// Names the first key whose value can't be used.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.listen.is_empty() {
            return Err(ConfigError::NoListen);
        }
        if !(512..=4096).contains(&self.udp_size) {
            return Err(ConfigError::UdpSize(self.udp_size));
        }
        for (key, number) in [
            ("waiting_questions", self.waiting_questions),
            ("waiting_questions_per_client", self.waiting_questions_per_client),
            ("tcp_connections", self.tcp_connections),
            ("tcp_connections_per_client", self.tcp_connections_per_client),
            ("tcp_pipeline", self.tcp_pipeline),
        ] {
            if number == 0 || number > 1_000_000 {
                return Err(ConfigError::Range { key, number, most: 1_000_000 });
            }
        }
        if self.threads > 256 {
            return Err(ConfigError::Range { key: "threads", number: self.threads, most: 256 });
        }
        if self.tcp_idle_seconds == 0 || self.tcp_idle_seconds > 3600 {
            return Err(ConfigError::TcpIdle(self.tcp_idle_seconds));
        }
        Ok(())
    }

    /// `tcp_idle_seconds` as a time.
    pub(super) fn tcp_idle(&self) -> Duration {
        Duration::from_secs(self.tcp_idle_seconds)
    }

    /// `threads`, with 0 turned into the machine's cores.
    pub(super) fn sockets_per_address(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            set => set,
        }
    }
}

/// What is wrong with the `[dns]` table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No address to take questions at.
    #[error("dns.listen is empty; name at least one address, for example \"127.0.0.1:5353\"")]
    NoListen,
    /// A size of UDP answers that no client can rely on.
    #[error("dns.udp_size is {0}; 512 to 4096 are possible, 1232 is usual")]
    UdpSize(u16),
    /// A limit of nothing, or one that limits nothing.
    #[error("dns.{key} is {number}; 1 to {most} are possible")]
    Range {
        /// The key.
        key: &'static str,
        /// Its value.
        number: usize,
        /// The largest that is taken.
        most: usize,
    },
    /// A time that closes connections at once, or never.
    #[error("dns.tcp_idle_seconds is {0}; 1 to 3600 are possible")]
    TcpIdle(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_default() {
        let config: Config = toml::from_str("").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.served().len(), PRIVATE_NETWORKS.len());
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = toml::from_str::<Config>("lisen = []").unwrap_err().to_string();
        assert!(error.contains("lisen") && error.contains("listen"), "{error}");
    }

    #[test]
    fn encrypted_dns_is_where_it_is_asked_for() {
        let config: Config =
            toml::from_str("tls = ['0.0.0.0:853', '[::]:853']\nhttps = ['0.0.0.0:443']").unwrap();
        assert_eq!(config.check(), Ok(()));
        assert_eq!((config.tls.len(), config.https.len(), config.quic.len()), (2, 1, 0));
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (text, key) in [
            ("listen = []", "dns.listen"),
            ("udp_size = 100", "dns.udp_size"),
            ("tcp_pipeline = 0", "dns.tcp_pipeline"),
            ("tcp_idle_seconds = 0", "dns.tcp_idle_seconds"),
            ("threads = 9999", "dns.threads"),
        ] {
            let config: Config = toml::from_str(text).unwrap();
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(key), "{text}: {error}");
        }
    }
}
