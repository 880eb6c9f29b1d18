//! Places for backups that an appliance has by itself: a USB stick, and a shared folder of a server.

use axum::{extract::Form, response::Response};

use super::{
    super::super::{
        failure::Failure,
        form::{Fields, Refusal},
        machines::machine,
        page::see,
        visit::Visit,
    },
    backup::{Wrong, page},
};
use crate::{
    backup::{Destination, Settings},
    machine::{Outcome, Place, SHARE, STICK, Share},
};

/// What the page shows of them.
pub(super) struct Places {
    pub(super) stick: Option<Place>,
    pub(super) share: Option<Share>,
    pub(super) share_place: Option<Place>,
    form: Fields,
}

impl Places {
    /// Those of the box; none elsewhere than on an appliance. `typed` is a form of the share that was refused.
    pub(super) fn of(visit: &Visit, typed: Option<Fields>) -> Option<Self> {
        let machine = visit.admin.control.machine()?;
        let share = machine.share();
        Some(Self {
            stick: machine.stick(),
            share_place: machine.share_place(),
            form: typed.unwrap_or_else(|| fields(share.as_ref())),
            share,
        })
    }

    /// What a field of the share's form says.
    pub(super) fn get(&self, name: &str) -> &str {
        self.form.get(name)
    }
}

fn fields(share: Option<&Share>) -> Fields {
    let Some(share) = share else { return Fields(Vec::new()) };
    let all = [
        ("share_server", &share.server),
        ("share_name", &share.share),
        ("share_folder", &share.folder),
        ("share_user", &share.user),
        ("share_domain", &share.domain),
    ];
    Fields(all.map(|(name, value)| (name.to_owned(), value.clone())).to_vec())
}

/// The word in the form for a folder.
pub(super) fn kind(settings: &Settings) -> &'static str {
    match &settings.destination {
        Destination::Folder { path, .. } if path.as_os_str() == STICK => "stick",
        Destination::Folder { path, .. } if path.as_os_str() == SHARE => "share",
        _ => "folder",
    }
}

/// The folder that a word of the form stands for.
pub(super) fn folder(kind: &str) -> Option<Destination> {
    let path = match kind {
        "stick" => STICK,
        "share" => SHARE,
        _ => return None,
    };
    Some(Destination::Folder { path: path.into(), own_disk: false })
}

pub(super) async fn set_share(
    visit: Visit,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let known = machine(&visit)?.share();
    let fields = Fields(fields);
    let text = |name: &str| fields.get(name).to_owned();
    let new = Share {
        server: text("share_server"),
        // One that a program set.
        port: known
            .filter(|known| known.server == fields.get("share_server"))
            .map_or(445, |known| known.port),
        share: text("share_name"),
        folder: text("share_folder"),
        user: text("share_user"),
        domain: text("share_domain"),
    };
    let password = Some(fields.whole("share_password"));
    match visit.admin.control.set_share(&new, password, &visit.by(), Some(visit.address())).await {
        Ok(Outcome::Done(_)) => Ok(see("/system/backup#share", "done-share-set")),
        Ok(Outcome::UnderWay) => Ok(see("/system/backup#share", "done-share-under-way")),
        Err(error) => {
            let share = Refusal::of(&visit, error)?;
            page(&visit, None, Some(fields), Wrong::of_share(share)).await
        }
    }
}

pub(super) async fn remove_share(visit: Visit) -> Result<Response, Failure> {
    machine(&visit)?;
    match visit.admin.control.remove_share(&visit.by(), Some(visit.address())).await {
        Ok(_) => Ok(see("/system/backup#share", "done-share-removed")),
        Err(error) => {
            let share = Refusal::of(&visit, error)?;
            page(&visit, None, None, Wrong::of_share(share)).await
        }
    }
}
