//! Devices by name, and groups of them.

use askama::Template;
use axum::{
    extract::{Form, Query},
    response::Response,
};
use serde::Deserialize;

use super::{super::change, change_or_ask, profiles, shown, written};
use crate::{
    admin::{
        failure::Failure,
        form::Refusal,
        page::{Page, see},
        visit::Visit,
    },
    control::Edit,
    policy::{DeviceFile, GroupFile},
};

/// The longest name of a device or a group, in characters.
const LONGEST_NAME: usize = 80;

/// The form of a device.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Typed {
    /// The name that it has already; empty for a new one.
    was: String,
    name: String,
    address: String,
    mac: String,
    profile: String,
    suspended: Option<String>,
    reason: String,
    revision: Option<i64>,
}

#[derive(Template)]
#[template(path = "networks_device.html")]
struct DevicePage {
    p: Page,
    typed: Typed,
    profiles: Vec<(String, String)>,
    revision: i64,
    refusal: Refusal,
}

fn device_page(visit: &Visit, typed: Typed, refusal: Refusal) -> Result<Response, Failure> {
    let in_force = visit.admin.control.policy_file()?;
    let mut p = visit.page("networks-new-device", "/networks");
    if !typed.was.is_empty() {
        typed.was.clone_into(&mut p.title);
    }
    let revision = typed.revision.unwrap_or(in_force.revision);
    let profiles = profiles(&in_force.file);
    shown(&refusal.clone(), &DevicePage { p, typed, profiles, revision, refusal })
}

/// A device by its name, or a new one; with an address where a link has one.
pub(super) async fn show(visit: Visit, Query(asked): Query<Typed>) -> Result<Response, Failure> {
    let file = visit.admin.control.policy_file()?.file;
    if asked.name.is_empty() {
        let typed = Typed { address: asked.address, mac: asked.mac, ..Typed::default() };
        return device_page(&visit, typed, Refusal::default());
    }
    let device = file.devices.into_iter().find(|device| device.name == asked.name);
    let device = device.ok_or_else(Failure::not_found)?;
    let typed = Typed {
        was: device.name.clone(),
        name: device.name,
        address: device.address.unwrap_or_default(),
        mac: device.mac.unwrap_or_default(),
        profile: device.profile.unwrap_or_default(),
        suspended: device.suspended.then(|| String::from("yes")),
        ..Typed::default()
    };
    device_page(&visit, typed, Refusal::default())
}

/// Whether a name can be that of a device or a group.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control)
}

pub(super) async fn save(visit: Visit, Form(typed): Form<Typed>) -> Result<Response, Failure> {
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let name = if typed.was.is_empty() { typed.name.trim().to_owned() } else { typed.was.clone() };
    let file = visit.admin.control.policy_file()?.file;
    let words = &visit.words;
    let outcome = if !is_name(&name) {
        Err(Refusal::new(words.get("networks-no-name")))
    } else if typed.was.is_empty() && file.devices.iter().any(|device| device.name == name) {
        Err(Refusal::new(words.with("networks-taken", [("name", name.into())])))
    } else {
        let device = DeviceFile {
            name,
            address: given(&typed.address),
            mac: given(&typed.mac),
            profile: given(&typed.profile),
            suspended: typed.suspended.is_some(),
        };
        change::edit(&visit, vec![Edit::PutDevice(device)], &typed.reason, typed.revision).await?
    };
    match outcome {
        Ok(report) => Ok(see(&format!("/networks?changed={}#devices", report.revision), "done-saved")),
        Err(refusal) => device_page(&visit, typed, refusal),
    }
}

/// A device or a group that is meant, and what is to happen to it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Which {
    name: String,
    /// `yes` to suspend it.
    suspended: String,
    reason: String,
    revision: Option<i64>,
}

pub(super) async fn suspend(visit: Visit, Form(asked): Form<Which>) -> Result<Response, Failure> {
    let suspended = asked.suspended == "yes";
    let ask = change::Confirm {
        p: visit.page("networks-lift-title", "/networks"),
        action: String::from("/networks/suspend"),
        what: asked.name.clone(),
        button: visit.words.get(if suspended { "networks-suspend" } else { "networks-lift" }),
        fields: vec![
            ("name", asked.name.clone()),
            ("suspended", asked.suspended),
            ("revision", written(asked.revision)),
        ],
        reason: asked.reason,
        refusal: Refusal::default(),
    };
    let edits = vec![Edit::SuspendDevice { name: asked.name, suspended }];
    change_or_ask(&visit, edits, asked.revision, ask).await
}

pub(super) async fn remove(visit: Visit, Form(asked): Form<Which>) -> Result<Response, Failure> {
    let ask = change::Confirm {
        p: visit.page("networks-remove-device-title", "/networks"),
        action: String::from("/networks/device/remove"),
        what: asked.name.clone(),
        button: visit.words.get("networks-remove"),
        fields: vec![("name", asked.name.clone()), ("revision", written(asked.revision))],
        reason: asked.reason,
        refusal: Refusal::default(),
    };
    change_or_ask(&visit, vec![Edit::RemoveDevice { name: asked.name }], asked.revision, ask).await
}

/// The form of a group.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct TypedGroup {
    /// The identifier that it has already; empty for a new one.
    was: String,
    id: String,
    /// One a line.
    members: String,
    reason: String,
    revision: Option<i64>,
}

#[derive(Template)]
#[template(path = "networks_group.html")]
struct GroupPage {
    p: Page,
    typed: TypedGroup,
    devices: Vec<String>,
    revision: i64,
    refusal: Refusal,
}

fn group_page(visit: &Visit, typed: TypedGroup, refusal: Refusal) -> Result<Response, Failure> {
    let in_force = visit.admin.control.policy_file()?;
    let mut p = visit.page("networks-new-group", "/networks");
    if !typed.was.is_empty() {
        typed.was.clone_into(&mut p.title);
    }
    let revision = typed.revision.unwrap_or(in_force.revision);
    let devices = in_force.file.devices.into_iter().map(|device| device.name).collect();
    shown(&refusal.clone(), &GroupPage { p, typed, devices, revision, refusal })
}

pub(super) async fn group(visit: Visit, Query(asked): Query<TypedGroup>) -> Result<Response, Failure> {
    if asked.id.is_empty() {
        return group_page(&visit, TypedGroup::default(), Refusal::default());
    }
    let file = visit.admin.control.policy_file()?.file;
    let found = file.groups.into_iter().find(|group| group.id == asked.id).ok_or_else(Failure::not_found)?;
    let typed = TypedGroup {
        was: found.id.clone(),
        id: found.id,
        members: found.devices.join("\n"),
        ..TypedGroup::default()
    };
    group_page(&visit, typed, Refusal::default())
}

pub(super) async fn save_group(visit: Visit, Form(typed): Form<TypedGroup>) -> Result<Response, Failure> {
    let id = if typed.was.is_empty() {
        typed.id.trim().to_lowercase().replace(' ', "-")
    } else {
        typed.was.clone()
    };
    let members = typed.members.split(['\n', ',', ';']).map(|word| word.trim().to_owned());
    let members: Vec<String> = members.filter(|word| !word.is_empty()).collect();
    let file = visit.admin.control.policy_file()?.file;
    let words = &visit.words;
    let outcome = if !is_name(&id) {
        Err(Refusal::new(words.get("networks-no-name")))
    } else if typed.was.is_empty() && file.groups.iter().any(|group| group.id == id) {
        Err(Refusal::new(words.with("networks-taken", [("name", id.into())])))
    } else {
        let edits = vec![Edit::PutGroup(GroupFile { id, devices: members })];
        change::edit(&visit, edits, &typed.reason, typed.revision).await?
    };
    match outcome {
        Ok(report) => Ok(see(&format!("/networks?changed={}#groups", report.revision), "done-saved")),
        Err(refusal) => group_page(&visit, typed, refusal),
    }
}

pub(super) async fn remove_group(visit: Visit, Form(asked): Form<Which>) -> Result<Response, Failure> {
    let ask = change::Confirm {
        p: visit.page("networks-remove-group-title", "/networks"),
        action: String::from("/networks/group/remove"),
        what: asked.name.clone(),
        button: visit.words.get("networks-remove"),
        fields: vec![("name", asked.name.clone()), ("revision", written(asked.revision))],
        reason: asked.reason,
        refusal: Refusal::default(),
    };
    change_or_ask(&visit, vec![Edit::RemoveGroup { group: asked.name }], asked.revision, ask).await
}
