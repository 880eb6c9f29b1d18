//! Lists as a technician looks after them: added, updated, gone back on, explained.

mod support;

use std::fs;

use serde_json::Value;
use support::{
    Running, command_on, err,
    school::{QUICK, done, file_list, is_listed, json, list, subscribe},
};

/// `n` names of a list, so that one more or less is no great change.
fn names(n: usize, more: &str) -> String {
    (0..n).map(|i| format!("bets{i}.example\n")).collect::<String>() + more
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let text = data.join("bets.txt");
    fs::write(&text, names(50, "")).unwrap();
    let running = Running::on_free_ports(data, QUICK);
    subscribe(data, &file_list("bets", "gambling", &text));
    fs::write(&text, names(50, "new.example\n")).unwrap();
    let before = json(data, &["lists", "status"]);
    let would = json(data, &["lists", "update", "--dry-run"]);
    assert_eq!(would["dry_run"], true);
    assert_eq!(would["lists"][0]["outcome"], "new");
    assert_eq!(
        (&would["lists"][0]["added"], &would["lists"][0]["removed"]),
        (&1.into(), &0.into()),
        "{would}"
    );
    assert_eq!(json(data, &["lists", "status"]), before);
    assert!(!is_listed(&running, "new.example."));
    let text = done(data, &["lists", "update", "--dry-run"]);
    assert!(text.contains("nothing was changed") && text.contains("1 name more"), "{text}");
    assert!(text.contains("+ new.example"), "{text}");
}

#[test]
fn an_older_version_is_a_command_away_and_what_was_rolled_back_stays_away() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let text = data.join("bets.txt");
    fs::write(&text, names(50, "")).unwrap();
    let running = Running::on_free_ports(data, QUICK);
    subscribe(data, &file_list("bets", "gambling", &text));
    fs::write(&text, names(50, "wrong.example\n")).unwrap();
    done(data, &["lists", "update", "bets"]);
    assert!(is_listed(&running, "wrong.example."));

    let diff = json(data, &["lists", "diff", "bets"]);
    assert_eq!((&diff["from"], &diff["to"]), (&1.into(), &2.into()));
    assert_eq!(diff["names_added"][0]["name"], "wrong.example");
    assert_eq!((&diff["added"], &diff["removed"]), (&1.into(), &0.into()));

    done(data, &["lists", "rollback", "bets"]);
    assert!(!is_listed(&running, "wrong.example."));
    assert!(is_listed(&running, "bets7.example."));
    let update = done(data, &["lists", "update"]);
    assert!(update.contains("rolled back"), "{update}");
    assert!(!is_listed(&running, "wrong.example."));
    assert_eq!(list(data, "bets")["subscription"]["number"], 1);
    running.kill();
    let running = Running::on_free_ports(data, QUICK);
    assert!(!is_listed(&running, "wrong.example."), "nor after a power cut");

    fs::write(&text, names(50, "right.example\n")).unwrap();
    done(data, &["lists", "update"]);
    assert!(is_listed(&running, "right.example.") && !is_listed(&running, "wrong.example."));
    done(data, &["lists", "rollback", "bets", "--to", "2"]);
    assert!(is_listed(&running, "wrong.example."), "somebody may want it after all");
    let none = command_on(data, &["lists", "rollback", "bets", "--to", "9"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(err(&none).contains("there are: 1, 2, 3"), "{}", err(&none));
}

#[test]
fn a_list_that_fails_does_not_keep_the_others_from_coming_in() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (bets, games) = (data.join("bets.txt"), data.join("games.txt"));
    fs::write(&bets, names(50, "")).unwrap();
    fs::write(&games, "games.example\n").unwrap();
    let running = Running::on_free_ports(data, QUICK);
    subscribe(data, &(file_list("bets", "gambling", &bets) + &file_list("games", "games", &games)));
    fs::remove_file(&bets).unwrap();
    fs::write(&games, "games.example\nmore.example\n").unwrap();
    let update = command_on(data, &["lists", "update"]);
    assert_eq!(update.status.code(), Some(3), "{}", err(&update));
    assert!(err(&update).contains("list bets:") && err(&update).contains("bets.txt"), "{}", err(&update));
    assert!(is_listed(&running, "more.example.") && is_listed(&running, "bets1.example."));
    let bets = &list(data, "bets")["subscription"];
    assert_eq!(bets["failures"], 1);
    assert!(bets["last_attempt"].as_str() > bets["last_success"].as_str(), "{bets}");
    assert!(bets["error"].as_str().unwrap().contains("bets.txt"), "{bets}");
}

#[test]
fn a_list_of_name_servers_is_not_about_the_names_that_are_asked() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let dns = data.join("dns.txt");
    // As a list of names, it would be held.
    fs::write(&dns, "bet-dns.example\ngoogle.com\nwww.appleiphonecell.com\n").unwrap();
    let running = Running::on_free_ports(data, QUICK);
    subscribe(data, &(file_list("dns", "gambling", &dns) + "applies_to = \"name-servers\"\n"));
    assert_eq!(list(data, "dns")["entries"], 3);
    assert!(!is_listed(&running, "bet-dns.example."));
    let why = done(data, &["lists", "why", "ns1.bet-dns.example"]);
    assert!(why.contains("bet-dns.example, as a name server, is in gambling by dns"), "{why}");
    assert!(why.contains("line 1: bet-dns.example"), "{why}");
}

#[test]
fn lists_are_added_brought_by_hand_and_taken_out() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let running = Running::on_free_ports(data, QUICK);
    subscribe(data, "");
    let added =
        done(data, &["lists", "add", "office", "--category", "games", "--upload", "--title", "Our games"]);
    assert!(added.contains("office") && added.contains("not in force until somebody brings it"), "{added}");
    let twice = command_on(data, &["lists", "add", "office", "--category", "games", "--upload"]);
    assert_eq!(twice.status.code(), Some(2), "{}", err(&twice));
    let text = data.join("games.txt");
    fs::write(&text, "# from the office\ngames.example\n").unwrap();
    done(data, &["lists", "upload", "office", text.to_str().unwrap()]);
    fs::remove_file(&text).unwrap();
    assert!(is_listed(&running, "games.example."));

    let why = json(data, &["lists", "why", "www.games.example"]);
    let entry = &why["lists"][0];
    assert_eq!(entry["list"], "office");
    assert_eq!((&entry["number"], &entry["line"]), (&1.into(), &2.into()), "{why}");
    assert_eq!(entry["text"], "games.example");
    let nowhere = command_on(data, &["lists", "why", "nowhere.example"]);
    assert_eq!(nowhere.status.code(), Some(1));

    done(data, &["lists", "remove", "office"]);
    assert!(!is_listed(&running, "games.example."));
    assert!(!data.join("lists/office").exists(), "its versions are forgotten");
    for args in
        [&["lists", "remove", "office"][..], &["lists", "accept", "office"], &["lists", "update", "offic"]]
    {
        let gone = command_on(data, args);
        assert_eq!(gone.status.code(), Some(2), "{args:?}: {}", err(&gone));
        assert!(err(&gone).contains("there is no list"), "{}", err(&gone));
    }
}

#[test]
fn a_list_of_the_schools_own_keeps_its_comments_and_travels_with_the_policy() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let running = Running::on_free_ports(data, QUICK);
    subscribe(data, "");
    let text = data.join("own.txt");
    fs::write(&text, "# asked for by Mrs Hall, 12 November\nours.example  # the pupils' quiz\n").unwrap();
    done(data, &["lists", "add", "own", "--category", "games", "--paste", text.to_str().unwrap()]);
    assert!(is_listed(&running, "ours.example."));
    let export = done(data, &["policy", "export"]);
    assert!(export.contains("# asked for by Mrs Hall, 12 November"), "{export}");
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("policy.toml");
    fs::write(&file, export).unwrap();
    let spare = Running::on_free_ports(elsewhere.path(), QUICK);
    done(elsewhere.path(), &["policy", "import", file.to_str().unwrap()]);
    assert!(is_listed(&spare, "ours.example."));
    // Edited in its place, comments and all.
    fs::write(&text, "# Mrs Hall again\nother.example\n").unwrap();
    done(data, &["lists", "edit", "own", text.to_str().unwrap()]);
    assert!(is_listed(&running, "other.example.") && !is_listed(&running, "ours.example."));
    assert_eq!(done(data, &["lists", "text", "own"]), "# Mrs Hall again\nother.example\n");
    done(data, &["lists", "rollback", "own"]);
    assert!(is_listed(&running, "ours.example."), "the version before is there, too");
    let none = command_on(data, &["lists", "edit", "starter-games", text.to_str().unwrap()]);
    assert_eq!(none.status.code(), Some(2), "{}", err(&none));
    // Emptied is not lost: the school may well write it anew.
    let export = done(data, &["policy", "export"]).replace("ours.example  # the pupils' quiz", "");
    fs::write(&file, export).unwrap();
    done(elsewhere.path(), &["policy", "import", file.to_str().unwrap()]);
    assert!(!is_listed(&spare, "ours.example."));
}

#[test]
fn the_catalogue_is_shown_and_subscribed_to() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let shown = done(data, &["lists", "catalogue"]);
    assert!(shown.lines().count() > 80 && shown.contains("* ut1-adult"), "{shown}");
    let one = done(data, &["lists", "catalogue", "ut1-adult"]);
    assert!(one.contains("CC-BY-SA") && one.contains("schoolgate lists add ut1-adult"), "{one}");
    let primary = json(data, &["lists", "catalogue", "--recommended", "primary"]);
    let recommended = primary.as_array().unwrap();
    assert!(recommended.len() > 5, "{primary}");
    assert!(recommended.iter().all(|list| list["licence"]["school_use"] == true), "{primary}");
    assert_eq!(command_on(data, &["lists", "catalogue", "nothing"]).status.code(), Some(1));

    subscribe(data, "");
    let would = done(data, &["lists", "add", "ut1-adult", "--dry-run"]);
    assert!(would.contains("list \"ut1-adult\" (adult): added"), "{would}");
    done(data, &["lists", "add", "--recommended", "primary"]);
    let status = json(data, &["lists", "status"]);
    let own: Vec<&Value> =
        status["lists"].as_array().unwrap().iter().filter(|list| !list["from"].is_null()).collect();
    assert_eq!(own.len(), recommended.len());
    assert!(own.iter().all(|list| list["from"].as_str().unwrap().starts_with("https://")), "{status}");
    let again = done(data, &["lists", "add", "--recommended", "primary"]);
    assert!(again.contains("there already"), "{again}");
    for (args, says) in [
        (&["lists", "add", "ut1-adlut"][..], "did you mean ut1-adult?"),
        (&["lists", "add", "ours", "--url", "https://lists.example/x"], "--category"),
        (
            &["lists", "add", "ours", "--category", "games", "--url", "https://a.example/", "--upload"],
            "cannot be used",
        ),
        (&["lists", "add", "--recommended", "nursery"], "kind of school"),
    ] {
        let wrong = command_on(data, args);
        assert_eq!(wrong.status.code(), Some(2), "{args:?}");
        assert!(err(&wrong).contains(says), "{args:?}: {}", err(&wrong));
    }
}
