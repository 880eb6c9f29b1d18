//! Where recursion starts: the root servers' addresses and the root's keys.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use hickory_proto::{
    dnssec::TrustAnchors,
    rr::{Name, RData},
    serialize::txt::Parser,
};

use crate::resolver::config::{ResolverError, Source};

/// The root servers a to m (IANA's `named.root` of 2025), IPv4 before IPv6.
const BUILT_IN: [IpAddr; 26] = [
    v4(198, 41, 0, 4),
    v4(170, 247, 170, 2),
    v4(192, 33, 4, 12),
    v4(199, 7, 91, 13),
    v4(192, 203, 230, 10),
    v4(192, 5, 5, 241),
    v4(192, 112, 36, 4),
    v4(198, 97, 190, 53),
    v4(192, 36, 148, 17),
    v4(192, 58, 128, 30),
    v4(193, 0, 14, 129),
    v4(199, 7, 83, 42),
    v4(202, 12, 27, 33),
    v6([0x2001, 0x503, 0xba3e, 0, 0, 0, 0x2, 0x30]),
    v6([0x2801, 0x1b8, 0x10, 0, 0, 0, 0, 0xb]),
    v6([0x2001, 0x500, 0x2, 0, 0, 0, 0, 0xc]),
    v6([0x2001, 0x500, 0x2d, 0, 0, 0, 0, 0xd]),
    v6([0x2001, 0x500, 0xa8, 0, 0, 0, 0, 0xe]),
    v6([0x2001, 0x500, 0x2f, 0, 0, 0, 0, 0xf]),
    v6([0x2001, 0x500, 0x12, 0, 0, 0, 0, 0xd0d]),
    v6([0x2001, 0x500, 0x1, 0, 0, 0, 0, 0x53]),
    v6([0x2001, 0x7fe, 0, 0, 0, 0, 0, 0x53]),
    v6([0x2001, 0x503, 0xc27, 0, 0, 0, 0x2, 0x30]),
    v6([0x2001, 0x7fd, 0, 0, 0, 0, 0, 0x1]),
    v6([0x2001, 0x500, 0x9f, 0, 0, 0, 0, 0x42]),
    v6([0x2001, 0xdc3, 0, 0, 0, 0, 0, 0x35]),
];

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(s: [u16; 8]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]))
}

/// The addresses of the root servers.
pub(super) fn hints(source: &Source) -> Result<Vec<IpAddr>, ResolverError> {
    const KEY: &str = "root_hints";
    let path = match source {
        Source::BuiltIn => return Ok(BUILT_IN.to_vec()),
        Source::File(path) => path,
    };
    let text = read(KEY, path)?;
    let wrong = |reason: String| ResolverError::File { key: KEY, path: path.clone(), reason };
    let (_, sets) = Parser::new(text, Some(path.clone()), Some(Name::root()))
        .parse()
        .map_err(|error| wrong(format!("not a file of root hints, such as IANA's named.root: {error}")))?;
    let mut hints: Vec<IpAddr> = sets
        .values()
        .flat_map(|set| set.records_without_rrsigs())
        .filter_map(|record| RData::ip_addr(&record.data))
        .collect();
    hints.sort_by_key(IpAddr::is_ipv6);
    hints.dedup();
    if hints.is_empty() {
        return Err(wrong("has no addresses; it needs the A or AAAA records of the root servers".into()));
    }
    Ok(hints)
}

/// The keys that validation starts from; nothing stands for the built-in ones.
pub(super) fn anchors(source: &Source) -> Result<TrustAnchors, ResolverError> {
    const KEY: &str = "trust_anchor";
    let path = match source {
        Source::BuiltIn => return Ok(TrustAnchors::default()),
        Source::File(path) => path,
    };
    let mut text = read(KEY, path)?;
    text.push('\n');
    let wrong = |reason: String| ResolverError::File { key: KEY, path: path.clone(), reason };
    let anchors: TrustAnchors = text.parse().map_err(|error| {
        wrong(format!("not a file of DNSKEY records (DS records are not enough): {error}"))
    })?;
    if anchors.is_empty() {
        return Err(wrong("has no key of the root; it needs lines like \". IN DNSKEY 257 3 8 ...\"".into()));
    }
    Ok(anchors)
}

fn read(key: &'static str, path: &Path) -> Result<String, ResolverError> {
    fs::read_to_string(path).map_err(|source| ResolverError::Read { key, path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str) -> (tempfile::TempDir, Source) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, content).unwrap();
        (folder, Source::File(path))
    }

    #[test]
    fn the_built_in_hints_are_thirteen_servers_twice() {
        let hints = hints(&Source::BuiltIn).unwrap();
        assert_eq!(hints.iter().filter(|address| address.is_ipv4()).count(), 13);
        assert_eq!(hints.iter().filter(|address| address.is_ipv6()).count(), 13);
    }

    #[test]
    fn hints_are_read_from_a_file() {
        let (_folder, source) = file(
            "; root\n.  3600000 NS a.root.example.\na.root.example. 3600000 AAAA 2001:db8::1\na.root.example. 3600000 A 192.0.2.1\n",
        );
        let expected: Vec<IpAddr> = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        assert_eq!(hints(&source).unwrap(), expected);
    }

    #[test]
    fn bad_files_are_refused_with_a_reason() {
        let (_folder, source) = file(". 3600000 NS a.root.example.\n");
        assert!(hints(&source).unwrap_err().to_string().contains("has no addresses"));
        let (_folder, source) = file("<html>\n");
        assert!(hints(&source).unwrap_err().to_string().contains("not a file of root hints"));
        assert!(anchors(&source).err().unwrap().to_string().contains("not a file of DNSKEY records"));
        let (_folder, source) = file("; nothing\n");
        assert!(anchors(&source).err().unwrap().to_string().contains("has no key of the root"));
        let (_folder, source) =
            file(". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n");
        assert!(anchors(&source).err().unwrap().to_string().contains("DS records are not enough"));
    }
}
