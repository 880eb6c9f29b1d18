//! What the school asks for, for judging lists: read from the query log once, and only when it is needed.

use std::sync::{Arc, OnceLock};

use tracing::warn;

use crate::{
    clock::Day,
    control::Control,
    name::Key,
    policy::Policy,
    querylog::{AskedLately, LogFolder, busy_names},
};

/// How many days back, today among them.
const DAYS: u16 = 7;

/// How many of the busiest names no list may take away unseen.
const MOST: usize = 1_000;

/// What the school asks for.
pub(super) struct Habits {
    folder: LogFolder,
    policy: Arc<Policy>,
    today: Day,
    busy: OnceLock<Vec<Key>>,
}

impl Habits {
    /// The school's own busiest names of the last days that a list of a category has no business to block: those that
    /// no list of the same category has already. Reads the log at the first call.
    pub(super) fn busy(&self, category: &str) -> impl Iterator<Item = Key> {
        let busy = self.busy.get_or_init(|| match busy_names(&self.folder, self.today, DAYS, MOST) {
            Ok(names) => names.into_iter().map(|busy| busy.name).collect(),
            Err(error) => {
                warn!(%error, "Lists are judged without the names that this school often uses");
                Vec::new()
            }
        });
        let category = self.policy.categories().find(category);
        busy.iter()
            .filter(move |name| {
                category.is_none_or(|category| !self.policy.categories_of(name).contains(category))
            })
            .cloned()
    }

    /// How often names were asked in the last days; none while nothing is logged. Reads the log at each call.
    pub(super) fn lately(&self) -> Option<AskedLately> {
        AskedLately::open(&self.folder, self.today, DAYS)
            .inspect_err(|error| warn!(%error, "How often names were asked can't be told"))
            .ok()
            .filter(|lately| !lately.is_empty())
    }
}

impl Control {
    /// What the school asks for; nothing is read yet.
    pub(super) fn habits(&self) -> Habits {
        Habits {
            folder: self.log_folder(),
            policy: self.policy.load_full(),
            today: Day::of(self.clock.now()),
            busy: OnceLock::new(),
        }
    }
}
