//! What an administrator asks of the appliance's machine: its network, updates, SSH, and whether it runs.

use std::{
    fs, io,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::task::JoinError;
use tracing::{error, info};

use super::{Control, ControlError};
use crate::{
    background::BackgroundError,
    disk,
    machine::{self, Asked, Machine, MachineError, Network, Outcome, PublicKey, is_window, public_keys},
};

/// For how long other settings of the network wait for somebody who says that they are good.
const TRIAL: Duration = Duration::from_secs(300);

/// How long after a try to go back comes the next: the box may be busy with an update for an hour.
const AGAIN: Duration = Duration::from_secs(30);

/// Settings of the network that are on trial, in the data folder, for a start that comes before somebody keeps them.
const ON_TRIAL: &str = "network-trial.json";

/// The keys for SSH as these pages set them last, in the data folder: where they are in force, only root reads them.
const KEYS: &str = "ssh-keys";

/// The folder of uploads in the data folder, and the name of an update there.
const UPLOADS: &str = "uploads";
const BUNDLE: &str = "update.raucb";

/// Who goes back to the settings of before, for the audit.
const WHO: &str = "the server";

/// The machine, and settings of its network that are on trial.
#[derive(Debug)]
pub(super) struct OfMachine {
    machine: Arc<Machine>,
    trial: Mutex<Option<NetworkTrial>>,
    /// Held by whoever gives it other settings of the network, so that each knows which ones were there before.
    setting: tokio::sync::Mutex<()>,
}

impl Default for OfMachine {
    fn default() -> Self {
        let places = machine::Config::default();
        let machine = Arc::new(Machine::at(&places.run, &places.system));
        Self { machine, trial: Mutex::default(), setting: tokio::sync::Mutex::default() }
    }
}

/// Settings that are tried, and those that come back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tried {
    before: Network,
    new: Network,
}

/// Settings that nobody has said yet to be good.
#[derive(Debug, Clone)]
struct NetworkTrial {
    tried: Tried,
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

    /// Asks, and tells the audit what came of it; also where whoever asked has gone away meanwhile.
    pub(super) async fn ask(
        self: &Arc<Self>,
        (asked, content): (Asked, String),
        (action, detail): (&str, &str),
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Outcome, ControlError> {
        let control = Arc::clone(self);
        let (action, detail, by) = (action.to_owned(), detail.to_owned(), by.to_owned());
        let done = tokio::task::spawn_blocking(move || {
            let done = control.machine.machine.ask(asked, &content);
            let said = match &done {
                Ok(Outcome::Done(_)) => detail,
                Ok(Outcome::UnderWay) => format!("{detail} (not ended yet)").trim().to_owned(),
                Err(error @ MachineError::Refused(_)) => format!("{detail}: {error}"),
                // Nothing was done.
                Err(_) => return done,
            };
            control.audit_from(&by, &action, &said, from);
            done
        });
        Ok(done.await.map_err(panicked)??)
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
        let (control, by) = (Arc::clone(self), by.to_owned());
        // The way to whoever asked may be cut by it, and then still all of it has to be done.
        let work = tokio::spawn(async move { control.try_network(new, trial, &by, from).await });
        work.await.map_err(panicked)?
    }

    async fn try_network(
        self: Arc<Self>,
        new: Network,
        trial: Duration,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Timestamp, ControlError> {
        if self.machine().is_none() {
            return Err(MachineError::NotThere.into());
        }
        let _alone = self.machine.setting.lock().await;
        // Where a trial goes on, what is known to be good is what was before that.
        let held = self.network_trial_held().as_ref().map(|trial| trial.tried.clone());
        let before = held.filter(|tried| self.is_in_force(&tried.new)).map(|tried| tried.before);
        // What can't be understood is DHCP to the box.
        let before = before.or_else(|| self.machine.machine.network()).unwrap_or_default();
        let tried = Tried { before, new };
        // First, since the power may go at any moment from now on.
        self.write_on_trial(Some(&tried))?;
        let request = (Asked::Network, tried.new.to_text());
        let asked = self.ask(request, ("network.set", &tried.new.said()), by, from).await;
        let ends = asked.map(|_| self.begin_network_trial(tried, trial));
        // What goes on is written down now: it is another one after a refusal, or the one before ended meanwhile.
        let held = self.network_trial_held().as_ref().map(|trial| trial.tried.clone());
        if let Err(error) = self.write_on_trial(held.as_ref()) {
            error!(%error, "The settings of the network that are on trial can't be written down");
        }
        ends
    }

    fn begin_network_trial(self: &Arc<Self>, tried: Tried, trial: Duration) -> Timestamp {
        let ends = self.clock.now() + SignedDuration::try_from(trial).unwrap_or_default();
        let number = Arc::new(());
        *self.network_trial_held() = Some(NetworkTrial { tried, ends, number: Arc::clone(&number) });
        let control = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(trial).await;
            control.end_network_trial(&number).await;
        });
        ends
    }

    async fn end_network_trial(self: &Arc<Self>, number: &Arc<()>) {
        loop {
            let tried = match &*self.network_trial_held() {
                Some(trial) if Arc::ptr_eq(&trial.number, number) => trial.tried.clone(),
                _ => return,
            };
            // Whoever stands in front of the box has the last word.
            if !self.is_in_force(&tried.new) {
                info!("The settings of the network were changed elsewhere meanwhile, and stay");
                self.forget_network_trial(Some(number));
                return;
            }
            let request = (Asked::Network, tried.before.to_text());
            match self.ask(request, ("network.back", &tried.before.said()), WHO, None).await {
                Ok(_) => {
                    info!("Nobody kept the new settings of the network; those of before are back");
                    self.forget_network_trial(Some(number));
                    return;
                }
                // It would be refused again.
                Err(ControlError::Machine(error @ MachineError::Refused(_))) => {
                    error!(%error, "The settings of the network can't be taken back");
                    self.forget_network_trial(Some(number));
                    return;
                }
                Err(error) => error!(%error, "The settings of the network can't be taken back yet"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn is_in_force(&self, network: &Network) -> bool {
        self.machine.machine.network().as_ref() == Some(network)
    }

    /// Goes on with what was under way on the appliance's machine when this program ended.
    ///
    /// Settings of the network that nobody had kept get their whole time again: whoever can't reach the box switches it
    /// off and on, and how long it was off no clock of a small box knows.
    pub fn resume_machine(self: &Arc<Self>) {
        self.resume_machine_for(TRIAL);
    }

    /// The same with another trial.
    pub(crate) fn resume_machine_for(self: &Arc<Self>, trial: Duration) {
        if self.machine().is_none() {
            return;
        }
        // The box reads its own copy of an update.
        let _ = fs::remove_file(self.folder.join(UPLOADS).join(BUNDLE));
        let text = match disk::read(&self.folder.join(ON_TRIAL), 64 << 10) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            text => text,
        };
        match text.and_then(|text| Ok(serde_json::from_slice::<Tried>(&text)?)) {
            Ok(tried) if self.is_in_force(&tried.new) => {
                info!("Nobody has kept the new settings of the network yet; those of before come back soon");
                self.begin_network_trial(tried, trial);
                return;
            }
            Ok(_) => info!("The settings of the network are no longer those that were on trial"),
            Err(error) => error!(%error, "It can't be read which settings of the network are on trial"),
        }
        if let Err(error) = self.write_on_trial(None) {
            error!(%error, "The settings of the network that were on trial can't be forgotten");
        }
    }

    /// Writes down which settings are on trial; what was written before is gone.
    fn write_on_trial(&self, tried: Option<&Tried>) -> Result<(), ControlError> {
        let path = self.folder.join(ON_TRIAL);
        let written = match tried {
            Some(tried) => serde_json::to_vec(tried)
                .map_err(io::Error::from)
                .and_then(|text| disk::replace(&path, &text)),
            None => disk::remove(&path),
        };
        written.map_err(|source| MachineError::File { path, source }.into())
    }

    fn forget_network_trial(&self, number: Option<&Arc<()>>) -> bool {
        let is_it = self
            .network_trial_held()
            .take_if(|one| number.is_none_or(|number| Arc::ptr_eq(&one.number, number)))
            .is_some();
        if is_it && let Err(error) = self.write_on_trial(None) {
            error!(%error, "The settings of the network that were on trial can't be forgotten");
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
        self: &Arc<Self>,
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
        let (control, by) = (Arc::clone(self), by.to_owned());
        // To its end: keys in force that the pages don't show would be a way in that nobody sees.
        let work = tokio::spawn(async move {
            control.ask((Asked::SshKeys, lines.clone()), ("ssh.set", &detail), &by, from).await?;
            let path = control.folder.join(KEYS);
            disk::replace(&path, lines.as_bytes())
                .map_err(|source| ControlError::from(MachineError::File { path, source }))
        });
        work.await.map_err(panicked)?
    }

    /// Asks whether there is a newer version; says what the box says.
    ///
    /// # Errors
    ///
    /// When the channel can't be reached or believed.
    pub async fn check_for_update(
        self: &Arc<Self>,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Outcome, ControlError> {
        self.ask((Asked::UpdateCheck, String::new()), ("update.check", ""), by, from).await
    }

    /// Has a bundle written to the other slot, as far as its signature is right. `bundle` is a file on the disk of the
    /// data folder, which is gone afterwards.
    ///
    /// # Errors
    ///
    /// When the box does not take it.
    pub async fn install_update(
        self: &Arc<Self>,
        bundle: PathBuf,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Outcome, ControlError> {
        use std::os::unix::fs::DirBuilderExt as _;

        if self.machine().is_none() {
            return Err(MachineError::NotThere.into());
        }
        let folder = self.folder.join(UPLOADS);
        let place = folder.join(BUNDLE);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .and_then(|()| fs::rename(&bundle, &place))
            .map_err(|source| MachineError::File { path: place.clone(), source })?;
        let request = (Asked::UpdateInstall, format!("{BUNDLE}\n"));
        let done = self.ask(request, ("update.install", "an uploaded file"), by, from).await;
        // The box still reads it while it goes on, and removes it then.
        if !matches!(done, Ok(Outcome::UnderWay)) {
            let _ = fs::remove_file(&place);
        }
        done
    }

    /// Says when a version that waits may be started.
    ///
    /// # Errors
    ///
    /// When it is no window, or the box does not take it.
    pub async fn set_update_window(
        self: &Arc<Self>,
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
    pub async fn switch_update(
        self: &Arc<Self>,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Outcome, ControlError> {
        self.ask((Asked::UpdateSwitch, String::new()), ("update.switch", ""), by, from).await
    }

    /// Starts the version of before.
    ///
    /// # Errors
    ///
    /// When there is none that is good.
    pub async fn take_back_update(
        self: &Arc<Self>,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Outcome, ControlError> {
        self.ask((Asked::UpdateBack, String::new()), ("update.back", ""), by, from).await
    }

    /// Starts the machine again.
    ///
    /// # Errors
    ///
    /// When the box does not take it.
    pub async fn restart_machine(
        self: &Arc<Self>,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Outcome, ControlError> {
        self.last_word((Asked::Restart, ""), "box.reboot", by, from).await
    }

    /// Switches the machine off.
    ///
    /// # Errors
    ///
    /// When the box does not take it.
    pub async fn switch_off(
        self: &Arc<Self>,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Outcome, ControlError> {
        self.last_word((Asked::SwitchOff, ""), "box.off", by, from).await
    }

    /// Empties the box: policy, users, log, settings.
    ///
    /// # Errors
    ///
    /// When the box does not take it.
    pub async fn factory_reset(
        self: &Arc<Self>,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Outcome, ControlError> {
        self.last_word((Asked::FactoryReset, "RESET\n"), "box.reset", by, from).await
    }

    /// Asks for what may end this program before it can write anything: the audit is told first.
    async fn last_word(
        self: &Arc<Self>,
        (asked, content): (Asked, &'static str),
        action: &'static str,
        by: &str,
        from: Option<IpAddr>,
    ) -> Result<Outcome, ControlError> {
        if self.machine().is_none() {
            return Err(MachineError::NotThere.into());
        }
        let (control, by) = (Arc::clone(self), by.to_owned());
        let done = tokio::task::spawn_blocking(move || {
            control.audit_from(&by, action, "", from);
            let done = control.machine.machine.ask(asked, content);
            if let Err(error) = &done {
                control.audit_from(&by, action, &format!("not done: {error}"), from);
            }
            done
        });
        Ok(done.await.map_err(panicked)??)
    }
}

fn panicked(error: JoinError) -> ControlError {
    BackgroundError::Panicked { name: String::from("machine"), message: error.to_string() }.into()
}
