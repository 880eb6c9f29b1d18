//! The machine of an appliance: its health, its network, its updates, SSH, and whether it runs.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Form, Request},
    http::{StatusCode, Uri},
    response::Response,
};

use super::super::{
    super::{
        access::Right,
        backups,
        failure::Failure,
        form::{Fields, Refusal},
        machines::{self, machine},
        page::{Page, html_with, see},
        routes::Routes,
        visit::Visit,
        when::When,
    },
    account::{proven, said_of_password},
};
use crate::{
    control::ControlError,
    machine::{Last, Look, Machine, Method, Network, Observed, Outcome, PublicKey, Updates},
};

pub(super) fn routes(routes: Routes) -> Routes {
    let (see, change, own) = (Right::SeeSystem, Right::ChangeSystem, Right::OwnSystem);
    routes
        .get("/system/machine", see, show)
        .post("/system/machine/restart", change, restart)
        .post("/system/machine/off", change, off)
        .post("/system/machine/reset", own, reset)
        .get("/system/network", see, network)
        .post("/system/network", change, set_network)
        .post("/system/network/keep", change, keep_network)
        .get("/system/updates", see, updates)
        .post("/system/updates/check", change, check)
        .post("/system/updates/install", change, install)
        .post("/system/updates/window", change, window)
        .post("/system/updates/switch", change, switch)
        .post("/system/updates/back", change, back)
        .get("/system/ssh", own, ssh)
        .post("/system/ssh", own, set_ssh)
}

/// What is told above a form that was refused, with the status of the page.
fn status(refusal: &Refusal) -> StatusCode {
    if refusal.is_none() { StatusCode::OK } else { refusal.status() }
}

#[derive(Template)]
#[template(path = "machine.html")]
struct Show {
    p: Page,
    health: Option<Vec<Observed>>,
    may_change: bool,
    may_own: bool,
    ssh: usize,
    refusal: Refusal,
}

/// How something is: the tone of the tag, and the key of its word.
fn look(state: Look) -> (&'static str, &'static str) {
    match state {
        Look::Ok => ("good", "machine-ok"),
        Look::Warn => ("warn", "machine-warn"),
        Look::Bad => ("bad", "machine-bad"),
    }
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    page(&visit, Refusal::default())
}

fn page(visit: &Visit, refusal: Refusal) -> Result<Response, Failure> {
    let shown = Show {
        health: machine(visit)?.health(),
        p: visit.page("machine-title", "/system"),
        may_change: visit.may(Right::ChangeSystem),
        may_own: visit.may(Right::OwnSystem),
        ssh: visit.admin.control.ssh_keys().len(),
        refusal,
    };
    html_with(status(&shown.refusal), &shown)
}

#[derive(Template)]
#[template(path = "machine_leaving.html")]
struct Leaving {
    p: Page,
    sentence: String,
    addresses: Vec<String>,
    keep: String,
}

fn leaving(visit: &Visit, key: &str) -> Result<Response, Failure> {
    let (sentence, p) = (visit.words.get(key), visit.page("machine-title", "/system"));
    html_with(StatusCode::OK, &Leaving { p, sentence, addresses: Vec::new(), keep: String::new() })
}

async fn restart(visit: Visit) -> Result<Response, Failure> {
    machine(&visit)?;
    match visit.admin.control.restart_machine(&visit.by(), Some(visit.address())).await {
        Ok(_) => leaving(&visit, "machine-restarting"),
        Err(error) => page(&visit, Refusal::of(&visit, error)?),
    }
}

async fn off(visit: Visit) -> Result<Response, Failure> {
    machine(&visit)?;
    match visit.admin.control.switch_off(&visit.by(), Some(visit.address())).await {
        Ok(_) => leaving(&visit, "machine-going-off"),
        Err(error) => page(&visit, Refusal::of(&visit, error)?),
    }
}

/// Whether the password was typed again; what is told where it was not.
async fn password_wrong(visit: &Visit, fields: &Fields) -> Result<Option<Refusal>, Failure> {
    match proven(visit, fields.whole("password").to_owned()).await? {
        Ok(()) => Ok(None),
        Err(error) => Ok(Some(Refusal::new(said_of_password(visit, error)?.1))),
    }
}

async fn reset(visit: Visit, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Failure> {
    let fields = Fields(fields);
    machine(&visit)?;
    if fields.get("word") != "RESET" {
        return page(&visit, Refusal::new(visit.words.get("machine-reset-word-wrong")));
    }
    if let Some(refusal) = password_wrong(&visit, &fields).await? {
        return page(&visit, refusal);
    }
    match visit.admin.control.factory_reset(&visit.by(), Some(visit.address())).await {
        Ok(_) => leaving(&visit, "machine-resetting"),
        Err(error) => page(&visit, Refusal::of(&visit, error)?),
    }
}

#[derive(Template)]
#[template(path = "machine_network.html")]
struct ShowNetwork {
    p: Page,
    may_change: bool,
    form: Network,
    dns: String,
    ntp: String,
    /// What is there can't be understood.
    unreadable: bool,
    /// What it would be, as the box reads it; empty before it was looked at.
    would: String,
    /// Where the pages are to be found then.
    addresses: Vec<String>,
    /// Until when the new ones wait for somebody who keeps them.
    until: String,
    refusal: Refusal,
}

impl ShowNetwork {
    fn is_fixed(&self) -> bool {
        self.form.method == Method::Static
    }
}

/// The addresses of the pages, with these settings.
fn addresses(visit: &Visit, network: &Network) -> Vec<String> {
    let here: Option<Uri> = visit.own_address("/system/network").parse().ok();
    let scheme = here.as_ref().and_then(Uri::scheme_str).unwrap_or("https").to_owned();
    let port = here.as_ref().and_then(Uri::port_u16).map(|port| format!(":{port}")).unwrap_or_default();
    let host =
        |address: &str| if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    let all = network.addresses().into_iter();
    all.map(|address| format!("{scheme}://{}{port}/system/network", host(address))).collect()
}

fn network_page(
    visit: &Visit,
    form: Option<Network>,
    would: Option<&Network>,
    refusal: Refusal,
) -> Result<Response, Failure> {
    let current = machine(visit)?.network();
    let unreadable = current.is_none();
    let form = form.or(current).unwrap_or_default();
    let control = &visit.admin.control;
    let when = When::of(&control.policy().load());
    let now = visit.admin.clock.now();
    let shown = ShowNetwork {
        p: visit.page("network-title", "/system"),
        may_change: visit.may(Right::ChangeSystem),
        dns: form.dns.join(", "),
        ntp: form.ntp.join(", "),
        form,
        unreadable,
        would: would.map(Network::to_text).unwrap_or_default(),
        addresses: would.map(|network| addresses(visit, network)).unwrap_or_default(),
        until: control.network_trial().map(|until| when.minute(until, now)).unwrap_or_default(),
        refusal,
    };
    html_with(status(&shown.refusal), &shown)
}

async fn network(visit: Visit) -> Result<Response, Failure> {
    network_page(&visit, None, None, Refusal::default())
}

fn typed(fields: &Fields) -> Network {
    let text = |name: &str| fields.get(name).to_owned();
    let servers = |name: &str| {
        let split = fields.get(name).split([',', ' ']);
        split.filter(|server| !server.is_empty()).map(str::to_owned).collect()
    };
    Network {
        method: if fields.get("method") == "static" { Method::Static } else { Method::Dhcp },
        address: text("address"),
        gateway: text("gateway"),
        address6: text("address6"),
        gateway6: text("gateway6"),
        dns: servers("dns"),
        ntp: servers("ntp"),
        interface: text("interface"),
    }
}

/// Shows first what it would be; does it when that was seen.
async fn set_network(visit: Visit, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Failure> {
    machine(&visit)?;
    let fields = Fields(fields);
    let typed = typed(&fields);
    let new = match typed.checked() {
        Ok(new) => new,
        Err(wrong) => {
            let refusal = Refusal::listing(visit.words.get("network-wrong"), wrong);
            return network_page(&visit, Some(typed), None, refusal);
        }
    };
    // What was typed after the look is looked at again.
    if !fields.is_on("apply") || fields.whole("seen").replace("\r\n", "\n").trim() != new.to_text().trim() {
        return network_page(&visit, Some(new.clone()), Some(&new), Refusal::default());
    }
    match visit.admin.control.set_network(&new, &visit.by(), Some(visit.address())).await {
        Ok(until) => {
            let when = When::of(&visit.admin.control.policy().load());
            let until = when.minute(until, visit.admin.clock.now());
            let shown = Leaving {
                p: visit.page("network-title", "/system"),
                sentence: visit.words.get("network-changed"),
                addresses: addresses(&visit, &new),
                keep: visit.words.with("network-until", [("until", until.into())]),
            };
            html_with(StatusCode::OK, &shown)
        }
        Err(error) => {
            let refusal = Refusal::of(&visit, error)?;
            network_page(&visit, Some(typed), None, refusal)
        }
    }
}

async fn keep_network(visit: Visit) -> Result<Response, Failure> {
    machine(&visit)?;
    visit.admin.control.keep_network(&visit.by(), Some(visit.address()));
    Ok(see("/system/network", "done-network-kept"))
}

#[derive(Template)]
#[template(path = "machine_updates.html")]
struct ShowUpdates {
    p: Page,
    may_change: bool,
    updates: Updates,
    /// What the box says of the version that runs, and of the other slot.
    slots: Vec<String>,
    /// What became of the last one, in words, and when.
    last: String,
    /// What the box said just now.
    said: String,
    window: String,
    refusal: Refusal,
}

fn updates_page(visit: &Visit, said: String, refusal: Refusal) -> Result<Response, Failure> {
    let machine: Arc<Machine> = machine(visit)?;
    let updates = machine.updates();
    let health = machine.health().unwrap_or_default().into_iter();
    let shown = ShowUpdates {
        p: visit.page("updates-title", "/system"),
        may_change: visit.may(Right::ChangeSystem),
        slots: health.filter(|one| one.what == "system").map(|one| one.text).collect(),
        last: updates.last.as_ref().map(|last| what_became_of(visit, last)).unwrap_or_default(),
        window: updates.window.clone(),
        updates,
        said,
        refusal,
    };
    html_with(status(&shown.refusal), &shown)
}

fn what_became_of(visit: &Visit, last: &Last) -> String {
    let result = match last.result.as_str() {
        "installed" => "updates-result-installed",
        "good" => "updates-result-good",
        "refused" => "updates-result-refused",
        _ => "updates-result-failed",
    };
    let when = last.when.parse().map_or_else(
        |_| last.when.clone(),
        |at| When::of(&visit.admin.control.policy().load_full()).full(at),
    );
    let why = if last.why.is_empty() { String::new() } else { format!(": {}", last.why) };
    format!("{} {}, {when}{why}", last.version, visit.words.get(result)).trim().to_owned()
}

async fn updates(visit: Visit) -> Result<Response, Failure> {
    updates_page(&visit, String::new(), Refusal::default())
}

/// The page, with what came of it.
fn told(visit: &Visit, done: Result<Outcome, ControlError>) -> Result<Response, Failure> {
    match done {
        Ok(outcome) => updates_page(visit, machines::said(visit, &outcome), Refusal::default()),
        Err(error) => updates_page(visit, String::new(), Refusal::of(visit, error)?),
    }
}

async fn check(visit: Visit) -> Result<Response, Failure> {
    machine(&visit)?;
    let done = visit.admin.control.check_for_update(&visit.by(), Some(visit.address())).await;
    told(&visit, done)
}

async fn install(visit: Visit, request: Request) -> Result<Response, Failure> {
    machine(&visit)?;
    let came = match backups::Form::of(request) {
        Ok(form) => form.file(&visit, |_| async { Ok(()) }).await,
        Err(failure) => Err(failure),
    };
    match came {
        Ok((_, came)) => {
            let done = machines::install(&visit, came).await;
            told(&visit, done)
        }
        Err(failure) if failure.is_input() => {
            // The words of the form for files are those of backups.
            let is_missing = failure.detail == visit.words.get("backup-file-wanted");
            let why = if is_missing { visit.words.get("updates-file-wanted") } else { failure.detail };
            updates_page(&visit, String::new(), Refusal::new(why))
        }
        Err(failure) => Err(failure),
    }
}

async fn window(visit: Visit, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Failure> {
    machine(&visit)?;
    let fields = Fields(fields);
    let control = &visit.admin.control;
    match control.set_update_window(fields.get("window"), &visit.by(), Some(visit.address())).await {
        Ok(()) => Ok(see("/system/updates", "done-update-window")),
        Err(error) => updates_page(&visit, String::new(), Refusal::of(&visit, error)?),
    }
}

async fn switch(visit: Visit) -> Result<Response, Failure> {
    machine(&visit)?;
    match visit.admin.control.switch_update(&visit.by(), Some(visit.address())).await {
        Ok(_) => leaving(&visit, "updates-switching"),
        Err(error) => told(&visit, Err(error)),
    }
}

async fn back(visit: Visit) -> Result<Response, Failure> {
    machine(&visit)?;
    match visit.admin.control.take_back_update(&visit.by(), Some(visit.address())).await {
        Ok(_) => leaving(&visit, "updates-switching"),
        Err(error) => told(&visit, Err(error)),
    }
}

#[derive(Template)]
#[template(path = "machine_ssh.html")]
struct ShowSsh {
    p: Page,
    keys: Vec<PublicKey>,
    typed: String,
    reason: String,
    refusal: Refusal,
}

fn ssh_page(visit: &Visit, typed: Option<(&str, &str)>, refusal: Refusal) -> Result<Response, Failure> {
    machine(visit)?;
    let keys = visit.admin.control.ssh_keys();
    let now: Vec<&str> = keys.iter().map(|key| key.line.as_str()).collect();
    let (text, reason) = typed.map_or_else(
        || (now.join("\n"), String::new()),
        |(text, reason)| (text.to_owned(), reason.to_owned()),
    );
    let p = visit.page("ssh-title", "/system");
    let shown = ShowSsh { p, typed: text, reason, keys, refusal };
    html_with(status(&shown.refusal), &shown)
}

async fn ssh(visit: Visit) -> Result<Response, Failure> {
    ssh_page(&visit, None, Refusal::default())
}

async fn set_ssh(visit: Visit, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Failure> {
    machine(&visit)?;
    let fields = Fields(fields);
    let is_off = fields.is_on("off");
    let text = if is_off { "" } else { fields.whole("keys") };
    let reason = fields.get("reason");
    let typed = Some((text, reason));
    if let Some(refusal) = password_wrong(&visit, &fields).await? {
        return ssh_page(&visit, typed, refusal);
    }
    match visit.admin.control.set_ssh_keys(text, reason, &visit.by(), Some(visit.address())).await {
        Ok(()) if text.trim().is_empty() => Ok(see("/system/ssh", "done-ssh-off")),
        Ok(()) => Ok(see("/system/ssh", "done-ssh-on")),
        Err(error) => {
            let refusal = Refusal::of(&visit, error)?;
            ssh_page(&visit, typed, refusal)
        }
    }
}
