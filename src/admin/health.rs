//! How the box is: what works, and what somebody should look at. The overview, the banners and monitoring ask here.

use jiff::{SignedDuration, Timestamp};
use rustix::fs::statvfs;

use super::{
    Admin,
    access::Right,
    when::{When, weekday},
    words::Words,
};
use crate::{
    control::{ListsReport, Standing},
    machine::Look as Seen,
    policy::{Mode, Supply},
    querylog::{
        Action,
        rollup::{By, CountQuery, Step},
    },
};

/// No box was made before 2026: a clock that says so is not set.
const EARLIEST: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Of fewer questions than this, nobody can say whether resolving fails.
const TELLING: u64 = 20;

/// How many questions in a hundred fail on a bad day.
const MANY: u64 = 20;

/// How many questions in a hundred fail when nothing can be resolved.
const NEARLY_ALL: u64 = 80;

/// How many bytes of the disk are to be free, at least.
const ROOM: u64 = 1_000_000_000;

/// Half a minute is no clock that went back.
const SLACK: SignedDuration = SignedDuration::from_secs(30);

/// A part of the box that works or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Resolver,
    Lists,
    Log,
    Disk,
    Clock,
    Certificate,
    Settings,
    /// The machine of an appliance: its network, memory, versions, services.
    Machine,
    /// What the school has to see to, rather than the box.
    School,
}

impl Part {
    /// Those of the box, as the overview shows them.
    pub(super) const OF_THE_BOX: [Self; 7] =
        [Self::Resolver, Self::Lists, Self::Log, Self::Disk, Self::Clock, Self::Certificate, Self::Settings];

    /// The word for monitoring.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Resolver => "resolver",
            Self::Lists => "lists",
            Self::Log => "log",
            Self::Disk => "disk",
            Self::Clock => "clock",
            Self::Certificate => "certificate",
            Self::Settings => "settings",
            Self::Machine => "machine",
            Self::School => "school",
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// All is well.
    Good,
    /// Somebody should look at it, one of these days.
    Look,
    /// Something does not work.
    Bad,
}

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) part: Part,
    pub(super) level: Level,
    what: What,
    /// What exactly, as the part said it that found out; for those who look after that part. Empty where the sentence
    /// says all.
    pub(super) detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    ListsLost,
    ListHeld {
        list: String,
    },
    ListMissing {
        list: String,
    },
    ListStale {
        list: String,
        since: Option<Timestamp>,
    },
    SupplierMissing {
        category: String,
    },
    SupplierOverdue {
        category: String,
    },
    LogOff,
    LogFailing,
    LogLost {
        questions: u64,
    },
    LogDamaged,
    LogSink {
        to: String,
    },
    LogKeeping,
    DiskLow {
        free: u64,
    },
    DiskFull,
    ClockNotSet,
    ClockWentBack,
    Certificate,
    CertificateEnded,
    SettingsUnreadable,
    NoKey,
    Failing {
        percent: u64,
    },
    ReviewDue,
    ContactUnconfirmed,
    BackupFailed,
    DrillDue,
    /// What the appliance found out of itself, by the key of its sentence.
    Machine(&'static str),
    /// A profile blocks nothing that could be allowed.
    Watching,
    /// All of them, for a trial until a day.
    Trial {
        day: String,
    },
    TrialOver,
}

impl Finding {
    fn new(part: Part, level: Level, what: What) -> Self {
        Self { part, level, what, detail: String::new() }
    }

    fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The sentence that says it.
    pub(super) fn say(&self, words: &Words, when: &When, now: Timestamp) -> String {
        match &self.what {
            What::ListsLost => words.get("health-lists-lost"),
            What::ListHeld { list } => words.with("health-list-held", [("list", list.into())]),
            What::ListMissing { list } => words.with("health-list-missing", [("list", list.into())]),
            What::ListStale { list, since: Some(since) } => {
                let since = when.minute(*since, now);
                words.with("health-list-stale", [("list", list.into()), ("since", since.into())])
            }
            What::ListStale { list, since: None } => words.with("health-list-never", [("list", list.into())]),
            What::SupplierMissing { category } => {
                words.with("health-supplier-missing", [("category", category.into())])
            }
            What::SupplierOverdue { category } => {
                words.with("health-supplier-overdue", [("category", category.into())])
            }
            What::LogOff => words.get("health-log-off"),
            What::LogFailing => words.get("health-log-failing"),
            What::LogLost { questions } => {
                words.with("health-log-lost", [("questions", (*questions).into())])
            }
            What::LogDamaged => words.get("health-log-damaged"),
            What::LogSink { to } => words.with("health-log-sink", [("to", to.into())]),
            What::LogKeeping => words.get("health-log-keeping"),
            What::DiskLow { free } => words.with("health-disk-low", [("free", bytes(*free).into())]),
            What::DiskFull => words.get("health-disk-full"),
            What::ClockNotSet => words.get("health-clock-not-set"),
            What::ClockWentBack => words.get("health-clock-back"),
            What::Certificate => words.get("health-certificate"),
            What::CertificateEnded => words.get("health-certificate-ended"),
            What::SettingsUnreadable => words.get("health-settings"),
            What::NoKey => words.get("health-no-key"),
            What::Failing { percent } => words.with("health-failing", [("percent", (*percent).into())]),
            What::ReviewDue => words.get("health-review-due"),
            What::ContactUnconfirmed => words.get("health-contact-unconfirmed"),
            What::BackupFailed => words.get("health-backup-failed"),
            What::DrillDue => words.get("health-drill-due"),
            What::Machine(key) => words.get(key),
            What::Watching => words.get("banner-watch"),
            What::Trial { day } => words.with("banner-trial", [("day", day.into())]),
            What::TrialOver => words.get("banner-trial-over"),
        }
    }

    /// Whether it is that a profile only watches.
    pub(super) fn is_watching(&self) -> bool {
        matches!(self.what, What::Watching | What::Trial { .. } | What::TrialOver)
    }

    /// Whether it is that nobody is named who supplies a list of illegal content.
    pub(super) fn is_supplier_missing(&self) -> bool {
        matches!(self.what, What::SupplierMissing { .. })
    }

    /// Where it can be seen to.
    pub(super) fn link(&self) -> &'static str {
        match (self.part, &self.what) {
            (_, What::ReviewDue) => "/users",
            (_, What::ContactUnconfirmed) => "/set-up/people#contact",
            (_, What::BackupFailed) => "/system/backup",
            (_, What::DrillDue) => "/system/backup#drill",
            (_, What::Machine(_)) => "/system/machine",
            (_, What::Watching) => "/policy",
            (_, What::Trial { .. } | What::TrialOver) => "/set-up/start",
            (Part::School, _) => "/limits#suppliers",
            (Part::Lists, _) => "/lists",
            (Part::Log, _) => "/log",
            _ => "/system",
        }
    }

    /// The right of those who can see to it, and who may know what exactly it is.
    pub(super) fn right(&self) -> Right {
        match (self.part, &self.what) {
            (_, What::ReviewDue) => Right::ManageUsers,
            (_, What::ContactUnconfirmed) => Right::ChangeSystem,
            (_, What::BackupFailed) => Right::SeeSystem,
            (_, What::DrillDue) => Right::ChangeSystem,
            (_, What::Machine(_)) => Right::SeeSystem,
            (_, What::Watching) => Right::SeePolicy,
            (_, What::Trial { .. } | What::TrialOver) => Right::ChangeSystem,
            (Part::School, _) => Right::ChangeLimits,
            (Part::Lists, _) => Right::SeeLists,
            (Part::Log, _) => Right::SeeLog,
            _ => Right::SeeSystem,
        }
    }
}

/// What the parts say of themselves while all is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// Questions that were resolved lately, and how many of them failed.
    pub(super) resolved: u64,
    pub(super) failed: u64,
    /// How many lists are in force.
    pub(super) lists: u64,
    /// How many names they have.
    pub(super) names: u64,
    /// When the newest version of a list came.
    pub(super) newest_list: Option<Timestamp>,
    /// When the log was written last.
    pub(super) last_written: Option<Timestamp>,
    /// How many questions were written since the start.
    pub(super) written: u64,
    /// How much of the disk is free, and how large it is, in bytes.
    pub(super) disk: Option<(u64, u64)>,
    /// When the certificate ends; none where TLS is not served.
    pub(super) certificate: Option<Timestamp>,
    /// The number of the policy in force.
    pub(super) revision: i64,
}

/// How the box is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Health {
    /// When it was looked at.
    pub(super) at: Timestamp,
    /// What somebody should look at, the worst first.
    pub(super) findings: Vec<Finding>,
    pub(super) facts: Facts,
    /// How things stand with lists and settings.
    pub(super) standing: Standing,
}

impl Health {
    /// Looks at everything. For threads that may block.
    pub(super) fn of(admin: &Admin) -> Self {
        let now = admin.clock.now();
        let standing = admin.control.standing();
        let lists = admin.control.lists();
        let mut look = Look { admin, now, findings: Vec::new() };
        let (resolved, failed) = look.resolver();
        look.lists(&lists, &standing);
        look.findings.extend(of_the_policy(admin));
        let (last_written, written) = look.log();
        let disk = look.disk();
        look.clock(last_written);
        let certificate = look.certificate();
        look.settings(&standing);
        look.people();
        look.backups();
        look.machine();
        let mut findings = look.findings;
        // The order of the parts stays within a level.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        let versions = lists.lists.iter().filter_map(|list| list.subscription.as_ref()?.since);
        let facts = Facts {
            resolved,
            failed,
            lists: lists.lists.iter().filter(|list| list.entries.is_some()).count() as u64,
            names: standing.names,
            newest_list: versions.max(),
            last_written,
            written,
            disk,
            certificate,
            revision: standing.revision,
        };
        Self { at: now, findings, facts, standing }
    }

    /// How a part is.
    pub(super) fn level(&self, part: Part) -> Level {
        let of_part = self.findings.iter().filter(|finding| finding.part == part);
        of_part.map(|finding| finding.level).max().unwrap_or(Level::Good)
    }

    /// How the box is as a whole.
    pub(super) fn worst(&self) -> Level {
        self.findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Good)
    }

    /// Whether a profile only watches.
    pub(super) fn is_watching(&self) -> bool {
        self.findings.iter().any(Finding::is_watching)
    }

    /// What does not work.
    pub(super) fn broken(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.level == Level::Bad)
    }
}

/// What the school has to see to in its policy, of which every page reminds. It needs no look at the disk.
pub(super) fn of_the_policy(admin: &Admin) -> Vec<Finding> {
    let (policy, now) = (admin.control.policy().load_full(), admin.clock.now());
    let file = policy.file();
    let mut findings = Vec::new();
    let mut add = |what| findings.push(Finding::new(Part::School, Level::Look, what));
    for supplied in file.suppliers(admin.control.categories(), now) {
        if supplied.by == Supply::Nobody {
            add(What::SupplierMissing { category: supplied.title });
        } else if supplied.overdue {
            add(What::SupplierOverdue { category: supplied.title });
        }
    }
    if file.profiles.iter().any(|profile| profile.mode == Mode::Watch) {
        add(match admin.trial() {
            Some((_, ..=0)) => What::TrialOver,
            Some((trial, _)) => What::Trial { day: weekday(trial.ends) },
            None => What::Watching,
        });
    }
    findings
}

/// A look at the parts, one after the other.
struct Look<'a> {
    admin: &'a Admin,
    now: Timestamp,
    findings: Vec<Finding>,
}

impl Look<'_> {
    fn add(&mut self, part: Part, level: Level, what: What) {
        self.findings.push(Finding::new(part, level, what));
    }

    /// Whether names can be resolved, by what became of the questions of this hour, or of the last one as well while
    /// this one is young.
    fn resolver(&mut self) -> (u64, u64) {
        let hour = |n: i64| self.now - SignedDuration::from_hours(n);
        let mut counted = (0, 0);
        for n in 0..2 {
            let query = CountQuery {
                from: hour(n),
                to: hour(n - 1),
                step: Step::Hour,
                by: vec![By::Action],
                profile: None,
                category: None,
                action: None,
            };
            // What can't be read is told by what is said of the log.
            let counts = self.admin.control.keeping().rollup().counts(&query).unwrap_or_default();
            // `to` is within the hour that follows, which is not meant.
            let wanted = counts.iter().filter(|count| count.from <= hour(n));
            for count in wanted {
                match count.action.as_deref().and_then(Action::from_word) {
                    Some(Action::Failed) => counted.1 += count.questions,
                    Some(Action::Allowed | Action::Rewritten) => counted.0 += count.questions,
                    _ => {}
                }
            }
            if counted.0 + counted.1 >= TELLING {
                break;
            }
        }
        let (answered, failed) = counted;
        let all = answered + failed;
        if all >= TELLING {
            let percent = failed.saturating_mul(100) / all;
            if percent >= MANY {
                let level = if percent >= NEARLY_ALL { Level::Bad } else { Level::Look };
                self.add(Part::Resolver, level, What::Failing { percent });
            }
        }
        (all, failed)
    }

    fn lists(&mut self, lists: &ListsReport, standing: &Standing) {
        if !standing.lists {
            self.add(Part::Lists, Level::Bad, What::ListsLost);
        }
        for list in &lists.lists {
            let Some(subscription) = &list.subscription else { continue };
            let title = list.title.clone();
            let found = match (&subscription.held, &subscription.error, subscription.number) {
                (Some(held), _, _) => Some((What::ListHeld { list: title }, held.reasons.join("; "))),
                (None, Some(error), None) => Some((What::ListMissing { list: title }, error.clone())),
                // One try that failed is no news.
                (None, Some(error), Some(_)) if subscription.failures > 1 => {
                    let since = subscription.last_success;
                    Some((What::ListStale { list: title, since }, error.clone()))
                }
                _ => None,
            };
            if let Some((what, why)) = found {
                self.findings.push(Finding::new(Part::Lists, Level::Look, what).because(why));
            }
        }
    }

    fn log(&mut self) -> (Option<Timestamp>, u64) {
        for alarm in self.admin.control.keeping().alarms() {
            let finding = if alarm.about == "disk" {
                Finding::new(Part::Disk, Level::Bad, What::DiskFull)
            } else {
                Finding::new(Part::Log, Level::Look, What::LogKeeping)
            };
            self.findings.push(finding.because(alarm.what));
        }
        let Some(log) = &self.admin.log else {
            self.add(Part::Log, Level::Bad, What::LogOff);
            return (None, 0);
        };
        let status = log.status();
        if let Some(why) = &status.failing {
            self.findings.push(Finding::new(Part::Log, Level::Bad, What::LogFailing).because(why));
        }
        let questions: u64 = status.lost.values().sum();
        if questions > 0 {
            let why: Vec<&str> = status.lost.keys().map(String::as_str).collect();
            let finding = Finding::new(Part::Log, Level::Look, What::LogLost { questions });
            self.findings.push(finding.because(why.join(", ")));
        }
        if !status.set_aside.is_empty() {
            let files: Vec<String> = status.set_aside.iter().map(|file| file.display().to_string()).collect();
            let finding = Finding::new(Part::Log, Level::Look, What::LogDamaged);
            self.findings.push(finding.because(files.join(", ")));
        }
        for sink in &status.sinks {
            if let Some(why) = &sink.error {
                let what = What::LogSink { to: sink.address.clone() };
                self.findings.push(Finding::new(Part::Log, Level::Look, what).because(why));
            }
        }
        (status.last_commit, status.written)
    }

    fn disk(&mut self) -> Option<(u64, u64)> {
        let disk = statvfs(self.admin.control.folder()).ok()?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let size = disk.f_blocks.saturating_mul(disk.f_frsize);
        if free < ROOM {
            self.add(Part::Disk, Level::Look, What::DiskLow { free });
        }
        Some((free, size))
    }

    fn clock(&mut self, last_written: Option<Timestamp>) {
        if self.now < EARLIEST {
            self.add(Part::Clock, Level::Bad, What::ClockNotSet);
        } else if last_written.is_some_and(|last| last.duration_since(self.now) > SLACK) {
            self.add(Part::Clock, Level::Look, What::ClockWentBack);
        }
    }

    fn certificate(&mut self) -> Option<Timestamp> {
        let status = self.admin.certificates.as_ref()?.status(self.now);
        if status.not_after <= self.now {
            self.add(Part::Certificate, Level::Bad, What::CertificateEnded);
        } else if let Some(problem) = status.problem {
            self.findings
                .push(Finding::new(Part::Certificate, Level::Look, What::Certificate).because(problem));
        }
        Some(status.not_after)
    }

    fn settings(&mut self, standing: &Standing) {
        if !standing.settings {
            self.add(Part::Settings, Level::Bad, What::SettingsUnreadable);
        }
        if !standing.key {
            self.add(Part::Settings, Level::Look, What::NoKey);
        }
    }

    fn backups(&mut self) {
        let control = &self.admin.control;
        if let Some(why) = control.backup_problem() {
            self.findings.push(Finding::new(Part::Settings, Level::Look, What::BackupFailed).because(why));
        }
        // A box whose first backup is not there yet has nothing to try.
        let has_backup = control.backup_history().good.is_some();
        if has_backup && matches!(control.backup_settings(), Ok(Some(_))) && control.is_drill_due() {
            self.add(Part::Settings, Level::Look, What::DrillDue);
        }
    }

    /// What the appliance's own look found, where this is one.
    fn machine(&mut self) {
        let Some(machine) = self.admin.control.machine() else { return };
        for one in machine.health().unwrap_or_default() {
            let level = match one.state {
                Seen::Ok => continue,
                Seen::Warn => Level::Look,
                Seen::Bad => Level::Bad,
            };
            let (part, key) = match one.what.as_str() {
                "disk" => (Part::Disk, "health-box-disk"),
                "room" => (Part::Disk, "health-box-room"),
                "clock" => (Part::Clock, "health-box-clock"),
                "network" => (Part::Machine, "health-box-network"),
                "memory" => (Part::Machine, "health-box-memory"),
                "heat" => (Part::Machine, "health-box-heat"),
                "power" => (Part::Machine, "health-box-power"),
                "system" => (Part::Machine, "health-box-system"),
                "services" => (Part::Machine, "health-box-services"),
                _ => (Part::Machine, "health-box-other"),
            };
            self.findings.push(Finding::new(part, level, What::Machine(key)).because(one.text));
        }
    }

    fn people(&mut self) {
        if self.admin.accounts.review_state().is_ok_and(|review| review.is_due) {
            self.add(Part::School, Level::Look, What::ReviewDue);
        }
        let school = self.admin.school.file();
        let has_address = !school.people.safeguarding_lead.email.is_empty();
        if has_address && self.admin.control.mail().is_some() && school.lead_confirmed().is_none() {
            self.add(Part::School, Level::Look, What::ContactUnconfirmed);
        }
    }
}

/// `312 MB`, `2.4 GB`.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        1_000_000_000..100_000_000_000 => {
            format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10)
        }
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::tests::TestBox;

    #[tokio::test]
    async fn a_new_box_works_and_asks_who_supplies_what_is_illegal() {
        let school = TestBox::new().await;
        let health = Health::of(&school.admin);
        assert_eq!(health.broken().count(), 0, "{:?}", health.findings);
        assert_eq!(health.worst(), Level::Look);
        let words = school.admin.words.choose("en");
        let when = When::of(&school.admin.control.policy().load());
        let said: Vec<String> =
            health.findings.iter().map(|finding| finding.say(&words, &when, health.at)).collect();
        assert!(said.iter().any(|said| said.contains("Nobody is named as supplier")), "{said:?}");
        assert!(health.findings.iter().all(|finding| finding.part == Part::School), "{said:?}");
        assert!(health.facts.lists > 0 && health.facts.names > 1_000);
    }

    #[tokio::test]
    async fn a_clock_that_is_not_set_is_told() {
        let school = TestBox::unclaimed_at("1970-01-01T00:10:00Z");
        let health = Health::of(&school.admin);
        assert_eq!(health.level(Part::Clock), Level::Bad);
        assert!(health.broken().any(|finding| finding.part == Part::Clock));
    }

    #[test]
    fn sizes_are_legible() {
        assert_eq!(bytes(312_450_000), "312 MB");
        assert_eq!(bytes(2_450_000_000), "2.4 GB");
        assert_eq!(bytes(512_000_000_000), "512 GB");
    }
}
