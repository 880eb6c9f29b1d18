use std::path::Path;

use super::*;

fn record(minute: u8, by: &str, action: &str, detail: &str) -> AuditRecord {
    let at = format!("2026-11-22T09:{minute:02}:00Z").parse().unwrap();
    AuditRecord::new(at, by, action, detail.into())
}

fn filled(folder: &Path) -> Store {
    let store = Store::open(folder).unwrap();
    for (minute, by, action, detail) in [
        (0, "A. Technician", "policy.edit", "games: block, was allow"),
        (1, "A. Head", "lists.update", "ut1"),
        (2, "A. Technician", "policy.import", "policy.toml: contact"),
    ] {
        store.audit(&record(minute, by, action, detail)).unwrap();
    }
    store
}

fn ids(store: &Store, query: AuditQuery) -> Vec<i64> {
    store.audit_page(&query).unwrap().lines.into_iter().map(|line| line.id).collect()
}

#[test]
fn a_line_keeps_what_was_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let written = AuditRecord {
        before: Some("allow".into()),
        after: Some("block".into()),
        reason: Some("asked for".into()),
        from: Some("10.20.1.4".into()),
        ..record(0, "A. Head", "policy.edit", "games")
    };
    store.audit(&written).unwrap();
    assert_eq!(store.audit_records(1).unwrap(), [written]);
}

#[test]
fn pages_follow_one_another_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path());
    let first = store.audit_page(&AuditQuery { limit: 2, ..AuditQuery::default() }).unwrap();
    assert_eq!(first.lines.iter().map(|line| line.id).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(first.next, Some(2));
    let rest =
        store.audit_page(&AuditQuery { limit: 2, before: first.next, ..AuditQuery::default() }).unwrap();
    assert_eq!((rest.lines.len(), rest.lines[0].id, rest.next), (1, 1, None));
}

#[test]
fn lines_are_found_by_who_what_when_and_words() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path());
    let all = AuditQuery::default;
    assert_eq!(ids(&store, AuditQuery { by: Some("technician".into()), ..all() }), [3, 1]);
    assert_eq!(ids(&store, AuditQuery { action: Some("policy.".into()), ..all() }), [3, 1]);
    assert_eq!(ids(&store, AuditQuery { text: Some("GAMES".into()), ..all() }), [1]);
    let noon = |minute: u8| Some(record(minute, "", "", "").at);
    assert_eq!(ids(&store, AuditQuery { from: noon(1), to: noon(2), ..all() }), [2]);
}

#[test]
fn an_edited_line_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path());
    assert!(matches!(store.verify_audit().unwrap(), AuditProof::Whole { lines: 3, .. }));
    store.connection.execute("UPDATE audit SET who = 'nobody' WHERE id = 2", []).unwrap();
    let at = record(1, "", "", "").at;
    assert_eq!(store.verify_audit().unwrap(), AuditProof::Broken { line: 2, at });
}

#[test]
fn a_line_taken_out_is_noticed_wherever_it_stood() {
    for (gone, found) in [
        (1, AuditProof::Broken { line: 2, at: record(1, "", "", "").at }),
        (2, AuditProof::Broken { line: 3, at: record(2, "", "", "").at }),
        (3, AuditProof::Short { written: 3, there: 2 }),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path());
        store.connection.execute("DELETE FROM audit WHERE id = ?1", [gone]).unwrap();
        assert_eq!(store.verify_audit().unwrap(), found);
    }
}

#[test]
fn a_database_of_before_the_chain_is_given_one() {
    let folder = tempfile::tempdir().unwrap();
    let old = Connection::open(folder.path().join("schoolgate.db")).unwrap();
    old.execute_batch(include_str!("../migrations/001-policy-and-audit.sql")).unwrap();
    old.execute_batch(
        "INSERT INTO policy (at_ms, who, text) VALUES (1795338000000, 'A. Head', 'version = 1');
         INSERT INTO audit (at_ms, who, action, detail) VALUES (1795338000000, 'A. Head', 'policy.import', 'x'),
             (1795338060000, 'A. Head', 'lists.update', 'y');
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.revision(1).unwrap().unwrap().by, "A. Head");
    assert!(matches!(store.verify_audit().unwrap(), AuditProof::Whole { lines: 2, .. }));
    store.audit(&record(0, "A. Head", "policy.edit", "z")).unwrap();
    assert!(matches!(store.verify_audit().unwrap(), AuditProof::Whole { lines: 3, .. }));
    assert_eq!(store.audit_records(1).unwrap()[0].before, None);
}

#[test]
fn two_openings_keep_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let (one, mut two) = (filled(folder.path()), Store::open(folder.path()).unwrap());
    two.publish("version = 1\n", &record(3, "A. Head", "policy.edit", "p")).unwrap();
    one.audit(&record(4, "A. Head", "policy.edit", "q")).unwrap();
    assert!(matches!(two.verify_audit().unwrap(), AuditProof::Whole { lines: 5, .. }));
    let heads = one.revisions(None, 10).unwrap();
    assert_eq!(
        heads.iter().map(|head| (head.number, head.by.as_str())).collect::<Vec<_>>(),
        [(1, "A. Head")]
    );
    assert!(one.revisions(Some(1), 10).unwrap().is_empty());
    assert!(one.revision(2).unwrap().is_none());
}
