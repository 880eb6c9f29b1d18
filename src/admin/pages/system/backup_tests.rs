//! The pages of backups, as a browser uses them.

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};

use crate::{
    accounts::Role,
    admin::tests::{Answer, TestBox},
    backup::{self, Opener},
};

const PASSPHRASE: &str = "four words of our own";

async fn post(school: &TestBox, role: Role, path: &str, form: &str) -> Answer {
    let request = school
        .request(Some(role), Method::POST, path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    school.send(request.body(Body::from(form.to_owned())).unwrap()).await
}

/// What a browser sends with a file.
fn multipart(fields: &[(&str, &str)], file: &[u8]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part =
            format!("--BOUNDARY\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let head = "--BOUNDARY\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.age\"\r\nContent-Type: application/octet-stream\r\n\r\n";
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--BOUNDARY--\r\n");
    (String::from("multipart/form-data; boundary=BOUNDARY"), body)
}

async fn send_file(
    school: &TestBox,
    role: Option<Role>,
    path: &str,
    fields: &[(&str, &str)],
    file: &[u8],
) -> Answer {
    let (kind, body) = multipart(fields, file);
    let request = school.request(role, Method::POST, path).header(header::CONTENT_TYPE, kind);
    school.send(request.body(Body::from(body)).unwrap()).await
}

/// A backup of a box, as a file.
async fn archive_of(school: &TestBox) -> Vec<u8> {
    let lock = backup::Lock::passphrase(PASSPHRASE).unwrap();
    let to = school.data.path().join("a.backup.age");
    let extras = backup::Extras::default();
    school.admin.control.make_backup(&to, lock, extras, "test", None).await.unwrap();
    let bytes = std::fs::read(&to).unwrap();
    std::fs::remove_file(&to).unwrap();
    bytes
}

#[tokio::test]
async fn a_backup_is_downloaded_and_the_log_in_it_is_for_those_who_may_export_it() {
    let school = TestBox::new().await;
    let page = school.get(Role::Technician, "/system/backup").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.has("With the query log"));
    assert!(school.get(Role::Head, "/system/backup").await.has("With the query log"));
    let seen = school.get(Role::Auditor, "/system/backup").await;
    assert!(seen.status == StatusCode::OK && !seen.has("Make and download"));

    let form = format!("passphrase={PASSPHRASE}&again={PASSPHRASE}").replace(' ', "+");
    let made = post(&school, Role::Technician, "/system/backup/make", &form).await;
    assert_eq!(made.status, StatusCode::OK);
    assert!(made.body.starts_with("age-encryption.org/v1"), "{:.60}", made.body);
    let refused = post(&school, Role::Technician, "/system/backup/make", &format!("{form}&logs=on")).await;
    assert!(refused.status == StatusCode::UNPROCESSABLE_ENTITY && refused.has("may export the query log"));
    let other =
        post(&school, Role::Technician, "/system/backup/make", "passphrase=one+of+them+here&again=two").await;
    assert!(other.has("are not the same"));
    let short = post(&school, Role::Technician, "/system/backup/make", "passphrase=a&again=a").await;
    assert!(short.has("12 characters"));
    // Nothing is left of it on the box.
    assert_eq!(std::fs::read_dir(school.data.path().join("incoming")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_schedule_is_set_run_rehearsed_and_ended() {
    let school = TestBox::new().await;
    let stick = tempfile::tempdir().unwrap();
    let path = stick.path().display();
    let form = format!(
        "every=day&hour=2&keep=3&name=elm&kind=folder&path={path}&own_disk=on&lock=passphrase&passphrase=four+words+of+our+own"
    );
    let wrong = post(&school, Role::Technician, "/system/backup", &form.replace("hour=2", "hour=25")).await;
    assert!(wrong.has("the hour is 0 to 23") && wrong.has("value=\"25\""), "{}", wrong.body);
    let logs = post(&school, Role::Technician, "/system/backup", &format!("{form}&logs=on")).await;
    assert!(logs.has("may export the query log"));
    let set = post(&school, Role::Technician, "/system/backup", &form).await;
    assert_eq!(set.leads_to(), "/system/backup?done=done-backup-set#schedule", "{}", set.body);
    assert!(!std::fs::read_to_string(school.data.path().join("backup.toml")).unwrap().contains("four words"));
    let page = school.get(Role::Technician, "/system/backup").await;
    assert!(page.has("each day from 2:00") && !page.has("four words"));
    assert!(school.admin.control.is_backup_due());

    let run = post(&school, Role::Technician, "/system/backup/run", "").await;
    assert_eq!(run.leads_to(), "/system/backup?done=done-backup-made#results", "{}", run.body);
    assert!(!school.admin.control.is_backup_due());
    let made = std::fs::read_dir(stick.path()).unwrap().next().unwrap().unwrap().path();
    assert!(backup::look(&made, &Opener::typed(PASSPHRASE)).is_ok());
    assert!(school.admin.control.is_drill_due());
    let drill = post(&school, Role::Technician, "/system/backup/drill", "").await;
    assert_eq!(drill.leads_to(), "/system/backup?done=done-backup-drill#drill", "{}", drill.body);
    assert!(!school.admin.control.is_drill_due());

    // The stick is pulled out.
    drop(stick);
    let failed = post(&school, Role::Technician, "/system/backup/run", "").await;
    assert!(failed.has("is the stick in"), "{}", failed.body);
    let overview = school.get(Role::Technician, "/").await;
    assert!(overview.has("The last backup was not made"), "{}", overview.body);
    let ended = post(&school, Role::Technician, "/system/backup/remove", "").await;
    assert_eq!(ended.leads_to(), "/system/backup?done=done-backup-removed#schedule");
    assert!(!school.get(Role::Technician, "/").await.has("The last backup was not made"));
    let audit = school.get(Role::Head, "/audit").await;
    for said in ["Backup made and brought away", "Restore drill", "Backup not made"] {
        assert!(audit.has(said), "{said}");
    }
}

#[tokio::test]
async fn who_may_not_export_the_log_can_change_neither_where_it_goes_nor_who_can_open_it() {
    let school = TestBox::new().await;
    let stick = tempfile::tempdir().unwrap();
    let path = stick.path().display();
    let form = format!("every=day&hour=2&keep=3&name=elm&kind=folder&path={path}&own_disk=on&logs=on");
    let begun = format!("{form}&lock=passphrase&passphrase=four+words+of+our+own");
    let set = post(&school, Role::Head, "/system/backup", &begun).await;
    assert_eq!(set.leads_to(), "/system/backup?done=done-backup-set#schedule", "{}", set.body);
    let key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    for other in [
        begun.clone(),
        format!("{form}&lock=key&recipient={key}"),
        format!("{form}&lock=passphrase").replace("path=/", "path=/tmp/other/"),
    ] {
        let refused = post(&school, Role::Technician, "/system/backup", &other).await;
        assert!(refused.has("may export the query log"), "{other}: {}", refused.body);
    }
    let hour = format!("{form}&lock=passphrase").replace("hour=2", "hour=3");
    let set = post(&school, Role::Technician, "/system/backup", &hour).await;
    assert_eq!(set.leads_to(), "/system/backup?done=done-backup-set#schedule", "{}", set.body);
}

#[tokio::test]
async fn backups_that_nobody_misses_are_missed_by_the_overview() {
    let school = TestBox::at("2026-11-26T10:15:00Z").await;
    let stick = tempfile::tempdir().unwrap();
    let path = stick.path().display();
    let form = format!("every=day&hour=2&keep=3&name=elm&kind=folder&path={path}&own_disk=on");
    let locked = format!("{form}&lock=passphrase&passphrase=four+words+of+our+own");
    post(&school, Role::Head, "/system/backup", &locked).await;
    let made_at = |at: &str| {
        let good =
            format!(r#"{{"at":"{at}","name":"elm.backup.age","to":"a stick","bytes":7,"error":null}}"#);
        let history = format!(r#"{{"tries":[{good}],"good":{good},"drill":null,"failures":0}}"#);
        std::fs::write(school.data.path().join("backup-history.json"), history).unwrap();
    };
    made_at("2026-11-24T02:00:00Z");
    assert!(!school.get(Role::Technician, "/").await.has("The last backup was not made"));
    made_at("2026-11-22T02:00:00Z");
    let overview = school.get(Role::Technician, "/").await;
    assert!(overview.has("none has been made since 22 November 2026"), "{}", overview.body);
}

#[tokio::test]
async fn a_restore_is_read_shown_and_forgotten_and_takes_a_head() {
    let (old, school) = (TestBox::new().await, TestBox::new().await);
    let archive = archive_of(&old).await;
    let fields = [("passphrase", PASSPHRASE)];
    let path = "/system/backup/restore";
    let refused = send_file(&school, Some(Role::Technician), path, &fields, &archive).await;
    assert!(refused.has("so the head restores it"), "{}", refused.body);
    let wrong =
        send_file(&school, Some(Role::Head), path, &[("passphrase", "not this one at all")], &archive).await;
    assert!(wrong.has("does not open with this passphrase"), "{}", wrong.body);
    let none = send_file(&school, Some(Role::Head), path, &fields, b"").await;
    assert!(none.has("Choose the file of a backup"), "{}", none.body);
    let damaged = send_file(&school, Some(Role::Head), path, &fields, &archive[..archive.len() / 2]).await;
    assert!(damaged.has("damaged"), "{}", damaged.body);
    assert!(school.admin.control.pending_restore().is_none());

    let ready = send_file(&school, Some(Role::Head), path, &fields, &archive).await;
    assert_eq!(ready.leads_to(), "/system/backup?done=done-backup-ready#restore", "{}", ready.body);
    assert!(school.get(Role::Head, "/system/backup").await.has("It is restored when the box starts again"));
    let cancelled = post(&school, Role::Head, "/system/backup/restore/cancel", "").await;
    assert_eq!(cancelled.leads_to(), "/system/backup?done=done-backup-cancelled#restore");
    assert!(school.admin.control.pending_restore().is_none());
    assert_eq!(std::fs::read_dir(school.data.path().join("incoming")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_new_box_takes_a_backup_from_who_has_its_code() {
    let old = TestBox::new().await;
    let archive = archive_of(&old).await;
    let school = TestBox::unclaimed_at("2026-11-26T10:15:00Z");
    let path = "/set-up/restore";
    assert!(school.get_as_nobody("/set-up").await.has("restore a backup"));
    assert_eq!(school.get_as_nobody(path).await.status, StatusCode::OK);
    let stranger =
        send_file(&school, None, path, &[("code", "AAAA-AAAA"), ("passphrase", PASSPHRASE)], &archive).await;
    assert_eq!(stranger.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", stranger.body);
    let nobody = send_file(&school, None, path, &[("passphrase", PASSPHRASE)], &archive).await;
    assert_eq!(nobody.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", nobody.body);
    assert!(school.admin.control.pending_restore().is_none());
    assert!(!school.data.path().join("incoming").exists());
    let code = school.admin.accounts.setup_code().unwrap().unwrap();
    let fields = [("code", code.expose()), ("passphrase", PASSPHRASE)];
    let ready = send_file(&school, None, path, &fields, &archive).await;
    assert_eq!(ready.status, StatusCode::OK, "{}", ready.body);
    assert!(ready.has("The backup is whole"), "{}", ready.body);
    assert!(school.admin.control.pending_restore().is_some());
}
