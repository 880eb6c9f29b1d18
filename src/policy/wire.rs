//! A decision as extended errors tell it (RFC 8914, and the structured texts of draft-ietf-dnsop-structured-dns-error).

use serde::Serialize;

use super::{BlockResponse, Decision, Listed, Policy, Question, Reason, Verdict};
use crate::{clients::Client, ede::EdeCode};

/// The keys of a structured error, in the draft's order.
#[derive(Serialize)]
struct Structured<'a> {
    /// Whom to ask; the draft wants at least one, and clients drop a text without it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    c: Vec<&'a str>,
    /// Why.
    j: String,
    /// The sub-error.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<u8>,
    /// Who filters.
    #[serde(skip_serializing_if = "str::is_empty")]
    o: &'a str,
}

/// Sub-errors of the draft's registry.
const MALWARE: u8 = 1;
const PHISHING: u8 = 2;
const SPYWARE: u8 = 4;
const NETWORK_OPERATOR: u8 = 5;

impl Policy {
    /// The extended error that explains a decision on the wire; none for a plain allow.
    ///
    /// 15 Blocked: the school's own decision (rules, lessons, suspended devices, approved names only) and canaries. 16
    /// Censored: locked. 17 Filtered: everything that services, categories and the review of answers block. 4 Forged
    /// Answer: rewrites.
    #[must_use]
    pub fn ede(&self, decision: &Decision) -> Option<EdeCode> {
        match &decision.verdict {
            Verdict::Allow => None,
            Verdict::Rewrite(_) => Some(EdeCode::ForgedAnswer),
            // The resolver's own zone has no such records; nothing was blocked.
            Verdict::Block(BlockResponse::NoData) if decision.reason == Reason::Canary => None,
            Verdict::Block(_) => Some(code(&decision.reason)),
        }
    }

    /// The text of an extended error for a client that can read structured ones: one line of JSON.
    #[must_use]
    pub fn structured_error(&self, decision: &Decision, question: &Question, client: &Client) -> String {
        let sub_error = list_behind(&decision.reason).and_then(|listed| {
            match self.category(listed.category)?.id.as_str() {
                "malware" | "cryptomining" => Some(MALWARE),
                "phishing" => Some(PHISHING),
                "stalkerware" => Some(SPYWARE),
                _ => None,
            }
        });
        // The registry has no other number that goes with Filtered or Censored.
        let general = (self.ede(decision) == Some(EdeCode::Blocked)).then_some(NETWORK_OPERATOR);
        let structured = Structured {
            c: self.file.contact.iter().map(String::as_str).collect(),
            j: self.explain(decision, question, client),
            s: sub_error.or(general),
            o: &self.file.school,
        };
        // Texts and numbers only, so there is always a JSON form.
        serde_json::to_string(&structured).unwrap_or_default()
    }
}

fn code(reason: &Reason) -> EdeCode {
    match reason {
        Reason::Locked(_) | Reason::LockedAddress { .. } => EdeCode::Censored,
        Reason::NameServer(by) if by.locked => EdeCode::Censored,
        Reason::Alias { because, .. } => code(because),
        Reason::Suspended
        | Reason::Lesson(_)
        | Reason::Canary
        | Reason::BlockRule(_)
        | Reason::AllowRule(_)
        | Reason::Exception(_)
        | Reason::AllowOnly => EdeCode::Blocked,
        Reason::Essential
        | Reason::Approved
        | Reason::BlockService(_)
        | Reason::AllowService(_)
        | Reason::Category(_)
        | Reason::Schedule(_)
        | Reason::Uncategorised
        | Reason::NewlySeen { .. }
        | Reason::SafeSearch(_)
        | Reason::Address { .. }
        | Reason::NameServer(_)
        | Reason::Rebinding(_)
        | Reason::Default => EdeCode::Filtered,
    }
}

/// The list behind a reason.
pub(crate) fn list_behind(reason: &Reason) -> Option<&Listed> {
    match reason {
        Reason::Locked(listed)
        | Reason::Category(listed)
        | Reason::Schedule(listed)
        | Reason::Address { listed, .. }
        | Reason::LockedAddress { listed, .. } => Some(listed),
        Reason::NameServer(by) => Some(&by.listed),
        Reason::Alias { because, .. } => list_behind(because),
        _ => None,
    }
}
