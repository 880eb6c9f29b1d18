//! What the helpers found out and wrote down.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Machine, Network, Share,
    ask::{LARGEST, shown},
};

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Look {
    /// Well.
    Ok,
    /// Somebody should look at it.
    Warn,
    /// It does not work.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Observed {
    /// What: `disk`, `room`, `system`, `network`, `memory`, `heat`, `power`, `clock`, `services`.
    pub what: String,
    /// How it is.
    pub state: Look,
    /// The same in a sentence.
    pub text: String,
}

/// What became of the last update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Last {
    /// `installed`, `good`, `refused`, `failed`.
    pub result: String,
    /// Which version.
    pub version: String,
    /// When.
    pub when: String,
    /// Why, where it was not installed.
    pub why: String,
}

/// How updates stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Updates {
    /// The version that the channel has, when it was asked since the start.
    pub offered: Option<String>,
    /// What is said of that version.
    pub notes: String,
    /// Whether it mends a hole that is being used.
    pub urgent: bool,
    /// The version that is installed and waits for the window.
    pub installed: Option<String>,
    /// The version that has to prove itself since it was started.
    pub on_trial: Option<String>,
    /// The version that did not prove good, and is not tried again by itself.
    pub failed: Option<String>,
    /// What became of the last one.
    pub last: Option<Last>,
    /// One is being written just now.
    pub under_way: bool,
    /// When one that waits is started, by the school's clock.
    pub window: String,
    /// What the last self-test found, a line each.
    pub self_test: Vec<String>,
}

/// Where a USB stick is mounted.
pub const STICK: &str = "/media/stick";
/// Where a shared folder is mounted.
pub const SHARE: &str = "/mnt/share";

/// How a place for backups is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "MachinePlace")]
pub struct Place {
    /// Whether backups can go there.
    pub ready: bool,
    /// The same in a sentence.
    pub text: String,
}

/// The window where the school set none.
const WINDOW: &str = "02:00-04:30";

impl Machine {
    /// How the machine is; none where nobody looked yet, or it can't be understood.
    #[must_use]
    pub fn health(&self) -> Option<Vec<Observed>> {
        observed(&text(&self.run.join("health.json"))?)
    }

    /// The version that has to prove itself since it was started.
    #[must_use]
    pub fn on_trial(&self) -> Option<String> {
        let pending = text(&self.system.join("update/pending"))?;
        Some(value(&pending, "version")).filter(|version| !version.is_empty())
    }

    /// How updates stand.
    #[must_use]
    pub fn updates(&self) -> Updates {
        let kept = |name: &str| text(&self.system.join("update").join(name)).unwrap_or_default();
        let available = text(&self.run.join("update-available")).unwrap_or_default();
        let version = |text: &str| Some(value(text, "version")).filter(|version| !version.is_empty());
        let last = kept("last");
        let window = kept("window").lines().next().unwrap_or_default().trim().to_owned();
        let self_test = text(&self.run.join("selftest")).unwrap_or_default();
        Updates {
            offered: version(&available),
            notes: value(&available, "notes"),
            urgent: value(&available, "urgent") == "yes",
            installed: version(&kept("installed")),
            on_trial: self.on_trial(),
            failed: version(&kept("failed")),
            last: Some(Last {
                result: value(&last, "result"),
                version: value(&last, "version"),
                when: value(&last, "when"),
                why: value(&last, "why"),
            })
            .filter(|last| !last.result.is_empty()),
            under_way: self.run.join("update-progress").exists(),
            window: if is_window(&window) { window } else { WINDOW.to_owned() },
            self_test: self_test.lines().take(50).map(shown).collect(),
        }
    }

    /// The settings of the network that the school made; those of a new box are DHCP. None where what is there can't be
    /// understood, which the box takes for DHCP.
    #[must_use]
    pub fn network(&self) -> Option<Network> {
        match text(&self.system.join("network.toml")) {
            Some(text) => Network::parse(&text),
            None => Some(Network::default()),
        }
    }

    /// The USB stick that is in; none where none is. The stick itself, which may be slow or broken, is not looked at.
    #[must_use]
    pub fn stick(&self) -> Option<Place> {
        place(&text(&self.run.join("stick"))?, "in")
    }

    /// The shared folder that the school set; none where there is none.
    #[must_use]
    pub fn share(&self) -> Option<Share> {
        Share::parse(&text(&self.system.join("share/settings"))?)
    }

    /// Whether the shared folder answered lately; none where nobody looked yet.
    #[must_use]
    pub fn share_place(&self) -> Option<Place> {
        place(&text(&self.run.join("share"))?, "ok")
    }
}

/// Whether a window is written as the box understands it.
#[must_use]
pub fn is_window(text: &str) -> bool {
    let is_time = |text: &str| {
        let Some((hour, minute)) = text.split_once(':') else { return false };
        let number = |text: &str, end: u8| {
            text.len() == 2
                && text.bytes().all(|byte| byte.is_ascii_digit())
                && text.parse::<u8>().is_ok_and(|number| number < end)
        };
        number(hour, 24) && number(minute, 60)
    };
    text.split_once('-').is_some_and(|(from, to)| is_time(from) && is_time(to))
}

fn text(path: &Path) -> Option<String> {
    let bytes = crate::disk::read(path, LARGEST).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn place(text: &str, ready: &str) -> Option<Place> {
    let state = value(text, "state");
    Some(Place { ready: state == ready, text: value(text, "text") }).filter(|_| !state.is_empty())
}

/// A value of lines of `KEY=VALUE`.
fn value(text: &str, key: &str) -> String {
    let found = text.lines().find_map(|line| line.split_once('=').filter(|(known, _)| known.trim() == key));
    found.map(|(_, value)| shown(value)).unwrap_or_default()
}

fn observed(text: &str) -> Option<Vec<Observed>> {
    let mut all: Vec<Observed> = serde_json::from_str(text).ok()?;
    all.truncate(100);
    for one in &mut all {
        one.text = shown(&one.text);
        one.what = shown(&one.what);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_the_helpers_wrote_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (run, system) = (folder.path().join("run"), folder.path().join("system"));
        fs::create_dir_all(run.join("requests")).unwrap();
        fs::create_dir_all(system.join("update")).unwrap();
        let health = "[\n{\"what\": \"disk\", \"state\": \"bad\", \"text\": \"It is \\\"worn\\\".\"},\n{\"what\": \"room\", \"state\": \"ok\", \"text\": \"\"}\n]\n";
        fs::write(run.join("health.json"), health).unwrap();
        fs::write(
            run.join("update-available"),
            "version=1.2.0\nbundle=https://x\nnotes=Fixes.\nurgent=yes\n",
        )
        .unwrap();
        fs::write(
            system.join("update/last"),
            "result=refused\nversion=1.1.0\nrunning=1.0.0\nwhen=2026-11-27T02:00:00Z\nwhy=a=b\n",
        )
        .unwrap();
        let machine = Machine::at(&run, &system);
        let found = machine.health().unwrap();
        assert!(found.len() == 2 && found[0].state == Look::Bad && found[0].text == "It is \"worn\".");
        let updates = machine.updates();
        assert_eq!(updates.offered.as_deref(), Some("1.2.0"));
        assert!(updates.urgent);
        assert_eq!(updates.last.unwrap().why, "a=b");
        assert_eq!((updates.window.as_str(), updates.installed), (WINDOW, None));
        assert_eq!(machine.network(), Some(Network::default()));
    }

    #[test]
    fn places_for_backups_are_there_or_not_or_of_no_use() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::at(folder.path(), folder.path());
        assert_eq!((machine.stick(), machine.share_place(), machine.share()), (None, None, None));
        fs::write(folder.path().join("stick"), "state=in\ndevice=sdb1\ntext=The stick is in.\n").unwrap();
        assert_eq!(machine.stick(), Some(Place { ready: true, text: String::from("The stick is in.") }));
        fs::write(folder.path().join("stick"), "state=refused\ndevice=sdb1\ntext=No\x1b.\n").unwrap();
        assert_eq!(machine.stick(), Some(Place { ready: false, text: String::from("No.") }));
        fs::write(folder.path().join("stick"), "rubbish").unwrap();
        assert_eq!(machine.stick(), None);
    }

    #[test]
    fn a_window_is_two_times_of_the_day() {
        assert!(is_window("02:00-04:30") && is_window("23:00-01:00"));
        for wrong in ["", "2:00-4:30", "24:00-01:00", "02:60-03:00", "02:00", "02:00-04:30\n", "+2:00-04:30"]
        {
            assert!(!is_window(wrong), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nothing_in_the_files_panics(text in any::<String>()) {
            let _ = observed(&text);
            let _ = value(&text, "version");
            let _ = is_window(&text);
        }
    }
}
