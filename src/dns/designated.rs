//! How clients that were only told an address find the encrypted DNS behind it (RFC 9462).

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use hickory_proto::{
    op::ResponseCode,
    rr::{
        Name, RData, Record, RecordType,
        rdata::{
            A, AAAA, SVCB,
            svcb::{Alpn, IpHint, SvcParamKey, SvcParamValue, Unknown},
        },
    },
};

use super::{answer::Reply, encrypted::Encrypted, message::Question};

/// The name that clients ask for.
const ASKED: &str = "_dns.resolver.arpa.";

/// How long clients may keep what they are told: a certificate may be taken out.
const TTL: u32 = 300;

/// The key of the path of DNS over HTTPS (RFC 9461, section 5), which says where the question stands in it.
const DOHPATH: u16 = 7;
const TEMPLATE: &str = "/dns-query{?dns}";

/// Where encrypted DNS is, and under which name.
pub struct Designated {
    served: Encrypted,
    /// The name that the certificate in use has; none where clients would not believe it.
    name: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

impl fmt::Debug for Designated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Designated").field("served", &self.served).finish_non_exhaustive()
    }
}

impl Designated {
    /// What is served, and what gives the name for it at any moment.
    #[must_use]
    pub fn new(served: Encrypted, name: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self { served, name: Box::new(name) }
    }

    /// The reply to who asks at this address for encrypted DNS; none where there is nothing to be told, or something else
    /// was asked.
    pub(super) fn reply(&self, question: &Question, at: IpAddr) -> Option<Reply> {
        let query = &question.query;
        if query.query_type() != RecordType::SVCB || !query.name().to_ascii().eq_ignore_ascii_case(ASKED) {
            return None;
        }
        let name = Name::from_ascii((self.name)()?).ok()?;
        let kinds = [
            (&self.served.tls, "dot", 853),
            (&self.served.quic, "doq", 853),
            (&self.served.https, "h2", 443),
        ];
        let served = kinds.into_iter().filter_map(|(addresses, protocol, usual)| {
            let port = addresses.iter().find(|address| is_at(address, at))?.port();
            Some((protocol, (port != usual).then_some(port)))
        });
        let answers: Vec<Record> = (1..)
            .zip(served)
            .map(|(priority, (protocol, port))| {
                let data = SVCB::new(priority, name.clone(), parameters(protocol, port, at));
                Record::from_rdata(query.name().clone(), TTL, RData::SVCB(data))
            })
            .collect();
        (!answers.is_empty()).then(|| Reply { answers, ..Reply::empty(ResponseCode::NoError) })
    }
}

/// Whether who listens there is reached at an address of ours.
fn is_at(listening: &SocketAddr, at: IpAddr) -> bool {
    listening.ip() == at || (listening.ip().is_unspecified() && listening.is_ipv4() == at.is_ipv4())
}

fn parameters(protocol: &str, port: Option<u16>, at: IpAddr) -> Vec<(SvcParamKey, SvcParamValue)> {
    let mut all = vec![(SvcParamKey::Alpn, SvcParamValue::Alpn(Alpn(vec![protocol.to_owned()])))];
    all.extend(port.map(|port| (SvcParamKey::Port, SvcParamValue::Port(port))));
    all.push(match at {
        IpAddr::V4(v4) => (SvcParamKey::Ipv4Hint, SvcParamValue::Ipv4Hint(IpHint(vec![A(v4)]))),
        IpAddr::V6(v6) => (SvcParamKey::Ipv6Hint, SvcParamValue::Ipv6Hint(IpHint(vec![AAAA(v6)]))),
    });
    if protocol == "h2" {
        let template = Unknown(TEMPLATE.as_bytes().to_vec());
        all.push((SvcParamKey::Unknown(DOHPATH), SvcParamValue::Unknown(template)));
    }
    all
}

#[cfg(test)]
mod tests {
    use hickory_proto::{
        op::{Message, Query},
        rr::DNSClass,
    };

    use super::*;

    fn question(name: &str, qtype: RecordType) -> Question {
        let mut query = Query::query(Name::from_ascii(name).unwrap(), qtype);
        query.set_query_class(DNSClass::IN);
        Question {
            id: 0,
            recursion_desired: true,
            authentic_data: false,
            checking_disabled: false,
            query,
            edns: None,
        }
    }

    fn served(tls: &[&str], https: &[&str], quic: &[&str]) -> Encrypted {
        let all = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Encrypted { tls: all(tls), https: all(https), quic: all(quic) }
    }

    /// The records as text, after a way over the wire.
    fn said(designated: &Designated, at: &str) -> Vec<String> {
        let asked = question("_DNS.resolver.arpa.", RecordType::SVCB);
        let Some(reply) = designated.reply(&asked, at.parse().unwrap()) else { return Vec::new() };
        let room =
            super::super::answer::Room { udp_size: 1232, stream: false, keepalive: None, padded: false };
        let message = Message::from_vec(&reply.encode(&asked, room)).unwrap();
        message.answers.iter().map(|record| record.data.to_string()).collect()
    }

    #[test]
    fn what_is_served_at_the_address_that_was_asked_is_told() {
        let served =
            served(&["0.0.0.0:853", "[::]:853"], &["10.0.0.2:8443", "10.0.0.3:443"], &["10.0.0.2:853"]);
        let designated = Designated::new(served, || Some(String::from("dns.school.example")));
        let all = said(&designated, "10.0.0.2");
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all[0].starts_with("1 dns.school.example") && all[0].contains("alpn=dot"), "{all:?}");
        assert!(all[0].contains("10.0.0.2") && !all[0].contains("port"), "{all:?}");
        assert!(all[1].starts_with("2 ") && all[1].contains("doq"), "{all:?}");
        assert!(all[2].starts_with("3 ") && all[2].contains("h2") && all[2].contains("port=8443"), "{all:?}");
        let all = said(&designated, "10.0.0.3");
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all[1].starts_with("2 ") && all[1].contains("h2") && !all[1].contains("port"), "{all:?}");
        assert_eq!(said(&designated, "2001:db8::1").len(), 1);
    }

    #[test]
    fn without_a_name_or_a_service_nothing_is_told() {
        let at: IpAddr = "10.0.0.2".parse().unwrap();
        let named = || Some(String::from("dns.school.example"));
        assert!(said(&Designated::new(served(&["0.0.0.0:853"], &[], &[]), || None), "10.0.0.2").is_empty());
        assert!(said(&Designated::new(served(&[], &[], &[]), named), "10.0.0.2").is_empty());
        let designated = Designated::new(served(&["0.0.0.0:853"], &[], &[]), named);
        for (name, qtype) in [
            ("_dns.resolver.arpa.", RecordType::A),
            ("resolver.arpa.", RecordType::SVCB),
            ("_dns.example.", RecordType::SVCB),
        ] {
            assert!(designated.reply(&question(name, qtype), at).is_none(), "{name}");
        }
    }
}
