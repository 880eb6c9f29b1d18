//! The listed names: a finite-state transducer (FST) from a name's key to the number of its set.
//!
//! It spells the names out, which the [table](super::table) of their hashes does not. Questions are answered from the table alone, so
//! these bytes stay on the disk until somebody wants to read names. The `fst` crate writes them. Reading is done here, since it must not
//! panic on any bytes, however they came to be.
//!
//! The layout (version 3 of that crate's): 16 bytes of version and type, the nodes, how many keys there are, the
//! address of the root, a checksum. A node is read backwards from its last byte, the state; its address is that
//! byte's. All nodes that it leads to lie in front of it, so a walk always ends.

use std::{borrow::Cow, fmt};

use crate::name::Key;

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

/// Names that can be read in their order.
pub struct Names<'a> {
    bytes: Cow<'a, [u8]>,
    count: u64,
    root: usize,
    /// The sets are numbered below.
    sets: usize,
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

impl<'a> Names<'a> {
    /// Reads where the root is.
    pub(super) fn check(bytes: Cow<'a, [u8]>, count: u64, sets: usize) -> Result<Self, &'static str> {
        if bytes.len() < FRONT + FOOT {
            return Err("it is too short");
        }
        if number(&bytes, 0, 8) != Some(VERSION) {
            return Err("it is of another version of the fst crate");
        }
        if number(&bytes, bytes.len() - FOOT, 8) != Some(count) {
            return Err("it does not have as many names as the header says");
        }
        let root = number(&bytes, bytes.len() - FOOT + 8, 8).and_then(|root| usize::try_from(root).ok());
        match root {
            // The root is the node that was written last.
            Some(root) if root + FOOT + 1 == bytes.len() => Ok(Self { bytes, count, root, sets }),
            _ => Err("its root is not at its end"),
        }
    }

    /// All names with their places in [`DomainIndex::sets`](super::DomainIndex::sets), in the order of their keys' bytes.
    ///
    /// A name comes as the bytes of its [`Key`] (`com.example.www`); [`dotted`](crate::name::dotted) turns them round.
    pub fn iter(&self) -> impl Iterator<Item = (Vec<u8>, u32)> {
        self.beginning_with(Vec::new())
    }

    /// The names below a name, not that name itself, as [`iter`](Self::iter) gives them.
    pub fn below(&self, key: &Key) -> impl Iterator<Item = (Vec<u8>, u32)> {
        let mut beginning = key.as_bytes().to_vec();
        if !beginning.is_empty() {
            beginning.push(b'.');
        }
        self.beginning_with(beginning)
    }

    fn beginning_with(&self, beginning: Vec<u8>) -> impl Iterator<Item = (Vec<u8>, u32)> {
        // Only an index that this program did not write leads to a set that is not there.
        self.numbered(beginning)
            .filter_map(|(name, set)| Some((name, u32::try_from(set).ok()?)))
            .filter(|(_, set)| (*set as usize) < self.sets)
    }

    /// The names that begin with these bytes, in the order of their bytes, with their numbers.
    fn numbered(&self, beginning: Vec<u8>) -> Iter<'_> {
        let bytes = &*self.bytes;
        let (mut at, mut value) = (Some(self.root), 0_u64);
        for &input in &beginning {
            let step = at.and_then(|at| Node::read(bytes, at)).and_then(|node| node.step(input));
            at = step.as_ref().map(|step| step.to);
            value = value.wrapping_add(step.map_or(0, |step| step.output));
        }
        let depth = beginning.len();
        let stack = at.map(|at| Frame { at, next: 0, value, depth }).into_iter().collect();
        Iter { bytes, stack, key: beginning, steps: steps(self.count) }
    }
}

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("count", &self.count).finish_non_exhaustive()
    }
}

/// How many steps there are at most to so many names.
///
/// In what the compiler writes, each step belongs to a name, and no name has more than 255 bytes.
fn steps(count: u64) -> u64 {
    count.saturating_add(1).saturating_mul(256)
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
struct Iter<'a> {
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

    fn read(bytes: &[u8], count: usize) -> Result<Names<'_>, &'static str> {
        Names::check(bytes.into(), count as u64, usize::MAX)
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
        fn what_was_written_is_read(names in names()) {
            let bytes = build(&names);
            let found: Vec<_> = read(&bytes, names.len()).unwrap().numbered(Vec::new()).collect();
            prop_assert_eq!(found, names.into_iter().collect::<Vec<_>>());
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
            if let Ok(changed) = read(&bytes, names.len()) {
                prop_assert!(changed.iter().take(10_000).count() <= 10_000);
                prop_assert!(changed.numbered(b"a.".to_vec()).take(10_000).count() <= 10_000);
            }
        }

        #[test]
        fn the_names_that_begin_so_are_found(names in names(), beginning in prop::collection::vec(any::<u8>(), 0..3)) {
            let bytes = build(&names);
            let built = read(&bytes, names.len()).unwrap();
            let longer = names.keys().next().map(|name| name[..1].to_vec());
            for beginning in longer.into_iter().chain([beginning, b"a.".to_vec()]) {
                let wanted: Vec<(Vec<u8>, u64)> = names
                    .iter()
                    .filter(|(name, _)| name.starts_with(&beginning))
                    .map(|(name, value)| (name.clone(), *value))
                    .collect();
                let found: Vec<_> = built.numbered(beginning).collect();
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
            let below: Vec<_> = read(&bytes, 2).unwrap().numbered(vec![first, first]).collect();
            let mut wanted = vec![(vec![first, first, first], 5)];
            if first == 1 {
                wanted.insert(0, (vec![1, 1], 0));
            }
            assert_eq!(below, wanted);
        }
        let names: BTreeMap<_, _> = (0..=u8::MAX).map(|b| (vec![b], u64::from(b) * 1000)).collect();
        let bytes = build(&names);
        for (name, wanted) in &names {
            let found: Vec<_> = read(&bytes, 256).unwrap().numbered(name.clone()).collect();
            assert_eq!(found, [(name.clone(), *wanted)]);
        }
    }
}
