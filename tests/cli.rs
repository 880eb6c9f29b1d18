//! The program as a technician meets it: started, broken on purpose, asked, told what to do.

mod support;

use std::{fs, net::UdpSocket, os::unix::fs::PermissionsExt};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use schoolgate::{clock::Clock, seen::Seen};
use support::{
    Running, ask, command_on, ede, err, out,
    school::{file_list, import, policy},
    schoolgate,
};

#[test]
fn the_embedded_default_starts_filters_and_says_where_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::on_free_ports(folder.path(), "");
    assert_eq!(running.dns.len(), 2);
    assert!(
        running.greeting.contains(&format!("dns={},{}", running.dns[0], running.dns[1])),
        "{}",
        running.greeting
    );
    assert!(running.greeting.matches("dig @").count() == 2, "{}", running.greeting);
    for server in &running.dns {
        let blocked = ask(*server, "www.bet365.com.", RecordType::TXT);
        let why = ede(&blocked);
        assert_eq!(why.len(), 1, "{blocked:?}");
        assert_eq!(why[0].0, 17, "{why:?}");
        assert!(!blocked.metadata.authentic_data);
    }
    let addresses: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("addresses.json")).unwrap()).unwrap();
    for kind in ["dns", "admin", "block_page", "tls", "https", "quic"] {
        assert!(addresses[kind].is_array(), "{addresses}");
    }
    assert!(running.stop().success());
}

#[test]
fn a_port_in_use_is_one_clear_line_and_exit_code_3() {
    let folder = tempfile::tempdir().unwrap();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let output = schoolgate()
        .args(["--data", folder.path().to_str().unwrap()])
        .env("SCHOOLGATE_DNS__LISTEN", address.to_string())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    assert_eq!(err(&output).lines().count(), 1, "{}", err(&output));
    assert!(err(&output).contains(&address.to_string()), "{}", err(&output));
}

#[test]
fn an_unwritable_folder_is_one_clear_line_and_exit_code_3() {
    let output = schoolgate().args(["--data", "/proc/schoolgate"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    assert_eq!(err(&output).lines().count(), 1, "{}", err(&output));
    assert!(err(&output).contains("/proc/schoolgate"), "{}", err(&output));
}

#[test]
fn a_bad_key_is_one_clear_line_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    for (text, says) in [
        ("[dns]\nlissten = []\n", "did you mean `listen`?"),
        ("[dns]\nlisten = [\"elephant\"]\n", "line 2"),
        ("[dns]\nudp_size = 100\n", "dns.udp_size"),
        ("[resolver]\nmode = \"guess\"\n", "line 2"),
        ("[resolver]\nmode = \"forward\"\n", "resolver.forwarders"),
        ("[resolver]\nroot_hints = \"/nowhere/root.hints\"\n", "/nowhere/root.hints"),
        ("[[resolver.zone]]\nname = \"school.example\"\n", "servers"),
    ] {
        fs::write(&file, text).unwrap();
        for command in [&["serve"][..], &["config", "check"]] {
            let output = schoolgate()
                .args(["--config", file.to_str().unwrap(), "--data", folder.path().to_str().unwrap()])
                .args(command)
                .output()
                .unwrap();
            let code = output.status.code();
            assert!(
                code == Some(2) || (code == Some(3) && text.contains("/nowhere")),
                "{text}: {code:?} {}",
                err(&output)
            );
            assert_eq!(err(&output).lines().count(), 1, "{}", err(&output));
            assert!(err(&output).contains(says), "{text}: {}", err(&output));
        }
    }
}

#[test]
fn a_zone_file_with_a_loop_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let zone = folder.path().join("school.zone");
    fs::write(
        &zone,
        "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 300\n@ NS ns\nns A 10.0.0.1\na CNAME b\nb CNAME a\n",
    )
    .unwrap();
    let settings = folder.path().join("settings.toml");
    fs::write(&settings, format!("[[resolver.zone]]\nname = \"school.example\"\nfile = {zone:?}\n")).unwrap();
    let output = schoolgate().arg("--config").arg(&settings).args(["config", "check"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    assert!(err(&output).contains("school.zone:5"), "{}", err(&output));
    assert!(err(&output).contains("leads back to itself"), "{}", err(&output));
}

#[test]
fn an_imported_policy_is_in_force_at_once_and_after_a_power_cut() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let running = Running::on_free_ports(data, "");
    let rule = "[[rule]]\naction = \"block\"\nname = \"lesson.example\"\nreason = \"Test\"\n";
    let output = import(data, &policy(rule));
    assert!(output.status.success(), "{}", err(&output));
    assert!(out(&output).contains("lesson.example"), "{}", out(&output));
    let blocked = running.ask("www.lesson.example.", RecordType::A);
    assert_eq!(blocked.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(ede(&blocked)[0].0, 15);
    running.kill();

    let running = Running::on_free_ports(data, "");
    let blocked = running.ask("www.lesson.example.", RecordType::A);
    assert_eq!(ede(&blocked)[0].0, 15, "the policy outlasts a power cut");

    // What an export writes, an import takes without a change.
    let exported = command_on(data, &["policy", "export", "-o", data.join("out.toml").to_str().unwrap()]);
    assert!(exported.status.success(), "{}", err(&exported));
    let again = command_on(data, &["policy", "import", data.join("out.toml").to_str().unwrap()]);
    assert!(out(&again).contains("Nothing changes"), "{}", out(&again));
}

#[test]
fn an_import_is_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let running = Running::on_free_ports(data, "");
    assert!(import(data, &policy("")).status.success());
    let before = out(&command_on(data, &["policy", "export"]));
    for (wrong, says) in [
        ("[[rule]]\naction = \"block\"\nname = \"a..b\"\n", "empty label"),
        (
            "[[rule]]\naction = \"block\"\nname = \"x.example\"\nprofiles = [\"pupil\"]\n",
            "did you mean \"pupils\"?",
        ),
        ("[[profile]]\nid = \"more\"\naudience = \"pupil\"\nsubnets = [\"127.0.0.0/8\"]\n", "127.0.0.0/8"),
        (
            "[[profile]]\nid = \"more\"\naudience = \"pupil\"\n[profile.categories]\ngambing = \"block\"\n",
            "gambling",
        ),
        (
            "[[profile]]\nid = \"more\"\naudience = \"pupil\"\n[profile.categories]\nadult = \"allow\"\n",
            "locked",
        ),
        ("nonsense = 1\n", "nonsense"),
    ] {
        let good = "[[rule]]\naction = \"block\"\nname = \"must-not-be.example\"\n";
        let output = import(data, &policy(&format!("{good}{wrong}")));
        assert_eq!(output.status.code(), Some(2), "{wrong}: {}", err(&output));
        assert!(err(&output).contains(says), "{wrong}: {}", err(&output));
        assert!(err(&output).contains("import.toml"), "{}", err(&output));
    }
    assert_eq!(out(&command_on(data, &["policy", "export"])), before);
    let open = command_on(data, &["check", "must-not-be.example", "--client", "127.0.0.1", "--no-resolve"]);
    assert!(open.status.success(), "{}", out(&open));
    drop(running);
}

#[test]
fn commands_work_without_a_server_and_are_seen_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let rule = "[[rule]]\naction = \"block\"\nname = \"lesson.example\"\n";
    let output = import(data, &policy(rule));
    assert!(output.status.success(), "{}", err(&output));
    let running = Running::on_free_ports(data, "");
    assert_eq!(ede(&running.ask("lesson.example.", RecordType::A))[0].0, 15);
}

#[test]
fn check_says_what_happens_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    assert!(import(data, &policy("")).status.success());
    let blocked = command_on(
        data,
        &["check", "https://www.bet365.com/sport", "--client", "127.0.0.1", "--json", "--no-resolve"],
    );
    assert_eq!(blocked.status.code(), Some(1), "{}", err(&blocked));
    let report: serde_json::Value = serde_json::from_slice(&blocked.stdout).unwrap();
    assert_eq!(report["verdict"], "block");
    assert_eq!(report["profile"], "pupils");
    assert_eq!(report["category"], "gambling");
    assert_eq!(report["lists"][0]["list"], "starter-gambling");
    assert_eq!(report["lists"][0]["entry"], "bet365.com");
    assert!(report["lists"][0]["line"].as_u64().unwrap() > 1, "{report}");
    assert!(!report["advice"].as_array().unwrap().is_empty(), "{report}");

    let text = out(&command_on(data, &["check", "www.bet365.com", "--client", "127.0.0.1", "--no-resolve"]));
    assert!(text.contains("Gambling"), "{text}");
    let staff = command_on(data, &["check", "www.bet365.com", "--profile", "staff", "--no-resolve"]);
    assert!(staff.status.success(), "{}", out(&staff));
    let locked = out(&command_on(data, &["check", "pornhub.com", "--client", "127.0.0.1", "--no-resolve"]));
    assert!(locked.to_lowercase().contains("nothing opens"), "{locked}");

    for (args, says) in [
        (&["check", "a b", "--no-resolve"][..], "character"),
        (&["check", "a.example", "--profile", "pupil", "--no-resolve"], "pupils"),
        (&["check", "a.example", "--type", "ELEPHANT", "--no-resolve"], "ELEPHANT"),
        (&["check", "a.example", "--at", "lunch"], "lunch"),
    ] {
        let output = command_on(data, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", err(&output));
        assert!(err(&output).contains(says), "{args:?}: {}", err(&output));
    }
}

#[test]
fn a_service_is_switched_whatever_its_category_does() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let running = Running::on_free_ports(data, "");
    let with = |services: &str| {
        policy("").replacen(
            "games = \"block\"\nshopping = \"block\"",
            &format!("games = \"allow\"\nsocial = \"block\"\n[profile.services]\n{services}"),
            1,
        )
    };
    let output = import(data, &with("roblox = \"block\"\nwhatsapp = \"allow\""));
    assert!(output.status.success(), "{}", err(&output));
    let why = ede(&running.ask("www.roblox.com.", RecordType::A));
    assert_eq!(why[0].0, 17);
    assert!(why[0].1.contains("www.roblox.com belongs to Roblox, which Pupils may not use"), "{why:?}");
    let check = |name: &str| {
        let report = command_on(data, &["check", name, "--client", "127.0.0.1", "--json", "--no-resolve"]);
        serde_json::from_slice::<serde_json::Value>(&report.stdout).unwrap()
    };
    let report = check("www.roblox.com");
    assert_eq!(
        (report["reason"].as_str(), report["category"].as_str()),
        (Some("block-service"), Some("games"))
    );
    assert_eq!(report["service"], "roblox (Roblox)");
    assert_eq!(check("poki.com")["verdict"], "allow", "the category is open");
    let report = check("web.whatsapp.com");
    assert_eq!(
        (report["verdict"].as_str(), report["reason"].as_str()),
        (Some("allow"), Some("allow-service"))
    );
    assert_eq!(check("discord.com")["reason"], "category", "the category is closed");
    // An unknown one changes nothing, and the likely one is named.
    let refused = import(data, &with("whatsap = \"block\""));
    assert_eq!(refused.status.code(), Some(2), "{}", err(&refused));
    assert!(err(&refused).contains("did you mean \"whatsapp\"?"), "{}", err(&refused));
    assert_eq!(check("www.roblox.com")["reason"], "block-service");
}

#[test]
fn a_name_of_the_curated_core_says_why_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let text = out(&command_on(
        folder.path(),
        &["check", "www.character.ai", "--client", "127.0.0.1", "--no-resolve"],
    ));
    for said in [
        "curated-ai-companion",
        "reviewed 20",
        "by Schoolgate maintainers, review by 20",
        "source: ",
        "always blocked",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn lists_that_people_write_are_looked_through() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let lint = |args: &[&str]| command_on(data, &[&["lists", "lint"], args].concat());
    let shipped = lint(&[]);
    assert!(shipped.status.success(), "{}", out(&shipped));
    assert!(out(&shipped).contains(" 0 errors"), "{}", out(&shipped));
    let late = lint(&["--at", "2099-01-01"]);
    assert!(late.status.success(), "an overdue review is no error");
    assert!(out(&late).contains("warning: character.ai was to be looked at again by 20"), "{}", out(&late));
    let file = data.join("hate.txt");
    fs::write(&file, "Right.example.org\nchildline.org.uk\n").unwrap();
    let wrong = lint(&[file.to_str().unwrap(), "--json"]);
    assert_eq!(wrong.status.code(), Some(1), "{}", err(&wrong));
    let report: serde_json::Value = serde_json::from_slice(&wrong.stdout).unwrap();
    assert_eq!(report["names"], 2, "{report}");
    assert_eq!(report["findings"][0]["instead"], "write right.example.org", "{report}");
    assert_eq!(report["findings"][1]["line"], 2, "{report}");
    assert!(report["findings"][1]["what"].as_str().unwrap().contains("a help site"), "{report}");
    assert_eq!(lint(&["nowhere.toml"]).status.code(), Some(3));
    assert_eq!(lint(&["--at", "soon"]).status.code(), Some(2));
}

#[test]
fn a_list_of_the_school_is_compiled_in_force_and_explained_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let list = data.join("betting.txt");
    fs::write(&list, "# ours\nfirst.example\nsecond.example # inline\n").unwrap();
    let running = Running::on_free_ports(data, "");
    let entry = file_list("ours", "gambling", &list);
    let output = import(data, &policy(&entry));
    assert!(output.status.success(), "{}", err(&output));
    assert_eq!(
        running.ask("www.second.example.", RecordType::A).metadata.response_code,
        ResponseCode::NXDomain
    );
    let report = command_on(data, &["check", "www.second.example", "--client", "127.0.0.1", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["lists"][0]["list"], "ours", "{report}");
    assert_eq!(report["lists"][0]["line"], 3, "{report}");

    // A change of the file is in force with an update, and one that fails changes nothing.
    fs::write(&list, "third.example\n").unwrap();
    let update = command_on(data, &["lists", "update"]);
    assert!(update.status.success(), "{}", err(&update));
    assert_eq!(ede(&running.ask("third.example.", RecordType::A))[0].0, 17);
    fs::write(&list, "<!DOCTYPE html><html><body>Login to the Wi-Fi</body></html>\n").unwrap();
    let update = command_on(data, &["lists", "update"]);
    assert_eq!(update.status.code(), Some(2), "{}", err(&update));
    assert!(err(&update).contains("betting.txt") && err(&update).contains("web page"), "{}", err(&update));
    assert_eq!(ede(&running.ask("third.example.", RecordType::A))[0].0, 17, "the list of before is kept");
    running.kill();

    let running = Running::on_free_ports(data, "");
    assert_eq!(ede(&running.ask("third.example.", RecordType::A))[0].0, 17, "and after a restart too");
}

#[test]
fn a_damaged_index_falls_back_and_never_fails_open() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let list = data.join("betting.txt");
    fs::write(&list, "first.example\n").unwrap();
    let entry = file_list("ours", "gambling", &list);
    assert!(import(data, &policy(&entry)).status.success());
    fs::write(&list, "first.example\nsecond.example\n").unwrap();
    assert!(command_on(data, &["lists", "update"]).status.success());
    let index = data.join("lists").join("index.sgi");
    let mut bytes = fs::read(&index).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(&index, bytes).unwrap();
    // The list's text is away too, so that only the index of before can help.
    fs::remove_file(&list).unwrap();
    let running = Running::on_free_ports(data, "");
    assert_eq!(
        ede(&running.ask("first.example.", RecordType::A))[0].0,
        17,
        "the index of before is in force"
    );
    assert_eq!(ede(&running.ask("bet365.com.", RecordType::A))[0].0, 17, "and so are the starter lists");
}

#[test]
fn a_damaged_database_leaves_the_published_policy_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    assert!(
        import(data, &policy("[[rule]]\naction = \"block\"\nname = \"lesson.example\"\n")).status.success()
    );
    for leftover in ["schoolgate.db-wal", "schoolgate.db-shm"] {
        let _ = fs::remove_file(data.join(leftover));
    }
    fs::write(data.join("schoolgate.db"), vec![0x55; 8192]).unwrap();
    let running = Running::on_free_ports(data, "");
    assert_eq!(ede(&running.ask("lesson.example.", RecordType::A))[0].0, 15);
    let refused = import(data, &policy(""));
    assert_eq!(refused.status.code(), Some(3), "{}", err(&refused));
}

#[test]
fn lists_are_compiled_and_inspected_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let list = data.join("list.txt");
    fs::write(&list, "0.0.0.0 one.example\n0.0.0.0 gov.uk\nrubbish here too !!\n").unwrap();
    let index = data.join("out.sgi");
    let compiled =
        command_on(data, &["lists", "compile", list.to_str().unwrap(), "-o", index.to_str().unwrap()]);
    assert!(compiled.status.success(), "{}", err(&compiled));
    assert!(index.exists());
    let inspected = command_on(data, &["lists", "inspect", list.to_str().unwrap(), "--json"]);
    assert!(inspected.status.success(), "{}", err(&inspected));
    let report: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(report["format"], "hosts", "{report}");
    assert_eq!(report["held"][0]["kind"], "public-suffix", "{report}");
    fs::write(&list, "facebook.com\n").unwrap();
    let inspect = |category| {
        let path = list.to_str().unwrap();
        command_on(data, &["lists", "inspect", path, "--json", "--category", category])
    };
    for (category, held) in [("social", 0), ("adult", 1), ("own-banned", 0)] {
        let inspected = inspect(category);
        let report: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
        assert_eq!(report["held"].as_array().map(Vec::len), Some(held), "{category}: {report}");
    }
    assert!(err(&inspect("no-such")).contains("no-such"));
    let gone = command_on(data, &["lists", "inspect", "/nowhere.txt"]);
    assert_eq!(gone.status.code(), Some(3), "{}", err(&gone));
    assert!(err(&gone).contains("/nowhere.txt"), "{}", err(&gone));
}

#[test]
fn two_servers_don_t_share_a_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = Running::on_free_ports(folder.path(), "");
    let second = schoolgate()
        .args(["--data", folder.path().to_str().unwrap()])
        .env("SCHOOLGATE_DNS__LISTEN", "127.0.0.1:0")
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(3), "{}", err(&second));
    assert!(err(&second).contains("another Schoolgate"), "{}", err(&second));
    assert!(folder.path().join("addresses.json").exists(), "the first one's addresses are left alone");
    let mode = fs::metadata(folder.path().join("control.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "others can't reach the socket");
    drop(first);
}

#[test]
fn a_rule_that_tries_to_open_a_locked_name_is_refused_and_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    assert!(import(data, &policy("")).status.success());
    let refused = import(data, &policy("[[rule]]\naction = \"allow\"\nname = \"pornhub.com\"\n"));
    assert_eq!(refused.status.code(), Some(2), "{}", out(&refused));
    assert!(err(&refused).contains("locked"), "{}", err(&refused));
    let store = schoolgate::store::Store::open(data).unwrap();
    assert_eq!(store.audit_records(1).unwrap()[0].action, "policy.refused");
    assert_eq!(store.latest().unwrap().unwrap().number, 1);

    let warned = import(data, &policy("[[rule]]\naction = \"block\"\nname = \"childline.org.uk\"\n"));
    assert!(warned.status.success(), "{}", err(&warned));
    assert!(out(&warned).contains("essential"), "{}", out(&warned));
}

#[test]
fn a_change_of_an_own_category_is_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let list = data.join("memes.txt");
    fs::write(&list, "meme.example\n").unwrap();
    let with = |cell: &str| {
        format!(
            "{}\n[[category]]\nid = \"own-memes\"\ntitle = \"Memes\"\n\n[[list]]\nid = \"memes\"\ncategory = \"own-memes\"\nfile = {list:?}\n",
            policy("")
                .replace("gambling = \"block\"", &format!("gambling = \"block\"\nown-memes = \"{cell}\""))
        )
    };
    let running = Running::on_free_ports(data, "");
    let opened = import(data, &with("allow"));
    assert!(opened.status.success(), "{}", err(&opened));
    let blocked = import(data, &with("block"));
    assert!(blocked.status.success(), "{}", err(&blocked));
    assert!(out(&blocked).contains("own-memes"), "{}", out(&blocked));
    assert_eq!(ede(&running.ask("meme.example.", RecordType::A))[0].0, 17);
}

#[test]
fn an_empty_list_does_not_open_its_category() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let list = data.join("betting.txt");
    fs::write(&list, "first.example\n").unwrap();
    let entry = file_list("ours", "gambling", &list) + "format = \"domains\"\n";
    let running = Running::on_free_ports(data, "");
    assert!(import(data, &policy(&entry)).status.success());
    fs::write(&list, "").unwrap();
    let update = command_on(data, &["lists", "update"]);
    assert_eq!(update.status.code(), Some(2), "{}", out(&update));
    assert!(err(&update).contains("ours") && err(&update).contains("no rule"), "{}", err(&update));
    assert_eq!(ede(&running.ask("first.example.", RecordType::A))[0].0, 17);
}

#[test]
fn a_lost_index_is_made_again_before_the_first_answer_even_without_the_originals() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let list = data.join("betting.txt");
    fs::write(&list, "first.example\n").unwrap();
    let entry = file_list("ours", "gambling", &list);
    assert!(import(data, &policy(&entry)).status.success());
    fs::remove_file(&list).unwrap();
    for index in ["index.sgi", "index.previous.sgi"] {
        let _ = fs::remove_file(data.join("lists").join(index));
    }
    let running = Running::on_free_ports(data, "");
    assert_eq!(ede(&running.ask("first.example.", RecordType::A))[0].0, 17);

    // Another list can come in although the first one's original is gone.
    let other = data.join("other.txt");
    fs::write(&other, "other.example\n").unwrap();
    let entry = entry + &file_list("other", "gambling", &other);
    let output = import(data, &policy(&entry));
    assert!(output.status.success(), "{}", err(&output));
    for name in ["first.example.", "other.example."] {
        assert_eq!(ede(&running.ask(name, RecordType::A))[0].0, 17, "{name}");
    }

    // And lists that are taken out are gone, also after a restart.
    assert!(import(data, &policy("")).status.success());
    running.kill();
    let running = Running::on_free_ports(data, "[resolver]\ntime_limit_ms = 500\n");
    let open = running.ask("first.example.", RecordType::A);
    assert!(ede(&open).iter().all(|(code, _)| *code != 17), "{open:?}");
}

#[test]
fn new_names_wait_and_are_told_with_and_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let now = Clock::system().now();
    let ago = |days: i64| now - jiff::SignedDuration::from_hours(24 * days);
    let remember = |names: &[&str], days: i64| {
        let seen = Seen::open(&data.join("seen"), Clock::held_at(ago(days)));
        for name in names {
            seen.note(name.as_bytes(), "127.0.0.1".parse().unwrap(), ago(days));
        }
        seen.flush();
    };
    remember(&["org.old-friend"], 30);
    remember(&["org.newcomer", "com.bet365"], 2);

    let holding = policy("").replacen("games = ", "newly-seen = \"block\"\ngames = ", 1);
    let learning = format!("{holding}\n[newly_seen]\nlearning_days = 31\n");
    let output = import(data, &holding);
    assert!(output.status.success(), "{}", err(&output));

    let says = |name: &str, code: i32, words: &[&str]| {
        let output = command_on(data, &["check", name, "--client", "127.0.0.1", "--no-resolve"]);
        assert_eq!(output.status.code(), Some(code), "{name}: {}{}", out(&output), err(&output));
        for word in words {
            assert!(out(&output).contains(word), "{name}: {word:?} is not in\n{}", out(&output));
        }
    };
    let date = |days: i64| ago(days).to_string()[..10].to_owned();
    let report = |days: &str| out(&command_on(data, &["seen", "--days", days]));
    let all = |server: &str| {
        says(
            "www.old-friend.org",
            0,
            &[&format!("first asked for at this school on {} (old-friend.org)", date(30))],
        );
        let newcomer = format!("first asked for at this school on {} (newcomer.org)", date(2));
        says(
            "a.newcomer.org",
            1,
            &[&newcomer, "nobody at this school had asked for anything of newcomer.org before"],
        );
        says("never.unheard-of.org", 1, &["new names wait a week", "first asked for at this school: never"]);
        assert_eq!(
            report("3"),
            format!(
                "{day}  bet365.com  (gambling)\n{day}  newcomer.org  (on no list)\n2 new names since {day}, 3 remembered since {}\n",
                date(30),
                day = date(2),
            ),
            "{server}"
        );
        assert!(report("31").contains("old-friend.org"), "{server}");
    };
    all("without a server");
    let running = Running::on_free_ports(data, "");
    all("beside a server");
    let blocked = running.ask("www.newcomer.org.", RecordType::A);
    assert_eq!(blocked.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(ede(&blocked)[0].0, 17);
    assert!(ede(&blocked)[0].1.contains("newcomer.org"), "{blocked:?}");

    // A box that is still learning blocks nothing as new, and reports it.
    assert!(import(data, &learning).status.success());
    says("a.newcomer.org", 0, &["reported    newly-seen"]);
    assert!(report("3").contains("The box is learning what this school asks for"), "{}", report("3"));
    let json = command_on(data, &["--json", "seen"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["remembered"], &json["names"][1]["name"]), (&3.into(), &"newcomer.org".into()));

    let wrong = command_on(data, &["seen", "--days", "0"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", err(&wrong));
    running.kill();
    says("a.newcomer.org", 0, &[]);
    let nothing = tempfile::tempdir().unwrap();
    let empty = command_on(nothing.path(), &["seen"]);
    assert!(empty.status.success() && out(&empty).contains("Nothing is remembered yet"), "{}", out(&empty));
}
