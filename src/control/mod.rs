//! Every action of an administrator, as one method each; commands and, later, pages call the same.
//!
//! [`Control`] owns what the school decided: it keeps it in the store, compiles lists, builds the policy and swaps it
//! in. Answering only ever reads the policy that was swapped in last.

mod check;
mod library;
mod message;
mod novelty;
pub mod socket;

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tracing::{error, info, warn};

pub use check::{Asker, CheckReport, CheckRequest, Hop, ListedOn};
pub use library::{LibraryError, ListReport, ListsReport};
pub use message::{Answer, ImportReport, Request, ValidationReport};
pub use novelty::{SeenName, SeenReport};

use self::library::{Again, Library};
use crate::{
    category::Categories,
    clients::Mac,
    clock::Clock,
    disk,
    lists::{DomainIndex, Entry, shipped},
    name::Key,
    policy::{Knowledge, Policy, PolicyErrors, PolicyFile, Severity},
    resolver::Resolver,
    seen::{Seen, SeenError},
    store::{self, AuditRecord, Store, StoreError},
};

/// The folder of the table of names, in the data folder.
pub const SEEN: &str = "seen";

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
    library: Arc<Library>,
    state: Mutex<State>,
    /// Held by whoever compiles lists, so that two never do at once.
    compiling: tokio::sync::Mutex<()>,
}

/// A policy with its lists, ready to be put in force.
struct Prepared {
    file: PolicyFile,
    policy: Policy,
    subscribed: Option<Arc<DomainIndex>>,
    /// The index on disk that is to take the old one's place; none when the lists stay as they are.
    compiled: Option<library::Compiled>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("folder", &self.folder).finish_non_exhaustive()
    }
}

struct State {
    /// None when the database can't be read; the reason was logged.
    store: Option<Store>,
    file: PolicyFile,
    revision: i64,
    subscribed: Option<Arc<DomainIndex>>,
}

impl Control {
    /// Opens the data folder and puts the last published policy and the last good index in force.
    ///
    /// Never fails for damage: a damaged database, policy or index is logged and what came before it is taken, down
    /// to the shipped policy and the starter lists.
    ///
    /// # Errors
    ///
    /// When the data folder can't be made or written.
    pub fn open(folder: &Path, clock: Clock) -> Result<Self, ControlError> {
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
        let library = Arc::new(Library::new(folder));
        let subscribed = library.open().map(Arc::new);
        let knowledge = knowledge(&categories, &starter, subscribed.as_ref());
        let (file, policy, revision) = last_policy(folder, store.as_ref(), &knowledge);
        Ok(Self {
            folder: folder.to_owned(),
            clock,
            policy: Arc::new(ArcSwap::from_pointee(policy)),
            resolver: None,
            neighbours: None,
            seen: None,
            library,
            state: Mutex::new(State { store, file, revision, subscribed }),
            compiling: tokio::sync::Mutex::new(()),
            categories,
            starter,
        })
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

    /// Lets checks know a client by its link-layer address, as the server does.
    #[must_use]
    pub fn with_neighbours(
        mut self,
        neighbours: impl Fn(IpAddr) -> Option<Mac> + Send + Sync + 'static,
    ) -> Self {
        self.neighbours = Some(Box::new(neighbours));
        self
    }

    /// The policy in force, for those who decide by it.
    #[must_use]
    pub fn policy(&self) -> Arc<ArcSwap<Policy>> {
        Arc::clone(&self.policy)
    }

    /// Does what a command asks.
    ///
    /// # Errors
    ///
    /// Says what was wrong with the request, or what could not be done; then nothing has changed.
    pub async fn handle(&self, request: Request) -> Result<Answer, ControlError> {
        Ok(match request {
            Request::Check(request) => Answer::Check(self.check(&request).await?),
            Request::PolicyExport => {
                let state = self.state();
                Answer::Policy { text: state.file.to_toml(), revision: state.revision }
            }
            Request::PolicyImport { name, text, by, dry_run } => {
                Answer::Imported(self.import(&name, &text, &by, dry_run).await?)
            }
            Request::PolicyValidate { name, text } => Answer::Validated(self.validate(name, &text)),
            Request::ListsStatus => Answer::Lists(self.lists()),
            Request::ListsUpdate { ids, by } => Answer::Lists(self.update_lists(&ids, &by).await?),
            Request::Seen { days } => Answer::Seen(novelty::report(self, days)?),
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
        let now = self.clock.now();
        let (errors, warnings): (Vec<_>, Vec<_>) =
            file.validate(&self.categories, now).into_iter().partition(|p| p.severity == Severity::Error);
        if !errors.is_empty() {
            return Err(self.refused(name, by, PolicyErrors(errors)));
        }
        let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        // Held from the comparison on, so that what is reported as changed is what was in force just before.
        let _compiling = self.compiling.lock().await;
        let (current, revision, in_force) = {
            let state = self.state();
            (state.file.clone(), state.revision, state.subscribed.clone())
        };
        let mut changes: Vec<String> =
            current.changes_to(&file, &self.categories).into_iter().map(|change| change.what).collect();
        if current == file {
            changes.clear();
        } else if changes.is_empty() {
            changes.push(String::from("the order or the wording"));
        }
        let prepared = if dry_run || current.lists == file.lists {
            let policy = self.build(&file, in_force.as_ref(), name)?;
            Prepared { file, policy, subscribed: in_force, compiled: None }
        } else {
            // What did not change is taken as it was read last, so that a lost original of one list does not keep
            // another from coming in.
            let new = file.lists.iter().filter(|list| !current.lists.contains(list));
            let again = Again::These(new.map(|list| list.id.clone()).collect());
            self.prepare(file, again, name).await?
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
        if dry_run || changes.is_empty() {
            return Ok(ImportReport { dry_run, revision, changes, warnings });
        }
        let detail = format!("{name}: {}", changes.join("; "));
        let record =
            AuditRecord { at: now, by: by.to_owned(), action: String::from("policy.import"), detail };
        let revision = {
            let mut state = self.state();
            let store = state.store.as_mut().ok_or(ControlError::NoStore)?;
            let revision = store.publish(&prepared.file.to_toml(), &record)?;
            self.enact(&mut state, prepared, revision);
            revision
        };
        info!(revision, by, "A new policy is in force");
        Ok(ImportReport { dry_run, revision, changes, warnings })
    }

    /// Compiles the lists of a policy and builds it; nothing is in force yet.
    async fn prepare(&self, file: PolicyFile, again: Again, name: &str) -> Result<Prepared, ControlError> {
        let lists = file.lists.clone();
        let library = Arc::clone(&self.library);
        let (index, compiled) =
            tokio::task::spawn_blocking(move || library.compile(&lists, &again)).await.map_err(|e| {
                ControlError::Server { message: format!("compiling broke off: {e}"), bad_input: false }
            })??;
        let subscribed = index.map(Arc::new);
        let policy = self.build(&file, subscribed.as_ref(), name)?;
        Ok(Prepared { file, policy, subscribed, compiled: Some(compiled) })
    }

    fn build(
        &self,
        file: &PolicyFile,
        subscribed: Option<&Arc<DomainIndex>>,
        name: &str,
    ) -> Result<Policy, ControlError> {
        let knowledge = knowledge(&self.categories, &self.starter, subscribed);
        Policy::build(file, &knowledge)
            .map_err(|errors| ControlError::Policy { name: name.to_owned(), errors })
    }

    /// Puts in force what was prepared.
    fn enact(&self, state: &mut State, prepared: Prepared, revision: i64) {
        let Prepared { file, policy, subscribed, compiled } = prepared;
        if let Some(compiled) = compiled {
            compiled.activate(&self.library);
        }
        state.file = file;
        state.revision = revision;
        state.subscribed = subscribed;
        self.policy.store(Arc::new(policy));
    }

    /// Writes down that a policy was refused, with what was wrong.
    fn refused(&self, name: &str, by: &str, errors: PolicyErrors) -> ControlError {
        self.record(self.clock.now(), by, "policy.refused", &format!("{name}: {errors}"));
        ControlError::Policy { name: name.to_owned(), errors }
    }

    /// Says everything that is wrong with a policy, also in the light of the lists in force.
    #[must_use]
    pub fn validate(&self, name: String, text: &str) -> ValidationReport {
        let problems = match PolicyFile::parse(text) {
            Ok(file) => {
                let mut problems = file.validate(&self.categories, self.clock.now());
                if problems.iter().all(|problem| problem.severity != Severity::Error) {
                    let subscribed = self.state().subscribed.clone();
                    match self.build(&file, subscribed.as_ref(), &name) {
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
        ValidationReport {
            name,
            problems: errors.iter().map(ToString::to_string).collect(),
            warnings: warnings.iter().map(ToString::to_string).collect(),
        }
    }

    /// The lists in force.
    #[must_use]
    pub fn lists(&self) -> ListsReport {
        let state = self.state();
        library::report(&state.file.lists, &self.starter, state.subscribed.as_deref())
    }

    /// Reads lists again and puts them in force; all of them, if none is named.
    ///
    /// # Errors
    ///
    /// Names the list that can't be read; then the lists stay as they were.
    pub async fn update_lists(&self, ids: &[String], by: &str) -> Result<ListsReport, ControlError> {
        let _compiling = self.compiling.lock().await;
        let (file, revision) = self.in_force();
        if let Some(unknown) = ids.iter().find(|id| !file.lists.iter().any(|list| list.id == **id)) {
            let known: Vec<&str> = file.lists.iter().map(|list| list.id.as_str()).collect();
            let known = if known.is_empty() { String::from("none yet") } else { known.join(", ") };
            return Err(ControlError::Input(format!("there is no list {unknown:?}; there are: {known}")));
        }
        let again = if ids.is_empty() { Again::All } else { Again::These(ids.to_vec()) };
        self.put_lists(file, revision, again, by).await?;
        Ok(self.lists())
    }

    /// Reads the policy and the lists again, as after a change from outside.
    ///
    /// # Errors
    ///
    /// When they can't be read; then nothing has changed.
    pub async fn refresh(&self) -> Result<(), ControlError> {
        let _compiling = self.compiling.lock().await;
        let latest = match &self.state().store {
            Some(store) => store.latest()?,
            None => None,
        };
        let (file, revision) = match latest {
            Some(latest) => {
                let file = PolicyFile::parse(&latest.text).map_err(|errors| ControlError::Policy {
                    name: format!("revision {}", latest.number),
                    errors,
                })?;
                (file, latest.number)
            }
            None => self.in_force(),
        };
        self.put_lists(file, revision, Again::All, "the server").await
    }

    /// Compiles lists when the index does not match the policy: after a restart in the middle, or a lost index.
    pub async fn catch_up(&self) {
        let _compiling = self.compiling.lock().await;
        let (file, revision) = self.in_force();
        let stale = self.library.is_stale(&file.lists, self.state().subscribed.as_deref());
        if stale && let Err(error) = self.put_lists(file, revision, Again::IfThere, "the server").await {
            error!(%error, "Lists could not be compiled; those of before stay in force");
        }
    }

    /// Whether the policy has lists of which none is in force: the index was lost.
    #[must_use]
    pub fn lacks_its_lists(&self) -> bool {
        let state = self.state();
        state.subscribed.is_none() && self.library.is_stale(&state.file.lists, None)
    }

    /// Compiles the lists of a policy and puts both in force; the caller holds `compiling`.
    async fn put_lists(
        &self,
        file: PolicyFile,
        revision: i64,
        again: Again,
        by: &str,
    ) -> Result<(), ControlError> {
        let prepared = self.prepare(file, again, "the policy in force").await?;
        self.enact(&mut self.state(), prepared, revision);
        let report = self.lists();
        self.record(self.clock.now(), by, "lists.update", &report.summary());
        info!(by, lists = report.lists.len(), "New lists are in force");
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
        if list.starts_with(shipped::PREFIX) {
            return shipped::line_of(list, name);
        }
        let list = self.state().file.lists.iter().find(|known| known.id == list)?.clone();
        self.library.line_of(&list, name, entry)
    }

    /// How many names the starter lists and the subscribed lists have.
    #[must_use]
    pub fn names(&self) -> (u64, u64) {
        let subscribed = self.state().subscribed.as_ref().map_or(0, |index| index.len());
        (self.starter.len(), subscribed)
    }

    fn record(&self, at: Timestamp, by: &str, action: &str, detail: &str) {
        let record =
            AuditRecord { at, by: by.to_owned(), action: action.to_owned(), detail: detail.to_owned() };
        if let Some(store) = &self.state().store
            && let Err(error) = store.audit(&record)
        {
            warn!(%error, action, "The audit could not be written");
        }
    }

    /// A panic while it was held left at worst the state of before: each change is one assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn knowledge(
    categories: &Arc<Categories>,
    starter: &Arc<DomainIndex>,
    subscribed: Option<&Arc<DomainIndex>>,
) -> Knowledge {
    let indexes = std::iter::once(starter).chain(subscribed).map(Arc::clone).collect();
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
fn last_policy(folder: &Path, store: Option<&Store>, knowledge: &Knowledge) -> (PolicyFile, Policy, i64) {
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
        let built = PolicyFile::parse(&text)
            .and_then(|file| Policy::build(&file, knowledge).map(|policy| (file, policy)));
        match built {
            Ok((file, policy)) => return (file, policy, revision),
            Err(error) => error!(%error, revision, "The published policy does not work any more"),
        }
    }
    let file = PolicyFile::shipped();
    // A test builds the shipped policy, so this cannot fail at run time.
    let policy = Policy::build(&file, knowledge).expect("the shipped policy is valid");
    (file, policy, 0)
}

/// Why an action was not done.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The request asks for something that does not exist.
    #[error("{0}")]
    Input(String),
    /// A policy is wrong.
    #[error("{}", lines(name, errors))]
    Policy {
        /// The file.
        name: String,
        /// Everything that is wrong with it.
        errors: PolicyErrors,
    },
    /// A list can't be read or compiled.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The settings can't be read or kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The table of names can't be read.
    #[error(transparent)]
    Seen(#[from] SeenError),
    /// The settings could not be read at start, so nothing can be published.
    #[error("the database of settings can't be read, so nothing can be changed; the server's log says why")]
    NoStore,
    /// The running server said so.
    #[error("{message}")]
    Server {
        /// What it said.
        message: String,
        /// Whether the request was wrong.
        bad_input: bool,
    },
}

impl ControlError {
    /// Whether the request was wrong, rather than the box unable.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Input(_) | Self::Policy { .. } => true,
            Self::Library(error) => error.is_bad_input(),
            Self::Store(_) | Self::Seen(_) | Self::NoStore => false,
            Self::Server { bad_input, .. } => *bad_input,
        }
    }
}

fn lines(name: &str, errors: &PolicyErrors) -> String {
    errors.0.iter().map(|problem| format!("{name}: {problem}")).collect::<Vec<_>>().join("\n")
}
