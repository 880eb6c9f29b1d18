//! Networks, devices and groups.

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Json, Tagged, call},
    doc::{Doc, Tag},
    edit::{Why, edit, in_force},
};
use crate::{
    admin::{access::Right, failure::Failure, routes::Routes, visit::Visit},
    control::{Edit, EditReport},
    policy::{DeviceFile, GroupFile},
};

pub(super) fn routes(routes: Routes) -> Routes {
    let (tag, see, change) = (Tag::Networks, Right::SeePolicy, Right::ChangePolicy);
    let show = Doc::new(tag, "Which subnets are which profile's, named devices, and groups");
    let subnets = Doc::new(tag, "Say which subnets are a profile's")
        .details("All of them: what is left out is no longer the profile's.")
        .conditional()
        .example(json!({ "subnets": ["10.20.2.0/24", "2001:db8:2::/64"] }));
    let device = Doc::new(tag, "Add a device, or write the one of that name anew")
        .conditional()
        .example(json!({ "mac": "02:00:5e:00:53:01", "profile": "staff" }));
    let remove_device = Doc::new(tag, "Take a device out, also out of groups, rooms and rules").conditional();
    let suspend = Doc::new(tag, "Let a device reach essential names only, or end that")
        .conditional()
        .example(json!({ "suspended": true }));
    let group = Doc::new(tag, "Add a group, or write the one of that identifier anew")
        .conditional()
        .example(json!({ "devices": ["Library 1", "10.20.9.0/28"] }));
    let remove_group = Doc::new(tag, "Take a group out").conditional();
    routes
        .api(Method::GET, "/api/v1/networks", see, show, call(networks))
        .api(Method::PUT, "/api/v1/networks/{profile}", change, subnets, call(set_subnets))
        .api(Method::PUT, "/api/v1/devices/{name}", change, device, call(put_device))
        .api(Method::DELETE, "/api/v1/devices/{name}", change, remove_device, call(remove_device_of))
        .api(Method::PUT, "/api/v1/devices/{name}/suspended", change, suspend, call(suspend_device))
        .api(Method::PUT, "/api/v1/groups/{group}", change, group, call(put_group))
        .api(Method::DELETE, "/api/v1/groups/{group}", change, remove_group, call(remove_group_of))
}

/// Networks, devices and groups.
#[derive(Debug, Serialize, JsonSchema)]
struct Networks {
    /// The profile of devices that nobody knows; the strictest for pupils, if none is named.
    fallback: Option<String>,
    /// The subnets of each profile.
    networks: Vec<Network>,
    /// The devices that the school knows by name.
    devices: Vec<DeviceFile>,
    /// Groups of devices.
    groups: Vec<GroupFile>,
}

/// The subnets of a profile.
#[derive(Debug, Serialize, JsonSchema)]
struct Network {
    /// The profile's identifier.
    profile: String,
    /// Its subnets.
    subnets: Vec<String>,
}

async fn networks(visit: Visit, _: Asked) -> Result<Tagged<Networks>, Failure> {
    let now = in_force(&visit)?;
    let networks = now.file.profiles.into_iter();
    let networks =
        networks.map(|profile| Network { profile: profile.id, subnets: profile.subnets }).collect();
    let (fallback, devices, groups) = (now.file.fallback_profile, now.file.devices, now.file.groups);
    Ok(Tagged(now.revision, Networks { fallback, networks, devices, groups }))
}

/// All subnets of a profile.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Subnets {
    /// As `10.20.2.0/24`.
    subnets: Vec<String>,
}

async fn set_subnets(
    visit: Visit,
    asked: Asked<String, Why, Json<Subnets>>,
) -> Result<Tagged<EditReport>, Failure> {
    let Json(Subnets { subnets }) = asked.body;
    edit(&visit, vec![Edit::SetSubnets { profile: asked.path, subnets }], asked.query, asked.expect).await
}

/// What is known of a device.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewDevice {
    /// Its address, where that stays the same.
    address: Option<String>,
    /// Its link-layer address.
    mac: Option<String>,
    /// Its profile; that of its subnet, if left out.
    profile: Option<String>,
    /// Whether it may reach essential names only.
    #[serde(default)]
    suspended: bool,
}

async fn put_device(
    visit: Visit,
    asked: Asked<String, Why, Json<NewDevice>>,
) -> Result<Tagged<EditReport>, Failure> {
    let Json(NewDevice { address, mac, profile, suspended }) = asked.body;
    let device = DeviceFile { name: asked.path, address, mac, profile, suspended };
    edit(&visit, vec![Edit::PutDevice(device)], asked.query, asked.expect).await
}

async fn remove_device_of(visit: Visit, asked: Asked<String, Why>) -> Result<Tagged<EditReport>, Failure> {
    edit(&visit, vec![Edit::RemoveDevice { name: asked.path }], asked.query, asked.expect).await
}

/// Whether a device may reach essential names only.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Suspended {
    /// Whether it may.
    suspended: bool,
}

async fn suspend_device(
    visit: Visit,
    asked: Asked<String, Why, Json<Suspended>>,
) -> Result<Tagged<EditReport>, Failure> {
    let Json(Suspended { suspended }) = asked.body;
    edit(&visit, vec![Edit::SuspendDevice { name: asked.path, suspended }], asked.query, asked.expect).await
}

/// Who is in a group.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewGroup {
    /// Addresses, subnets, MAC addresses, or names of devices.
    devices: Vec<String>,
}

async fn put_group(
    visit: Visit,
    asked: Asked<String, Why, Json<NewGroup>>,
) -> Result<Tagged<EditReport>, Failure> {
    let group = GroupFile { id: asked.path, devices: asked.body.0.devices };
    edit(&visit, vec![Edit::PutGroup(group)], asked.query, asked.expect).await
}

async fn remove_group_of(visit: Visit, asked: Asked<String, Why>) -> Result<Tagged<EditReport>, Failure> {
    edit(&visit, vec![Edit::RemoveGroup { group: asked.path }], asked.query, asked.expect).await
}
