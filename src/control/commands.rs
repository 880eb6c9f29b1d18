//! Commands, as they come over the socket or from the command line, each led to the method that does it.

use super::{Answer, Control, ControlError, Edit, EditAsked, Request, backup::looked};
use crate::{
    accounts::AccountChange,
    backup::{self, Lock, Opener},
};

impl Control {
    /// Does what a command asks.
    ///
    /// # Errors
    ///
    /// Says what was wrong with the request, or what could not be done; then nothing has changed.
    pub async fn handle(&self, request: Request) -> Result<Answer, ControlError> {
        Ok(match request {
            Request::Check(request) => Answer::Check(self.check(&request).await?),
            Request::Audit { limit } => Answer::Audit(self.audit(limit)?),
            Request::VerifyAudit => Answer::AuditProof(self.verify_audit()?),
            Request::AccountChanged { action, detail, by } => {
                let change = AccountChange::said(&action, detail)
                    .ok_or_else(|| ControlError::Input(format!("`{action}` is no change of accounts")))?;
                self.record_account(&change, &by)?;
                Answer::Recorded
            }
            Request::BackupCreate { to, recipient, passphrase, extras, by } => {
                let lock = match (recipient, passphrase) {
                    (Some(key), _) => Lock::recipient(&key)?,
                    (None, passphrase) => Lock::passphrase(&passphrase.unwrap_or_default())?,
                };
                let name = backup::name_of("schoolgate", self.clock.now());
                let to = looked(move || if to.is_dir() { to.join(name) } else { to }).await?;
                Answer::BackupMade(self.make_backup(&to, lock, extras, &by, None).await?)
            }
            Request::BackupDrill { file, secret, by } => {
                let (manifest, users) = match file {
                    None => self.drill_newest(&by, None).await?,
                    Some(file) => {
                        let opener = Opener::typed(&secret.unwrap_or_default());
                        let from = file.parent().unwrap_or(&file).display().to_string();
                        self.drill_backup(&file, opener, &from, &by, None).await?
                    }
                };
                Answer::BackupDrilled { manifest, users }
            }
            Request::BackupRun { by } => Answer::BackupRun(self.run_backup(&by, None).await?),
            Request::BackupStatus => {
                let settings = self.backup_settings()?.map(|settings| settings.said());
                Answer::BackupStatus { settings, history: self.backup_history() }
            }
            Request::PolicyExport => {
                let state = self.state();
                Answer::Policy { text: state.file.to_toml(), revision: state.revision }
            }
            Request::PolicyImport { name, text, by, dry_run } => {
                Answer::Imported(self.import(&name, &text, &by, dry_run).await?)
            }
            Request::SelfCheck { of } => Answer::SelfCheck(self.self_check(of).await?),
            Request::PolicyValidate { name, text } => Answer::Validated(self.validate(name, &text)),
            Request::ListsStatus => Answer::Lists(self.lists()),
            Request::ListsSuppliers => Answer::Suppliers(self.lists().suppliers),
            Request::ListsUpdate { ids, dry_run, by } => {
                Answer::Updated(self.update_lists(&ids, &by, dry_run).await?)
            }
            Request::ListsUpload { id, file, accept, by } => {
                Answer::Updated(self.upload(&id, &file, accept, &by).await?)
            }
            Request::ListsAdd { lists, dry_run, by } => {
                let asked = EditAsked { dry_run, ..EditAsked::at_console(&by) };
                Answer::Imported(self.add_lists(lists, asked).await?.into())
            }
            Request::ListsText { id } => Answer::Text(self.own_text(&id)?),
            Request::ListsEdit { id, text, by } => {
                self.own_text(&id)?;
                let edit = Edit::WriteList { list: id, text };
                Answer::Imported(self.edit(vec![edit], EditAsked::at_console(&by)).await?.into())
            }
            Request::ListsRemove { id, by } => {
                let edit = Edit::RemoveList { list: id };
                Answer::Imported(self.edit(vec![edit], EditAsked::at_console(&by)).await?.into())
            }
            Request::ListsDiff { id, from, to, most } => Answer::Diff(self.diff(&id, from, to, most).await?),
            Request::ListsAccept { ids, by } => {
                Answer::Lists(self.accept_lists(&ids, &EditAsked::at_console(&by)).await?)
            }
            Request::ListsRollback { id, to, by } => {
                Answer::Lists(self.roll_back(&id, to, &EditAsked::at_console(&by)).await?)
            }
            Request::ListsWhy { name } => Answer::Why(self.why(&name)?),
            Request::LogExport { actor, export } => {
                Answer::LogPackage(self.log_export(&actor, export).await?)
            }
            Request::LogSubject { actor, subject } => {
                Answer::LogPackage(self.log_subject(&actor, subject).await?)
            }
            Request::LogReveal { actor, reveal } => {
                Answer::LogRevealed(self.log_reveal(&actor, reveal).await?)
            }
            Request::Seen { days } => Answer::Seen(self.new_names(days)?),
            Request::LogSearch(asked) => Answer::Log(self.log_search(asked, None).await?),
            Request::LogTail(_) => {
                let message =
                    String::from("the log can only be followed over the socket of a running server");
                return Err(ControlError::Server { message, bad_input: false });
            }
            Request::LogHoldAdd { hold, by } => Answer::Hold(self.add_hold(hold, &by).await?),
            Request::LogHolds => Answer::Holds(self.holds()?),
            Request::LogHoldLift { id, why, by } => Answer::Hold(self.lift_hold(&id, &why, &by).await?),
            Request::LogErase { erase, by } => Answer::Erased(self.erase(erase, &by).await?),
            Request::LogStats { day } => Answer::LogStats(self.log_stats(day).await?),
        })
    }
}
