//! The order of decision. [`Asker::first`] is it, from top to bottom; the first step that applies decides.

use jiff::Timestamp;

use super::{
    BlockResponse, Decision, LessonRef, Listed, Policy, Question, Reason, RuleRef, ServiceRef, Target,
    Verdict,
    file::{Access, Mode, YouTube},
    lookup::Matches,
    names::{Found, What},
    novelty::Novelty,
    profile::Profile,
    tables::{Engine, EngineKind},
};
use crate::{category::CategorySet, clients::Client};

/// What a step found.
enum Outcome {
    Allow(Reason),
    Block(Reason),
}

/// What services and categories say of a name.
pub(crate) enum Listing {
    /// A service or a category blocks it.
    Blocks(Reason),
    /// A service that is open has it.
    Opens(ServiceRef),
    /// Neither.
    Nothing,
}

/// A client at a time, in its profile.
pub(crate) struct Asker<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) profile: &'a Profile,
    /// The profile's place.
    pub(crate) place: usize,
    pub(crate) client: &'a Client,
    pub(crate) now: Timestamp,
}

impl Policy {
    /// Decides what happens to a question, before it is resolved.
    ///
    /// Total: any name, any client and any time has a decision. A client of a profile that is not there is decided as
    /// one of the fallback profile.
    #[must_use]
    pub fn decide(&self, question: &Question, client: &Client, now: Timestamp) -> Decision {
        let (found, matches) = (self.names.find(&question.key), self.look_up(&question.key));
        self.weigh(question, client, now, &found, &matches)
    }

    /// The same for a name of which nobody says anything, as [`AnswerFacts`](super::AnswerFacts) of this policy tell.
    #[must_use]
    pub fn decide_unsaid(&self, question: &Question, client: &Client, now: Timestamp) -> Decision {
        self.weigh(question, client, now, &Found::nothing(), &Matches::default())
    }

    /// Decides by what the product and the school say of the name, and by what the lists say.
    fn weigh(
        &self,
        question: &Question,
        client: &Client,
        now: Timestamp,
        facts: &Found<'_>,
        matches: &Matches,
    ) -> Decision {
        let asker = self.asker(client, now);
        let categories = matches.open.union(matches.raw.intersection(asker.profile.locked));
        let novelty = asker.novelty(question, facts, matches);
        let approved = asker.is_approved(facts, matches);
        let mut would_block = None;
        let reason = match asker.first(facts, matches, approved, novelty) {
            Outcome::Allow(reason) => reason,
            Outcome::Block(reason) => match asker.enforced(facts, matches, &reason) {
                Some(reason) => {
                    let verdict = Verdict::Block(asker.response(facts));
                    let reported = CategorySet::EMPTY;
                    return Decision { verdict, reason, categories, would_block: None, reported };
                }
                None => {
                    would_block = Some(Box::new(reason));
                    Reason::Default
                }
            },
        };
        // What a service's switch opened is known, and its category is heard of where the switch says so.
        let opened = match reason {
            Reason::AllowService(service) => Some(service),
            _ => None,
        };
        // 11. SafeSearch and YouTube, whatever allowed the name.
        let (verdict, reason) = match asker.restriction(facts) {
            None => (Verdict::Allow, reason),
            Some((engine, Some(target))) => (Verdict::Rewrite(target), Reason::SafeSearch(engine.id.clone())),
            Some((engine, None)) => {
                let restricted = Reason::SafeSearch(engine.id.clone());
                if asker.profile.mode == Mode::Watch {
                    would_block.get_or_insert_with(|| Box::new(restricted));
                    (Verdict::Allow, reason)
                } else {
                    (Verdict::Block(asker.response(facts)), restricted)
                }
            }
        };
        // What an essential name is about is nobody's business: help lines are among them.
        let reported = if matches!(verdict, Verdict::Block(_)) || facts.essential().is_some() {
            CategorySet::EMPTY
        } else {
            let reported = asker.reported(matches, approved || opened.is_some(), novelty);
            reported.union(asker.reported_service(opened))
        };
        Decision { verdict, reason, categories, would_block, reported }
    }

    pub(crate) fn asker<'a>(&'a self, client: &'a Client, now: Timestamp) -> Asker<'a> {
        let place = self.place(client.profile);
        Asker { policy: self, profile: &self.profiles[place], place, client, now }
    }
}

impl Asker<'_> {
    /// Steps 3 to 10.
    fn first(&self, facts: &Found<'_>, matches: &Matches, approved: bool, novelty: Novelty) -> Outcome {
        // 3. What is locked; then a suspended device; then a lesson's list.
        if let Some(listed) = self.locked(matches) {
            return Outcome::Block(Reason::Locked(listed));
        }
        let essential = facts.essential();
        if essential.is_none() {
            let device = self.client.device.map(usize::from);
            if device.is_some_and(|place| self.policy.suspended.get(place).copied().unwrap_or(false)) {
                return Outcome::Block(Reason::Suspended);
            }
            if let Some(lesson) = self.lesson_against(facts) {
                return Outcome::Block(Reason::Lesson(lesson));
            }
        }
        // 4. Canaries.
        if self.canary(facts).is_some() {
            return Outcome::Block(Reason::Canary);
        }
        // 5. The school's rules.
        match self.rule(facts) {
            Some((rule, false, _)) => return Outcome::Block(Reason::BlockRule(RuleRef(rule))),
            Some((rule, true, true)) => return Outcome::Allow(Reason::Exception(RuleRef(rule))),
            Some((rule, true, false)) => return Outcome::Allow(Reason::AllowRule(RuleRef(rule))),
            None => {}
        }
        // 6. Essential names, before any list has a say.
        if essential.is_some() {
            return Outcome::Allow(Reason::Essential);
        }
        // 7. The youngest: only what was approved.
        if self.profile.mode == Mode::AllowOnly && !approved {
            return Outcome::Block(Reason::AllowOnly);
        }
        // 8. Services that are switched by themselves, then categories.
        match self.listed(facts, matches) {
            Listing::Blocks(reason) => return Outcome::Block(reason),
            Listing::Opens(service) => return Outcome::Allow(Reason::AllowService(service)),
            Listing::Nothing => {}
        }
        // 9. On no list. What was approved is known, in a profile of any mode.
        let unknown = matches.open.is_empty() && !self.blocked_now(self.policy.uncategorised).is_empty();
        if approved && (unknown || self.profile.mode == Mode::AllowOnly) {
            return Outcome::Allow(Reason::Approved);
        }
        if unknown {
            return Outcome::Block(Reason::Uncategorised);
        }
        // 10. New to the school. Last of the blocks, since it is the only one that ends by itself: whoever reads that a
        // name opens next week must not find another reason then.
        if let Novelty::New { since, until } = novelty
            && !self.blocked_now(self.policy.newly_seen).is_empty()
        {
            return Outcome::Block(Reason::NewlySeen { since, until });
        }
        Outcome::Allow(Reason::Default)
    }

    /// The reason for which a block holds here: its own, or, in a profile that only watches, one that holds even there.
    fn enforced(&self, facts: &Found<'_>, matches: &Matches, reason: &Reason) -> Option<Reason> {
        let always = matches!(reason, Reason::Locked(_))
            || (*reason == Reason::Canary && self.canary(facts).is_some_and(|(_, always)| always));
        if self.profile.mode != Mode::Watch || always {
            return Some(reason.clone());
        }
        let security = self.blocked_now(matches.open).intersection(self.policy.security);
        if security.is_empty() {
            return None;
        }
        Some(self.category_reason(self.policy.listed(matches, security)))
    }

    /// How a block looks: as the profile says, but a canary always hears its own no, since software takes an address or
    /// a refusal for a yes.
    fn response(&self, facts: &Found<'_>) -> BlockResponse {
        self.canary(facts).map_or(self.profile.block_with, |(answer, _)| answer)
    }

    /// The school's rule that decides for the client: the rule, whether it allows, and whether it is an exception.
    pub(crate) fn rule(&self, facts: &Found<'_>) -> Option<(u32, bool, bool)> {
        facts.rule(self.place, self.now, |rule| {
            self.policy.narrow.get(&rule).is_some_and(|clients| clients.contains(self.client))
        })
    }

    /// The locked category of a name.
    pub(crate) fn locked(&self, matches: &Matches) -> Option<Listed> {
        let locked = matches.raw.intersection(self.profile.locked);
        if locked.is_empty() { None } else { Some(self.policy.listed(matches, locked)) }
    }

    /// What services and categories say of a name now: step 8.
    pub(crate) fn listed(&self, facts: &Found<'_>, matches: &Matches) -> Listing {
        let blocked =
            if matches.open.is_empty() { CategorySet::EMPTY } else { self.blocked_now(matches.open) };
        let because = |listed| Listing::Blocks(self.category_reason(listed));
        let Some(switch) = self.switch(facts) else {
            return if blocked.is_empty() {
                Listing::Nothing
            } else {
                because(self.policy.listed(matches, blocked))
            };
        };
        // No switch opens what harms machines.
        let harmful = blocked.intersection(self.policy.security);
        if !harmful.is_empty() {
            return because(self.policy.listed(matches, harmful));
        }
        if switch.access == Access::Block {
            return Listing::Blocks(Reason::BlockService(switch.service));
        }
        // A longer name that a list has in another category is that category's: games on a social network's pages.
        let mut others = blocked;
        if let Some(own) = switch.category {
            others.remove(own);
        }
        if !others.is_empty() {
            let listed = self.policy.listed(matches, others);
            if usize::from(listed.depth) > switch.depth {
                return because(listed);
            }
        }
        Listing::Opens(switch.service)
    }

    pub(crate) fn category_reason(&self, listed: Listed) -> Reason {
        if self.profile.during.iter().any(|(set, _)| set.contains(listed.category)) {
            Reason::Schedule(listed)
        } else {
            Reason::Category(listed)
        }
    }

    /// Which of some categories block the client now.
    pub(crate) fn blocked_now(&self, categories: CategorySet) -> CategorySet {
        let mut blocked = categories.intersection(self.profile.block);
        for (set, schedule) in &self.profile.during {
            let concerned = categories.intersection(*set);
            if !concerned.is_empty() && !self.is_time(*schedule) {
                blocked = blocked.union(concerned);
            }
        }
        for (set, group) in &self.profile.reserved {
            let concerned = categories.intersection(*set);
            if !concerned.is_empty() && !self.is_member(*group) {
                blocked = blocked.union(concerned);
            }
        }
        blocked
    }

    /// Whether a schedule (its place) holds now.
    pub(crate) fn is_time(&self, schedule: usize) -> bool {
        let schedule = self.policy.schedules.get(schedule);
        schedule.is_some_and(|schedule| schedule.is_active(&self.policy.calendar, self.now))
    }

    /// Whether the client is in a group (its place).
    pub(crate) fn is_member(&self, group: usize) -> bool {
        self.policy.groups.get(group).is_some_and(|group| group.contains(self.client))
    }

    /// The first lesson in the client's room that keeps a name away; none where any lesson there has the name.
    fn lesson_against(&self, facts: &Found<'_>) -> Option<LessonRef> {
        let mut first = None;
        for (place, lesson) in (0..=u16::MAX).zip(&self.policy.lessons) {
            if !lesson.is_for(self.client, self.now) {
                continue;
            }
            if facts.iter().any(|(_, fact)| fact.what == What::Lesson(place)) {
                return None;
            }
            first.get_or_insert(LessonRef(place));
        }
        first
    }

    /// The answer of a canary that is on here, and whether it is on everywhere.
    fn canary(&self, facts: &Found<'_>) -> Option<(BlockResponse, bool)> {
        facts.iter().find_map(|(_, fact)| match fact.what {
            What::Canary { answer, always } if always || self.profile.canaries => Some((answer, always)),
            _ => None,
        })
    }

    fn is_approved(&self, facts: &Found<'_>, matches: &Matches) -> bool {
        matches.approved
            || facts.iter().any(|(_, fact)| match fact.what {
                What::Bundle(place) => {
                    self.profile.bundles.checked_shr(u32::from(place)).is_some_and(|bits| bits & 1 != 0)
                }
                _ => false,
            })
    }

    /// The engine that the name belongs to, where the profile restricts it, with the target; without one it is blocked.
    fn restriction(&self, facts: &Found<'_>) -> Option<(&Engine, Option<Target>)> {
        let aim = |(name, addresses): &(hickory_proto::rr::Name, Vec<std::net::IpAddr>)| Target {
            name: name.clone(),
            last_good: addresses.clone(),
        };
        facts.iter().find_map(|(_, fact)| {
            let What::Engine { engine, site } = fact.what else { return None };
            let engine = self.policy.tables.engines.get(usize::from(engine))?;
            let target = match engine.kind {
                EngineKind::Search if self.profile.safe_search => Some(aim(&engine.strict)),
                EngineKind::Search => return None,
                EngineKind::YouTube => match self.profile.youtube {
                    YouTube::Off => return None,
                    YouTube::Moderate => Some(aim(&engine.moderate)),
                    YouTube::Strict => Some(aim(&engine.strict)),
                    YouTube::Block => None,
                },
            };
            // What is below or beside the hosts goes only where the whole service is blocked.
            if site && target.is_some() { None } else { Some((engine, target)) }
        })
    }
}
