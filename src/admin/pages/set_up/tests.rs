use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};
use hickory_proto::op::{Message, OpCode, ResponseCode};
use jiff::civil::date;

use super::{
    super::super::tests::{
        TestBox,
        mail_server::{self, MailServer},
    },
    Step, path,
};
use crate::{
    accounts::{Role, Stage},
    control::{Asker, CheckRequest},
    policy::Mode,
    school::Kind,
};

const MOMENT: &str = "2026-11-26T10:15:00Z";

async fn claimed(code: &str, form: &[(&str, &str)]) -> (TestBox, super::super::super::tests::Answer) {
    let new = TestBox::unclaimed_at(MOMENT);
    let right = new.admin.accounts.setup_code().unwrap().unwrap();
    let code = if code.is_empty() { right.expose().to_owned() } else { code.to_owned() };
    let mut fields = vec![("code", code.as_str())];
    fields.extend_from_slice(form);
    let answer = new.post_as_nobody("/set-up", &fields).await;
    (new, answer)
}

const PERSON: [(&str, &str); 5] = [
    ("full_name", "Adaeze <b>Okafor</b>"),
    ("name", "adaeze"),
    ("role", "head"),
    ("password", "purple kettle under seven bridges"),
    ("again", "purple kettle under seven bridges"),
];

#[tokio::test]
async fn every_page_of_a_new_box_leads_to_set_up_which_asks_for_the_code() {
    let new = TestBox::unclaimed_at(MOMENT);
    for page in ["/", "/check?name=a.example", "/set-up/school", "/no-such-page"] {
        assert!(new.get_as_nobody(page).await.leads_to().starts_with("/set-up"), "{page}");
    }
    assert_eq!(new.get_as_nobody("/sign-in").await.leads_to(), "/set-up");
    let door = new.get_as_nobody("/set-up").await;
    assert!(door.has("Set-up code") && door.has("name=\"code\""), "{}", door.body);
    let code = new.admin.accounts.setup_code().unwrap().unwrap();
    assert!(!door.has(code.expose()), "it is for those alone who see the box");
}

#[tokio::test]
async fn a_wrong_code_claims_nothing_and_what_was_typed_stays_but_for_passwords() {
    let (new, refused) = claimed("AAAA-AAAA", &PERSON).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.has("The set-up code is wrong"), "{}", refused.body);
    assert!(refused.has("value=\"adaeze\"") && !refused.has("purple kettle") && !refused.has("<b>Okafor"));
    assert!(new.admin.accounts.setup_code().unwrap().is_some());
    let (_, refused) = claimed("", &[PERSON[0], PERSON[1], PERSON[2], PERSON[3], ("again", "other")]).await;
    assert!(refused.has("The two passwords are not the same"), "{}", refused.body);
    let weak = [PERSON[0], PERSON[1], PERSON[2], ("password", "short"), ("again", "short")];
    let (_, refused) = claimed("", &weak).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.has("too short"), "{}", refused.body);
}

#[tokio::test]
async fn whoever_has_the_code_is_signed_in_and_sets_up_a_second_factor_first() {
    let (new, answer) = claimed("", &PERSON).await;
    assert_eq!(answer.leads_to(), "/sign-in/next?to=/set-up/break-glass");
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let token = cookie.split_once('=').unwrap().1;
    assert_eq!(new.admin.accounts.limited(token).unwrap().unwrap().stage, Stage::SecondFactorSetUp);
    assert_eq!(new.admin.accounts.users().unwrap()[0].role, Role::Head);
    let again = new.post_as_nobody("/set-up", &PERSON).await;
    assert_eq!(again.leads_to(), "/set-up", "nobody claims it twice");
    assert_eq!(new.get_as_nobody("/set-up").await.leads_to(), "/sign-in?to=/set-up");
    let request = new.request(None, Method::GET, "/set-up/school").header(header::COOKIE, cookie);
    let unfinished = new.send(request.body(Body::empty()).unwrap()).await;
    assert!(unfinished.leads_to().starts_with("/sign-in/next"), "{}", unfinished.leads_to());
}

#[tokio::test]
async fn steps_are_gone_through_from_first_to_last_and_taken_up_where_they_were_left() {
    let school = TestBox::at(MOMENT).await;
    let head = Role::Head;
    assert_eq!(school.get(head, "/set-up").await.leads_to(), "/set-up/break-glass");
    let code = school.post(head, "/set-up/break-glass", &[]).await;
    assert!(code.has("Print this page now"), "{}", code.body);
    assert!(school.admin.accounts.break_glass().unwrap().sealed.is_some());
    assert_eq!(school.get(head, "/set-up").await.leads_to(), "/set-up/school");
    let form = [
        ("name", "St <script>alert(1)</script> Mary's"),
        ("kind", "junior"),
        ("contact", "office@school.example"),
        ("timezone", "Europe/London"),
    ];
    assert_eq!(school.post(head, "/set-up/school", &form).await.leads_to(), "/set-up/mail");
    assert_eq!(school.post(head, "/set-up/mail", &[("skip", "yes")]).await.leads_to(), "/set-up/people");
    let policy = school.admin.control.policy().load_full();
    let ids: Vec<&str> = policy.file().profiles.iter().map(|profile| profile.id.as_str()).collect();
    assert_eq!(ids, Kind::Junior.profiles());
    assert_eq!(policy.file().contact.as_deref(), Some("mailto:office@school.example"));
    let people = school.get(head, "/set-up/people").await;
    assert!(!people.has("<script>alert") && people.has("Designated safeguarding lead"), "{}", people.body);
    let form = [("lead-name", "Ms Obi"), ("lead-email", "obi@school.example"), ("governor-name", "Dr Ray")];
    assert_eq!(school.post(head, "/set-up/people", &form).await.leads_to(), "/set-up/suppliers");
    let form = [("by", "broadband"), ("who", "Example Broadband"), ("tested", "2026-11-20")];
    assert_eq!(school.post(head, "/set-up/suppliers", &form).await.leads_to(), "/set-up/networks");
    assert!(!school.get(head, "/set-up/networks").await.has("Nobody is named as supplier"));
    let form = [("networks", "10.20.2.0/24, ks2\n10.20.3.0/24, Staff")];
    assert_eq!(school.post(head, "/set-up/networks", &form).await.leads_to(), "/set-up/directory");
    let policy = school.admin.control.policy().load_full();
    assert_eq!(policy.profile(policy.identify("10.20.3.9".parse().unwrap(), None).profile).0, "staff");
    for (step, next) in [("directory", "resolving"), ("resolving", "categories"), ("categories", "start")] {
        let page = school.get(head, &format!("/set-up/{step}")).await;
        assert_eq!(page.status, StatusCode::OK, "{step}: {}", page.body);
        let went = school.post(head, &format!("/set-up/{step}"), &[("skip", "yes")]).await;
        assert_eq!(went.leads_to(), format!("/set-up/{next}"));
    }
    assert_eq!(school.get(head, "/set-up").await.leads_to(), "/set-up/start");
    let form = [("start", "watch")];
    assert_eq!(school.post(head, "/set-up/start", &form).await.leads_to(), "/set-up/finish");
    let policy = school.admin.control.policy().load_full();
    assert!(policy.file().profiles.iter().all(|profile| profile.mode == Mode::Watch));
    let trial = school.admin.school.file().trial.clone().unwrap();
    assert_eq!((trial.began, trial.ends), (date(2026, 11, 26), date(2026, 12, 3)));
    let finish = school.get(head, "/set-up/finish").await;
    assert!(finish.has("10.20.0.53") && finish.has("Waiting for the first question"), "{}", finish.body);
    for guide in ["Windows Server", "UniFi", "MikroTik", "DrayTek", "pfSense", "broadband provider"] {
        assert!(finish.has(guide), "{guide}");
    }
    let part = school.part(head, "/set-up/finish").await;
    assert!(part.has("hx-trigger=\"every 2s\"") && !part.has("<html"), "{}", part.body);
    assert_eq!(school.post(head, "/set-up/finish", &[]).await.leads_to(), "/?done=done-set-up");
    assert_eq!(school.admin.school.file().next_step(), None);
}

#[tokio::test]
async fn what_is_wrong_is_said_by_its_field_and_what_was_typed_stays() {
    let school = TestBox::at(MOMENT).await;
    for (step, form, said, kept) in [
        ("school", &[("name", ""), ("kind", "primary")][..], "Name of the school", ""),
        ("school", &[("name", "St Mary"), ("kind", "castle")], "Type of school", "St Mary"),
        (
            "school",
            &[("name", "St Mary"), ("kind", "primary"), ("timezone", "Moon/Sea")],
            "Moon/Sea",
            "St Mary",
        ),
        ("school", &[("name", "A"), ("kind", "primary"), ("contact", "\"><script>")], "blocked site", ""),
        (
            "mail",
            &[("server", "smtp.school.example"), ("port", "x")],
            "Port: write a number",
            "smtp.school.example",
        ),
        ("mail", &[("server", "a b"), ("port", "465"), ("encryption", "tls")], "“a b” is no name", "a b"),
        ("people", &[("lead-name", "")], "safeguarding lead", ""),
        ("people", &[("lead-name", "Obi"), ("lead-email", "obi")], "“obi” is no e-mail", "value=\"Obi\""),
        ("suppliers", &[], "Choose one", ""),
        ("suppliers", &[("by", "firewall")], "Its name", ""),
        (
            "suppliers",
            &[("by", "firewall"), ("who", "Wall"), ("tested", "2027-01-01")],
            "a day that was",
            "Wall",
        ),
        ("networks", &[("networks", "10.20.2.0, ks2")], "line 1", "10.20.2.0, ks2"),
        ("directory", &[("domain", "")], "Domain: it is empty", ""),
        ("directory", &[("domain", "ad.example"), ("server", "dc1")], "“dc1” is no address", "ad.example"),
        ("directory", &[("domain", "a b.example"), ("server", "192.0.2.1")], "a b.example", ""),
        ("directory", &[("domain", "ad.example"), ("server", "127.0.0.1")], "127.0.0.1", ""),
        ("start", &[], "choose one", ""),
    ] {
        let answer = school.post(Role::Technician, &format!("/set-up/{step}"), form).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{step} {form:?}: {}", answer.body);
        assert!(answer.has(said) && answer.has("role=\"alert\""), "{step} {form:?}: {}", answer.body);
        assert!(answer.has(kept) && !answer.has("<script>"), "{step} {form:?}: {}", answer.body);
    }
    assert!(school.admin.school.file().set_up.is_empty());
}

#[tokio::test]
async fn networks_that_overlap_are_saved_only_when_somebody_is_sure() {
    let school = TestBox::at(MOMENT).await;
    let networks = ("networks", "10.20.0.0/16, staff\n10.20.2.0/24, pupil-byod");
    let asked = school.post(Role::Head, "/set-up/networks", &[networks]).await;
    assert_eq!(asked.status, StatusCode::OK);
    assert!(asked.has("own devices share a network") && asked.has("name=\"sure\""), "{}", asked.body);
    let has_networks = || {
        let policy = school.admin.control.policy().load_full();
        policy.file().profiles.iter().any(|profile| profile.subnets.iter().any(|net| net.starts_with("10.")))
    };
    assert!(!has_networks());
    school.post(Role::Head, "/set-up/networks", &[networks, ("sure", "yes")]).await;
    assert!(has_networks());
}

#[tokio::test]
async fn after_the_set_up_a_change_that_opens_something_needs_a_reason() {
    let school = TestBox::at(MOMENT).await;
    school.admin.school.change(|file| file.set_up.extend(Step::ALL)).unwrap();
    let refused = school.post(Role::Head, "/set-up/start", &[("start", "watch")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.has("name=\"reason\""), "{}", refused.body);
    let form = [("start", "watch"), ("reason", "a new trial")];
    let done = school.post(Role::Head, "/set-up/start", &form).await;
    assert_eq!(done.leads_to(), "/set-up/start?done=done-saved");
}

#[tokio::test]
async fn a_trial_says_when_it_ends_and_is_prolonged_with_a_reason() {
    let school = TestBox::at(MOMENT).await;
    school.admin.school.change(|file| file.set_up.extend(Step::ALL)).unwrap();
    let form = [("start", "watch"), ("reason", "a trial")];
    assert_eq!(school.post(Role::Head, "/set-up/start", &form).await.status, StatusCode::SEE_OTHER);
    let banner = "Filtering begins by itself on Thursday 3 December";
    assert!(school.get(Role::Governor, "/limits").await.has(banner));
    let overview = school.get(Role::Governor, "/").await;
    assert!(
        overview.has("filtering begins by itself in 7 days, on Thursday 3 December"),
        "{}",
        overview.body
    );
    let page = school.get(Role::Head, "/set-up/start").await;
    assert!(page.has("action=\"/set-up/start/prolong\"") && page.has("min=\"2026-12-04\""), "{}", page.body);
    // Who opens nothing on their own word is not offered it, and can't.
    assert!(!school.get(Role::Technician, "/set-up/start").await.has("/prolong"));
    let prolong = |role, form: &'static [(&'static str, &'static str)]| {
        school.post(role, "/set-up/start/prolong", form)
    };
    let longer = &[("ends", "2026-12-10"), ("reason", "half of the school is away")];
    assert_eq!(prolong(Role::Technician, longer).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    for (form, said) in [
        (&[("ends", "2026-12-10")][..], "say why"),
        (&[("ends", "soon"), ("reason", "a typed reason")], "Choose the day"),
        (&[("ends", "2027-06-01"), ("reason", "a typed reason")], "at the latest"),
    ] {
        let refused = prolong(Role::Head, form).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{form:?}");
        assert!(refused.has(said), "{form:?}: {}", refused.body);
    }
    assert_eq!(prolong(Role::Head, longer).await.leads_to(), "/set-up/start?done=done-prolonged");
    assert!(school.get(Role::Head, "/limits").await.has("Thursday 10 December"));
    assert!(school.get(Role::Head, "/audit").await.has("half of the school is away"));
    school.admin.clock.set("2026-12-09T12:00:00Z".parse().unwrap());
    school.admin.control.end_trial(&school.admin.school).await.unwrap();
    assert!(school.admin.control.policy().load().file().profiles.iter().all(|p| p.mode == Mode::Watch));
    school.admin.clock.set("2026-12-10T12:00:00Z".parse().unwrap());
    school.admin.control.end_trial(&school.admin.school).await.unwrap();
    assert!(school.admin.control.policy().load().file().profiles.iter().all(|p| p.mode != Mode::Watch));
}

#[tokio::test]
async fn two_people_do_not_overwrite_each_other() {
    let school = TestBox::at(MOMENT).await;
    let form = [("networks", "10.20.2.0/24, ks2\n10.20.3.0/24, staff"), ("revision", "0")];
    assert_eq!(school.post(Role::Head, "/set-up/networks", &form).await.status, StatusCode::SEE_OTHER);
    let form = [("start", "watch"), ("revision", "0")];
    let late = school.post(Role::Technician, "/set-up/start", &form).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.has("head changed the policy meanwhile"), "{}", late.body);
}

#[tokio::test]
async fn another_type_of_school_brings_back_the_profiles_that_it_needs_as_they_ship() {
    let school = TestBox::at(MOMENT).await;
    let shipped = school.admin.control.policy().load_full().file().clone();
    let put = |kind: &'static str| {
        let form = [("name", "St Mary"), ("kind", kind), ("timezone", "Europe/London")];
        let school = &school;
        async move { school.post(Role::Head, "/set-up/school", &form).await }
    };
    assert_eq!(put("infant").await.status, StatusCode::SEE_OTHER);
    assert_eq!(put("all-through").await.status, StatusCode::SEE_OTHER);
    let now = school.admin.control.policy().load_full();
    for id in Kind::AllThrough.profiles() {
        let of = |file: &crate::policy::PolicyFile| {
            let mut profile = file.profiles.iter().find(|profile| profile.id == *id).unwrap().clone();
            profile.subnets.clear();
            profile.categories.clear();
            profile
        };
        assert_eq!(of(now.file()), of(&shipped), "{id}");
    }
    let cells = |file: &crate::policy::PolicyFile| {
        let secondary = file.profiles.iter().find(|profile| profile.id == "secondary").unwrap().clone();
        let every = file.every_category(school.admin.control.categories());
        let tables = crate::policy::Tables::shipped();
        every.iter().map(|(_, category)| secondary.cell(category, tables)).collect::<Vec<_>>()
    };
    assert_eq!(cells(now.file()), cells(&shipped));
}

#[tokio::test]
async fn the_safeguarding_leads_address_is_confirmed_by_the_code_that_arrives_there() {
    let school = TestBox::at(MOMENT).await;
    let head = Role::Head;
    let form = [("lead-name", "Ms Obi"), ("lead-email", "obi@school.example")];
    assert_eq!(school.post(head, "/set-up/people", &form).await.leads_to(), "/set-up/suppliers");
    let page = school.get(head, "/set-up/people").await;
    assert!(page.has("Mail is not set up") && page.has("href=\"/set-up/mail\""), "{}", page.body);
    let mut server = MailServer::start(mail_server::Mode::Plain);
    let port = server.port.to_string();
    let mail = [
        ("server", "127.0.0.1"),
        ("port", port.as_str()),
        ("encryption", "none"),
        ("from", "filter@school.example"),
    ];
    assert_eq!(school.post(head, "/set-up/mail", &mail).await.leads_to(), "/set-up/people");
    assert!(school.get(head, "/").await.has("Nobody knows whether messages to the safeguarding lead arrive"));
    // Another address is sent a code as soon as it is saved.
    let form = [("lead-name", "Ms Obi"), ("lead-email", "lead@school.example")];
    let saved = school.post(head, "/set-up/people", &form).await;
    assert_eq!(saved.leads_to(), "/set-up/people?done=done-contact-code#contact", "{}", saved.body);
    let told = server.message();
    assert_eq!(told["to"], serde_json::json!(["lead@school.example"]));
    let code = |told: &serde_json::Value| {
        let message = told["message"].as_str().unwrap().to_owned();
        message
            .lines()
            .find(|line| line.len() == 6 && line.bytes().all(|b| b.is_ascii_digit()))
            .unwrap()
            .to_owned()
    };
    let first = code(&told);
    let page = school.get(head, "/set-up/people").await;
    assert!(page.has("name=\"code\"") && !page.has(&first), "{}", page.body);
    assert_eq!(
        school.post(head, "/set-up/people", &form).await.leads_to(),
        "/set-up/suppliers",
        "one can go on"
    );
    assert_eq!(school.post(head, "/set-up/people/code", &[]).await.status, StatusCode::SEE_OTHER);
    let second = code(&server.message());
    let wrong = if first == second { "0" } else { first.as_str() };
    let refused = school.post(head, "/set-up/people/confirm", &[("code", wrong)]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.has("This is not the code that was sent"), "{}", refused.body);
    let done = school.post(head, "/set-up/people/confirm", &[("code", &second)]).await;
    assert_eq!(done.leads_to(), "/set-up/people?done=done-contact-confirmed#contact", "{}", done.body);
    let confirmed = school.admin.school.file().lead_confirmed();
    assert_eq!(confirmed, Some(MOMENT.parse().unwrap()));
    assert!(school.get(head, "/set-up/people").await.has("this was confirmed on Thu 26 Nov, 10:15"));
    assert!(!school.get(head, "/").await.has("Nobody knows whether messages"));
    // Somebody else is not confirmed, and a message that does not leave loses nothing of what was typed.
    let form = [("lead-name", "Mr Ray"), ("lead-email", "nobody@school.example")];
    let unsent = school.post(head, "/set-up/people", &form).await;
    assert_eq!(unsent.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unsent.has("does not take messages for nobody@school.example"), "{}", unsent.body);
    assert_eq!(school.admin.school.file().people.safeguarding_lead.name, "Mr Ray");
    assert_eq!(school.admin.school.file().lead_confirmed(), None);
    let audit = school.admin.control.audit(20).unwrap();
    let said: String =
        audit.records.iter().map(|line| format!("{} {}\n", line.action, line.detail)).collect();
    for part in ["school.contact-confirm lead@", "school.contact-refuse", "mail.set 127.0.0.1", "not sent:"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains(&second), "{said}");
}

#[test]
fn each_step_has_its_own_address() {
    assert_eq!(path(Step::BreakGlass), "/set-up/break-glass");
}

/// A resolver that knows no name, and answers all who ask.
async fn knows_nothing() -> String {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut packet = [0; 1_500];
        while let Ok((length, from)) = socket.recv_from(&mut packet).await {
            let asked = Message::from_vec(&packet[..length]).unwrap();
            let mut reply = Message::response(asked.metadata.id, OpCode::Query);
            reply.metadata.response_code = ResponseCode::NXDomain;
            reply.queries = asked.queries;
            socket.send_to(&reply.to_vec().unwrap(), from).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn other_resolvers_count_once_each_of_them_has_answered() {
    let school = TestBox::resolving_at(MOMENT).await;
    let (head, page) = (Role::Head, "/set-up/resolving");
    let file = school.data.path().join("resolving.toml");
    let shown = school.get(head, page).await;
    assert!(shown.has("value=\"recurse\" checked") && !shown.has("schoolgate.toml"), "{}", shown.body);
    // Who only goes on has chosen nothing.
    assert_eq!(school.post(head, page, &[("way", "recurse")]).await.leads_to(), "/set-up/categories");
    assert!(!file.exists());
    let nobody = school.post(head, page, &[("way", "forward"), ("forwarders", " \n")]).await;
    assert!(
        nobody.status == StatusCode::UNPROCESSABLE_ENTITY && nobody.has("none is named"),
        "{}",
        nobody.body
    );
    let wrong = school.post(head, page, &[("way", "forward"), ("forwarders", "tls://9.9.9.9")]).await;
    assert!(wrong.status == StatusCode::UNPROCESSABLE_ENTITY && wrong.has("tls://9.9.9.9"), "{}", wrong.body);
    // A port where nobody answers, beside one that does.
    let (good, silent) = (knows_nothing().await, tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let silent = silent.local_addr().unwrap().to_string();
    let both = format!("{good}\n{silent}");
    let refused = school.post(head, page, &[("way", "forward"), ("forwarders", &both)]).await;
    assert!(
        refused.has(&format!("no answer from {silent}")) && refused.has("name=\"untried\""),
        "{}",
        refused.body
    );
    assert!(!file.exists() && school.admin.control.resolving().unwrap().recurses);
    let put = school.post(head, page, &[("way", "forward"), ("forwarders", &good)]).await;
    assert!(put.leads_to().starts_with("/set-up/"), "{}", put.body);
    assert!(std::fs::read_to_string(&file).unwrap().contains(&good));
    assert_eq!(school.admin.control.resolving().unwrap().forwarders, [good.as_str()]);
    let report = school.admin.control.resolver_report().unwrap();
    assert_eq!(report.forwarders.len(), 1, "in force at once");
    let shown = school.get(head, page).await;
    assert!(shown.has(&good) && shown.has("value=\"forward\" checked"), "{}", shown.body);
    // What can't be reached from a workbench may be saved all the same; then the settings decide again.
    let untried = [("way", "forward"), ("forwarders", silent.as_str()), ("untried", "on")];
    assert_eq!(school.post(head, page, &untried).await.status, StatusCode::SEE_OTHER);
    assert_eq!(school.admin.control.resolving().unwrap().forwarders, [silent]);
    // By the settings the box finds names itself, and here it finds no server.
    let refused = school.post(head, page, &[("way", "settings")]).await;
    assert!(refused.has("do not answer this box") && file.exists(), "{}", refused.body);
    let untried = [("way", "settings"), ("untried", "on")];
    assert_eq!(school.post(head, page, &untried).await.status, StatusCode::SEE_OTHER);
    assert!(!file.exists() && school.admin.control.resolving().unwrap().recurses);
    let audit = school.get(head, "/audit").await;
    assert!(audit.has(&good), "{}", audit.body);
}

#[tokio::test]
async fn zones_of_the_domain_become_own_names_of_the_policy_and_no_more() {
    let school = TestBox::resolving_at(MOMENT).await;
    let own_names = || school.admin.control.policy().load().file().own_names.clone();
    let page = "/set-up/directory/zones";
    let two = [("zone", "ad.school.example"), ("zone", "10.in-addr.arpa"), ("server", "10.0.0.10")];
    assert_eq!(school.post(Role::Head, page, &two).await.status, StatusCode::SEE_OTHER);
    assert_eq!(own_names(), ["ad.school.example", "10.in-addr.arpa"]);
    // The youngest, who have approved names only, find their controllers.
    let check = |name: &str| CheckRequest {
        name: name.to_owned(),
        r#type: String::from("A"),
        who: Asker::Profile(String::from("ks1")),
        at: None,
        resolve: false,
    };
    let control = &school.admin.control;
    assert!(control.check(&check("www.other.example")).await.unwrap().blocked());
    assert!(!control.check(&check("dc1.ad.school.example")).await.unwrap().blocked());
    let keep = [("keep", "ad.school.example")];
    assert_eq!(school.post(Role::Head, page, &keep).await.status, StatusCode::SEE_OTHER);
    assert_eq!(own_names(), ["ad.school.example"]);
    assert_eq!(school.admin.control.own_zones().len(), 1);
}
