//! A stick and a shared folder for backups, as a browser and a program use them.

use std::fs;

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};

use super::machine_tests::{appliance, audit, helper};
use crate::{
    accounts::Role,
    admin::tests::TestBox,
    backup::Destination,
    machine::{SHARE, STICK},
};

const SCHEDULE: [(&str, &str); 6] = [
    ("every", "day"),
    ("hour", "2"),
    ("keep", "14"),
    ("name", "schoolgate"),
    ("lock", "passphrase"),
    ("passphrase", "four words of our own"),
];

const TYPED: [(&str, &str); 5] = [
    ("share_server", "\\\\files.school.example"),
    ("share_name", "backups"),
    ("share_folder", "dns\\box"),
    ("share_user", "SCHOOL\\dns"),
    ("share_password", " a,b<c\" "),
];

#[tokio::test]
async fn elsewhere_than_on_an_appliance_a_folder_is_chosen() {
    let school = TestBox::new().await;
    let page = school.get(Role::Technician, "/system/backup").await;
    assert!(page.has("value=\"folder\" checked") && !page.has("value=\"stick\""), "{}", page.body);
    let none = school.post(Role::Technician, "/system/backup/share", &TYPED).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn backups_go_to_a_stick_by_a_click() {
    let school = TestBox::new().await;
    appliance(&school);
    let page = school.get(Role::Technician, "/system/backup").await;
    assert!(page.has("value=\"stick\" checked") && page.has("None is in."), "{}", page.body);
    assert!(!page.has("value=\"folder\""));
    let stick = "state=in\ndevice=sdb1\ntext=The stick <SCHOOL> is in, with 64M.\n";
    fs::write(school.data.path().join("run/stick"), stick).unwrap();
    assert!(school.get(Role::Technician, "/system/backup").await.has("SCHOOL&#62; is in, with 64M."));

    let form = [&SCHEDULE[..], &[("kind", "stick")]].concat();
    let done = school.post(Role::Technician, "/system/backup", &form).await;
    assert_eq!(done.leads_to(), "/system/backup?done=done-backup-set#schedule");
    let settings = school.admin.control.backup_settings().unwrap().unwrap();
    assert_eq!(settings.destination, Destination::Folder { path: STICK.into(), own_disk: false });
    let page = school.get(Role::Technician, "/system/backup").await;
    assert!(page.has("value=\"stick\" checked") && page.has("the USB stick"), "{}", page.body);

    // What somebody mounted by hand stays a choice for as long as it is in use.
    let form = [&SCHEDULE[..], &[("kind", "folder"), ("path", "/mnt/other")]].concat();
    school.post(Role::Technician, "/system/backup", &form).await;
    let page = school.get(Role::Technician, "/system/backup").await;
    assert!(page.has("value=\"folder\" checked") && page.has("/mnt/other"), "{}", page.body);
}

#[tokio::test]
async fn a_shared_folder_is_tried_by_the_box_and_its_password_is_told_to_nobody() {
    let school = TestBox::new().await;
    appliance(&school);
    let data = school.data.path();
    let unknown = [&TYPED[..4], &[("share_password", "")]].concat();
    let unknown = school.post(Role::Technician, "/system/backup/share", &unknown).await;
    assert!(unknown.has("give the password of dns"), "{}", unknown.body);
    let odd = [&TYPED[..1], &[("share_name", "a,uid=0")], &TYPED[2..]].concat();
    let odd = school.post(Role::Technician, "/system/backup/share", &odd).await;
    assert!(odd.status == StatusCode::UNPROCESSABLE_ENTITY && odd.has("a,uid=0"), "{}", odd.body);

    let asked = helper(data, "share", "refused\nthere is no share backups on files.school.example\n");
    let refused = school.post(Role::Technician, "/system/backup/share", &TYPED).await;
    assert!(refused.has("there is no share backups") && refused.has("dns\\box"), "{}", refused.body);
    assert!(!refused.has("a,b"), "{}", refused.body);
    let asked = asked.join().unwrap();
    let wanted = "server=files.school.example\nshare=backups\nfolder=dns/box\nuser=dns\ndomain=SCHOOL\n";
    assert_eq!(asked, format!("{wanted}password= a,b<c\" \n"));

    let done = helper(data, "share", "ok\nthe shared folder is there\n");
    let set = school.post(Role::Technician, "/system/backup/share", &TYPED).await;
    assert_eq!(set.leads_to(), "/system/backup?done=done-share-set#share");
    done.join().unwrap();
    assert!(audit(&school).contains("share.set") && !audit(&school).contains("a,b"), "{}", audit(&school));

    // As root's helper keeps it.
    fs::create_dir_all(data.join("system/share")).unwrap();
    fs::write(data.join("system/share/settings"), wanted).unwrap();
    fs::write(data.join("run/share"), "state=wrong\ntext=The shared folder is not there: it is away.\n")
        .unwrap();
    let page = school.get(Role::Technician, "/system/backup").await;
    assert!(page.has("files.school.example\\backups\\dns\\box") && page.has("it is away"), "{}", page.body);
    let kept = helper(data, "share", "ok\n\n");
    let same = [&TYPED[..4], &[("share_password", "")]].concat();
    school.post(Role::Technician, "/system/backup/share", &same).await;
    assert_eq!(kept.join().unwrap(), wanted);
    let elsewhere = [&[("share_server", "evil.example")], &same[1..]].concat();
    let elsewhere = school.post(Role::Technician, "/system/backup/share", &elsewhere).await;
    assert!(elsewhere.has("give the password of"), "{}", elsewhere.body);

    let gone = helper(data, "share", "ok\n\n");
    let removed = school.post(Role::Technician, "/system/backup/share/remove", &[]).await;
    assert_eq!(removed.leads_to(), "/system/backup?done=done-share-removed#share");
    assert_eq!(gone.join().unwrap(), "");
    assert!(audit(&school).contains("share.remove"));
}

#[tokio::test]
async fn only_who_may_change_the_system_sets_a_shared_folder() {
    let school = TestBox::new().await;
    appliance(&school);
    let refused = school.post(Role::Auditor, "/system/backup/share", &TYPED).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(!school.get(Role::Auditor, "/system/backup").await.has("share_password"));
}

#[tokio::test]
async fn programs_set_a_shared_folder_as_well() {
    let school = TestBox::new().await;
    appliance(&school);
    let asked = helper(school.data.path(), "share", "ok\nthe shared folder is there\n");
    let body =
        r#"{"server": "10.0.0.5", "port": 8445, "share": "backups", "user": "dns", "password": "secret"}"#;
    let request = school
        .request(Some(Role::Technician), Method::PUT, "/api/v1/machine/share")
        .header(header::CONTENT_TYPE, "application/json");
    let set = school.send(request.body(Body::from(body)).unwrap()).await;
    assert!(set.status == StatusCode::OK && set.has("the shared folder is there"), "{}", set.body);
    assert_eq!(
        asked.join().unwrap(),
        "server=10.0.0.5\nport=8445\nshare=backups\nuser=dns\npassword=secret\n"
    );
    fs::create_dir_all(school.data.path().join("system/share")).unwrap();
    fs::write(school.data.path().join("system/share/settings"), "server=10.0.0.5\nshare=a\nuser=b\n")
        .unwrap();
    let machine = school.get(Role::Technician, "/api/v1/machine").await;
    assert!(machine.has("10.0.0.5") && !machine.has("secret"), "{}", machine.body);
    assert_eq!(SHARE, "/mnt/share");
}
