//! A decision in plain English: for the block page, the log and `schoolgate check`.

use super::{
    Decision, FirstAsked, Listed, Policy, Question, Reason, RuleRef, Verdict,
    file::{Action, RuleFile},
    schedule,
    wire::list_behind,
};
use crate::{category::CategoryId, clients::Client, name::dotted};

impl Policy {
    /// Says a decision in plain English, for the block page, the log and `schoolgate check`.
    #[must_use]
    pub fn explain(&self, decision: &Decision, question: &Question, client: &Client) -> String {
        let name = question.key.to_string();
        let profile = self.profile(client.profile).1;
        let why = self.why(&decision.reason, question, client);
        match (&decision.verdict, &decision.would_block) {
            (Verdict::Allow, Some(would)) => format!(
                "Allowed: {profile} only watches for now. It would be blocked: {}.",
                self.why(would, question, client)
            ),
            (Verdict::Allow, None)
                if decision.reason == Reason::Default && !decision.categories.is_empty() =>
            {
                let titles: Vec<&str> = decision.categories.iter().map(|id| self.title(id)).collect();
                format!("Allowed: {name} is in {}, which {profile} may use now.", titles.join(", "))
            }
            (Verdict::Allow, None) => format!("Allowed: {why}."),
            (Verdict::Rewrite(target), _) => {
                let target = crate::name::Key::from_name(&target.name);
                format!("Answered as {target}: {why}.")
            }
            (Verdict::Block(_), _) => format!("Blocked: {why}."),
        }
    }

    /// Says what would change a decision, one way a line; none for a plain allow.
    #[must_use]
    pub fn advice(&self, decision: &Decision, question: &Question, client: &Client) -> Vec<String> {
        if decision.verdict == Verdict::Allow && decision.would_block.is_none() {
            return match decision.reason {
                Reason::AllowRule(rule) | Reason::Exception(rule) => {
                    vec![format!(
                        "Without the school's rule for {}, the categories would decide.",
                        self.rule_name(rule)
                    )]
                }
                Reason::Default | Reason::Essential | Reason::Approved => {
                    vec![format!("A block rule for {} would block it.", question.key)]
                }
                _ => Vec::new(),
            };
        }
        let reason = decision.would_block.as_deref().unwrap_or(&decision.reason);
        self.openings(reason, &question.key.to_string(), client)
    }

    /// What would open a name that is blocked for a reason.
    fn openings(&self, reason: &Reason, name: &str, client: &Client) -> Vec<String> {
        let profile = self.profile(client.profile).1;
        let rule = format!("An allow rule for {name} would open it.");
        let locked = || vec![String::from("Nothing opens a locked category.")];
        match reason {
            Reason::Locked(_) | Reason::LockedAddress { .. } => locked(),
            Reason::Alias { target, because } => match because.as_ref() {
                Reason::Locked(_) => locked(),
                Reason::BlockRule(rule) => {
                    vec![format!("Taking out the block rule for {} would open it.", self.rule_name(*rule))]
                }
                _ => vec![
                    rule,
                    format!("So would an allow rule for {target}, for every name that leads there."),
                ],
            },
            Reason::Category(listed) | Reason::Schedule(listed) => {
                let title = self.title(listed.category);
                let mut ways = vec![rule];
                if let Some(limit) = self.limit(listed.category, client) {
                    ways.push(format!("{profile} may use {title} {limit}."));
                }
                if let Some(list) = self.list(listed) {
                    ways.push(format!(
                        "If it is wrong on the list “{}”, tell who makes that list.",
                        list.title
                    ));
                }
                ways
            }
            Reason::NewlySeen { until, .. } => {
                vec![rule, format!("It opens by itself on {until}, unless a list has it by then.")]
            }
            Reason::AllowOnly | Reason::Uncategorised | Reason::Address { .. } => vec![rule],
            Reason::BlockRule(block) => vec![
                format!(
                    "Taking out the block rule for {} would leave it to the categories.",
                    self.rule_name(*block)
                ),
                format!("An exception (an allow rule with an end) for {name} would open it until then."),
            ],
            Reason::Suspended => {
                vec![String::from("Ending the suspension of the device would let it decide as usual.")]
            }
            Reason::Lesson(lesson) => {
                let lesson = self.lesson(*lesson).map_or("", |lesson| lesson.name.as_str());
                vec![format!("The lesson “{lesson}” would have to end, or to have {name} among its names.")]
            }
            Reason::Canary => vec![format!("The setting canaries of {profile} decides.")],
            Reason::SafeSearch(engine) => {
                let setting = if self.is_youtube(engine) { "youtube" } else { "safe_search" };
                vec![format!("Only the setting {setting} of {profile} changes it; rules do not.")]
            }
            Reason::Rebinding(_) => vec![String::from(
                "If the name is the school's own, put it among own_names, or forward its zone to the school's server.",
            )],
            Reason::AllowRule(_)
            | Reason::Exception(_)
            | Reason::Essential
            | Reason::Approved
            | Reason::Default => Vec::new(),
        }
    }

    /// A reason as the rest of a sentence.
    fn why(&self, reason: &Reason, question: &Question, client: &Client) -> String {
        let name = question.key.to_string();
        let profile = self.profile(client.profile).1;
        match reason {
            Reason::Locked(listed) => format!(
                "{} of the category {}, which is always blocked",
                self.on_list(&name, listed, question),
                self.title(listed.category)
            ),
            Reason::Suspended => {
                let device = client.device.and_then(|place| self.device(place)).unwrap_or("the device");
                format!("{device} is suspended and may reach essential names only")
            }
            Reason::Lesson(lesson) => {
                let lesson = self.lesson(*lesson).map_or("", |lesson| lesson.name.as_str());
                format!("in the lesson “{lesson}” only the names chosen for it are open here")
            }
            Reason::Canary => {
                format!(
                    "{name} is how software asks whether it may go around the filter, and the answer is no"
                )
            }
            Reason::BlockRule(rule) | Reason::AllowRule(rule) | Reason::Exception(rule) => {
                self.rule_text(*rule)
            }
            Reason::Essential => format!("{name} is an essential name, open whatever lists say"),
            Reason::AllowOnly => {
                format!("{profile} may reach approved sites only, and {name} is not one of them")
            }
            Reason::Approved => format!("{name} is an approved site for {profile}"),
            Reason::Category(listed) | Reason::Schedule(listed) => {
                let title = self.title(listed.category);
                let may = match self.limit(listed.category, client) {
                    Some(limit) => format!("{profile} may use {limit}"),
                    None => format!("{profile} may not use"),
                };
                format!("{} of the category {title}, which {may}", self.on_list(&name, listed, question))
            }
            Reason::Uncategorised => {
                let limit = self.uncategorised.iter().find_map(|category| self.limit(category, client));
                match limit {
                    Some(limit) => format!("{name} is on no list, and {profile} may use such names {limit}"),
                    None => format!("{name} is on no list, and {profile} may not use such names"),
                }
            }
            Reason::NewlySeen { since, until } => {
                let domain = question.key.registrable().map_or_else(|| name.clone(), dotted);
                let wait = match self.file.newly_seen.days {
                    1 => String::from("a day"),
                    7 => String::from("a week"),
                    days => format!("{days} days"),
                };
                let limit = self
                    .newly_seen
                    .iter()
                    .find_map(|category| self.limit(category, client))
                    .map(|limit| format!(" ({profile} may use new names {limit})"))
                    .unwrap_or_default();
                format!(
                    "nobody at this school had asked for anything of {domain} before {since}, and new names wait {wait}, until {until}{limit}"
                )
            }
            Reason::SafeSearch(engine) => {
                let title = self
                    .tables
                    .engines
                    .iter()
                    .find(|known| known.id == *engine)
                    .map_or(engine.as_str(), |known| known.title.as_str());
                match (self.is_youtube(engine), self.restricts(engine, client)) {
                    (true, false) => format!("{profile} may not use {title}"),
                    (true, true) => format!("{profile} sees {title} in its restricted mode"),
                    (false, _) => format!("{profile} searches {title} with SafeSearch"),
                }
            }
            Reason::Alias { target, because } => {
                let inner =
                    Question { key: target.clone(), qtype: question.qtype, first_asked: FirstAsked::Unknown };
                format!("{name} leads to {target}; {}", self.why(because, &inner, client))
            }
            Reason::Address { address, listed } | Reason::LockedAddress { address, listed } => {
                let list = self.list(listed).map_or("?", |list| list.title.as_str());
                let title = self.title(listed.category);
                format!("{name} is at {address}, which is on the list “{list}” of the category {title}")
            }
            Reason::Rebinding(address) if address.is_unspecified() => {
                format!(
                    "{name} has the address {address}, which is how a server further up says that it blocks a name"
                )
            }
            Reason::Rebinding(address) => {
                format!(
                    "{name} is a public name with the private address {address}, which is how intruders reach in"
                )
            }
            Reason::Default => format!("{name} is on no list"),
        }
    }

    /// `www.games.example is on the list “…”`, or below a name that is.
    fn on_list(&self, name: &str, listed: &Listed, question: &Question) -> String {
        let list = self.list(listed).map_or("?", |list| list.title.as_str());
        let depth = usize::from(listed.depth);
        if depth == 0 || depth >= question.key.depth() {
            format!("{name} is on the list “{list}”")
        } else {
            format!("{name} belongs to {}, which is on the list “{list}”", question.key.dotted(depth))
        }
    }

    fn rule_text(&self, rule: RuleRef) -> String {
        let Some(written) = self.rule(rule) else { return String::from("a rule of the school says so") };
        let RuleFile { action, name, reason, until, .. } = written;
        let does = if *action == Action::Allow { "allows" } else { "blocks" };
        let until = until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
        let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
        format!("the school {does} {}{until}{reason}", name.trim_start_matches('='))
    }

    fn rule_name(&self, rule: RuleRef) -> &str {
        self.rule(rule).map_or("?", |rule| rule.name.trim_start_matches('='))
    }

    /// When or for whom a category is open in the client's profile, where it is for some.
    fn limit(&self, category: CategoryId, client: &Client) -> Option<String> {
        let profile = &self.profiles[self.place(client.profile)];
        if let Some((_, place)) = profile.during.iter().find(|(set, _)| set.contains(category)) {
            let schedule = self.file.schedules.get(*place)?;
            return Some(format!("only at {} ({})", schedule.id, schedule::describe(schedule)));
        }
        let (_, place) = profile.reserved.iter().find(|(set, _)| set.contains(category))?;
        Some(format!("only from the devices of the group {}", self.file.groups.get(*place)?.id))
    }

    fn title(&self, category: CategoryId) -> &str {
        self.category(category).map_or("?", |category| category.title.as_str())
    }

    fn is_youtube(&self, engine: &str) -> bool {
        self.tables.engines.iter().any(|e| e.id == engine && e.kind == super::EngineKind::YouTube)
    }

    fn restricts(&self, engine: &str, client: &Client) -> bool {
        let profile = &self.profiles[self.place(client.profile)];
        !(self.is_youtube(engine) && profile.youtube == super::YouTube::Block)
    }

    /// The category that decided, where one did.
    #[must_use]
    pub fn deciding_category(&self, decision: &Decision) -> Option<CategoryId> {
        match decision.would_block.as_deref().unwrap_or(&decision.reason) {
            Reason::Uncategorised => self.uncategorised.iter().next(),
            Reason::NewlySeen { .. } => self.newly_seen.iter().next(),
            reason => list_behind(reason).map(|listed| listed.category),
        }
    }
}
