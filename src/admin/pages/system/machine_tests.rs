//! The pages of an appliance's machine, as a browser uses them, with a helper that answers as the appliance's does.

use std::{fs, path::Path, thread, time::Duration};

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};

use crate::{
    accounts::Role,
    admin::tests::{PASSWORD, TestBox},
    machine,
};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH ann@office";

/// Makes an appliance of a box.
pub(super) fn appliance(school: &TestBox) {
    for folder in ["run/requests", "run/answers", "system/update"] {
        fs::create_dir_all(school.data.path().join(folder)).unwrap();
    }
}

/// The helper of the box that was made an appliance.
pub(super) fn helper(data: &Path, name: &'static str, answer: &'static str) -> thread::JoinHandle<String> {
    machine::helper(&data.join("run"), name, answer.as_bytes())
}

pub(super) fn audit(school: &TestBox) -> String {
    school.admin.control.audit(50).unwrap().to_string()
}

#[tokio::test]
async fn elsewhere_than_on_an_appliance_there_are_no_such_pages() {
    let school = TestBox::new().await;
    for page in ["/system/machine", "/system/network", "/system/updates", "/system/ssh"] {
        let answer = school.get(Role::Head, page).await;
        assert!(answer.status == StatusCode::NOT_FOUND && answer.has("looked after elsewhere"), "{page}");
    }
    assert!(!school.get(Role::Head, "/system").await.has("/system/machine"));
    appliance(&school);
    assert!(school.get(Role::Head, "/system").await.has("/system/machine"));
}

#[tokio::test]
async fn what_the_box_found_out_is_a_finding_with_details_for_who_operates_it() {
    let school = TestBox::new().await;
    appliance(&school);
    let health = "[{\"what\":\"disk\",\"state\":\"bad\",\"text\":\"sda is <worn>.\"},{\"what\":\"memory\",\"state\":\"ok\",\"text\":\"Plenty.\"}]";
    fs::write(school.data.path().join("run/health.json"), health).unwrap();
    let page = school.get(Role::Technician, "/system/machine").await;
    assert!(page.has("worn") && page.has("Plenty.") && !page.has("<worn>"), "{}", page.body);
    assert!(!page.has("Factory reset"));
    let overview = school.get(Role::Technician, "/").await;
    assert!(overview.has("The disk of the box needs somebody"), "{}", overview.body);
    let governor = school.get(Role::Governor, "/").await;
    assert!(governor.has("The disk of the box needs somebody") && !governor.has("sda is"));
}

#[tokio::test]
async fn a_network_is_shown_before_it_is_changed_and_comes_back_unless_kept() {
    let school = TestBox::new().await;
    appliance(&school);
    let form = [("method", "static"), ("address", "10.20.0.9/16"), ("gateway", "10.20.0.1")];
    let wrong = [("method", "static"), ("address", "10.20.0.0/16"), ("apply", "on")];
    let wrong = school.post(Role::Technician, "/system/network", &wrong).await;
    assert!(
        wrong.status == StatusCode::UNPROCESSABLE_ENTITY && wrong.has("not a box in it"),
        "{}",
        wrong.body
    );
    let look = school.post(Role::Technician, "/system/network", &form).await;
    assert!(look.has("10.20.0.9:443/system/network") && look.has("Change it now"), "{}", look.body);
    assert_eq!(fs::read_dir(school.data.path().join("run/requests")).unwrap().count(), 0);

    let seen = "method = \"static\"\r\naddress = \"10.20.0.9/16\"\r\ngateway = \"10.20.0.1\"\r\n";
    let apply = [&form[..], &[("apply", "on"), ("seen", seen)]].concat();
    let asked = helper(school.data.path(), "network", "ok\nthe box has its new settings\n");
    let done = school.post(Role::Technician, "/system/network", &apply).await;
    assert!(done.status == StatusCode::OK && done.has("10.20.0.9:443/system/network"), "{}", done.body);
    assert_eq!(asked.join().unwrap(), seen.replace("\r\n", "\n"));
    assert!(school.get(Role::Technician, "/system/network").await.has("Keep the new settings"));
    let kept = school.post(Role::Technician, "/system/network/keep", &[]).await;
    assert_eq!(kept.leads_to(), "/system/network?done=done-network-kept");
    assert_eq!(school.admin.control.network_trial(), None);

    // Nobody keeps the next ones.
    let control = &school.admin.control;
    let set = helper(school.data.path(), "network", "ok\n\n");
    let new = machine::Network::parse(&seen.replace("0.9", "0.8")).unwrap();
    control.set_network_for(&new, Duration::from_millis(300), "ann", None).await.unwrap();
    set.join().unwrap();
    let back = helper(school.data.path(), "network", "ok\n\n");
    let back = tokio::task::spawn_blocking(move || back.join().unwrap()).await.unwrap();
    assert_eq!(back, seen.replace("\r\n", "\n"));
    while !audit(&school).contains("network.back") {
        tokio::task::yield_now().await;
    }
    assert!(audit(&school).contains("network.keep"), "{}", audit(&school));
}

/// Waits until nothing is on trial any more.
async fn trial_is_over(school: &TestBox) {
    while school.admin.control.network_trial().is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_network_that_nobody_kept_comes_back_after_a_restart_of_the_service() {
    let school = TestBox::new().await;
    appliance(&school);
    let (control, data) = (&school.admin.control, school.data.path());
    let on_trial = data.join("network-trial.json");
    let new = machine::Network::parse("method = static\naddress = 10.20.0.9/16").unwrap();
    let long = Duration::from_secs(3_600);
    let moment = Duration::from_millis(1);

    let refused = helper(data, "network", "refused\nno\n");
    control.set_network_for(&new, long, "ann", None).await.unwrap_err();
    refused.join().unwrap();
    assert!(control.network_trial().is_none() && !on_trial.exists());

    let set = helper(data, "network", "ok\n\n");
    control.set_network_for(&new, long, "ann", None).await.unwrap();
    set.join().unwrap();
    assert!(on_trial.exists());
    let back = helper(data, "network", "ok\n\n");
    control.resume_machine_for(moment);
    let back = tokio::task::spawn_blocking(move || back.join().unwrap()).await.unwrap();
    assert_eq!(back, "method = \"dhcp\"\n");
    trial_is_over(&school).await;
    while on_trial.exists() {
        tokio::task::yield_now().await;
    }

    // What nobody can read is no reason to change anything.
    fs::write(&on_trial, "{").unwrap();
    control.resume_machine_for(moment);
    assert!(control.network_trial().is_none() && !on_trial.exists());
}

#[tokio::test]
async fn a_network_that_was_changed_at_the_box_meanwhile_stays() {
    let school = TestBox::new().await;
    appliance(&school);
    let (control, data) = (&school.admin.control, school.data.path());
    let (in_force, on_trial) = (data.join("system/network.toml"), data.join("network-trial.json"));
    let at_the_box = "method = \"static\"\naddress = \"10.20.0.7/16\"\n";
    let new = machine::Network::parse("method = static\naddress = 10.20.0.9/16").unwrap();
    let set = helper(data, "network", "ok\n\n");
    control.set_network_for(&new, Duration::from_secs(3_600), "ann", None).await.unwrap();
    set.join().unwrap();

    // The time is over after that.
    control.resume_machine_for(Duration::from_millis(1));
    fs::write(&in_force, at_the_box).unwrap();
    trial_is_over(&school).await;
    assert_eq!(fs::read_dir(data.join("run/requests")).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(&in_force).unwrap(), at_the_box);

    // And the service started again after that.
    let tried = serde_json::json!({ "before": {}, "new": new });
    fs::write(&on_trial, tried.to_string()).unwrap();
    control.resume_machine_for(Duration::from_millis(1));
    assert!(control.network_trial().is_none() && !on_trial.exists());
}

#[tokio::test]
async fn ssh_takes_a_key_a_reason_and_the_password_of_an_administrator() {
    let school = TestBox::new().await;
    appliance(&school);
    assert_eq!(school.get(Role::Technician, "/system/ssh").await.status, StatusCode::FORBIDDEN);
    let form = |keys: &'static str, reason: &'static str, password: &'static str| {
        [("keys", keys), ("reason", reason), ("password", password)]
    };
    let wrong = school.post(Role::Head, "/system/ssh", &form(KEY, "help", "wrong")).await;
    assert!(wrong.has("The password is wrong"), "{}", wrong.body);
    let why = school.post(Role::Head, "/system/ssh", &form(KEY, "", PASSWORD)).await;
    assert_eq!(why.status, StatusCode::UNPROCESSABLE_ENTITY);
    let odd = school.post(Role::Head, "/system/ssh", &form("ssh-dss AAAA", "help", PASSWORD)).await;
    assert!(odd.status == StatusCode::UNPROCESSABLE_ENTITY && odd.has("line 1"), "{}", odd.body);
    let asked = helper(school.data.path(), "ssh-keys", "ok\nSSH is on\n");
    let on = school.post(Role::Head, "/system/ssh", &form(KEY, "help from afar", PASSWORD)).await;
    assert_eq!(on.leads_to(), "/system/ssh?done=done-ssh-on", "{}", on.body);
    assert_eq!(asked.join().unwrap(), format!("{KEY}\n"));
    assert!(school.get(Role::Head, "/system/ssh").await.has("SSH is on. Whoever"));
    assert!(audit(&school).contains("help from afar"));
    let asked = helper(school.data.path(), "ssh-keys", "ok\nSSH is off\n");
    let off = [("keys", KEY), ("off", "on"), ("password", PASSWORD)];
    let off = school.post(Role::Head, "/system/ssh", &off).await;
    assert_eq!(off.leads_to(), "/system/ssh?done=done-ssh-off", "{}", off.body);
    assert_eq!(asked.join().unwrap(), "");
}

#[tokio::test]
async fn an_update_comes_as_a_file_and_what_the_box_says_is_told() {
    let school = TestBox::new().await;
    appliance(&school);
    let body = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.raucb\"\r\n\r\nBUNDLE\r\n--B--\r\n";
    let asked = helper(school.data.path(), "update-install", "refused\nthe bundle is not signed\n");
    let request = school
        .request(Some(Role::Technician), Method::POST, "/system/updates/install")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=B");
    let refused = school.send(request.body(Body::from(body)).unwrap()).await;
    assert!(refused.has("the bundle is not signed"), "{}", refused.body);
    assert_eq!(asked.join().unwrap(), "update.raucb\n");
    assert_eq!(fs::read_dir(school.data.path().join("uploads")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(school.data.path().join("incoming")).unwrap().count(), 0);

    let odd = school.post(Role::Technician, "/system/updates/window", &[("window", "at night")]).await;
    assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY);
    let asked = helper(school.data.path(), "update-window", "ok\n01:00-02:00\n");
    let set = school.post(Role::Technician, "/system/updates/window", &[("window", "01:00-02:00")]).await;
    assert_eq!(set.leads_to(), "/system/updates?done=done-update-window", "{}", set.body);
    assert_eq!(asked.join().unwrap(), "01:00-02:00\n");
    // While a version has to prove itself, whoever changes something is told what may come of it.
    let warning = "Version 1.2.0 has just been started";
    assert!(!school.get(Role::Technician, "/system/network").await.has(warning));
    fs::write(school.data.path().join("system/update/pending"), "version=1.2.0\nslot=B\n").unwrap();
    assert!(school.get(Role::Technician, "/system/network").await.has(warning));
}

#[tokio::test]
async fn a_factory_reset_takes_the_word_and_the_password() {
    let school = TestBox::new().await;
    appliance(&school);
    let path = "/system/machine/reset";
    let word = school.post(Role::Head, path, &[("word", "reset"), ("password", PASSWORD)]).await;
    assert!(word.has("in capitals"), "{}", word.body);
    let wrong = school.post(Role::Head, path, &[("word", "RESET"), ("password", "x")]).await;
    assert!(wrong.has("The password is wrong"), "{}", wrong.body);
    let asked = helper(school.data.path(), "factory-reset", "ok\nit empties itself\n");
    let done = school.post(Role::Head, path, &[("word", "RESET"), ("password", PASSWORD)]).await;
    assert!(done.status == StatusCode::OK && done.has("empties itself"), "{}", done.body);
    assert_eq!(asked.join().unwrap(), "RESET\n");
    assert!(audit(&school).contains("box.reset"));
}
