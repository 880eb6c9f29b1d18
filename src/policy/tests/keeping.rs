//! What the query log keeps: the `[log]` table, and the limits of the box.

use proptest::prelude::*;

use super::*;
use crate::category::Audience;

const LIMITS: Retention = Retention { allowed_days: 90, blocked_days: 365, rollup_days: 730 };

fn with_log(table: &str) -> PolicyFile {
    PolicyFile::parse(&format!("{SCHOOL}\n[log]\n{table}\n")).unwrap()
}

fn wrong(table: &str) -> Vec<String> {
    let file = with_log(table);
    let found = file.check(&Categories::shipped(), &tables(), None);
    found.iter().filter(|problem| problem.place.starts_with("log")).map(ToString::to_string).collect()
}

fn over(table: &str) -> Vec<String> {
    with_log(table).log.over(&LIMITS).iter().map(ToString::to_string).collect()
}

#[test]
fn without_the_table_a_month_a_year_and_two_years_are_kept() {
    let file = PolicyFile::parse(SCHOOL).unwrap();
    assert_eq!((file.log.allowed_days, file.log.blocked_days, file.log.rollup_days), (30, 365, 730));
    assert!(!file.log.help_lines);
    assert!(!file.to_toml().contains("[log]"), "what is usual is not written out");
    assert_eq!(file.log.over(&LIMITS), []);
}

#[test]
fn the_table_is_written_and_read_again_to_the_same() {
    let file = with_log(
        "allowed_days = 120\nreason = 'ordered'\nhelp_lines = true\nhelp_lines_reason = 'A. Head, 3 May'",
    );
    assert_eq!(PolicyFile::parse(&file.to_toml()).unwrap(), file, "{}", file.to_toml());
    assert_eq!((file.log.allowed_days, file.log.blocked_days), (120, 365));
}

#[test]
fn days_out_of_range_or_in_the_wrong_order_are_errors_with_their_place() {
    assert_eq!(
        wrong("allowed_days = 0\nblocked_days = 3651\nrollup_days = 10"),
        [
            "log.allowed_days: 0 days is out of range; write 1 to 3650 days; 30 is usual",
            "log.blocked_days: 3651 days is out of range; write 1 to 3650 days; 365 is usual",
            "log.rollup_days: 10 days is shorter than blocked_days (3651 days); write at least 3651, or less for \
             blocked_days",
        ]
    );
    assert_eq!(
        wrong("allowed_days = 60\nblocked_days = 30"),
        ["log.blocked_days: 30 days is shorter than allowed_days (60 days); write at least 60, or less for \
             allowed_days"]
    );
    assert_eq!(wrong("allowed_days = 1\nblocked_days = 1\nrollup_days = 1"), [""; 0]);
}

#[test]
fn help_lines_are_logged_for_pupils_only_with_a_reason() {
    assert_eq!(
        wrong("help_lines = true\nhelp_lines_reason = ' '"),
        ["log.help_lines: names of help lines would be logged for pupils, and nothing says why; say in \
             log.help_lines_reason who decided it and why, or leave help_lines out"]
    );
    assert!(wrong("help_lines_reason = 'x'")[0].starts_with("warning: log.help_lines_reason: "));
    assert_eq!(wrong("help_lines = true\nhelp_lines_reason = 'the safeguarding lead, 3 May'"), [""; 0]);
}

#[test]
fn help_lines_are_hidden_for_pupils_until_somebody_decides_otherwise() {
    let (mut file, knows) = (PolicyFile::parse(SCHOOL).unwrap(), knowledge(Vec::new()));
    let hides = |file: &PolicyFile| -> Vec<bool> {
        let policy = Policy::build_with(file, &knows, &tables()).unwrap();
        policy.profiles().map(|(id, _)| policy.hides_help_lines(id)).collect()
    };
    let pupils: Vec<bool> = file.profiles.iter().map(|profile| profile.audience == Audience::Pupil).collect();
    assert!(pupils.contains(&true) && pupils.contains(&false));
    assert_eq!(hides(&file), pupils);
    file.log.help_lines = true;
    file.log.help_lines_reason = "the safeguarding lead".into();
    assert_eq!(hides(&file), vec![false; pupils.len()]);
}

#[test]
fn what_is_over_the_limits_of_the_box_is_named_unless_a_reason_is_given() {
    assert_eq!(
        over("allowed_days = 91\nblocked_days = 365\nrollup_days = 731"),
        [
            "log.allowed_days: 91 days is longer than the 90 that this box's settings allow without a reason; write at \
             most 90, or say why in log.reason",
            "log.rollup_days: 731 days is longer than the 730 that this box's settings allow without a reason; write at \
             most 730, or say why in log.reason",
        ]
    );
    assert_eq!(over("allowed_days = 91\nreason = 'the governors, minute 14'"), [""; 0]);
    assert_eq!(over("allowed_days = 90"), [""; 0]);
}

#[test]
fn a_profile_that_does_not_say_has_what_is_usual_for_its_audience() {
    let text = "version = 1\n[[profile]]\nid = 'p'\naudience = 'pupil'\n[[profile]]\nid = 's'\naudience = 'staff'\n\
                [[profile]]\nid = 'g'\naudience = 'guest'\n[[profile]]\nid = 'x'\naudience = 'guest'\nlog = 'full'\n";
    let file = PolicyFile::parse(text).unwrap();
    let policy = Policy::build(&file, &knowledge(Vec::new())).unwrap();
    let levels: Vec<LogLevel> = policy.profiles().map(|(id, _)| policy.log_level(id)).collect();
    let wanted = [LogLevel::Full, LogLevel::Pseudonymous, LogLevel::BlockedOnly, LogLevel::Full];
    assert_eq!(levels, wanted);
    // What was left out is left out again, so that it stays what is usual.
    assert_eq!(file.to_toml().matches("\nlog = ").count(), 1);
    assert_eq!(PolicyFile::parse(&file.to_toml()).unwrap(), file);
}

#[test]
fn the_shipped_profiles_log_what_is_usual_for_their_audience() {
    for profile in &PolicyFile::shipped().profiles {
        let of_guests = profile.audience == Audience::Guest;
        assert_eq!(profile.log, Some(LogLevel::usual(profile.audience)), "{}", profile.id);
        assert_eq!(of_guests, profile.log == Some(LogLevel::BlockedOnly), "{}", profile.id);
    }
}

#[test]
fn a_change_of_what_is_kept_is_said_in_plain_words() {
    let old = PolicyFile::parse(SCHOOL).unwrap();
    let mut new = old.clone();
    new.log.allowed_days = 1;
    new.log.reason = "the governors".into();
    new.log.help_lines = true;
    new.profiles[1].log = Some(LogLevel::BlockedOnly);
    let said: Vec<String> =
        old.changes_to(&new, &Categories::shipped()).into_iter().map(|change| change.what).collect();
    assert_eq!(
        said,
        [
            "log.allowed_days: 1 day, was 30 days",
            "log.help_lines: logged by name for pupils too, was not logged by name for pupils",
            "log.reason: \"the governors\", was not given",
            &format!("profile \"{}\": log: blocked-only, was full", new.profiles[1].id),
        ]
    );
}

proptest! {
    #[test]
    fn nothing_is_kept_longer_than_written_nor_without_a_reason_longer_than_allowed(
        written in (1..4_000_u16, 1..4_000_u16, 1..4_000_u16),
        limits in (1..4_000_u16, 1..4_000_u16, 1..4_000_u16),
        reason in any::<bool>(),
    ) {
        let limits = Retention { allowed_days: limits.0, blocked_days: limits.1, rollup_days: limits.2 };
        let log = LogFile {
            allowed_days: written.0,
            blocked_days: written.1,
            rollup_days: written.2,
            reason: if reason { "x".into() } else { String::new() },
            ..LogFile::default()
        };
        let kept = log.retention(&limits);
        let pairs = [
            (kept.allowed_days, written.0, limits.allowed_days),
            (kept.blocked_days, written.1, limits.blocked_days),
            (kept.rollup_days, written.2, limits.rollup_days),
        ];
        for (kept, written, limit) in pairs {
            prop_assert!(kept <= written && (reason || kept <= limit));
        }
        prop_assert!(kept.allowed_days <= kept.blocked_days);
        let cut = (kept.allowed_days, kept.blocked_days, kept.rollup_days) != written;
        prop_assert!(log.over(&limits).is_empty() || cut);
    }
}
