//! Notices of new zone versions (RFC 1996), which are no questions: they are handed on as they came.

use std::{fmt, net::IpAddr};

/// The operation of a notice.
const NOTIFY: u8 = 4;

/// What is said to a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeReply {
    /// The bytes of the answer.
    pub bytes: Vec<u8>,
    /// Whether whoever takes notices knows the sender, who is then answered wherever he is. Others are answered only
    /// within the networks of `dns.allow`.
    pub known: bool,
}

type Take = dyn Fn(&[u8], IpAddr) -> Option<NoticeReply> + Send + Sync;

/// Whoever takes notices; nobody, until one is set.
#[derive(Default)]
pub(super) struct Notices(Option<Box<Take>>);

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Notices(taken)" } else { "Notices(not taken)" })
    }
}

impl Notices {
    pub(super) fn by(take: impl Fn(&[u8], IpAddr) -> Option<NoticeReply> + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(take)))
    }

    /// Hands a packet on that is a notice; none when it is something else, or nobody takes notices.
    pub(super) fn take(&self, packet: &[u8], from: IpAddr) -> Option<NoticeReply> {
        let take = self.0.as_ref()?;
        // A request, not an answer, of this operation.
        let is_notice = packet.len() >= 12 && packet[2] >> 3 == NOTIFY;
        if is_notice { take(packet, from) } else { None }
    }
}
