use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::{
    clock::Clock,
    control::{Control, ControlError, EditAsked},
    feeds::{self, Feeds},
    policy::{FirstAsked, Question as Asked, Verdict},
    store::AuditQuery,
};

#[path = "../../../../tests/support/log_day.rs"]
#[allow(unreachable_pub, reason = "other tests use it from outside")]
mod log_day;

use log_day::Question;

struct School {
    folder: TempDir,
    clock: Clock,
}

impl School {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), clock: Clock::held_at(now()) }
    }

    async fn open(&self) -> Control {
        let lookup = Arc::new(feeds::http::SystemLookup);
        let feeds = Feeds::new(&feeds::Config::default(), lookup, self.clock.clone()).unwrap();
        let control = Control::open(self.folder.path(), self.clock.clone(), feeds, 5).unwrap();
        control.import("policy.toml", SCHOOL, "a technician", false).await.unwrap();
        control
    }
}

fn asked(reason: &str, expect: Option<i64>) -> EditAsked {
    let (by, from) = (String::from("A. Head"), Some(String::from("10.9.0.4")));
    EditAsked { by, reason: reason.into(), expect, from, ..EditAsked::default() }
}

fn set(profile: &str, category: &str, cell: &str) -> Vec<Edit> {
    vec![edit(&format!(
        r#"{{"edit":"set-cell","profile":"{profile}","category":"{category}","cell":"{cell}"}}"#
    ))]
}

fn is_blocked(control: &Control, name: &str, client: &str, at: &str) -> bool {
    let policy = control.policy().load_full();
    let question = Asked {
        key: crate::name::Key::parse(name).unwrap(),
        qtype: hickory_proto::rr::RecordType::A,
        first_asked: FirstAsked::Unknown,
    };
    let client = policy.identify(client.parse().unwrap(), None);
    matches!(policy.decide(&question, &client, at.parse().unwrap()).verdict, Verdict::Block(_))
}

#[tokio::test]
async fn a_change_is_in_force_at_once_and_the_audit_says_what_was() {
    let school = School::new();
    let control = school.open().await;
    assert!(is_blocked(&control, "play.example", "10.20.2.5", NOW));
    let report = control.edit(set("pupils", "games", "allow"), asked("a club", Some(1))).await.unwrap();
    assert_eq!((report.revision, report.loosens.len()), (2, 1));
    assert!(!is_blocked(&control, "play.example", "10.20.2.5", NOW));
    let page =
        control.audit_page(&AuditQuery { action: Some("policy.edit".into()), ..Default::default() }).unwrap();
    let line = &page.lines[0].record;
    assert_eq!((line.before.as_deref(), line.after.as_deref()), (Some("block"), Some("allow")));
    assert_eq!((line.reason.as_deref(), line.from.as_deref()), (Some("a club"), Some("10.9.0.4")));
    assert_eq!(line.detail, "policy: profile \"pupils\": games: allow, was block");
    let in_force = control.policy_file().unwrap();
    assert_eq!((in_force.revision, in_force.by.as_deref(), in_force.at), (2, Some("A. Head"), Some(now())));
}

#[tokio::test]
async fn what_loosens_needs_a_reason_and_what_tightens_needs_none() {
    let school = School::new();
    let control = school.open().await;
    let error = control.edit(set("pupils", "games", "allow"), asked(" ", None)).await.unwrap_err();
    let ControlError::ReasonWanted { loosens } = error else { panic!("{error}") };
    assert!(loosens[0].ends_with("would be open for Pupils."), "{loosens:?}");
    assert!(is_blocked(&control, "play.example", "10.20.2.5", NOW));
    control.edit(set("pupils", "shopping", "block"), asked("", None)).await.unwrap();
    let dry = EditAsked { dry_run: true, ..asked("", None) };
    let report = control.edit(set("pupils", "games", "allow"), dry).await.unwrap();
    assert_eq!((report.dry_run, report.loosens.len(), report.revision), (true, 1, 2));
    assert!(control.edit(set("pupils", "games", "allow"), asked("two\nlines", None)).await.is_err());
    // No reason opens what is locked.
    let error = control.edit(set("pupils", "adult", "allow"), asked("", None)).await.unwrap_err();
    assert!(matches!(error, ControlError::Policy { .. }), "{error}");
}

#[tokio::test]
async fn several_changes_are_made_together_or_not_at_all() {
    let school = School::new();
    let control = school.open().await;
    let mut edits = set("pupils", "shopping", "block");
    edits.extend(set("nobody", "games", "block"));
    assert!(control.edit(edits, asked("", None)).await.is_err());
    assert_eq!(control.policy_file().unwrap().revision, 1);
}

#[tokio::test]
async fn the_second_of_two_administrators_hears_what_the_first_changed() {
    let school = School::new();
    let control = school.open().await;
    control.edit(set("pupils", "shopping", "block"), asked("", Some(1))).await.unwrap();
    let error = control.edit(set("staff", "games", "block"), asked("", Some(1))).await.unwrap_err();
    assert!(error.is_bad_input());
    let ControlError::Collision { expected, current, by, at, changes } = error else { panic!("{error}") };
    assert_eq!((expected, current, by.as_str(), at), (1, 2, "A. Head", Some(now())));
    assert_eq!(changes, ["profile \"pupils\": shopping: block, was allow"]);
    assert!(!is_blocked(&control, "play.example", "10.9.0.5", NOW));
}

#[tokio::test]
async fn a_whole_policy_is_put_back_with_a_reason_where_it_opens() {
    let school = School::new();
    let control = school.open().await;
    let now = control.policy_file().unwrap();
    let looser = PolicyFile { timezone: String::from("Europe/Paris"), ..now.file }.to_toml();
    let wanted = control.restore(&looser, asked("", Some(now.revision))).await.unwrap_err();
    assert!(matches!(wanted, ControlError::ReasonWanted { .. }), "{wanted}");
    let stale = control.restore(&looser, asked("moved", Some(now.revision + 1))).await.unwrap_err();
    assert!(matches!(stale, ControlError::Collision { .. }), "{stale}");
    assert!(control.restore("version = 7", asked("moved", None)).await.unwrap_err().is_bad_input());
    assert_eq!(control.policy_file().unwrap().revision, now.revision);
    control.restore(&looser, asked("moved", Some(now.revision))).await.unwrap();
    assert_eq!(control.policy_file().unwrap().file.timezone, "Europe/Paris");
}

#[tokio::test]
async fn the_last_change_is_taken_back_and_an_earlier_one_is_not() {
    let school = School::new();
    let control = school.open().await;
    control.edit(set("pupils", "shopping", "block"), asked("", None)).await.unwrap();
    control.edit(set("staff", "games", "block"), asked("", None)).await.unwrap();
    let error = control.undo(2, asked("", None)).await.unwrap_err();
    let ControlError::InTheWay { later, .. } = error else { panic!("{error}") };
    assert_eq!(later.iter().map(|change| change.revision.number).collect::<Vec<_>>(), [3]);
    assert_eq!(later[0].changes, ["profile \"staff\": games: block, was allow"]);
    let report = control.undo(3, asked("", None)).await.unwrap();
    assert_eq!((report.revision, report.changes.len()), (4, 1));
    assert!(!is_blocked(&control, "play.example", "10.9.0.5", NOW));
    assert!(control.undo(9, asked("", None)).await.is_err());
    let page = control.audit_page(&AuditQuery { limit: 1, ..Default::default() }).unwrap();
    assert_eq!(page.lines[0].record.reason.as_deref(), Some("takes back revision 3"));
}

#[tokio::test]
async fn an_opening_for_one_room_ends_by_itself() {
    let school = School::new();
    let control = school.open().await;
    let open = r#"{"edit":"open","what":["play.example"],"clients":["10.20.2.0/27"],"until":"2026-11-22T11:15:00Z"}"#;
    control.edit(vec![edit(open)], asked("year 6 plays chess", None)).await.unwrap();
    let blocked = |client: &str, at: &str| is_blocked(&control, "play.example", client, at);
    assert!(!blocked("10.20.2.5", "2026-11-22T11:14:59Z"));
    assert!(blocked("10.20.2.5", "2026-11-22T11:15:00Z"));
    assert!(blocked("10.20.2.99", "2026-11-22T11:14:59Z"));
    let control = &control;
    let lesson = r#"{"edit":"start-lesson","name":"Chess","room":["10.20.2.0/27"],"only":["chess.example"],
        "until":"2026-11-22T11:15:00Z"}"#;
    control.edit(vec![edit(lesson)], asked("", None)).await.unwrap();
    assert!(is_blocked(control, "news.example", "10.20.2.5", NOW));
    let end = vec![edit(r#"{"edit":"end-lesson","name":"Chess"}"#)];
    control.edit(end, asked("", None)).await.unwrap();
    assert!(!is_blocked(control, "news.example", "10.20.2.5", NOW));
}

#[tokio::test]
async fn a_preview_counts_what_the_school_asked_for() {
    let school = School::new();
    let control = school.open().await;
    let at = |minute: i64| now() - jiff::SignedDuration::from_mins(60 - minute);
    let from = |client: &str, question: Question| Question { client: client.into(), ..question };
    let questions = [
        from("10.20.2.5", Question::new(at(1), "play.example")),
        from("127.0.0.1", Question::new(at(2), "www.play.example")),
        from("10.20.2.6", Question::new(at(3), "www.play.example")),
        from("10.9.0.5", Question::new(at(4), "play.example")),
        from("10.20.2.5", Question::new(at(5), "news.example")),
    ];
    log_day::add(school.folder.path(), &questions);
    let preview = control.preview(set("pupils", "games", "allow"), 7).await.unwrap();
    assert_eq!(preview.blocked, super::super::PreviewSide::default());
    let opened = &preview.opened;
    assert_eq!((opened.names, opened.questions, opened.networks), (2, 3, 2));
    assert_eq!(opened.profiles, ["Pupils"]);
    let first = &opened.shown[0];
    assert_eq!((first.name.as_str(), first.questions, first.networks), ("www.play.example", 2, 2));
    assert_eq!((preview.cut, preview.coverage.questions, preview.loosens.len()), (false, 5, 1));
    assert_eq!(control.policy_file().unwrap().revision, 1, "nothing is changed");
    let preview = control.preview(set("staff", "games", "block"), 7).await.unwrap();
    assert_eq!((preview.blocked.names, preview.blocked.questions, preview.opened.names), (1, 1, 0));
    assert!(control.preview(set("pupils", "adult", "allow"), 7).await.is_err());
    assert!(control.preview(Vec::new(), 0).await.is_err());
}

#[tokio::test]
async fn a_preview_decides_by_the_time_of_each_question() {
    let school = School::new();
    let control = school.open().await;
    let at = |time: &str| format!("2026-11-22T{time}:00Z").parse().unwrap();
    let questions = ["08:00", "08:30", "09:00"].map(|time| Question {
        client: String::from("10.20.2.5"),
        ..Question::new(at(time), "play.example")
    });
    log_day::add(school.folder.path(), &questions);
    let edits = vec![
        edit(
            r#"{"edit":"put-schedule","id":"early","windows":[{"days":"daily","from":"08:15","to":"09:00"}]}"#,
        ),
        edit(r#"{"edit":"set-cell","profile":"pupils","category":"games","cell":{"allow-during":"early"}}"#),
    ];
    let preview = control.preview(edits, 7).await.unwrap();
    assert_eq!((preview.opened.questions, preview.blocked.questions), (1, 0));
}

#[tokio::test]
async fn the_matrix_has_each_state_with_its_lock_and_its_why() {
    let school = School::new();
    let control = school.open().await;
    let why =
        r#"{"edit":"set-cell","profile":"pupils","category":"games","cell":"block","why":"lessons first"}"#;
    control.edit(vec![edit(why)], asked("", None)).await.unwrap();
    let matrix = control.matrix();
    assert_eq!(matrix.profiles.iter().map(|p| p.title.as_str()).collect::<Vec<_>>(), ["Pupils", "Staff"]);
    let row = |id: &str| matrix.rows.iter().find(|row| row.id == id).unwrap();
    let games = &row("games").cells[0];
    assert_eq!((games.why.as_str(), games.locked, games.set), ("lessons first", false, true));
    let adult = &row("adult").cells;
    assert_eq!((adult[0].locked, &adult[0].state), (true, &crate::policy::Cell::Locked));
    assert_eq!((adult[1].locked, &adult[1].state), (false, &crate::policy::Cell::Allow));
    let tiktok = row("social").services.iter().find(|service| service.id == "tiktok").unwrap();
    assert!(!tiktok.cells[0].set && tiktok.cells[1].set);
    assert_eq!(tiktok.cells[0].state, row("social").cells[0].state);
}
