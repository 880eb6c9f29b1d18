//! One name at a time: asking hickory for it, and cutting the answer down to what the name itself has.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{Stream, stream};
use hickory_net::{
    DnsError, NetError,
    runtime::TokioRuntimeProvider,
    xfer::{DnsHandle, FirstAnswer},
};
use hickory_proto::{
    dnssec::Proof,
    op::{DnsRequest, DnsRequestOptions, DnsResponse, Message, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::CNAME},
    serialize::binary::{BinDecodable, BinDecoder},
};
use hickory_resolver::recursor::{Recursor as Hickory, RecursorError};

use super::{
    Link, Recursor, clock,
    dial::{Dialler, Seen},
    dnssec, failure,
};
use crate::{
    delegation::Delegations,
    ede::{Ede, EdeCode},
    resolver::{
        Security,
        backend::Failure,
        records::{covered, is_about_denial, is_expanded},
    },
};

/// A question that took longer than this has been waited for with patience already.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long the reason for a bogus answer is looked for.
const REASONING: Duration = Duration::from_secs(2);

/// What happened behind the validator's back while it judged one question.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<Happened>);

#[derive(Debug, Default)]
struct Happened {
    /// Why the end of the chain of aliases can't be had, once that is known.
    end: Option<RecursorError>,
    /// Why something that the judgement needs can't be had.
    missing: Option<RecursorError>,
}

tokio::task_local! {
    /// The notes of the question that this task works at: hickory's validator takes no argument that could carry them.
    pub(super) static NOTES: Notes;
}

fn note<T: Default>(with: impl FnOnce(&mut Happened) -> T) -> T {
    NOTES
        .try_with(|notes| with(&mut notes.0.lock().unwrap_or_else(PoisonError::into_inner)))
        .unwrap_or_default()
}

/// Asks hickory's recursor for one name: its answers end at the first alias.
#[derive(Clone)]
pub(super) struct Asker {
    recursor: Arc<Hickory<Dialler>>,
    seen: Seen,
}

impl DnsHandle for Asker {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let asker = self.clone();
        Box::pin(stream::once(Box::pin(async move {
            let query = request.queries.first().cloned().ok_or(NetError::Message("no question"))?;
            match asker.one(&query).await {
                Ok(message) => Ok(DnsResponse::from_message(message)?),
                Err(error) => {
                    if !matches!(error, RecursorError::Negative(_)) {
                        note(|happened| happened.missing = Some(error.clone()));
                    }
                    Err(NetError::from(error))
                }
            }
        })))
    }
}

impl Asker {
    pub(super) fn new(recursor: Hickory<Dialler>, seen: Seen) -> Self {
        Self { recursor: Arc::new(recursor), seen }
    }

    /// The delegation that the answer for a name came from; to be asked once the answer is there.
    pub(super) fn delegation(&self, name: &Name, rtype: RecordType) -> Delegations {
        self.seen.cuts.of(name, rtype)
    }

    /// The answer for a name, up to the first alias.
    pub(super) async fn one(&self, query: &Query) -> Result<Message, RecursorError> {
        let known = note(|happened| happened.end.clone());
        let error = match known {
            // hickory found out when it followed the aliases that led here; asking again would only take time.
            Some(error) if is_ordinary(query.query_type()) => error,
            _ => match self.patiently(query).await {
                Ok(message) => return Ok(cut(message, query)),
                Err(error) => error,
            },
        };
        let elsewhere = matches!(&error, RecursorError::Negative(data) if data.query.name != query.name);
        if is_ordinary(query.query_type()) && (elsewhere || self.seen.is_alias(&query.name)) {
            let alias = Query::query(query.name.clone(), RecordType::CNAME);
            if let Ok(message) = self.patiently(&alias).await {
                let message = cut(message, &alias);
                if message.answers.iter().any(|record| record.name == query.name || is_dname(record)) {
                    if !matches!(error, RecursorError::Negative(_)) {
                        note(|happened| happened.end = Some(error));
                    }
                    return Ok(message);
                }
            }
        }
        match error {
            // hickory took every record out because none was the zone's to give, and calls what is left NXDOMAIN.
            RecursorError::Negative(data) if !data.is_no_records_found() => {
                Err(RecursorError::Msg(format!("the answer for {} is of another zone", query.name)))
            }
            error => Err(error),
        }
    }

    /// Asks a second time when the first time was too short; the servers are waited for longer then.
    async fn patiently(&self, query: &Query) -> Result<Message, RecursorError> {
        let begun = Instant::now();
        match self.recursor.resolve(query.clone(), begun, true).await {
            Err(error) if timed_out(&error) && begun.elapsed() < PATIENCE => {
                self.recursor.resolve(query.clone(), Instant::now(), true).await
            }
            outcome => outcome,
        }
    }
}

/// Whether a type can be found at the end of an alias; the types of DNSSEC's own questions never are.
fn is_ordinary(rtype: RecordType) -> bool {
    !matches!(
        rtype,
        RecordType::CNAME | RecordType::DS | RecordType::DNSKEY | RecordType::NS | RecordType::DNAME
    )
}

fn timed_out(error: &RecursorError) -> bool {
    error.is_timeout()
        || match error {
            RecursorError::Timeout => true,
            RecursorError::Msg(text) => text.contains("timed out"),
            _ => false,
        }
}

impl Recursor {
    /// The answer for one name and how far it is proven.
    pub(super) async fn link(&self, name: &Name, rtype: RecordType) -> Result<Link, Failure> {
        let query = Query::query(name.clone(), rtype);
        let Some(validator) = &self.validator else {
            let message = match self.asker.one(&query).await {
                Ok(message) => message,
                Err(RecursorError::Negative(data)) => negative(&query, hickory_net::NoRecords::from(data)),
                Err(error) => return Err(unreachable(&error, name)),
            };
            return Ok(self.sort(message, &query, Security::Insecure));
        };
        note(|happened| happened.missing = None);
        let mut options = DnsRequestOptions::default();
        options.edns_set_dnssec_ok = true;
        options.recursion_desired = false;
        let (message, denial) = match validator.lookup(query.clone(), options).first_answer().await {
            Ok(response) => (response.into_message(), None),
            Err(NetError::Dns(DnsError::Nsec { response, proof, .. })) => {
                (response.into_message(), Some(proof))
            }
            Err(error) => {
                let known = note(|happened| happened.missing.take());
                return Err(known.map_or_else(
                    || failure(error.to_string(), EdeCode::NoReachableAuthority),
                    |error| unreachable(&error, name),
                ));
            }
        };
        let mut security = dnssec::judge(&message, &query, denial);
        // hickory remembers that a signature was right for longer than the signature may last.
        if security == Security::Secure
            && dnssec::outdated(message.answers.iter().chain(&message.authorities), clock()).is_some()
        {
            security = Security::Bogus;
        }
        let mut link = self.sort(message, &query, security);
        if link.security == Security::Bogus {
            let missing = note(|happened| happened.missing.take());
            link.ede = match missing {
                Some(error) => unreachable(&error, name).ede,
                // The reason takes more questions; the verdict must not be lost over them.
                None => {
                    vec![tokio::time::timeout(REASONING, self.why_bogus(&link, &query)).await.unwrap_or_else(
                        |_| Ede::new(EdeCode::DnssecBogus, format!("the signatures of {name} are wrong")),
                    )]
                }
            };
        }
        Ok(link)
    }

    /// Makes a link of an answer.
    fn sort(&self, message: Message, query: &Query, security: Security) -> Link {
        let mut answers = message.answers;
        let rcode = message.metadata.response_code;
        answers.sort_by_key(|record| (record.record_type() == RecordType::RRSIG, record.name != query.name));
        let mut alias = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == query.name && query.query_type() != RecordType::CNAME => {
                Some(target.0.clone())
            }
            _ => None,
        });
        let answered = answers
            .iter()
            .any(|record| record.name == query.name && record.record_type() == query.query_type());
        if alias.is_none()
            && !answered
            && let Some(dname) = answers.iter().find(|record| is_dname(record))
            && let Some(mut synthesised) = synthesise(dname, &query.name)
        {
            synthesised.proof = dname.proof;
            if let RData::CNAME(target) = &synthesised.data
                && query.query_type() != RecordType::CNAME
            {
                alias = Some(target.0.clone());
            }
            answers.push(synthesised);
        }
        // An alias exists, whatever the server says of its end.
        let rcode = if alias.is_some() || answered { ResponseCode::NoError } else { rcode };
        Link { rcode, answers, authorities: message.authorities, alias, security, ede: Vec::new() }
    }
}

/// Why the servers of a name could not be asked, or would not say.
pub(super) fn unreachable(error: &RecursorError, name: &Name) -> Failure {
    let text = error.to_string();
    let (code, reason) = match error {
        RecursorError::Net(NetError::Dns(DnsError::ResponseCode(code))) => {
            (EdeCode::NoReachableAuthority, format!("the name servers of {name} answer {code:?}"))
        }
        RecursorError::Net(NetError::Proto(_) | NetError::ForeignClassRecord { .. }) => {
            (EdeCode::InvalidData, format!("the name servers of {name} answer nonsense"))
        }
        RecursorError::QueryBudgetExceeded
        | RecursorError::RecursionLimitExceeded { .. }
        | RecursorError::MaxRecordLimitExceeded { .. } => {
            (EdeCode::Other, format!("too many questions would have to be asked for {name}"))
        }
        _ if timed_out(error) => {
            (EdeCode::NoReachableAuthority, format!("the name servers of {name} do not answer"))
        }
        _ if text.contains("is of another zone") => (EdeCode::InvalidData, text),
        _ if text.contains("no glue") => (
            EdeCode::NoReachableAuthority,
            format!("the name servers of {name} have no address that may be asked"),
        ),
        // Each server was asked and refused, failed, or could not be reached; hickory doesn't say which.
        _ if text.contains("no connections") => {
            (EdeCode::NoReachableAuthority, format!("no name server of {name} gives an answer"))
        }
        _ if text.contains("io error") => {
            (EdeCode::NetworkError, format!("the name servers of {name} can't be reached: {text}"))
        }
        _ => (EdeCode::NoReachableAuthority, text),
    };
    failure(reason, code)
}

fn negative(query: &Query, records: hickory_net::NoRecords) -> Message {
    let mut message = Message::query().into_response();
    message.add_query(query.clone());
    message.metadata.response_code = records.response_code;
    message.add_authorities(records.authorities.iter().flat_map(|records| records.iter().cloned()));
    if let Some(soa) = records.soa {
        let soa = soa.into_record_of_rdata();
        if !message.authorities.contains(&soa) {
            message.add_authority(soa);
        }
    }
    message.authorities.retain(is_about_denial);
    message
}

/// Cuts an answer down to what it says of the name itself.
fn cut(mut message: Message, query: &Query) -> Message {
    let name = &query.name;
    // What is left is only about this name, so that the validator judges only that.
    let dname = message
        .answers
        .iter()
        .filter(|record| is_dname(record) && record.name != *name && record.name.zone_of(name))
        .max_by_key(|record| record.name.num_labels())
        .map(|record| record.name.clone());
    let asked = |rtype: RecordType| rtype == query.query_type() || rtype == RecordType::CNAME;
    match &dname {
        // The alias that comes with it is not signed; it is made anew from the DNAME.
        Some(owner) => message.answers.retain(|record| {
            record.name == *owner && (is_dname(record) || covered(record) == Some(RecordType::DNAME))
        }),
        None => message.answers.retain(|record| {
            record.name == *name && (asked(record.record_type()) || covered(record).is_some_and(asked))
        }),
    }
    message.additionals.clear();
    let expanded = message.answers.iter().any(is_expanded);
    if message.answers.is_empty() || expanded {
        message.authorities.retain(is_about_denial);
    } else {
        message.authorities.clear();
    }
    if expanded {
        // A positive answer's denial is about the wildcard only.
        message.authorities.retain(|record| {
            record.record_type() != RecordType::SOA && covered(record) != Some(RecordType::SOA)
        });
    }
    if message.queries.is_empty() {
        message.add_query(query.clone());
    }
    message.metadata.response_code = match message.metadata.response_code {
        ResponseCode::NXDomain if message.answers.is_empty() => ResponseCode::NXDomain,
        _ => ResponseCode::NoError,
    };
    message.into_response()
}

fn is_dname(record: &Record) -> bool {
    record.record_type() == RecordType::DNAME
}

/// The alias that a DNAME makes of a name below it (RFC 6672, section 2.2); nothing when it would be too long.
fn synthesise(dname: &Record, name: &Name) -> Option<Record> {
    let RData::Unknown { rdata, .. } = &dname.data else { return None };
    let target = Name::read(&mut BinDecoder::new(&rdata.anything)).ok()?;
    let kept = name.iter().len().checked_sub(dname.name.iter().len())?;
    let front = Name::from_labels(name.iter().take(kept)).ok()?;
    let mut alias = front.append_name(&target).ok()?;
    alias.set_fqdn(true);
    let mut record = Record::from_rdata(name.clone(), dname.ttl, RData::CNAME(CNAME(alias)));
    record.proof = Proof::Indeterminate;
    Some(record)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, NULL};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn dname(owner: &str, target: &str) -> Record {
        let mut wire = Vec::new();
        for label in name(target).iter() {
            wire.push(u8::try_from(label.len()).unwrap());
            wire.extend(label);
        }
        wire.push(0);
        let data = RData::Unknown { code: RecordType::DNAME, rdata: NULL::with(wire) };
        Record::from_rdata(name(owner), 60, data)
    }

    fn alias(owner: &str, target: &str) -> Record {
        Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(target))))
    }

    #[test]
    fn a_dname_makes_an_alias_of_what_is_below() {
        let record = synthesise(&dname("old.example.", "new.example."), &name("a.b.old.example.")).unwrap();
        assert_eq!(record.data, alias("x.", "a.b.new.example.").data);
        assert_eq!(record.name, name("a.b.old.example."));
        let long = format!("{}.{}", "a".repeat(63), "b".repeat(63));
        let target = format!("{long}.{}.example.", "c".repeat(63));
        assert!(
            synthesise(&dname("old.example.", &target), &name(&format!("{long}.old.example."))).is_none()
        );
    }

    #[test]
    fn an_answer_is_cut_at_the_first_alias() {
        let query = Query::query(name("a.example."), RecordType::A);
        let mut message = Message::query().into_response();
        message.metadata.response_code = ResponseCode::NXDomain;
        message.add_answer(alias("A.example.", "b.example."));
        message.add_answer(alias("b.example.", "c.example."));
        message.add_answer(Record::from_rdata(name("c.example."), 60, RData::A(A::new(192, 0, 2, 1))));
        let message = cut(message, &query);
        assert_eq!(message.answers, [alias("a.example.", "b.example.")]);
        assert_eq!(message.metadata.response_code, ResponseCode::NoError);
    }

    #[test]
    fn an_answer_through_a_dname_is_the_dname_alone() {
        let query = Query::query(name("www.old.example."), RecordType::A);
        let mut message = Message::query().into_response();
        message.add_answer(dname("old.example.", "new.example."));
        message.add_answer(alias("www.old.example.", "evil.example."));
        message.add_answer(Record::from_rdata(name("evil.example."), 60, RData::A(A::new(192, 0, 2, 1))));
        assert_eq!(cut(message, &query).answers, [dname("old.example.", "new.example.")]);
    }
}
