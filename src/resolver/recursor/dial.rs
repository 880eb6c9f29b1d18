//! Connections to authoritative servers: on which port, and how long each is waited for.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{Stream, stream};
use hickory_net::{
    NetError,
    runtime::TokioRuntimeProvider,
    xfer::{DnsExchange, DnsHandle, FirstAnswer},
};
use hickory_proto::{
    op::{DnsRequest, DnsResponse},
    rr::{Name, RecordType},
};
use hickory_resolver::{ConnectionProvider, PoolContext, config::ConnectionConfig};

/// How long a server is waited for at first; its zone's next server is asked then.
///
/// hickory alone waits for five seconds and gives the zone up after the first server. Twice as long follows for a server
/// that was too slow, so that a zone with slow servers only is reached at the second try.
const FIRST_WAIT: Duration = Duration::from_millis(1_200);
/// How often the wait doubles.
const MAX_DOUBLINGS: u8 = 2;
/// How many servers or aliases are remembered before all are forgotten.
const MAX_SEEN: usize = 4_096;

/// Makes connections to authoritative servers.
#[derive(Clone)]
pub(super) struct Dialler {
    runtime: TokioRuntimeProvider,
    port: u16,
    seen: Seen,
}

impl Dialler {
    /// `port` is what every server is asked on.
    pub(super) fn new(port: u16, seen: Seen) -> Self {
        Self { runtime: TokioRuntimeProvider::default(), port, seen }
    }
}

impl ConnectionProvider for Dialler {
    type Conn = Line;
    type FutureConn = Pin<Box<dyn Future<Output = Result<Line, NetError>> + Send>>;
    type RuntimeProvider = TokioRuntimeProvider;

    fn new_connection(
        &self,
        ip: IpAddr,
        config: &ConnectionConfig,
        cx: &PoolContext,
    ) -> Result<Self::FutureConn, NetError> {
        let mut config = config.clone();
        config.port = self.port;
        let connecting = self.runtime.new_connection(ip, &config, cx)?;
        let seen = self.seen.clone();
        Ok(Box::pin(async move {
            match tokio::time::timeout(seen.wait(ip), connecting).await {
                Ok(connected) => Ok(Line { exchange: connected?, ip, seen }),
                Err(_) => {
                    seen.slow(ip);
                    Err(NetError::Timeout)
                }
            }
        }))
    }

    fn runtime_provider(&self) -> &Self::RuntimeProvider {
        &self.runtime
    }
}

/// A connection to one server.
#[derive(Clone)]
pub(super) struct Line {
    exchange: DnsExchange<TokioRuntimeProvider>,
    ip: IpAddr,
    seen: Seen,
}

impl DnsHandle for Line {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let Self { exchange, ip, seen } = self.clone();
        Box::pin(stream::once(Box::pin(async move {
            let begun = Instant::now();
            let answer = exchange.send(request).first_answer();
            match tokio::time::timeout(seen.wait(ip), answer).await {
                Ok(Err(NetError::Timeout)) | Err(_) => {
                    seen.slow(ip);
                    Err(NetError::Timeout)
                }
                Ok(answer) => {
                    if begun.elapsed() < FIRST_WAIT {
                        seen.fast(ip);
                    }
                    answer.inspect(|response| seen.aliases(response))
                }
            }
        })))
    }
}

/// What was learned of servers and names while asking.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<Facts>>);

#[derive(Debug, Default)]
struct Facts {
    /// Servers that were too slow, and how often the wait for them was doubled.
    slow: HashMap<IpAddr, u8>,
    /// Names in lower case that are aliases: hickory loses them when what they lead to fails.
    aliases: HashSet<Name>,
}

impl Seen {
    /// Whether a server said that the name is an alias.
    pub(super) fn is_alias(&self, name: &Name) -> bool {
        self.facts().aliases.contains(&name.to_lowercase())
    }

    fn wait(&self, ip: IpAddr) -> Duration {
        let doublings = self.facts().slow.get(&ip).copied().unwrap_or(0);
        FIRST_WAIT * (1 << doublings)
    }

    fn slow(&self, ip: IpAddr) {
        let slow = &mut self.facts().slow;
        if slow.len() >= MAX_SEEN && !slow.contains_key(&ip) {
            slow.clear();
        }
        let doublings = slow.entry(ip).or_insert(0);
        *doublings = (*doublings + 1).min(MAX_DOUBLINGS);
    }

    fn fast(&self, ip: IpAddr) {
        self.facts().slow.remove(&ip);
    }

    fn aliases(&self, response: &DnsResponse) {
        for record in response.answers.iter().filter(|record| record.record_type() == RecordType::CNAME) {
            let aliases = &mut self.facts().aliases;
            if aliases.len() >= MAX_SEEN {
                aliases.clear();
            }
            aliases.insert(record.name.to_lowercase());
        }
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_server_is_waited_for_longer_the_next_time() {
        let seen = Seen::default();
        let ip = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(seen.wait(ip), FIRST_WAIT);
        seen.slow(ip);
        assert_eq!(seen.wait(ip), FIRST_WAIT * 2);
        for _ in 0..10 {
            seen.slow(ip);
        }
        assert_eq!(seen.wait(ip), FIRST_WAIT * 4);
        assert_eq!(seen.wait(IpAddr::from([192, 0, 2, 2])), FIRST_WAIT);
        seen.fast(ip);
        assert_eq!(seen.wait(ip), FIRST_WAIT);
    }
}
