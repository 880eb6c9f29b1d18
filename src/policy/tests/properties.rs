//! What must hold of every policy, tried on many.

use hickory_proto::rr::Name;
use proptest::prelude::*;

use super::*;
use crate::category::Audience;

/// A small tree of names, so that things meet.
const NAMES: [&str; 8] = [
    "example",
    "a.example",
    "b.a.example",
    "c.b.a.example",
    "d.c.b.a.example",
    "z.example",
    "y.z.example",
    "seek.example",
];
const CATEGORIES: [&str; 6] = ["adult", "illegal-terrorism", "gambling", "games", "malware", "ads-trackers"];
/// Categories that can be opened, for cells.
const OPEN: [&str; 4] = ["gambling", "games", "malware", "ads-trackers"];

fn name() -> impl Strategy<Value = String> {
    (prop::sample::select(&NAMES[..]), any::<bool>())
        .prop_map(|(name, alone)| if alone { format!("={name}") } else { name.to_owned() })
}

fn cell() -> impl Strategy<Value = Cell> {
    prop_oneof![
        Just(Cell::Allow),
        Just(Cell::Block),
        Just(Cell::AllowDuring("lunch".into())),
        Just(Cell::AllowFor("group".into())),
    ]
}

fn rule() -> impl Strategy<Value = RuleFile> {
    let until = prop_oneof![
        3 => Just(None),
        1 => Just(Some("2030-01-01T00:00:00Z".parse().unwrap())),
        1 => Just(Some("2020-01-01T00:00:00Z".parse().unwrap())),
    ];
    let profiles =
        prop_oneof![Just(None), Just(Some(vec!["p".to_owned()])), Just(Some(vec!["s".to_owned()]))];
    let action = prop_oneof![Just(Action::Allow), Just(Action::Block)];
    let clients = prop_oneof![
        3 => Just(None),
        1 => Just(Some(vec!["10.0.0.1".to_owned()])),
        1 => Just(Some(vec!["10.0.0.2".to_owned(), "d".to_owned()])),
        1 => Just(Some(vec!["10.0.0.128/25".to_owned()])),
    ];
    (action, name(), profiles, clients, until).prop_map(|(action, name, profiles, clients, until)| RuleFile {
        action,
        name,
        profiles,
        clients,
        reason: String::new(),
        owner: String::new(),
        until,
    })
}

/// Any date, near [`MORNING`] more often than not.
fn first_asked() -> impl Strategy<Value = FirstAsked> {
    let today = Day::of(time(MORNING)).number();
    let day = prop_oneof![(today - 40..today + 3), any::<u16>()].prop_map(Day::from_number);
    prop_oneof![
        Just(FirstAsked::Unknown),
        day.clone().prop_map(|began| FirstAsked::Never { began }),
        (day.clone(), day).prop_map(|(day, began)| FirstAsked::On { day, began }),
    ]
}

/// Everything about a policy that can vary.
#[derive(Debug, Clone)]
struct World {
    file: PolicyFile,
    lists: Vec<(&'static str, Vec<String>)>,
    essential: Vec<String>,
    bundle: Vec<String>,
    /// The names of the service `chirp`, which is in the last of the categories that can be opened.
    service: Vec<String>,
}

prop_compose! {
    fn world()(
        rules in prop::collection::vec(rule(), 0..6),
        cells in prop::collection::vec(cell(), OPEN.len()),
        mode in prop::sample::select(vec![Mode::Filter, Mode::AllowOnly, Mode::Watch]),
        uncategorised in prop::sample::select(vec![Access::Allow, Access::Block]),
        (safe_search, canaries, suspended, member) in any::<(bool, bool, bool, bool)>(),
        youtube in prop::sample::select(vec![YouTube::Off, YouTube::Moderate, YouTube::Strict, YouTube::Block]),
        own_names in prop::collection::vec(name(), 0..2),
        essential in prop::collection::vec(name(), 0..2),
        bundle in prop::collection::vec(name(), 0..2),
        service in prop::collection::vec(name(), 1..3),
        switch in prop::option::of(cell()),
        lesson in prop::option::of(prop::collection::vec(name(), 1..3)),
        audience in prop::sample::select(vec![Audience::Pupil, Audience::Staff, Audience::Guest]),
        lists in prop::collection::vec(
            (prop::sample::select(&CATEGORIES[..]), prop::collection::vec((any::<bool>(), name()), 1..5)),
            0..5,
        ),
    ) -> World {
        let mut file = PolicyFile::parse(
            "version = 1\n[[profile]]\nid = 'p'\naudience = 'pupil'\nsubnets = ['10.0.0.0/24']\n\
             [[profile]]\nid = 'pupils'\naudience = 'pupil'\n[[profile]]\nid = 's'\naudience = 'staff'\n\
             [[schedule]]\nid = 'lunch'\nwindows = [{ days = 'daily', from = '12:00', to = '13:00' }]\n\
             [[group]]\nid = 'group'\ndevices = ['192.0.2.1']\n\
             [[device]]\nname = 'd'\naddress = '10.0.0.1'\n",
        )
        .unwrap();
        let profile = &mut file.profiles[0];
        profile.audience = audience;
        profile.mode = mode;
        profile.uncategorised = Some(uncategorised);
        profile.safe_search = safe_search;
        profile.youtube = youtube;
        profile.canaries = canaries;
        profile.bundles = vec!["made-up".into()];
        profile.categories = OPEN.iter().map(|id| (*id).to_owned()).zip(cells).collect();
        profile.services = switch.map(|cell| ("chirp".to_owned(), cell)).into_iter().collect();
        file.devices[0].suspended = suspended;
        if member {
            file.groups[0].devices.push("d".into());
        }
        file.rules = rules;
        file.own_names = own_names;
        if let Some(only) = lesson {
            file.lessons.push(LessonFile { name: "l".into(), room: vec!["10.0.0.1".into()], only, until: None });
        }
        let lists = lists
            .into_iter()
            .map(|(category, rules)| {
                let rules = rules.into_iter().map(|(allow, name)| if allow { format!("@@{name}") } else { name });
                (category, rules.collect())
            })
            .collect();
        World { file, lists, essential, bundle, service }
    }
}

impl World {
    fn policy(&self) -> Policy {
        self.policy_of(&[0, 1, 2, 3, 4, 5, 6, 7])
    }

    /// The policy with the lists in another order; each keeps its identifier.
    fn policy_of(&self, order: &[usize]) -> Policy {
        let mut tables = tables();
        let names =
            |texts: &[String]| texts.iter().map(|text| NamePattern::parse(text).unwrap()).collect::<Vec<_>>();
        tables.essential =
            names(&self.essential).into_iter().map(|name| (Essential::Education, name)).collect();
        tables.bundles =
            vec![Bundle { id: "made-up".into(), title: "Made up".into(), names: names(&self.bundle) }];
        let names: Vec<&str> = self.service.iter().map(String::as_str).collect();
        tables.services = vec![service("chirp", OPEN[OPEN.len() - 1], &names, &[])];
        let lists = order.iter().filter_map(|&i| {
            let (category, rules) = self.lists.get(i)?;
            let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
            Some(list(&format!("list-{i}-{category}"), category, &rules))
        });
        Policy::build_with(&self.file, &knowledge(lists.collect()), &tables).unwrap()
    }
}

fn is_blocked(decision: &Decision) -> bool {
    matches!(decision.verdict, Verdict::Block(_))
}

fn decide_all(policy: &Policy) -> Vec<Decision> {
    let times = [MORNING, LUNCH];
    NAMES.iter().flat_map(|name| times.map(|at| policy.ask(name, "10.0.0.1", at))).collect()
}

/// Networks within each other, and addresses in them and in none.
const NETS: [&str; 8] = [
    "10.0.0.0/16",
    "10.0.0.0/24",
    "10.0.0.0/25",
    "10.0.0.128/25",
    "10.0.0.128/26",
    "10.0.0.1/32",
    "fd00::/8",
    "fd00:1::/32",
];
const ADDRESSES: [&str; 8] =
    ["10.0.0.1", "10.0.0.2", "10.0.0.130", "10.0.0.200", "10.0.9.9", "192.0.2.1", "fd00:1::5", "fd00:2::5"];

/// Which profile each network has, and which one the rest, by the profiles' places.
fn networks() -> impl Strategy<Value = (Vec<Option<usize>>, Option<usize>)> {
    let place = || prop::option::of(0..4_usize);
    (prop::collection::vec(place(), NETS.len()), place())
}

/// The world with a second profile of many settings beside the first, and with these networks.
fn with_networks(
    world: &World,
    other: &World,
    cells: &[Cell],
    (nets, fallback): &(Vec<Option<usize>>, Option<usize>),
) -> World {
    let mut world = world.clone();
    let profiles = &mut world.file.profiles;
    profiles.push(ProfileFile { id: "q".into(), ..other.file.profiles[0].clone() });
    // The tables of these tests know no shipped states, so each state is written.
    let plain = profiles.iter_mut().filter(|profile| profile.categories.is_empty());
    for (profile, cells) in plain.zip(cells.chunks(OPEN.len())) {
        profile.categories = OPEN.iter().map(|id| (*id).to_owned()).zip(cells.iter().cloned()).collect();
    }
    for (place, profile) in profiles.iter_mut().enumerate() {
        let own = NETS.iter().zip(nets).filter(|(_, of)| **of == Some(place));
        profile.subnets = own.map(|(net, _)| (*net).to_owned()).collect();
    }
    world.file.fallback_profile = fallback.map(|place| profiles[place].id.clone());
    world
}

/// A change that makes a policy stricter.
#[derive(Debug, Clone)]
enum Tightening {
    BlockCell(usize),
    LockCell(usize),
    AddBlockRule(RuleFile),
    RemoveAllowRule(usize),
    AllowOnly,
    Enforce,
    BlockUncategorised,
    BlockYouTube,
    BlockService,
    Canaries,
    Suspend,
    LeaveGroup,
    NoBundles,
    NoOwnNames,
    FirstLesson(Vec<String>),
}

fn tightening() -> impl Strategy<Value = Tightening> {
    use Tightening::*;
    prop_oneof![
        (0..OPEN.len()).prop_map(BlockCell),
        (0..OPEN.len()).prop_map(LockCell),
        rule().prop_map(|rule| AddBlockRule(RuleFile { action: Action::Block, ..rule })),
        (0..6_usize).prop_map(RemoveAllowRule),
        Just(AllowOnly),
        Just(Enforce),
        Just(BlockUncategorised),
        Just(BlockYouTube),
        Just(BlockService),
        Just(Canaries),
        Just(Suspend),
        Just(LeaveGroup),
        Just(NoBundles),
        Just(NoOwnNames),
        prop::collection::vec(name(), 1..3).prop_map(FirstLesson),
    ]
}

impl Tightening {
    fn apply(&self, world: &World) -> World {
        let mut world = world.clone();
        let file = &mut world.file;
        let profile = &mut file.profiles[0];
        match self {
            Self::BlockCell(i) => drop(profile.categories.insert(OPEN[*i].into(), Cell::Block)),
            Self::LockCell(i) => {
                // A switch that opens a service of a locked category is an error, and one that opens it for some or at
                // times closes it for all others: whoever locks the category closes it.
                if *i == OPEN.len() - 1 {
                    profile.services.values_mut().for_each(|switch| *switch = Cell::Block);
                }
                profile.categories.insert(OPEN[*i].into(), Cell::Locked);
            }
            Self::AddBlockRule(rule) => file.rules.push(rule.clone()),
            Self::RemoveAllowRule(i) => {
                if file.rules.get(*i).is_some_and(|rule| rule.action == Action::Allow) {
                    file.rules.remove(*i);
                }
            }
            Self::AllowOnly => profile.mode = Mode::AllowOnly,
            Self::Enforce => {
                if profile.mode == Mode::Watch {
                    profile.mode = Mode::Filter;
                }
            }
            Self::BlockUncategorised => profile.uncategorised = Some(Access::Block),
            Self::BlockYouTube => profile.youtube = YouTube::Block,
            Self::BlockService => drop(profile.services.insert("chirp".into(), Cell::Block)),
            Self::Canaries => profile.canaries = true,
            Self::Suspend => file.devices[0].suspended = true,
            Self::LeaveGroup => file.groups[0].devices.truncate(1),
            Self::NoBundles => profile.bundles.clear(),
            Self::NoOwnNames => file.own_names.clear(),
            Self::FirstLesson(only) => {
                if file.lessons.is_empty() {
                    let room = vec!["10.0.0.0/24".into()];
                    file.lessons.push(LessonFile {
                        name: "new".into(),
                        room,
                        only: only.clone(),
                        until: None,
                    });
                }
            }
        }
        world
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn locked_is_never_opened_by_anything(world in world(), place in 0..NAMES.len(), locked in 0..2_usize) {
        let mut world = world;
        // A list of a locked category has the name; whatever else there is stays.
        world.lists.push((CATEGORIES[locked], vec![NAMES[place].to_owned()]));
        let audience = world.file.profiles[0].audience;
        prop_assume!(locked == 1 || audience != Audience::Staff);
        let policy = world.policy();
        let listed = Key::parse(NAMES[place]).unwrap();
        for name in NAMES.iter().filter(|name| Key::parse(name).unwrap().is_within(&listed)) {
            for at in [MORNING, LUNCH] {
                let decision = policy.ask(name, "10.0.0.1", at);
                prop_assert!(is_blocked(&decision), "{name}");
                prop_assert!(matches!(decision.reason, Reason::Locked(_)), "{name}: {:?}", decision.reason);
            }
        }
    }

    #[test]
    fn tightening_never_opens_a_name(world in world(), change in tightening()) {
        let before = decide_all(&world.policy());
        let after = decide_all(&change.apply(&world).policy());
        for (i, (before, after)) in before.iter().zip(&after).enumerate() {
            prop_assert!(
                !is_blocked(before) || is_blocked(after),
                "{}: {before:?} became {after:?}",
                NAMES[i / 2]
            );
        }
    }

    #[test]
    fn what_opens_a_name_is_said_to_loosen(world in world(), other in world()) {
        // Lists and tables stay as they are, since only the school's own file is compared.
        let after = World { file: other.file, ..world.clone() };
        let said = world.file.loosens(&after.file, &Categories::shipped(), time("2019-01-01T00:00:00Z"));
        let opened = decide_all(&world.policy()).iter().zip(decide_all(&after.policy())).any(|(before, after)| {
            is_blocked(before) && !is_blocked(&after)
        });
        prop_assert!(!opened || !said.is_empty());
        prop_assert!(world.file.loosens(&world.file, &Categories::shipped(), time(MORNING)).is_empty());
    }

    #[test]
    fn networks_that_are_not_said_to_loosen_open_nothing(
        world in world(),
        other in world(),
        cells in prop::collection::vec(cell(), 2 * OPEN.len()),
        before in networks(),
        after in networks(),
    ) {
        let before = with_networks(&world, &other, &cells, &before);
        let after = with_networks(&world, &other, &cells, &after);
        if before.file.loosens(&after.file, &Categories::shipped(), time("2019-01-01T00:00:00Z")).is_empty() {
            let (before, after) = (before.policy(), after.policy());
            for (name, address) in NAMES.iter().flat_map(|name| ADDRESSES.map(|address| (name, address))) {
                for at in [MORNING, LUNCH] {
                    let (was, is) = (before.ask(name, address, at), after.ask(name, address, at));
                    prop_assert!(
                        !is_blocked(&was) || is_blocked(&is),
                        "{name} for {address}: {was:?} became {is:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn tightening_alone_loosens_nothing(world in world(), change in tightening()) {
        // Another group, and a switch taken out, are for a person to judge.
        prop_assume!(!matches!(change, Tightening::LeaveGroup | Tightening::LockCell(_)));
        // Else the strictest profile is that of devices that nobody knows, which a stricter one may take the place of.
        let mut world = world;
        world.file.fallback_profile = Some("pupils".into());
        let said = world.file.loosens(&change.apply(&world).file, &Categories::shipped(), time(MORNING));
        prop_assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn being_new_blocks_only_what_nothing_else_decides(
        world in world(),
        newly_seen in cell(),
        first_asked in first_asked(),
        days in 1..30_u16,
        learning_days in 0..30_u16,
    ) {
        let mut world = world;
        world.file.newly_seen = NewlySeen { days, learning_days };
        let profile = &mut world.file.profiles[0];
        profile.categories.insert("newly-seen".into(), newly_seen);
        let policy = world.policy();
        let client = policy.client("10.0.0.1");
        for name in NAMES {
            let old = policy.ask(name, "10.0.0.1", MORNING);
            let question = Question { first_asked, ..ask(name) };
            let new = policy.decide(&question, &client, time(MORNING));
            let blocked = new.would_block.as_deref().unwrap_or(&new.reason);
            let Reason::NewlySeen { since, until } = blocked else {
                prop_assert_eq!((new.verdict, new.reason), (old.verdict, old.reason));
                continue;
            };
            prop_assert_eq!((old.verdict, old.reason), (Verdict::Allow, Reason::Default));
            prop_assert!(policy.look_up(&question.key).raw.is_empty(), "{} is on a list", name);
            // The date that it gives is right: on it, and not before, the same name is open.
            let (day, began) = match first_asked {
                FirstAsked::Never { began } => (Day::of(time(MORNING)), began),
                FirstAsked::On { day, began } => (day, began),
                FirstAsked::Unknown => panic!("nobody looked"),
            };
            prop_assert_eq!((*since, *until), (day, day.plus(days)));
            prop_assert!(day >= began.plus(learning_days));
            let question = Question { first_asked: FirstAsked::On { day, began }, ..ask(name) };
            let at = |day: Day| Timestamp::from_second(i64::from(day.number()) * 86_400 + 36_000).unwrap();
            let later = policy.decide(&question, &client, at(*until));
            prop_assert_eq!((later.verdict, later.reason, later.would_block), (Verdict::Allow, Reason::Default, None));
        }
    }

    #[test]
    fn the_setting_and_the_cell_uncategorised_mean_the_same(world in world(), blocked in any::<bool>()) {
        let (mut setting, mut cell) = (world.clone(), world);
        let (access, state) = if blocked { (Access::Block, Cell::Block) } else { (Access::Allow, Cell::Allow) };
        setting.file.profiles[0].uncategorised = Some(access);
        cell.file.profiles[0].uncategorised = None;
        cell.file.profiles[0].categories.insert("uncategorised".into(), state);
        prop_assert_eq!(decide_all(&setting.policy()), decide_all(&cell.policy()));
    }

    #[test]
    fn a_decision_does_not_depend_on_the_order_of_lists_or_rules(
        world in world(),
        order in Just((0..8_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let (straight, shuffled) = (world.policy(), world.policy_of(&order));
        let mut backwards = world;
        backwards.file.rules.reverse();
        let reversed = backwards.policy();
        for name in NAMES {
            let (a, b) = (straight.ask(name, "10.0.0.1", MORNING), shuffled.ask(name, "10.0.0.1", MORNING));
            prop_assert_eq!(&a.verdict, &b.verdict);
            prop_assert_eq!(a.categories, b.categories);
            // Who is named as the reason is the same too: the sentence says the list.
            let client = straight.client("10.0.0.1");
            prop_assert_eq!(straight.explain(&a, &ask(name), &client), shuffled.explain(&b, &ask(name), &client));
            prop_assert_eq!(a.verdict, reversed.ask(name, "10.0.0.1", MORNING).verdict);
        }
    }

    #[test]
    fn the_same_inputs_decide_the_same(world in world()) {
        let (one, two) = (world.policy(), world.policy());
        prop_assert_eq!(decide_all(&one), decide_all(&one));
        prop_assert_eq!(decide_all(&one), decide_all(&two));
    }

    #[test]
    fn a_policy_survives_being_written_and_read(world in world()) {
        let text = world.file.to_toml();
        prop_assert_eq!(PolicyFile::parse(&text).unwrap(), world.file);
    }

    #[test]
    fn any_name_any_time_and_any_client_has_a_decision_with_words(
        labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..10),
        seconds in -300_000_000_000_i64..250_000_000_000,
        address in any::<IpAddr>(),
        qtype in any::<u16>(),
        profile in any::<u16>(),
        first_asked in first_asked(),
    ) {
        let policy = school();
        let name = Name::from_labels(labels).unwrap();
        let question = Question { key: Key::from_name(&name), qtype: RecordType::from(qtype), first_asked };
        let mut client = policy.identify(address, None);
        let now = Timestamp::from_second(seconds).unwrap();
        for _ in 0..2 {
            let decision = policy.decide(&question, &client, now);
            prop_assert!(!policy.explain(&decision, &question, &client).is_empty());
            drop(policy.advice(&decision, &question, &client));
            let text = policy.structured_error(&decision, &question, &client);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            client.profile = ProfileId(profile);
        }
    }

    #[test]
    fn no_text_makes_the_reader_or_the_checks_panic(text in "[ -~\n]{0,200}", cut in 0..SCHOOL.len()) {
        drop(PolicyFile::parse(&text));
        let mut edited = SCHOOL.to_owned();
        edited.insert_str(cut, &text);
        if let Ok(file) = PolicyFile::parse(&edited) {
            let _ = file.validate(&Categories::shipped(), time(MORNING));
            drop(Policy::build_with(&file, &knowledge(Vec::new()), &tables()));
        }
    }
}
