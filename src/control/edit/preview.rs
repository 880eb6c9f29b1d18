//! What edits would do, judged by what the school asked for lately.

use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::Entry},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use hickory_proto::rr::RecordType;
use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Edit;
use crate::{
    category::NEWLY_SEEN,
    clients::Client,
    clock::Day,
    control::{Control, ControlError, knowledge, log::blocking},
    name::Key,
    policy::{
        Cell, FirstAsked, NewlySeen, Policy, PolicyErrors, PolicyFile, Question, Season, Severity, Standing,
        Verdict,
    },
    querylog::{Coverage, Glimpse, Seen, glance},
};

/// The most days that a preview looks back.
pub const LONGEST_PREVIEW: u16 = 31;

/// How many names are shown of each kind.
const SHOWN: usize = 200;

/// How long it may take to look.
const PATIENCE: Duration = Duration::from_millis(900);

/// What edits would do to the questions of the last days. Numbers are reckoned where a part of the log was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Preview {
    /// The revision that the edits were held against.
    pub revision: i64,
    /// How many days were looked at, today among them.
    pub days: u16,
    /// How much of them was read.
    pub coverage: Coverage,
    /// A part of the log was left out, so that this did not take long.
    pub cut: bool,
    /// What would be blocked that is open now.
    pub blocked: PreviewSide,
    /// What would be open that is blocked now.
    pub opened: PreviewSide,
    /// What would change in the policy.
    pub changes: Vec<String>,
    /// What needs a reason.
    pub loosens: Vec<String>,
    /// What the log can't tell about it.
    pub notes: Vec<String>,
}

/// The names that would be treated otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PreviewSide {
    /// How many names.
    pub names: u64,
    /// How many questions.
    pub questions: u64,
    /// From how many networks: subnets of profiles, or single devices that are in none.
    pub networks: u64,
    /// The titles of the profiles that asked.
    pub profiles: Vec<String>,
    /// The names that were asked most, at most 200.
    pub shown: Vec<PreviewName>,
}

/// A name that would be treated otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PreviewName {
    /// The name, or the digest that stands for it.
    pub name: String,
    /// How many questions.
    pub questions: u64,
    /// From how many networks.
    pub networks: u64,
    /// The titles of the profiles that asked.
    pub profiles: Vec<String>,
}

impl Control {
    /// Says what edits would do to the questions of the last `days` days, 1 to [`LONGEST_PREVIEW`], and changes
    /// nothing. Takes about a second at most; what could not be read in that time is reckoned.
    ///
    /// Questions are decided by today's lists under both policies. What only the answers tell (aliases, addresses) and
    /// whether a name was new are left out.
    ///
    /// # Errors
    ///
    /// When an edit can't be made, the outcome is no policy, or the log can't be read.
    pub async fn preview(&self, edits: Vec<Edit>, days: u16) -> Result<Preview, ControlError> {
        if !(1..=LONGEST_PREVIEW).contains(&days) {
            let message = format!("{days} days: 1 to {LONGEST_PREVIEW} can be looked at");
            return Err(ControlError::Input(message));
        }
        let (file, revision, indexes) = {
            let state = self.state();
            (state.file.clone(), state.revision, state.indexes.clone())
        };
        let new = self.edited(&file, &edits, "")?;
        let now = self.clock.now();
        let errors: Vec<_> = new
            .validate(&self.categories, now)
            .into_iter()
            .filter(|problem| problem.severity == Severity::Error)
            .collect();
        let old = self.policy.load_full();
        if !errors.is_empty() {
            let errors = PolicyErrors(errors).masked(&old);
            return Err(ControlError::Policy { name: String::from("policy"), errors });
        }
        let loosens = self.loosening(&file, &new);
        let masked = |text: &str| old.masked(text).into_owned();
        let changes =
            file.changes_to(&new, &self.categories).iter().map(|change| masked(&change.what)).collect();
        let mut notes = Vec::new();
        if newly_seen(&file) != newly_seen(&new) {
            notes.push(String::from("The log does not tell which names were new when they were asked for."));
        }
        if file.lists != new.lists {
            notes.push(String::from("Names of lists that come or go are not counted."));
        }
        let knowledge = knowledge(&self.categories, &self.starter, &indexes);
        let mask = self.mask.clone();
        let folder = self.log_folder();
        let work = move || {
            let built = Policy::build(&new, &knowledge)
                .map_err(|errors| ControlError::Policy { name: String::from("policy"), errors })?
                .with_mask(mask);
            let mut sides = Sides::new(old, built);
            let until = Instant::now() + PATIENCE;
            let coverage =
                glance(&folder, Day::of(now), days, || Instant::now() < until, |seen| sides.take(seen))?;
            let (blocked, opened) = sides.finish(&coverage);
            let cut = coverage.is_cut();
            Ok(Preview { revision, days, coverage, cut, blocked, opened, changes, loosens, notes })
        };
        blocking(move || Ok(work())).await?
    }
}

/// What a policy says of names that are new to the school.
fn newly_seen(file: &PolicyFile) -> (NewlySeen, Vec<(&str, Option<&Cell>)>) {
    let cells = file.profiles.iter().map(|p| (p.id.as_str(), p.categories.get(NEWLY_SEEN))).collect();
    (file.newly_seen, cells)
}

/// What would become of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Same,
    Blocked,
    Opened,
}

/// The questions of one name that would be treated otherwise.
struct Found {
    key: Key,
    questions: u64,
    networks: HashSet<Network>,
    profiles: BTreeSet<usize>,
}

/// Where questions come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Network {
    Subnet(IpNet),
    Device(IpAddr),
    /// Behind pseudonyms: all of a profile.
    Profile(usize),
}

/// A client as both policies see it.
struct Asker {
    standing: usize,
    old: Client,
    new: Client,
    network: Network,
}

struct Sides {
    old: Arc<Policy>,
    new: Policy,
    subnets: Vec<IpNet>,
    askers: HashMap<usize, Option<Asker>>,
    standings: HashMap<(Standing, Standing), usize>,
    minutes: HashMap<i64, usize>,
    seasons: HashMap<(Season, Season), usize>,
    turns: HashMap<(usize, usize, usize), Turn>,
    blocked: HashMap<usize, Found>,
    opened: HashMap<usize, Found>,
}

impl Sides {
    fn new(old: Arc<Policy>, new: Policy) -> Self {
        let written = old.file().profiles.iter().flat_map(|profile| &profile.subnets);
        let mut subnets: Vec<IpNet> = written
            .filter_map(|text| text.trim().parse().or_else(|_| text.trim().parse().map(IpAddr::into)).ok())
            .collect();
        // The longest that has an address is its network.
        subnets.sort_unstable_by_key(|net| std::cmp::Reverse(net.prefix_len()));
        Self {
            old,
            new,
            subnets,
            askers: HashMap::new(),
            standings: HashMap::new(),
            minutes: HashMap::new(),
            seasons: HashMap::new(),
            turns: HashMap::new(),
            blocked: HashMap::new(),
            opened: HashMap::new(),
        }
    }

    /// Counts a question, if it would be treated otherwise.
    fn take(&mut self, glimpse: &Glimpse<'_>) {
        if let Entry::Vacant(free) = self.askers.entry(glimpse.asker) {
            let asker = asker(&self.old, &self.new, &self.subnets, &mut self.standings, glimpse.seen);
            free.insert(asker);
        }
        let Some(Some(asker)) = self.askers.get(&glimpse.asker) else { return };
        let (old, new) = (&self.old, &self.new);
        let season = *self.minutes.entry(glimpse.at.as_second().div_euclid(60)).or_insert_with(|| {
            let next = self.seasons.len();
            *self.seasons.entry((old.season(glimpse.at), new.season(glimpse.at))).or_insert(next)
        });
        let turn = *self
            .turns
            .entry((glimpse.name, asker.standing, season))
            .or_insert_with(|| turn(old, new, asker, glimpse.key, glimpse.at));
        let side = match turn {
            Turn::Same => return,
            Turn::Blocked => &mut self.blocked,
            Turn::Opened => &mut self.opened,
        };
        let found = side.entry(glimpse.name).or_insert_with(|| Found {
            key: glimpse.key.clone(),
            questions: 0,
            networks: HashSet::new(),
            profiles: BTreeSet::new(),
        });
        found.questions += 1;
        if !found.networks.contains(&asker.network) {
            found.networks.insert(asker.network.clone());
        }
        found.profiles.insert(usize::from(asker.old.profile.0));
    }

    fn finish(self, coverage: &Coverage) -> (PreviewSide, PreviewSide) {
        let side = |found: HashMap<usize, Found>| {
            let networks: HashSet<&Network> = found.values().flat_map(|found| &found.networks).collect();
            let profiles: BTreeSet<usize> = found.values().flat_map(|f| f.profiles.iter().copied()).collect();
            let networks = networks.len() as u64;
            let questions = coverage.reckon(found.values().map(|found| found.questions).sum());
            let mut names: Vec<Found> = found.into_values().collect();
            let count = names.len() as u64;
            names.sort_unstable_by(|a, b| b.questions.cmp(&a.questions).then_with(|| a.key.cmp(&b.key)));
            names.truncate(SHOWN);
            let shown = names
                .into_iter()
                .map(|found| PreviewName {
                    // A name that either policy must not show is shown by neither.
                    name: match self.new.sealed_name(&found.key) {
                        Some(digest) => digest.to_string(),
                        None => self.old.shown(&found.key),
                    },
                    questions: coverage.reckon(found.questions),
                    networks: found.networks.len() as u64,
                    profiles: titles(&self.old, &found.profiles),
                })
                .collect();
            PreviewSide { names: count, questions, networks, profiles: titles(&self.old, &profiles), shown }
        };
        (side(self.blocked), side(self.opened))
    }
}

fn titles(policy: &Policy, profiles: &BTreeSet<usize>) -> Vec<String> {
    let all = policy.profiles().enumerate().filter(|(place, _)| profiles.contains(place));
    all.map(|(_, (_, profile))| profile.title().to_owned()).collect()
}

/// A client as both policies see it; none of a profile that is not there any more.
fn asker(
    old: &Policy,
    new: &Policy,
    subnets: &[IpNet],
    standings: &mut HashMap<(Standing, Standing), usize>,
    seen: &Seen,
) -> Option<Asker> {
    let (before, after, network) = match seen.address {
        Some(address) => {
            let (before, after) = (old.identify(address, seen.mac), new.identify(address, seen.mac));
            let net = subnets.iter().find(|net| net.contains(&before.address));
            let network = net.map_or(Network::Device(before.address), |net| Network::Subnet(*net));
            (before, after, network)
        }
        None => {
            let profile = old.find_profile(&seen.profile)?;
            let client = |profile| Client {
                // Documentation's own address: in no school's group, room or subnet.
                address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
                mac: None,
                device: None,
                profile,
                unknown: false,
            };
            let after = new.find_profile(&seen.profile).unwrap_or_else(|| new.fallback());
            (client(profile), client(after), Network::Profile(usize::from(profile.0)))
        }
    };
    let next = standings.len();
    let standing = *standings.entry((old.standing(&before), new.standing(&after))).or_insert(next);
    Some(Asker { standing, old: before, new: after, network })
}

fn turn(old: &Policy, new: &Policy, asker: &Asker, key: &Key, at: Timestamp) -> Turn {
    let question = Question { key: key.clone(), qtype: RecordType::A, first_asked: FirstAsked::Unknown };
    let is_blocked = |policy: &Policy, client: &Client| {
        matches!(policy.decide(&question, client, at).verdict, Verdict::Block(_))
    };
    match (is_blocked(old, &asker.old), is_blocked(new, &asker.new)) {
        (false, true) => Turn::Blocked,
        (true, false) => Turn::Opened,
        _ => Turn::Same,
    }
}
