//! Every step against every other: each subset of the steps is made to apply to one name, and the earliest must win.

use std::sync::LazyLock;

use super::*;

/// What can be made to apply to the name, in the order of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Locked,
    Suspended,
    Lesson,
    Canary,
    Exception,
    BlockRule,
    AllowRule,
    Essential,
    AllowOnly,
    BlockService,
    AllowService,
    Category,
    Uncategorised,
    NewlySeen,
    SafeSearch,
}

use Step::*;

const STEPS: [Step; 15] = [
    Locked,
    Suspended,
    Lesson,
    Canary,
    Exception,
    BlockRule,
    AllowRule,
    Essential,
    AllowOnly,
    BlockService,
    AllowService,
    Category,
    Uncategorised,
    NewlySeen,
    SafeSearch,
];

const NAME: &str = "www.target.example";
const PARENT: &str = "target.example";

/// A policy in which the steps apply to [`NAME`] for the client 10.0.0.1, and no others do.
fn policy(steps: &[Step]) -> Policy {
    let has = |step: Step| steps.contains(&step);
    let mut tables = tables();
    let name = || NamePattern::parse("target.example").unwrap();
    if has(Essential) {
        tables.essential.push((super::Essential::Education, name()));
    }
    if has(Canary) {
        tables.canaries.push(super::Canary {
            name: name(),
            answer: BlockResponse::NxDomain,
            title: String::new(),
            always: false,
        });
    }
    tables.services = vec![service("target", "gambling", &["target.example"], &[])];
    if has(SafeSearch) {
        tables.engines[0].hosts.push(NamePattern::parse("=www.target.example").unwrap());
    }
    let mut text = format!(
        r#"
        version = 1
        [[profile]]
        id = "p"
        audience = "pupil"
        subnets = ["10.0.0.0/24"]
        mode = "{}"
        uncategorised = "{}"
        block_with = "refused"
        [profile.categories]
        gambling = "block"
        newly-seen = "block"
        {}
        [[profile]]
        id = "s"
        audience = "staff"
        [[device]]
        name = "d"
        address = "10.0.0.1"
        suspended = {}
        "#,
        if has(AllowOnly) { "allow-only" } else { "filter" },
        if has(Uncategorised) { "block" } else { "allow" },
        // One service cannot be both; closed comes first.
        match (has(BlockService), has(AllowService)) {
            (true, _) => "[profile.services]\ntarget = 'block'",
            (false, true) => "[profile.services]\ntarget = 'allow'",
            (false, false) => "",
        },
        has(Suspended),
    );
    if has(Lesson) {
        text += "[[lesson]]\nname = 'l'\nroom = ['d']\nonly = ['other.example']\n";
    }
    for (step, rule) in [
        (AllowRule, "action = 'allow'"),
        (BlockRule, "action = 'block'"),
        (Exception, "action = 'allow'\nuntil = 2030-01-01T00:00:00Z"),
    ] {
        if has(step) {
            text += &format!("[[rule]]\n{rule}\nname = 'target.example'\n");
        }
    }
    Policy::build_with(&PolicyFile::parse(&text).unwrap(), lists(has(Locked), has(Category)), &tables)
        .unwrap()
}

/// The lists of a policy; the four there can be are made once, since the test below makes thousands of policies.
fn lists(locked: bool, category: bool) -> &'static Knowledge {
    static LISTS: LazyLock<[Knowledge; 4]> = LazyLock::new(|| {
        [(false, false), (false, true), (true, false), (true, true)].map(|(locked, category)| {
            let lists =
                [(locked, list("l", "adult", &[PARENT])), (category, list("c", "gambling", &[PARENT]))];
            knowledge(lists.into_iter().filter(|(there, _)| *there).map(|(_, list)| list).collect())
        })
    });
    &LISTS[usize::from(locked) * 2 + usize::from(category)]
}

/// The step that must decide, by the order as it is promised.
fn expected(steps: &[Step]) -> Option<Step> {
    let essential = steps.contains(&Essential);
    let listed = steps.contains(&Category);
    let first = steps.iter().copied().find(|step| match step {
        // Suspended devices and lessons leave essential names alone.
        Suspended | Lesson => !essential,
        // What is on a list is not uncategorised.
        Uncategorised => !listed,
        // Nor is it new to the school, nor is what the product rewrites.
        NewlySeen => !listed && !steps.contains(&SafeSearch),
        _ => true,
    });
    let allows = matches!(first, None | Some(Exception | AllowRule | Essential | AllowService));
    if allows && steps.contains(&SafeSearch) { Some(SafeSearch) } else { first }
}

/// Asks a policy that was made of the steps; the box has long learned what the school asks for.
fn asked(policy: &Policy, steps: &[Step]) -> Decision {
    let began = Day::of(time("2026-01-05T09:00:00Z"));
    let first_asked = if steps.contains(&NewlySeen) {
        FirstAsked::Never { began }
    } else {
        FirstAsked::On { day: began, began }
    };
    let question = Question { first_asked, ..ask(NAME) };
    policy.decide(&question, &policy.client("10.0.0.1"), time(MORNING))
}

fn decided(decision: &Decision) -> Option<Step> {
    Some(match &decision.reason {
        Reason::Locked(_) => Locked,
        Reason::Suspended => Suspended,
        Reason::Lesson(_) => Lesson,
        Reason::Canary => Canary,
        Reason::Exception(_) => Exception,
        Reason::BlockRule(_) => BlockRule,
        Reason::AllowRule(_) => AllowRule,
        Reason::Essential => Essential,
        Reason::AllowOnly => AllowOnly,
        Reason::BlockService(_) => BlockService,
        Reason::AllowService(_) => AllowService,
        Reason::Category(_) => Category,
        Reason::Uncategorised => Uncategorised,
        Reason::NewlySeen { .. } => NewlySeen,
        Reason::SafeSearch(_) => SafeSearch,
        Reason::Default => return None,
        other => panic!("{other:?}"),
    })
}

#[test]
fn the_earliest_step_that_applies_decides_whatever_else_applies() {
    let mut seen = [0; STEPS.len()];
    // Whether a name is new comes with the question, so one policy serves for both.
    let of_policy: Vec<Step> = STEPS.into_iter().filter(|step| *step != NewlySeen).collect();
    for bits in 0..1_u32 << of_policy.len() {
        let of_policy = of_policy.iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0).map(|(_, s)| *s);
        let steps: Vec<Step> = of_policy.collect();
        let policy = policy(&steps);
        for new in [false, true] {
            let mut steps = steps.clone();
            if new {
                steps.push(NewlySeen);
                steps.sort_unstable();
            }
            let decision = asked(&policy, &steps);
            let expected = expected(&steps);
            assert_eq!(decided(&decision), expected, "{steps:?}");
            match expected {
                None | Some(Exception | AllowRule | Essential | AllowService) => {
                    assert_eq!(decision.verdict, Verdict::Allow, "{steps:?}")
                }
                Some(SafeSearch) => assert!(matches!(decision.verdict, Verdict::Rewrite(_)), "{steps:?}"),
                // A canary hears its own no, whoever says it.
                Some(_) if steps.contains(&Canary) => {
                    assert_eq!(decision.verdict, Verdict::Block(BlockResponse::NxDomain), "{steps:?}");
                }
                Some(_) => assert_eq!(decision.verdict, Verdict::Block(BlockResponse::Refused), "{steps:?}"),
            }
            if let Some(step) = expected {
                seen[step as usize] += 1;
            }
        }
    }
    assert!(seen.iter().all(|n| *n > 0), "every step decided somewhere: {seen:?}");
}

#[test]
fn each_step_alone_is_what_the_test_believes() {
    for step in STEPS {
        assert_eq!(decided(&asked(&policy(&[step]), &[step])), Some(step));
    }
    assert_eq!(asked(&policy(&[]), &[]).reason, Reason::Default);
}
