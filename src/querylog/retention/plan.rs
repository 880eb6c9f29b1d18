//! What is to become of a day: pure, with the time and everything known handed in.

use super::rewrite::{Kept, Mark};
use crate::policy::Retention;

/// How much of a day legal holds cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// Nothing.
    Nothing,
    /// Some of it: part of the day, or one device.
    Part,
    /// Every question.
    Whole,
}

/// What is to become of a day file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is written anew with only this, and what is held.
    Reduce(Kept),
    /// It is deleted.
    Delete,
}

/// The next step of a day that began `age` days ago; none where it is as it should be.
///
/// A day is kept until its last moment is as old as the policy says, so it goes when the day after that begins.
/// `lifted` says that the file has rows for the sake of a hold that does not stand any more.
pub(super) fn step(age: u16, mark: &Mark, retention: &Retention, held: Held, lifted: bool) -> Option<Step> {
    if age <= retention.allowed_days || held == Held::Whole {
        return None;
    }
    let (wanted, over) = if age <= retention.blocked_days {
        (Kept::Blocked, Step::Reduce(Kept::Blocked))
    } else if held == Held::Nothing {
        return Some(Step::Delete);
    } else {
        (Kept::Held, Step::Reduce(Kept::Held))
    };
    (mark.kept < wanted || lifted).then_some(over)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Retention = Retention { allowed_days: 30, blocked_days: 365, rollup_days: 730 };

    fn next(age: u16, kept: Kept, held: Held, lifted: bool) -> Option<Step> {
        step(age, &Mark { kept, holds: Vec::new() }, &RULES, held, lifted)
    }

    #[test]
    fn a_day_is_reduced_when_its_last_moment_is_old_enough_and_deleted_later() {
        use Held::{Nothing, Part, Whole};
        use Step::{Delete, Reduce};
        for (age, kept, held, lifted, wanted) in [
            (0, Kept::All, Nothing, false, None),
            (30, Kept::All, Nothing, false, None),
            (31, Kept::All, Nothing, false, Some(Reduce(Kept::Blocked))),
            (31, Kept::Blocked, Nothing, false, None),
            (365, Kept::Blocked, Nothing, false, None),
            (365, Kept::All, Nothing, false, Some(Reduce(Kept::Blocked))),
            (366, Kept::Blocked, Nothing, false, Some(Delete)),
            (366, Kept::All, Nothing, false, Some(Delete)),
            (31, Kept::All, Whole, false, None),
            (9_999, Kept::All, Whole, false, None),
            (31, Kept::All, Part, false, Some(Reduce(Kept::Blocked))),
            (366, Kept::Blocked, Part, false, Some(Reduce(Kept::Held))),
            (366, Kept::Held, Part, false, None),
            (366, Kept::Held, Nothing, true, Some(Delete)),
            (31, Kept::Blocked, Nothing, true, Some(Reduce(Kept::Blocked))),
            (366, Kept::Held, Part, true, Some(Reduce(Kept::Held))),
        ] {
            assert_eq!(next(age, kept, held, lifted), wanted, "{age} {kept:?} {held:?} {lifted}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_deleted_before_its_time_nor_while_something_of_it_is_held(
            age in any::<u16>(),
            kept in prop::sample::select(vec![Kept::All, Kept::Blocked, Kept::Held]),
            held in prop::sample::select(vec![Held::Nothing, Held::Part, Held::Whole]),
            lifted in any::<bool>(),
        ) {
            let step = next(age, kept, held, lifted);
            prop_assert!(step != Some(Step::Delete) || (age > 365 && held == Held::Nothing));
            prop_assert!(step != Some(Step::Reduce(Kept::Held)) || age > 365);
            prop_assert!(step.is_none() || (age > 30 && held != Held::Whole));
            prop_assert!(age <= 365 || held != Held::Nothing || step == Some(Step::Delete));
        }
    }
}
