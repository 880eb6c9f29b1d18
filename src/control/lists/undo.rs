//! Going back when a change does not come into force after all.

use std::sync::Arc;

use tracing::error;

use super::library::{Library, LibraryError};
use crate::feeds::shelf::State;

/// What is known of lists before a change; dropped before it is [forgotten](Self::forget), it is written down again.
///
/// What would be left in the books otherwise would come into force with the next change, whatever that is.
#[must_use]
pub(in crate::control) struct Undo {
    library: Arc<Library>,
    before: Vec<(String, State)>,
}

impl Undo {
    /// Remembers what is known of these lists.
    pub(in crate::control) fn of<'a>(
        library: &Arc<Library>,
        ids: impl IntoIterator<Item = &'a String>,
    ) -> Result<Self, LibraryError> {
        let known = |id: &String| Ok((id.clone(), library.books(id)?));
        let before = ids.into_iter().map(known).collect::<Result<_, LibraryError>>()?;
        Ok(Self { library: Arc::clone(library), before })
    }

    /// The change is in force, and nothing is to be gone back to.
    pub(in crate::control) fn forget(mut self) {
        self.before.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        for (id, state) in &self.before {
            if let Err(error) = self.library.shelf.put_back(id, state) {
                error!(%error, list = id, "What was known of a list could not be put back");
            }
        }
    }
}
