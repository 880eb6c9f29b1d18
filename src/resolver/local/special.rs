//! Names that never go to the internet: special-use names and locally served reverse zones.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{
    Name, RData, RecordType,
    rdata::{A, AAAA, PTR},
};

/// What is answered for a special name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    /// Nothing exists, the name itself included.
    Nothing,
    /// The name exists and has no records; nothing exists below it.
    Empty,
    /// The name and everything below exists and has no records.
    NoData,
    /// The name and everything below is this machine (RFC 6761, section 6.3).
    Localhost,
    /// The name is the reverse of a loopback address; nothing exists below it.
    LocalhostReverse,
    /// The name has the well-known addresses of RFC 7050; nothing exists below it.
    Ipv4Only,
}

impl Special {
    /// What a name in this zone has, or nothing when the name does not exist.
    ///
    /// `depth` is the name's, `apex` is the zone's.
    pub(super) fn records(self, depth: usize, apex: usize, rtype: RecordType) -> Option<Vec<RData>> {
        let at_apex = depth == apex;
        match self {
            Self::Nothing => None,
            Self::Empty => at_apex.then(Vec::new),
            Self::NoData => Some(Vec::new()),
            Self::Localhost => Some(match rtype {
                RecordType::A => vec![RData::A(A(Ipv4Addr::LOCALHOST))],
                RecordType::AAAA => vec![RData::AAAA(AAAA(Ipv6Addr::LOCALHOST))],
                _ => Vec::new(),
            }),
            Self::LocalhostReverse => at_apex.then(|| match rtype {
                RecordType::PTR => vec![RData::PTR(PTR(localhost()))],
                _ => Vec::new(),
            }),
            Self::Ipv4Only => at_apex.then(|| match rtype {
                RecordType::A => vec![
                    RData::A(A(Ipv4Addr::new(192, 0, 0, 170))),
                    RData::A(A(Ipv4Addr::new(192, 0, 0, 171))),
                ],
                _ => Vec::new(),
            }),
        }
    }
}

fn localhost() -> Name {
    Name::from_ascii("localhost.").expect("a valid name")
}

/// Every special name, and what is answered for it.
pub(super) fn zones() -> Vec<(String, Special)> {
    let mut zones: Vec<(String, Special)> =
        NAMES.iter().map(|&(name, kind)| (name.to_owned(), kind)).collect();
    zones.extend(REVERSE.iter().map(|&name| (name.to_owned(), Special::Empty)));
    zones.extend((16..32).map(|n| (format!("{n}.172.in-addr.arpa"), Special::Empty)));
    zones.extend((64..128).map(|n| (format!("{n}.100.in-addr.arpa"), Special::Empty)));
    zones.push((String::from("1.0.0.127.in-addr.arpa"), Special::LocalhostReverse));
    zones.push((format!("{}ip6.arpa", "0.".repeat(32)), Special::Empty));
    zones.push((format!("1.{}ip6.arpa", "0.".repeat(31)), Special::LocalhostReverse));
    zones
}

const NAMES: &[(&str, Special)] = &[
    ("localhost", Special::Localhost),    // RFC 6761
    ("invalid", Special::Nothing),        // RFC 6761
    ("test", Special::Nothing),           // RFC 6761
    ("local", Special::Nothing),          // RFC 6762
    ("onion", Special::Nothing),          // RFC 7686
    ("alt", Special::Nothing),            // RFC 9476
    ("home.arpa", Special::Empty),        // RFC 8375
    ("ipv4only.arpa", Special::Ipv4Only), // RFC 8880
    ("resolver.arpa", Special::NoData),   // RFC 9462
    ("service.arpa", Special::Empty),     // RFC 9665
    ("empty.as112.arpa", Special::Empty), // RFC 7535
];

/// The registry of locally-served DNS zones (RFC 6303, with RFC 7793 added below, and RFC 9637).
const REVERSE: &[&str] = &[
    "10.in-addr.arpa",
    "168.192.in-addr.arpa",
    "0.in-addr.arpa",
    "127.in-addr.arpa",
    "254.169.in-addr.arpa",
    "2.0.192.in-addr.arpa",
    "100.51.198.in-addr.arpa",
    "113.0.203.in-addr.arpa",
    "255.255.255.255.in-addr.arpa",
    "d.f.ip6.arpa",
    "8.e.f.ip6.arpa",
    "9.e.f.ip6.arpa",
    "a.e.f.ip6.arpa",
    "b.e.f.ip6.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
    "0.f.f.f.3.ip6.arpa",
];
