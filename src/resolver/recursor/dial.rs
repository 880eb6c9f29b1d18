//! Connections to authoritative servers: on which port, and how long each is waited for.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{Stream, stream};
use hickory_net::{
    DnsError, NetError,
    runtime::TokioRuntimeProvider,
    xfer::{DnsExchange, DnsHandle, FirstAnswer},
};
use hickory_proto::{
    op::{DnsRequest, DnsResponse, Message, ResponseCode},
    rr::{Name, RData, RecordType},
};
use hickory_resolver::{
    ConnectionProvider, PoolContext,
    config::{ConnectionConfig, ProtocolConfig},
};

use super::cuts::Cuts;
use crate::resolver::udp::{self, Reply};

/// How long a server is waited for at first; its zone's next server is asked then.
///
/// hickory alone waits for five seconds and gives the zone up after the first server.
const FIRST_WAIT: Duration = Duration::from_millis(1_200);
/// How long a server is waited for that was too slow the last time, so that a zone with slow servers only is reached at
/// the second try.
const LONG_WAIT: Duration = Duration::from_millis(4_800);
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
        let seen = self.seen.clone();
        if matches!(config.protocol, ProtocolConfig::Udp) {
            let line = Line { way: Way::Udp(SocketAddr::new(ip, self.port)), seen };
            return Ok(Box::pin(std::future::ready(Ok(line))));
        }
        let connecting = self.runtime.new_connection(ip, &config, cx)?;
        Ok(Box::pin(async move {
            match tokio::time::timeout(seen.wait(ip), connecting).await {
                Ok(connected) => Ok(Line { way: Way::Stream(ip, connected?), seen }),
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
    way: Way,
    seen: Seen,
}

#[derive(Clone)]
enum Way {
    /// A socket for each question. hickory's own UDP waits for the time-out when a server answers with no question, as
    /// those do that don't know EDNS.
    Udp(SocketAddr),
    Stream(IpAddr, DnsExchange<TokioRuntimeProvider>),
}

impl DnsHandle for Line {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let line = self.clone();
        Box::pin(stream::once(Box::pin(async move { line.ask(request).await })))
    }
}

impl Line {
    async fn ask(self, request: DnsRequest) -> Result<DnsResponse, NetError> {
        let ip = match &self.way {
            Way::Udp(server) => server.ip(),
            Way::Stream(ip, _) => *ip,
        };
        let seen = self.seen;
        let begun = Instant::now();
        let asked = request.queries.first().cloned();
        let sent = asked.as_ref().map(|query| query.name.clone());
        let meant = request.original_query().map(|query| query.name.clone());
        let answer = async {
            match self.way {
                Way::Udp(server) => over_udp(server, request, &seen).await,
                Way::Stream(_, exchange) => exchange.send(request).first_answer().await,
            }
        };
        let answer = match tokio::time::timeout(seen.wait(ip), answer).await {
            Ok(Err(NetError::Timeout)) | Err(_) => {
                seen.slow(ip);
                return Err(NetError::Timeout);
            }
            Ok(answer) => answer,
        };
        if begun.elapsed() < FIRST_WAIT {
            seen.fast(ip);
        }
        let mut response = answer?;
        // hickory would take one server's refusal for the zone's; the zone's next server may know better.
        let code = response.response_code;
        if matches!(
            code,
            ResponseCode::ServFail | ResponseCode::Refused | ResponseCode::NotAuth | ResponseCode::NotImp
        ) {
            return Err(io::Error::other(format!("the server answers {code:?}")).into());
        }
        // hickory counts the answers that it keeps, not their bytes.
        if response.as_buffer().len() > LARGEST_KEPT {
            let message: &mut Message = &mut response;
            let sections = [&mut message.answers, &mut message.authorities, &mut message.additionals];
            sections.into_iter().flatten().for_each(|record| record.ttl = 0);
        }
        if let Some(asked) = asked {
            seen.cuts.observe(ip, &asked, &response, Instant::now());
        }
        if let (Some(sent), Some(meant)) = (sent, meant) {
            restore_case(&mut response, &sent, &meant);
        }
        seen.aliases(&response);
        Ok(response)
    }
}

async fn over_udp(server: SocketAddr, mut request: DnsRequest, seen: &Seen) -> Result<DnsResponse, NetError> {
    let asked = request.queries.first().cloned().ok_or(NetError::Message("no question"))?;
    if seen.is_plain(server.ip()) {
        request.edns = None;
    }
    let mut without = false;
    loop {
        match udp::exchange(server, &request.to_vec()?, &asked).await? {
            Reply::Answer(message) => {
                // Only an answer without EDNS shows that EDNS was what it could not read.
                if without {
                    seen.plain(server.ip());
                }
                return Ok(DnsResponse::from_message(message)?);
            }
            Reply::Truncated => {
                let mut message = Message::query().into_response();
                message.metadata.truncation = true;
                message.add_query(asked);
                return Ok(DnsResponse::from_message(message)?);
            }
            Reply::OtherCase => return Err(NetError::QueryCaseMismatch),
            Reply::FormErr if request.edns.is_some() => {
                request.edns = None;
                without = true;
            }
            Reply::FormErr => return Err(DnsError::ResponseCode(ResponseCode::FormErr).into()),
            // Somebody may be guessing at our question: over TCP nobody can.
            Reply::Strangers => return Err(NetError::QueryCaseMismatch),
        }
    }
}

/// The largest answer that hickory keeps, in bytes; our own cache keeps no larger ones either.
const LARGEST_KEPT: usize = 16 * 1024;
/// How long a server is asked without EDNS after it could not read it.
const PLAIN_LASTS: Duration = Duration::from_secs(600);

/// What was learned of servers and names while asking.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    facts: Arc<Mutex<Facts>>,
    /// Where zones are delegated to.
    pub(super) cuts: Cuts,
}

#[derive(Debug, Default)]
struct Facts {
    /// Servers that were too slow the last time.
    slow: HashSet<IpAddr>,
    /// Servers that don't know EDNS, and since when.
    plain: HashMap<IpAddr, Instant>,
    /// Names in lower case that are aliases: hickory loses them when what they lead to fails.
    aliases: HashSet<Name>,
}

impl Seen {
    /// Whether a server said that the name is an alias.
    pub(super) fn is_alias(&self, name: &Name) -> bool {
        self.facts().aliases.contains(&name.to_lowercase())
    }

    fn wait(&self, ip: IpAddr) -> Duration {
        if self.facts().slow.contains(&ip) { LONG_WAIT } else { FIRST_WAIT }
    }

    fn slow(&self, ip: IpAddr) {
        remember(&mut self.facts().slow, ip);
    }

    fn fast(&self, ip: IpAddr) {
        self.facts().slow.remove(&ip);
    }

    fn is_plain(&self, ip: IpAddr) -> bool {
        self.facts().plain.get(&ip).is_some_and(|since| since.elapsed() < PLAIN_LASTS)
    }

    fn plain(&self, ip: IpAddr) {
        let plain = &mut self.facts().plain;
        if plain.len() >= MAX_SEEN {
            plain.clear();
        }
        plain.insert(ip, Instant::now());
    }

    fn aliases(&self, response: &DnsResponse) {
        for record in response.answers.iter().filter(|record| record.record_type() == RecordType::CNAME) {
            remember(&mut self.facts().aliases, record.name.to_lowercase());
        }
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remember<T: Eq + std::hash::Hash>(set: &mut HashSet<T>, value: T) {
    if set.len() >= MAX_SEEN {
        set.clear();
    }
    set.insert(value);
}

/// Takes the random case of the question out of an answer again.
///
/// Servers compress names by pointing at the question, so its case turns up all over the answer.
fn restore_case(message: &mut Message, sent: &Name, meant: &Name) {
    let sections = [&mut message.answers, &mut message.authorities, &mut message.additionals];
    for record in sections.into_iter().flatten() {
        restore_name(&mut record.name, sent, meant);
        match &mut record.data {
            RData::CNAME(target) => restore_name(&mut target.0, sent, meant),
            RData::NS(target) => restore_name(&mut target.0, sent, meant),
            RData::PTR(target) => restore_name(&mut target.0, sent, meant),
            RData::MX(mx) => restore_name(&mut mx.exchange, sent, meant),
            RData::SRV(srv) => restore_name(&mut srv.target, sent, meant),
            RData::SOA(soa) => {
                restore_name(&mut soa.mname, sent, meant);
                restore_name(&mut soa.rname, sent, meant);
            }
            _ => {}
        }
    }
}

fn restore_name(name: &mut Name, sent: &Name, meant: &Name) {
    let shared = name.iter().rev().zip(sent.iter().rev()).take_while(|(a, b)| a == b).count();
    if shared == 0 {
        return;
    }
    // `num_labels` doesn't count an asterisk.
    let own = name.iter().len().saturating_sub(shared);
    let end = meant.iter().len().saturating_sub(shared);
    // The same lengths as before, so the name can't become too long.
    if let Ok(mut restored) = Name::from_labels(name.iter().take(own).chain(meant.iter().skip(end))) {
        restored.set_fqdn(name.is_fqdn());
        *name = restored;
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
        assert_eq!(seen.wait(ip), LONG_WAIT);
        assert_eq!(seen.wait(IpAddr::from([192, 0, 2, 2])), FIRST_WAIT);
        seen.fast(ip);
        assert_eq!(seen.wait(ip), FIRST_WAIT);
    }

    #[test]
    fn the_random_case_of_the_question_is_taken_out_of_the_answer() {
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let (sent, meant) = (name("wWw.SChool.exAMPle."), name("www.school.example."));
        for (received, expected) in [
            ("wWw.SChool.exAMPle.", "www.school.example."),
            ("ns1.SChool.exAMPle.", "ns1.school.example."),
            ("NS1.Other.exAMPle.", "NS1.Other.example."),
            ("WWW.School.Example.", "WWW.School.Example."),
            ("*.SChool.exAMPle.", "*.school.example."),
            ("a.test.", "a.test."),
            (".", "."),
        ] {
            let mut restored = name(received);
            restore_name(&mut restored, &sent, &meant);
            assert!(restored.eq_case(&name(expected)), "{received} -> {restored}");
        }
    }
}
