//! A line of the log as people and programs get it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{day::Place, event::Action};

/// One question, with its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Entry {
    /// Where it stands; entries are in the order of time.
    #[schemars(with = "String")]
    pub place: Place,
    /// When it arrived, to the millisecond.
    pub time: Timestamp,
    /// The address that asked, or a pseudonym.
    pub client: String,
    /// The name that the school gave the device; empty where it has none.
    pub device: String,
    /// The device's link-layer address; empty where it was not known.
    pub mac: String,
    /// The profile's identifier; empty where it was refused before.
    pub profile: String,
    /// What the device was recognised by: `mac`, `address`, `subnet`, `fallback`.
    pub known_by: String,
    /// How sure it is that it was this device: `high`, `medium`, `low`, `none`.
    pub confidence: String,
    /// From when to when the address was leased to the device, where that is known.
    pub lease: Option<(Timestamp, Timestamp)>,
    /// The name asked; a digest where it must not be shown.
    pub name: String,
    /// The type asked.
    pub qtype: String,
    /// How it ended.
    pub rcode: String,
    /// What happened.
    pub action: Action,
    /// What decided, in a word.
    pub reason: String,
    /// The category that decided; empty where none did.
    pub category: String,
    /// The list that decided; empty where none did.
    pub list: String,
    /// The school's rule, service, lesson or schedule; empty where none decided.
    pub rule: String,
    /// The alias, address or name server that decided; empty where none did.
    pub detail: String,
    /// In a profile that only watches: why it would have been blocked.
    pub would: String,
    /// All categories of the name, joined by spaces.
    pub categories: String,
    /// Whether the answer is proven: `secure`, `insecure`, `bogus`, `indeterminate`, or empty.
    pub dnssec: String,
    /// Where the answer came from: `policy`, `local`, `cache`, `stale`, `upstream`.
    pub source: String,
    /// How it came: `udp`, `tcp`, `tls`, `https`, `quic`.
    pub transport: String,
    /// Whether somebody may have to look at it.
    pub alert: bool,
    /// How long it took, in microseconds.
    pub took_us: u32,
}

impl Entry {
    /// The columns of an export, in the order of [`fields`](Self::fields).
    pub const COLUMNS: [&str; 23] = [
        "time",
        "client",
        "device",
        "mac",
        "profile",
        "known_by",
        "confidence",
        "lease_from",
        "lease_until",
        "name",
        "qtype",
        "rcode",
        "action",
        "reason",
        "category",
        "list",
        "rule",
        "detail",
        "would",
        "categories",
        "dnssec",
        "source",
        "took_us",
    ];

    /// The values of an export, in the order of [`COLUMNS`](Self::COLUMNS).
    #[must_use]
    pub fn fields(&self) -> [String; 23] {
        let (from, until) = match self.lease {
            Some((from, until)) => (from.to_string(), until.to_string()),
            None => (String::new(), String::new()),
        };
        [
            self.time.to_string(),
            self.client.clone(),
            self.device.clone(),
            self.mac.clone(),
            self.profile.clone(),
            self.known_by.clone(),
            self.confidence.clone(),
            from,
            until,
            self.name.clone(),
            self.qtype.clone(),
            self.rcode.clone(),
            self.action.word().to_owned(),
            self.reason.clone(),
            self.category.clone(),
            self.list.clone(),
            self.rule.clone(),
            self.detail.clone(),
            self.would.clone(),
            self.categories.clone(),
            self.dnssec.clone(),
            self.source.clone(),
            self.took_us.to_string(),
        ]
    }
}
