//! A decision in plain English: for the block page, the log and `schoolgate check`.

use super::{
    Decision, FirstAsked, Listed, Policy, Question, Reason, RuleRef, ServedBy, Server, ServiceRef, Verdict,
    file::{Action, RuleFile},
    names::NamePattern,
    schedule,
    services::Switch,
    wire::list_behind,
};
use crate::{category::CategoryId, clients::Client, lists::services::Service, name::dotted};

impl Policy {
    /// Says a decision in plain English, for the block page, the log and `schoolgate check`.
    ///
    /// Names of lists that must not be shown stand in it as digests, the one that was asked for too.
    #[must_use]
    pub fn explain(&self, decision: &Decision, question: &Question, client: &Client) -> String {
        // Whatever a reason says, and whoever wrote its words, no such name leaves in clear.
        self.masked(&self.told(decision, question, client)).into_owned()
    }

    fn told(&self, decision: &Decision, question: &Question, client: &Client) -> String {
        let name = self.subject(question);
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
                format!("Answered as {}: {why}.", self.shown(&target))
            }
            (Verdict::Block(_), _) => format!("Blocked: {why}."),
        }
    }

    /// Says what would change a decision, one way a line; none for a plain allow.
    #[must_use]
    pub fn advice(&self, decision: &Decision, question: &Question, client: &Client) -> Vec<String> {
        let lines = self.ways(decision, question, client);
        lines.iter().map(|line| self.masked(line).into_owned()).collect()
    }

    fn ways(&self, decision: &Decision, question: &Question, client: &Client) -> Vec<String> {
        if decision.verdict == Verdict::Allow && decision.would_block.is_none() {
            return match decision.reason {
                Reason::AllowRule(rule) | Reason::Exception(rule) => {
                    vec![format!(
                        "Without the school's rule for {}, the categories would decide.",
                        self.rule_name(rule)
                    )]
                }
                Reason::AllowService(service) => {
                    vec![
                        self.without_switch(service, client),
                        format!("A block rule for {} would block it.", self.shown(&question.key)),
                    ]
                }
                Reason::Default | Reason::Essential | Reason::Approved => {
                    vec![format!("A block rule for {} would block it.", self.shown(&question.key))]
                }
                _ => Vec::new(),
            };
        }
        let reason = decision.would_block.as_deref().unwrap_or(&decision.reason);
        self.openings(reason, question, client)
    }

    /// What would open a name that is blocked for a reason.
    fn openings(&self, reason: &Reason, question: &Question, client: &Client) -> Vec<String> {
        let name = self.shown(&question.key);
        let profile = self.profile(client.profile).1;
        let rule = format!("An allow rule for {name} would open it.");
        let locked = || vec![String::from("Nothing opens a locked category.")];
        match reason {
            Reason::Locked(_) | Reason::LockedAddress { .. } => locked(),
            Reason::NameServer(by) if by.locked => locked(),
            Reason::NameServer(by) => {
                let mut ways = vec![rule];
                let zone = self.shown(&by.zone);
                if by.zone != question.key {
                    ways.push(format!("So would an allow rule for {zone}, for every name in it."));
                }
                ways.push(format!(
                    "So would {zone} on a list with action = \"allow\" and applies_to = \"name-servers\" in the category {}.",
                    self.title(by.listed.category)
                ));
                if let Some(limit) = self.limit(by.listed.category, client) {
                    ways.push(format!("{profile} may use {} {limit}.", self.title(by.listed.category)));
                }
                ways
            }
            Reason::Alias { target, because } => match because.as_ref() {
                Reason::Locked(_) => locked(),
                Reason::BlockRule(rule) => {
                    vec![format!("Taking out the block rule for {} would open it.", self.rule_name(*rule))]
                }
                _ => vec![
                    rule,
                    format!(
                        "So would an allow rule for {}, for every name that leads there.",
                        self.shown(target)
                    ),
                ],
            },
            Reason::BlockService(service) => {
                let id = self.service(*service).map_or("?", |service| service.id.as_str());
                let mut ways = vec![format!("The setting services.{id} of {profile} decides.")];
                if let Some(limit) = self.service_limit(*service, client) {
                    ways.push(format!("{profile} may use it {limit}."));
                }
                ways.push(rule);
                ways
            }
            Reason::Category(listed) | Reason::Schedule(listed) => {
                let title = self.title(listed.category);
                let mut ways = vec![rule];
                if let Some(limit) = self.limit(listed.category, client) {
                    ways.push(format!("{profile} may use {title} {limit}."));
                }
                let service = self
                    .service_of(question)
                    .filter(|service| self.categories.find(&service.category) == Some(listed.category));
                if let Some(service) = service {
                    let Service { id, title, .. } = service;
                    ways.push(format!("The setting services.{id} of {profile} would open {title} alone."));
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
            | Reason::AllowService(_)
            | Reason::Default => Vec::new(),
        }
    }

    /// A reason as the rest of a sentence.
    fn why(&self, reason: &Reason, question: &Question, client: &Client) -> String {
        let name = self.subject(question);
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
            Reason::BlockService(service) | Reason::AllowService(service) => {
                let title = self.service(*service).map_or("?", |service| service.title.as_str());
                let may = match self.service_limit(*service, client) {
                    Some(limit) => format!("{profile} may use {limit}"),
                    None if matches!(reason, Reason::BlockService(_)) => format!("{profile} may not use"),
                    None => format!("{profile} may use"),
                };
                format!("{name} belongs to {title}, which {may}")
            }
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
                match self.sealed_name(target) {
                    // The rest would call it the name that was asked for, and it was not.
                    Some(digest) => {
                        let why = list_behind(because).map_or_else(String::new, |listed| {
                            format!(
                                ", which is on the list “{}” of the category {}",
                                self.list(listed).map_or("?", |list| list.title.as_str()),
                                self.title(listed.category)
                            )
                        });
                        format!("{name} leads to {digest}{why}")
                    }
                    None => format!("{name} leads to {target}; {}", self.why(because, &inner, client)),
                }
            }
            Reason::Address { address, listed } | Reason::LockedAddress { address, listed } => {
                let list = self.list(listed).map_or("?", |list| list.title.as_str());
                let title = self.title(listed.category);
                let address = self.shown_address(*address);
                format!("{name} is at {address}, which is on the list “{list}” of the category {title}")
            }
            Reason::NameServer(by) => self.served_by(by, &name, question, client),
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

    /// Which of a zone's name servers is listed, and what follows.
    fn served_by(&self, by: &ServedBy, name: &str, question: &Question, client: &Client) -> String {
        let profile = self.profile(client.profile).1;
        let list = self.list(&by.listed).map_or("?", |list| list.title.as_str());
        let title = self.title(by.listed.category);
        let zone = self.shown(&by.zone);
        let whose = if by.zone == question.key {
            format!("{name} has the name server")
        } else if question.key.is_within(&by.zone) {
            format!("{name} belongs to {zone}, which has the name server")
        } else {
            format!("{name} leads to a name in {zone}, which has the name server")
        };
        let server = match &by.server {
            Server::Name(server) => self.shown(server),
            Server::Address(address) => self.shown_address(*address),
        };
        let may = match self.limit(by.listed.category, client) {
            _ if by.locked => String::from("is always blocked"),
            Some(limit) => format!("{profile} may use {limit}"),
            None => format!("{profile} may not use"),
        };
        format!("{whose} {server}, which is on the list “{list}” of the category {title}, which {may}")
    }

    /// `www.games.example is on the list “…”`, or below a name that is.
    fn on_list(&self, name: &str, listed: &Listed, question: &Question) -> String {
        let list = self.list(listed).map_or("?", |list| list.title.as_str());
        let depth = usize::from(listed.depth);
        // Of a name that must not be shown, the digest is the listed name's already.
        if depth == 0 || depth >= question.key.depth() || self.sealed_name(&question.key).is_some() {
            format!("{name} is on the list “{list}”")
        } else {
            format!("{name} belongs to {}, which is on the list “{list}”", question.key.dotted(depth))
        }
    }

    /// What would happen if an open service were not switched.
    fn without_switch(&self, service: ServiceRef, client: &Client) -> String {
        let Some(known) = self.service(service) else { return String::new() };
        let Service { id, category, .. } = known;
        let own =
            self.profiles[self.place(client.profile)].switched(service.0).is_some_and(|s| s.own.is_some());
        if own {
            let category = self.categories.find(category).map_or("?", |category| self.title(category));
            format!("Without the setting services.{id}, the category {category} would decide.")
        } else {
            format!("It is open with a service that needs it; services.{id} = \"block\" would close it.")
        }
    }

    /// The service that has a name, switched or not.
    fn service_of(&self, question: &Question) -> Option<&Service> {
        let has = |name: &String| {
            NamePattern::parse(name).is_ok_and(|name| {
                if name.exact { name.key == question.key } else { question.key.is_within(&name.key) }
            })
        };
        self.tables.services.iter().find(|service| service.names.iter().any(has))
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
            return self.only_at(*place);
        }
        let (_, place) = profile.reserved.iter().find(|(set, _)| set.contains(category))?;
        self.only_from(*place)
    }

    /// When or for whom a service is open in the client's profile, where it is for some.
    fn service_limit(&self, service: ServiceRef, client: &Client) -> Option<String> {
        let switched = self.profiles[self.place(client.profile)].switched(service.0)?;
        let opened = || {
            switched.with.iter().find(|switch| **switch == Switch::Allow).or_else(|| switched.with.first())
        };
        match switched.own.or_else(|| opened().copied())? {
            Switch::During(place) => self.only_at(place),
            Switch::For(place) => self.only_from(place),
            Switch::Allow | Switch::Block => None,
        }
    }

    /// `only at lunch (…)`, by the schedule's place.
    fn only_at(&self, schedule: usize) -> Option<String> {
        let schedule = self.file.schedules.get(schedule)?;
        Some(format!("only at {} ({})", schedule.id, schedule::describe(schedule)))
    }

    /// `only from the devices of the group office`, by the group's place.
    fn only_from(&self, group: usize) -> Option<String> {
        Some(format!("only from the devices of the group {}", self.file.groups.get(group)?.id))
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
        let reason = decision.would_block.as_deref().unwrap_or(&decision.reason);
        let reason = match reason {
            Reason::Alias { because, .. } => because.as_ref(),
            reason => reason,
        };
        match reason {
            Reason::BlockService(service) => self.categories.find(&self.service(*service)?.category),
            Reason::Uncategorised => self.uncategorised.iter().next(),
            Reason::NewlySeen { .. } => self.newly_seen.iter().next(),
            _ => list_behind(reason).map(|listed| listed.category),
        }
    }
}
