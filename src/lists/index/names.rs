//! The listed names: a finite-state transducer (FST) from a name's key to the number of its set.
//!
//! The `fst` crate writes it. Reading it is done here, since the walk of a question differs from what that crate
//! offers in two ways: it stops at each label, and it must not panic on any bytes, however they came to be.
//!
//! The layout (version 3 of that crate's): 16 bytes of version and type, the nodes, how many keys there are, the
//! address of the root, a checksum. A node is read backwards from its last byte, the state; its address is that
//! byte's. All nodes that it leads to lie in front of it, so a walk always ends.

use smallvec::SmallVec;

use super::{
    returned,
    shortcuts::{MAX_SHORTCUTS, MAX_SKIPPED, Shortcut, Shortcuts},
};

/// The bytes in front of the first node.
const FRONT: usize = 16;

/// The bytes behind the root: key count, root address, checksum.
const FOOT: usize = 20;

/// The version of the layout.
const VERSION: u64 = 3;

/// The node that is final, has no output and leads nowhere; it takes no bytes.
const END: usize = 0;

/// The upper two bits of the state of a node with one transition, without output, to the node just in front.
const NEXT: u8 = 0b11;

/// From this many transitions on, a node has a table of 256 bytes, one for each input.
const TABLE_FROM: usize = 33;

/// The inputs that a state of one transition has room for, by their number less one.
const COMMON: [u8; 63] = *b"te/oasripcnw.hlm-du012g=:bf3y5&_4v9678k%?xCDASFIBEjPTzRNM+LOqHG";

/// Where the walk through names starts.
#[derive(Debug)]
pub(super) struct Names {
    root: usize,
    shortcuts: Shortcuts,
}

/// A walk along a key, where it stands.
struct Walk<'k> {
    key: &'k [u8],
    /// How many bytes of the key it went along.
    done: usize,
    /// The node that it came to.
    at: usize,
    /// What the way there adds up to.
    value: u64,
}

/// A node, taken apart as far as a walk needs.
struct Node<'a> {
    bytes: &'a [u8],
    shape: Shape,
    /// How many bytes the address of a transition takes.
    address_size: usize,
    /// How many bytes an output takes.
    output_size: usize,
    /// The node's first byte, from which the addresses count.
    start: usize,
}

enum Shape {
    /// Nothing follows.
    End,
    /// One transition, to the node just in front.
    Next { input: u8 },
    /// One transition.
    One { input: u8 },
    /// Any number of transitions.
    Any { is_final: bool, count: usize, inputs: usize },
}

/// Where a transition leads, and what it adds to the value.
#[derive(Clone, Copy)]
struct Step {
    to: usize,
    output: u64,
}

impl Names {
    /// Reads where the root is.
    pub(super) fn check(bytes: &[u8], count: u64) -> Result<Self, &'static str> {
        if bytes.len() < FRONT + FOOT {
            return Err("it is too short");
        }
        if number(bytes, 0, 8) != Some(VERSION) {
            return Err("it is of another version of the fst crate");
        }
        if number(bytes, bytes.len() - FOOT, 8) != Some(count) {
            return Err("it does not have as many names as the header says");
        }
        let root = number(bytes, bytes.len() - FOOT + 8, 8).and_then(|root| usize::try_from(root).ok());
        match root {
            // The root is the node that was written last.
            Some(root) if root + FOOT + 1 == bytes.len() => {
                Ok(Self { root, shortcuts: shortcuts(bytes, root, count, MAX_SHORTCUTS) })
            }
            _ => Err("its root is not at its end"),
        }
    }

    /// What takes memory besides the bytes; walks go without shortcuts afterwards.
    pub(super) fn take(&mut self) -> impl Send + use<> {
        std::mem::replace(&mut self.shortcuts, Shortcuts::new(&[], MAX_SKIPPED))
    }

    /// Walks along `key` and calls `found` with the number of bytes and the set of each name on the way that ends
    /// where a label of `key` does.
    #[inline]
    pub(super) fn walk(&self, bytes: &[u8], key: &[u8], mut found: impl FnMut(usize, u64)) {
        let mut walk = self.begin(key);
        while walk.go_on(bytes, &mut found) {}
    }

    /// Walks along several keys, and calls `found` with the place of the key besides.
    ///
    /// In turns, a stretch of each: where one waits for memory, the processor is at work on the others already.
    pub(super) fn walk_all<'k>(
        &self,
        bytes: &[u8],
        keys: impl Iterator<Item = (usize, &'k [u8])>,
        mut found: impl FnMut(usize, usize, u64),
    ) {
        let mut walks: SmallVec<[(usize, Walk<'k>); 32]> =
            keys.map(|(place, key)| (place, self.begin(key))).collect();
        while !walks.is_empty() {
            let mut next = 0;
            while let Some((place, walk)) = walks.get_mut(next) {
                if walk.go_on(bytes, &mut |length, set| found(*place, length, set)) {
                    next += 1;
                } else {
                    walks.swap_remove(next);
                }
            }
        }
    }

    #[inline(always)]
    fn begin<'k>(&self, key: &'k [u8]) -> Walk<'k> {
        match self.shortcuts.find(key) {
            Some(shortcut) => Walk {
                key,
                done: self.shortcuts.skipped,
                at: shortcut.to as usize,
                value: u64::from(shortcut.value),
            },
            None => Walk { key, done: 0, at: self.root, value: 0 },
        }
    }

    /// All names in the order of their bytes.
    pub(super) fn iter<'a>(&self, bytes: &'a [u8], count: u64) -> Iter<'a> {
        Iter {
            bytes,
            stack: vec![Frame { at: self.root, next: 0, value: 0, depth: 0 }],
            key: Vec::new(),
            steps: steps(count),
        }
    }

    /// The names that begin with these bytes, in the order of their bytes.
    pub(super) fn below<'a>(&self, bytes: &'a [u8], beginning: Vec<u8>, count: u64) -> Iter<'a> {
        let (mut at, mut value) = (Some(self.root), 0_u64);
        for &input in &beginning {
            let step = at.and_then(|at| Node::read(bytes, at)).and_then(|node| node.step(input));
            at = step.as_ref().map(|step| step.to);
            value = value.wrapping_add(step.map_or(0, |step| step.output));
        }
        let depth = beginning.len();
        let stack = at.map(|at| Frame { at, next: 0, value, depth }).into_iter().collect();
        Iter { bytes, stack, key: beginning, steps: steps(count) }
    }
}

/// How many steps there are at most to so many names.
///
/// In what the compiler writes, each step belongs to a name, and no name has more than 255 bytes.
fn steps(count: u64) -> u64 {
    count.saturating_add(1).saturating_mul(256)
}

/// Shortcuts that skip as many bytes as they can without being too many.
fn shortcuts(bytes: &[u8], root: usize, names: u64, most: usize) -> Shortcuts {
    // As many as there are names, up to the most: memory that is not used is not taken.
    let mut found = returned(most.min(usize::try_from(names).unwrap_or(most)).min(MAX_SHORTCUTS));
    for skipped in (1..=MAX_SKIPPED).rev() {
        found.clear();
        // No more than the bytes can hold in what the compiler writes, whatever the header says.
        let count = names.min(bytes.len() as u64);
        let steps = count.saturating_add(1).saturating_mul(MAX_SKIPPED as u64 + 1);
        let mut gather = Gather { bytes, skipped, steps, count, most, found: &mut found };
        gather.below(root, 0, [0; MAX_SKIPPED], 0);
        if found.len() < most {
            return Shortcuts::new(&found, skipped);
        }
    }
    Shortcuts::new(&[], MAX_SKIPPED)
}

/// The search for all nodes that a shortcut can lead to.
struct Gather<'a> {
    bytes: &'a [u8],
    skipped: usize,
    steps: u64,
    count: u64,
    /// With how many the search ends.
    most: usize,
    found: &'a mut Vec<Shortcut>,
}

impl Gather<'_> {
    /// Goes on from a node that `depth` bytes have led to; nothing where the bytes can't be nodes, or enough was found.
    fn below(&mut self, at: usize, value: u64, mut beginning: [u8; MAX_SKIPPED], depth: usize) -> Option<()> {
        if depth == self.skipped {
            // Each beginning has a name of its own, unless the bytes were made up.
            self.count = self.count.checked_sub(1)?;
            self.found.extend(Shortcut::new(beginning, at, value));
            return (self.found.len() < self.most).then_some(());
        }
        let node = Node::read(self.bytes, at)?;
        let is_name = node.final_output().is_some();
        for place in 0..node.count() {
            let (input, step) = (node.input(place)?, node.transition(place)?);
            self.steps = self.steps.checked_sub(1)?;
            // A shortcut must not jump over a name that a walk would have found.
            if !(is_name && input == b'.') {
                beginning[depth] = input;
                self.below(step.to, value.wrapping_add(step.output), beginning, depth + 1)?;
            }
        }
        Some(())
    }
}

impl Walk<'_> {
    /// Goes on to the next node that may lie far away; false where it ended.
    #[inline(always)]
    fn go_on(&mut self, bytes: &[u8], found: &mut impl FnMut(usize, u64)) -> bool {
        let Self { key, done, at, value } = self;
        while let Some(&input) = key.get(*done) {
            let Some(&state) = bytes.get(*at) else { return false };
            // Most nodes of a walk are of this shape; it has no output and is not final, and what it leads to lies beside it.
            if state >> 6 == NEXT && *at != END {
                match one_input(bytes, *at, state) {
                    Some((only, start)) if only == input && start > 0 => *at = start - 1,
                    _ => return false,
                }
                *done += 1;
                continue;
            }
            let Some(node) = Node::read(bytes, *at) else { return false };
            if input == b'.'
                && let Some(output) = node.final_output()
            {
                found(*done, value.wrapping_add(output));
            }
            let Some(step) = node.step(input) else { return false };
            *at = step.to;
            *value = value.wrapping_add(step.output);
            *done += 1;
            return true;
        }
        if let Some(output) = Node::read(bytes, *at).and_then(|node| node.final_output()) {
            found(key.len(), value.wrapping_add(output));
        }
        false
    }
}

impl<'a> Node<'a> {
    /// The node whose last byte is at `at`, or nothing where the bytes can't be one.
    #[inline(always)]
    fn read(bytes: &'a [u8], at: usize) -> Option<Self> {
        if at == END {
            return Some(Self { bytes, shape: Shape::End, address_size: 0, output_size: 0, start: 0 });
        }
        let state = *bytes.get(at)?;
        match state >> 6 {
            NEXT => {
                let (input, start) = one_input(bytes, at, state)?;
                Some(Self { bytes, shape: Shape::Next { input }, address_size: 0, output_size: 0, start })
            }
            0b10 => {
                let (input, end) = one_input(bytes, at, state)?;
                let (address_size, output_size) = sizes(*bytes.get(end.checked_sub(1)?)?);
                let start = (end - 1).checked_sub(address_size + output_size)?;
                Some(Self { bytes, shape: Shape::One { input }, address_size, output_size, start })
            }
            high => {
                let is_final = high == 0b01;
                let (count, end) = match usize::from(state & 0b11_1111) {
                    0 => match *bytes.get(at.checked_sub(1)?)? {
                        1 => (256, at - 1),
                        count => (usize::from(count), at - 1),
                    },
                    count => (count, at),
                };
                let (address_size, output_size) = sizes(*bytes.get(end.checked_sub(1)?)?);
                let table = if count >= TABLE_FROM { 256 } else { 0 };
                let inputs = (end - 1).checked_sub(table + count)?;
                let outputs = count + usize::from(is_final);
                let start = inputs.checked_sub(count * address_size + outputs * output_size)?;
                Some(Self {
                    bytes,
                    shape: Shape::Any { is_final, count, inputs },
                    address_size,
                    output_size,
                    start,
                })
            }
        }
    }

    /// What the node adds to the value of the name that ends at it, where one does.
    #[inline(always)]
    fn final_output(&self) -> Option<u64> {
        match self.shape {
            Shape::End => Some(0),
            Shape::Any { is_final: true, .. } => number(self.bytes, self.start, self.output_size),
            _ => None,
        }
    }

    /// The transition of an input.
    #[inline(always)]
    fn step(&self, input: u8) -> Option<Step> {
        match self.shape {
            Shape::Next { input: only } | Shape::One { input: only } => {
                if only == input {
                    self.transition(0)
                } else {
                    None
                }
            }
            Shape::Any { count, inputs, .. } if count >= TABLE_FROM => {
                let place = usize::from(*self.bytes.get(inputs + count + usize::from(input))?);
                if place < count { self.transition(place) } else { None }
            }
            Shape::Any { count, inputs, .. } => {
                let place = self.bytes.get(inputs..inputs + count)?.iter().position(|&b| b == input)?;
                self.transition(count - 1 - place)
            }
            Shape::End => None,
        }
    }

    /// How many transitions there are.
    fn count(&self) -> usize {
        match self.shape {
            Shape::End => 0,
            Shape::Next { .. } | Shape::One { .. } => 1,
            Shape::Any { count, .. } => count,
        }
    }

    /// The input of the transition with this place.
    fn input(&self, place: usize) -> Option<u8> {
        match self.shape {
            Shape::End => None,
            Shape::Next { input } | Shape::One { input } => Some(input),
            Shape::Any { count, inputs, .. } => {
                self.bytes.get(inputs + (count - 1).checked_sub(place)?).copied()
            }
        }
    }

    /// The transition with this place, which is under [`count`](Self::count).
    #[inline(always)]
    fn transition(&self, place: usize) -> Option<Step> {
        let (address_at, output_at) = match self.shape {
            Shape::End => return None,
            Shape::Next { .. } => return Some(Step { to: self.start.checked_sub(1)?, output: 0 }),
            Shape::One { .. } => (self.start + self.output_size, self.start),
            Shape::Any { count, inputs, .. } => (
                inputs.checked_sub((place + 1) * self.address_size)?,
                inputs.checked_sub(count * self.address_size + (place + 1) * self.output_size)?,
            ),
        };
        // An address counts back from the node's start, so nothing leads forward; 0 is the end.
        let to = match number(self.bytes, address_at, self.address_size)? {
            0 => END,
            back => self.start.checked_sub(usize::try_from(back).ok()?)?,
        };
        Some(Step { to, output: number(self.bytes, output_at, self.output_size)? })
    }
}

/// What is left of eight bytes, by how many are meant. A table, since a processor can't guess sizes.
const MASKS: [u64; 9] =
    [0, 0xff, 0xffff, 0xff_ffff, u32::MAX as u64, u64::MAX >> 24, u64::MAX >> 16, u64::MAX >> 8, u64::MAX];

/// The input of a node of one transition, and the place behind what is in front of it.
#[inline(always)]
fn one_input(bytes: &[u8], at: usize, state: u8) -> Option<(u8, usize)> {
    match state & 0b11_1111 {
        0 => Some((*bytes.get(at.checked_sub(1)?)?, at - 1)),
        common => Some((COMMON[usize::from(common) - 1], at)),
    }
}

/// How many bytes an address and an output of a node take.
#[inline(always)]
fn sizes(packed: u8) -> (usize, usize) {
    (usize::from(packed >> 4), usize::from(packed & 0b1111))
}

/// The little-endian number of `size` bytes at `at`.
///
/// Every node has the foot behind it, so eight bytes can be read at each number and cut to size.
#[inline(always)]
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let eight = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*eight) & MASKS.get(size)?)
}

struct Frame {
    at: usize,
    next: usize,
    value: u64,
    depth: usize,
}

/// All names of an index with their sets, in the order of their bytes.
pub(super) struct Iter<'a> {
    bytes: &'a [u8],
    stack: Vec<Frame>,
    key: Vec<u8>,
    steps: u64,
}

impl Iterator for Iter<'_> {
    type Item = (Vec<u8>, u64);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(frame) = self.stack.last_mut() {
            let node = Node::read(self.bytes, frame.at)?;
            self.key.truncate(frame.depth);
            let (place, value) = (frame.next, frame.value);
            // A node is visited once for its own name, then once for each transition.
            frame.next += 1;
            if place == 0 {
                if let Some(output) = node.final_output() {
                    return Some((self.key.clone(), value.wrapping_add(output)));
                }
            } else if place <= node.count() {
                let (input, step) = (node.input(place - 1)?, node.transition(place - 1)?);
                self.steps = self.steps.checked_sub(1)?;
                self.key.push(input);
                self.stack.push(Frame {
                    at: step.to,
                    next: 0,
                    value: value.wrapping_add(step.output),
                    depth: self.key.len(),
                });
            } else {
                self.stack.pop();
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fst::MapBuilder;
    use proptest::prelude::*;

    use super::*;

    fn build(names: &BTreeMap<Vec<u8>, u64>) -> Vec<u8> {
        let mut builder = MapBuilder::memory();
        for (name, value) in names {
            builder.insert(name, *value).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn value(bytes: &[u8], count: usize, key: &[u8]) -> Option<u64> {
        let mut value = None;
        Names::check(bytes, count as u64).unwrap().walk(bytes, key, |length, found| {
            if length == key.len() {
                value = Some(found);
            }
        });
        value
    }

    fn names() -> impl Strategy<Value = BTreeMap<Vec<u8>, u64>> {
        let value = prop_oneof![0..3_u64, 0..300_u64, any::<u64>()];
        prop_oneof![
            // Never the empty name, the root's: the compiler leaves it out, and alone with the value 0 it would be a
            // tree without a node.
            prop::collection::btree_map(prop::collection::vec(any::<u8>(), 1..6), value.clone(), 0..400),
            prop::collection::btree_map(
                "[a-c.]{1,12}|[a-z0-9.%^-]{1,20}".prop_map(String::into_bytes),
                value,
                0..200
            ),
        ]
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(names in names(), other in prop::collection::vec(any::<u8>(), 0..6)) {
            let bytes = build(&names);
            for (name, wanted) in &names {
                prop_assert_eq!(value(&bytes, names.len(), name), Some(*wanted));
            }
            prop_assert_eq!(value(&bytes, names.len(), &other), names.get(&other).copied());
            let read: Vec<_> = Names::check(&bytes, names.len() as u64).unwrap().iter(&bytes, names.len() as u64).collect();
            prop_assert_eq!(read, names.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn no_bytes_make_it_panic(
            names in names(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        ) {
            let mut bytes = build(&names);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(changed) = Names::check(&bytes, names.len() as u64) {
                for name in names.keys() {
                    changed.walk(&bytes, name, |_, _| {});
                }
                prop_assert!(changed.iter(&bytes, names.len() as u64).take(10_000).count() <= 10_000);
                prop_assert!(changed.below(&bytes, b"a.".to_vec(), 9).take(10_000).count() <= 10_000);
            }
        }
    }

    proptest! {
        #[test]
        fn the_names_that_begin_so_are_found(names in names(), beginning in prop::collection::vec(any::<u8>(), 0..3)) {
            let bytes = build(&names);
            let built = Names::check(&bytes, names.len() as u64).unwrap();
            let longer = names.keys().next().map(|name| name[..1].to_vec());
            for beginning in longer.into_iter().chain([beginning, b"a.".to_vec()]) {
                let wanted: Vec<(Vec<u8>, u64)> = names
                    .iter()
                    .filter(|(name, _)| name.starts_with(&beginning))
                    .map(|(name, value)| (name.clone(), *value))
                    .collect();
                let found: Vec<_> = built.below(&bytes, beginning, names.len() as u64).collect();
                prop_assert_eq!(found, wanted);
            }
        }
    }

    #[test]
    fn each_byte_is_an_input() {
        // One transition each, both to the node in front and to one further away, and a node with all 256.
        for first in 0..=u8::MAX {
            let names = BTreeMap::from([(vec![first, 1], 0), (vec![first, first, first], 5)]);
            let bytes = build(&names);
            assert_eq!(value(&bytes, 2, &[first, first, first]), Some(5));
            assert_eq!(value(&bytes, 2, &[first, 1]), Some(0));
        }
        let names: BTreeMap<_, _> = (0..=u8::MAX).map(|b| (vec![b], u64::from(b) * 1000)).collect();
        let bytes = build(&names);
        for (name, wanted) in &names {
            assert_eq!(value(&bytes, 256, name), Some(*wanted));
        }
    }

    #[test]
    fn a_shortcut_jumps_over_no_name() {
        // Each is longer than the beginning that a shortcut skips, or ends within it.
        let names = BTreeMap::from([
            (b"ab.cd".to_vec(), 300),
            (b"ab.cd.efgh".to_vec(), 2),
            (b"ab.cdx".to_vec(), 3),
            (b"ab.cdx.yyy".to_vec(), 4),
            (b"ab.cdxy".to_vec(), 5),
            (b"ab.cdxy.z".to_vec(), 6),
        ]);
        let bytes = build(&names);
        let read = Names::check(&bytes, 6).unwrap();
        for (key, wanted) in [
            ("ab.cd.efgh.i", &[(5, 300), (10, 2)][..]),
            ("ab.cdx.yyy", &[(6, 3), (10, 4)]),
            ("ab.cdxy.z", &[(7, 5), (9, 6)]),
            ("ab.cdxy", &[(7, 5)]),
            ("ab.cdxyz.z", &[]),
        ] {
            let mut found = Vec::new();
            read.walk(&bytes, key.as_bytes(), |length, set| found.push((length, set)));
            assert_eq!(found, wanted, "{key}");
        }
        assert!(read.shortcuts.find(b"ab.cdxy.z").is_some());
        assert!(read.shortcuts.find(b"ab.cd.efgh").is_none());
    }

    #[test]
    fn shortcuts_that_would_be_too_many_skip_less() {
        let names: BTreeMap<_, _> = (0..500_u64)
            .map(|i| (format!("com.{}{}", ["a", "ab.c"][i as usize % 2], i * 7919).into_bytes(), i))
            .collect();
        let bytes = build(&names);
        let count = names.len() as u64;
        let root = Names::check(&bytes, count).unwrap().root;
        let mut skips = Vec::new();
        for most in [usize::MAX, 60, 20, 3, 1] {
            let read = Names { root, shortcuts: shortcuts(&bytes, root, count, most) };
            skips.push(read.shortcuts.skipped);
            for (name, wanted) in &names {
                let mut found = None;
                read.walk(&bytes, name, |length, set| {
                    if length == name.len() {
                        found = Some(set);
                    }
                });
                assert_eq!(found, Some(*wanted), "at most {most}");
            }
        }
        assert_eq!(skips[0], MAX_SKIPPED);
        assert!(skips[1] < skips[0] && skips[2] <= skips[1] && skips[3] < skips[2], "{skips:?}");
    }

    #[test]
    fn names_end_at_labels_only() {
        let names = BTreeMap::from([(b"a.b".to_vec(), 1), (b"a.bc.d".to_vec(), 2), (b"a.bc".to_vec(), 3)]);
        let bytes = build(&names);
        let mut found = Vec::new();
        Names::check(&bytes, 3).unwrap().walk(&bytes, b"a.bc.d.e", |length, set| found.push((length, set)));
        assert_eq!(found, [(4, 3), (6, 2)]);
    }
}
