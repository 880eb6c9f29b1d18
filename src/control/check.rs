//! What happens to a name, why, and what would change it: the same engine as the server's, asked on paper.

use std::{fmt, net::IpAddr, str::FromStr};

use hickory_proto::{
    op::Query,
    rr::{Name, RData, Record, RecordType},
};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{Control, ControlError};
use crate::{
    clients::Client,
    delegation::Delegation,
    name::{Key, dotted},
    policy::{Action, Answer, Decision, FirstAsked, Policy, Question, Reason, RuleRef, Server, Verdict},
    resolver::{Ask, Resolved, Resolver, Security},
    vault::Digest,
};

/// An address that no school has (RFC 5737), for a client that is not known.
const NOBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// A question on paper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// The name.
    pub name: String,
    /// The type, as `A` or `HTTPS`.
    pub r#type: String,
    /// As whom.
    pub who: Asker,
    /// When; now, if not said.
    pub at: Option<Timestamp>,
    /// Whether to resolve the name and look at its aliases and addresses.
    pub resolve: bool,
}

/// As whom a question on paper is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asker {
    /// A client at this address.
    Address(IpAddr),
    /// Some client of this profile.
    Profile(String),
    /// A client that no subnet knows.
    Unknown,
}

/// What happens to a question, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckReport {
    /// The name, in A-label form; a digest of the listed name, where that must not be shown.
    pub name: String,
    /// Whether the name is on a list that must not be shown, and the digest stands for it.
    #[serde(default)]
    pub sealed: bool,
    /// The type.
    pub r#type: String,
    /// The client's address, where one was given.
    pub client: Option<IpAddr>,
    /// The profile's identifier.
    pub profile: String,
    /// The profile's title.
    pub profile_title: String,
    /// No subnet or device knows the client, so it has the fallback profile.
    pub unknown_client: bool,
    /// The time that was decided for.
    pub at: Timestamp,
    /// `allow`, `block` or `rewrite`.
    pub verdict: String,
    /// How a block looks on the wire, or the name that a rewrite leads to.
    pub response: Option<String>,
    /// The reason's word: `locked`, `category`, `block-rule`, `alias`, …
    pub reason: String,
    /// The identifier of the category that decided.
    pub category: Option<String>,
    /// All categories of the name and its parents.
    pub categories: Vec<String>,
    /// Each list that has the name or a parent.
    pub lists: Vec<ListedOn>,
    /// The service whose switch decided: its identifier and its title.
    #[serde(default)]
    pub service: Option<String>,
    /// The school's rule that decided.
    pub rule: Option<String>,
    /// The aliases and addresses that the name led to, in order, then the name servers of the zones that the answer came
    /// from; empty when it was not resolved.
    pub path: Vec<Hop>,
    /// How resolving ended, when it was tried: the rcode and whether it is proven.
    pub resolution: Option<String>,
    /// The domain that someone registered, which the next is about, or its digest; none for local names.
    pub domain: Option<String>,
    /// The day on which this school first asked for anything of that domain; none for never.
    pub first_asked: Option<Date>,
    /// Those of the categories, `uncategorised` and `newly-seen` among them, that the profile wants reported.
    pub reported: Vec<String>,
    /// In a profile that only watches: what would have been done.
    pub would_block: Option<String>,
    /// In plain English.
    pub explanation: String,
    /// What would change it, in plain English.
    pub advice: Vec<String>,
}

/// A list that has a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListedOn {
    /// The list's identifier.
    pub list: String,
    /// Its title.
    pub title: String,
    /// Its category.
    pub category: String,
    /// A checksum of its rules.
    pub version: String,
    /// The number of its version; none for the starter lists.
    pub number: Option<u32>,
    /// The name as listed: the one asked or a parent; a digest, where it must not be shown.
    pub entry: String,
    /// Whether it opens rather than blocks.
    pub allow: bool,
    /// Whether it speaks of the zones that have such a name server, not of the name.
    #[serde(default)]
    pub of_servers: bool,
    /// The line in the list, from 1, where its text is at hand.
    pub line: Option<u64>,
    /// That line.
    pub text: Option<String>,
}

/// A step from the name asked to an address, or (`NS`) a zone on the way with its name servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Hop {
    /// `CNAME`, `DNAME`, `HTTPS`, `A` …
    pub r#type: String,
    /// Where it leads.
    pub to: String,
}

impl CheckReport {
    /// Whether the client does not get what it asked for.
    #[must_use]
    pub fn blocked(&self) -> bool {
        self.verdict == "block"
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.explanation)?;
        writeln!(f)?;
        let client = match (self.client, self.unknown_client) {
            (Some(client), true) => format!(" (the fallback: no subnet has {client})"),
            (None, true) => String::from(" (the fallback, for clients that no subnet has)"),
            (Some(client), false) => format!(" (client {client})"),
            (None, false) => String::new(),
        };
        writeln!(f, "  profile     {} “{}”{client}", self.profile, self.profile_title)?;
        let whose = if self.sealed { "the name that you asked about, " } else { "" };
        writeln!(f, "  asked       {whose}{} {} at {}", self.name, self.r#type, self.at)?;
        match &self.response {
            Some(response) => writeln!(f, "  verdict     {} ({response})", self.verdict)?,
            None => writeln!(f, "  verdict     {}", self.verdict)?,
        }
        writeln!(f, "  reason      {}", self.reason)?;
        if let Some(category) = &self.category {
            writeln!(f, "  category    {category}")?;
        }
        if self.categories.len() > 1 || (self.category.is_none() && !self.categories.is_empty()) {
            writeln!(f, "  categories  {}", self.categories.join(", "))?;
        }
        for list in &self.lists {
            let way = if list.allow { "allowed by" } else { "listed by" };
            write!(f, "  {way:<10}  {} ({})", list.list, list.title)?;
            if let Some(number) = list.number {
                write!(f, ", version {number}")?;
            }
            match (&list.line, &list.text) {
                (Some(line), Some(text)) => writeln!(f, ", line {line}: {}", text.trim())?,
                _ => writeln!(f, ", as {}", list.entry)?,
            }
        }
        if let Some(service) = &self.service {
            writeln!(f, "  service     {service}")?;
        }
        if let Some(rule) = &self.rule {
            writeln!(f, "  rule        {rule}")?;
        }
        for hop in &self.path {
            let way = if hop.r#type == "NS" { "served by" } else { "leads to" };
            writeln!(f, "  {way:<10}  {} {}", hop.r#type, hop.to)?;
        }
        if let Some(resolution) = &self.resolution {
            writeln!(f, "  resolved    {resolution}")?;
        }
        match (&self.domain, self.first_asked) {
            (Some(domain), Some(day)) => {
                writeln!(f, "  first asked for at this school on {day} ({domain})")?;
            }
            (Some(domain), None) => {
                writeln!(
                    f,
                    "  first asked for at this school: never ({domain}; blocked questions don't count)"
                )?;
            }
            (None, _) => {}
        }
        if !self.reported.is_empty() {
            writeln!(f, "  reported    {}", self.reported.join(", "))?;
        }
        if let Some(would) = &self.would_block {
            writeln!(f, "  would block {would}")?;
        }
        if !self.advice.is_empty() {
            writeln!(f, "\nWhat would change it:")?;
            for line in &self.advice {
                writeln!(f, "  - {line}")?;
            }
        }
        Ok(())
    }
}

/// Decides a question on paper and, where it is allowed and `resolver` is given, resolves and reviews it.
pub(super) async fn check(
    control: &Control,
    policy: &Policy,
    resolver: Option<&Resolver>,
    request: &CheckRequest,
    now: Timestamp,
) -> Result<CheckReport, ControlError> {
    let bad = |message: String| ControlError::Input(message);
    let key = Key::parse(&request.name).map_err(|e| bad(format!("{:?}: {e}", request.name)))?;
    let qtype = RecordType::from_str(&request.r#type).map_err(|_| {
        bad(format!("{:?} is not a type; A, AAAA, HTTPS, TXT and MX are some", request.r#type))
    })?;
    let client = match &request.who {
        Asker::Address(address) => policy.identify(*address, control.neighbour(*address)),
        Asker::Profile(id) => {
            let profile = policy.find_profile(id).ok_or_else(|| {
                let known: Vec<&str> = policy.profiles().map(|(_, profile)| profile.id.as_str()).collect();
                bad(format!("there is no profile {id:?}; there are {}", known.join(", ")))
            })?;
            Client { address: NOBODY, mac: None, device: None, profile, unknown: false }
        }
        Asker::Unknown => policy.identify(NOBODY, None),
    };
    let at = request.at.unwrap_or(now);
    let first_asked = first_asked(control, &key, qtype, at);
    let question = Question { key, qtype, first_asked };
    let mut decision = policy.decide(&question, &client, at);
    let mut path = Vec::new();
    let mut resolution = None;
    let asked = match &decision.verdict {
        Verdict::Block(_) => None,
        // Answered minimally, whatever there is.
        Verdict::Allow if qtype == RecordType::ANY => None,
        Verdict::Allow => Some(
            Name::from_ascii(format!("{}.", question.key))
                .map_err(|e| bad(format!("{:?}: {e}", request.name)))?,
        ),
        // The other types of a rewritten name have no data.
        Verdict::Rewrite(target) => {
            matches!(qtype, RecordType::A | RecordType::AAAA | RecordType::HTTPS).then(|| target.name.clone())
        }
    };
    if let (Some(name), Some(resolver)) = (asked, resolver) {
        if let Verdict::Rewrite(target) = &decision.verdict {
            path.push(Hop { r#type: String::from("CNAME"), to: target.name.to_string() });
        }
        let resolved = resolver.resolve(&Query::query(name, qtype), Ask::default()).await;
        path.extend(resolved.answers.iter().filter_map(hop));
        path.extend(resolved.delegations.iter().map(served_by));
        for hop in &mut path {
            hop.to = policy.masked(&hop.to).into_owned();
        }
        resolution = Some(policy.masked(&ending(&resolved)).into_owned());
        let answer = Answer {
            records: &resolved.answers,
            delegations: &resolved.delegations,
            own_zone: resolved.own_zone,
        };
        let review = policy.review(&question, &client, &decision, &answer, at);
        if let Some(block) = review.block {
            decision = block;
        } else if decision.would_block.is_none() {
            decision.would_block = review.would_block.map(Box::new);
        }
        // Where a name that must not be shown leads is nobody's business either.
        if policy.is_sealed(&decision) {
            let last = path.iter().position(|hop| hop.to.contains(Digest::PREFIX));
            path.truncate(last.map_or(0, |place| place + 1));
        }
    }
    let (profile, profile_title) = policy.profile(client.profile);
    let categories = policy.categories();
    let domain = domain(policy, &question);
    let (verdict, response) = match &decision.verdict {
        Verdict::Allow => ("allow", None),
        Verdict::Block(response) => ("block", Some(response.word().to_owned())),
        Verdict::Rewrite(target) => ("rewrite", Some(target.name.to_string())),
    };
    Ok(CheckReport {
        name: policy.shown(&question.key),
        sealed: policy.sealed_name(&question.key).is_some(),
        r#type: qtype.to_string(),
        client: matches!(request.who, Asker::Address(_)).then_some(client.address),
        profile: profile.to_owned(),
        profile_title: profile_title.to_owned(),
        unknown_client: client.unknown,
        at,
        verdict: verdict.to_owned(),
        response,
        reason: decision.reason.word().to_owned(),
        category: policy.deciding_category(&decision).map(|id| categories.get(id).id.clone()),
        categories: categories.ids(decision.categories).into_iter().map(str::to_owned).collect(),
        lists: match subject(&decision.reason, &question.key) {
            Some((key, of_servers)) => listed_on(control, policy, key, of_servers),
            None => Vec::new(),
        },
        service: service(policy, &decision.reason),
        rule: rule(policy, &decision),
        path,
        resolution,
        first_asked: match question.first_asked {
            FirstAsked::On { day, .. } if domain.is_some() => Some(day.date()),
            _ => None,
        },
        domain,
        reported: categories.ids(decision.reported).into_iter().map(str::to_owned).collect(),
        would_block: decision.would_block.as_ref().map(|reason| reason.word().to_owned()),
        explanation: policy.explain(&decision, &question, &client),
        advice: policy.advice(&decision, &question, &client),
    })
}

/// The domain that someone registered, of a name whose age is known: as it may be shown.
///
/// None also where only a name below the domain must not be shown: its digest beside the domain's age would say of the
/// one what is true of the other.
fn domain(policy: &Policy, question: &Question) -> Option<String> {
    if question.first_asked == FirstAsked::Unknown {
        return None;
    }
    let domain = dotted(question.key.registrable()?);
    let digest = Key::parse(&domain).ok().and_then(|key| policy.sealed_name(&key));
    match digest {
        Some(digest) => Some(digest.to_string()),
        None => policy.sealed_name(&question.key).is_none().then_some(domain),
    }
}

/// Since when the school asks for a name, as the server would find it; unknown where the table can't be read.
fn first_asked(control: &Control, key: &Key, qtype: RecordType, at: Timestamp) -> FirstAsked {
    let query = || Name::from_ascii(format!("{key}.")).map(|name| Query::query(name, qtype));
    let is_own = || {
        control.resolver.as_ref().zip(query().ok()).is_some_and(|(resolver, query)| resolver.is_own(&query))
    };
    let Some(domain) = key.registrable() else { return FirstAsked::Unknown };
    match control.seen() {
        Ok(_) if is_own() => FirstAsked::Unknown,
        Ok(seen) => seen.look(domain, at),
        Err(error) => {
            warn!(%error, "It can't be told since when the school asks for this name");
            FirstAsked::Unknown
        }
    }
}

/// Every list that has the name or a parent of it, as a name or as a name server, the longest match first.
pub(super) fn listed_on(control: &Control, policy: &Policy, key: &Key, of_servers: bool) -> Vec<ListedOn> {
    let mut found = Vec::new();
    for index in policy.indexes() {
        for hit in index.lookup(key).iter().rev() {
            let depth = usize::from(hit.depth);
            for entry in index.sets().get(hit.set as usize).into_iter().flatten() {
                if entry.of_servers != of_servers || entry.exact && depth != key.depth() {
                    continue;
                }
                let Some(list) = index.lists().get(usize::from(entry.list)) else { continue };
                let name = key.dotted(depth);
                let entry_key = Key::parse(&name).ok();
                // Of a name that must not be shown, no list shows the line.
                let digest = entry_key.as_ref().and_then(|key| policy.sealed_name(key));
                let place = entry_key
                    .filter(|_| digest.is_none())
                    .and_then(|name| control.line_of(&list.id, &name, *entry));
                found.push(ListedOn {
                    list: list.id.clone(),
                    title: list.title.clone(),
                    category: list.category.clone(),
                    version: list.version.clone(),
                    number: control.version_number(&list.id),
                    entry: digest.map_or(name, |digest| digest.to_string()),
                    allow: entry.allow,
                    of_servers,
                    line: place.as_ref().map(|(line, _)| *line),
                    // Other names may stand on the same line.
                    text: place.map(|(_, text)| policy.masked(&text).into_owned()),
                });
            }
        }
    }
    found
}

/// The name that the reason is about, and whether it is a name server's; none for the address of one, which has no line
/// of its own to show: the explanation names its list.
fn subject<'a>(reason: &'a Reason, asked: &'a Key) -> Option<(&'a Key, bool)> {
    match reason {
        Reason::Alias { target, .. } => Some((target, false)),
        Reason::NameServer(by) => match &by.server {
            Server::Name(server) => Some((server, true)),
            Server::Address(_) => None,
        },
        _ => Some((asked, false)),
    }
}

/// The service whose switch decided: `tiktok (TikTok)`.
fn service(policy: &Policy, reason: &Reason) -> Option<String> {
    let service = match reason {
        Reason::BlockService(service) | Reason::AllowService(service) => policy.service(*service)?,
        Reason::Alias { because, .. } => return service(policy, because),
        _ => return None,
    };
    Some(format!("{} ({})", service.id, service.title))
}

fn rule(policy: &Policy, decision: &Decision) -> Option<String> {
    fn of(reason: &Reason) -> Option<RuleRef> {
        match reason {
            Reason::BlockRule(rule) | Reason::AllowRule(rule) | Reason::Exception(rule) => Some(*rule),
            Reason::Alias { because, .. } => of(because),
            _ => None,
        }
    }
    let rule = policy.rule(of(&decision.reason)?)?;
    let action = match rule.action {
        Action::Allow => "allow",
        Action::Block => "block",
    };
    let reason = if rule.reason.is_empty() { String::new() } else { format!(": {}", rule.reason) };
    let until = rule.until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
    Some(policy.masked(&format!("{action} {}{until}{reason}", rule.name)).into_owned())
}

fn hop(record: &Record) -> Option<Hop> {
    let to = match &record.data {
        RData::CNAME(target) => target.0.to_string(),
        RData::A(address) => address.to_string(),
        RData::AAAA(address) => address.to_string(),
        data @ (RData::HTTPS(_) | RData::SVCB(_) | RData::ANAME(_)) => data.to_string(),
        _ => return None,
    };
    Some(Hop { r#type: record.record_type().to_string(), to })
}

/// The servers of a zone that the answer came from.
fn served_by(delegation: &Delegation) -> Hop {
    let servers: Vec<String> = delegation.servers().map(|server| server.to_string()).collect();
    Hop { r#type: String::from("NS"), to: format!("{}: {}", delegation.zone(), servers.join(", ")) }
}

fn ending(resolved: &Resolved) -> String {
    let proof = match resolved.security {
        Security::Secure => "proven by DNSSEC",
        Security::Insecure => "its zone is not signed",
        Security::Bogus => "its signatures are wrong",
        Security::Indeterminate => "not proven",
    };
    let mut text = format!("{}, {proof}", resolved.rcode);
    for ede in resolved.ede.iter().filter(|e| !e.text.is_empty()) {
        text.push_str(&format!("; {}", ede.text));
    }
    text
}
