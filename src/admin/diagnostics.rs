//! What helps whoever mends a box from afar: figures and states, without secrets, and without a name that anybody asked
//! for.

use std::io::{self, Cursor, Write as _};

use serde_json::{Value, json};

use crate::{
    admin::Admin,
    querylog::{evidence::ZipWriter, stats::Stats},
    resolver::{Report, ServerReport},
};

/// The bundle, as a zip file.
pub(super) fn bundle(admin: &Admin, log: Option<Stats>) -> io::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()), admin.clock.now());
    for (name, value) in files(admin, log) {
        let text = serde_json::to_string_pretty(&value).map_err(io::Error::other)?;
        zip.add(name, |file| file.write_all(text.as_bytes()))?;
    }
    Ok(zip.finish()?.into_inner())
}

/// Its files.
pub(super) fn files(admin: &Admin, log: Option<Stats>) -> [(&'static str, Value); 6] {
    let resolving = admin.control.resolver_report().map_or(Value::Null, |report| resolver(&report));
    [
        ("about.json", about(admin)),
        ("policy.json", policy(admin)),
        ("lists.json", lists(admin)),
        ("resolver.json", resolving),
        ("certificate.json", certificate(admin)),
        // Days and their counts; what the log's own messages say might name files or collectors.
        ("log.json", json!({ "days": log.map(|stats| stats.days) })),
    ]
}

fn about(admin: &Admin) -> Value {
    let (starter, own) = admin.control.names();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "made": admin.clock.now().to_string(),
        "dns": admin.dns.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "tls": admin.certificates.is_some(),
        "starter_names": starter,
        "list_names": own,
    })
}

/// How the policy is made up: no name, no address, no reason.
fn policy(admin: &Admin) -> Value {
    let policy = admin.control.policy().load_full();
    let file = policy.file();
    let profiles = file.profiles.iter().map(|profile| {
        json!({
            "id": profile.id,
            "audience": profile.audience,
            "mode": profile.mode,
            "subnets": profile.subnets.len(),
        })
    });
    json!({
        "revision": admin.control.policy_file().map(|in_force| in_force.revision).ok(),
        "timezone": file.timezone,
        "profiles": profiles.collect::<Vec<_>>(),
        "rules": file.rules.len(),
        "devices": file.devices.len(),
        "groups": file.groups.len(),
        "schedules": file.schedules.len(),
        "lessons": file.lessons.len(),
    })
}

/// How lists are doing. Why one is held or fails is left out: it can name what the school asks for, or have a token in an
/// address.
fn lists(admin: &Admin) -> Value {
    let report = admin.control.lists();
    let lists = report.lists.iter().map(|list| {
        let subscription = list.subscription.as_ref();
        json!({
            "id": list.id,
            "category": list.category,
            "entries": list.entries,
            "subscribed": subscription.is_some(),
            "version": subscription.and_then(|s| s.number),
            "last_attempt": subscription.and_then(|s| s.last_attempt).map(|at| at.to_string()),
            "last_success": subscription.and_then(|s| s.last_success).map(|at| at.to_string()),
            "failures": subscription.map(|s| s.failures),
            "held": subscription.is_some_and(|s| s.held.is_some()),
        })
    });
    Value::Array(lists.collect())
}

fn resolver(report: &Report) -> Value {
    let servers = |servers: &[ServerReport]| servers.iter().map(server).collect::<Vec<_>>();
    let zones = report.zones.iter().map(|zone| json!({ "servers": servers(&zone.servers) }));
    let stats = &report.stats;
    json!({
        "forwarders": servers(&report.forwarders),
        "zones": zones.collect::<Vec<_>>(),
        "hits": stats.hits,
        "failure_hits": stats.failure_hits,
        "misses": stats.misses,
        "stale": stats.stale,
        "prefetches": stats.prefetches,
        "turned_away": stats.turned_away,
        "entries": stats.entries,
        "bytes": stats.bytes,
        "flights": stats.flights,
    })
}

fn server(server: &ServerReport) -> Value {
    // A path can be what tells a customer from others.
    let (scheme, rest) = server.server.split_once("://").unwrap_or(("udp", &server.server));
    let host = rest.split('/').next().unwrap_or_default();
    json!({
        "server": format!("{scheme}://{host}"),
        "milliseconds": server.time.map(|time| time.as_millis().to_string()),
        "failures": server.failures,
        "resting": server.resting,
    })
}

fn certificate(admin: &Admin) -> Value {
    let Some(certificates) = &admin.certificates else { return Value::Null };
    let status = certificates.status(admin.clock.now());
    json!({
        "of_the_school": status.source == crate::tls::Source::School,
        "names": status.names,
        "not_after": status.not_after.to_string(),
        "fingerprint": status.fingerprint,
        "problem": status.problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_path_is_left_out() {
        let report = |text: &str| ServerReport {
            server: text.to_owned(),
            encrypted: true,
            time: Some(std::time::Duration::from_millis(12)),
            failures: 0,
            resting: false,
        };
        let said = server(&report("https://dns.example/our-secret-profile#192.0.2.1:443"));
        assert_eq!(said["server"], "https://dns.example");
        assert_eq!(said["milliseconds"], "12");
        assert_eq!(server(&report("192.0.2.1:53"))["server"], "udp://192.0.2.1:53");
    }
}
