//! The machine of an appliance: its health, its network, its updates, and whether it runs. SSH and factory reset take the
//! password again, so they are for people and their pages.

use axum::http::Method;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Done, Flow, Json, Nothing, Told, call},
    doc::{Doc, Tag},
};
use crate::{
    admin::{
        access::Right,
        backups,
        failure::Failure,
        machines::{self, machine},
        routes::Routes,
        visit::Visit,
    },
    control::ControlError,
    machine::{Network, Observed, Outcome, Place, Share, Updates},
};

pub(super) fn routes(routes: Routes) -> Routes {
    let (tag, change) = (Tag::System, Right::ChangeSystem);
    let show = Doc::new(tag, "The machine of an appliance: health, network, updates")
        .details("Where Schoolgate does not run on the appliance's image, there is none.");
    let network = Doc::new(tag, "Give the box other settings of its network")
        .details("Those of before come back after five minutes, unless the new ones are kept.")
        .example(json!({ "method": "static", "address": "10.20.0.2/16", "gateway": "10.20.0.1" }));
    let keep = Doc::new(tag, "Keep the new settings of the network");
    let share = Doc::new(tag, "Give the box a shared folder of a Windows server or NAS, for backups")
        .details("It is tried first, and kept when it can be written to. Backups go there with the folder /mnt/share, and to a USB stick with /media/stick.")
        .example(json!({ "server": "fileserver.school.example", "share": "backups", "user": "dns-backup", "password": "…" }));
    let unshare = Doc::new(tag, "Forget the shared folder; what lies there stays");
    let check = Doc::new(tag, "Look for an update now");
    let upload = Doc::new(tag, "Send an update (.raucb) and have it installed").details(
        "Into the part of the disk that does not run. The box takes it only with the right signature.",
    );
    let window = Doc::new(tag, "Say when a version that waits may be started")
        .example(json!({ "window": "02:00-04:30" }));
    let switch = Doc::new(tag, "Start the version that waits, now");
    let back = Doc::new(tag, "Go back to the version of before");
    let restart = Doc::new(tag, "Start the machine again");
    let off = Doc::new(tag, "Switch the machine off");
    routes
        .api(Method::GET, "/api/v1/machine", Right::SeeSystem, show, call(show_machine))
        .api(Method::PUT, "/api/v1/machine/network", change, network, call(set_network))
        .api(Method::POST, "/api/v1/machine/network/keep", change, keep, call(keep_network))
        .api(Method::PUT, "/api/v1/machine/share", change, share, call(set_share))
        .api(Method::DELETE, "/api/v1/machine/share", change, unshare, call(remove_share))
        .api(Method::POST, "/api/v1/machine/updates/check", change, check, call(check_now))
        .api(Method::POST, "/api/v1/machine/updates/install", change, upload, call(install))
        .api(Method::PUT, "/api/v1/machine/updates/window", change, window, call(set_window))
        .api(Method::POST, "/api/v1/machine/updates/switch", change, switch, call(switch_now))
        .api(Method::POST, "/api/v1/machine/updates/back", change, back, call(go_back))
        .api(Method::POST, "/api/v1/machine/restart", change, restart, call(restart_machine))
        .api(Method::POST, "/api/v1/machine/off", change, off, call(switch_off))
}

/// The machine.
#[derive(Debug, Serialize, JsonSchema)]
struct TheMachine {
    /// How it is; none where nobody looked yet.
    health: Option<Vec<Observed>>,
    /// The settings of its network; none where they can't be understood, and DHCP is used.
    network: Option<Network>,
    /// Until when somebody has to keep new settings of the network.
    network_until: Option<Timestamp>,
    /// How updates stand.
    updates: Updates,
    /// The USB stick that is in, for backups.
    stick: Option<Place>,
    /// The shared folder for backups. Its password is never told.
    share: Option<Share>,
    /// Whether it answered lately.
    share_place: Option<Place>,
}

async fn show_machine(visit: Visit, _: Asked) -> Result<Told<TheMachine>, Failure> {
    let machine = machine(&visit)?;
    Ok(Told(TheMachine {
        health: machine.health(),
        network: machine.network(),
        network_until: visit.admin.control.network_trial(),
        updates: machine.updates(),
        stick: machine.stick(),
        share: machine.share(),
        share_place: machine.share_place(),
    }))
}

/// What the box said.
#[derive(Debug, Serialize, JsonSchema)]
struct BoxSaid {
    /// Whether it is done, rather than still going on.
    done: bool,
    /// What the box said.
    said: String,
}

fn told(visit: &Visit, done: Result<Outcome, ControlError>) -> Result<Told<BoxSaid>, Failure> {
    let outcome = done?;
    let said = machines::said(visit, &outcome);
    Ok(Told(BoxSaid { done: matches!(outcome, Outcome::Done(_)), said }))
}

/// Until when new settings of the network have to be kept.
#[derive(Debug, Serialize, JsonSchema)]
struct OnTrial {
    /// The moment at which those of before come back.
    until: Timestamp,
}

async fn set_network(
    visit: Visit,
    asked: Asked<(), Nothing, Json<Network>>,
) -> Result<Told<OnTrial>, Failure> {
    machine(&visit)?;
    let Json(network) = asked.body;
    let until = visit.admin.control.set_network(&network, &visit.by(), Some(visit.address())).await?;
    Ok(Told(OnTrial { until }))
}

async fn keep_network(visit: Visit, _: Asked) -> Result<Done, Failure> {
    machine(&visit)?;
    visit.admin.control.keep_network(&visit.by(), Some(visit.address()));
    Ok(Done)
}

/// A shared folder, and the password for it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewShare {
    /// The server: its whole name, or its address.
    server: String,
    /// Its port; 445 where it is left out.
    #[serde(default)]
    port: Option<u16>,
    /// The name of the share.
    share: String,
    /// A folder in it; left out for the share itself.
    #[serde(default)]
    folder: String,
    /// Who the box signs in as.
    user: String,
    /// The user's domain, where the server wants it.
    #[serde(default)]
    domain: String,
    /// The password; left out to keep the one that is there, for the same user of the same server.
    #[serde(default)]
    password: Option<String>,
}

async fn set_share(
    visit: Visit,
    asked: Asked<(), Nothing, Json<NewShare>>,
) -> Result<Told<BoxSaid>, Failure> {
    machine(&visit)?;
    let Json(NewShare { server, port, share, folder, user, domain, password }) = asked.body;
    let new = Share { server, port: port.unwrap_or(445), share, folder, user, domain };
    let password = password.as_deref();
    told(&visit, visit.admin.control.set_share(&new, password, &visit.by(), Some(visit.address())).await)
}

async fn remove_share(visit: Visit, _: Asked) -> Result<Told<BoxSaid>, Failure> {
    machine(&visit)?;
    told(&visit, visit.admin.control.remove_share(&visit.by(), Some(visit.address())).await)
}

async fn check_now(visit: Visit, _: Asked) -> Result<Told<BoxSaid>, Failure> {
    machine(&visit)?;
    told(&visit, visit.admin.control.check_for_update(&visit.by(), Some(visit.address())).await)
}

async fn install(visit: Visit, asked: Asked<(), Nothing, Flow>) -> Result<Told<BoxSaid>, Failure> {
    machine(&visit)?;
    let came = backups::receive(&visit, asked.body.0.into_data_stream()).await?;
    told(&visit, machines::install(&visit, came).await)
}

/// A maintenance window.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewWindow {
    /// From when to when, by the school's clock: `02:00-04:30`.
    window: String,
}

async fn set_window(visit: Visit, asked: Asked<(), Nothing, Json<NewWindow>>) -> Result<Done, Failure> {
    machine(&visit)?;
    let Json(NewWindow { window }) = asked.body;
    visit.admin.control.set_update_window(&window, &visit.by(), Some(visit.address())).await?;
    Ok(Done)
}

async fn switch_now(visit: Visit, _: Asked) -> Result<Told<BoxSaid>, Failure> {
    machine(&visit)?;
    told(&visit, visit.admin.control.switch_update(&visit.by(), Some(visit.address())).await)
}

async fn go_back(visit: Visit, _: Asked) -> Result<Told<BoxSaid>, Failure> {
    machine(&visit)?;
    told(&visit, visit.admin.control.take_back_update(&visit.by(), Some(visit.address())).await)
}

async fn restart_machine(visit: Visit, _: Asked) -> Result<Told<BoxSaid>, Failure> {
    machine(&visit)?;
    told(&visit, visit.admin.control.restart_machine(&visit.by(), Some(visit.address())).await)
}

async fn switch_off(visit: Visit, _: Asked) -> Result<Told<BoxSaid>, Failure> {
    machine(&visit)?;
    told(&visit, visit.admin.control.switch_off(&visit.by(), Some(visit.address())).await)
}
