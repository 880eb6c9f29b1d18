//! Finding the domain controllers of a school's Active Directory, and the zones that they know.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use futures_util::future::join_all;
use hickory_proto::{
    op::{Query, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};
use ipnet::IpNet;
use serde::Serialize;

use super::{Control, ControlError, given::is_host};
use crate::{
    name::Key,
    resolver::{
        self, Ask,
        config::{Dnssec, Mode},
    },
};

/// How long one may take to answer.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// How many controllers are looked at, and how many reverse zones are tried.
const MOST_CONTROLLERS: usize = 8;
const MOST_REVERSE: usize = 24;

/// An Active Directory as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Directory {
    /// The domain's name.
    pub domain: String,
    /// Its controllers.
    pub controllers: Vec<Controller>,
    /// The zones that a controller answers for: the domain, and the names of addresses.
    pub zones: Vec<String>,
}

/// A domain controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Controller {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Whether it answered for the domain.
    pub answers: bool,
}

/// Somebody who is asked.
#[derive(Clone, Copy)]
enum Whom<'a> {
    /// The box's own resolver.
    Own(&'a Control),
    /// A server.
    Server(SocketAddr),
}

impl Whom<'_> {
    fn at(server: IpAddr) -> Self {
        Self::Server(SocketAddr::new(server, 53))
    }

    /// The records of the answer and its authority, and how it ended; none where nobody answered.
    async fn ask(self, name: &str, kind: RecordType) -> Option<(ResponseCode, Vec<Record>, Vec<Record>)> {
        let mut name = Name::from_ascii(name).ok()?;
        name.set_fqdn(true);
        let query = Query::query(name, kind);
        match self {
            Self::Own(control) => {
                let resolving = control.resolver.as_ref()?.resolve(&query, Ask::default());
                let resolved = tokio::time::timeout(PATIENCE, resolving).await.ok()?;
                Some((resolved.rcode, resolved.answers, resolved.authorities))
            }
            Self::Server(address) => {
                let settings = resolver::Config {
                    mode: Mode::Forward,
                    forwarders: vec![address.to_string()],
                    dnssec: Dnssec::Off,
                    time_limit_ms: PATIENCE.as_secs() * 1_000 + u64::from(PATIENCE.subsec_millis()),
                    ..resolver::Config::default()
                };
                let main = resolver::build(&settings).ok()?.main;
                let found = main.ask(&query, Ask::default()).await.ok()?;
                let message = found.message;
                Some((message.metadata.response_code, message.answers, message.authorities))
            }
        }
    }
}

impl Control {
    /// Finds the controllers of a domain by its service records, and the zones that they answer for. Asks `server`; if
    /// none is given, the box's own resolver and then the name servers of the system.
    ///
    /// # Errors
    ///
    /// When the name is none, or no controller is found; the error says what to try.
    pub async fn find_directory(
        &self,
        domain: &str,
        server: Option<IpAddr>,
    ) -> Result<Directory, ControlError> {
        let wrong = |message: String| ControlError::Input(message);
        let key = Key::parse(domain.trim()).map_err(|error| wrong(format!("{domain:?}: {error}")))?;
        if key.depth() < 2 {
            return Err(wrong(format!(
                "{domain:?} is too short: write the whole domain, as ad.school.example"
            )));
        }
        if let Some(server) = server.filter(|server| !is_host(*server)) {
            return Err(wrong(format!("{server} can't be asked: write the address of a domain controller")));
        }
        let domain = key.to_string();
        let whom: Vec<Whom<'_>> = match server {
            Some(server) => vec![Whom::at(server)],
            None => {
                let system = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
                let others = name_servers(&system).into_iter().map(Whom::at);
                std::iter::once(Whom::Own(self)).chain(others).collect()
            }
        };
        let mut found = Vec::new();
        for whom in whom {
            found = controllers(whom, &domain).await;
            if !found.is_empty() {
                break;
            }
        }
        if found.is_empty() {
            return Err(wrong(format!(
                "no domain controller of {domain} was found: check the spelling, and write the address of one"
            )));
        }
        let answering = found.iter().map(|(_, address)| knows(Whom::at(*address), &domain));
        let answering = join_all(answering).await;
        let controllers: Vec<Controller> = found
            .into_iter()
            .zip(answering)
            .map(|((name, address), zone)| Controller { name, address, answers: zone.is_some() })
            .collect();
        let mut zones = vec![domain.clone()];
        if let Some(first) = controllers.iter().find(|controller| controller.answers) {
            let own = self.policy.load_full();
            let subnets = own.file().profiles.iter().flat_map(|profile| &profile.subnets);
            let subnets = subnets.filter_map(|text| text.trim().parse::<IpNet>().ok());
            let candidates = reverse_names(controllers.iter().map(|c| c.address), subnets);
            let asked = candidates.iter().map(|name| knows(Whom::at(first.address), name));
            let known: BTreeSet<String> = join_all(asked).await.into_iter().flatten().collect();
            zones.extend(known);
        }
        Ok(Directory { domain, controllers, zones })
    }
}

/// The controllers of a domain with their addresses, each address once.
async fn controllers(whom: Whom<'_>, domain: &str) -> Vec<(String, IpAddr)> {
    let service = format!("_ldap._tcp.dc._msdcs.{domain}");
    let Some((_, answers, _)) = whom.ask(&service, RecordType::SRV).await else { return Vec::new() };
    let mut names: Vec<String> = Vec::new();
    for record in &answers {
        if let RData::SRV(service) = &record.data {
            let name = Key::from_name(&service.target).to_string();
            if !names.contains(&name) && names.len() < MOST_CONTROLLERS {
                names.push(name);
            }
        }
    }
    let kinds = [RecordType::A, RecordType::AAAA];
    let asked = names.iter().flat_map(|name| kinds.map(|kind| (name, kind)));
    let asked = asked.map(|(name, kind)| async move { (name, whom.ask(name, kind).await) });
    let mut found: Vec<(String, IpAddr)> = Vec::new();
    for (name, answer) in join_all(asked).await {
        let Some((_, answers, _)) = answer else { continue };
        for record in answers {
            let address = match record.data {
                RData::A(four) => IpAddr::V4(four.0),
                RData::AAAA(six) => IpAddr::V6(six.0),
                _ => continue,
            };
            // Those of a link need the link's name beside them.
            let of_link = matches!(address, IpAddr::V6(six) if six.is_unicast_link_local());
            if is_host(address) && !of_link && !found.iter().any(|(_, known)| *known == address) {
                found.push((name.clone(), address));
            }
        }
    }
    found.truncate(MOST_CONTROLLERS);
    found
}

/// The zone that a server says a name lies in, where that is one of the school's.
async fn knows(whom: Whom<'_>, name: &str) -> Option<String> {
    let (rcode, answers, authorities) = whom.ask(name, RecordType::SOA).await?;
    if !matches!(rcode, ResponseCode::NoError | ResponseCode::NXDomain) {
        return None;
    }
    answers.iter().chain(&authorities).find_map(|record| {
        let RData::SOA(soa) = &record.data else { return None };
        let zone = Key::from_name(&record.name);
        // Public resolvers, and those who ask them, say of private addresses that these servers know them.
        let keeper = Key::from_name(&soa.mname).to_string();
        let is_public =
            keeper.ends_with("iana.org") || keeper.ends_with("as112.arpa") || keeper == "localhost";
        let asked = Key::parse(name).ok()?;
        let is_own = asked.is_within(&zone) && zone.depth() >= if name.ends_with(".arpa") { 3 } else { 2 };
        (is_own && !is_public).then(|| zone.to_string())
    })
}

/// The names under which controllers may keep the names of addresses: of their own, and of the school's subnets.
fn reverse_names(
    controllers: impl Iterator<Item = IpAddr>,
    subnets: impl Iterator<Item = IpNet>,
) -> Vec<String> {
    let mut names = BTreeSet::new();
    let mut add = |address: Ipv4Addr| {
        if address.is_private() {
            let [a, b, c, _] = address.octets();
            names.insert(format!("{c}.{b}.{a}.in-addr.arpa"));
        }
    };
    for address in controllers {
        if let IpAddr::V4(address) = address {
            add(address);
        }
    }
    for net in subnets {
        if let IpNet::V4(net) = net {
            add(net.network());
        }
    }
    names.into_iter().take(MOST_REVERSE).collect()
}

/// The name servers that `resolv.conf` names, but for the box itself.
fn name_servers(text: &str) -> Vec<IpAddr> {
    let words = |line: &str| line.strip_prefix("nameserver").map(|rest| rest.trim().parse::<IpAddr>());
    let found = text.lines().filter_map(|line| words(line.trim())).flatten();
    found.filter(|address| is_host(*address)).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_name_servers_are_read_without_the_box_itself() {
        let text = "# x\nnameserver 127.0.0.53\n nameserver 10.20.0.10\nsearch ad.example\nnameserver fd00::1\nnameserver";
        assert_eq!(name_servers(text), ["10.20.0.10".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
    }

    #[test]
    fn reverse_zones_are_looked_for_where_the_school_has_addresses() {
        let controllers = ["10.20.0.10", "fd00::1", "8.8.8.8"].map(|a| a.parse().unwrap());
        let subnets = ["10.20.2.0/24", "192.168.4.0/22", "fd00::/64"].map(|net| net.parse().unwrap());
        let names = reverse_names(controllers.into_iter(), subnets.into_iter());
        assert_eq!(names, ["0.20.10.in-addr.arpa", "2.20.10.in-addr.arpa", "4.168.192.in-addr.arpa"]);
    }

    /// A domain controller of ad.example, which also knows the names of 10.20 and says of 10.30 what the internet says.
    async fn controller(socket: tokio::net::UdpSocket) {
        use hickory_proto::{
            op::{Message, MessageType},
            rr::rdata::{A, SOA, SRV},
        };
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let mut bytes = [0; 2_000];
        loop {
            let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
            let mut message = Message::from_vec(&bytes[..length]).unwrap();
            let query = message.queries[0].clone();
            let asked = query.name().to_lowercase().to_ascii();
            message.metadata.message_type = MessageType::Response;
            let soa = |zone: &str, keeper: &str| {
                let soa = SOA::new(name(keeper), name("x.example."), 1, 1, 1, 1, 1);
                Record::from_rdata(name(zone), 60, RData::SOA(soa))
            };
            match (asked.as_str(), query.query_type()) {
                ("_ldap._tcp.dc._msdcs.ad.example.", RecordType::SRV) => {
                    let service = SRV::new(0, 100, 389, name("DC1.ad.example."));
                    message.answers = vec![Record::from_rdata(query.name().clone(), 60, RData::SRV(service))];
                }
                ("dc1.ad.example.", RecordType::A) => {
                    let address = A::new(192, 0, 2, 10);
                    message.answers = vec![Record::from_rdata(query.name().clone(), 60, RData::A(address))];
                }
                (asked, RecordType::SOA) if asked.ends_with("20.10.in-addr.arpa.") => {
                    message.authorities = vec![soa("20.10.in-addr.arpa.", "dc1.ad.example.")];
                }
                (asked, RecordType::SOA) if asked.ends_with(".arpa.") => {
                    message.authorities = vec![soa("10.in-addr.arpa.", "prisoner.iana.org.")];
                }
                (_, RecordType::SOA) => message.answers = vec![soa("ad.example.", "dc1.ad.example.")],
                _ => {}
            }
            socket.send_to(&message.to_vec().unwrap(), from).await.unwrap();
        }
    }

    #[tokio::test]
    async fn controllers_are_found_and_only_zones_that_they_keep_are_proposed() {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = socket.local_addr().unwrap();
        let serving = tokio::spawn(controller(socket));
        let whom = Whom::Server(at);
        let found = controllers(whom, "ad.example").await;
        assert_eq!(found, [(String::from("dc1.ad.example"), "192.0.2.10".parse().unwrap())]);
        assert!(controllers(whom, "other.example").await.is_empty());
        assert_eq!(knows(whom, "ad.example").await.as_deref(), Some("ad.example"));
        assert_eq!(knows(whom, "2.20.10.in-addr.arpa").await.as_deref(), Some("20.10.in-addr.arpa"));
        assert_eq!(knows(whom, "1.30.10.in-addr.arpa").await, None, "those are nobody's on the internet");
        serving.abort();
    }
}
