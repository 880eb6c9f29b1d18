//! The step of the people who answer for filtering, and whether the safeguarding lead can be reached.

use askama::Template;
use axum::{extract::Form, response::Response};

use super::{
    super::super::{contact, failure::Failure, page::Page, page::see, visit::Visit},
    Fields, Refusal, Step, Wizard, around, moment, path, shown, went_on,
};
use crate::school::{People, Person};

#[derive(Template)]
#[template(path = "set_up_people.html")]
struct PeoplePage {
    p: Page,
    w: Wizard,
    /// Each of them: the word in the form, the key of the title, who it is.
    people: Vec<(&'static str, String, String, Person)>,
    contact: Contact,
}

/// Whether the safeguarding lead's address is confirmed.
struct Contact {
    /// What is kept, rather than what was typed; empty where there is none.
    email: String,
    /// Messages can be sent.
    has_mail: bool,
    /// When it was confirmed; empty where it was not.
    confirmed: String,
    /// When the code was sent that is awaited; empty where there is none.
    sent: String,
    /// Why no code was sent, or it was not taken; empty otherwise.
    wrong: String,
    /// Where mail is set up.
    mail: String,
}

/// The words of the form.
const LEAD: &str = "lead";
const LEADER: &str = "leader";
const GOVERNOR: &str = "governor";

fn people_page(
    visit: &Visit,
    wrong: Option<&Refusal>,
    people: &People,
    refused: Option<&Refusal>,
) -> Result<Response, Failure> {
    let (p, w) = around(visit, Step::People, wrong, &Fields::default());
    let one = |word: &'static str, person: &Person| {
        let title = visit.words.get(&format!("set-up-person-{word}"));
        let hint = visit.words.get(&format!("set-up-person-hint-{word}"));
        (word, title, hint, person.clone())
    };
    let people = vec![
        one(LEAD, &people.safeguarding_lead),
        one(LEADER, &people.senior_leader),
        one(GOVERNOR, &people.governor),
    ];
    let school = visit.admin.school.file();
    let now = visit.admin.clock.now();
    let sent = school.lead_contact.sent.as_ref().filter(|sent| sent.is_good(now));
    let contact = Contact {
        email: school.people.safeguarding_lead.email.clone(),
        has_mail: visit.admin.control.mail().is_some(),
        confirmed: school.lead_confirmed().map(|at| moment(visit, at)).unwrap_or_default(),
        sent: sent.map(|sent| moment(visit, sent.at)).unwrap_or_default(),
        wrong: refused.map_or_else(String::new, |refused| refused.sentence.clone()),
        mail: if w.is_finished { String::from("/system/mail") } else { path(Step::Mail) },
    };
    shown(wrong.or(refused), &PeoplePage { p, w, people, contact })
}

pub(super) async fn show(visit: Visit) -> Result<Response, Failure> {
    people_page(&visit, None, &visit.admin.school.file().people, None)
}

pub(super) async fn put(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let typed = |word: &str| {
        let field = |what: &str| fields.get(&format!("{word}-{what}")).to_owned();
        Person { name: field("name"), email: field("email"), phone: field("phone") }
    };
    let typed =
        People { safeguarding_lead: typed(LEAD), senior_leader: typed(LEADER), governor: typed(GOVERNOR) };
    let checked = |person: &Person| Person::new(&person.name, &person.email, &person.phone);
    let all = checked(&typed.safeguarding_lead)
        .and_then(|lead| Ok((lead, checked(&typed.senior_leader)?, checked(&typed.governor)?)));
    let (safeguarding_lead, senior_leader, governor) = match all {
        Ok(all) => all,
        Err(error) => return people_page(&visit, Some(&Refusal::new(error.to_string())), &typed, None),
    };
    if safeguarding_lead.name.is_empty() && !fields.is_on("skip") {
        let wrong = Refusal::new(visit.words.get("set-up-people-no-lead"));
        return people_page(&visit, Some(&wrong), &typed, None);
    }
    let people = People { safeguarding_lead, senior_leader, governor };
    let before = visit.admin.school.file().people.clone();
    if people == before {
        return went_on(&visit, Step::People);
    }
    let said = format!(
        "safeguarding lead {}, senior leader {}, governor {}",
        named(&people.safeguarding_lead),
        named(&people.senior_leader),
        named(&people.governor)
    );
    visit.admin.school.change(|file| file.set_people(people)).map_err(Failure::inside)?;
    visit.admin.control.audit_from(&visit.by(), "school.people", &said, Some(visit.address()));
    let after = visit.admin.school.file();
    let lead = &after.people.safeguarding_lead;
    let is_new =
        (&lead.name, &lead.email) != (&before.safeguarding_lead.name, &before.safeguarding_lead.email);
    if is_new && !lead.email.is_empty() && visit.admin.control.mail().is_some() {
        // The people are kept, whatever becomes of the message: who wants to go on does so by the button below.
        visit.admin.school.done(Step::People).map_err(Failure::inside)?;
        return send_code(visit).await;
    }
    went_on(&visit, Step::People)
}

fn named(person: &Person) -> &str {
    if person.name.is_empty() { "nobody yet" } else { &person.name }
}

pub(super) async fn send_code(visit: Visit) -> Result<Response, Failure> {
    match contact::send_code(&visit).await {
        Ok(()) => Ok(see(&format!("{}#contact", path(Step::People)), "done-contact-code")),
        Err(error) => refused(&visit, &error),
    }
}

pub(super) async fn confirm(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    match contact::confirm(&visit, Fields(fields).get("code")) {
        Ok(()) => Ok(see(&format!("{}#contact", path(Step::People)), "done-contact-confirmed")),
        Err(error) => refused(&visit, &error),
    }
}

fn refused(visit: &Visit, error: &contact::ContactError) -> Result<Response, Failure> {
    let people = visit.admin.school.file().people.clone();
    people_page(visit, None, &people, Some(&Refusal::new(error.to_string())))
}
