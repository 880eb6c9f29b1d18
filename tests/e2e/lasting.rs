//! What must hold while things change: lists swapped under load, real lists, a restart.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{
    school::{POLICY, School, exchange},
    support::{addresses, ede, err, out, question},
};

/// How many lists updates the load goes on over.
const SWAPS: usize = 5;

#[test]
fn lists_are_swapped_under_load_without_one_answer_lost_or_unfiltered() {
    let school = School::open();
    let server = school.address("guest");
    // Warm, so that the load is answered from the cache.
    assert!(!addresses(&school.ask("guest", "www.good.test.", RecordType::A)).is_empty());
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicU64::new(0));
    let load: Vec<_> =
        [("bet.any.test.", true), ("www.good.test.", false), ("metrics.firstparty.test.", true)]
            .into_iter()
            .map(|(name, blocked)| {
                let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
                thread::spawn(move || {
                    let space = fs::File::open("/run/netns/guest").expect("the namespace");
                    move_into_link_name_space(
                        std::os::fd::AsFd::as_fd(&space),
                        Some(LinkNameSpaceType::Network),
                    )
                    .expect("moves into the namespace");
                    let question = question(name, RecordType::A);
                    while !stop.load(Ordering::Relaxed) {
                        let answer = exchange(server, &question).expect("no answer is lost");
                        let is_blocked = answer.metadata.response_code == ResponseCode::NXDomain;
                        assert_eq!(is_blocked, blocked, "{name}: {answer:?}");
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
    for swap in 0..SWAPS {
        let mut bets = String::from("bet.any.test\npayhe.example\n");
        for n in 0..20_000 {
            bets.push_str(&format!("bet{n}.swap{swap}.example\n"));
        }
        fs::write(school.file("bets.txt"), bets).expect("a list");
        let before = asked.load(Ordering::Relaxed);
        let mut update = school.command(&["lists", "update"]);
        if swap == 0 {
            assert_eq!(update.status.code(), Some(1), "so much longer than before is held: {}", out(&update));
            update = school.command(&["lists", "accept", "bets"]);
        }
        assert!(update.status.success(), "{}", err(&update));
        let new = school.ask("guest", &format!("bet7.swap{swap}.example."), RecordType::A);
        assert_eq!(ede(&new)[0].0, 17, "the new list is in force: {new:?}");
        // The load goes on during and after the swap.
        while asked.load(Ordering::Relaxed) == before {
            thread::yield_now();
        }
    }
    stop.store(true, Ordering::Relaxed);
    for thread in load {
        thread.join().expect("every answer came and was right");
    }
    assert!(asked.load(Ordering::Relaxed) > SWAPS as u64);
}

#[test]
fn real_lists_filter_on_the_test_internet() {
    let Some(folder) = std::env::var_os("SCHOOLGATE_LIST_DATA") else {
        println!("did not run: point SCHOOLGATE_LIST_DATA at a folder of real lists");
        return;
    };
    let folder = Path::new(&folder);
    let mut policy = String::from(POLICY);
    let mut names = Vec::new();
    for (category, part) in [("gambling", "gambling"), ("ads-trackers", "ads"), ("games", "games")] {
        let mut files: Vec<_> = fs::read_dir(folder.join(part))
            .unwrap_or_else(|e| panic!("{part}: {e}"))
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.to_string_lossy().contains("hosts"))
            .collect();
        files.sort();
        for (n, file) in files.iter().take(2).enumerate() {
            policy.push_str(&format!(
                "\n[[list]]\nid = \"real-{part}-{n}\"\ncategory = \"{category}\"\nfile = {file:?}\nformat = \"hosts\"\n"
            ));
        }
        if let Some(file) = files.first() {
            names.push((category, listed_names(file)));
        }
    }
    assert!(!names.is_empty(), "the folder has lists");
    let school = School::with(&policy, "");
    // Real lists have names in them that many people use; whoever wants them all the same says so.
    let status: serde_json::Value =
        serde_json::from_slice(&school.command(&["lists", "status", "--json"]).stdout).expect("JSON");
    for list in status["lists"].as_array().expect("lists") {
        if !list["subscription"]["held"].is_null() {
            let accept = school.command(&["lists", "accept", list["id"].as_str().expect("text")]);
            assert!(accept.status.success(), "{}", err(&accept));
        }
    }
    for (category, listed) in &names {
        assert!(!listed.is_empty(), "{category}");
        for name in listed {
            if *category != "games" {
                let blocked = school.ask("guest", &format!("{name}."), RecordType::A);
                assert_eq!(
                    blocked.metadata.response_code,
                    ResponseCode::NXDomain,
                    "{category} {name}: {blocked:?}"
                );
                assert!([15, 16, 17].contains(&ede(&blocked)[0].0), "{name}: {blocked:?}");
            }
            let check = out(&school.command(&["check", name, "--client", "10.20.50.10", "--no-resolve"]));
            assert!(check.contains("real-"), "the list is named: {check}");
            assert!(check.contains(", line "), "and its line: {check}");
        }
        // The test internet gives every .com and .net name an address, so staff get one.
        let Some(name) = listed.iter().find(|name| name.matches('.').count() == 1) else { continue };
        let open = school.ask("staff", &format!("{name}."), RecordType::A);
        assert_eq!(open.metadata.response_code, ResponseCode::NoError, "{category} {name}: {open:?}");
    }
    let status = out(&school.command(&["lists", "status"]));
    assert!(status.contains("real-gambling-0"), "{status}");
}

/// A few names of a hosts file that the test internet can resolve and that no rule opens.
fn listed_names(file: &Path) -> Vec<String> {
    let text = schoolgate::lists::source::Source::at(file);
    let mut names = Vec::new();
    text.read(None, schoolgate::lists::format::MatchMode::Subdomains, &mut |_, rule| {
        if let Ok(rule) = rule
            && let schoolgate::lists::format::Subject::Name { key, .. } = rule.subject
            && names.len() < 5_000
        {
            names.push(key.to_string());
        }
    })
    .expect("the list is read");
    names.retain(|name| name.ends_with(".com") && !name.contains('_'));
    // The test internet answers for every name right below com.
    names.sort_by_key(|name| name.matches('.').count());
    names.truncate(21);
    names.into_iter().step_by(7).collect()
}

#[test]
fn the_first_filtered_answer_comes_with_the_start() {
    let school = School::open();
    let data = school.folder.path().to_owned();
    let School { running, folder, .. } = school;
    running.kill();
    // After a power cut: no socket file of before may keep it from starting.
    assert!(data.join("control.sock").exists());
    let again = crate::support::Running::on_free_ports(&data, "");
    let blocked = again.ask("payhe.example.", RecordType::A);
    assert_eq!(addresses(&blocked), ["0.0.0.0"], "the index of before is in force: {blocked:?}");
    drop(folder);
}
