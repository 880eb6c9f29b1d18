//! That what ships is valid, complete in the manual, and blocks nobody's help.

use super::*;

#[test]
fn the_shipped_tables_are_valid() {
    let tables = Tables::parse_shipped().unwrap();
    for id in ["ks1", "ks2", "secondary", "staff", "staff-byod", "pupil-byod", "guest"] {
        let profile = tables.profiles.iter().find(|p| p.id == id).unwrap_or_else(|| panic!("{id}"));
        for bundle in &profile.bundles {
            assert!(tables.bundle(bundle).is_some(), "{id}: {bundle}");
        }
    }
    assert!(tables.canaries.iter().any(|c| c.always), "resolver.arpa is there");
    assert!(tables.engines.iter().any(|e| e.kind == EngineKind::YouTube));
    assert!(tables.essential.iter().any(|(set, _)| *set == Essential::Help));
    // A school cannot be asked to hold an engine in a mode whose name is itself rewritten.
    for engine in &tables.engines {
        for (target, _) in [&engine.strict, &engine.moderate] {
            let key = Key::from_name(target);
            assert!(
                tables.engines.iter().flat_map(|e| &e.hosts).all(|host| host.key != key),
                "{target} is rewritten"
            );
        }
    }
}

#[test]
fn the_shipped_bundles_have_titles_and_names_that_are_nobody_elses() {
    let tables = Tables::parse_shipped().unwrap();
    assert!(tables.bundles.len() >= 14, "{}", tables.bundles.len());
    for bundle in &tables.bundles {
        assert!(!bundle.title.is_empty() && !bundle.names.is_empty(), "{}", bundle.id);
        let keys: BTreeSet<Vec<u8>> = bundle.names.iter().map(|n| n.key.as_bytes().to_vec()).collect();
        assert_eq!(keys.len(), bundle.names.len(), "{}: a name is there twice", bundle.id);
        for name in &bundle.names {
            assert!(!name.key.is_public_suffix() || name.exact, "{}: {}", bundle.id, name.key);
        }
    }
    assert!(
        Tables::default().add_bundle("x", "x.example\n").unwrap_err().to_string().contains("the first line")
    );
}

#[test]
fn the_manual_names_every_service_and_every_bundle() {
    let manual = include_str!("../../../docs/policy.md");
    let tables = Tables::parse_shipped().unwrap();
    let services = tables.services.iter().map(|service| service.id.as_str());
    for id in services.chain(tables.bundles.iter().map(|bundle| bundle.id.as_str())) {
        assert!(manual.contains(&format!("`{id}`")), "docs/policy.md does not name {id}");
    }
}

#[test]
fn no_service_and_no_list_of_ours_has_an_essential_name() {
    use crate::{
        category::Categories,
        lists::curated::lint::{Level, Linter},
    };
    let tables = Tables::parse_shipped().unwrap();
    let protected = tables.protected();
    for help in ["childline.org.uk", "samaritans.org", "beateatingdisorders.org.uk", "talktofrank.com"]
        .into_iter()
        .chain([
            "giveusashout.org",
            "papyrus-uk.org",
            "mind.org.uk",
            "kooth.com",
            "nspcc.org.uk",
            "themix.org.uk",
        ])
        .chain([
            "ceop.police.uk",
            "report.iwf.org.uk",
            "reportharmfulcontent.com",
            "refuge.org.uk",
            "www.nhs.uk",
        ])
        .chain(["youngminds.org.uk", "rapecrisis.org.uk", "switchboard.lgbt"])
    {
        let key = Key::parse(help).unwrap();
        assert!(protected.iter().any(|p: &Protected| p.help && p.key == key), "{help} is a help site");
    }
    let categories = Categories::shipped();
    // No review is overdue on the day that the newest of them was made.
    let mut linter = Linter::new(&categories, &protected, "2026-11-25".parse().unwrap());
    linter.shipped();
    let report = linter.finish();
    assert!(report.names > 1_000, "{} names", report.names);
    let errors: Vec<String> =
        report.findings.iter().filter(|f| f.level == Level::Error).map(ToString::to_string).collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn names_may_have_comments_and_an_equals_sign() {
    let found = names("t", "# all\n\nexample.org  # one\n=www.example.org\n").unwrap();
    assert_eq!(found.len(), 2);
    assert!(found[1].exact);
    assert!(names("t", "good.example\nbad name\n").unwrap_err().to_string().contains("line 2"));
}

#[test]
fn a_service_without_a_target_is_refused() {
    let text = "[[engine]]\nid = 'x'\ntitle = 'X'\nkind = 'search'\nhosts = ['www.x.example']\n";
    assert!(Tables::default().add_engines(text).unwrap_err().to_string().contains("no target"));
}
