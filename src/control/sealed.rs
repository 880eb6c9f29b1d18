//! Names that must not be shown are not remembered either.

use std::sync::Arc;

use tracing::{error, info};

use super::Control;
use crate::{
    background::in_background,
    name::{Key, dotted},
    seen::Refused,
};

impl Control {
    /// Makes the table of names forget what must not be shown, with what it has of it on the disk.
    ///
    /// The school may have asked for such a name before any list had it. Done whenever such lists change and behind each
    /// start, since without a server nobody keeps the table. What fails is logged.
    pub async fn forget_sealed(&self) {
        let Some(seen) = self.seen.clone().filter(|_| self.policy.load().has_sealed_names()) else { return };
        // By the policy of the moment, since names are noted as long as the server runs.
        let policy = Arc::clone(&self.policy);
        let refused: Refused = Arc::new(move |name: &[u8]| {
            Key::parse(&dotted(name)).is_ok_and(|key| policy.load().sealed_name(&key).is_some())
        });
        let forgotten = in_background("forget names", move || seen.forget(&refused)).await;
        match forgotten {
            Ok(Ok(0)) => {}
            Ok(Ok(names)) => info!(names, "Names that must not be shown are not remembered any more"),
            Ok(Err(error)) => error!(%error, "Names that must not be shown are remembered still"),
            Err(error) => error!(%error, "Names that must not be shown may be remembered still"),
        }
    }
}
