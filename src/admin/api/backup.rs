//! Backups: one to keep, where they go by themselves, what became of them, and a restore.

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    call::{Asked, Done, Flow, Json, Nothing, Octets, Told, call},
    doc::{Doc, Tag},
};
use crate::{
    admin::{access::Right, backups, failure::Failure, routes::Routes, visit::Visit},
    backup::{Destination, Extras, History, Lock, NewSettings, Outcome, Schedule, Secret, Staged},
    control::ControlError,
};

pub(super) fn routes(routes: Routes) -> Routes {
    let (tag, change) = (Tag::System, Right::ChangeSystem);
    let show =
        Doc::new(tag, "Backups: where they go by themselves, what became of them, and a restore that waits");
    let put = Doc::new(tag, "Have backups go somewhere by themselves")
        .details("A passphrase and a secret that are left out stay as they are, as long as the store and its key do.")
        .example(json!({
            "schedule": { "every": "day", "hour": 2, "keep": 14, "name": "schoolgate" },
            "destination": { "folder": { "path": "/media/backup", "own_disk": false } },
            "passphrase": "four words of your own here",
        }));
    let remove = Doc::new(tag, "End backups by themselves; those that are there stay");
    let run =
        Doc::new(tag, "Make the backup of the schedule now").details("Waits until it is where it should be.");
    let drill = Doc::new(tag, "Restore the newest backup into a folder that goes away, and open everything");
    let archive = Doc::new(tag, "Make a backup to keep")
        .details("An encrypted file. With the query log only for who may export it.")
        .example(json!({ "passphrase": "four words of your own here" }));
    let upload = Doc::new(tag, "Send a backup that is to be restored")
        .details("It waits for an hour. The answer names it for the restore.");
    let restore = Doc::new(tag, "Make a backup ready for the next start, which restores it")
        .details("With dry_run, says what that would do. What is there is kept beside for 30 days.")
        .example(
            json!({ "archive": "0123456789abcdef01234567", "passphrase": "four words of your own here" }),
        );
    let cancel = Doc::new(tag, "Forget the restore that waits");
    let key = Doc::new(tag, "The box's key for SFTP, as authorized_keys has it; made where there is none");
    routes
        .api(Method::GET, "/api/v1/backup", Right::SeeSystem, show, call(backups_of))
        .api(Method::PUT, "/api/v1/backup", change, put, call(set))
        .api(Method::DELETE, "/api/v1/backup", change, remove, call(forget))
        .api(Method::POST, "/api/v1/backup/run", change, run, call(run_now))
        .api(Method::POST, "/api/v1/backup/drill", change, drill, call(drill_now))
        .api(Method::POST, "/api/v1/backup/archive", change, archive, call(make))
        .api(Method::POST, "/api/v1/backup/upload", change, upload, call(take))
        .api(Method::POST, "/api/v1/backup/restore", change, restore, call(get_ready))
        .api(Method::DELETE, "/api/v1/backup/restore", change, cancel, call(cancel_restore))
        .api(Method::POST, "/api/v1/backup/key", change, key, call(sftp_key))
}

/// Backups, as they are set up.
#[derive(Debug, Serialize, JsonSchema)]
struct Backups {
    /// Where they go by themselves; none where they don't.
    settings: Option<BackupSettings>,
    /// What became of them.
    history: History,
    /// Whether nobody has tried for a year to restore one.
    drill_due: bool,
    /// The restore that waits for the next start.
    restore: Option<Staged>,
}

/// Where backups go by themselves.
#[derive(Debug, Serialize, JsonSchema)]
struct BackupSettings {
    /// When they are made, and how many are kept.
    schedule: Schedule,
    /// Where they go.
    destination: Destination,
    /// What they hold beside what each holds.
    extras: Extras,
    /// The public key that they are for; none where a passphrase locks them.
    recipient: Option<String>,
    /// Whether a passphrase is kept. It is never told.
    has_passphrase: bool,
    /// Whether the secret of a key is kept. It is never told.
    has_secret: bool,
}

fn told(visit: &Visit) -> Result<Told<Backups>, Failure> {
    let control = &visit.admin.control;
    let settings = control.backup_settings()?.map(|settings| BackupSettings {
        has_passphrase: settings.passphrase.is_some(),
        has_secret: settings.secret.is_some(),
        schedule: settings.schedule,
        destination: settings.destination,
        extras: settings.extras,
        recipient: settings.recipient,
    });
    Ok(Told(Backups {
        settings,
        history: control.backup_history(),
        drill_due: control.is_drill_due(),
        restore: control.pending_restore(),
    }))
}

/// What a place of backups or an archive says is for who asks, whoever's fault it is.
fn failed(error: ControlError) -> Failure {
    match error {
        ControlError::Backup(error) => Failure::input(error.to_string()),
        error => error.into(),
    }
}

async fn backups_of(visit: Visit, _: Asked) -> Result<Told<Backups>, Failure> {
    told(&visit)
}

/// Where backups are to go by themselves.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBackups {
    /// When they are made, and how many are kept.
    schedule: Schedule,
    /// Where they go.
    destination: Destination,
    /// What they hold beside what each holds.
    #[serde(default)]
    extras: Extras,
    /// The public key that they are for; left out where a passphrase locks them.
    #[serde(default)]
    recipient: String,
    /// The passphrase; left out to keep the one that is there.
    #[serde(default)]
    passphrase: Option<String>,
    /// The secret of the key of an S3 store; left out to keep the one that is there.
    #[serde(default)]
    secret: Option<String>,
}

async fn set(visit: Visit, asked: Asked<(), Nothing, Json<NewBackups>>) -> Result<Told<Backups>, Failure> {
    let Json(NewBackups { schedule, destination, extras, recipient, passphrase, secret }) = asked.body;
    let (passphrase, secret) = (passphrase.as_deref().map(Secret::new), secret.as_deref().map(Secret::new));
    backups::set(&visit, NewSettings { schedule, destination, extras, recipient, passphrase, secret })?;
    told(&visit)
}

async fn forget(visit: Visit, _: Asked) -> Result<Done, Failure> {
    visit.admin.control.remove_backup(&visit.by(), Some(visit.address()))?;
    Ok(Done)
}

async fn run_now(visit: Visit, _: Asked) -> Result<Told<Outcome>, Failure> {
    let done = visit.admin.control.run_backup(&visit.by(), Some(visit.address())).await;
    Ok(Told(done.map_err(failed)?))
}

/// What a drill found.
#[derive(Debug, Serialize, JsonSchema)]
struct Drilled {
    /// How many files the backup has.
    files: usize,
    /// How many bytes they have.
    bytes: u64,
    /// How many users can sign in after it is restored.
    users: u64,
}

async fn drill_now(visit: Visit, _: Asked) -> Result<Told<Drilled>, Failure> {
    let done = visit.admin.control.drill_newest(&visit.by(), Some(visit.address())).await;
    let (manifest, users) = done.map_err(failed)?;
    Ok(Told(Drilled { files: manifest.files.len(), bytes: manifest.bytes(), users }))
}

/// How a backup is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewArchive {
    /// The passphrase that locks it; left out where a public key does.
    #[serde(default)]
    passphrase: Option<String>,
    /// The public key of age that it is for.
    #[serde(default)]
    recipient: Option<String>,
    /// What it holds beside what each holds.
    #[serde(default)]
    extras: Extras,
}

async fn make(visit: Visit, asked: Asked<(), Nothing, Json<NewArchive>>) -> Result<Octets, Failure> {
    let Json(NewArchive { passphrase, recipient, extras }) = asked.body;
    let lock = match (recipient, passphrase) {
        (Some(_), Some(_)) => return Err(Failure::input("give a passphrase or a public key, not both")),
        (Some(key), None) => Lock::recipient(&key),
        (None, passphrase) => Lock::passphrase(&passphrase.unwrap_or_default()),
    };
    let lock = lock.map_err(|error| failed(error.into()))?;
    let (name, body) = backups::archive(&visit, lock, extras).await?;
    Ok(Octets { name, body })
}

/// A backup that came.
#[derive(Debug, Serialize, JsonSchema)]
struct CameArchive {
    /// What it is called in a restore.
    archive: String,
    /// How many bytes came.
    bytes: u64,
}

async fn take(visit: Visit, asked: Asked<(), Nothing, Flow>) -> Result<Told<CameArchive>, Failure> {
    let came = backups::receive(&visit, asked.body.0.into_data_stream()).await?;
    let bytes = came.bytes;
    Ok(Told(CameArchive { archive: came.keep(), bytes }))
}

/// A restore.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewRestore {
    /// The backup, as the answer to its upload called it.
    archive: String,
    /// Its passphrase, or the identity of age that it is for.
    passphrase: String,
    /// Only say what would be done.
    #[serde(default)]
    dry_run: bool,
}

async fn get_ready(
    visit: Visit,
    asked: Asked<(), Nothing, Json<NewRestore>>,
) -> Result<Told<Staged>, Failure> {
    let Json(NewRestore { archive, passphrase, dry_run }) = asked.body;
    if !dry_run {
        backups::may_restore(&visit)?;
    }
    let path = backups::kept(&visit, &archive)?;
    let staged = backups::stage(&visit, &path, &passphrase, dry_run, &visit.by()).await.map_err(failed)?;
    if !dry_run {
        // It is laid out now.
        let _ = std::fs::remove_file(&path);
    }
    Ok(Told(staged))
}

async fn cancel_restore(visit: Visit, _: Asked) -> Result<Done, Failure> {
    visit.admin.control.cancel_restore(&visit.by(), Some(visit.address())).map_err(failed)?;
    Ok(Done)
}

/// The box's key for SFTP.
#[derive(Debug, Serialize, JsonSchema)]
struct SftpKey {
    /// Its public half.
    public_key: String,
}

async fn sftp_key(visit: Visit, _: Asked) -> Result<Told<SftpKey>, Failure> {
    let public_key =
        visit.admin.control.sftp_key(&visit.by(), Some(visit.address())).await.map_err(failed)?;
    Ok(Told(SftpKey { public_key }))
}
