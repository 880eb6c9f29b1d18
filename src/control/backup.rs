//! Backups: making one, bringing one away on a schedule, trying one out, and making ready what the next start restores.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp, civil::Time};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{Control, ControlError, OwnLookup};
use crate::{
    background::in_background,
    backup::{
        self, Applied, BackupError, Every, Extras, Fetching, History, Lock, Made, Manifest, NewSettings, Of,
        Opener, Outcome, Reserve, Settings, Staged,
    },
    disk,
    feeds::http::{Lookup, SystemLookup},
    mail::Letter,
    querylog::search::zone,
    school::School,
    tls::clock_is_set,
};

/// What became of the backups, in the data folder.
const HISTORY: &str = "backup-history.json";

/// The largest file of settings or of history that is read.
const LARGEST: u64 = 1 << 20;

/// How often is looked whether a backup is due.
const AGAIN: Duration = Duration::from_secs(60);

/// After how many of these looks is looked again for what was there before a restore: in an hour.
const LOOKS: u32 = 60;

/// How long after a try that failed the next one is made.
const RETRY: SignedDuration = SignedDuration::from_mins(60);

/// How long a stick or a share may take to say what is there.
const PATIENCE: Duration = Duration::from_secs(60);

/// How old the last drill may be.
const DRILL_AFTER: SignedDuration = SignedDuration::from_hours(365 * 24);

/// After how many tries that failed somebody is told by mail, once.
const TELL_AFTER: u32 = 2;

/// Who makes those of the schedule, for the audit.
const WHO: &str = "the server";

/// What is held while backups are made and written down.
#[derive(Debug, Default)]
pub(super) struct Backups {
    /// Held by whoever makes one, or lays one out: two at once would take the room of two, and the memory of two passphrases.
    making: tokio::sync::Mutex<()>,
    /// Held by whoever brings one away.
    sending: tokio::sync::Mutex<()>,
    /// Held by whoever fetches one for a drill.
    drilling: tokio::sync::Mutex<()>,
    /// Held by whoever reads or writes the files.
    files: Mutex<()>,
}

impl Control {
    /// Where backups go by themselves; none where they don't.
    ///
    /// # Errors
    ///
    /// When the settings are there and can't be read.
    pub fn backup_settings(&self) -> Result<Option<Settings>, ControlError> {
        let _files = self.backup_files();
        match disk::read(&self.folder.join(backup::FILE), LARGEST) {
            Ok(text) => Ok(Some(Settings::of_file(&text, self.vault.as_deref())?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(file(&self.folder.join(backup::FILE), source)),
        }
    }

    /// Has backups go somewhere by themselves.
    ///
    /// # Errors
    ///
    /// When something is not right, or it can't be written down; then nothing has changed.
    pub fn set_backup(
        &self,
        new: NewSettings,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Settings, ControlError> {
        // What can't be read any more is what this puts right.
        let current = self.backup_settings().ok().flatten();
        let settings = new.checked(current.as_ref())?;
        let text = settings.to_file(self.vault.as_deref())?;
        let path = self.folder.join(backup::FILE);
        {
            let _files = self.backup_files();
            disk::replace_secret(&path, &text).map_err(|source| file(&path, source))?;
        }
        if current.as_ref() != Some(&settings) {
            self.audit_from(by, "backup.set", &settings.said(), from);
        }
        Ok(settings)
    }

    /// Ends backups on a schedule. Those that are there stay.
    ///
    /// # Errors
    ///
    /// When that can't be written down; then nothing has changed.
    pub fn remove_backup(&self, by: &str, from: Option<IpAddr>) -> Result<(), ControlError> {
        let path = self.folder.join(backup::FILE);
        let was_there = {
            let _files = self.backup_files();
            let was_there = path.exists();
            disk::remove(&path).map_err(|source| file(&path, source))?;
            was_there
        };
        if was_there {
            self.audit_from(by, "backup.remove", "", from);
        }
        Ok(())
    }

    /// What became of the backups. What can't be read is as if none had been made.
    #[must_use]
    pub fn backup_history(&self) -> History {
        let _files = self.backup_files();
        self.read_history()
    }

    fn read_history(&self) -> History {
        let text = disk::read(&self.folder.join(HISTORY), LARGEST).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn write_history(&self, change: impl FnOnce(&mut History)) {
        let _files = self.backup_files();
        let mut history = self.read_history();
        change(&mut history);
        let written = serde_json::to_vec_pretty(&history)
            .map_err(io::Error::from)
            .and_then(|text| disk::replace(&self.folder.join(HISTORY), &text));
        if let Err(error) = written {
            warn!(%error, "What became of a backup can't be written down");
        }
    }

    /// What of the disk no file may take that is gone again in a minute: what the query log has kept free, and some.
    #[must_use]
    pub fn reserve(&self) -> Reserve {
        Reserve::within(self.keeping.floor())
    }

    fn backup_files(&self) -> std::sync::MutexGuard<'_, ()> {
        // A panic while it was held left the files as they were, or whole.
        self.backups.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a backup as a file.
    ///
    /// # Errors
    ///
    /// When it can't be made; then there is none.
    pub async fn make_backup(
        &self,
        to: &Path,
        lock: Lock,
        extras: Extras,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Made, ControlError> {
        let made = self.create_backup(to, lock, extras).await?;
        let with = if extras.logs { ", with logs" } else { "" };
        let name = made.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.audit_from(by, "backup.make", &format!("{name}, {} bytes{with}", made.bytes), from);
        Ok(made)
    }

    async fn create_backup(&self, to: &Path, lock: Lock, extras: Extras) -> Result<Made, ControlError> {
        let _making = self.backups.making.lock().await;
        let (folder, at, to) = (self.folder.clone(), self.clock.now(), to.to_owned());
        let reserve = self.reserve();
        let (school, revision) = {
            let state = self.state();
            (state.file.school.clone(), state.revision)
        };
        aside(move || {
            let of = Of { folder: &folder, extras, school: &school, revision, at, reserve };
            backup::create(&of, &lock, &to)
        })
        .await
    }

    /// Makes a backup and brings it to where the settings say, as the schedule does.
    ///
    /// # Errors
    ///
    /// When there are no settings, or it can't be made or brought there. The history and the audit say so as well.
    pub async fn run_backup(&self, by: &str, from: Option<IpAddr>) -> Result<Outcome, ControlError> {
        let settings = self.backup_settings()?.ok_or_else(|| {
            ControlError::Input(String::from("it is not said yet where backups go by themselves"))
        })?;
        // One after the other, since two of the same second would have one name.
        let _sending = self.backups.sending.lock().await;
        let at = self.clock.now();
        let name = backup::name_of(&settings.schedule.name, at);
        let mut outcome =
            Outcome { at, name: name.clone(), to: settings.destination.said(), bytes: 0, error: None };
        let done = self.bring_away(&settings, &name).await;
        match &done {
            Ok(bytes) => outcome.bytes = *bytes,
            Err(error) => outcome.error = Some(error.to_string()),
        }
        self.write_history(|history| history.tried(outcome.clone(), by != WHO));
        let detail = match &outcome.error {
            None => format!("{name} to {}, {} bytes", outcome.to, outcome.bytes),
            Some(error) => format!("{name}: {error}"),
        };
        let action = if done.is_ok() { "backup.send" } else { "backup.fail" };
        self.audit_from(by, action, &detail, from);
        done.map(|_| outcome)
    }

    async fn bring_away(&self, settings: &Settings, name: &str) -> Result<u64, ControlError> {
        let scratch = Incoming::new(&self.folder, name)?;
        let made = self.create_backup(&scratch.0, settings.lock()?, settings.extras).await?;
        let now = self.clock.now();
        let (lookup, reserve) = (self.backup_lookup(), self.reserve());
        backup::deliver(settings, &self.folder, reserve, &scratch.0, lookup, now).await?;
        Ok(made.bytes)
    }

    fn backup_lookup(&self) -> Fetching {
        let lookup: Arc<dyn Lookup> = match &self.resolver {
            Some(resolver) => Arc::new(OwnLookup(Arc::clone(resolver))),
            None => Arc::new(SystemLookup),
        };
        Fetching(lookup)
    }

    /// The box's key for SFTP, as the server must know it; made when there is none.
    ///
    /// # Errors
    ///
    /// When it can't be made.
    pub async fn sftp_key(&self, by: &str, from: Option<IpAddr>) -> Result<String, ControlError> {
        let was = backup::sftp_public_key(&self.folder).await;
        let key = backup::make_sftp_key(&self.folder).await?;
        if was.is_none() {
            self.audit_from(by, "backup.key", &key, from);
        }
        Ok(key)
    }

    /// The box's key for SFTP; none while there is none.
    pub async fn sftp_key_if_any(&self) -> Option<String> {
        backup::sftp_public_key(&self.folder).await
    }

    /// Restores an archive into a folder that goes away and opens everything; the audit says what came of it.
    ///
    /// # Errors
    ///
    /// What would keep it from being restored.
    pub async fn drill_backup(
        &self,
        archive: &Path,
        opener: Opener,
        from_where: &str,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<(Manifest, u64), ControlError> {
        let (folder, path, reserve) = (self.folder.clone(), archive.to_owned(), self.reserve());
        let file = path.clone();
        let bytes = looked(move || fs::metadata(file).map_or(0, |file| file.len())).await.unwrap_or_default();
        let done = {
            let _making = self.backups.making.lock().await;
            aside(move || backup::rehearse(&folder, &path, &opener, reserve)).await
        };
        let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let error = done.as_ref().err().map(ToString::to_string);
        let detail = match &done {
            Ok((manifest, users)) => {
                let About { made, revision, .. } = About::of(manifest);
                format!("{name}: good; made {made}, policy revision {revision}, {users} users")
            }
            Err(error) => format!("{name}: {error}"),
        };
        let outcome = Outcome { at: self.clock.now(), name, to: from_where.to_owned(), bytes, error };
        self.write_history(|history| history.drill = Some(outcome));
        self.audit_from(by, "backup.drill", &detail, from);
        done
    }

    /// A drill with the newest backup at the place where they go by themselves.
    ///
    /// # Errors
    ///
    /// When it can't be had from there, or what would keep it from being restored.
    pub async fn drill_newest(
        &self,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<(Manifest, u64), ControlError> {
        let settings = self.backup_settings()?.ok_or_else(|| {
            ControlError::Input(String::from("it is not said yet where backups go by themselves"))
        })?;
        let opener = settings.opener()?;
        let _drilling = self.backups.drilling.lock().await;
        let scratch = Incoming::new(&self.folder, "drill")?;
        let to = settings.destination.said();
        let (lookup, now) = (self.backup_lookup(), self.clock.now());
        let fetched =
            backup::fetch_newest(&settings, &self.folder, self.reserve(), &scratch.0, lookup, now).await;
        match fetched {
            Ok(name) => {
                // By its own name, for the audit.
                let named = Incoming::new(&self.folder, &name)?;
                fs::rename(&scratch.0, &named.0).map_err(|source| file(&named.0, source))?;
                self.drill_backup(&named.0, opener, &to, by, from).await
            }
            Err(error) => {
                let error = ControlError::from(error);
                let outcome = Outcome {
                    at: self.clock.now(),
                    name: String::new(),
                    to,
                    bytes: 0,
                    error: Some(error.to_string()),
                };
                self.audit_from(by, "backup.drill", &error.to_string(), from);
                self.write_history(|history| history.drill = Some(outcome));
                Err(error)
            }
        }
    }

    /// Makes an archive ready for the next start, which restores it; with `dry_run`, only says what that would do.
    ///
    /// # Errors
    ///
    /// When it can't be restored; then nothing has changed.
    pub async fn stage_restore(
        &self,
        archive: &Path,
        opener: Opener,
        dry_run: bool,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Staged, ControlError> {
        let (folder, path, who, now) =
            (self.folder.clone(), archive.to_owned(), by.to_owned(), self.clock.now());
        let reserve = self.reserve();
        let staged = {
            let _making = self.backups.making.lock().await;
            aside(move || backup::stage(&folder, &path, &opener, &who, now, dry_run, reserve)).await?
        };
        if !dry_run {
            let detail = format!("made {}, policy revision {}", staged.about.made, staged.about.revision);
            self.audit_from(by, "restore.ready", &detail, from);
        }
        Ok(staged)
    }

    /// The restore that waits for the next start.
    #[must_use]
    pub fn pending_restore(&self) -> Option<Staged> {
        backup::pending(&self.folder)
    }

    /// Forgets the restore that waits for the next start.
    ///
    /// # Errors
    ///
    /// When it can't be removed.
    pub fn cancel_restore(&self, by: &str, from: Option<IpAddr>) -> Result<(), ControlError> {
        if backup::cancel(&self.folder)? {
            self.audit_from(by, "restore.cancel", "", from);
        }
        Ok(())
    }

    /// Writes into the audit, which is that of the backup now, that it was restored.
    pub fn record_restore(&self, applied: &Applied) {
        let Staged { about, before, by, files, .. } = &applied.staged;
        let detail = format!(
            "the backup of {} (policy revision {}, {files} files); what was there is in {before}",
            about.made, about.revision
        );
        self.audit_from(by, "restore.done", &detail, None);
        info!(by, made = %about.made, "A backup was restored");
    }

    /// Makes the backups of the schedule, each when it is due, and once a year a drill; removes what was there before a
    /// restore when its time is over.
    pub async fn keep_backups(self: Arc<Self>, school: Arc<School>, stop: CancellationToken) {
        for look in (0..LOOKS).cycle() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
            if look == 0 {
                tokio::select! {
                    // What is half removed is removed by the next.
                    () = stop.cancelled() => return,
                    () = self.forget_before() => {}
                }
            }
            if !self.is_backup_due() {
                continue;
            }
            tokio::select! {
                // What is half made is removed by the next.
                () = stop.cancelled() => return,
                () = self.backup_of_schedule(&school) => {}
            }
        }
    }

    /// Removes what was there before a restore, where that is 30 days ago.
    async fn forget_before(&self) {
        let now = self.clock.now();
        if !clock_is_set(now) {
            return;
        }
        let folder = self.folder.clone();
        let forgot = aside(move || {
            backup::forget_before(&folder, now);
            Ok(())
        });
        if let Err(error) = forgot.await {
            warn!(%error, "What was there before a restore can't be looked for");
        }
    }

    async fn backup_of_schedule(&self, school: &School) {
        if let Err(error) = self.run_backup(WHO, None).await {
            error!(%error, "The backup was not made; it is tried again in an hour");
            if self.backup_history().failures == TELL_AFTER {
                let said = "The DNS filter could not make its backup";
                let again = "It is tried again every hour.";
                self.tell_of_backup(school, "was not made", said, &error.to_string(), again).await;
            }
            return;
        }
        let can_open =
            self.backup_settings().ok().flatten().is_some_and(|settings| settings.opener().is_ok());
        if !can_open || !self.is_drill_due() {
            return;
        }
        let is_known = self.backup_history().drill.is_some_and(|drill| drill.error.is_some());
        if let Err(error) = self.drill_newest(WHO, None).await {
            error!(%error, "The newest backup could not be restored in a drill");
            if !is_known {
                let said =
                    "The DNS filter could not restore its newest backup in a drill, so it may be of no use";
                let again = "It is tried again after the next backup.";
                self.tell_of_backup(school, "does not pass its drill", said, &error.to_string(), again).await;
            }
        }
    }

    /// Whether a backup is to be made now.
    #[must_use]
    pub fn is_backup_due(&self) -> bool {
        let Ok(Some(settings)) = self.backup_settings() else { return false };
        let now = self.clock.now();
        // Its name would be that of the oldest, and go first.
        if !clock_is_set(now) {
            return false;
        }
        let history = self.backup_history();
        if let Some(last) = history.tries.first()
            && last.error.is_some()
            && last.at <= now
            && now.duration_since(last.at) < RETRY
        {
            return false;
        }
        let zone = zone(&self.policy.load());
        let here = now.to_zoned(zone.clone());
        let hour = Time::new(settings.schedule.hour, 0, 0, 0).unwrap_or_default();
        let due = settings.schedule.due(&here).to_datetime(hour);
        let due = zone.to_zoned(due).map_or(now, |due| due.timestamp());
        // One of the future was made while the clock was ahead, and says nothing of today.
        history.good.is_none_or(|good| good.at < due || good.at > now)
    }

    /// Whether nobody has tried for a year to restore a backup.
    #[must_use]
    pub fn is_drill_due(&self) -> bool {
        let history = self.backup_history();
        let good = history.drill.filter(|drill| drill.error.is_none());
        let now = self.clock.now();
        good.is_none_or(|drill| drill.at > now || now.duration_since(drill.at) > DRILL_AFTER)
    }

    /// Whether backups that should be made have failed for so long that somebody should know.
    #[must_use]
    pub fn backup_problem(&self) -> Option<String> {
        match self.backup_settings() {
            Err(error) => Some(error.to_string()),
            Ok(None) => None,
            Ok(Some(settings)) => {
                let history = self.backup_history();
                let failed = history.tries.first().and_then(|last| last.error.clone());
                failed.or_else(|| self.overdue_backup(&settings, &history))
            }
        }
    }

    /// Nothing failed, and still there is none: the box was off at night, or one hangs.
    fn overdue_backup(&self, settings: &Settings, history: &History) -> Option<String> {
        let made = history.good.as_ref()?.at;
        let days = match settings.schedule.every {
            Every::Day => 3,
            Every::Week => 15,
        };
        let is_overdue = self.clock.now().duration_since(made) > SignedDuration::from_hours(24 * days);
        is_overdue.then(|| format!("none has been made since {}", made.strftime("%-d %B %Y")))
    }

    async fn tell_of_backup(&self, school: &School, what: &str, said: &str, why: &str, again: &str) {
        if self.mail().is_none() {
            return;
        }
        let people = school.file().people.clone();
        let to =
            [&people.senior_leader, &people.safeguarding_lead].into_iter().find(|one| !one.email.is_empty());
        let Some(to) = to else { return };
        let name = self.policy.load().file().school.clone();
        let subject =
            format!("Schoolgate: the backup of {} {what}", if name.is_empty() { "the box" } else { &name });
        let body = format!(
            "{said}:\n\n{why}\n\n{again} Filtering goes on. Please pass this on to whoever looks after the box: the page System, Backups says more.\n"
        );
        let sent = match Letter::new(&to.name, &to.email, &subject, &body) {
            Ok(letter) => self.send(&letter).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let outcome = sent.map_or_else(|error| format!("not sent: {error}"), |()| String::from("sent"));
        self.audit_from(WHO, "backup.tell", &format!("to {}: {outcome}", to.email), None);
    }
}

/// What of a manifest the audit says.
struct About {
    made: Timestamp,
    revision: i64,
}

impl About {
    fn of(manifest: &Manifest) -> Self {
        Self { made: manifest.about.made, revision: manifest.about.revision }
    }
}

/// An archive that is on its way, in a folder of the data folder; gone when it is dropped.
#[derive(Debug)]
pub struct Incoming(pub PathBuf);

impl Incoming {
    /// The place for an archive of this name; there is none there yet.
    ///
    /// # Errors
    ///
    /// When the folder can't be made.
    pub fn new(data: &Path, name: &str) -> Result<Self, ControlError> {
        use std::os::unix::fs::DirBuilderExt as _;

        let folder = data.join("incoming");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|source| file(&folder, source))?;
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file(&path, error)),
            _ => Ok(Self(path)),
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn file(path: &Path, source: io::Error) -> ControlError {
    BackupError::File { path: path.to_owned(), source }.into()
}

/// Looks at a place that may be a stick or a share: neither a thread that answers nor whoever asks waits for a dead one.
///
/// # Errors
///
/// When it does not answer in time.
pub(super) async fn looked<T: Send + 'static>(
    look: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ControlError> {
    let looking = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(look)).await;
    looking.ok().and_then(Result::ok).ok_or_else(|| {
        ControlError::Input(String::from("that place does not answer: is the stick in, the share there?"))
    })
}

/// Does what reads, encrypts and writes much, where it gives way to those who ask for names.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, ControlError> {
    Ok(in_background("backup", work).await??)
}
