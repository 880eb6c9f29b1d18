//! What an administrator asks of the appliance's machine: its network, updates, SSH, and whether it runs.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tracing::{error, info};

use super::{Control, ControlError};
use crate::{
    background::BackgroundError,
    disk,
    machine::{Asked, Machine, MachineError, Network, Outcome, PublicKey, is_window, public_keys},
};

/// Where the appliance has its files.
const RUN: &str = "/run/schoolgate";
const SYSTEM: &str = "/data/system";

/// For how long other settings of the network wait for somebody who says that they are good.
const TRIAL: Duration = Duration::from_secs(300);

/// How often going back is tried, and how long after the one before.
const TRIES: usize = 10;
const AGAIN: Duration = Duration::from_secs(30);

/// The keys for SSH as these pages set them last, in the data folder: where they are in force, only root reads them.
const KEYS: &str = "ssh-keys";

/// The folder of uploads in the data folder.
const UPLOADS: &str = "uploads";

/// Who goes back to the settings of before, for the audit.
const WHO: &str = "the server";

/// The machine, and settings of its network that are on trial.
#[derive(Debug)]
pub(super) struct OfMachine {
    machine: Arc<Machine>,
    trial: Mutex<Option<NetworkTrial>>,
}

impl Default for OfMachine {
    fn default() -> Self {
        Self { machine: Arc::new(Machine::at(RUN.as_ref(), SYSTEM.as_ref())), trial: Mutex::default() }
    }
}

/// Settings that nobody has said yet to be good.
#[derive(Debug, Clone)]
struct NetworkTrial {
    before: Network,
    ends: Timestamp,
    /// By which the one who waits knows his own.
    number: Arc<()>,
}

impl Control {
    /// With another machine than this one.
    #[must_use]
    pub fn with_machine(mut self, machine: Machine) -> Self {
        self.machine.machine = Arc::new(machine);
        self
    }

    /// The machine of the appliance; none elsewhere.
    #[must_use]
    pub fn machine(&self) -> Option<Arc<Machine>> {
        Some(Arc::clone(&self.machine.machine)).filter(|machine| machine.is_there())
    }

    /// Asks, and tells the audit what came of it.
    async fn ask(
        &self,
        (asked, content): (Asked, String),
        (action, detail): (&str, &str),
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Outcome, ControlError> {
        let machine = Arc::clone(&self.machine.machine);
        let done = tokio::task::spawn_blocking(move || machine.ask(asked, &content));
        let done = done.await.map_err(|error| BackgroundError::Panicked {
            name: String::from("machine"),
            message: error.to_string(),
        })?;
        let said = match &done {
            Ok(Outcome::Done(_)) => detail.to_owned(),
            Ok(Outcome::UnderWay) => format!("{detail} (not ended yet)").trim().to_owned(),
            Err(error @ MachineError::Refused(_)) => format!("{detail}: {error}"),
            // Nothing was done.
            Err(_) => return Ok(done?),
        };
        self.audit_from(by, action, &said, from);
        Ok(done?)
    }

    /// Gives the box other settings of its network. The ones of before come back in five minutes, unless somebody
    /// [keeps](Self::keep_network) the new ones.
    ///
    /// # Errors
    ///
    /// When they make no sense, or the box does not take them; then nothing has changed.
    pub async fn set_network(
        self: &Arc<Self>,
        new: &Network,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Timestamp, ControlError> {
        self.set_network_for(new, TRIAL, by, from).await
    }

    /// The same with another trial.
    pub(crate) async fn set_network_for(
        self: &Arc<Self>,
        new: &Network,
        trial: Duration,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Timestamp, ControlError> {
        let new = new.checked().map_err(MachineError::Wrong)?;
        // Where a trial goes on, what is known to be good is what was before that.
        let before = self.network_trial_held().as_ref().map(|trial| trial.before.clone());
        // What can't be understood is DHCP to the box.
        let before = before.or_else(|| self.machine.machine.network()).unwrap_or_default();
        let request = (Asked::Network, new.to_text());
        self.ask(request, ("network.set", &new.said()), by, from).await?;
        let ends = self.clock.now() + SignedDuration::try_from(trial).unwrap_or_default();
        let number = Arc::new(());
        *self.network_trial_held() = Some(NetworkTrial { before, ends, number: Arc::clone(&number) });
        let control = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(trial).await;
            control.end_network_trial(&number).await;
        });
        Ok(ends)
    }

    async fn end_network_trial(&self, number: &Arc<()>) {
        for _ in 0..TRIES {
            let before = match &*self.network_trial_held() {
                Some(trial) if Arc::ptr_eq(&trial.number, number) => trial.before.clone(),
                _ => return,
            };
            let request = (Asked::Network, before.to_text());
            match self.ask(request, ("network.back", &before.said()), WHO, None).await {
                Ok(_) => {
                    info!("Nobody kept the new settings of the network; those of before are back");
                    self.forget_network_trial(Some(number));
                    return;
                }
                Err(error) => error!(%error, "The settings of the network can't be taken back yet"),
            }
            tokio::time::sleep(AGAIN).await;
        }
        self.forget_network_trial(Some(number));
    }

    fn forget_network_trial(&self, number: Option<&Arc<()>>) -> bool {
        let mut trial = self.network_trial_held();
        let is_it =
            trial.as_ref().is_some_and(|one| number.is_none_or(|number| Arc::ptr_eq(&one.number, number)));
        if is_it {
            *trial = None;
        }
        is_it
    }

    fn network_trial_held(&self) -> MutexGuard<'_, Option<NetworkTrial>> {
        // It is there or not.
        self.machine.trial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when somebody must say that the new settings of the network are good; none while nothing waits.
    #[must_use]
    pub fn network_trial(&self) -> Option<Timestamp> {
        self.network_trial_held().as_ref().map(|trial| trial.ends)
    }

    /// Says that the new settings of the network are good.
    pub fn keep_network(&self, by: &str, from: Option<IpAddr>) {
        if self.forget_network_trial(None) {
            self.audit_from(by, "network.keep", "", from);
        }
    }

    /// The keys for SSH that were set here last; none where SSH was not switched on here.
    #[must_use]
    pub fn ssh_keys(&self) -> Vec<PublicKey> {
        let text = disk::read(&self.folder.join(KEYS), 64 << 10).unwrap_or_default();
        public_keys(&String::from_utf8_lossy(&text)).unwrap_or_default()
    }

    /// Says who may come in by SSH as root; without keys, nobody may.
    ///
    /// # Errors
    ///
    /// When one is no key or a weak one, nothing says why, or the box does not take them; then nothing has changed.
    pub async fn set_ssh_keys(
        &self,
        text: &str,
        reason: &str,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<(), ControlError> {
        let keys = public_keys(text).map_err(|why| MachineError::Wrong(vec![why]))?;
        let reason = reason.trim();
        if !keys.is_empty() && reason.is_empty() {
            let loosens = vec![String::from("SSH gives whoever has one of these keys the whole box.")];
            return Err(ControlError::ReasonWanted { loosens });
        }
        let lines: String = keys.iter().map(|key| format!("{}\n", key.line)).collect();
        let detail = if keys.is_empty() {
            String::from("off")
        } else {
            let names: Vec<&str> = keys.iter().map(|key| key.fingerprint.as_str()).collect();
            let reason: String = reason.chars().take(super::LONGEST_REASON).collect();
            format!("{}: {reason}", names.join(", "))
        };
        self.ask((Asked::SshKeys, lines.clone()), ("ssh.set", &detail), by, from).await?;
        let path = self.folder.join(KEYS);
        disk::replace(&path, lines.as_bytes()).map_err(|source| MachineError::File { path, source }.into())
    }

    /// Asks whether there is a newer version; says what the box says.
    ///
    /// # Errors
    ///
    /// When the channel can't be reached or believed.
    pub async fn check_for_update(&self, by: &str, from: Option<IpAddr>) -> Result<Outcome, ControlError> {
        self.ask((Asked::UpdateCheck, String::new()), ("update.check", ""), by, from).await
    }

    /// Has a bundle written to the other slot, as far as its signature is right. `bundle` is a file on the disk of the
    /// data folder, which is gone afterwards.
    ///
    /// # Errors
    ///
    /// When the box does not take it.
    pub async fn install_update(
        &self,
        bundle: PathBuf,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Outcome, ControlError> {
        use std::os::unix::fs::DirBuilderExt as _;

        if self.machine().is_none() {
            return Err(MachineError::NotThere.into());
        }
        let folder = self.folder.join(UPLOADS);
        let place = folder.join("update.raucb");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .and_then(|()| std::fs::rename(&bundle, &place))
            .map_err(|source| MachineError::File { path: place.clone(), source })?;
        let request = (Asked::UpdateInstall, String::from("update.raucb\n"));
        let done = self.ask(request, ("update.install", "an uploaded file"), by, from).await;
        // The box still reads it while it goes on, and removes it then.
        if !matches!(done, Ok(Outcome::UnderWay)) {
            let _ = std::fs::remove_file(&place);
        }
        done
    }

    /// Says when a version that waits may be started.
    ///
    /// # Errors
    ///
    /// When it is no window, or the box does not take it.
    pub async fn set_update_window(
        &self,
        window: &str,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<(), ControlError> {
        let window = window.trim();
        if !is_window(window) {
            let wrong = vec![String::from("a window is written as 02:00-04:30")];
            return Err(MachineError::Wrong(wrong).into());
        }
        let request = (Asked::UpdateWindow, format!("{window}\n"));
        self.ask(request, ("update.window", window), by, from).await.map(drop)
    }

    /// Starts the version that waits, now.
    ///
    /// # Errors
    ///
    /// When none waits, or it can't be started.
    pub async fn switch_update(&self, by: &str, from: Option<IpAddr>) -> Result<Outcome, ControlError> {
        self.ask((Asked::UpdateSwitch, String::new()), ("update.switch", ""), by, from).await
    }

    /// Starts the version of before.
    ///
    /// # Errors
    ///
    /// When there is none that is good.
    pub async fn take_back_update(&self, by: &str, from: Option<IpAddr>) -> Result<Outcome, ControlError> {
        self.ask((Asked::UpdateBack, String::new()), ("update.back", ""), by, from).await
    }

    /// Starts the machine again.
    ///
    /// # Errors
    ///
    /// When the box does not take it.
    pub async fn restart_machine(&self, by: &str, from: Option<IpAddr>) -> Result<Outcome, ControlError> {
        self.last_word((Asked::Restart, ""), "box.reboot", by, from).await
    }

    /// Switches the machine off.
    ///
    /// # Errors
    ///
    /// When the box does not take it.
    pub async fn switch_off(&self, by: &str, from: Option<IpAddr>) -> Result<Outcome, ControlError> {
        self.last_word((Asked::SwitchOff, ""), "box.off", by, from).await
    }

    /// Empties the box: policy, users, log, settings.
    ///
    /// # Errors
    ///
    /// When the box does not take it.
    pub async fn factory_reset(&self, by: &str, from: Option<IpAddr>) -> Result<Outcome, ControlError> {
        self.last_word((Asked::FactoryReset, "RESET\n"), "box.reset", by, from).await
    }

    /// Asks for what may end this program before it can write anything: the audit is told first.
    async fn last_word(
        &self,
        (asked, content): (Asked, &str),
        action: &str,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Outcome, ControlError> {
        if self.machine().is_none() {
            return Err(MachineError::NotThere.into());
        }
        self.audit_from(by, action, "", from);
        let machine = Arc::clone(&self.machine.machine);
        let content = content.to_owned();
        let done = tokio::task::spawn_blocking(move || machine.ask(asked, &content)).await;
        let done = done.map_err(|error| BackgroundError::Panicked {
            name: String::from("machine"),
            message: error.to_string(),
        })?;
        if let Err(error) = &done {
            self.audit_from(by, action, &format!("not done: {error}"), from);
        }
        Ok(done?)
    }
}
