//! Every action of an administrator, as one method each; commands and, later, pages call the same.
//!
//! [`Control`] owns what the school decided: it keeps it in the store, compiles lists, builds the policy and swaps it
//! in. Answering only ever reads the policy that was swapped in last.

mod audit;
mod check;
mod directory;
mod edit;
mod error;
mod lessons;
mod lists;
mod log;
mod log_keeping;
mod log_out;
mod lookup;
mod mail;
mod message;
mod novelty;
mod sealed;
mod sight;
pub mod socket;
mod standing;
mod suppliers;
mod zones;

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tracing::{error, info, warn};
use xxhash_rust::xxh3::xxh3_64;

pub use audit::AuditReport;
pub use check::{Asker, CheckReport, CheckRequest, Hop, ListedOn};
pub use directory::{Controller, Directory};
pub use edit::{
    Days, Decided, Edit, EditAsked, EditError, EditReport, InForce, LONGEST_PREVIEW, LONGEST_REASON,
    LaterChange, Lesson, Matrix, MatrixCell, MatrixProfile, MatrixRow, MatrixService, MitigationEdit,
    NewProfile, Opening, Preview, PreviewName, PreviewSide, ProfileEdit, Proposal, RuleEdit, SchoolEdit,
    SupplierEdit, WhichRule,
};
pub use error::ControlError;
pub use lessons::TooRisky;
pub use lists::{
    ChangedName, DiffReport, HeldReport, LibraryError, ListReport, ListsReport, Outcome, SubscriptionReport,
    UpdateReport, Updated, VersionReport, WhyReport,
};
pub(crate) use log::GLANCE;
pub use log::{LogReport, LogTail};
pub use log_keeping::{EraseAsked, HoldAsked, HoldsReport};
pub use log_out::{Actor, ExportRequest, RevealReport, RevealRequest, SAFEGUARDING, SubjectRequest};
pub use lookup::OwnLookup;
pub use message::{Answer, ImportReport, Request, ValidationReport};
pub use novelty::{SeenName, SeenReport};
pub use sight::Sight;
pub use standing::Standing;
pub use suppliers::{SupplierReport, SuppliersReport};
pub use zones::{OwnZone, Resolving, ZONES, backends};

use self::lists::{Compiled, Indexes, Library, News, Undo};
use crate::{
    accounts::AccountChange,
    category::{self, Categories},
    clients::Mac,
    clock::Clock,
    disk,
    feeds::{Feeds, zone::Listener},
    lists::{DomainIndex, Entry, shipped},
    mail::Mail,
    name::Key,
    policy::{self, Knowledge, ListSource, Policy, PolicyErrors, PolicyFile, Problem, Severity},
    querylog::{
        self, QueryLog,
        retention::{Keeper, Keeping},
    },
    resolver::{self, Resolver},
    seen::Seen,
    store::{self, AuditRecord, Store, StoreError},
    vault::{Mask, Vault},
};

/// The folder of the table of names, in the data folder.
pub const SEEN: &str = "seen";

/// How much the audit keeps of what settings were, in characters; the detail has it whole.
const LONGEST_SIDE: usize = 2_000;

/// Finds the link-layer address of a client, where the box's neighbour table has it.
type Neighbours = Box<dyn Fn(IpAddr) -> Option<Mac> + Send + Sync>;

/// What the school decided, and everything that changes it.
pub struct Control {
    folder: PathBuf,
    clock: Clock,
    categories: Arc<Categories>,
    starter: Arc<DomainIndex>,
    policy: Arc<ArcSwap<Policy>>,
    resolver: Option<Arc<Resolver>>,
    neighbours: Option<Neighbours>,
    seen: Option<Arc<Seen>>,
    zones: zones::Zones,
    library: Arc<Library>,
    feeds: Arc<Feeds>,
    mask: Mask,
    /// What removes from the query log, and what forbids it.
    keeping: Arc<Keeping>,
    /// The thread that does it, on a running server.
    keeper: Mutex<Option<Keeper>>,
    /// None when the box's secret key can't be read or made; the reason was logged.
    vault: Option<Arc<Vault>>,
    log: Option<Arc<QueryLog>>,
    mail: Arc<Mail>,
    state: Mutex<State>,
    /// Held by whoever changes what is in force, so that two never do at once.
    changing: tokio::sync::Mutex<()>,
    /// Held by whoever reads or writes the proposals.
    proposing: Mutex<()>,
    /// Held by whoever fetches a list, by the list's identifier.
    fetching: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Ends what is being fetched.
    cancel: Arc<AtomicBool>,
    /// What may make a list due before its time.
    news: Arc<News>,
    listener: Arc<Listener>,
    /// Ends the server, which who supervises it starts again.
    restart: tokio::sync::Notify,
    /// A number that differs from box to box, so that a thousand don't fetch in the same second.
    box_id: u64,
}

/// A policy with its lists, ready to be put in force.
struct Prepared {
    file: PolicyFile,
    policy: Policy,
    indexes: Indexes,
    /// The index on disk that is to take the old one's place; none when the lists stay as they are.
    compiled: Option<Compiled>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// A change of the policy, for messages and the audit.
#[derive(Clone, Copy, Default)]
struct Change<'a> {
    /// What messages call the new policy.
    name: &'a str,
    by: &'a str,
    /// The word for the audit.
    action: &'a str,
    dry_run: bool,
    /// Why, where somebody said so.
    reason: &'a str,
    /// The address that it was asked from.
    from: Option<&'a str>,
    /// The revision that whoever asks has seen; whatever is in force, if none.
    expect: Option<i64>,
}

struct State {
    /// None when the database can't be read; the reason was logged.
    store: Option<Store>,
    file: PolicyFile,
    revision: i64,
    indexes: Indexes,
}

impl Control {
    /// Opens the data folder and puts the last published policy and the last good index in force.
    ///
    /// Never fails for damage: a damaged database, policy or index is logged and what came before it is taken, down
    /// to the shipped policy and the starter lists. `keep` is how many good versions of each list stay.
    ///
    /// # Errors
    ///
    /// When the data folder can't be made or written.
    pub fn open(folder: &Path, clock: Clock, feeds: Feeds, keep: usize) -> Result<Self, ControlError> {
        let categories = Arc::new(Categories::shipped());
        let starter = Arc::new(shipped::starter(&categories));
        let store = match Store::open(folder) {
            Ok(store) => {
                if let Err(error) = store.mend_copy() {
                    error!(%error, "The published policy can't be read");
                }
                Some(store)
            }
            Err(error @ StoreError::Folder { .. }) => return Err(error.into()),
            Err(error) => {
                probe(folder)?;
                error!(%error, "The school's settings can't be read; going on with the last published policy");
                None
            }
        };
        let vault = Vault::open(folder)
            .inspect_err(|error| error!(%error, "Locked lists can't be kept or opened"))
            .ok()
            .map(Arc::new);
        let mask = vault.as_ref().map_or_else(Mask::without_key, |vault| vault.mask().clone());
        let library = Arc::new(Library::new(folder, keep, vault.clone()));
        let news = Arc::<News>::default();
        let box_id = mask.name(b"box");
        let subscribed = library.open().map(Arc::new);
        let numbers = library.numbers(subscribed.as_deref());
        let (indexes, (file, policy, revision)) = last_policy(folder, store.as_ref(), |file| {
            let sealed = library.open_sealed(&file.lists).map(Arc::new);
            let indexes = Indexes { subscribed: subscribed.clone(), numbers: Arc::clone(&numbers), sealed };
            let policy = Policy::build(file, &knowledge(&categories, &starter, &indexes))?;
            Ok((indexes, policy.with_mask(mask.clone())))
        });
        let lists = file.lists.clone();
        let policy = Arc::new(ArcSwap::from_pointee(policy));
        let keeping = log_keeping::keeping(folder, &clock, &policy, &querylog::Config::default());
        let control = Self {
            folder: folder.to_owned(),
            listener: Arc::new(news.listener(clock.clone())),
            policy,
            resolver: None,
            neighbours: None,
            seen: None,
            zones: zones::Zones::default(),
            library,
            mask,
            keeping: Arc::new(keeping),
            keeper: Mutex::default(),
            mail: Arc::new(Mail::open(folder, vault.clone())),
            vault,
            log: None,
            state: Mutex::new(State { store, file, revision, indexes }),
            feeds: Arc::new(feeds),
            changing: tokio::sync::Mutex::new(()),
            proposing: Mutex::new(()),
            fetching: Mutex::default(),
            cancel: Arc::default(),
            restart: tokio::sync::Notify::new(),
            news,
            box_id: xxh3_64(box_id.to_string().as_bytes()),
            clock,
            categories,
            starter,
        };
        control.listen_to(&lists);
        Ok(control)
    }

    /// Lets checks resolve names.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<Resolver>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Hands in the table of names that a server keeps; without it, the file is read where it is needed.
    #[must_use]
    pub fn with_seen(mut self, seen: Arc<Seen>) -> Self {
        self.seen = Some(seen);
        self
    }

    /// Hands in the query log of a running server; without it, the files are read where it is needed.
    #[must_use]
    pub fn with_log(mut self, log: Arc<QueryLog>) -> Self {
        self.log = Some(log);
        self
    }

    /// Lets checks know a client by its link-layer address, as the server does.
    #[must_use]
    pub fn with_neighbours(
        mut self,
        neighbours: impl Fn(IpAddr) -> Option<Mac> + Send + Sync + 'static,
    ) -> Self {
        self.neighbours = Some(Box::new(neighbours));
        self
    }

    /// Says for how long the query log may keep what without a reason, and how much of the disk it leaves alone. A policy in force that keeps more is cut to it,
    /// with a warning in the log; one that comes in is refused.
    #[must_use]
    pub fn with_log_settings(mut self, config: &querylog::Config) -> Self {
        self.keeping = Arc::new(log_keeping::keeping(&self.folder, &self.clock, &self.policy, config));
        self.warn_of_cut_retention();
        self
    }

    /// The policy in force, for those who decide by it.
    #[must_use]
    pub fn policy(&self) -> Arc<ArcSwap<Policy>> {
        Arc::clone(&self.policy)
    }

    /// The box's secret key, and what is made of it; none when it can't be read or made.
    #[must_use]
    pub fn vault(&self) -> Option<Arc<Vault>> {
        self.vault.clone()
    }

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
            Request::PolicyExport => {
                let state = self.state();
                Answer::Policy { text: state.file.to_toml(), revision: state.revision }
            }
            Request::PolicyImport { name, text, by, dry_run } => {
                Answer::Imported(self.import(&name, &text, &by, dry_run).await?)
            }
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
                Answer::Imported(self.add_lists(lists, &by, dry_run).await?)
            }
            Request::ListsText { id } => Answer::Text(self.own_text(&id)?),
            Request::ListsEdit { id, text, by } => Answer::Imported(self.edit_list(&id, text, &by).await?),
            Request::ListsRemove { id, by } => Answer::Imported(self.remove_list(&id, &by).await?),
            Request::ListsDiff { id, from, to, most } => Answer::Diff(self.diff(&id, from, to, most).await?),
            Request::ListsAccept { ids, by } => Answer::Lists(self.accept_lists(&ids, &by).await?),
            Request::ListsRollback { id, to, by } => Answer::Lists(self.roll_back(&id, to, &by).await?),
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

    /// Says what happens to a name, why, and what would change it.
    ///
    /// # Errors
    ///
    /// When the name, the type or the profile does not exist.
    pub async fn check(&self, request: &CheckRequest) -> Result<CheckReport, ControlError> {
        let policy = self.policy.load_full();
        let resolver = self.resolver.as_deref().filter(|_| request.resolve);
        check::check(self, &policy, resolver, request, self.clock.now()).await
    }

    /// Puts a policy in force: all of it, or nothing when anything in it is wrong.
    ///
    /// Lists that it brings or changes are compiled before it is in force, so that no category is open for a moment.
    ///
    /// # Errors
    ///
    /// Names every problem with its place, or what could not be written; then nothing has changed.
    pub async fn import(
        &self,
        name: &str,
        text: &str,
        by: &str,
        dry_run: bool,
    ) -> Result<ImportReport, ControlError> {
        let wrong = |errors: PolicyErrors| ControlError::Policy { name: name.to_owned(), errors };
        let file = PolicyFile::parse(text).map_err(wrong)?;
        let change = Change { name, by, action: "policy.import", dry_run, ..Change::default() };
        self.change(change, |_| Ok(file)).await
    }

    /// Publishes what `new` makes of the policy in force, and puts it in force.
    ///
    /// # Errors
    ///
    /// Names every problem with its place, or what could not be written; then nothing has changed.
    async fn change(
        &self,
        change: Change<'_>,
        new: impl FnOnce(PolicyFile) -> Result<PolicyFile, ControlError>,
    ) -> Result<ImportReport, ControlError> {
        let Change { name, by, action, dry_run, reason, from, expect } = change;
        // Held from the comparison on, so that what is reported as changed is what was in force just before.
        let _changing = self.changing.lock().await;
        if let Some(expected) = expect {
            self.expected(expected)?;
        }
        let (current, revision, in_force) = {
            let state = self.state();
            (state.file.clone(), state.revision, state.indexes.clone())
        };
        let file = new(current.clone())?;
        let now = self.clock.now();
        let (errors, warnings): (Vec<_>, Vec<_>) =
            file.validate(&self.categories, now).into_iter().partition(|p| p.severity == Severity::Error);
        let (over, cut) = self.over_log_limits(&file, &current);
        let errors: Vec<Problem> = errors.into_iter().chain(over).collect();
        if !errors.is_empty() {
            return Err(self.refused(name, by, PolicyErrors(errors)));
        }
        let mut warnings: Vec<String> = warnings.iter().chain(&cut).map(ToString::to_string).collect();
        let differences = current.changes_to(&file, &self.categories);
        let (before, after) = before_and_after(&differences);
        let mut changes: Vec<String> = differences.into_iter().map(|change| change.what).collect();
        if current == file {
            changes.clear();
        } else if changes.is_empty() {
            changes.push(String::from("the order or the wording"));
        }
        // What its lists brought is forgotten, should the policy be refused for them.
        let mut undo = None;
        let prepared = if dry_run || current.lists == file.lists {
            let policy = self.build(&file, &in_force, name)?;
            Prepared { file, policy, indexes: in_force, compiled: None }
        } else {
            // What did not change stays as it is, so that a lost original of one list does not keep another from
            // coming in.
            let new: Vec<_> =
                file.lists.iter().filter(|list| !current.lists.contains(list)).cloned().collect();
            undo = Some(Undo::of(&self.library, new.iter().map(|list| &list.id))?);
            warnings.extend(self.bring_new(new).await?);
            self.prepare(file, name).await?
        };
        let known = self.policy.load().conflicts();
        let (locked, more): (Vec<_>, Vec<_>) = prepared
            .policy
            .conflicts()
            .into_iter()
            .partition(|p| p.severity == Severity::Error && !known.iter().any(|old| old.what == p.what));
        if !locked.is_empty() {
            return Err(self.refused(name, by, PolicyErrors(locked)));
        }
        warnings.extend(more.iter().map(ToString::to_string));
        // The lists that come with this policy may be the ones that must not be shown.
        for line in changes.iter_mut().chain(&mut warnings) {
            *line = prepared.policy.masked(line).into_owned();
        }
        if dry_run || changes.is_empty() {
            return Ok(ImportReport { dry_run, revision, changes, warnings });
        }
        let detail = format!("{name}: {}", changes.join("; "));
        let masked = |text: &str| prepared.policy.masked(text).into_owned();
        let record = AuditRecord {
            before: before.as_deref().map(masked),
            after: after.as_deref().map(masked),
            reason: Some(masked(reason)).filter(|reason| !reason.is_empty()),
            from: from.map(str::to_owned),
            ..AuditRecord::new(now, by, action, detail)
        };
        let (revision, seals) = {
            let mut state = self.state();
            let store = state.store.as_mut().ok_or(ControlError::NoStore)?;
            let revision = store.publish(&prepared.file.to_toml(), &record)?;
            let seals = self.enact(&mut state, prepared, revision);
            undo.into_iter().for_each(Undo::forget);
            (revision, seals)
        };
        info!(revision, by, "A new policy is in force");
        // It may keep less than the one before.
        self.wake_keeper();
        if seals {
            self.forget_sealed().await;
        }
        self.news.again.notify_one();
        Ok(ImportReport { dry_run, revision, changes, warnings })
    }

    fn build(&self, file: &PolicyFile, indexes: &Indexes, name: &str) -> Result<Policy, ControlError> {
        let knowledge = knowledge(&self.categories, &self.starter, indexes);
        Policy::build(file, &knowledge)
            .map(|policy| policy.with_mask(self.mask.clone()))
            .map_err(|errors| ControlError::Policy { name: name.to_owned(), errors })
    }

    /// Puts in force what was prepared; says whether other names than before must not be shown, which are then to be
    /// [forgotten](Self::forget_sealed).
    #[must_use]
    fn enact(&self, state: &mut State, prepared: Prepared, revision: i64) -> bool {
        let Prepared { file, policy, indexes, compiled } = prepared;
        let seals = indexes.seals_more_than(&state.indexes);
        if let Some(compiled) = compiled {
            compiled.activate(&self.library, state.indexes.shows(&file.lists));
        }
        self.listen_to(&file.lists);
        state.file = file;
        state.revision = revision;
        state.indexes = indexes;
        self.policy.store(Arc::new(policy));
        seals
    }

    /// Writes down that a policy was refused, with what was wrong.
    fn refused(&self, name: &str, by: &str, errors: PolicyErrors) -> ControlError {
        let errors = errors.masked(&self.policy.load());
        self.record(self.clock.now(), by, "policy.refused", &format!("{name}: {errors}"));
        ControlError::Policy { name: name.to_owned(), errors }
    }

    /// Says everything that is wrong with a policy, also in the light of the lists in force.
    #[must_use]
    pub fn validate(&self, name: String, text: &str) -> ValidationReport {
        let problems = match PolicyFile::parse(text) {
            Ok(file) => {
                let mut problems = file.validate(&self.categories, self.clock.now());
                let (over, cut) = self.over_log_limits(&file, &self.in_force().0);
                problems.extend(over.into_iter().chain(cut));
                if problems.iter().all(|problem| problem.severity != Severity::Error) {
                    let indexes = self.state().indexes.clone();
                    match self.build(&file, &indexes, &name) {
                        Ok(policy) => problems.extend(policy.conflicts()),
                        Err(ControlError::Policy { errors, .. }) => problems.extend(errors.0),
                        Err(_) => {}
                    }
                }
                problems
            }
            Err(errors) => errors.0,
        };
        let (errors, warnings): (Vec<_>, Vec<_>) =
            problems.into_iter().partition(|p| p.severity == Severity::Error);
        let policy = self.policy.load();
        let masked = |problems: &[Problem]| -> Vec<String> {
            problems.iter().map(|problem| policy.masked(&problem.to_string()).into_owned()).collect()
        };
        ValidationReport { name, problems: masked(&errors), warnings: masked(&warnings) }
    }

    /// Reads the policy again and the lists that are files, as after a change from outside.
    ///
    /// A list that can't be read is told in the log, and its last good version stays in force.
    ///
    /// # Errors
    ///
    /// When the policy can't be read; then nothing has changed.
    pub async fn refresh(&self) -> Result<(), ControlError> {
        self.reload_policy().await?;
        let lists = self.in_force().0.lists;
        let files = lists.into_iter().filter(|list| matches!(list.source(), Some(ListSource::File(_))));
        let ids: Vec<String> = files.map(|list| list.id).collect();
        if !ids.is_empty() {
            self.update_lists(&ids, "the server", false).await?;
        }
        Ok(())
    }

    async fn reload_policy(&self) -> Result<(), ControlError> {
        let _changing = self.changing.lock().await;
        let latest = match &self.state().store {
            Some(store) => store.latest()?,
            None => None,
        };
        let Some(latest) = latest else { return Ok(()) };
        let name = format!("revision {}", latest.number);
        let file = PolicyFile::parse(&latest.text)
            .map_err(|errors| ControlError::Policy { name: name.clone(), errors })?;
        let known = self.in_force().0.lists;
        let new: Vec<_> = file.lists.iter().filter(|list| !known.contains(list)).cloned().collect();
        let undo = Undo::of(&self.library, new.iter().map(|list| &list.id))?;
        self.bring_new(new).await?;
        let prepared = self.prepare(file, &name).await?;
        let seals = self.enact(&mut self.state(), prepared, latest.number);
        undo.forget();
        self.warn_of_cut_retention();
        if seals {
            self.forget_sealed().await;
        }
        self.news.again.notify_one();
        Ok(())
    }

    fn in_force(&self) -> (PolicyFile, i64) {
        let state = self.state();
        (state.file.clone(), state.revision)
    }

    /// The table of names: the server's, or what the folder has.
    fn seen(&self) -> Result<Arc<Seen>, ControlError> {
        match &self.seen {
            Some(seen) => Ok(Arc::clone(seen)),
            None => Ok(Arc::new(Seen::read(&self.folder.join(SEEN))?)),
        }
    }

    /// The link-layer address of a client, where the neighbour table knows it.
    pub(crate) fn neighbour(&self, address: IpAddr) -> Option<Mac> {
        self.neighbours.as_ref().and_then(|find| find(address))
    }

    /// Where a list has a name: the line, from 1, and its text.
    pub(crate) fn line_of(&self, list: &str, name: &Key, entry: Entry) -> Option<(u64, String)> {
        if shipped::is_shipped(list) {
            return shipped::line_of(list, name);
        }
        let list = self.one(list).ok()?;
        // Its lines are for nobody to see.
        if category::is_sealed(&list.category) {
            return None;
        }
        let number = self.state().indexes.number(&list.id);
        let version = self.library.version(&list.id, number)?;
        self.library.line_of(&list, &version, name, entry)
    }

    /// How many names the starter lists and the subscribed lists have.
    #[must_use]
    pub fn names(&self) -> (u64, u64) {
        let own = self.state().indexes.iter().map(|index| index.len()).sum();
        (self.starter.len(), own)
    }

    /// The categories that there are.
    #[must_use]
    pub fn categories(&self) -> &Arc<Categories> {
        &self.categories
    }

    fn record(&self, at: Timestamp, by: &str, action: &str, detail: &str) {
        let detail = self.policy.load().masked(detail).into_owned();
        self.keep_record(AuditRecord::new(at, by, action, detail));
    }

    fn keep_record(&self, record: AuditRecord) {
        if let Some(store) = &self.state().store
            && let Err(error) = store.audit(&record)
        {
            warn!(%error, action = record.action, "The audit could not be written");
        }
    }

    /// A panic while it was held left the file as it was, or whole.
    fn proposing(&self) -> MutexGuard<'_, ()> {
        self.proposing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic while it was held left at worst the state of before: each change is one assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom the box asks for names, and how that goes; none where nothing is resolved.
    #[must_use]
    pub fn resolver_report(&self) -> Option<resolver::Report> {
        self.resolver.as_ref().map(|resolver| resolver.report())
    }

    /// Asks for the server to end, so that who supervises it starts it again.
    pub fn ask_restart(&self) {
        self.restart.notify_one();
    }

    /// Waits until somebody asks for the server to end.
    pub async fn restart_asked(&self) {
        self.restart.notified().await;
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// What settings were and what they would be, in a few words: of a single one the values alone.
fn before_and_after(changes: &[policy::Change]) -> (Option<String>, Option<String>) {
    let one = changes.len() == 1;
    let side = |of: fn(&policy::Change) -> Option<&String>| {
        let said: Vec<String> = changes
            .iter()
            .filter_map(|change| Some((change, of(change)?)))
            .map(|(change, value)| if one { value.clone() } else { format!("{}: {value}", change.place) })
            .collect();
        if said.is_empty() { None } else { Some(cut(&said.join("; "))) }
    };
    (side(|change| change.was.as_ref()), side(|change| change.is.as_ref()))
}

/// No more of a text than the audit shows beside a line.
fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_SIDE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn knowledge(categories: &Arc<Categories>, starter: &Arc<DomainIndex>, own: &Indexes) -> Knowledge {
    let indexes = std::iter::once(starter).chain(own.iter()).map(Arc::clone).collect();
    Knowledge { categories: Arc::clone(categories), indexes }
}

/// Whether files can be written in the folder.
fn probe(folder: &Path) -> Result<(), ControlError> {
    let file = folder.join(".probe");
    disk::replace(&file, b"")
        .and_then(|()| std::fs::remove_file(&file))
        .map_err(|source| StoreError::Folder { folder: folder.to_owned(), source }.into())
}

/// The last published policy that still works, down to the shipped one.
///
/// `build` makes a policy of a file and of the lists that it names.
fn last_policy(
    folder: &Path,
    store: Option<&Store>,
    build: impl Fn(&PolicyFile) -> Result<(Indexes, Policy), PolicyErrors>,
) -> (Indexes, (PolicyFile, Policy, i64)) {
    let latest = store.and_then(|store| {
        store
            .latest()
            .inspect_err(|error| error!(%error, "The published policy can't be read"))
            .ok()
            .flatten()
    });
    let copy = || {
        store::published_copy(folder)
            .inspect_err(|error| error!(%error, "The copy of the published policy can't be read"))
            .ok()
            .flatten()
            .map(|text| (text, 0))
    };
    let candidates = latest.map(|revision| (revision.text, revision.number)).into_iter().chain(
        // Read only when the database has none that works.
        std::iter::once_with(copy).flatten(),
    );
    for (text, revision) in candidates {
        let built = PolicyFile::parse(&text).and_then(|file| build(&file).map(|built| (file, built)));
        match built {
            Ok((file, (indexes, policy))) => return (indexes, (file, policy, revision)),
            Err(error) => error!(%error, revision, "The published policy does not work any more"),
        }
    }
    let file = PolicyFile::shipped();
    // A test builds the shipped policy, so this cannot fail at run time.
    let (indexes, policy) = build(&file).expect("the shipped policy is valid");
    (indexes, (file, policy, 0))
}
