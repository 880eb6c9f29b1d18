//! What a transfer of changes (RFC 1995) takes out of a zone file and adds to it.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
};

use super::sorted::read_line;

/// The most bytes that changes may take in memory; with more, the whole zone is the better transfer.
const ROOM: usize = 64 * 1024 * 1024;
/// What a change costs beside its line, roughly.
const OVERHEAD: usize = 96;

/// Changes, by line.
#[derive(Default)]
pub(super) struct Changes {
    lines: BTreeMap<Box<[u8]>, Change>,
    size: usize,
}

/// What becomes of one line over all changes.
#[derive(Clone, Copy)]
struct Change {
    /// Whether the old version has it.
    before: bool,
    /// Whether the new version has it.
    after: bool,
}

/// Why changes can't be used; the whole zone can.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// They take a line out that is not there, or add one that is.
    #[error("its changes do not fit the version that we have: {}{what}", String::from_utf8_lossy(.line))]
    Line { line: Vec<u8>, what: &'static str },
    /// There are too many.
    #[error("there are too many changes at once")]
    Many,
    /// The old version can't be read.
    #[error("the version that we have can't be read ({0})")]
    Read(io::Error),
    /// The new version can't be written.
    #[error("the new version can't be written ({0})")]
    Write(io::Error),
}

const NOT_THERE: &str = " is to be removed and is not there";
const THERE: &str = " is to be added and is there";

impl Changes {
    /// Notes that a line goes, or comes.
    pub(super) fn push(&mut self, line: &[u8], after: bool) -> Result<(), Unfit> {
        if let Some(change) = self.lines.get_mut(line) {
            if change.after == after {
                return Err(unfit(line, after));
            }
            change.after = after;
            return Ok(());
        }
        self.size += line.len() + OVERHEAD;
        if self.size > ROOM {
            return Err(Unfit::Many);
        }
        self.lines.insert(line.into(), Change { before: !after, after });
        Ok(())
    }

    /// Writes the new version from the lines of the old, which are sorted, and gives the number of its lines.
    pub(super) fn write(self, old: &mut impl BufRead, out: &mut impl Write) -> Result<u64, Unfit> {
        let mut count = 0;
        let mut put = |line: &[u8]| {
            count += 1;
            out.write_all(line).and_then(|()| out.write_all(b"\n")).map_err(Unfit::Write)
        };
        let mut changes = self.lines.into_iter().peekable();
        while let Some(line) = read_line(old).map_err(Unfit::Read)? {
            while let Some((new, change)) = changes.next_if(|(changed, _)| **changed < *line) {
                if change.before {
                    return Err(unfit(&new, false));
                }
                if change.after {
                    put(&new)?;
                }
            }
            match changes.next_if(|(changed, _)| **changed == *line) {
                Some((_, change)) if !change.before => return Err(unfit(&line, true)),
                Some((_, change)) if !change.after => {}
                _ => put(&line)?,
            }
        }
        for (new, change) in changes {
            if change.before {
                return Err(unfit(&new, false));
            }
            if change.after {
                put(&new)?;
            }
        }
        Ok(count)
    }
}

fn unfit(line: &[u8], after: bool) -> Unfit {
    Unfit::Line { line: line.to_owned(), what: if after { THERE } else { NOT_THERE } }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn changed(old: &str, changes: &[(&str, bool)]) -> Result<String, String> {
        let mut all = Changes::default();
        for (line, after) in changes {
            all.push(line.as_bytes(), *after).map_err(|unfit| unfit.to_string())?;
        }
        let mut out = Vec::new();
        all.write(&mut old.as_bytes(), &mut out).map_err(|unfit| unfit.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn lines_go_and_come_in_their_places() {
        let new = changed("b\nd\nf\n", &[("d", false), ("a", true), ("e", true), ("g", true)]);
        assert_eq!(new.unwrap(), "a\nb\ne\nf\ng\n");
        assert_eq!(changed("", &[("a", true)]).unwrap(), "a\n");
        assert_eq!(changed("a\n", &[("a", false)]).unwrap(), "");
    }

    #[test]
    fn a_line_may_go_and_come_again() {
        assert_eq!(changed("a\n", &[("a", false), ("a", true)]).unwrap(), "a\n");
        assert_eq!(changed("b\n", &[("a", true), ("a", false)]).unwrap(), "b\n");
    }

    #[test]
    fn changes_of_another_version_are_refused() {
        for (old, changes) in [
            ("b\n", &[("a", false)][..]),
            ("b\n", &[("c", false)]),
            ("b\n", &[("b", true)]),
            ("b\n", &[("b", false), ("b", false)]),
            ("b\n", &[("a", true), ("a", true)]),
            // Nothing is left of it, but the version was another one.
            ("a\nb\n", &[("a", true), ("a", false)]),
            ("b\n", &[("a", false), ("a", true)]),
        ] {
            let error = changed(old, changes).unwrap_err();
            assert!(error.starts_with("its changes do not fit"), "{changes:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn changes_do_what_they_do_to_a_set(
            old in proptest::collection::btree_set("[a-d]{1,2}", 0..12),
            steps in proptest::collection::vec(("[a-d]{1,2}", any::<bool>()), 0..12),
        ) {
            let text: String = old.iter().flat_map(|line| [line, "\n"]).collect();
            let mut set: BTreeSet<String> = old;
            let fits = steps.iter().all(|(line, after)| {
                if *after { set.insert(line.clone()) } else { set.remove(line) }
            });
            let steps: Vec<_> = steps.iter().map(|(line, after)| (line.as_str(), *after)).collect();
            let new = changed(&text, &steps);
            prop_assert_eq!(new.is_ok(), fits);
            if let Ok(new) = new {
                prop_assert_eq!(new, set.iter().flat_map(|line| [line, "\n"]).collect::<String>());
            }
        }
    }
}
