//! Lists that are fetched: from servers that misbehave, over restarts and power cuts.

mod support;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use support::{
    Running, command_on, err,
    list_server::{Fault, ListServer},
    out,
    school::{is_listed, json, list, policy, subscribe},
    schoolgate,
};

/// There is no internet here, and a server that stalls is not waited for.
const QUICK: &str = "[resolver]\ntime_limit_ms = 500\n\
                     [lists.http]\nstall_seconds = 1\ntotal_seconds = 5\nconnect_seconds = 2\n";

fn subscription(id: &str, category: &str, url: &str) -> String {
    format!("[[list]]\nid = {id:?}\ncategory = {category:?}\nurl = {url:?}\n")
}

/// Waits for what comes by itself.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what} within a minute");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A list of 500 names of which 100 are of this round alone.
fn text(round: usize) -> String {
    let mut text = format!("# round {round}\n");
    for n in 0..400 {
        text.push_str(&format!("always{n}.example  # round {round}\n"));
    }
    for n in 0..100 {
        text.push_str(&format!("only{n}.round{round}.example\n"));
    }
    text
}

#[test]
fn a_new_subscription_is_fetched_by_itself_and_survives_a_server_that_misbehaves() {
    let server = ListServer::start();
    server.has("/bets", text(1));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let running = Running::on_free_ports(data, QUICK);
    let said = subscribe(data, &subscription("bets", "gambling", &server.url("/bets")));
    assert!(said.contains("list bets: not in force until it is fetched, which begins now"), "{said}");
    until("the list is in force", || list(data, "bets")["entries"] == 500);
    assert!(is_listed(&running, "only1.round1.example."));
    let known = list(data, "bets")["subscription"].clone();
    assert_eq!(known["last_attempt"], known["last_success"]);
    assert!(known["etag"].is_string() && known["next"].is_string(), "{known}");

    // Nothing newer is there: the server is asked, and says so.
    let update = command_on(data, &["lists", "update"]);
    assert!(out(&update).contains("up to date"), "{}", out(&update));
    assert!(server.asked().last().unwrap().header("if-none-match").is_some());

    server.has("/bets", text(2));
    for (fault, words, code) in [
        (Fault::CutOff(3000), "broke off after 3000 bytes", 3),
        (Fault::Status(503, "Retry-After: 7200\r\n".into()), "out of service", 3),
        (Fault::Status(404, String::new()), "no such list", 3),
        (Fault::Loop, "redirects without an end", 3),
        (Fault::Stall, "nothing came", 3),
        (Fault::Garbage, "does not answer as a web server should", 3),
        (Fault::WebPage, "web page", 2),
        (Fault::Empty, "no entry", 2),
    ] {
        server.next([fault.clone()]);
        let update = command_on(data, &["lists", "update"]);
        assert_eq!(update.status.code(), Some(code), "{fault:?}: {}", err(&update));
        assert!(err(&update).contains(words), "{fault:?}: {}", err(&update));
        assert!(is_listed(&running, "only1.round1.example."), "{fault:?}: the last good version is in force");
        let now = list(data, "bets")["subscription"].clone();
        assert!(now["error"].as_str().unwrap().contains(words), "{now}");
        assert!(now["last_attempt"].as_str() > now["last_success"].as_str(), "{now}");
    }
    assert_eq!(list(data, "bets")["subscription"]["failures"], 8);
    let status = out(&command_on(data, &["lists", "status"]));
    assert!(status.contains("To look at:") && status.contains("8 tries failed"), "{status}");
    let update = command_on(data, &["lists", "update"]);
    assert!(update.status.success(), "{}", err(&update));
    assert!(is_listed(&running, "only1.round2.example.") && !is_listed(&running, "only1.round1.example."));
    assert_eq!(list(data, "bets")["subscription"]["failures"], 0);
    assert!(running.stop().success());
}

#[test]
fn a_version_that_looks_wrong_is_held_until_somebody_accepts_it() {
    let server = ListServer::start();
    server.has("/bets", text(1));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let running = Running::on_free_ports(data, QUICK);
    subscribe(data, &subscription("bets", "gambling", &server.url("/bets")));
    until("the list is in force", || list(data, "bets")["entries"] == 500);

    // It shrank to almost nothing.
    server.has("/bets", "always0.example\nalways1.example\n");
    let held = command_on(data, &["lists", "update"]);
    assert_eq!(held.status.code(), Some(1), "{}{}", out(&held), err(&held));
    assert!(out(&held).contains("bets: held") && out(&held).contains("it shrank from 500"), "{}", out(&held));
    assert!(is_listed(&running, "only1.round1.example."));
    let status = list(data, "bets");
    assert_eq!(status["subscription"]["held"]["removed"], 498, "{status}");
    assert_eq!(status["subscription"]["number"], 1);
    let shown = out(&command_on(data, &["lists", "status"]));
    assert!(shown.contains("schoolgate lists accept bets"), "{shown}");
    let diff = json(data, &["lists", "diff", "bets", "--most", "3"]);
    assert_eq!((&diff["added"], &diff["removed"]), (&0.into(), &498.into()), "{diff}");
    assert_eq!(diff["names_removed"].as_array().unwrap().len(), 3);

    // The next version is sound again, and nobody has to do anything.
    server.has("/bets", text(2));
    assert!(command_on(data, &["lists", "update"]).status.success());
    assert!(list(data, "bets")["subscription"]["held"].is_null());
    assert!(is_listed(&running, "only1.round2.example."));

    // It has a help line's name, and a site that everybody uses; somebody accepts that. The next one with the same
    // names comes in by itself, and the help line stays open all the same.
    let with = |round: usize| text(round) + "childline.org.uk\nwikipedia.org\n";
    server.has("/bets", with(3));
    let held = command_on(data, &["lists", "update"]);
    assert_eq!(held.status.code(), Some(1), "{}", out(&held));
    let said = out(&held);
    assert!(said.contains("childline.org.uk") && said.contains("wikipedia.org"), "{said}");
    let restarted = {
        running.kill();
        Running::on_free_ports(data, QUICK)
    };
    assert!(!list(data, "bets")["subscription"]["held"].is_null(), "held over a power cut, too");
    let accepted = command_on(data, &["lists", "accept", "bets"]);
    assert!(accepted.status.success(), "{}", err(&accepted));
    assert!(is_listed(&restarted, "wikipedia.org.") && !is_listed(&restarted, "childline.org.uk."));
    server.has("/bets", with(4));
    assert!(command_on(data, &["lists", "update"]).status.success());
    assert!(is_listed(&restarted, "only1.round4.example."));
}

/// A server's certificate, of an authority of the trust's own, which settings can name by this file.
fn certificate(authority: &Path) -> rustls::ServerConfig {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
    fs::write(authority, certified.cert.pem()).expect("made");
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("made")
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .expect("made")
}

#[test]
fn a_mirror_an_archive_and_a_token_serve_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let certificate = Arc::new(certificate(&data.join("trust.pem")));
    let (first, mirror) = (ListServer::with_tls(Arc::clone(&certificate)), ListServer::with_tls(certificate));
    let archive = {
        let mut tar =
            tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (path, text) in
            [("blacklists/games/domains", "play.example\n"), ("blacklists/shop/domains", "shop.example\n")]
        {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    };
    mirror.has("/all.tar.gz", archive);
    mirror.wants("authorization", "Bearer open-sesame");
    first.always(Fault::Status(500, String::new()));
    fs::write(data.join("token"), "open-sesame\n").unwrap();
    let settings = format!(
        "{QUICK}certificate_authorities = [{:?}]\n[[lists.credential]]\nid = \"trust\"\ntoken_file = {:?}\n",
        data.join("trust.pem"),
        data.join("token")
    );
    let running = Running::on_free_ports(data, &settings);
    let list_at = |id: &str, category: &str, part: &str| {
        format!(
            "[[list]]\nid = {id:?}\ncategory = {category:?}\nurl = \"{}#{part}\"\nmirrors = [{:?}]\ncredential = \"trust\"\n",
            first.url("/all.tar.gz"),
            mirror.url("/all.tar.gz"),
        )
    };
    let clear = (list_at("games", "games", "games")).replace("https://", "http://");
    fs::write(data.join("clear.toml"), policy(&clear)).unwrap();
    let refused = command_on(data, &["policy", "validate", data.join("clear.toml").to_str().unwrap()]);
    assert!(out(&refused).contains("anybody on its way can read it"), "{}{}", out(&refused), err(&refused));
    subscribe(data, &(list_at("games", "games", "games") + &list_at("shops", "shopping", "shop")));
    until("both are in force", || list(data, "games")["entries"] == 1 && list(data, "shops")["entries"] == 1);
    assert!(is_listed(&running, "play.example.") && is_listed(&running, "shop.example."));
    let why = json(data, &["lists", "why", "play.example"]);
    assert_eq!((&why["lists"][0]["list"], &why["lists"][0]["line"]), (&"games".into(), &1.into()), "{why}");
}

#[test]
fn a_secret_that_can_t_be_read_stops_its_list_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (token, log, authority) = (data.join("token"), data.join("log"), data.join("trust.pem"));
    let server = ListServer::with_tls(Arc::new(certificate(&authority)));
    server.has("/bets", text(1));
    server.has("/games", "play.example\n");
    let settings = format!(
        "[dns]\nlisten = [\"127.0.0.1:0\"]\n{QUICK}certificate_authorities = [\"/nowhere/ca.pem\", {authority:?}]\n\
         [[lists.credential]]\nid = \"trust\"\ntoken_file = {token:?}\n\
         [[lists.key]]\nname = \"transfer\"\nsecret_file = \"/nowhere/transfer.key\"\n"
    );
    let mut command = schoolgate();
    command.stderr(fs::File::create(&log).unwrap());
    let running = Running::by(command, data, &settings);
    assert!(is_listed(&running, "bet365.com."), "the starter lists are in force");
    let logged = fs::read_to_string(&log).unwrap();
    for file in [token.to_str().unwrap(), "/nowhere/ca.pem", "/nowhere/transfer.key"] {
        assert!(logged.lines().any(|line| line.contains("ERROR") && line.contains(file)), "{file}: {logged}");
    }
    let check = command_on(data, &["config", "check"]);
    assert_eq!(check.status.code(), Some(3), "{}", err(&check));
    assert!(err(&check).contains("/nowhere/ca.pem"), "{}", err(&check));

    let bets = subscription("bets", "gambling", &server.url("/bets")) + "credential = \"trust\"\n";
    let zone = "[[list]]\nid = \"zone\"\ncategory = \"shopping\"\nzone = \"rpz.trust.example\"\n\
                primaries = [\"127.0.0.1:9\"]\nkey = \"transfer\"\n";
    subscribe(data, &(bets + zone + &subscription("games", "games", &server.url("/games"))));
    until("the list that needs no secret is in force", || list(data, "games")["entries"] == 1);
    for (id, file) in [("bets", token.to_str().unwrap()), ("zone", "/nowhere/transfer.key")] {
        until("the try failed", || list(data, id)["subscription"]["error"].is_string());
        let status = list(data, id);
        let said = status["subscription"]["error"].as_str().unwrap();
        assert!(said.contains(file) && said.contains("can't be read"), "{status}");
    }
    let update = command_on(data, &["lists", "update", "bets"]);
    assert_eq!(update.status.code(), Some(3), "{}", err(&update));

    fs::write(&token, "open-sesame\n").unwrap();
    server.wants("authorization", "Bearer open-sesame");
    let update = command_on(data, &["lists", "update", "bets"]);
    assert!(update.status.success(), "{}", err(&update));
    assert!(is_listed(&running, "only1.round1.example."));
    assert!(list(data, "bets")["subscription"]["error"].is_null());
    // Renewed at the supplier's: no restart for that either.
    server.has("/bets", text(2));
    server.wants("authorization", "Bearer open-barley");
    assert_eq!(command_on(data, &["lists", "update", "bets"]).status.code(), Some(3));
    fs::write(&token, "open-barley\n").unwrap();
    assert!(command_on(data, &["lists", "update", "bets"]).status.success());
    assert!(is_listed(&running, "only1.round2.example."));
}

/// A small generator, so that a failing run can be told by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn fault(random: &mut Random) -> Fault {
    match random.below(16) {
        0 => Fault::CutOff(usize::try_from(random.below(20_000)).expect("there")),
        1 => Fault::LengthTooLong(10),
        2 => Fault::WebPage,
        3 => Fault::Loop,
        4 => Fault::Status(500, String::new()),
        5 => Fault::Status(429, "Retry-After: 60\r\n".into()),
        6 => Fault::Garbage,
        7 => Fault::HangUp,
        8 => Fault::Empty,
        9 => Fault::ChunksCutOff,
        10 => Fault::Gzip,
        11 => Fault::Slow(Duration::from_millis(2), 4000),
        _ => Fault::None,
    }
}

/// The round of the version in force, as the entry's own text says.
fn round_of(data: &Path, id: &str, seed: &str) -> usize {
    let why = json(data, &["lists", "why", &format!("always0.{id}.example")]);
    let entry = why["lists"][0]["text"].as_str().unwrap_or_else(|| panic!("{seed}: {id} is lost: {why}"));
    entry.rsplit(' ').next().and_then(|round| round.parse().ok()).expect("a round")
}

/// What is in force is one complete good version of the list, and the subscription is there.
fn assert_whole(running: &Running, data: &Path, id: &str, rounds: usize, seed: &str) -> usize {
    let mut round = round_of(data, id, seed);
    loop {
        assert!((1..=rounds).contains(&round), "{seed}: round {round}");
        let names = [
            format!("always0.{id}.example."),
            format!("always399.{id}.example."),
            format!("only0.round{round}.{id}.example."),
            format!("only99.round{round}.{id}.example."),
        ];
        let missing = names.iter().find(|name| !is_listed(running, name));
        let now = round_of(data, id, seed);
        if now == round {
            assert_eq!(missing, None, "{seed}: not blocked, but in round {round}");
            break;
        }
        // A start puts what was on its way in force while we ask.
        assert!(now > round, "{seed}: {id} went back from {round} to {now}");
        round = now;
    }
    let known = list(data, id);
    assert_eq!(known["entries"], 500, "{seed}: {known}");
    round
}

#[test]
fn a_soak_of_200_rounds_with_50_power_cuts_loses_nothing() {
    const ROUNDS: usize = 200;
    const CUTS: u64 = 50;
    let begin = schoolgate::clock::Clock::system().now();
    let mut random = Random(begin.as_nanosecond().unsigned_abs() as u64);
    let seed = format!("seed {}", random.0);
    let server = ListServer::start();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let ids = ["bets", "games"];
    let serve = |id: &str, round: usize| {
        server.has(&format!("/{id}"), text(round).replace(".example", &format!(".{id}.example")))
    };
    let mut running = Running::on_free_ports(data, QUICK);
    let mut policy = String::new();
    for (id, category) in ids.iter().zip(["gambling", "games"]) {
        serve(id, 1);
        policy.push_str(&subscription(id, category, &server.url(&format!("/{id}"))));
    }
    subscribe(data, &policy);
    until("both are in force", || ids.iter().all(|id| list(data, id)["entries"] == 500));
    let (mut cuts, mut newest) = (0, [1, 1]);
    for round in 2..=ROUNDS {
        for id in ids {
            serve(id, round);
        }
        server.next([fault(&mut random), fault(&mut random)]);
        let left = u64::try_from(ROUNDS - round + 1).unwrap();
        if random.below(left) < CUTS - cuts {
            cuts += 1;
            let mut update = schoolgate();
            let update: &mut Command =
                update.arg("--config").arg(data.join("schoolgate.toml")).arg("--data").arg(data);
            let mut update =
                update.args(["lists", "update"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            // The moment of the power cut, somewhere in the update.
            thread::sleep(Duration::from_micros(random.below(60_000)));
            running.kill();
            update.wait().unwrap();
            running = Running::on_free_ports(data, QUICK);
            for (id, newest) in ids.iter().zip(&mut newest) {
                let in_force = assert_whole(&running, data, id, round, &seed);
                assert!(in_force >= *newest, "{seed}: {id} went back from round {newest} to {in_force}");
                *newest = in_force;
            }
        } else {
            command_on(data, &["lists", "update"]);
            for (id, newest) in ids.iter().zip(&mut newest) {
                *newest = (*newest).max(assert_whole(&running, data, id, round, &seed));
            }
        }
        // What was not asked for in this round is no fault of the next.
        server.forget_faults();
    }
    assert_eq!(cuts, CUTS, "{seed}");
    assert!(newest.iter().all(|round| *round > ROUNDS / 2), "{seed}: updates came in: {newest:?}");
    let kept = fs::read_dir(data.join("lists/bets"))
        .unwrap()
        .flatten()
        .filter(|file| file.path().extension().is_some_and(|end| end == "gz"));
    assert!(kept.count() <= 7, "{seed}: old versions go");
}
