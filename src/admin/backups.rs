//! What the pages and the calls of backups share: an archive that leaves by the browser, and one that comes in.

use std::{
    fmt::Write as _,
    future::Future,
    io,
    path::{Path, PathBuf},
};

use axum::{
    body::{Body, Bytes},
    http::header,
};
use futures_util::{Stream, StreamExt as _};
use ring::rand::{self, SystemRandom};

use super::{access::Right, failure::Failure, visit::Visit};
use crate::{
    backup::{Careful, Extras, FileBody, Lock, NewSettings, Opener, Settings, Staged, name_of},
    control::{ControlError, Incoming},
};

/// What names of archives that came in begin with.
const CAME: &str = "came-";

/// For how long one that came in waits for somebody to restore it.
const WAITS: std::time::Duration = std::time::Duration::from_secs(3600);

/// Whether who asks may have pupils' questions in a backup: who may take them out of the box in any other way.
///
/// # Errors
///
/// When not.
pub(super) fn may_have(visit: &Visit, extras: Extras) -> Result<(), Failure> {
    if extras.logs && !visit.may(Right::ExportLog) {
        return Err(Failure::input(visit.words.get("backup-logs-not-yours")));
    }
    Ok(())
}

/// Makes an archive, as something to be answered with.
///
/// # Errors
///
/// [Wrong input](Failure::is_input), when it can't be locked so.
pub(super) async fn archive(visit: &Visit, lock: Lock, extras: Extras) -> Result<(String, Body), Failure> {
    may_have(visit, extras)?;
    let control = &visit.admin.control;
    let name = name_of("schoolgate", visit.admin.clock.now());
    let made = Incoming::new(control.folder(), &name)?;
    control.make_backup(&made.0, lock, extras, &visit.by(), Some(visit.address())).await?;
    let bytes = std::fs::metadata(&made.0).map_err(Failure::inside)?.len();
    // Open while it is sent, and gone afterwards: its name goes at the end of this.
    let body = FileBody::open(&made.0, bytes).await.map_err(Failure::inside)?;
    Ok((name, Body::new(body)))
}

/// The settings, where who asks may have what they say.
///
/// # Errors
///
/// As [`Control::set_backup`](crate::control::Control::set_backup).
pub(super) fn set(visit: &Visit, new: NewSettings) -> Result<Settings, Failure> {
    let control = &visit.admin.control;
    let now = control.backup_settings().ok().flatten();
    // One who may not begin it need not end it to change the hour; but where it goes, and who can open it, stays.
    let is_as_before = now.is_some_and(|now| {
        let key = Some(new.recipient.trim()).filter(|key| !key.is_empty());
        now.extras.logs
            && now.destination == new.destination
            && now.recipient.as_deref() == key
            && new.passphrase.is_none()
    });
    if !is_as_before {
        may_have(visit, new.extras)?;
    }
    Ok(control.set_backup(new, &visit.by(), Some(visit.address()))?)
}

/// Writes down what comes, as far as there is room.
///
/// # Errors
///
/// When there is no room, or it breaks off; then nothing of it is left.
pub(super) async fn receive<S, E>(visit: &Visit, mut from: S) -> Result<Came, Failure>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    let control = &visit.admin.control;
    let folder = control.folder();
    forget_old(folder);
    let bytes: [u8; 12] = rand::generate(&SystemRandom::new()).map_err(Failure::inside)?.expose();
    let id = bytes.iter().fold(String::new(), |mut id, byte| {
        // Writing to a string does not fail.
        let _ = write!(id, "{byte:02x}");
        id
    });
    let place = Incoming::new(folder, &format!("{CAME}{id}"))?;
    let mut file = Careful::new(&place.0, folder, control.reserve()).map_err(Failure::inside)?;
    let mut length = 0;
    while let Some(chunk) = from.next().await {
        let chunk =
            chunk.map_err(|error| Failure::input(format!("The file did not come whole: {error}.")))?;
        length += chunk.len() as u64;
        file = file.take(chunk).await.map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull => Failure::input(visit.words.get("backup-no-room")),
            _ => Failure::inside(error),
        })?;
    }
    Ok(Came { id, place, bytes: length })
}

/// An archive that came in; gone when it is dropped, unless it is [kept](Self::keep).
#[derive(Debug)]
pub(super) struct Came {
    id: String,
    pub(super) place: Incoming,
    pub(super) bytes: u64,
}

impl Came {
    /// Leaves it for a later request, which finds it by what this gives.
    pub(super) fn keep(self) -> String {
        std::mem::forget(self.place);
        self.id
    }
}

/// One that was kept.
///
/// # Errors
///
/// When there is none of this name.
pub(super) fn kept(visit: &Visit, id: &str) -> Result<PathBuf, Failure> {
    let is_id = id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let path = visit.admin.control.folder().join("incoming").join(format!("{CAME}{id}"));
    if is_id && path.is_file() {
        Ok(path)
    } else {
        Err(Failure::input("there is no such archive; send it again"))
    }
}

fn forget_old(folder: &Path) {
    for entry in std::fs::read_dir(folder.join("incoming")).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(CAME);
        let age =
            entry.metadata().and_then(|file| file.modified()).map(|at| at.elapsed().unwrap_or_default());
        if is_ours && age.is_ok_and(|age| age > WAITS) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Whether so much more may be written to the disk.
pub(super) fn has_room(visit: &Visit, bytes: u64) -> bool {
    let control = &visit.admin.control;
    control.reserve().room(control.folder()).is_ok_and(|room| room > bytes)
}

/// Whether who asks may restore on a box that is set up.
///
/// A backup can have any policy and any users, so it takes somebody who may open things on their own word, once the school
/// has somebody who may.
///
/// # Errors
///
/// When not.
pub(super) fn may_restore(visit: &Visit) -> Result<(), Failure> {
    if visit.may(Right::Approve) || !visit.admin.has_approver() {
        return Ok(());
    }
    Err(Failure::input(visit.words.get("backup-restore-not-yours")))
}

/// Makes an archive ready for the next start.
///
/// # Errors
///
/// When it can't be restored; then nothing has changed.
pub(super) async fn stage(
    visit: &Visit,
    archive: &Path,
    secret: &str,
    dry_run: bool,
    by: &str,
) -> Result<Staged, ControlError> {
    let opener = Opener::typed(secret);
    visit.admin.control.stage_restore(archive, opener, dry_run, by, Some(visit.address())).await
}

/// The archive of a form that browsers send with a file, and what was typed beside it. The file comes last.
pub(super) struct Form {
    parts: multer::Multipart<'static>,
    /// What was typed.
    pub(super) fields: super::form::Fields,
}

/// The most characters of what is typed beside a file.
const LONGEST_FIELD: usize = 8_192;

/// The most fields beside a file, empty ones as well: who sends them may be nobody that the box knows.
const MOST_FIELDS: usize = 16;

impl Form {
    /// Reads what comes before the file.
    ///
    /// # Errors
    ///
    /// When it is no such form.
    pub(super) fn of(request: axum::extract::Request) -> Result<Self, Failure> {
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default();
        let boundary = multer::parse_boundary(kind).map_err(|error| Failure::input(error.to_string()))?;
        let parts = multer::Multipart::new(request.into_body().into_data_stream(), boundary);
        Ok(Self { parts, fields: super::form::Fields::default() })
    }

    /// Reads on to the file; `check` looks at what was typed before any of the file is read.
    ///
    /// # Errors
    ///
    /// When there is no file, or what `check` says.
    pub(super) async fn file<C, F>(
        mut self,
        visit: &Visit,
        check: C,
    ) -> Result<(super::form::Fields, Came), Failure>
    where
        C: FnOnce(super::form::Fields) -> F,
        F: Future<Output = Result<(), Failure>>,
    {
        let wrong = |error: multer::Error| Failure::input(error.to_string());
        while let Some(mut field) = self.parts.next_field().await.map_err(wrong)? {
            let name = field.name().unwrap_or_default().to_owned();
            if name == "file" {
                check(self.fields.clone()).await?;
                let came = receive(visit, field).await?;
                if came.bytes == 0 {
                    break;
                }
                return Ok((self.fields, came));
            }
            if self.fields.0.len() >= MOST_FIELDS || name.len() > LONGEST_FIELD {
                return Err(Failure::input("there are too many fields"));
            }
            let mut text = Vec::new();
            while let Some(chunk) = field.chunk().await.map_err(wrong)? {
                text.extend_from_slice(&chunk);
                if text.len() > LONGEST_FIELD {
                    return Err(Failure::input("a field is too long"));
                }
            }
            self.fields.0.push((name, String::from_utf8_lossy(&text).into_owned()));
        }
        Err(Failure::input(visit.words.get("backup-file-wanted")))
    }
}
