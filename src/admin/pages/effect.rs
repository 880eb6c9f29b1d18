//! What a change would have done to the questions of the last days, as pages show it.

use super::super::{failure::Failure, form::Refusal, visit::Visit, words::Words};
use crate::control::{Edit, Preview, PreviewSide};

/// How many days are looked at.
const DAYS: u16 = 7;

/// What a change would have done.
#[derive(Debug)]
pub(super) struct Effect {
    pub(super) preview: Preview,
    blocked: String,
    opened: String,
}

impl Effect {
    fn new(words: &Words, preview: Preview) -> Self {
        let numbers = |side: &PreviewSide| {
            [
                ("names", side.names.into()),
                ("questions", side.questions.into()),
                ("networks", side.networks.into()),
            ]
        };
        let blocked = words.with("effect-blocked", numbers(&preview.blocked));
        let opened = words.with("effect-opened", numbers(&preview.opened));
        Self { preview, blocked, opened }
    }

    /// Each way in which something would be treated otherwise: a sentence, and the names.
    pub(super) fn sides(&self) -> impl Iterator<Item = (&str, &PreviewSide)> {
        [(self.blocked.as_str(), &self.preview.blocked), (self.opened.as_str(), &self.preview.opened)]
            .into_iter()
            .filter(|(_, side)| side.names > 0)
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.sides().next().is_none()
    }
}

/// What edits would do; or why they can't be made.
pub(super) async fn effect(visit: &Visit, edits: Vec<Edit>) -> Result<Result<Effect, Refusal>, Failure> {
    match visit.admin.control.preview(edits, DAYS).await {
        Ok(preview) => Ok(Ok(Effect::new(&visit.words, preview))),
        Err(error) => Refusal::of(visit, error).map(Err),
    }
}

/// What a change did, by what taking it back would do.
pub(super) async fn effect_of_undoing(
    visit: &Visit,
    back: Vec<Edit>,
) -> Result<Result<Effect, Refusal>, Failure> {
    match visit.admin.control.preview(back, DAYS).await {
        Ok(mut preview) => {
            std::mem::swap(&mut preview.blocked, &mut preview.opened);
            Ok(Ok(Effect::new(&visit.words, preview)))
        }
        Err(error) => Refusal::of(visit, error).map(Err),
    }
}
