//! Which subnet has which profile.

use std::{collections::BTreeMap, net::IpAddr};

use askama::Template;
use axum::{extract::Form, response::Response};
use ipnet::IpNet;

use super::{
    super::super::{failure::Failure, page::Page, visit::Visit},
    Fields, Refusal, Step, Wizard, around, edit, profiles, shown, went_on,
};
use crate::{
    category::Audience,
    clients::read_subnet as net,
    control::Edit,
    policy::{PolicyFile, is_private},
};

#[derive(Template)]
#[template(path = "set_up_networks.html")]
struct NetworksPage {
    p: Page,
    w: Wizard,
    /// Identifiers and titles.
    profiles: Vec<(String, String)>,
    /// One line for each subnet.
    typed: String,
    /// The box's own networks that have no profile yet.
    offered: Vec<Offered>,
    /// What somebody should look at before it is saved.
    warnings: Vec<String>,
    example: (String, String),
}

/// A network that the box is in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Offered {
    net: IpNet,
    address: IpAddr,
    /// The profile that was chosen; empty for none.
    profile: String,
}

/// Whether a subnet is the box's own loopback, which is nobody's network.
pub(super) fn is_of_the_box(text: &str) -> bool {
    text.trim().parse::<IpNet>().is_ok_and(|net| net.addr().is_loopback())
}

pub(super) async fn show(visit: Visit) -> Result<Response, Failure> {
    let policy = visit.admin.control.policy().load_full();
    let fields = Fields(vec![(String::from("networks"), written(policy.file()))]);
    page(&visit, None, &fields, Vec::new())
}

/// The subnets of a policy, as the form has them.
fn written(file: &PolicyFile) -> String {
    let mut text = String::new();
    for profile in &file.profiles {
        for net in profile.subnets.iter().filter(|net| !is_of_the_box(net)) {
            text.push_str(&format!("{}, {}\n", net.trim(), profile.title()));
        }
    }
    text
}

fn page(
    visit: &Visit,
    wrong: Option<&Refusal>,
    fields: &Fields,
    warnings: Vec<String>,
) -> Result<Response, Failure> {
    let (p, w) = around(visit, Step::Networks, wrong, fields);
    let profiles = profiles(visit);
    let typed = fields.get("networks").to_owned();
    let known: Vec<IpNet> = typed.lines().filter_map(|line| cells(line).into_iter().find_map(net)).collect();
    let mut offered = own_networks();
    offered.retain(|own| !known.contains(&own.net));
    for own in &mut offered {
        own.profile = fields.get(&format!("net-{}", own.net)).to_owned();
    }
    let title = |place: usize| profiles.get(place).map_or_else(String::new, |(_, title)| title.clone());
    let example = (title(0), title(1));
    shown(wrong, &NetworksPage { p, w, profiles, typed, offered, warnings, example })
}

/// The networks that the box is in, as far as devices of a school can be there.
fn own_networks() -> Vec<Offered> {
    let mut found: Vec<Offered> = Vec::new();
    for interface in if_addrs::get_if_addrs().unwrap_or_default() {
        let address = interface.ip();
        let prefix = match &interface.addr {
            if_addrs::IfAddr::V4(four) => four.prefixlen,
            if_addrs::IfAddr::V6(six) => six.prefixlen,
        };
        let of_link = matches!(address, IpAddr::V6(six) if six.is_unicast_link_local());
        let Ok(net) = IpNet::new(address, prefix) else { continue };
        let net = net.trunc();
        let is_single = net.prefix_len() == net.max_prefix_len();
        if interface.is_loopback() || of_link || is_single || found.iter().any(|other| other.net == net) {
            continue;
        }
        found.push(Offered { net, address, profile: String::new() });
    }
    found
}

pub(super) async fn put(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    if fields.is_on("skip") {
        return went_on(&visit, Step::Networks);
    }
    let policy = visit.admin.control.policy().load_full();
    let file = policy.file();
    let mut typed = match read(fields.get("networks"), file) {
        Ok(typed) => typed,
        Err(wrong) => return page(&visit, Some(&Refusal::new(wrong)), &fields, Vec::new()),
    };
    for (key, value) in &fields.0 {
        let chosen = key.strip_prefix("net-").and_then(net);
        let place = file.profiles.iter().position(|profile| profile.id == value.trim());
        if let (Some(net), Some(place)) = (chosen, place) {
            typed.entry(net).or_insert(place);
        }
    }
    let warnings = warnings(&typed, file);
    if !warnings.is_empty() && !fields.is_on("sure") {
        return page(&visit, None, &fields, warnings);
    }
    match edit(&visit, &fields, edits(&typed, file)).await? {
        Ok(()) => went_on(&visit, Step::Networks),
        Err(wrong) => page(&visit, Some(&wrong), &fields, Vec::new()),
    }
}

/// The changes from the subnets of a policy to these.
fn edits(typed: &BTreeMap<IpNet, usize>, file: &PolicyFile) -> Vec<Edit> {
    let mut edits = Vec::new();
    for (place, profile) in file.profiles.iter().enumerate() {
        let kept = profile.subnets.iter().filter(|net| is_of_the_box(net)).cloned();
        let new = typed.iter().filter(|(_, other)| **other == place).map(|(net, _)| net.to_string());
        let mut subnets: Vec<String> = kept.chain(new).collect();
        // The order that was there stays, so that nothing changes where nothing was changed.
        subnets.sort_by_key(|net| profile.subnets.iter().position(|old| old == net).unwrap_or(usize::MAX));
        if subnets != profile.subnets {
            edits.push(Edit::SetSubnets { profile: profile.id.clone(), subnets });
        }
    }
    edits
}

/// Reads lines of a subnet and a profile, in either order, as people type them and spreadsheets write them.
fn read(text: &str, file: &PolicyFile) -> Result<BTreeMap<IpNet, usize>, String> {
    let mut all: BTreeMap<IpNet, usize> = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let cells = cells(line);
        if cells.is_empty() {
            continue;
        }
        let Some(place) = cells.iter().position(|cell| net(cell).is_some()) else {
            // The first line of a spreadsheet says what its columns are.
            if number == 1 && !cells.iter().any(|cell| cell.contains(|c: char| c.is_ascii_digit())) {
                continue;
            }
            return Err(format!(
                "line {number}: “{}” has no subnet: write one as 10.20.2.0/24, then a comma and the profile",
                cut(line)
            ));
        };
        // `find` above says that it is one.
        let Some(net) = net(cells[place]) else { continue };
        let profile = cells.iter().enumerate().find(|(other, _)| *other != place).map(|(_, cell)| *cell);
        let Some(profile) = profile else {
            return Err(format!("line {number}: {net} has no profile: write one of {}", titles(file)));
        };
        let is_meant = |title: &str| title.eq_ignore_ascii_case(profile);
        let known = file.profiles.iter().position(|known| is_meant(&known.id) || is_meant(known.title()));
        let Some(known) = known else {
            return Err(format!(
                "line {number}: there is no profile “{}”: write one of {}",
                cut(profile),
                titles(file)
            ));
        };
        if let Some(other) = all.insert(net, known)
            && other != known
        {
            return Err(format!(
                "line {number}: {net} has two profiles, {} and {}: take one out",
                file.profiles[other].title(),
                file.profiles[known].title()
            ));
        }
    }
    Ok(all)
}

fn titles(file: &PolicyFile) -> String {
    file.profiles.iter().map(|profile| profile.title()).collect::<Vec<_>>().join("; ")
}

fn cut(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(60).collect()
}

/// The cells of a line, without quotes; none for a comment. A title may have a comma in it when it is quoted.
fn cells(line: &str) -> Vec<&str> {
    let line = line.trim();
    if line.starts_with('#') {
        return Vec::new();
    }
    let mut cells = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        rest = rest.trim_start();
        let (cell, after) = match rest.strip_prefix('"').and_then(|inside| inside.split_once('"')) {
            Some((cell, after)) => (cell, after.trim_start().trim_start_matches([',', ';', '\t'])),
            None => rest.split_once([',', ';', '\t']).unwrap_or((rest, "")),
        };
        cells.push(cell.trim());
        rest = after;
    }
    // A title with a comma that was typed without quotes.
    if cells.len() > 2
        && let Some(first) = cells.first().copied()
        && net(first).is_some()
    {
        let start = line.find([',', ';', '\t']).map_or(line.len(), |at| at + 1);
        let title = line[start..].trim().trim_end_matches([',', ';', '\t']).trim();
        return vec![first, title.trim_matches('"')];
    }
    cells.retain(|cell| !cell.is_empty());
    cells
}

/// What somebody should look at: networks within others, devices of their owners within a network of the school's,
/// addresses that are no school's, and people without a network.
fn warnings(typed: &BTreeMap<IpNet, usize>, file: &PolicyFile) -> Vec<String> {
    let mut said = Vec::new();
    let title = |place: usize| file.profiles[place].title();
    let is_own_device = |place: usize| {
        let profile = &file.profiles[place];
        profile.audience == Audience::Guest || profile.id.ends_with("-byod")
    };
    for (inner, within) in typed {
        let around = typed.iter().filter(|(outer, _)| *outer != inner && outer.contains(inner));
        // The closest decides, so it is the one that this is an exception from.
        let Some((outer, of)) = around.max_by_key(|(outer, _)| outer.prefix_len()) else { continue };
        if within == of {
            continue;
        }
        if is_own_device(*within) && !is_own_device(*of) {
            said.push(format!(
                "{inner} ({}) lies within {outer} ({}): people's own devices share a network with the school's. Give \
                 them a network of their own, or a phone with another address gets the school's profile.",
                title(*within),
                title(*of)
            ));
        } else {
            said.push(format!(
                "{inner} ({}) lies within {outer} ({}). Devices in the smaller one get {}.",
                title(*within),
                title(*of),
                title(*within)
            ));
        }
    }
    for net in typed.keys().filter(|net| !is_private(net.addr())) {
        said.push(format!(
            "{net} has public addresses, which others on the internet have too. Is that the school's own?"
        ));
    }
    let has = |audience: Audience| typed.values().any(|place| file.profiles[*place].audience == audience);
    if !typed.is_empty() && !has(Audience::Staff) {
        said.push(String::from(
            "Staff have no network yet, so their devices get the profile of devices that nobody knows, the strictest.",
        ));
    }
    if !typed.is_empty() && !has(Audience::Pupil) {
        said.push(String::from(
            "Pupils have no network yet. Every school needs at least one for pupils and one for staff.",
        ));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> PolicyFile {
        PolicyFile::shipped()
    }

    fn place(id: &str) -> usize {
        file().profiles.iter().position(|profile| profile.id == id).unwrap()
    }

    fn one(text: &str) -> BTreeMap<IpNet, usize> {
        read(text, &file()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn networks_are_read_as_people_and_spreadsheets_write_them() {
        let wanted = BTreeMap::from([("10.20.2.0/24".parse().unwrap(), place("ks2"))]);
        for text in [
            "10.20.2.0/24, ks2",
            "10.20.2.0/24;Key Stage 2",
            "10.20.2.7/24\tkey stage 2",
            "\"10.20.2.0/24\",\"Key Stage 2\"\r\n",
            "ks2, 10.20.2.0/24",
            "subnet,profile\n10.20.2.0/255.255.255.0,ks2",
            "# networks\n\n10.20.2.0/24, ks2\n10.20.2.0/24, ks2",
            "10.20.2.0/24, ks2,,",
        ] {
            assert_eq!(one(text), wanted, "{text}");
        }
        let with_comma = BTreeMap::from([("10.20.9.0/24".parse().unwrap(), place("staff-byod"))]);
        for text in ["10.20.9.0/24, Staff, own devices", "10.20.9.0/24,\"Staff, own devices\""] {
            assert_eq!(one(text), with_comma, "{text}");
        }
        assert!(one("").is_empty() && one("fd00:20::/64, staff").len() == 1);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        for (text, words) in [
            ("10.20.2.0/24, ks2\n10.20.3.0", &["line 2", "10.20.3.0", "10.20.2.0/24"][..]),
            ("10.20.2.0/24", &["line 1", "no profile", "Key Stage 2"]),
            ("10.20.2.0/24, year 4", &["line 1", "year 4", "Key Stage 2"]),
            ("10.20.2.0/24, ks2\n10.20.2.0/24, staff", &["line 2", "two profiles"]),
            ("10.20.2.0/33, ks2", &["line 1", "10.20.2.0/33"]),
        ] {
            let error = read(text, &file()).unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn networks_within_others_and_own_devices_among_the_schools_are_warned_of() {
        let warned = |text: &str| warnings(&one(text), &file()).join("\n");
        assert_eq!(warned(""), "");
        assert_eq!(warned("10.20.2.0/24, ks2\n10.20.3.0/24, staff"), "");
        let overlap = warned("10.20.0.0/16, staff\n10.20.2.0/24, ks2");
        assert!(overlap.contains("10.20.2.0/24 (Key Stage 2) lies within 10.20.0.0/16 (Staff)"), "{overlap}");
        let byod = warned("10.20.0.0/16, ks2\n10.30.0.0/16, staff\n10.20.9.0/24, pupil-byod");
        assert!(byod.contains("own devices share a network"), "{byod}");
        assert!(warned("8.8.8.0/24, ks2\n10.0.0.0/8, staff").contains("public addresses"));
        assert!(warned("10.20.2.0/24, ks2").contains("Staff have no network"));
        assert!(warned("10.20.2.0/24, staff").contains("Pupils have no network"));
    }

    #[test]
    fn what_is_written_is_read_as_it_was_and_changes_nothing() {
        let mut file = file();
        file.profiles[place("ks2")]
            .subnets
            .extend([String::from("10.20.9.0/24"), String::from("10.20.2.0/24")]);
        file.profiles[place("staff-byod")].subnets.push(String::from("10.30.0.0/16"));
        let read = read(&written(&file), &file).unwrap();
        assert_eq!(read.len(), 3);
        assert!(edits(&read, &file).is_empty());
        let moved = edits(&BTreeMap::from([("10.20.2.0/24".parse().unwrap(), place("staff"))]), &file);
        assert_eq!(moved.len(), 3, "{moved:?}");
        assert!(moved.iter().any(|edit| matches!(edit, Edit::SetSubnets { profile, subnets }
            if profile == "ks2" && *subnets == ["127.0.0.0/8", "::1/128"])));
    }
}
