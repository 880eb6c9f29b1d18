use proptest::prelude::*;

use super::*;
use crate::{
    category::LOCKED,
    policy::{Action, Cell, Mode, ProfileFile},
};

/// What a file is after edits; it is one that can be published.
fn after(edits: &[&str]) -> PolicyFile {
    let mut file = school();
    for json in edits {
        apply(&mut file, &[edit(json)]).unwrap_or_else(|e| panic!("{json}: {e}"));
    }
    assert_eq!(errors(&file), [""; 0], "{edits:?}");
    assert_eq!(PolicyFile::parse(&file.to_toml()).unwrap(), file);
    file
}

fn refused(edits: &[&str]) -> EditError {
    let mut file = school();
    let edits: Vec<Edit> = edits.iter().map(|json| edit(json)).collect();
    apply(&mut file, &edits).unwrap_err()
}

fn profile<'a>(file: &'a PolicyFile, id: &str) -> &'a ProfileFile {
    file.profiles.iter().find(|profile| profile.id == id).unwrap()
}

#[test]
fn a_cell_is_set_with_its_why_and_taken_back() {
    let set = r#"{"edit":"set-cell","profile":"pupils","category":"games","cell":"allow","why":"a club"}"#;
    let file = after(&[set]);
    let pupils = profile(&file, "pupils");
    assert_eq!((pupils.categories["games"].clone(), pupils.why["games"].as_str()), (Cell::Allow, "a club"));
    // The reason goes with the state that it was given for.
    let file = after(&[set, r#"{"edit":"set-cell","profile":"pupils","category":"games","cell":"block"}"#]);
    assert!(profile(&file, "pupils").why.is_empty());
    let file = after(&[set, set.replace(r#","why":"a club""#, "").as_str()]);
    assert_eq!(profile(&file, "pupils").why["games"], "a club");
    let file = after(&[r#"{"edit":"set-cell","profile":"pupils","category":"games"}"#]);
    assert!(!profile(&file, "pupils").categories.contains_key("games"));
    let file = after(&[r#"{"edit":"set-cell","profile":"pupils","category":"tiktok","cell":"block"}"#]);
    assert_eq!(profile(&file, "pupils").services["tiktok"], Cell::Block);
}

#[test]
fn the_cell_and_the_setting_of_names_on_no_list_never_contradict() {
    let setting = r#"{"edit":"set-profile","profile":"pupils","uncategorised":"block"}"#;
    let cell = r#"{"edit":"set-cell","profile":"pupils","category":"uncategorised","cell":"report"}"#;
    assert_eq!(profile(&after(&[setting, cell]), "pupils").unlisted(), Cell::Report);
    assert_eq!(profile(&after(&[cell, setting]), "pupils").unlisted(), Cell::Block);
}

#[test]
fn a_copied_profile_keeps_what_is_locked_for_its_own_audience() {
    let file = after(&[r#"{"edit":"copy-profile","from":"staff","to":"pupils"}"#]);
    let pupils = profile(&file, "pupils");
    assert_eq!((pupils.categories.get("games"), pupils.categories.get("adult")), (Some(&Cell::Allow), None));
    assert!(pupils.services.contains_key("tiktok") && !pupils.services.contains_key("replika"));
    let file = after(&[r#"{"edit":"copy-profile","from":"pupils","to":"staff"}"#]);
    let staff = profile(&file, "staff");
    assert_eq!(
        (staff.categories["games"].clone(), staff.categories["adult"].clone()),
        (Cell::Block, Cell::Block)
    );
}

#[test]
fn settings_of_a_profile_change_one_by_one() {
    let file = after(&[r#"{"edit":"set-profile","profile":"pupils","name":"Key Stage 2","mode":"watch",
        "safe_search":false,"youtube":"off","block_with":"refused","log":"blocked-only","strip_ech":false,
        "canaries":false,"newly_seen":"block","bundles":["nrich"],"why":{"safe_search":"a trial"}}"#]);
    let pupils = profile(&file, "pupils");
    assert_eq!((pupils.name.as_str(), pupils.mode, pupils.safe_search), ("Key Stage 2", Mode::Watch, false));
    assert_eq!((pupils.strip_ech, pupils.canaries, pupils.why.len()), (false, false, 1));
    assert_eq!((&pupils.categories["newly-seen"], pupils.bundles.len()), (&Cell::Block, 1));
    assert_eq!(pupils.subnets, profile(&school(), "pupils").subnets);
    let file = after(&[r#"{"edit":"set-newly-seen","days":3,"learning_days":0}"#]);
    assert_eq!(file.newly_seen.days, 3);
}

#[test]
fn a_profile_comes_and_goes_with_what_is_its_own() {
    let add = r#"{"edit":"add-profile","profile":"year-6","name":"Year 6","audience":"pupil","like":"staff",
        "subnets":["10.20.6.0/24"]}"#;
    let rules = r#"{"edit":"put-rules","rules":[
        {"action":"block","name":"one.example","profiles":["year-6"]},
        {"action":"block","name":"two.example","profiles":["year-6","staff"]}]}"#;
    let device = r#"{"edit":"put-device","name":"Cart","address":"10.9.0.7","profile":"year-6"}"#;
    let fallback = r#"{"edit":"set-school","fallback_profile":"year-6"}"#;
    let file = after(&[add, rules, device, fallback]);
    assert_eq!(profile(&file, "year-6").categories["games"], Cell::Allow);
    let gone = r#"{"edit":"remove-profile","profile":"year-6","to":"pupils"}"#;
    let file = after(&[add, rules, device, fallback, gone]);
    assert_eq!(file.rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["two.example"]);
    assert_eq!(file.devices[0].profile.as_deref(), Some("pupils"));
    assert_eq!(file.fallback_profile.as_deref(), Some("pupils"));
    assert!(profile(&file, "pupils").subnets.contains(&String::from("10.20.6.0/24")));
    assert!(matches!(refused(&[add, add]), EditError::Taken { .. }));
}

#[test]
fn a_rule_takes_the_place_of_its_opposite_but_not_of_a_lasting_one() {
    let block = r#"{"edit":"put-rules","rules":[{"action":"block","name":"x.example","reason":"bullying"}]}"#;
    let allow = r#"{"edit":"put-rules","rules":[{"action":"allow","name":"*.X.example"}]}"#;
    let timed = r#"{"edit":"put-rules","rules":[{"action":"allow","name":"x.example",
        "until":"2026-11-22T11:15:00Z"}]}"#;
    let file = after(&[block, allow]);
    assert_eq!((file.rules.len(), file.rules[0].action), (1, Action::Allow));
    assert_eq!(file.rules[0].reason, "a test", "that of the change");
    let file = after(&[block, timed]);
    assert_eq!(file.rules.len(), 2, "what is blocked for good is blocked again after the exception");
    let file = after(&[block, timed, r#"{"edit":"remove-rule","name":"x.example","ends":true}"#]);
    assert_eq!((file.rules.len(), file.rules[0].action), (1, Action::Block));
    let nobody = r#"{"edit":"put-rules","rules":[{"action":"allow","name":"x.example","clients":[" "]}]}"#;
    assert!(matches!(refused(&[nobody]), EditError::Missing { .. }));
    let past = timed.replace("11:15", "09:15");
    assert!(matches!(refused(&[&past]), EditError::End(_)));
    assert!(matches!(refused(&[r#"{"edit":"remove-rule","name":"x.example"}"#]), EditError::Unknown { .. }));
}

#[test]
fn networks_devices_groups_and_times_change() {
    let file = after(&[
        r#"{"edit":"set-subnets","profile":"pupils","subnets":["10.20.3.0/24"," "]}"#,
        r#"{"edit":"put-device","name":"Cart","address":"10.20.3.7"}"#,
        r#"{"edit":"suspend-device","name":"Cart","suspended":true}"#,
        r#"{"edit":"put-group","id":"office","devices":["Cart","10.9.0.4"]}"#,
        r#"{"edit":"put-schedule","id":"lunch","windows":[{"days":"mon-fri","from":"12:00","to":"13:00"}]}"#,
        r#"{"edit":"set-cell","profile":"pupils","category":"games","cell":{"allow-during":"lunch"}}"#,
        r#"{"edit":"set-terms","terms":[{"from":"2026-09-02","to":"2026-12-18"}],"holidays":[{"from":"2026-11-27"}]}"#,
    ]);
    assert_eq!(profile(&file, "pupils").subnets, ["10.20.3.0/24"]);
    assert!(file.devices[0].suspended);
    assert_eq!(
        (file.groups.len(), file.schedules.len(), file.terms.len(), file.holidays.len()),
        (1, 1, 1, 1)
    );
    let mut used = file.clone();
    apply(&mut used, &[edit(r#"{"edit":"remove-schedule","schedule":"lunch"}"#)]).unwrap();
    assert!(errors(&used)[0].contains("there is no schedule \"lunch\""), "{:?}", errors(&used));
    let mut file = file;
    let gone = [
        edit(r#"{"edit":"put-rules","rules":[{"action":"allow","name":"x.example","clients":["Cart"]}]}"#),
        edit(r#"{"edit":"remove-device","name":"Cart"}"#),
    ];
    apply(&mut file, &gone).unwrap();
    assert_eq!((errors(&file).len(), file.groups[0].devices.len()), (0, 1));
    assert!(file.rules.is_empty(), "a rule for one device does not become one for all");
    apply(&mut file, &[edit(r#"{"edit":"remove-group","group":"office"}"#)]).unwrap();
    assert!(file.groups.is_empty());
}

#[test]
fn a_lesson_closes_a_room_opens_what_it_needs_and_ends_with_it() {
    let start = r#"{"edit":"start-lesson","name":"Romans","room":["10.20.2.0/27"],
        "only":["museum.example","bundle:bbc-bitesize"],"allow":["service:youtube"],
        "until":"2026-11-22T11:15:00Z"}"#;
    let file = after(&[start]);
    let lesson = &file.lessons[0];
    assert!(lesson.only.contains(&String::from("museum.example")));
    assert!(lesson.only.contains(&String::from("www.youtube.com")), "or the lesson would close it");
    assert_eq!(lesson.until.unwrap().to_string(), "2026-11-22T11:15:00Z");
    assert!(!file.rules.is_empty());
    assert!(file.rules.iter().all(|rule| rule.until == lesson.until && rule.clients.is_some()));
    let file = after(&[start, r#"{"edit":"end-lesson","name":"Romans"}"#]);
    assert!(file.lessons.is_empty() && file.rules.is_empty());
    assert!(matches!(refused(&[start, start]), EditError::Taken { .. }));
    let nothing = start.replace(r#"["museum.example","bundle:bbc-bitesize"]"#, "[]");
    assert!(matches!(refused(&[&nothing]), EditError::Missing { .. }));
}

#[test]
fn an_opening_is_for_somebody_and_has_an_end() {
    let open = r#"{"edit":"open","what":["service:youtube","a.example"],"clients":["10.20.2.0/27"],
        "until":"2026-11-22T11:15:00Z"}"#;
    let file = after(&[open]);
    assert!(file.rules.len() > 2 && file.rules.iter().all(|rule| rule.until.is_some()));
    let close = r#"{"edit":"close","what":["service:youtube"],"clients":["10.20.2.0/27"]}"#;
    let file = after(&[open, close]);
    assert_eq!(file.rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["a.example"]);
    assert!(after(&[open, r#"{"edit":"close","clients":["10.20.2.0/27"]}"#]).rules.is_empty());
    let nobody = open.replace(r#""clients":["10.20.2.0/27"],"#, "");
    assert!(matches!(refused(&[&nobody]), EditError::Missing { .. }));
    assert!(matches!(refused(&[&open.replace("youtube", "youtub")]), EditError::Unknown { .. }));
    assert!(
        serde_json::from_str::<Edit>(&open.replace(r#""until":"2026-11-22T11:15:00Z""#, r#""x":1"#)).is_err()
    );
}

#[test]
fn the_next_opening_takes_out_those_that_are_over() {
    let mut file = school();
    let open = edit(
        r#"{"edit":"open","what":["a.example"],"clients":["10.20.2.9"],"until":"2026-11-22T11:15:00Z"}"#,
    );
    let lasting = edit(r#"{"edit":"put-rules","rules":[{"action":"allow","name":"b.example"}]}"#);
    apply(&mut file, &[open, lasting]).unwrap();
    let categories = Categories::shipped();
    let later = "2026-11-23T10:00:00Z".parse().unwrap();
    let known = Known { categories: &categories, tables: Tables::shipped(), now: later, reason: "" };
    let next = edit(
        r#"{"edit":"open","what":["c.example"],"clients":["10.20.2.9"],"until":"2026-11-23T11:15:00Z"}"#,
    );
    known.apply(&mut file, &[next]).unwrap();
    let names: Vec<&str> = file.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["b.example", "c.example"]);
}

#[test]
fn what_is_said_of_the_school_and_its_suppliers_changes() {
    let file = after(&[
        r#"{"edit":"set-school","name":"Oak Road","timezone":"Europe/Dublin","fallback_profile":"",
            "contact":"mailto:office@school.example","own_names":["oak.example"]}"#,
        r#"{"edit":"set-retention","allowed_days":7}"#,
        r#"{"edit":"set-supplier","category":"illegal-terrorism","by":"upstream","who":"The trust",
            "verified":"2026-11-20"}"#,
    ]);
    assert_eq!((file.school.as_str(), file.timezone.as_str()), ("Oak Road", "Europe/Dublin"));
    assert_eq!((file.fallback_profile.as_deref(), file.own_names.len()), (None, 1));
    assert_eq!((file.log.allowed_days, file.log.blocked_days), (7, 365));
    assert_eq!(file.suppliers[0].verified.unwrap().to_string(), "2026-11-20");
}

#[test]
fn a_mitigation_is_written_and_taken_out() {
    let said = r#"{"edit": "set-mitigation", "limit": "vpn", "text": " The firewall. ", "decided": "2026-11-20", "by": "Head"}"#;
    let file = after(&[said]);
    assert_eq!(file.mitigations[0].text, "The firewall.");
    assert_eq!(file.mitigations[0].decided.unwrap().to_string(), "2026-11-20");
    let none = after(&[said, r#"{"edit": "set-mitigation", "limit": "vpn", "text": ""}"#]);
    assert!(none.mitigations.is_empty());
}

#[test]
fn what_is_not_there_is_named_with_what_was_meant() {
    let error = refused(&[r#"{"edit":"set-cell","profile":"pupil","category":"games","cell":"block"}"#]);
    assert_eq!(error.to_string(), "there is no profile \"pupil\": did you mean \"pupils\"?");
    let error = refused(&[r#"{"edit":"set-cell","profile":"pupils","category":"game","cell":"block"}"#]);
    assert!(error.to_string().contains("did you mean \"games\"?"), "{error}");
}

#[test]
fn the_form_of_every_edit_can_be_described() {
    let schema = serde_json::to_value(schemars::schema_for!(Edit)).unwrap();
    assert!(schema["oneOf"].as_array().is_some_and(|kinds| kinds.len() > 20), "{schema}");
}

fn cell() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        r#""allow""#,
        r#""block""#,
        r#""report""#,
        r#""locked""#,
        r#"{"allow-during":"lunch"}"#,
        r#"{"allow-for":"office"}"#,
        "null",
    ])
}

/// Edits that pages could ask for in any order.
fn any_edit() -> impl Strategy<Value = String> {
    let profile = prop::sample::select(vec!["pupils", "staff", "year-6"]);
    let category = prop::sample::select(vec![
        "games",
        "adult",
        "ai-companion",
        "illegal-terrorism",
        "uncategorised",
        "newly-seen",
        "tiktok",
        "replika",
        "youtube",
    ]);
    let name = prop::sample::select(vec!["a.example", "=b.example", "play.example"]);
    let whom = prop::sample::select(vec![r#"["10.20.2.0/27"]"#, r#"["Cart"]"#, "[]"]);
    prop_oneof![
        4 => (profile.clone(), category, cell()).prop_map(|(profile, category, cell)| format!(
            r#"{{"edit":"set-cell","profile":"{profile}","category":"{category}","cell":{cell},"why":"so"}}"#
        )),
        2 => (profile.clone(), profile.clone())
            .prop_map(|(from, to)| format!(r#"{{"edit":"copy-profile","from":"{from}","to":"{to}"}}"#)),
        1 => profile.clone().prop_map(|like| format!(
            r#"{{"edit":"add-profile","profile":"year-6","audience":"pupil","like":"{like}"}}"#
        )),
        1 => (profile.clone(), profile.clone())
            .prop_map(|(gone, to)| format!(r#"{{"edit":"remove-profile","profile":"{gone}","to":"{to}"}}"#)),
        1 => (profile, prop::sample::select(vec!["filter", "watch", "allow-only"])).prop_map(|(profile, mode)| {
            format!(r#"{{"edit":"set-profile","profile":"{profile}","mode":"{mode}","uncategorised":"block"}}"#)
        }),
        2 => (name, whom.clone(), any::<bool>()).prop_map(|(name, whom, allow)| format!(
            r#"{{"edit":"put-rules","rules":[{{"action":"{}","name":"{name}","clients":{whom}}}]}}"#,
            if allow { "allow" } else { "block" }
        )),
        1 => whom.clone().prop_map(|whom| format!(
            r#"{{"edit":"open","what":["service:replika"],"clients":{whom},"until":"2026-11-22T11:15:00Z"}}"#
        )),
        1 => whom.prop_map(|room| format!(
            r#"{{"edit":"start-lesson","name":"l","room":{room},"only":["a.example"],"allow":["service:tiktok"],
                "until":"2026-11-22T11:15:00Z"}}"#
        )),
        1 => prop::sample::select(vec![
            r#"{"edit":"put-device","name":"Cart","address":"10.20.2.7","profile":"staff"}"#,
            r#"{"edit":"remove-device","name":"Cart"}"#,
            r#"{"edit":"put-group","id":"office","devices":["Cart"]}"#,
            r#"{"edit":"remove-group","group":"office"}"#,
            r#"{"edit":"put-schedule","id":"lunch","windows":[{"days":"daily","from":"12:00","to":"13:00"}]}"#,
            r#"{"edit":"remove-schedule","schedule":"lunch"}"#,
            r#"{"edit":"end-lesson","name":"l"}"#,
        ]).prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_edited_leaves_a_policy_and_its_locks(edits in prop::collection::vec(any_edit(), 1..25)) {
        let categories = Categories::shipped();
        let mut file = school();
        for json in &edits {
            let mut new = file.clone();
            // What can't be made, or is no policy, is not published.
            if apply(&mut new, &[edit(json)]).is_err() || !errors(&new).is_empty() {
                continue;
            }
            prop_assert_eq!(&PolicyFile::parse(&new.to_toml()).unwrap(), &new, "{}", json);
            let said = new.loosens(&new, &categories, now());
            prop_assert!(said.is_empty());
            file = new;
        }
        for profile in &file.profiles {
            for (id, whom) in LOCKED.iter().filter(|(_, whom)| whom.contains(&profile.audience)) {
                let written = profile.categories.get(*id);
                prop_assert!(
                    matches!(written, None | Some(Cell::Block | Cell::Locked)),
                    "{} {id} {whom:?}: {written:?}", profile.id
                );
            }
            let replika = profile.services.get("replika");
            let pupils = profile.audience == crate::category::Audience::Pupil;
            prop_assert!(!pupils || matches!(replika, None | Some(Cell::Block)), "{replika:?}");
        }
    }
}
