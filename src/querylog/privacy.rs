//! Pseudonyms: names for devices that mean something for one day, and only to who has the key of that day.
//!
//! A profile that logs under pseudonyms has `device-3fa9c0ffee12` in the place of an address: a keyed hash, so that all
//! questions of one device on one day can be seen together, and nobody without the key can try out addresses until one
//! fits. Beside it stands who it was, encrypted with the same key. The key is made for each UTC day, lies apart from
//! the file of the day, and is destroyed with it or before: then nobody can say any more who it was, not even who has
//! the box.
//!
//! Who may search the log but see no device is shown all devices so, also those that were logged in full: by the same
//! key, so that whoever may reverse a pseudonym can say which device somebody else saw.

use std::{
    fmt, fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, chown},
    path::{Path, PathBuf},
};

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce},
    hkdf, hmac,
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Serialize};

use super::{
    day::{self, rows::AskerRow},
    error::LogError,
    folder::LogFolder,
};
use crate::{
    clock::Day,
    vault::key::{self, KeyError},
};

/// What every pseudonym begins with.
pub const PREFIX: &str = "device-";

/// How many bytes of the hash are shown: enough that no two of a million devices look alike.
const SHOWN: usize = 6;

/// The key behind the pseudonyms of one day.
pub struct DayKey {
    day: Day,
    names: hmac::Key,
    seal: LessSafeKey,
}

/// Who stands behind a pseudonym.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SealedIdentity {
    /// The address that asked.
    pub address: String,
    /// The name that the school gave the device; empty where it has none.
    pub device: String,
    /// The device's link-layer address; empty where it was not known.
    pub mac: String,
}

impl fmt::Debug for DayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DayKey").field("day", &self.day).finish_non_exhaustive()
    }
}

impl DayKey {
    /// The key of a day, which is made when there is none yet.
    ///
    /// # Errors
    ///
    /// When it can't be read or made, or the file holds something else, which is left as it is.
    pub fn load_or_make(folder: &LogFolder, day: Day) -> Result<Self, LogError> {
        let file = file_of(folder, day);
        make_folder(&folder.keys()).map_err(|source| LogError::file(&folder.keys(), source))?;
        let secret = key::read_or_make(&file, &SystemRandom::new()).map_err(|error| problem(&file, error))?;
        Ok(Self::from_secret(&secret, day))
    }

    /// The key of a day; none when there never was one, or it was destroyed.
    ///
    /// # Errors
    ///
    /// When it can't be read, or the file holds something else.
    pub fn load(folder: &LogFolder, day: Day) -> Result<Option<Self>, LogError> {
        let file = file_of(folder, day);
        let secret = key::read(&file).map_err(|error| problem(&file, error))?;
        Ok(secret.map(|secret| Self::from_secret(&secret, day)))
    }

    /// The key by which the devices of a day are shown under pseudonyms. Made where the day has none, since none of its
    /// profiles is logged so; none where there was one that is gone, since another one could reverse nothing.
    ///
    /// # Errors
    ///
    /// When the key or the file of the day can't be read, or the key not made.
    pub fn for_showing(folder: &LogFolder, day: Day) -> Result<Option<Self>, LogError> {
        if let Some(key) = Self::load(folder, day)? {
            return Ok(Some(key));
        }
        let file = folder.day(day);
        let Some(connection) = day::open_to_read(&file)? else { return Ok(None) };
        let sealed: bool = connection
            .query_row("SELECT EXISTS (SELECT 1 FROM asker WHERE sealed IS NOT NULL)", [], |row| row.get(0))
            .map_err(|source| LogError::database(&file, source))?;
        // What was sealed a moment ago was sealed with a key that is there by now.
        if sealed { Self::load(folder, day) } else { Self::load_or_make(folder, day).map(Some) }
    }

    /// Destroys the key of a day, for good; says whether there was one. A file that holds something else goes too.
    ///
    /// The bytes are overwritten first, which not every disk does in place; what counts is that no file has them.
    ///
    /// # Errors
    ///
    /// When it can't be removed; then it may be there still, and this can be called again.
    pub fn destroy(folder: &LogFolder, day: Day) -> Result<bool, LogError> {
        let file = file_of(folder, day);
        let doomed = file.with_extension("key.destroyed");
        let problem = |source| LogError::file(&file, source);
        // Under another name first: a power cut must not leave a file of zeros that counts as a key.
        let was_there = match fs::rename(&file, &doomed) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => doomed.exists(),
            Err(error) => return Err(problem(error)),
        };
        if !was_there {
            return Ok(false);
        }
        let overwritten = fs::OpenOptions::new().write(true).open(&doomed).and_then(|mut file| {
            file.write_all(&[0; key::LENGTH])?;
            file.sync_all()
        });
        // Removed even where it can't be overwritten.
        fs::remove_file(&doomed).map_err(problem)?;
        overwritten.and_then(|()| fs::File::open(folder.keys())?.sync_all()).map_err(problem)?;
        Ok(true)
    }

    /// The days whose key exists, the oldest first.
    ///
    /// # Errors
    ///
    /// When the folder can't be read.
    pub fn days(folder: &LogFolder) -> Result<Vec<Day>, LogError> {
        let problem = |source| LogError::file(&folder.keys(), source);
        let entries = match fs::read_dir(folder.keys()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(problem(error)),
        };
        let mut days = Vec::new();
        for entry in entries {
            let name = entry.map_err(problem)?.file_name();
            days.extend(
                name.to_str().and_then(|name| name.strip_suffix(".key")).and_then(super::folder::day_of),
            );
        }
        days.sort_unstable();
        Ok(days)
    }

    /// The day that it is the key of.
    #[must_use]
    pub fn day(&self) -> Day {
        self.day
    }

    /// What stands in the place of a client: `device-` and 12 hexadecimal digits, the same for the same text all day.
    #[must_use]
    pub fn pseudonym(&self, identity: &str) -> String {
        let hash = hmac::sign(&self.names, identity.as_bytes());
        let mut text = String::with_capacity(PREFIX.len() + 2 * SHOWN);
        text.push_str(PREFIX);
        for byte in &hash.as_ref()[..SHOWN] {
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }

    /// What stands in the place of a device: by its link-layer address where that is known (it may be empty), since
    /// addresses change hands within a day.
    #[must_use]
    pub fn of_device(&self, address: &str, mac: &str) -> String {
        self.pseudonym(if mac.is_empty() { address } else { mac })
    }

    /// What an asker is called where devices must not be shown.
    pub(super) fn of_asker(&self, asker: &AskerRow) -> String {
        if is_pseudonym(&asker.client) {
            asker.client.clone()
        } else {
            self.of_device(&asker.client, &asker.mac)
        }
    }

    /// Encrypts who stands behind a pseudonym.
    ///
    /// Empty when the system gives no random bytes: then nobody can open it.
    #[must_use]
    pub fn seal(&self, identity: &SealedIdentity) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        let (Ok(mut text), Ok(())) = (serde_json::to_vec(identity), SystemRandom::new().fill(&mut nonce))
        else {
            return Vec::new();
        };
        let sealing =
            self.seal.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text);
        match sealing {
            Ok(()) => [nonce.as_slice(), &text].concat(),
            Err(_) => Vec::new(),
        }
    }

    /// Says who stands behind a pseudonym; none when it was changed, or sealed on another day.
    #[must_use]
    pub fn open(&self, sealed: &[u8]) -> Option<SealedIdentity> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let text = self.seal.open_in_place(nonce, Aad::empty(), &mut text).ok()?;
        serde_json::from_slice(text).ok()
    }

    fn from_secret(secret: &[u8], day: Day) -> Self {
        // With the day in it, so that a file under the name of another day's opens nothing.
        let salt = format!("schoolgate log {}", day.number());
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, salt.as_bytes()).extract(secret);
        // HKDF gives up to 255 times 32 bytes, and these keys have 32.
        let names = secret.expand(&[b"pseudonyms"], hmac::HMAC_SHA256).expect("HKDF gives 32 bytes");
        let seal = secret.expand(&[b"identities"], &CHACHA20_POLY1305).expect("HKDF gives 32 bytes");
        Self { day, names: names.into(), seal: LessSafeKey::new(seal.into()) }
    }
}

/// Whether a text is written as a pseudonym is.
#[must_use]
pub fn is_pseudonym(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|hex| {
        hex.len() == 2 * SHOWN && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn file_of(folder: &LogFolder, day: Day) -> PathBuf {
    folder.keys().join(format!("{}.key", day.date()))
}

/// Makes the folder of the keys, for its owner alone.
fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let Some(parent) = path.parent() else { return fs::create_dir(path) };
    fs::create_dir_all(parent)?;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other?,
    }
    // A command run by root must not make a folder that the server can't use.
    let (parent, own) = (fs::metadata(parent)?, fs::metadata(path)?);
    if parent.uid() != own.uid() {
        let _ = chown(path, Some(parent.uid()), Some(parent.gid()));
    }
    Ok(())
}

fn problem(file: &Path, error: KeyError) -> LogError {
    match error {
        KeyError::File(source) => LogError::file(file, source),
        KeyError::NotAKey(bytes) => LogError::NotAKey { file: file.to_owned(), bytes },
        KeyError::Random => LogError::file(file, io::Error::other("the system gives no random bytes")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    const DAY: Day = Day::from_number(20_779);

    fn folder() -> (TempDir, LogFolder) {
        let data = tempfile::tempdir().unwrap();
        let folder = LogFolder::in_data(data.path());
        (data, folder)
    }

    fn identity() -> SealedIdentity {
        SealedIdentity {
            address: "10.20.2.31".into(),
            device: "staff-room-3".into(),
            mac: "02:00:5e:00:53:01".into(),
        }
    }

    #[test]
    fn a_pseudonym_is_the_same_all_day_also_after_a_restart_and_another_on_the_next_day() {
        let (_data, folder) = folder();
        let before = DayKey::load_or_make(&folder, DAY).unwrap().pseudonym("10.20.2.31");
        let key = DayKey::load_or_make(&folder, DAY).unwrap();
        assert_eq!(key.pseudonym("10.20.2.31"), before);
        assert_eq!(DayKey::load(&folder, DAY).unwrap().unwrap().pseudonym("10.20.2.31"), before);
        assert!(is_pseudonym(&before), "{before}");
        assert_ne!(key.pseudonym("10.20.2.32"), before);
        let next = DayKey::load_or_make(&folder, DAY.plus(1)).unwrap();
        assert_ne!(next.pseudonym("10.20.2.31"), before);
        assert_eq!(DayKey::days(&folder).unwrap(), [DAY, DAY.plus(1)]);
    }

    #[test]
    fn who_stands_behind_a_pseudonym_opens_with_the_key_of_that_day_and_with_no_other() {
        let (_data, folder) = folder();
        let key = DayKey::load_or_make(&folder, DAY).unwrap();
        let sealed = key.seal(&identity());
        assert_ne!(sealed, key.seal(&identity()), "with other random bytes each time");
        assert!(!sealed.windows(5).any(|part| part == b"staff"));
        assert_eq!(DayKey::load(&folder, DAY).unwrap().unwrap().open(&sealed), Some(identity()));
        let next = DayKey::load_or_make(&folder, DAY.plus(1)).unwrap();
        assert_eq!(next.open(&sealed), None);
        fs::copy(folder.keys().join("2026-11-22.key"), folder.keys().join("2026-11-24.key")).unwrap();
        let copied = DayKey::load(&folder, DAY.plus(2)).unwrap().unwrap();
        assert_eq!(copied.open(&sealed), None, "a key counts for its own day");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(&changed), None, "byte {at}");
            assert_eq!(key.open(&sealed[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn a_destroyed_key_is_gone_and_stays_gone() {
        let (_data, folder) = folder();
        assert!(!DayKey::destroy(&folder, DAY).unwrap());
        let sealed = DayKey::load_or_make(&folder, DAY).unwrap().seal(&identity());
        assert!(DayKey::destroy(&folder, DAY).unwrap());
        assert!(DayKey::load(&folder, DAY).unwrap().is_none());
        assert!(!DayKey::destroy(&folder, DAY).unwrap());
        assert_eq!(fs::read_dir(folder.keys()).unwrap().count(), 0, "nothing is left behind");
        assert_eq!(DayKey::load_or_make(&folder, DAY).unwrap().open(&sealed), None);
        // What a power cut left behind half destroyed.
        fs::rename(folder.keys().join("2026-11-22.key"), folder.keys().join("2026-11-22.key.destroyed"))
            .unwrap();
        assert!(DayKey::load(&folder, DAY).unwrap().is_none());
        assert!(DayKey::destroy(&folder, DAY).unwrap());
        assert_eq!(fs::read_dir(folder.keys()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_key_is_named_and_never_overwritten() {
        let (_data, folder) = folder();
        DayKey::load_or_make(&folder, DAY).unwrap();
        let file = folder.keys().join("2026-11-22.key");
        for wrong in [&b""[..], &[7; 31], &[7; 33]] {
            fs::write(&file, wrong).unwrap();
            for error in
                [DayKey::load_or_make(&folder, DAY).unwrap_err(), DayKey::load(&folder, DAY).unwrap_err()]
            {
                assert!(matches!(error, LogError::NotAKey { .. }), "{error}");
                assert!(error.to_string().contains("2026-11-22.key"), "{error}");
            }
            assert_eq!(fs::read(&file).unwrap(), wrong);
        }
    }

    #[test]
    fn only_the_owner_can_read_a_key_and_it_does_not_show() {
        let (_data, folder) = folder();
        let key = DayKey::load_or_make(&folder, DAY).unwrap();
        let file = folder.keys().join("2026-11-22.key");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(folder.keys()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(format!("{key:?}"), "DayKey { day: Day(20779), .. }");
    }

    proptest! {
        #[test]
        fn any_identity_comes_back_and_any_bytes_are_refused(
            address in ".*", device in ".*", mac in ".*", bytes in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let key = DayKey::from_secret(&[7; 32], DAY);
            let identity = SealedIdentity { address, device, mac };
            prop_assert_eq!(key.open(&key.seal(&identity)), Some(identity));
            prop_assert_eq!(key.open(&bytes), None);
        }
    }
}
