//! Names that are new to the school.

use std::time::{Duration, Instant};

use hickory_proto::{op::ResponseCode, rr::RecordType};

use crate::{
    school::{POLICY, School},
    support::{command_on, ede, err, out},
};

/// The names that `schoolgate seen` tells.
fn seen(school: &School) -> Vec<String> {
    let output = school.command(&["--json", "seen"]);
    assert!(output.status.success(), "{}", err(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let names = report["names"].as_array().expect("a list");
    names.iter().map(|name| name["name"].as_str().expect("text").to_owned()).collect()
}

/// Waits until the box remembers a name; it asks behind the reply whether it exists.
fn wait_for(school: &School, name: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !seen(school).iter().any(|seen| seen == name) {
        assert!(Instant::now() < deadline, "{name} is not remembered: {:?}", seen(school));
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn new_names_wait_are_remembered_over_a_power_cut_and_are_free_while_the_box_learns() {
    let holding = POLICY
        .replacen("video = \"allow\"", "video = \"allow\"\nnewly-seen = \"block\"", 1)
        .replacen("block_with = \"block-page\"", "block_with = \"nxdomain\"", 1)
        + "\n[newly_seen]\nlearning_days = 0\n";
    let school = School::with(&holding, "");

    // Nobody has asked for it, so it waits; that it exists is found out behind the reply.
    let blocked = school.ask("ks2", "www.good3.test.", RecordType::A);
    assert_eq!(blocked.metadata.response_code, ResponseCode::NXDomain, "{blocked:?}");
    let (code, text) = &ede(&blocked)[0];
    assert_eq!(*code, 17);
    assert!(text.contains("nobody at this school had asked for anything of good3.test before"), "{text}");
    wait_for(&school, "good3.test");

    // What staff ask for is remembered for all, and is new for a week all the same.
    let open = school.ask("staff", "www.good.test.", RecordType::A);
    assert_eq!(open.metadata.response_code, ResponseCode::NoError, "{open:?}");
    wait_for(&school, "good.test");
    let blocked = school.ask("ks2", "www.good.test.", RecordType::A);
    assert_eq!(blocked.metadata.response_code, ResponseCode::NXDomain, "{blocked:?}");

    // What does not exist, and what is the school's own, is not remembered.
    school.ask("staff", "nosuch.test.", RecordType::A);
    school.ask("ks2", "made-up-name.test.", RecordType::A);
    let own = school.ask("ks2", "dc1.ad.school.example.", RecordType::A);
    assert_ne!(ede(&own).first().map(|(code, _)| *code), Some(17), "{own:?}");
    // Asked last, so that what came before it has been seen to.
    assert_eq!(
        school.ask("ks2", "www.short.test.", RecordType::A).metadata.response_code,
        ResponseCode::NXDomain
    );
    wait_for(&school, "short.test");
    let mut names = seen(&school);
    names.sort();
    assert_eq!(names, ["good.test", "good3.test", "short.test"]);

    // A policy by which the box is still learning holds at once.
    let lists = school.folder.path().to_str().expect("text").to_owned();
    let learning = holding.replace("learning_days = 0", "learning_days = 14").replace("LISTS", &lists);
    let file = school.file("learning.toml");
    std::fs::write(&file, learning).expect("a policy");
    let imported = school.command(&["policy", "import", file.to_str().expect("text")]);
    assert!(imported.status.success(), "{}", err(&imported));
    for name in ["www.good3.test.", "www.good.test."] {
        let open = school.ask("ks2", name, RecordType::A);
        assert_eq!(open.metadata.response_code, ResponseCode::NoError, "{open:?}");
    }

    let School { running, folder, .. } = school;
    running.kill();
    let args = ["check", "www.good3.test", "--client", "10.20.2.31", "--no-resolve"];
    let check = out(&command_on(folder.path(), &args));
    assert!(
        check.contains("first asked for at this school on ") && check.contains("(good3.test)"),
        "{check}"
    );
    let report = out(&command_on(folder.path(), &["seen"]));
    assert!(report.contains("good.test") && report.contains("3 remembered"), "{report}");
}
