//! The last step: what to type into the school's DHCP server, and whether questions arrive.

use std::net::IpAddr;

use askama::Template;
use axum::response::Response;

use super::{
    super::super::{
        failure::Failure,
        page::{Page, html},
        visit::Visit,
    },
    Fields, Step, Wizard, around, moment, went_on,
};
use crate::{control::GLANCE, querylog::search::Asked};

/// What gives devices their addresses, with the number of steps that each takes.
const GUIDES: &[(&str, usize)] =
    &[("windows", 5), ("unifi", 4), ("mikrotik", 3), ("draytek", 4), ("pfsense", 4), ("isp", 4)];

#[derive(Template)]
#[template(path = "set_up_finish.html")]
struct FinishPage {
    p: Page,
    w: Wizard,
    /// The address that devices are to ask; empty where there is none that they could.
    address: String,
    /// The box's other addresses.
    others: Vec<String>,
    /// What keeps devices from asking it; empty where nothing does.
    obstacle: String,
    guides: Vec<Guide>,
    first: First,
}

#[derive(Template)]
#[template(path = "set_up_finish.html", block = "live")]
struct LivePart {
    p: Page,
    first: First,
}

struct Guide {
    title: String,
    steps: Vec<String>,
    /// What can be copied, where a command does it.
    command: String,
}

/// The last question that arrived from the network.
#[derive(Default)]
struct First {
    /// From where; empty where none arrived.
    client: String,
    when: String,
    profile: String,
    /// Its profile is the one of devices that nobody knows.
    is_unknown: bool,
}

pub(super) async fn show(visit: Visit) -> Result<Response, Failure> {
    let first = first(&visit).await?;
    let (p, w) = around(&visit, Step::Finish, None, &Fields::default());
    if visit.part {
        return html(&LivePart { p, first });
    }
    let (address, others) = addresses(visit.peer.local.ip(), &box_addresses());
    let obstacle = obstacle(&visit);
    let shown = if address.is_empty() { visit.words.get("set-up-finish-this-box") } else { address.clone() };
    let guides = GUIDES.iter().map(|&(id, steps)| Guide {
        title: visit.words.get(&format!("set-up-guide-{id}")),
        steps: (1..=steps)
            .map(|step| {
                visit.words.with(&format!("set-up-guide-{id}-{step}"), [("address", shown.as_str().into())])
            })
            .collect(),
        command: match id {
            "windows" => format!("Set-DhcpServerv4OptionValue -ScopeId 10.20.2.0 -DnsServer {shown}"),
            "mikrotik" => format!("/ip dhcp-server network set [find] dns-server={shown}"),
            _ => String::new(),
        },
    });
    let guides = guides.collect();
    html(&FinishPage { p, w, address, others, obstacle, guides, first })
}

pub(super) async fn done(visit: Visit) -> Result<Response, Failure> {
    went_on(&visit, Step::Finish)
}

fn box_addresses() -> Vec<IpAddr> {
    if_addrs::get_if_addrs().unwrap_or_default().iter().map(if_addrs::Interface::ip).collect()
}

/// The address that the browser reached, where devices can reach it too, and the others that the box has. IPv4 comes
/// first, since that is what DHCP gives.
fn addresses(reached: IpAddr, all: &[IpAddr]) -> (String, Vec<String>) {
    let is_good = |address: &IpAddr| {
        !address.is_loopback()
            && !address.is_unspecified()
            && !matches!(address, IpAddr::V6(six) if six.is_unicast_link_local())
    };
    let mut found: Vec<IpAddr> = all.iter().copied().filter(is_good).collect();
    found.sort_by_key(|address| (address.is_ipv6(), *address));
    found.dedup();
    let reached = reached.to_canonical();
    if is_good(&reached) && reached.is_ipv4() {
        found.retain(|address| *address != reached);
        found.insert(0, reached);
    } else if is_good(&reached) && !found.contains(&reached) {
        found.push(reached);
    }
    let mut texts = found.into_iter().map(|address| address.to_string());
    (texts.next().unwrap_or_default(), texts.collect())
}

/// What keeps devices from asking the box.
fn obstacle(visit: &Visit) -> String {
    let dns = &visit.admin.dns;
    if dns.iter().all(|address| address.ip().is_loopback()) {
        visit.words.get("set-up-finish-loopback")
    } else if dns.iter().all(|address| address.port() != 53) {
        let port = dns.first().map_or(0, |address| address.port());
        visit.words.with("set-up-finish-port", [("port", port.to_string().into())])
    } else {
        String::new()
    }
}

/// The newest question from any address but the box's own.
async fn first(visit: &Visit) -> Result<First, Failure> {
    let asked = Asked { limit: Some(50), ..Asked::default() };
    let report = match visit.admin.control.log_search(asked, Some(GLANCE)).await {
        Ok(report) => report,
        // A log that can't be read is told elsewhere, and keeps nobody from going on.
        Err(error) => {
            tracing::warn!(%error, "The query log can't be read");
            return Ok(First::default());
        }
    };
    let own = box_addresses();
    let is_own = |client: &str| {
        client.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || own.contains(&address))
    };
    let Some(entry) = report.page.entries.into_iter().find(|entry| !is_own(&entry.client)) else {
        return Ok(First::default());
    };
    let policy = visit.admin.control.policy().load_full();
    let title = policy.file().profiles.iter().find(|profile| profile.id == entry.profile);
    Ok(First {
        // Elsewhere it stands under a pseudonym.
        client: match entry.client.parse::<IpAddr>() {
            Ok(address) => address.to_string(),
            Err(_) => visit.words.get("set-up-finish-some-device"),
        },
        when: moment(visit, entry.time),
        profile: title.map_or_else(String::new, |profile| profile.title().to_owned()),
        is_unknown: entry.known_by == "fallback",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_the_browser_reached_comes_first_if_devices_can_reach_it() {
        let all =
            ["127.0.0.1", "fe80::1", "fd00::53", "10.20.0.53", "192.168.1.5"].map(|a| a.parse().unwrap());
        let of = |reached: &str| {
            let (first, others) = addresses(reached.parse().unwrap(), &all);
            [vec![first], others].concat().join(" ")
        };
        assert_eq!(of("192.168.1.5"), "192.168.1.5 10.20.0.53 fd00::53");
        assert_eq!(of("::ffff:192.168.1.5"), "192.168.1.5 10.20.0.53 fd00::53");
        assert_eq!(of("127.0.0.1"), "10.20.0.53 192.168.1.5 fd00::53");
        assert_eq!(of("fd00::53"), "10.20.0.53 192.168.1.5 fd00::53");
        assert_eq!(addresses("127.0.0.1".parse().unwrap(), &[]), (String::new(), Vec::new()));
    }
}
