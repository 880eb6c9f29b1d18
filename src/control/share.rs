//! What an administrator asks of the appliance's machine for backups: a shared folder of a server.

use std::{net::IpAddr, sync::Arc};

use super::{Control, ControlError};
use crate::machine::{Asked, MachineError, Outcome, Share};

impl Control {
    /// Gives the box a shared folder for backups. It is tried first, and what was there before stays where it can't be
    /// had. Without a password the one that is known stays, as long as it is for the same user of the same server.
    ///
    /// # Errors
    ///
    /// When something is not right, or the folder can't be had or written to; then nothing has changed.
    pub async fn set_share(
        self: &Arc<Self>,
        new: &Share,
        password: Option<&str>,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Outcome, ControlError> {
        let machine = self.machine().ok_or(MachineError::NotThere)?;
        let new = new.checked().map_err(MachineError::Wrong)?;
        let password = password.filter(|password| !password.is_empty());
        let is_known = machine.share().is_some_and(|known| known.has_same_user(&new));
        if password.is_none() && !is_known {
            let wanted = vec![format!("give the password of {}", new.user)];
            return Err(MachineError::Wrong(wanted).into());
        }
        let request = new.request(password).map_err(|why| MachineError::Wrong(vec![why]))?;
        let detail = format!("{} as {}", new.said(), new.user);
        self.ask((Asked::Share, request.to_string()), ("share.set", &detail), by, from).await
    }

    /// Forgets the shared folder for backups, and its password. What lies there stays.
    ///
    /// # Errors
    ///
    /// When the box does not take it.
    pub async fn remove_share(
        self: &Arc<Self>,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Outcome, ControlError> {
        self.ask((Asked::Share, String::new()), ("share.remove", ""), by, from).await
    }
}
