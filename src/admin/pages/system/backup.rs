//! Backups: one to keep now, where they go by themselves, what became of them, and a restore.

use askama::Template;
use axum::{
    extract::{Form, Request},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::{
    super::super::{
        access::Right,
        backups,
        failure::Failure,
        form::{Fields, Refusal},
        health::bytes,
        page::{Page, html_with, see},
        upkeep,
        visit::Visit,
        when::When,
    },
    places::{self, Places},
};
use crate::{
    backup::{
        Destination, Every, Extras, LONGEST_KEEP, Lock, NewSettings, Outcome, S3, Schedule, Secret, Settings,
        SftpServer, Staged,
    },
    control::ControlError,
};

/// What became of a backup, as it is shown.
struct Line {
    at: String,
    name: String,
    to: String,
    size: String,
    error: String,
}

/// A restore that waits.
struct Waiting {
    school: String,
    made: String,
    staged: Staged,
}

#[derive(Template)]
#[template(path = "backup.html")]
struct Show {
    p: Page,
    may_change: bool,
    may_have_logs: bool,
    /// Where backups go by themselves, in a sentence; empty where they don't.
    said: String,
    form: ScheduleForm,
    /// Those that an appliance has by itself.
    places: Option<Places>,
    tries: Vec<Line>,
    drill: Option<Line>,
    drill_due: bool,
    key: String,
    waiting: Option<Waiting>,
    may_restore: bool,
    supervised: bool,
    most: u16,
    wrong: Wrong,
}

/// What was wrong with one of the forms.
#[derive(Default)]
pub(super) struct Wrong {
    make: Refusal,
    schedule: Refusal,
    share: Refusal,
    restore: Refusal,
    drill: Refusal,
}

impl Wrong {
    pub(super) fn of_share(share: Refusal) -> Self {
        Self { share, ..Self::default() }
    }
}

/// The form of the schedule.
#[derive(Default)]
pub(super) struct ScheduleForm {
    is_set: bool,
    has_passphrase: bool,
    has_secret: bool,
    fields: Fields,
}

impl ScheduleForm {
    fn of(settings: Option<&Settings>, is_appliance: bool) -> Self {
        let Some(settings) = settings else {
            let fields = [
                ("every", "day"),
                ("hour", "2"),
                ("keep", "14"),
                ("name", "schoolgate"),
                ("kind", if is_appliance { "stick" } else { "folder" }),
                ("lock", "passphrase"),
            ];
            let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            return Self { fields: Fields(fields), ..Self::default() };
        };
        let mut fields = Vec::new();
        let mut put = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
        put("every", settings.schedule.every.word());
        put("hour", &settings.schedule.hour.to_string());
        put("keep", &settings.schedule.keep.to_string());
        put("name", &settings.schedule.name);
        put("lock", if settings.recipient.is_some() { "key" } else { "passphrase" });
        put("recipient", settings.recipient.as_deref().unwrap_or_default());
        if settings.extras.logs {
            put("logs", "on");
        }
        if settings.extras.lists {
            put("lists", "on");
        }
        match &settings.destination {
            Destination::Folder { path, own_disk } => {
                put("kind", if is_appliance { places::kind(settings) } else { "folder" });
                put("path", &path.to_string_lossy());
                if *own_disk {
                    put("own_disk", "on");
                }
            }
            Destination::S3(store) => {
                put("kind", "s3");
                put("endpoint", &store.endpoint);
                put("region", &store.region);
                put("bucket", &store.bucket);
                put("prefix", &store.prefix);
                put("access_key", &store.access_key);
            }
            Destination::Sftp(server) => {
                put("kind", "sftp");
                put("host", &server.host);
                put("port", &server.port.to_string());
                put("user", &server.user);
                put("folder", &server.folder);
                put("host_key", &server.host_key);
            }
        }
        Self {
            is_set: true,
            has_passphrase: settings.passphrase.is_some(),
            has_secret: settings.secret.is_some(),
            fields: Fields(fields),
        }
    }

    /// What a field says.
    fn get(&self, name: &str) -> &str {
        self.fields.get(name)
    }

    /// Whether a field says this.
    fn is(&self, name: &str, value: &str) -> bool {
        self.fields.get(name) == value
    }

    /// Whether a box is ticked.
    fn on(&self, name: &str) -> bool {
        self.fields.is_on(name)
    }
}

/// The settings that a form asks for.
fn settings(visit: &Visit, fields: &Fields) -> Result<NewSettings, String> {
    let text = |name: &str| fields.get(name).to_owned();
    let number = |name: &str, key: &str| fields.get(name).parse::<u16>().map_err(|_| visit.words.get(key));
    let destination = match fields.get("kind") {
        "s3" => Destination::S3(S3 {
            endpoint: text("endpoint"),
            region: text("region"),
            bucket: text("bucket"),
            prefix: text("prefix"),
            access_key: text("access_key"),
        }),
        "sftp" => Destination::Sftp(SftpServer {
            host: text("host"),
            port: if fields.get("port").is_empty() { 22 } else { number("port", "backup-port-wrong")? },
            user: text("user"),
            folder: text("folder"),
            host_key: text("host_key"),
        }),
        kind => places::folder(kind).unwrap_or_else(|| Destination::Folder {
            path: text("path").into(),
            own_disk: fields.is_on("own_disk"),
        }),
    };
    let is_key = fields.get("lock") == "key";
    let secret = |name: &str| Some(fields.whole(name)).filter(|text| !text.is_empty()).map(Secret::new);
    Ok(NewSettings {
        schedule: Schedule {
            every: Every::from_word(fields.get("every")).unwrap_or(Every::Day),
            hour: i8::try_from(number("hour", "backup-hour-wrong")?).unwrap_or(-1),
            keep: number("keep", "backup-keep-wrong")?,
            name: text("name"),
        },
        destination,
        extras: Extras { logs: fields.is_on("logs"), lists: fields.is_on("lists") },
        recipient: if is_key { text("recipient") } else { String::new() },
        passphrase: if is_key { None } else { secret("passphrase") },
        secret: secret("secret"),
    })
}

pub(super) async fn show(visit: Visit) -> Result<Response, Failure> {
    page(&visit, None, None, Wrong::default()).await
}

/// The page; with a form that was refused as it was typed.
pub(super) async fn page(
    visit: &Visit,
    form: Option<ScheduleForm>,
    share: Option<Fields>,
    wrong: Wrong,
) -> Result<Response, Failure> {
    let control = &visit.admin.control;
    let (now, when) = (visit.admin.clock.now(), When::of(&control.policy().load()));
    let current = control.backup_settings().ok().flatten();
    let history = control.backup_history();
    let line = |outcome: Outcome| Line {
        at: when.minute(outcome.at, now),
        name: outcome.name,
        to: outcome.to,
        size: bytes(outcome.bytes),
        error: outcome.error.unwrap_or_default(),
    };
    let waiting = control.pending_restore().map(|staged| Waiting {
        school: staged.about.school.clone(),
        made: when.minute(staged.about.made, now),
        staged,
    });
    let refusals = [&wrong.make, &wrong.schedule, &wrong.share, &wrong.restore, &wrong.drill];
    let status =
        refusals.into_iter().find(|refusal| !refusal.is_none()).map_or(StatusCode::OK, Refusal::status);
    let may_change = visit.may(Right::ChangeSystem);
    let key = if may_change { control.sftp_key_if_any().await.unwrap_or_default() } else { String::new() };
    let places = Places::of(visit, share);
    let shown = Show {
        p: visit.page("backup-title", "/system"),
        may_change,
        may_have_logs: visit.may(Right::ExportLog),
        said: current.as_ref().map(Settings::said).unwrap_or_default(),
        form: form.unwrap_or_else(|| ScheduleForm::of(current.as_ref(), places.is_some())),
        places,
        tries: history.tries.into_iter().take(10).map(line).collect(),
        drill: history.drill.map(line),
        drill_due: current.is_some() && control.is_drill_due(),
        key,
        waiting,
        may_restore: may_change && backups::may_restore(visit).is_ok(),
        supervised: upkeep::is_supervised(),
        most: LONGEST_KEEP,
        wrong,
    };
    html_with(status, &shown)
}

/// What is told above a form.
fn refused(failure: Failure) -> Result<Refusal, Failure> {
    if failure.is_input() { Ok(Refusal::new(failure.detail)) } else { Err(failure) }
}

fn refused_by(visit: &Visit, error: ControlError) -> Result<Refusal, Failure> {
    // What a place of backups or an archive says is for who looks after the box, whoever's fault it is.
    match error {
        ControlError::Backup(error) => {
            Ok(Refusal::listing(visit.words.get("backup-not-done"), vec![error.to_string()]))
        }
        error => Refusal::of(visit, error),
    }
}

pub(super) async fn make(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let wrong = |make| Wrong { make, ..Wrong::default() };
    if fields.whole("passphrase") != fields.whole("again") {
        let refusal = Refusal::new(visit.words.get("backup-not-the-same"));
        return page(&visit, None, None, wrong(refusal)).await;
    }
    let extras = Extras { logs: fields.is_on("logs"), lists: fields.is_on("lists") };
    let lock = match Lock::passphrase(fields.whole("passphrase")) {
        Ok(lock) => lock,
        Err(error) => return page(&visit, None, None, wrong(Refusal::new(format!("{error}.")))).await,
    };
    match backups::archive(&visit, lock, extras).await {
        Ok((name, body)) => {
            let headers = [
                (header::CONTENT_TYPE, String::from("application/octet-stream")),
                (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
                (header::CACHE_CONTROL, String::from("no-store")),
            ];
            Ok((headers, body).into_response())
        }
        Err(failure) => page(&visit, None, None, wrong(refused(failure)?)).await,
    }
}

pub(super) async fn put(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let fields = Fields(fields);
    let schedule = match settings(&visit, &fields) {
        Err(sentence) => Refusal::new(sentence),
        Ok(new) => match backups::set(&visit, new) {
            Ok(_) => return Ok(see("/system/backup#schedule", "done-backup-set")),
            Err(failure) => refused(failure)?,
        },
    };
    let current = visit.admin.control.backup_settings().ok().flatten();
    let is_appliance = visit.admin.control.machine().is_some();
    let form = ScheduleForm { fields, ..ScheduleForm::of(current.as_ref(), is_appliance) };
    page(&visit, Some(form), None, Wrong { schedule, ..Wrong::default() }).await
}

pub(super) async fn remove(visit: Visit) -> Result<Response, Failure> {
    visit.admin.control.remove_backup(&visit.by(), Some(visit.address()))?;
    Ok(see("/system/backup#schedule", "done-backup-removed"))
}

pub(super) async fn run(visit: Visit) -> Result<Response, Failure> {
    match visit.admin.control.run_backup(&visit.by(), Some(visit.address())).await {
        Ok(_) => Ok(see("/system/backup#results", "done-backup-made")),
        Err(error) => {
            let schedule = refused_by(&visit, error)?;
            page(&visit, None, None, Wrong { schedule, ..Wrong::default() }).await
        }
    }
}

pub(super) async fn drill(visit: Visit) -> Result<Response, Failure> {
    match visit.admin.control.drill_newest(&visit.by(), Some(visit.address())).await {
        Ok(_) => Ok(see("/system/backup#drill", "done-backup-drill")),
        Err(error) => {
            let drill = refused_by(&visit, error)?;
            page(&visit, None, None, Wrong { drill, ..Wrong::default() }).await
        }
    }
}

pub(super) async fn key(visit: Visit) -> Result<Response, Failure> {
    match visit.admin.control.sftp_key(&visit.by(), Some(visit.address())).await {
        Ok(_) => Ok(see("/system/backup#schedule", "done-backup-key")),
        Err(error) => {
            let schedule = refused_by(&visit, error)?;
            page(&visit, None, None, Wrong { schedule, ..Wrong::default() }).await
        }
    }
}

/// Takes an archive and makes it ready; the page says then what it would do, and a restart does it.
pub(super) async fn restore(visit: Visit, request: Request) -> Result<Response, Failure> {
    let wrong = |restore| Wrong { restore, ..Wrong::default() };
    let came = match backups::Form::of(request) {
        Ok(form) => form.file(&visit, |_| async { backups::may_restore(&visit) }).await,
        Err(failure) => Err(failure),
    };
    let (fields, came) = match came {
        Ok(came) => came,
        Err(failure) => return page(&visit, None, None, wrong(refused(failure)?)).await,
    };
    match backups::stage(&visit, &came.place.0, fields.whole("passphrase"), false, &visit.by()).await {
        Ok(_) => Ok(see("/system/backup#restore", "done-backup-ready")),
        Err(error) => {
            let refusal = refused_by(&visit, error)?;
            page(&visit, None, None, wrong(refusal)).await
        }
    }
}

pub(super) async fn cancel(visit: Visit) -> Result<Response, Failure> {
    visit.admin.control.cancel_restore(&visit.by(), Some(visit.address()))?;
    Ok(see("/system/backup#restore", "done-backup-cancelled"))
}
