//! Finds the servers of lists with the box's own resolver: no policy stands between the box and its lists, and no
//! system setting either.

use std::{io, net::IpAddr, sync::Arc};

use hickory_proto::{
    op::Query,
    rr::{Name, RData, RecordType},
};

use crate::{
    feeds::http::{Looking, Lookup},
    resolver::{Ask, Resolver},
};

/// Looks names up with the box's resolver.
#[derive(Debug, Clone)]
pub struct OwnLookup(pub Arc<Resolver>);

impl Lookup for OwnLookup {
    fn lookup(&self, host: &str) -> Looking {
        let resolver = Arc::clone(&self.0);
        let name = Name::from_utf8(host);
        Box::pin(async move {
            let mut name = name.map_err(io::Error::other)?;
            name.set_fqdn(true);
            let four = resolver.resolve(&Query::query(name.clone(), RecordType::A), Ask::default()).await;
            let six = resolver.resolve(&Query::query(name, RecordType::AAAA), Ask::default()).await;
            let found: Vec<IpAddr> = four
                .answers
                .iter()
                .chain(&six.answers)
                .filter_map(|record| match &record.data {
                    RData::A(address) => Some(IpAddr::V4(address.0)),
                    RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                    _ => None,
                })
                .collect();
            if found.is_empty() {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("the answer was {}", four.rcode),
                ));
            }
            Ok(found)
        })
    }
}
