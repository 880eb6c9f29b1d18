//! The school's own rules as browsers get them.

use axum::http::StatusCode;

use crate::{
    accounts::Role,
    admin::tests::TestBox,
    policy::{Action, RuleFile},
};

fn rules(school: &TestBox) -> Vec<RuleFile> {
    school.admin.control.policy().load_full().file().rules.clone()
}

#[tokio::test]
async fn a_site_is_blocked_with_one_form_and_the_rule_can_be_undone() {
    let school = TestBox::new().await;
    assert!(school.get(Role::Head, "/sites").await.has("no rules for single sites yet"));
    let form = [
        ("names", "https://www.play.example/page"),
        ("action", "block"),
        ("profile.ks2", "yes"),
        ("owner", "Ms Patel"),
        ("reason", "<script>alert(1)</script>"),
        ("until", "2026-12-01T15:30"),
    ];
    let saved = school.post(Role::PolicyOwner, "/sites/new", &form).await;
    assert_eq!(saved.leads_to(), "/sites?changed=1&done=done-saved", "{}", saved.body);
    let rule = &rules(&school)[0];
    assert_eq!(
        (rule.name.as_str(), rule.action, rule.owner.as_str()),
        ("www.play.example", Action::Block, "Ms Patel")
    );
    assert_eq!(rule.profiles.as_deref(), Some(&["ks2".to_owned()][..]));
    let page = school.get(Role::Auditor, "/sites?changed=1").await;
    for text in ["www.play.example", "Key Stage 2", "Ms Patel", "Tue 1 Dec, 15:30"] {
        assert!(page.has(text), "{text}: {}", page.body);
    }
    assert!(!page.has("<script>alert") && !page.has("/sites/remove") && !page.has("/sites/undo"));
    assert!(school.get(Role::Head, "/sites?changed=1").await.has("/sites/undo"));
    let undone = school.post(Role::Head, "/sites/undo", &[("revision", "1")]).await;
    assert_eq!(undone.leads_to(), "/sites?done=done-undone");
    assert!(rules(&school).is_empty());
}

#[tokio::test]
async fn what_opens_asks_why_and_keeps_what_was_typed() {
    let school = TestBox::new().await;
    let new = school.get(Role::Head, "/sites/new?name=museum.example&profile=ks1&action=allow").await;
    assert!(new.has(">museum.example</textarea>") && new.has("name=\"profile.ks1\" value=\"yes\" checked"));
    assert!(new.has("value=\"allow\" checked") && new.has("value=\"The head\""), "{}", new.body);
    let form = [("names", "museum.example"), ("action", "allow"), ("profile.ks1", "yes"), ("owner", "Head")];
    let asked = school.post(Role::Head, "/sites/new", &form).await;
    assert_eq!(asked.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        asked.has("Please say why") && asked.has(">museum.example</textarea>") && asked.has("value=\"Head\"")
    );
    let form = [form[0], form[1], form[2], ("reason", "Romans")];
    assert!(school.post(Role::Head, "/sites/new", &form).await.leads_to().starts_with("/sites?changed="));
    assert_eq!(rules(&school)[0].reason, "Romans");
}

#[tokio::test]
async fn names_that_are_none_are_told_and_nothing_is_kept() {
    let school = TestBox::new().await;
    for (names, says) in [
        ("good.example\nsp ace..x\n", "These are no sites"),
        ("", "at least one site"),
        ("com", "no single site"),
    ] {
        let answer = school.post(Role::Head, "/sites/new", &[("names", names), ("action", "block")]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.has(says), "{names}: {}", answer.body);
    }
    let past = [("names", "a.example"), ("action", "block"), ("until", "2020-01-01T10:00")];
    assert!(school.post(Role::Head, "/sites/new", &past).await.has("a date and time to come"));
    let nobody = [("names", "a.example"), ("action", "block"), ("profile.nobody", "yes")];
    let answer = school.post(Role::Head, "/sites/new", &nobody).await;
    assert!(answer.status == StatusCode::UNPROCESSABLE_ENTITY && answer.has("nobody"), "{}", answer.body);
    assert!(rules(&school).is_empty());
}

#[tokio::test]
async fn a_rule_is_changed_and_removed_unless_somebody_was_quicker() {
    let school = TestBox::new().await;
    let many = [("names", "b.example a.example"), ("action", "block")];
    school.post(Role::Head, "/sites/new", &many).await;
    assert_eq!(rules(&school).len(), 2);
    let edit = school.get(Role::Head, "/sites/edit?place=0&revision=1").await;
    assert!(edit.has("value=\"b.example\""), "{}", edit.body);
    let form = [("names", "c.example"), ("action", "block"), ("place", "0"), ("revision", "1")];
    let saved = school.post(Role::Head, "/sites/new", &[&form[..], &[("reason", "a typo")]].concat()).await;
    assert!(saved.leads_to().starts_with("/sites?changed=2"), "{}", saved.body);
    let names: Vec<String> = rules(&school).into_iter().map(|rule| rule.name).collect();
    assert_eq!(names, ["a.example", "c.example"]);
    let late = school.post(Role::Technician, "/sites/remove", &[("place", "0"), ("revision", "1")]).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.has("head changed the policy meanwhile"), "{}", late.body);
    let late = school.post(Role::Technician, "/sites/new", &form).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    let which = [("place", "0"), ("revision", "2")];
    let asked = school.post(Role::Head, "/sites/remove", &which).await;
    assert!(asked.status == StatusCode::UNPROCESSABLE_ENTITY && asked.has("a.example"), "{}", asked.body);
    let removed = [which[0], which[1], ("reason", "It is gone")];
    let removed = school.post(Role::Head, "/sites/remove", &removed).await;
    assert_eq!(removed.leads_to(), "/sites?changed=3&done=done-removed");
    assert_eq!(rules(&school).len(), 1);
}

#[tokio::test]
async fn rules_go_out_as_a_spreadsheet_and_come_in_again() {
    let school = TestBox::new().await;
    let text = "action,name,profiles,clients,reason,owner,until\r\n\
        block,'=a.example,Key Stage 2; ks1,,\"Games, again\",Ms Patel,2027-01-01T00:00:00Z\r\n\
        allow,museum.example,,10.20.6.0/24,'=1+1,,\r\n";
    let look = school.post(Role::Head, "/sites/import", &[("text", text)]).await;
    assert!(look.has("2 rules are ready") && rules(&school).is_empty(), "{}", look.body);
    let sure = [("text", text), ("is_sure", "yes"), ("reason", "from the old box")];
    let done = school.post(Role::Head, "/sites/import", &sure).await;
    assert_eq!(done.leads_to(), "/sites?changed=1&done=done-saved", "{}", done.body);
    let rule = &rules(&school)[0];
    assert_eq!((rule.name.as_str(), rule.reason.as_str()), ("=a.example", "Games, again"));
    assert_eq!(rule.profiles.as_ref().unwrap(), &["ks2", "ks1"]);
    let out = school.get(Role::Auditor, "/sites/sites.csv").await;
    assert!(
        out.has("block,'=a.example,\"ks2; ks1\",,\"Games, again\",Ms Patel,2027-01-01T00:00:00Z\r\n"),
        "{}",
        out.body
    );
    assert!(out.has(",'=1+1,"), "{}", out.body);
}

#[tokio::test]
async fn a_spreadsheet_with_mistakes_names_their_lines() {
    let school = TestBox::new().await;
    let text =
        "action,name,until\nblock,good.example,\nmaybe,x.example,\nblock,..,\nallow,y.example,yesterday\n";
    let answer = school.post(Role::Head, "/sites/import", &[("text", text), ("is_sure", "yes")]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    for says in ["Line 3: maybe", "Line 4:", "Line 5: yesterday"] {
        assert!(answer.has(says), "{says}: {}", answer.body);
    }
    let column = school.post(Role::Head, "/sites/import", &[("text", "name,colour\na.example,red")]).await;
    assert!(column.has("There is no column colour."), "{}", column.body);
    assert!(school.post(Role::Head, "/sites/import", &[("text", " ")]).await.has("no rules in this text"));
    assert!(rules(&school).is_empty());
}

#[tokio::test]
async fn the_effect_is_shown_before_anything_happens() {
    let school = TestBox::new().await;
    let form = [("names", "play.example"), ("action", "block")];
    let part = school.part_post(Role::Head, "/sites/preview", &form).await;
    assert!(part.has("Nothing that anybody asked for") && !part.has("<html"), "{}", part.body);
    let whole = school.post(Role::Head, "/sites/preview", &form).await;
    assert!(whole.has("Nothing that anybody asked for") && whole.has(">play.example</textarea>"));
    assert!(rules(&school).is_empty());
}
