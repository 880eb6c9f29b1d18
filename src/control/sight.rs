//! How much of who asked somebody may see in the query log.

use std::collections::HashMap;

use jiff::tz::TimeZone;

use super::{Control, ControlError, GLANCE, LogReport, LogTail, log::blocking};
use crate::{
    clock::Day,
    querylog::{
        Entry, LogError, LogFolder,
        privacy::{self, DayKey},
        search::Asked,
    },
};

/// What stands in the place of a device where no key can be had: the same for all.
const NO_KEY: &str = "device-no-key";

/// How much of who asked somebody may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Addresses, and the names of devices.
    Devices,
    /// A pseudonym for each device, which is another one every day. It is the one that [`Control::log_reveal`] reverses.
    Pseudonyms,
}

impl Control {
    /// [Searches the log](Self::log_search) for somebody who sees so much of it. Who sees pseudonyms can't search for a
    /// device: an answer would say whose it is.
    ///
    /// # Errors
    ///
    /// As [`log_search`](Self::log_search); also when somebody searches for a device who must not see any.
    pub async fn log_search_for(&self, asked: Asked, sight: Sight) -> Result<LogReport, ControlError> {
        may_ask(&asked, sight)?;
        let report = self.log_search(asked, Some(GLANCE)).await?;
        self.veil(report, sight).await
    }

    /// The same, but [says soon what it has](Self::log_search_briefly).
    ///
    /// # Errors
    ///
    /// As [`log_search_for`](Self::log_search_for).
    pub async fn log_page_for(&self, asked: Asked, sight: Sight) -> Result<LogReport, ControlError> {
        may_ask(&asked, sight)?;
        let report = self.log_search_briefly(asked).await?;
        self.veil(report, sight).await
    }

    /// [Follows the log](Self::log_tail) for somebody who sees so much of it.
    ///
    /// # Errors
    ///
    /// As [`log_tail`](Self::log_tail); also when somebody asks for a device who must not see any.
    pub async fn log_tail_for(&self, asked: Asked, sight: Sight) -> Result<LogTail, ControlError> {
        may_ask(&asked, sight)?;
        self.log_tail(asked).await
    }

    /// [What is new](Self::log_news), for somebody who sees so much of it.
    ///
    /// # Errors
    ///
    /// As [`log_news`](Self::log_news).
    pub async fn log_news_for(
        &self,
        following: LogTail,
        sight: Sight,
    ) -> Result<(LogTail, LogReport), ControlError> {
        let (following, report) = self.log_news(following).await?;
        Ok((following, self.veil(report, sight).await?))
    }

    async fn veil(&self, mut report: LogReport, sight: Sight) -> Result<LogReport, ControlError> {
        if sight == Sight::Devices {
            return Ok(report);
        }
        let mut veil = Veil { folder: self.log_folder(), keys: HashMap::new() };
        blocking(move || {
            report.page.entries.iter_mut().for_each(|entry| veil.put_on(entry));
            Ok(report)
        })
        .await
    }
}

/// That somebody asks for no device who must not see any.
fn may_ask(asked: &Asked, sight: Sight) -> Result<(), ControlError> {
    if sight == Sight::Pseudonyms && asked.client.is_some() {
        let what = String::from("devices are shown under pseudonyms here, so they can't be searched for");
        return Err(LogError::Input { argument: "--client", what }.into());
    }
    Ok(())
}

/// Puts pseudonyms in the place of devices. For threads that may block.
struct Veil {
    folder: LogFolder,
    /// Those that were asked for; none where there is none.
    keys: HashMap<Day, Option<DayKey>>,
}

impl Veil {
    /// Puts a pseudonym in the place of a device; one that was logged under a pseudonym keeps it.
    fn put_on(&mut self, entry: &mut Entry) {
        if !privacy::is_pseudonym(&entry.client) {
            let key = self.key(entry.place.day);
            let shown = key.map(|key| key.of_device(&entry.client, &entry.mac));
            entry.client = shown.unwrap_or_else(|| NO_KEY.to_owned());
        }
        entry.device.clear();
        entry.mac.clear();
        entry.lease = None;
        // A name of the reverse zones is an address, and often that of a device of the school.
        if entry.name.ends_with(".in-addr.arpa") || entry.name.ends_with(".ip6.arpa") {
            entry.name = entry.name.split_off(entry.name.len() - reverse_zone(&entry.name));
        }
    }

    fn key(&mut self, day: Day) -> Option<&DayKey> {
        let folder = &self.folder;
        let key = self.keys.entry(day).or_insert_with(|| {
            DayKey::for_showing(folder, day).unwrap_or_else(|error| {
                tracing::warn!(%error, "Devices of a day can't be told apart by who sees pseudonyms");
                None
            })
        });
        key.as_ref()
    }
}

/// How long the end of a reverse name is that says nothing of an address.
fn reverse_zone(name: &str) -> usize {
    if name.ends_with(".in-addr.arpa") { "in-addr.arpa".len() } else { "ip6.arpa".len() }
}

impl LogReport {
    /// The school's time zone, for showing times.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        jiff::tz::TimeZoneDatabase::bundled().get(&self.timezone).unwrap_or(TimeZone::UTC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::querylog::{Action, Place};

    /// What veils the entries of two days, and holds the data folder.
    fn veil() -> (tempfile::TempDir, Veil) {
        let data = tempfile::tempdir().unwrap();
        let folder = LogFolder::in_data(data.path());
        for day in [20_779, 20_780] {
            DayKey::load_or_make(&folder, Day::from_number(day)).unwrap();
        }
        (data, Veil { folder, keys: HashMap::new() })
    }

    fn entry(day: u16, client: &str, mac: &str) -> Entry {
        let place = Place { day: Day::from_number(day), at: 5 };
        Entry {
            place,
            time: place.time(),
            client: client.into(),
            device: "Head's laptop".into(),
            mac: mac.into(),
            profile: "ks2".into(),
            known_by: "mac".into(),
            confidence: "high".into(),
            lease: Some((place.time(), place.time())),
            name: "www.bbc.co.uk".into(),
            qtype: "A".into(),
            rcode: "NOERROR".into(),
            action: Action::Allowed,
            reason: "default".into(),
            category: String::new(),
            list: String::new(),
            rule: String::new(),
            detail: String::new(),
            would: String::new(),
            categories: String::new(),
            dnssec: String::new(),
            source: "cache".into(),
            transport: "udp".into(),
            alert: false,
            took_us: 40,
        }
    }

    fn veiled(mut entry: Entry, veil: &mut Veil) -> Entry {
        veil.put_on(&mut entry);
        entry
    }

    #[test]
    fn a_device_has_one_pseudonym_all_day_and_another_the_next() {
        let (_data, mut veil) = veil();
        let first = veiled(entry(20_779, "10.20.2.31", ""), &mut veil);
        assert!(privacy::is_pseudonym(&first.client), "{}", first.client);
        assert_eq!((first.device.as_str(), first.mac.as_str(), first.lease), ("", "", None));
        assert_eq!(first.client, veiled(entry(20_779, "10.20.2.31", ""), &mut veil).client);
        assert_ne!(first.client, veiled(entry(20_780, "10.20.2.31", ""), &mut veil).client);
        assert_ne!(first.client, veiled(entry(20_779, "10.20.2.32", ""), &mut veil).client);
        // A device that changes its address within a day is the same device.
        let mac = "02:00:5e:00:53:01";
        let (one, two) = (entry(20_779, "10.20.2.31", mac), entry(20_779, "10.20.2.99", mac));
        assert_eq!(veiled(one, &mut veil).client, veiled(two, &mut veil).client);
    }

    #[test]
    fn nothing_of_a_line_says_which_device_it_was() {
        let (_data, mut veil) = veil();
        let mut reverse = entry(20_779, "10.20.2.31", "02:00:5e:00:53:01");
        reverse.name = "31.2.20.10.in-addr.arpa".into();
        let text = serde_json::to_string(&veiled(reverse, &mut veil)).unwrap();
        for secret in ["10.20.2.31", "02:00", "laptop", "31.2.20"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert!(text.contains("in-addr.arpa"));
    }

    #[test]
    fn what_was_logged_under_a_pseudonym_keeps_it_and_without_a_key_nothing_is_told() {
        let (_data, mut veil) = veil();
        let logged = veiled(entry(20_779, "device-0123456789ab", ""), &mut veil);
        assert_eq!(logged.client, "device-0123456789ab");
        for address in ["10.20.2.31", "10.20.2.32"] {
            assert_eq!(veiled(entry(20_781, address, ""), &mut veil).client, NO_KEY);
        }
        assert!(DayKey::load(&veil.folder, Day::from_number(20_781)).unwrap().is_none(), "no day, no key");
    }

    #[test]
    fn who_sees_pseudonyms_searches_for_no_device() {
        let asked = Asked { client: Some("10.20.2.31".into()), ..Asked::default() };
        assert!(may_ask(&asked, Sight::Devices).is_ok());
        let error = may_ask(&asked, Sight::Pseudonyms).unwrap_err();
        assert!(error.is_bad_input() && error.to_string().starts_with("--client: "), "{error}");
        assert!(may_ask(&Asked::default(), Sight::Pseudonyms).is_ok());
    }
}
