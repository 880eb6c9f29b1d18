//! Every action of an administrator, as one method each; commands and, later, pages call the same.
//!
//! [`Control`] owns what the school decided: it keeps it in the store, compiles lists, builds the policy and swaps it
//! in. Answering only ever reads the policy that was swapped in last.

mod audit;
mod backup;
mod check;
mod commands;
mod directory;
mod edit;
mod error;
mod given;
mod lessons;
mod lists;
mod log;
mod log_keeping;
mod log_out;
mod lookup;
mod machine;
mod mail;
mod message;
mod novelty;
mod publish;
mod records;
mod resolving;
mod sealed;
mod self_check;
mod share;
mod sight;
pub mod socket;
mod standing;
mod suppliers;
mod trial;
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
use tracing::{error, warn};
use xxhash_rust::xxh3::xxh3_64;

pub use audit::AuditReport;
pub use backup::Incoming;
pub use check::{Asker, CheckReport, CheckRequest, Hop, ListedOn};
pub use directory::{Controller, Directory};
pub use edit::{
    Days, Decided, Edit, EditAsked, EditError, EditReport, InForce, LONGEST_PREVIEW, LONGEST_REASON,
    LaterChange, Lesson, Matrix, MatrixCell, MatrixProfile, MatrixRow, MatrixService, MitigationEdit,
    NewProfile, Opening, Preview, PreviewName, PreviewSide, ProfileEdit, Proposal, RuleEdit, SchoolEdit,
    SupplierEdit, WhichRule,
};
pub use error::ControlError;
pub use given::backends;
pub use lessons::{TooRisky, latest_lesson_end};
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
pub use records::{OwnRecord, RECORDS};
pub use resolving::{Resolving, Way};
pub use self_check::{DatabaseCheck, LogCheck, SelfCheck};
pub use sight::Sight;
pub use standing::Standing;
pub use suppliers::{SupplierReport, SuppliersReport};
pub use trial::{to_filter, to_watch};
pub use zones::{OwnZone, ZONES};

use self::lists::{Indexes, Library, News};
use crate::{
    category::{self, Categories},
    clients::Mac,
    clock::Clock,
    disk,
    feeds::{Feeds, zone::Listener},
    lists::{DomainIndex, Entry, shipped},
    mail::Mail,
    name::Key,
    policy::{Knowledge, Policy, PolicyErrors, PolicyFile},
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
    routing: given::Routing,
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
    backups: backup::Backups,
    machine: machine::OfMachine,
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
            routing: given::Routing::default(),
            library,
            mask,
            keeping: Arc::new(keeping),
            keeper: Mutex::default(),
            mail: Arc::new(Mail::open(folder, vault.clone())),
            backups: backup::Backups::default(),
            machine: machine::OfMachine::default(),
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
