//! What the description of the API says of one call.

use schemars::SchemaGenerator;
use serde_json::Value;

use super::call::{Call, Gives, Takes};

/// The part of the API that a call belongs to, in the order of the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::admin) enum Tag {
    Overview,
    Check,
    Policy,
    Profiles,
    Sites,
    Networks,
    Schedules,
    Lessons,
    Limits,
    Lists,
    Log,
    Audit,
    Users,
    Tokens,
    System,
}

impl Tag {
    pub(super) const ALL: [Self; 15] = [
        Self::Overview,
        Self::Check,
        Self::Policy,
        Self::Profiles,
        Self::Sites,
        Self::Networks,
        Self::Schedules,
        Self::Lessons,
        Self::Limits,
        Self::Lists,
        Self::Log,
        Self::Audit,
        Self::Users,
        Self::Tokens,
        Self::System,
    ];

    /// What it is called.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Check => "Checking sites",
            Self::Policy => "Policy",
            Self::Profiles => "Profiles and the school",
            Self::Sites => "The school's own rules",
            Self::Networks => "Networks and devices",
            Self::Schedules => "Schedules and terms",
            Self::Lessons => "Lessons",
            Self::Limits => "Limits and suppliers",
            Self::Lists => "Lists",
            Self::Log => "Query log",
            Self::Audit => "Audit",
            Self::Users => "Users",
            Self::Tokens => "API tokens",
            Self::System => "System",
        }
    }
}

/// What the description says of a call.
#[derive(Debug, Clone)]
pub(in crate::admin) struct Doc {
    pub(super) tag: Tag,
    /// What it does, in a few words.
    pub(super) summary: &'static str,
    /// What else is to be known; may be empty.
    pub(super) details: &'static str,
    /// Something that can be sent, for those that take JSON.
    pub(super) example: Option<Value>,
    conditional: bool,
    takes: Option<fn(&mut SchemaGenerator) -> Takes>,
    gives: Option<fn(&mut SchemaGenerator) -> Gives>,
}

impl Doc {
    pub(super) fn new(tag: Tag, summary: &'static str) -> Self {
        Self { tag, summary, details: "", example: None, conditional: false, takes: None, gives: None }
    }

    /// With more than the summary.
    pub(super) fn details(self, details: &'static str) -> Self {
        Self { details, ..self }
    }

    /// With something that can be sent.
    pub(super) fn example(self, example: Value) -> Self {
        Self { example: Some(example), ..self }
    }

    /// It changes what others may change too, and so must name the revision that was seen (`If-Match`).
    pub(super) fn conditional(self) -> Self {
        Self { conditional: true, ..self }
    }

    pub(in crate::admin) fn is_conditional(&self) -> bool {
        self.conditional
    }

    /// Of this call.
    pub(in crate::admin) fn of<C: Call>(self, _: &C) -> Self {
        Self { takes: Some(C::takes), gives: Some(C::gives), ..self }
    }

    /// What the call takes; none before it is known of which call this is.
    pub(super) fn takes(&self, generator: &mut SchemaGenerator) -> Option<Takes> {
        self.takes.map(|takes| takes(generator))
    }

    /// What the call answers.
    pub(super) fn gives(&self, generator: &mut SchemaGenerator) -> Option<Gives> {
        self.gives.map(|gives| gives(generator))
    }
}
