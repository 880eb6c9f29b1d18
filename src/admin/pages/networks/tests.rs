//! Networks and devices as browsers get them.

use axum::http::StatusCode;
use rusqlite::Connection;

use crate::{
    accounts::Role,
    admin::tests::{TestBox, log_day},
    policy::PolicyFile,
};

fn file(school: &TestBox) -> PolicyFile {
    school.admin.control.policy().load_full().file().clone()
}

/// The school's subnets of a profile, without those of the box itself.
fn subnets(school: &TestBox, id: &str) -> Vec<String> {
    let profile = file(school).profiles.into_iter().find(|profile| profile.id == id).unwrap();
    profile.subnets.into_iter().filter(|subnet| subnet.starts_with("10.")).collect()
}

async fn add(school: &TestBox, subnets: &str, profile: &str) -> crate::admin::tests::Answer {
    let form = [("subnets", subnets), ("profile", profile), ("reason", "new cabling")];
    school.post(Role::Head, "/networks/add", &form).await
}

#[tokio::test]
async fn a_network_is_added_moved_taken_out_and_undone() {
    let school = TestBox::new().await;
    let added = add(&school, "10.20.2.9/24\n10.20.3.0/24", "ks2").await;
    assert_eq!(added.leads_to(), "/networks?changed=1&done=done-saved", "{}", added.body);
    assert_eq!(subnets(&school, "ks2"), ["10.20.2.0/24", "10.20.3.0/24"]);
    assert!(school.get(Role::Head, "/networks?changed=1").await.has("/networks/undo"));
    let move_it = [("subnet", "10.20.3.0/24"), ("profile", "secondary"), ("revision", "1")];
    let asked = school.post(Role::Head, "/networks/subnet", &move_it).await;
    assert!(asked.status == StatusCode::UNPROCESSABLE_ENTITY && asked.has("10.20.3.0/24"), "{}", asked.body);
    let with_reason = [&move_it[..], &[("reason", "Year 7")]].concat();
    assert!(school.post(Role::Head, "/networks/subnet", &with_reason).await.leads_to().contains("changed=2"));
    assert_eq!(subnets(&school, "secondary"), ["10.20.3.0/24"]);
    assert_eq!(subnets(&school, "ks2"), ["10.20.2.0/24"]);
    let late = school.post(Role::Technician, "/networks/subnet", &with_reason).await;
    assert!(late.status == StatusCode::CONFLICT && late.has("head changed the policy"), "{}", late.body);
    let undone = school.post(Role::Head, "/networks/undo", &[("revision", "2")]).await;
    assert_eq!(undone.leads_to(), "/networks?done=done-undone");
    let out = [("subnet", "10.20.3.0/24"), ("profile", ""), ("reason", "it is gone")];
    school.post(Role::Head, "/networks/subnet", &out).await;
    assert_eq!(subnets(&school, "ks2"), ["10.20.2.0/24"]);
}

#[tokio::test]
async fn what_is_no_network_is_told_and_what_was_typed_is_kept() {
    let school = TestBox::new().await;
    for (text, profile, says) in [
        ("10.20.2", "ks2", "10.20.2: write it as"),
        ("0.0.0.0/0", "ks2", "the whole Internet"),
        ("", "ks2", "at least one network"),
        ("10.20.2.0/24", "nobody", "Please choose the profile."),
        ("<script>alert(1)</script>", "ks2", "These are no networks"),
    ] {
        let answer = add(&school, text, profile).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
        assert!(answer.has(says) && answer.has("value=\"new cabling\""), "{text}: {}", answer.body);
        assert!(!answer.has("<script>alert"));
    }
}

#[tokio::test]
async fn networks_within_each_other_are_told() {
    let school = TestBox::new().await;
    add(&school, "10.20.0.0/16", "ks2").await;
    add(&school, "10.20.9.0/24", "guest").await;
    let page = school.get(Role::Auditor, "/networks").await;
    assert!(page.has("Within 10.20.0.0/16, which is for others (Key Stage 2)."), "{}", page.body);
    assert!(!page.has("<form method=\"post\" action=\"/networks/add\""), "an auditor changes nothing");
}

#[tokio::test]
async fn who_is_in_no_network_is_told_by_network_and_by_address_only_to_whom_may_see() {
    let school = TestBox::new().await;
    let at = "2026-11-25T10:00:00Z".parse().unwrap();
    let client = |client: &str| log_day::Question {
        client: client.to_owned(),
        ..log_day::Question::new(at, "a.example")
    };
    log_day::add(school.data.path(), &[client("10.77.1.5"), client("10.77.1.6"), client("10.88.1.1")]);
    let day = Connection::open(school.data.path().join("log/2026-11-25.db")).unwrap();
    day.execute("UPDATE asker SET known_by = 'fallback'", []).unwrap();
    let head = school.get(Role::Head, "/networks").await;
    assert!(
        head.has("10.77.1.0/24") && head.has("2 devices") && head.has("10.77.1.5, 10.77.1.6"),
        "{}",
        head.body
    );
    assert!(head.has("Wed 25 Nov"), "{}", head.body);
    let technician = school.get(Role::Technician, "/networks").await;
    assert!(technician.has("10.77.1.0/24") && !technician.has("10.77.1.5"), "{}", technician.body);
    add(&school, "10.77.0.0/16", "ks2").await;
    let after = school.get(Role::Head, "/networks").await;
    assert!(!after.has("10.77.1.5") && after.has("10.88.1.1"), "{}", after.body);
}

#[tokio::test]
async fn a_device_is_named_suspended_and_removed() {
    let school = TestBox::new().await;
    let form = [("name", "Tablet <b>7</b>"), ("address", "10.20.2.31"), ("mac", ""), ("profile", "")];
    let saved = school.post(Role::Technician, "/networks/device", &form).await;
    let asked = saved.status == StatusCode::UNPROCESSABLE_ENTITY;
    let form = [&form[..], &[("reason", "the library's")]].concat();
    if asked {
        assert!(saved.has("value=\"10.20.2.31\"") && saved.has("Please say why"), "{}", saved.body);
        school.post(Role::Technician, "/networks/device", &form).await;
    }
    assert_eq!(file(&school).devices[0].name, "Tablet <b>7</b>");
    let again = school.post(Role::Technician, "/networks/device", &form).await;
    assert!(again.status == StatusCode::UNPROCESSABLE_ENTITY && again.has("already"), "{}", again.body);
    let page = school.get(Role::Head, "/networks").await;
    assert!(page.has("10.20.2.31") && !page.has("<b>7</b>"), "{}", page.body);
    let edit = school.get(Role::Head, "/networks/device?name=Tablet%20%3Cb%3E7%3C/b%3E").await;
    assert!(edit.has("value=\"10.20.2.31\""), "{}", edit.body);
    let name = ("name", "Tablet <b>7</b>");
    let suspended = school.post(Role::Head, "/networks/suspend", &[name, ("suspended", "yes")]).await;
    assert!(suspended.leads_to().starts_with("/networks?changed="), "{}", suspended.body);
    assert!(file(&school).devices[0].suspended);
    let lift = school.post(Role::Head, "/networks/suspend", &[name, ("suspended", "no")]).await;
    assert!(
        lift.status == StatusCode::UNPROCESSABLE_ENTITY && lift.has("Lift a suspension"),
        "{}",
        lift.body
    );
    let lift = [name, ("suspended", "no"), ("reason", "talked to them")];
    assert!(school.post(Role::Head, "/networks/suspend", &lift).await.leads_to().starts_with("/networks?"));
    let gone = school.post(Role::Head, "/networks/device/remove", &[name, ("reason", "sold")]).await;
    assert!(gone.leads_to().starts_with("/networks?changed="), "{}", gone.body);
    assert!(file(&school).devices.is_empty());
    let wrong = [("name", "x"), ("address", "somewhere"), ("reason", "r")];
    let wrong = school.post(Role::Head, "/networks/device", &wrong).await;
    assert!(wrong.has("is not an address") && wrong.has("value=\"somewhere\""), "{}", wrong.body);
}

#[tokio::test]
async fn a_group_is_made_changed_and_removed() {
    let school = TestBox::new().await;
    let form = [("id", "Year 6"), ("members", "10.20.6.0/24\n10.20.7.1"), ("reason", "a club")];
    let saved = school.post(Role::Head, "/networks/group", &form).await;
    assert!(saved.leads_to().ends_with("#groups"), "{}", saved.body);
    assert_eq!(file(&school).groups[0].devices, ["10.20.6.0/24", "10.20.7.1"]);
    assert!(school.get(Role::Head, "/networks/group?id=year-6").await.has("10.20.7.1"));
    let wrong = [("was", "year-6"), ("members", "somebody"), ("reason", "a club")];
    let wrong = school.post(Role::Head, "/networks/group", &wrong).await;
    assert!(wrong.has("is no address, subnet") && wrong.has("somebody"), "{}", wrong.body);
    let gone =
        school.post(Role::Head, "/networks/group/remove", &[("name", "year-6"), ("reason", "r")]).await;
    assert!(gone.leads_to().starts_with("/networks?changed="), "{}", gone.body);
    assert!(file(&school).groups.is_empty());
}

#[tokio::test]
async fn unknown_devices_get_the_profile_that_the_school_names() {
    let school = TestBox::new().await;
    let asked = school.post(Role::Head, "/networks/fallback", &[("profile", "guest")]).await;
    assert!(
        asked.status == StatusCode::UNPROCESSABLE_ENTITY && asked.has("value=\"guest\""),
        "{}",
        asked.body
    );
    let sure = [("profile", "guest"), ("reason", "an open day")];
    assert!(school.post(Role::Head, "/networks/fallback", &sure).await.leads_to().contains("changed=1"));
    assert_eq!(file(&school).fallback_profile.as_deref(), Some("guest"));
}
