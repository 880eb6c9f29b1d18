//! A trial, for which profiles only watch, until filtering begins by itself on the day that was said when it began.
//!
//! Only ever towards filtering does anything happen by itself: to watch for longer takes somebody, with a reason.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use jiff::{ToSpan as _, civil::Date};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::{Control, ControlError, Edit, EditAsked, ProfileEdit};
use crate::{
    policy::{Mode, PolicyFile, Tables},
    querylog::search::zone,
    school::{School, SchoolFile, Trial},
    store::AuditRecord,
};

/// How many days a trial has.
const DAYS: i32 = 7;

/// How many days from today a trial can be prolonged to.
const LONGEST: i32 = 28;

/// How often is looked whether the day has come.
const AGAIN: Duration = Duration::from_secs(60);

/// Who ends it, for the audit.
const WHO: &str = "the server";

impl Control {
    /// Writes down that a trial begins today. `before` is the policy before its profiles only watched; a trial that goes
    /// on already ends on the day that was said.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn begin_trial(&self, school: &School, before: &PolicyFile) -> io::Result<()> {
        let today = self.today();
        school.change(|file| {
            let trial = file.trial.get_or_insert_with(|| Trial {
                began: today,
                ends: today.saturating_add(DAYS.days()),
                modes: BTreeMap::new(),
            });
            for profile in before.profiles.iter().filter(|profile| profile.mode != Mode::Watch) {
                trial.modes.insert(profile.id.clone(), profile.mode);
            }
        })
    }

    /// Has a trial that goes on end on a later day.
    ///
    /// # Errors
    ///
    /// When there is none, the day is not a later one or too far away, no reason is given
    /// ([`ControlError::ReasonWanted`]), or whoever asks may open nothing on their own word; then nothing has changed.
    pub fn prolong_trial(&self, school: &School, ends: Date, asked: &EditAsked) -> Result<(), ControlError> {
        let reason = asked.reason()?;
        let Some(trial) = school.file().trial.clone() else {
            return Err(ControlError::Input(String::from(
                "there is no trial to prolong: begin one, with its reason",
            )));
        };
        let latest = self.latest_end();
        if ends <= trial.ends || ends > latest {
            return Err(ControlError::Input(format!(
                "{ends} can't be the end of the trial: write a day after {}, {latest} at the latest",
                trial.ends
            )));
        }
        if asked.propose {
            return Err(ControlError::Input(String::from(
                "to watch for longer leaves open what would be blocked: ask the head, the safeguarding lead or the policy owner",
            )));
        }
        if reason.is_empty() {
            return Err(ControlError::ReasonWanted {
                loosens: vec![format!("Profiles would only watch until {ends}.")],
            });
        }
        let mut prolonged = false;
        let written = school.change(|file| {
            // It may have ended a moment ago.
            if let Some(known) = file.trial.as_mut().filter(|known| **known == trial) {
                known.ends = ends;
                prolonged = true;
            }
        });
        written.map_err(ControlError::School)?;
        if !prolonged {
            return Err(ControlError::Input(String::from(
                "the trial was changed meanwhile: look at it again",
            )));
        }
        let detail = format!("filtering begins on {ends}, was to begin on {}", trial.ends);
        self.keep_record(AuditRecord {
            before: Some(trial.ends.to_string()),
            after: Some(ends.to_string()),
            reason: Some(reason.to_owned()),
            from: asked.from.clone(),
            ..AuditRecord::new(self.clock.now(), &asked.by, "trial.prolong", detail)
        });
        Ok(())
    }

    /// The last day that a trial can be prolonged to today.
    #[must_use]
    pub fn latest_end(&self) -> Date {
        self.today().saturating_add(LONGEST.days())
    }

    /// Has profiles that watch for a trial filter, once its day has come.
    ///
    /// # Errors
    ///
    /// When that can't be put in force or written down; then it is due still.
    pub async fn end_trial(&self, school: &School) -> Result<(), ControlError> {
        let due = school.file().trial.clone().filter(|trial| trial.ends <= self.today());
        let Some(trial) = due else { return Ok(()) };
        let file = self.in_force().0;
        let is_of_it = |edit: &ProfileEdit| trial.modes.is_empty() || trial.modes.contains_key(&edit.profile);
        let edits: Vec<Edit> =
            to_filter(&file, Some(&trial)).filter(is_of_it).map(Edit::SetProfile).collect();
        if !edits.is_empty() {
            let reason = format!("the trial that began on {} is over", trial.began);
            self.edit(edits, EditAsked { by: WHO.to_owned(), reason, ..EditAsked::default() }).await?;
            info!(began = %trial.began, "The trial is over, and filtering begins");
        }
        let forget = |file: &mut SchoolFile| {
            file.trial.take_if(|known| *known == trial);
        };
        school.change(forget).map_err(ControlError::School)
    }

    /// Ends a trial when its day comes, until told to stop. The day that came while the box was off counts at once.
    pub async fn keep_trial(self: Arc<Self>, school: Arc<School>, stop: CancellationToken) {
        loop {
            if let Err(error) = self.end_trial(&school).await {
                error!(%error, "The trial is over, and filtering could not begin; it is tried again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }

    /// Today, by the school's clock.
    fn today(&self) -> Date {
        self.clock.now().to_zoned(zone(&self.policy.load())).date()
    }
}

/// What has every profile only watch.
pub fn to_watch(file: &PolicyFile) -> impl Iterator<Item = ProfileEdit> {
    let filtering = file.profiles.iter().filter(|profile| profile.mode != Mode::Watch);
    filtering.map(|profile| set_mode(&profile.id, Mode::Watch))
}

/// What has every profile that only watches filter again: as before the trial, else as it does when it ships.
pub fn to_filter(file: &PolicyFile, trial: Option<&Trial>) -> impl Iterator<Item = ProfileEdit> {
    let watching = file.profiles.iter().filter(|profile| profile.mode == Mode::Watch);
    let mode = move |id: &str| {
        let shipped = Tables::shipped().profiles.iter().find(|shipped| shipped.id == id);
        let before = trial.and_then(|trial| trial.modes.get(id)).copied();
        before.or_else(|| shipped.map(|shipped| shipped.mode)).filter(|mode| *mode != Mode::Watch)
    };
    watching.map(move |profile| set_mode(&profile.id, mode(&profile.id).unwrap_or(Mode::Filter)))
}

fn set_mode(profile: &str, mode: Mode) -> ProfileEdit {
    ProfileEdit { profile: profile.to_owned(), mode: Some(mode), ..ProfileEdit::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        feeds::{self, Feeds, http::SystemLookup},
        store::AuditQuery,
    };

    struct TestBox {
        folder: tempfile::TempDir,
        clock: Clock,
        control: Control,
        school: School,
    }

    /// Thursday 26 November 2026, ten in the morning.
    fn new_box() -> TestBox {
        let folder = tempfile::tempdir().unwrap();
        open(folder, "2026-11-26T10:00:00Z")
    }

    fn open(folder: tempfile::TempDir, at: &str) -> TestBox {
        let clock = Clock::held_at(at.parse().unwrap());
        let config = feeds::Config { automatic: false, ..feeds::Config::default() };
        let feeds = Feeds::new(&config, Arc::new(SystemLookup), clock.clone()).unwrap();
        let control = Control::open(folder.path(), clock.clone(), feeds, 2).unwrap();
        let school = School::open(folder.path());
        TestBox { folder, clock, control, school }
    }

    impl TestBox {
        fn modes(&self) -> Vec<Mode> {
            self.control.in_force().0.profiles.iter().map(|profile| profile.mode).collect()
        }

        fn watches(&self) -> bool {
            self.modes().iter().all(|mode| *mode == Mode::Watch)
        }

        async fn begin(&self) {
            let before = self.control.in_force().0;
            let edits = to_watch(&before).map(Edit::SetProfile).collect();
            self.control.edit(edits, asked("a trial")).await.unwrap();
            self.control.begin_trial(&self.school, &before).unwrap();
        }

        async fn at(&self, time: &str) {
            self.clock.set(time.parse().unwrap());
            self.control.end_trial(&self.school).await.unwrap();
        }
    }

    fn asked(reason: &str) -> EditAsked {
        EditAsked { by: String::from("A. Head"), reason: reason.to_owned(), ..EditAsked::default() }
    }

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn filtering_begins_by_itself_on_the_day_and_is_as_strict_as_it_was() {
        let new = new_box();
        let mut edit = set_mode("ks2", Mode::AllowOnly);
        new.control.edit(vec![Edit::SetProfile(edit.clone())], asked("a test")).await.unwrap();
        let before = new.modes();
        new.begin().await;
        assert!(new.watches());
        new.at("2026-12-02T23:59:59Z").await;
        assert!(new.watches());
        new.at("2026-12-03T00:00:00Z").await;
        assert_eq!(new.modes(), before);
        assert_eq!(new.school.file().trial, None);
        let lines = new.control.audit_page(&AuditQuery::default()).unwrap().lines;
        let last = &lines[0].record;
        assert_eq!((last.by.as_str(), last.action.as_str()), (WHO, "policy.edit"));
        assert_eq!(last.reason.as_deref(), Some("the trial that began on 2026-11-26 is over"));
        // What somebody has watch afterwards is theirs.
        edit.mode = Some(Mode::Watch);
        new.control.edit(vec![Edit::SetProfile(edit)], asked("a look")).await.unwrap();
        new.at("2027-01-01T00:00:00Z").await;
        assert!(new.modes().contains(&Mode::Watch));
    }

    #[tokio::test]
    async fn a_profile_that_watched_before_the_trial_still_does_after_it() {
        let new = new_box();
        let edit = Edit::SetProfile(set_mode("staff", Mode::Watch));
        new.control.edit(vec![edit], asked("a look")).await.unwrap();
        new.begin().await;
        new.at("2026-12-03T10:00:00Z").await;
        let watching = new.control.in_force().0.profiles.into_iter().filter(|p| p.mode == Mode::Watch);
        assert_eq!(watching.map(|profile| profile.id).collect::<Vec<_>>(), ["staff"]);
    }

    #[tokio::test]
    async fn a_box_that_was_off_on_the_day_filters_from_its_next_start() {
        let new = new_box();
        new.begin().await;
        let TestBox { folder, control, .. } = new;
        drop(control);
        let again = open(folder, "2026-12-20T08:00:00Z");
        assert!(again.watches());
        let (control, school) = (Arc::new(again.control), Arc::new(again.school));
        let stop = CancellationToken::new();
        stop.cancel();
        Arc::clone(&control).keep_trial(Arc::clone(&school), stop).await;
        assert!(control.in_force().0.profiles.iter().all(|profile| profile.mode != Mode::Watch));
        assert_eq!(school.file().trial, None);
    }

    #[tokio::test]
    async fn a_trial_is_prolonged_with_a_reason_by_who_may_open_and_not_for_ever() {
        let new = new_box();
        let none = new.control.prolong_trial(&new.school, day("2026-12-10"), &asked("half term"));
        assert!(none.unwrap_err().to_string().contains("no trial"));
        new.begin().await;
        let to = |ends: &str, asked: &EditAsked| new.control.prolong_trial(&new.school, day(ends), asked);
        let why = to("2026-12-10", &asked(" ")).unwrap_err();
        assert!(matches!(why, ControlError::ReasonWanted { .. }), "{why}");
        for wrong in ["2026-12-03", "2026-11-20", "2026-12-25"] {
            assert!(to(wrong, &asked("half term")).unwrap_err().is_bad_input(), "{wrong}");
        }
        let technician = EditAsked { propose: true, ..asked("half term") };
        assert!(to("2026-12-10", &technician).unwrap_err().is_bad_input());
        assert_eq!(new.school.file().trial.as_ref().unwrap().ends, day("2026-12-03"));
        to("2026-12-10", &asked("half term")).unwrap();
        let lines = new.control.audit_page(&AuditQuery::default()).unwrap().lines;
        let last = &lines[0].record;
        assert_eq!((last.action.as_str(), last.reason.as_deref()), ("trial.prolong", Some("half term")));
        assert_eq!((last.before.as_deref(), last.after.as_deref()), (Some("2026-12-03"), Some("2026-12-10")));
        new.at("2026-12-09T10:00:00Z").await;
        assert!(new.watches());
        new.at("2026-12-10T10:00:00Z").await;
        assert!(!new.watches());
    }

    #[tokio::test]
    async fn to_begin_again_prolongs_nothing() {
        let new = new_box();
        new.begin().await;
        new.clock.set("2026-11-30T10:00:00Z".parse().unwrap());
        new.begin().await;
        assert_eq!(new.school.file().trial.as_ref().unwrap().ends, day("2026-12-03"));
        assert!(!new.school.file().trial.as_ref().unwrap().modes.values().any(|mode| *mode == Mode::Watch));
    }
}
