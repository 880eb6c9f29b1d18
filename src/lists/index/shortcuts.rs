//! Shortcuts into the names: from the first bytes of a key straight to the node that they lead to.
//!
//! The first steps of a walk go through the widest nodes, which lie far apart in memory. This table, made when an index
//! is opened, spares them.

use super::returned;

/// How many bytes of a key a shortcut skips at most.
///
/// With 1.8 million real names there are 220,000 different beginnings of seven bytes, and 4 MB of table for them.
pub(super) const MAX_SKIPPED: usize = 7;

/// How many shortcuts there are at most: 32 MB of table. Where there would be more, they skip fewer bytes.
pub(super) const MAX_SHORTCUTS: usize = 1 << 20;

/// Where a beginning leads.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shortcut {
    /// The beginning as a number; 0 in a free slot.
    beginning: u64,
    /// The address of the node.
    pub(super) to: u32,
    /// What the way there adds to the value.
    pub(super) value: u32,
}

impl Shortcut {
    /// A shortcut for a beginning, of which the bytes that are not skipped are zero.
    pub(super) fn new(beginning: [u8; MAX_SKIPPED], to: usize, value: u64) -> Option<Self> {
        let beginning = number(&beginning);
        let (to, value) = (u32::try_from(to).ok()?, u32::try_from(value).ok()?);
        (beginning != 0).then_some(Self { beginning, to, value })
    }
}

/// A hash table of shortcuts with open addressing.
#[derive(Debug)]
pub(super) struct Shortcuts {
    slots: Vec<Shortcut>,
    /// The bits of the bytes that are skipped.
    mask: u64,
    /// How many bytes are skipped.
    pub(super) skipped: usize,
    /// What brings a hash into the range of slots.
    shift: u32,
}

impl Shortcuts {
    /// A table of shortcuts that all skip the same number of bytes.
    pub(super) fn new(shortcuts: &[Shortcut], skipped: usize) -> Self {
        // At least an eighth stays free, so that a search soon ends: nearly all are for what is there, and four slots lie in
        // one piece of the processor's cache.
        let size = (shortcuts.len() + shortcuts.len() / 7 + 2).next_power_of_two();
        let mut slots = returned(size);
        slots.resize(size, Shortcut::default());
        let mut new =
            Self { slots, mask: (1 << (8 * skipped)) - 1, skipped, shift: 64 - size.trailing_zeros() };
        for shortcut in shortcuts {
            let mut at = new.place(shortcut.beginning);
            while new.slots[at].beginning != 0 {
                at = (at + 1) % size;
            }
            new.slots[at] = *shortcut;
        }
        new
    }

    /// The shortcut for a key, where there is one.
    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<Shortcut> {
        let beginning = number(key.first_chunk::<MAX_SKIPPED>()?) & self.mask;
        let mut at = self.place(beginning);
        loop {
            let slot = self.slots[at];
            if slot.beginning == beginning {
                return (beginning != 0).then_some(slot);
            }
            if slot.beginning == 0 {
                return None;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    #[inline]
    fn place(&self, beginning: u64) -> usize {
        (beginning.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }
}

#[inline]
fn number(beginning: &[u8; MAX_SKIPPED]) -> u64 {
    let mut eight = [0; 8];
    eight[..MAX_SKIPPED].copy_from_slice(beginning);
    u64::from_le_bytes(eight)
}
