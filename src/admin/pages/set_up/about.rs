//! The first steps: the sealed code, the school, and who supplies the lists of illegal content.

use askama::Template;
use axum::{extract::Form, response::Response};
use jiff::civil::Date;

use super::{
    super::super::{
        failure::Failure,
        page::{Page, html},
        visit::Visit,
    },
    Fields, Refusal, Step, Wizard, around, edit, moment, path, shown, went_on,
};
use crate::{
    control::{Edit, NewProfile, ProfileEdit, SchoolEdit, SupplierEdit},
    policy::{PolicyFile, Supplied, Supply, Tables},
    school::{Kind, Person},
};

/// Time zones that schools of the United Kingdom, its islands and its schools abroad have.
const ZONES: &[&str] = &[
    "Europe/London",
    "Europe/Belfast",
    "Europe/Guernsey",
    "Europe/Jersey",
    "Europe/Isle_of_Man",
    "Europe/Gibraltar",
    "Europe/Dublin",
    "Asia/Nicosia",
    "Europe/Berlin",
    "Atlantic/Stanley",
];

#[derive(Template)]
#[template(path = "set_up_break_glass.html")]
struct BreakGlassPage {
    p: Page,
    w: Wizard,
    /// When one was made; empty where none was.
    sealed: String,
    /// The new one; empty otherwise.
    code: String,
    /// The address of the box.
    address: String,
    /// The step after this.
    next: String,
}

pub(super) async fn break_glass(visit: Visit) -> Result<Response, Failure> {
    let known = visit.admin.accounts.break_glass().map_err(Failure::inside)?;
    let sealed = known.sealed.map(|at| moment(&visit, at)).unwrap_or_default();
    break_glass_page(&visit, sealed, String::new())
}

fn break_glass_page(visit: &Visit, sealed: String, code: String) -> Result<Response, Failure> {
    let (p, w) = around(visit, Step::BreakGlass, None, &Fields::default());
    let address = visit.own_address("/sign-in/break-glass");
    let next = path(if w.is_finished { Step::BreakGlass } else { Step::School });
    html(&BreakGlassPage { p, w, sealed, code, address, next })
}

pub(super) async fn seal(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    if Fields(fields).is_on("skip") {
        return went_on(&visit, Step::BreakGlass);
    }
    let (code, change) =
        visit.aside(|visit| visit.admin.accounts.seal_break_glass()).await?.map_err(Failure::inside)?;
    visit.audit(&visit.by(), &change);
    visit.admin.school.done(Step::BreakGlass).map_err(Failure::inside)?;
    let now = moment(&visit, visit.admin.clock.now());
    // Shown this once, so there is no page to be led to.
    break_glass_page(&visit, now, code.expose().to_owned())
}

#[derive(Template)]
#[template(path = "set_up_school.html")]
struct SchoolPage {
    p: Page,
    w: Wizard,
    name: String,
    contact: String,
    timezone: String,
    zones: &'static [&'static str],
    /// Each type: its word, its title, and whether it is chosen.
    kinds: Vec<(&'static str, String, bool)>,
}

pub(super) async fn school(visit: Visit) -> Result<Response, Failure> {
    let policy = visit.admin.control.policy().load_full();
    let file = policy.file();
    let kind = visit.admin.school.file().kind.map_or("", Kind::word);
    let contact =
        file.contact.as_deref().map_or("", |contact| contact.strip_prefix("mailto:").unwrap_or(contact));
    let said =
        [("name", file.school.as_str()), ("contact", contact), ("timezone", &file.timezone), ("kind", kind)];
    school_page(&visit, None, &Fields(said.map(|(k, v)| (k.to_owned(), v.to_owned())).into()))
}

fn school_page(visit: &Visit, wrong: Option<&Refusal>, fields: &Fields) -> Result<Response, Failure> {
    let (p, w) = around(visit, Step::School, wrong, fields);
    let kinds = Kind::ALL.map(|kind| {
        let title = visit.words.get(&format!("set-up-kind-{}", kind.word()));
        (kind.word(), title, fields.get("kind") == kind.word())
    });
    let page = SchoolPage {
        p,
        w,
        name: fields.get("name").to_owned(),
        contact: fields.get("contact").to_owned(),
        timezone: fields.get("timezone").to_owned(),
        zones: ZONES,
        kinds: kinds.into(),
    };
    shown(wrong, &page)
}

pub(super) async fn put_school(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let wrong = |text: &str| Refusal::new(visit.words.get(text));
    let refused = match Kind::from_word(fields.get("kind")) {
        _ if fields.get("name").is_empty() => wrong("set-up-school-no-name"),
        _ if fields.get("name").chars().count() > 100 => wrong("set-up-school-long-name"),
        None => wrong("set-up-school-no-kind"),
        Some(kind) => match put_school_of(&visit, &fields, kind).await? {
            Ok(()) => return went_on(&visit, Step::School),
            Err(wrong) => wrong,
        },
    };
    school_page(&visit, Some(&refused), &fields)
}

async fn put_school_of(visit: &Visit, fields: &Fields, kind: Kind) -> Result<Result<(), Refusal>, Failure> {
    let name = fields.get("name").to_owned();
    let contact = fields.get("contact");
    if !contact.is_empty() && Person::new("-", contact, "").is_err() {
        return Ok(Err(Refusal::new(visit.words.get("set-up-school-contact-wrong"))));
    }
    let school = SchoolEdit {
        name: Some(name.clone()),
        timezone: Some(fields.get("timezone").to_owned()),
        contact: Some(if contact.is_empty() { String::new() } else { format!("mailto:{contact}") }),
        ..SchoolEdit::default()
    };
    let mut edits = vec![Edit::SetSchool(school)];
    let admin = &visit.admin;
    if admin.school.file().kind != Some(kind) {
        edits.extend(for_kind(admin.control.policy().load().file(), kind));
    }
    let done = edit(visit, fields, edits).await?;
    if done.is_ok() {
        admin.school.change(|file| file.kind = Some(kind)).map_err(Failure::inside)?;
        let settings = crate::accounts::Settings { school: name, ..(*admin.accounts.settings()).clone() };
        admin.accounts.set_settings(settings);
    }
    Ok(done)
}

/// The changes that give a school of a type the profiles that it needs: those that ship and are missing come, those that
/// ship, are not needed and that nothing uses go.
fn for_kind(file: &PolicyFile, kind: Kind) -> Vec<Edit> {
    let wanted = kind.profiles();
    let mut edits = Vec::new();
    for shipped in &Tables::shipped().profiles {
        let is_there = file.profiles.iter().any(|profile| profile.id == shipped.id);
        if is_there || !wanted.contains(&shipped.id.as_str()) {
            continue;
        }
        edits.push(Edit::AddProfile(NewProfile {
            profile: shipped.id.clone(),
            name: shipped.name.clone(),
            audience: shipped.audience,
            like: None,
            subnets: Vec::new(),
        }));
        edits.push(Edit::SetProfile(ProfileEdit {
            profile: shipped.id.clone(),
            mode: Some(shipped.mode),
            uncategorised: Some(shipped.uncategorised),
            safe_search: Some(shipped.safe_search),
            youtube: Some(shipped.youtube),
            strip_ech: Some(shipped.strip_ech),
            block_with: Some(shipped.block_with),
            log: Some(shipped.log),
            bundles: Some(shipped.bundles.clone()),
            ..ProfileEdit::default()
        }));
    }
    let is_shipped = |id: &str| Tables::shipped().profiles.iter().any(|shipped| shipped.id == id);
    let gone = file.profiles.iter().filter(|profile| is_shipped(&profile.id));
    let gone = gone.filter(|profile| !wanted.contains(&profile.id.as_str()) && !is_used(file, &profile.id));
    let heir = wanted.first().map(|id| (*id).to_owned());
    edits.extend(gone.map(|profile| Edit::RemoveProfile { profile: profile.id.clone(), to: heir.clone() }));
    edits
}

/// Whether a profile has a network of the school, a device or a rule, or is for devices that nobody knows.
fn is_used(file: &PolicyFile, id: &str) -> bool {
    let has_network = file.profiles.iter().any(|profile| {
        profile.id == id && profile.subnets.iter().any(|net| !super::networks::is_of_the_box(net))
    });
    has_network
        || file.devices.iter().any(|device| device.profile.as_deref() == Some(id))
        || file.fallback_profile.as_deref() == Some(id)
        || file.rules.iter().flat_map(|rule| rule.profiles.iter().flatten()).any(|profile| profile == id)
}

#[derive(Template)]
#[template(path = "set_up_suppliers.html")]
struct SuppliersPage {
    p: Page,
    w: Wizard,
    suppliers: Vec<Supplied>,
    by: String,
    who: String,
    tested: String,
    tested_by: String,
    today: Date,
}

fn suppliers_page(visit: &Visit, wrong: Option<&Refusal>, fields: &Fields) -> Result<Response, Failure> {
    let (p, w) = around(visit, Step::Suppliers, wrong, fields);
    let (suppliers, today) = supplied(visit);
    let field = |name: &str| fields.get(name).to_owned();
    let page = SuppliersPage {
        p,
        w,
        suppliers,
        by: field("by"),
        who: field("who"),
        tested: field("tested"),
        tested_by: field("tested_by"),
        today,
    };
    shown(wrong, &page)
}

/// Who supplies what now, and which day it is at the school.
fn supplied(visit: &Visit) -> (Vec<Supplied>, Date) {
    let (control, now) = (&visit.admin.control, visit.admin.clock.now());
    let policy = control.policy().load_full();
    let today = now.to_zoned(crate::querylog::search::zone(&policy)).date();
    (policy.file().suppliers(control.categories(), now), today)
}

pub(super) async fn suppliers(visit: Visit) -> Result<Response, Failure> {
    let (suppliers, _) = supplied(&visit);
    let mut said = Vec::new();
    if let Some(first) = suppliers.iter().find(|supplied| supplied.stated) {
        let by = if first.by == Supply::Upstream { "upstream" } else { "nobody" };
        let day = first.verified.map(|day| day.to_string()).unwrap_or_default();
        for (key, value) in
            [("by", by), ("who", &first.who), ("tested", &day), ("tested_by", &first.verified_by)]
        {
            said.push((key.to_owned(), value.to_owned()));
        }
    }
    suppliers_page(&visit, None, &Fields(said))
}

pub(super) async fn put_suppliers(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let refused = match supplier_edits(&visit, &fields) {
        Ok(edits) => match edit(&visit, &fields, edits).await? {
            Ok(()) => return went_on(&visit, Step::Suppliers),
            Err(wrong) => wrong,
        },
        Err(wrong) => wrong,
    };
    suppliers_page(&visit, Some(&refused), &fields)
}

fn supplier_edits(visit: &Visit, fields: &Fields) -> Result<Vec<Edit>, Refusal> {
    let wrong = |key: &str| Refusal::new(visit.words.get(key));
    let by = match fields.get("by") {
        "broadband" | "firewall" | "upstream" => Supply::Upstream,
        "nobody" => Supply::Nobody,
        _ => return Err(wrong("set-up-suppliers-choose")),
    };
    let who = fields.get("who");
    if by == Supply::Upstream && who.is_empty() {
        return Err(wrong("set-up-suppliers-no-name"));
    }
    let (suppliers, today) = supplied(visit);
    let verified = match fields.get("tested") {
        "" => None,
        day => match day.parse::<Date>() {
            Ok(day) if day <= today => Some(day),
            _ => return Err(wrong("set-up-suppliers-day")),
        },
    };
    let is_upstream = by == Supply::Upstream;
    // A feed of the school's own is better than what is said here of all.
    let others = suppliers.into_iter().filter(|supplied| supplied.by != Supply::Feed);
    let edits = others.map(|supplied| {
        Edit::SetSupplier(SupplierEdit {
            category: supplied.category,
            by,
            who: if is_upstream { who.to_owned() } else { String::new() },
            verified: verified.filter(|_| is_upstream),
            verified_by: if is_upstream { fields.get("tested_by").to_owned() } else { String::new() },
            note: supplied.note,
        })
    });
    Ok(edits.collect())
}
