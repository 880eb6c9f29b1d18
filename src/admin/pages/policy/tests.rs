//! The matrix as browsers get it.

use axum::http::StatusCode;

use crate::{
    accounts::Role,
    admin::tests::{TestBox, log_day},
    policy::{Cell, ProfileFile},
};

fn profile(school: &TestBox, id: &str) -> ProfileFile {
    let policy = school.admin.control.policy().load_full();
    policy.file().profiles.iter().find(|profile| profile.id == id).unwrap().clone()
}

fn games(school: &TestBox, id: &str) -> Cell {
    profile(school, id).categories["games"].clone()
}

#[tokio::test]
async fn the_matrix_has_every_category_and_every_profile() {
    let school = TestBox::new().await;
    let page = school.get(Role::Head, "/policy").await;
    assert_eq!(page.status, StatusCode::OK);
    for text in ["Games for fun", "Key Stage 2", "Staff, own devices", "id=\"games--ks2\"", "Locked"] {
        assert!(page.has(text), "{text}");
    }
    assert!(!page.has("id=\"roblox--ks2\""), "services are shown when they are asked for");
    let row = school.part(Role::Head, "/categories/row?category=games&is_open=true").await;
    assert!(row.has("id=\"roblox--ks2\"") && row.body.trim_start().starts_with("<tbody"), "{}", row.body);
}

#[tokio::test]
async fn who_may_only_look_finds_no_button() {
    let school = TestBox::new().await;
    let page = school.get(Role::Auditor, "/policy").await;
    assert!(page.has("id=\"games--ks2\"") && !page.has("name=\"set\""));
    let cell = school.get(Role::Auditor, "/categories/cell?category=games&profile=ks2").await;
    assert!(
        cell.has("Now: Block.") && !cell.has("<form method=\"post\" action=\"/categories"),
        "{}",
        cell.body
    );
}

#[tokio::test]
async fn one_click_blocks_and_one_more_takes_it_back() {
    let school = TestBox::new().await;
    assert_eq!(games(&school, "staff"), Cell::Allow);
    let clicked =
        school.part_post(Role::PolicyOwner, "/categories/cell", &[("set", "games staff allow block")]).await;
    assert_eq!(clicked.status, StatusCode::OK);
    assert_eq!(games(&school, "staff"), Cell::Block);
    assert!(clicked.has("id=\"games--staff\"") && clicked.has("hx-swap-oob"), "{}", clicked.body);
    assert!(clicked.has("Games: Staff – Block (before: Allow)."), "{}", clicked.body);
    assert!(clicked.has("name=\"revision\" value=\"1\"") && !clicked.has("<html"), "{}", clicked.body);
    let undo = [("revision", "1"), ("category", "games"), ("profile", "staff")];
    let undone = school.part_post(Role::PolicyOwner, "/categories/undo", &undo).await;
    assert!(undone.has("It is as it was before.") && undone.has("games--staff"), "{}", undone.body);
    assert_eq!(games(&school, "staff"), Cell::Allow);
}

#[tokio::test]
async fn without_scripts_a_click_leads_back_to_the_cell_and_offers_to_undo() {
    let school = TestBox::new().await;
    let clicked = school.post(Role::Head, "/categories/cell", &[("set", "games staff allow block")]).await;
    assert_eq!(clicked.leads_to(), "/policy?changed=1&done=done-saved#games--staff");
    let page = school.get(Role::Head, "/policy?changed=1&done=done-saved").await;
    assert!(page.has("action=\"/categories/undo\""), "{}", page.body);
    assert!(!school.get(Role::Head, "/policy?changed=9").await.has("action=\"/categories/undo\""));
    let undone = school.post(Role::Head, "/categories/undo", &[("revision", "1")]).await;
    assert_eq!(undone.leads_to(), "/policy?done=done-undone");
}

#[tokio::test]
async fn what_opens_is_asked_why_and_keeps_the_answer() {
    let school = TestBox::new().await;
    let before = games(&school, "ks2");
    assert_eq!(before, Cell::Block);
    let clicked = school.part_post(Role::Head, "/categories/cell", &[("set", "games ks2 block allow")]).await;
    assert_eq!(clicked.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(games(&school, "ks2"), Cell::Block);
    assert!(clicked.has("Games would be open for Key Stage 2."), "{}", clicked.body);
    assert!(clicked.has("name=\"cell\" value=\"allow\"") && clicked.has("/categories/effect?category=games"));
    let form = [
        ("category", "games"),
        ("profile", "ks2"),
        ("seen", "block"),
        ("cell", "allow"),
        ("why", "Coding club <script>alert(1)</script>"),
    ];
    let said = school.post(Role::Head, "/categories/cell", &form).await;
    assert!(said.leads_to().ends_with("#games--ks2"), "{}", said.body);
    assert_eq!(games(&school, "ks2"), Cell::Allow);
    assert_eq!(profile(&school, "ks2").why["games"], "Coding club <script>alert(1)</script>");
    let cell = school.get(Role::Head, "/categories/cell?category=games&profile=ks2").await;
    assert!(cell.has("Coding club") && !cell.has("<script>alert"), "{}", cell.body);
}

#[tokio::test]
async fn an_old_reason_is_none_for_another_state() {
    let school = TestBox::new().await;
    let form = [("category", "games"), ("profile", "ks2"), ("cell", "block"), ("why", "Too noisy")];
    school.post(Role::Head, "/categories/cell", &form).await;
    assert_eq!(profile(&school, "ks2").why["games"], "Too noisy");
    let form = [("category", "games"), ("profile", "ks2"), ("cell", "allow"), ("why", "Too noisy")];
    let asked = school.post(Role::Head, "/categories/cell", &form).await;
    assert_eq!(asked.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(games(&school, "ks2"), Cell::Block);
}

#[tokio::test]
async fn two_people_at_one_cell_do_not_overwrite_each_other() {
    let school = TestBox::new().await;
    school
        .post(Role::Head, "/categories/cell", &[("set", "games staff allow block"), ("revision", "0")])
        .await;
    let late = [("set", "games staff allow times"), ("revision", "0")];
    let late = school.part_post(Role::Technician, "/categories/cell", &late).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(
        late.has("head changed the policy meanwhile") && late.has("games: block, was allow"),
        "{}",
        late.body
    );
    assert!(late.has("id=\"games--staff\""), "the cell is shown as it is now: {}", late.body);
    // Another cell is nobody's business.
    let other = [("set", "music staff allow block"), ("revision", "0")];
    assert_eq!(school.part_post(Role::Technician, "/categories/cell", &other).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_locked_stays_locked() {
    let school = TestBox::new().await;
    let form = [("set", "adult ks2 locked allow"), ("why", "no"), ("revision", "0")];
    let refused = school.post(Role::Head, "/categories/cell", &form).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.leads_to());
    let cell = school.get(Role::Head, "/categories/cell?category=adult&profile=ks2").await;
    assert!(cell.has("nothing opens it") && !cell.has("name=\"cell\""), "{}", cell.body);
}

#[tokio::test]
async fn nonsense_is_told_and_changes_nothing() {
    let school = TestBox::new().await;
    for (set, status) in [
        ("games ks2 block dance", StatusCode::UNPROCESSABLE_ENTITY),
        ("games nobody block allow", StatusCode::NOT_FOUND),
        ("nothing ks2 block allow", StatusCode::NOT_FOUND),
        ("", StatusCode::NOT_FOUND),
    ] {
        let answer = school.post(Role::Head, "/categories/cell", &[("set", set)]).await;
        assert_eq!(answer.status, status, "{set}");
    }
    assert_eq!(school.admin.control.matrix().revision, 0);
    let times = school.post(Role::Head, "/categories/cell", &[("set", "games ks2 block times")]).await;
    assert!(times.has("There are no times yet."), "{}", times.body);
}

#[tokio::test]
async fn the_rows_can_be_narrowed_and_two_profiles_compared() {
    let school = TestBox::new().await;
    let found = school.part(Role::Head, "/policy?q=roblox").await;
    assert!(
        found.has("id=\"games\"") && !found.has("id=\"gambling\"") && !found.has("<html"),
        "{}",
        found.body
    );
    let both = school.get(Role::Head, "/policy?a=ks2&b=staff&show=different").await;
    assert!(both.has("games--ks2") && both.has("games--staff") && !both.has("games--guest"));
    assert!(!both.has("illegal-terrorism--"), "they are the same there");
    let none = school.get(Role::Head, "/policy?q=%3Cscript%3Ealert(1)").await;
    assert!(none.has("No category is like that.") && !none.has("<script>alert"), "{}", none.body);
}

#[tokio::test]
async fn the_effect_names_what_the_school_asked_for() {
    let school = TestBox::new().await;
    let at = "2026-11-25T10:00:00Z".parse().unwrap();
    let questions: Vec<_> = (0..3).map(|_| log_day::Question::new(at, "roblox.com")).collect();
    log_day::add(school.data.path(), &questions);
    let policy = school.admin.control.policy().load_full();
    let id = policy.profile(policy.identify("127.0.0.1".parse().unwrap(), None).profile).0.to_owned();
    let address = format!("/categories/effect?category=games&profile={id}&cell=");
    let (turned, said) = match games(&school, &id) {
        Cell::Allow => ("block", "Newly blocked: 1 name, 3 questions, 1 network"),
        _ => ("allow", "Newly open: 1 name, 3 questions, 1 network"),
    };
    let effect = school.part(Role::Head, &format!("{address}{turned}")).await;
    assert!(effect.has(said) && effect.has("roblox.com"), "{}", effect.body);
    let usual = school.part(Role::Head, &format!("{address}usual")).await;
    assert!(usual.has("Nothing that anybody asked for"), "{}", usual.body);
}

#[tokio::test]
async fn a_profile_is_set_and_asks_why_where_that_opens() {
    let school = TestBox::new().await;
    let page = school.get(Role::Head, "/policy/ks2").await;
    assert!(page.has("Key Stage 2") && page.has("name=\"why.youtube\""), "{}", page.body);
    let form = |youtube, reason| {
        [
            ("revision", "0"),
            ("name", "Key Stage 2"),
            ("mode", "filter"),
            ("safe_search", "yes"),
            ("strip_ech", "yes"),
            ("canaries", "yes"),
            ("youtube", youtube),
            ("why.youtube", "Lessons use it"),
            ("block_with", "block-page"),
            ("log", "full"),
            ("reason", reason),
        ]
    };
    let asked = school.post(Role::Head, "/policy/ks2", &form("off", "")).await;
    assert_eq!(asked.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(asked.has("YouTube would not be restricted") && asked.has("value=\"Lessons use it\""));
    let saved = school.post(Role::Head, "/policy/ks2", &form("off", "Film week")).await;
    assert_eq!(saved.leads_to(), "/policy?changed=1&done=done-saved");
    let now = profile(&school, "ks2");
    assert_eq!((now.youtube, now.why["youtube"].as_str()), (crate::policy::YouTube::Off, "Lessons use it"));
    assert!(now.log.is_some() && now.safe_search);
    let late = school.post(Role::Technician, "/policy/ks2", &form("block", "")).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.has("head changed the policy meanwhile"), "{}", late.body);
    let wrong = school.post(Role::Head, "/policy/ks2", &[("mode", "sometimes")]).await;
    assert!(wrong.has("Please choose: How it decides."), "{}", wrong.body);
}

#[tokio::test]
async fn categories_are_copied_after_a_look() {
    let school = TestBox::new().await;
    let look = school.get(Role::Head, "/policy/ks2/copy?from=staff").await;
    assert!(look.has("Games: Allow (now: Block)"), "{}", look.body);
    let form = [("from", "staff"), ("revision", "0"), ("reason", "One day")];
    let copied = school.post(Role::Head, "/policy/ks2/copy", &form).await;
    assert_eq!(copied.leads_to(), "/policy?changed=1&done=done-saved");
    assert_eq!(games(&school, "ks2"), Cell::Allow);
    assert_eq!(profile(&school, "ks2").categories["adult"], Cell::Locked);
}

#[tokio::test]
async fn a_profile_is_added_and_removed() {
    let school = TestBox::new().await;
    let form = [("name", "Year 6 & 7"), ("audience", "pupil"), ("like", "ks2")];
    // Nobody has it yet, so it opens nothing.
    let added = school.post(Role::Head, "/categories/profile", &form).await;
    assert_eq!(added.leads_to(), "/policy/year-6-7?done=done-saved", "{}", added.body);
    assert_eq!(profile(&school, "year-6-7").name, "Year 6 & 7");
    let again = school.post(Role::Head, "/categories/profile", &form).await;
    assert!(again.has("already") && again.has("value=\"Year 6 &#38; 7\""), "{}", again.body);
    let gone =
        school.post(Role::Head, "/policy/year-6-7/remove", &[("to", "ks2"), ("reason", "Moved up")]).await;
    assert!(gone.leads_to().starts_with("/policy?changed="), "{}", gone.body);
    assert_eq!(school.get(Role::Head, "/policy/year-6-7").await.status, StatusCode::NOT_FOUND);
}
