use axum::http::StatusCode;

use crate::{accounts::Role, admin::tests::TestBox, control::EditAsked, store::AuditQuery};

/// A text of many names, so that another with few looks suspicious.
fn many(from: u32, to: u32) -> String {
    (from..to).map(|number| format!("name{number}.example\n")).collect()
}

const OWN: [(&str, &str); 4] =
    [("title", "Our <b>list</b>"), ("category", "games"), ("kind", "upload"), ("action", "block")];

async fn with_list() -> TestBox {
    let school = TestBox::new().await;
    let text = many(0, 2_000);
    let mut form = OWN.to_vec();
    form.push(("text", &text));
    let done = school.post(Role::Technician, "/lists/add/own", &form).await;
    assert_eq!(done.leads_to(), "/lists/list/our-b-list-b?done=done-list-added", "{}", done.body);
    school
}

const LIST: &str = "/lists/list/our-b-list-b";

#[tokio::test]
async fn a_list_is_brought_held_looked_at_accepted_and_rolled_back() {
    let school = with_list().await;
    let all = school.get(Role::Auditor, "/lists").await;
    assert!(all.has("Our &#60;b&#62;list&#60;/b&#62;") && all.has("2,000"), "{}", all.body);
    assert!(!all.has("action=\"/lists/update\""), "an auditor changes nothing");
    // One that shrank to a tenth is held.
    let brought = school.post(Role::Technician, &format!("{LIST}/text"), &[("text", &many(0, 200))]).await;
    assert_eq!(brought.status, StatusCode::OK);
    assert!(brought.has("waits for you") && brought.has("1,800"), "{}", brought.body);
    let changes = school.part(Role::Technician, &format!("{LIST}/changes")).await;
    assert!(changes.has("name1000.example") && !changes.has("<html"), "{}", changes.body);
    assert!(school.get(Role::Technician, &format!("{LIST}/changes")).await.has("<html"));
    let other = school.post(Role::Technician, &format!("{LIST}/accept"), &[("version", "9")]).await;
    assert!(other.has("Another version"), "{}", other.body);
    let why = school.post(Role::Technician, &format!("{LIST}/accept"), &[("version", "2")]).await;
    assert_eq!(why.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        why.has("Please say why") && why.has("1800 names fewer") && why.has("value=\"2\""),
        "{}",
        why.body
    );
    assert!(school.get(Role::Head, "/lists").await.has("2,000"), "nothing was changed");
    let form = [("version", "2"), ("reason", "it was tidied up")];
    let done = school.post(Role::Technician, &format!("{LIST}/accept"), &form).await;
    assert_eq!(done.leads_to(), format!("{LIST}?done=done-list-accepted"), "{}", done.body);
    assert!(school.get(Role::Head, "/lists").await.has("200"));
    let why = school.post(Role::Technician, &format!("{LIST}/roll-back"), &[("version", "1")]).await;
    assert!(why.has("name=\"reason\"") && why.has(&format!("action=\"{LIST}/roll-back\"")), "{}", why.body);
    let form = [("version", "1"), ("reason", "too much was tidied up")];
    let back = school.post(Role::Technician, &format!("{LIST}/roll-back"), &form).await;
    assert_eq!(back.leads_to(), format!("{LIST}?done=done-list-rolled-back"), "{}", back.body);
    assert!(school.get(Role::Head, LIST).await.has("2,000"));
    let why = school.post(Role::Technician, &format!("{LIST}/remove"), &[]).await;
    assert!(why.has("Please say why"), "{}", why.body);
    // Who may open nothing on their own word proposes it, and somebody else approves.
    let form = [("reason", "nobody looks after it")];
    let proposed = school.post(Role::Technician, &format!("{LIST}/remove"), &form).await;
    assert!(proposed.status != StatusCode::SEE_OTHER || !proposed.leads_to().contains("removed"));
    assert_eq!(school.get(Role::Head, LIST).await.status, StatusCode::OK);
    let proposals = school.admin.control.proposals().unwrap();
    let [proposal] = proposals.as_slice() else { panic!("{proposals:?}") };
    let asked = EditAsked { by: String::from("head"), ..EditAsked::default() };
    school.admin.control.approve(proposal.number, asked).await.unwrap();
    assert_eq!(school.get(Role::Head, LIST).await.status, StatusCode::NOT_FOUND);
    let reason = |action: &str| {
        let query = AuditQuery { action: Some(action.into()), ..AuditQuery::default() };
        let page = school.admin.control.audit_page(&query).unwrap();
        page.lines[0].record.reason.clone().unwrap_or_default()
    };
    assert_eq!(reason("lists.accept"), "it was tidied up");
    assert_eq!(reason("lists.rollback"), "too much was tidied up");
    assert_eq!(reason("lists.remove"), "nobody looks after it (proposed by technician)");
}

#[tokio::test]
async fn it_is_told_which_list_has_a_name() {
    let school = with_list().await;
    let found = school.part(Role::Head, "/lists?name=https://www.name7.example/page").await;
    assert!(found.has("Our &#60;b&#62;list&#60;/b&#62;") && found.has("name7.example"), "{}", found.body);
    let none = school.get(Role::Head, "/lists?name=nothing.example").await;
    assert!(none.has("No list has"), "{}", none.body);
    let wrong = school.get(Role::Head, "/lists?name=%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!wrong.has("<script>alert"), "{}", wrong.body);
}

#[tokio::test]
async fn the_catalogue_offers_lists_and_a_subscription_waits_to_be_fetched() {
    let school = TestBox::new().await;
    let catalogue = school.get(Role::Head, "/lists/add?category=adult").await;
    assert!(catalogue.has("UT1 Toulouse: adult") && catalogue.has("CC-BY-SA-4.0"), "{}", catalogue.body);
    let done = school.post(Role::Head, "/lists/add", &[("id", "ut1-adult")]).await;
    assert_eq!(done.leads_to(), "/lists/list/ut1-adult?done=done-list-added", "{}", done.body);
    let page = school.get(Role::Head, "/lists/list/ut1-adult").await;
    assert!(page.has("Not fetched yet") && page.has("Université Toulouse Capitole"), "{}", page.body);
    let again = school.post(Role::Head, "/lists/add", &[("id", "ut1-adult")]).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    let none = school.post(Role::Head, "/lists/add", &[("id", "no-such-list")]).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_missing_of_a_list_is_named_and_what_was_typed_stays() {
    let school = TestBox::new().await;
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[("title", "!"), ("category", "games"), ("kind", "url"), ("url", "https://a.example/l")], "a name"),
        (&[("title", "Ours"), ("kind", "url"), ("url", "https://a.example/l")], "Choose the category"),
        (&[("title", "Ours"), ("category", "games"), ("kind", "url")], "the address"),
        (&[("title", "Ours"), ("category", "games")], "where it comes from"),
        (&[("title", "Ours"), ("category", "no-such"), ("kind", "text"), ("text", "a.example")], "no-such"),
    ];
    for (form, said) in cases {
        let refused = school.post(Role::Head, "/lists/add/own", form).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{form:?}");
        assert!(refused.has(said), "{form:?}: {}", refused.body);
        assert!(refused.has(&format!("value=\"{}\"", form[0].1)), "{}", refused.body);
    }
    // One that opens names needs a reason, and somebody who may open them.
    let opening = [
        ("title", "Open"),
        ("category", "games"),
        ("kind", "text"),
        ("text", "a.example"),
        ("action", "allow"),
    ];
    assert!(school.post(Role::Head, "/lists/add/own", &opening).await.has("Please say why"));
    let why = [opening.as_slice(), &[("reason", "a club")]].concat();
    let refused = school.post(Role::Technician, "/lists/add/own", &why).await;
    assert!(refused.has("who may approve"), "{}", refused.body);
    assert_eq!(school.post(Role::Head, "/lists/add/own", &why).await.status, StatusCode::SEE_OTHER);
    // A list of the school's own is written and changed on the page.
    let own = [("title", "Ours"), ("category", "games"), ("kind", "text"), ("text", "a.example # one\r\n")];
    let done = school.post(Role::Head, "/lists/add/own", &own).await;
    assert_eq!(done.leads_to(), "/lists/list/ours?done=done-list-added", "{}", done.body);
    assert!(school.get(Role::Head, "/lists/list/ours").await.has("a.example # one\n</textarea>"));
    let more =
        school.post(Role::Head, "/lists/list/ours/text", &[("text", "a.example # one\nc.example")]).await;
    assert_eq!(more.leads_to(), "/lists/list/ours?done=done-saved", "{}", more.body);
    let fewer = school.post(Role::Head, "/lists/list/ours/text", &[("text", "b.example\r\n")]).await;
    assert!(fewer.has("Please say why") && fewer.has("b.example\n</textarea>"), "{}", fewer.body);
    let form = [("text", "b.example\r\n"), ("reason", "written anew")];
    let changed = school.post(Role::Head, "/lists/list/ours/text", &form).await;
    assert_eq!(changed.leads_to(), "/lists/list/ours?done=done-saved", "{}", changed.body);
}

#[tokio::test]
async fn an_update_goes_on_behind_and_is_told() {
    let school = with_list().await;
    let begun = school.post(Role::Head, "/lists/update", &[]).await;
    assert_eq!(begun.leads_to(), "/lists#update");
    while school.admin.updates.last().is_some_and(|round| round.done.is_none()) {
        tokio::task::yield_now().await;
    }
    let told = school.part(Role::Head, "/lists/update").await;
    assert_eq!(told.headers["hx-refresh"], "true");
    assert!(school.get(Role::Head, "/lists").await.has("up to date"));
    let unknown = school.post(Role::Head, "/lists/update", &[("id", "nothing")]).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}
