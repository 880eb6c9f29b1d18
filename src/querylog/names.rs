//! The names that were written lately, so that the database need not be asked for each question.

use std::{collections::HashMap, mem, sync::Arc};

use foldhash::fast::RandomState;

use super::{day, day::write::DayWriter, error::LogError};
use crate::{clock::Day, name::Key, policy::Policy, vault::Vault};

/// How many names are remembered at least; at most twice as many.
const REMEMBERED: usize = 24_576;

/// What is known of a name.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    /// Its number in the file; none while no row has it.
    pub(super) number: Option<i64>,
    /// It is a help line's.
    pub(super) help: bool,
}

/// Names by their keys: those of one file, as one policy sees them.
///
/// Two generations: when the young one is full it becomes the old one, and what is still asked for moves back.
#[derive(Debug, Default)]
pub(super) struct Names {
    young: HashMap<Box<[u8]>, Known, RandomState>,
    old: HashMap<Box<[u8]>, Known, RandomState>,
    day: Option<Day>,
    policy: Option<Arc<Policy>>,
}

impl Names {
    /// Forgets everything, as after numbers became void.
    pub(super) fn forget_all(&mut self) {
        *self = Self::default();
    }

    /// Forgets what was of another file.
    pub(super) fn of_file(&mut self, day: Day) {
        if self.day.replace(day) != Some(day) {
            self.young.clear();
            self.old.clear();
        }
    }

    /// What is known of a name, by the bytes of its key.
    pub(super) fn find(&mut self, key: &[u8], policy: &Arc<Policy>) -> Known {
        // Which names are help lines, and which must not be shown, is the policy's to say.
        if !self.policy.as_ref().is_some_and(|known| Arc::ptr_eq(known, policy)) {
            self.young.clear();
            self.old.clear();
            self.policy = Some(Arc::clone(policy));
        }
        if let Some(known) = self.young.get(key) {
            return *known;
        }
        let known = self
            .old
            .remove(key)
            .unwrap_or_else(|| Known { number: None, help: policy.is_help_line(&Key::from_bytes(key)) });
        self.remember(key, known);
        known
    }

    /// The number of a name in the file; it is written where it is new.
    pub(super) fn number(
        &mut self,
        key: &[u8],
        known: Known,
        policy: &Policy,
        writer: &mut DayWriter,
        vault: Option<&Vault>,
    ) -> Result<i64, LogError> {
        if let Some(number) = known.number {
            return Ok(number);
        }
        let name = Key::from_bytes(key);
        let number = match policy.sealed_name(&name) {
            None => writer.name(&day::reversed(key), || None)?,
            Some(listed) => {
                let seal = || vault.map(|vault| vault.seal_text(&["log", "name"], key));
                writer.name(&policy.digests(&name, listed), seal)?
            }
        };
        self.remember(key, Known { number: Some(number), ..known });
        Ok(number)
    }

    fn remember(&mut self, key: &[u8], known: Known) {
        if self.young.len() >= REMEMBERED {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key.into(), known);
    }
}
