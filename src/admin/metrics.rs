//! The figures of `/metrics`, in the text format of Prometheus. docs/metrics.md says what each is.

use std::{collections::BTreeMap, fmt::Display, fs};

use jiff::{SignedDuration, Timestamp};

use super::{
    Admin,
    health::{Health, Level, Part},
};
use crate::{
    control::ListReport,
    querylog::{
        Action,
        rollup::{By, CountQuery, Latency, Step},
    },
};

/// A text of figures that grows.
#[derive(Default)]
struct Text(String);

/// The figures of one name.
struct Family<'a> {
    text: &'a mut Text,
    name: &'static str,
}

impl Text {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        self.0.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: self, name }
    }

    fn gauge(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.family(name, "gauge", help).put(&[], value);
    }

    fn counter(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.family(name, "counter", help).put(&[], value);
    }
}

impl Family<'_> {
    fn put(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.put_as("", labels, value);
    }

    fn put_as(&mut self, ending: &str, labels: &[(&str, &str)], value: impl Display) {
        let text = &mut self.text.0;
        text.push_str(self.name);
        text.push_str(ending);
        for (place, (label, of)) in labels.iter().enumerate() {
            text.push(if place == 0 { '{' } else { ',' });
            text.push_str(&format!("{label}=\"{}\"", escaped(of)));
        }
        if !labels.is_empty() {
            text.push('}');
        }
        text.push_str(&format!(" {value}\n"));
    }
}

/// The value of a label as the format has it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// All figures. For threads that may block.
pub(super) fn text(admin: &Admin, health: &Health) -> String {
    let mut text = Text::default();
    text.family("schoolgate_info", "gauge", "The version that runs.")
        .put(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    box_itself(&mut text, health);
    questions(&mut text, admin, health.at);
    log(&mut text, admin);
    lists(&mut text, &admin.control.lists().lists);
    resolver(&mut text, health);
    text.0
}

fn box_itself(text: &mut Text, health: &Health) {
    let ready = u8::from(health.broken().next().is_none());
    text.gauge("schoolgate_ready", "Whether everything works that must.", ready);
    let mut parts = text.family(
        "schoolgate_health",
        "gauge",
        "How a part is: 0 well, 1 somebody should look at it, 2 it does not work.",
    );
    for part in Part::OF_THE_BOX.into_iter().chain([Part::Machine, Part::School]) {
        let level = match health.level(part) {
            Level::Good => 0,
            Level::Look => 1,
            Level::Bad => 2,
        };
        parts.put(&[("part", part.word())], level);
    }
    text.gauge("schoolgate_policy_revision", "The number of the policy in force.", health.facts.revision);
    if let Some((free, size)) = health.facts.disk {
        text.gauge("schoolgate_disk_free_bytes", "What is free of the disk of the data folder.", free);
        text.gauge("schoolgate_disk_size_bytes", "How large that disk is.", size);
    }
    if let Some(ends) = health.facts.certificate {
        let help = "When the certificate of the pages ends.";
        text.gauge("schoolgate_certificate_end_timestamp_seconds", help, ends.as_second());
    }
    if let Some(bytes) = resident() {
        text.gauge("process_resident_memory_bytes", "Memory that the program holds.", bytes);
    }
}

/// How much memory the program holds, in bytes.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// What was asked since midnight, UTC.
fn questions(text: &mut Text, admin: &Admin, now: Timestamp) {
    let midnight = Timestamp::from_second(now.as_second().div_euclid(86_400) * 86_400).unwrap_or(now);
    let tomorrow = midnight + SignedDuration::from_hours(24);
    let rollup = admin.control.keeping().rollup();
    let query = CountQuery {
        from: midnight,
        to: tomorrow,
        step: Step::Day,
        by: vec![By::Profile, By::Action],
        profile: None,
        category: None,
        action: None,
    };
    // What can't be read has no figures; the state of the log says why.
    let counts = rollup.counts(&query).unwrap_or_default();
    let mut family = text.family(
        "schoolgate_questions_total",
        "counter",
        "Questions since midnight UTC, by profile and by what became of them.",
    );
    for count in &counts {
        let labels = [
            ("profile", count.profile.as_deref().unwrap_or_default()),
            ("action", count.action.as_deref().unwrap_or_default()),
        ];
        family.put(&labels, count.questions);
    }
    let blocked = CountQuery { by: vec![By::Category], action: Some(Action::Blocked), ..query };
    let mut family = text.family(
        "schoolgate_blocked_total",
        "counter",
        "Questions that were blocked since midnight UTC, by category.",
    );
    for count in rollup.counts(&blocked).unwrap_or_default() {
        family.put(&[("category", count.category.as_deref().unwrap_or_default())], count.questions);
    }
    let latency = rollup.latency(midnight, tomorrow).unwrap_or_default();
    durations(text, &latency);
}

fn durations(text: &mut Text, sources: &[Latency]) {
    let mut family = text.family(
        "schoolgate_answer_duration_seconds",
        "histogram",
        "How long answers took since midnight UTC, by where they came from.",
    );
    for latency in sources {
        let source = latency.source.as_str();
        let mut below = 0;
        for (bucket, questions) in &latency.buckets {
            below += questions;
            let seconds = (1_u64 << (*bucket).min(63)) as f64 / 1e6;
            family.put_as("_bucket", &[("source", source), ("le", &seconds.to_string())], below);
        }
        family.put_as("_bucket", &[("source", source), ("le", "+Inf")], latency.questions);
        family.put_as("_count", &[("source", source)], latency.questions);
    }
}

fn log(text: &mut Text, admin: &Admin) {
    let mut alarms: BTreeMap<&str, u64> = BTreeMap::new();
    for alarm in admin.control.keeping().alarms() {
        *alarms.entry(alarm.about).or_default() += 1;
    }
    let mut family = text.family("schoolgate_log_alarms", "gauge", "Alarms of keeping the log, by subject.");
    for (about, count) in alarms {
        family.put(&[("about", about)], count);
    }
    let Some(log) = &admin.log else {
        text.gauge("schoolgate_log_failing", "Whether the log can't be written.", 1);
        return;
    };
    let status = log.status();
    text.gauge(
        "schoolgate_log_failing",
        "Whether the log can't be written.",
        u8::from(status.failing.is_some()),
    );
    text.counter(
        "schoolgate_log_written_total",
        "Questions written or counted since the start.",
        status.written,
    );
    let mut family =
        text.family("schoolgate_log_lost_total", "counter", "Questions lost since the start, by reason.");
    for (reason, count) in &status.lost {
        family.put(&[("reason", reason)], count);
    }
    if let Some(last) = status.last_commit {
        let help = "When questions were last put on the disk.";
        text.gauge("schoolgate_log_last_write_timestamp_seconds", help, last.as_second());
    }
    text.gauge(
        "schoolgate_log_queue_fill_ratio",
        "How full the fullest queue is, 0 to 1.",
        status.queue_fill,
    );
    let mut family =
        text.family("schoolgate_log_sent_total", "counter", "Questions sent on since the start.");
    for sink in &status.sinks {
        family.put(&[("to", &sink.address), ("by", &sink.kind)], sink.sent);
    }
}

fn lists(text: &mut Text, lists: &[ListReport]) {
    let mut family = text.family("schoolgate_list_rules", "gauge", "Rules of a list that are in force.");
    for list in lists {
        family.put(&[("list", &list.id)], list.entries.unwrap_or(0));
    }
    let subscribed = || lists.iter().filter_map(|list| Some((&list.id, list.subscription.as_ref()?)));
    let mut family = text.family(
        "schoolgate_list_up_to_date_timestamp_seconds",
        "gauge",
        "When a list was last known to be up to date.",
    );
    for (id, subscription) in subscribed() {
        if let Some(last) = subscription.last_success {
            family.put(&[("list", id)], last.as_second());
        }
    }
    let mut family = text.family(
        "schoolgate_list_failures",
        "gauge",
        "Tries to fetch a list that failed since the last one that did not.",
    );
    for (id, subscription) in subscribed() {
        family.put(&[("list", id)], subscription.failures);
    }
    let mut family =
        text.family("schoolgate_list_held", "gauge", "Whether a version of a list waits for a person.");
    for (id, subscription) in subscribed() {
        family.put(&[("list", id)], u8::from(subscription.held.is_some()));
    }
}

fn resolver(text: &mut Text, health: &Health) {
    let Some(stats) = &health.standing.resolver else { return };
    let mut family = text.family(
        "schoolgate_cache_answers_total",
        "counter",
        "What the answer cache did since the start.",
    );
    for (what, count) in [
        ("hit", stats.hits),
        ("failure", stats.failure_hits),
        ("miss", stats.misses),
        ("stale", stats.stale),
        ("prefetch", stats.prefetches),
    ] {
        family.put(&[("what", what)], count);
    }
    text.gauge("schoolgate_cache_entries", "Answers in the cache.", stats.entries);
    text.gauge("schoolgate_cache_bytes", "Bytes of the cache.", stats.bytes);
    text.gauge("schoolgate_resolving", "Questions on their way to other servers.", stats.flights);
    text.counter(
        "schoolgate_turned_away_total",
        "Questions not resolved since too many were on their way.",
        stats.turned_away,
    );
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::admin::tests::TestBox;

    /// Names of all families of a text.
    fn families(text: &str) -> BTreeSet<&str> {
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
    }

    #[tokio::test]
    async fn every_figure_is_in_the_documentation_and_every_line_is_one_of_a_family() {
        let school = TestBox::new().await;
        let health = Health::of(&school.admin);
        let text = text(&school.admin, &health);
        let docs = include_str!("../../docs/metrics.md");
        let families = families(&text);
        assert!(families.len() > 15, "{text}");
        for family in &families {
            assert!(docs.contains(&format!("`{family}`")), "docs/metrics.md should name {family}");
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let known = families.iter().any(|family| {
                name == *family
                    || name.strip_prefix(family).is_some_and(|end| end == "_bucket" || end == "_count")
            });
            assert!(known, "{line}");
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
    }

    #[test]
    fn what_stands_in_a_label_can_not_end_it() {
        let mut text = Text::default();
        text.family("a", "gauge", "b").put(&[("c", "x\"} 1\ny\\")], 2);
        assert_eq!(text.0, "# HELP a b\n# TYPE a gauge\na{c=\"x\\\"} 1\\ny\\\\\"} 2\n");
    }

    #[test]
    fn the_buckets_of_a_histogram_add_up() {
        let mut text = Text::default();
        let buckets = BTreeMap::from([(3, 2), (10, 5)]);
        durations(&mut text, &[Latency { source: "cache".into(), questions: 7, buckets }]);
        assert!(text.0.contains("_bucket{source=\"cache\",le=\"0.000008\"} 2\n"), "{}", text.0);
        assert!(text.0.contains("_bucket{source=\"cache\",le=\"0.001024\"} 7\n"), "{}", text.0);
        assert!(text.0.contains("_bucket{source=\"cache\",le=\"+Inf\"} 7\n"), "{}", text.0);
    }
}
