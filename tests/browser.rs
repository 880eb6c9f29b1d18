//! What people do with the pages, in a real browser, on the real program.

mod support;

#[path = "browser/boxed.rs"]
mod boxed;
#[path = "browser/driver.rs"]
mod driver;
#[path = "browser/keys.rs"]
mod keys;

use boxed::{PASSWORD, address, set_up_code, set_up_second_factor, sign_in_first, start};
use driver::Browser;
use hickory_proto::{op::ResponseCode, rr::RecordType};
use support::{Running, out};

/// Adds somebody by the command line; gives the password that it made.
fn add_user(school: &Running, name: &str, role: &str) -> String {
    let added = school.command(&["user", "add", name, "--full-name", "Ada Morgan", "--role", role, "--json"]);
    assert!(added.status.success(), "{added:?}");
    let answer: serde_json::Value = serde_json::from_str(&out(&added)).expect("JSON");
    answer["password"].as_str().expect("a password").to_owned()
}

/// Every place that the navigation shows.
async fn places(browser: &Browser) -> Vec<String> {
    let script = "return [...document.querySelectorAll('nav.side a')].map((a) => a.getAttribute('href'))";
    let found = browser.page.execute(script, vec![]).await.expect("the navigation");
    let found =
        found.as_array().expect("a list").iter().map(|path| path.as_str().expect("a path").to_owned());
    found.collect()
}

/// Folders such as the appliance's helpers leave, and the settings that name them.
fn appliance(folder: &std::path::Path) -> String {
    let (run, system) = (folder.join("run"), folder.join("system"));
    let write = |path: std::path::PathBuf, text: &str| std::fs::write(path, text).expect("a file");
    for part in [run.join("requests"), run.join("answers"), system.join("update")] {
        std::fs::create_dir_all(part).expect("a folder");
    }
    write(
        run.join("health.json"),
        r#"[{"what":"disk","state":"warn","text":"The disk sda (Transcend TS64GMTS400S) says that 88 % of its life is used up. Order another one, and keep a backup."},
            {"what":"room","state":"ok","text":"41 % of the data partition is in use."},
            {"what":"network","state":"ok","text":"enp1s0 is connected at 1000 Mb/s and has the address 10.20.0.2/16."},
            {"what":"clock","state":"ok","text":"The clock was set 4 minutes ago by time.cloudflare.com, signed."},
            {"what":"services","state":"bad","text":"The self-test failed: log       the questions of this test did not arrive."}]"#,
    );
    write(
        run.join("selftest"),
        "ok      service   Schoolgate 1.4.0 answers commands\nok      dns       answers over UDP at 127.0.0.1:53\n\
         FAILED  log       the questions of this test did not arrive\nSomething does not work.\n",
    );
    write(
        run.join("update-available"),
        "version=1.5.0\nbundle=https://updates.example/1.5.0.raucb\nnotes=Fixes for the page of blocked sites.\nurgent=\n",
    );
    write(
        system.join("update/last"),
        "result=failed\nversion=1.4.1\nrunning=1.4.0\nwhen=2026-11-20T02:14:09Z\nwhy=\n",
    );
    write(system.join("update/failed"), "version=1.4.1\nwhen=2026-11-20T02:14:09Z\n");
    write(
        system.join("network.toml"),
        "method = \"static\"\naddress = \"10.20.0.2/16\"\ngateway = \"10.20.0.1\"\n",
    );
    format!("[machine]\nrun = {:?}\nsystem = {:?}\n", run, system)
}

#[tokio::test]
async fn every_page_is_sound_on_phone_tablet_and_desk_in_light_and_dark() {
    let data = tempfile::tempdir().expect("a folder");
    let machine = tempfile::tempdir().expect("a folder");
    let settings = format!("[resolver]\ntime_limit_ms = 500\n\n{}", appliance(machine.path()));
    let school = start(data.path(), &settings);
    let password = add_user(&school, "head", "head");
    let browser = Browser::start().await;
    sign_in_first(&browser, &school, "head", &password).await;
    let mut paths = places(&browser).await;
    assert!(paths.len() > 8, "{paths:?}");
    let others = [
        "/account",
        "/account/tokens",
        "/log/holds",
        "/log/person",
        "/log/reveal",
        "/sites/new",
        "/check?name=bet365.com",
        "/system/mail",
        "/system/names",
        "/system/backup",
        "/system/machine",
        "/system/network",
        "/system/updates",
        "/system/ssh",
        "/set-up/mail",
        "/set-up/people",
        "/no-such-page",
    ];
    paths.extend(others.map(String::from));
    browser.complaints().await;
    for path in &paths {
        for (width, device) in [(360, "phone"), (820, "tablet"), (1280, "desk")] {
            for theme in ["light", "dark"] {
                browser.width(width).await;
                browser.theme(theme).await;
                browser.page.goto(&address(&school, path)).await.expect("the page");
                let place = format!("{path} on a {device}, {theme}");
                let wide = "return document.documentElement.scrollWidth > window.innerWidth";
                let wide = browser.page.execute(wide, vec![]).await.expect("a width");
                assert_eq!(wide, serde_json::json!(false), "{place} is too wide");
                let headings = "return document.querySelectorAll('h1').length";
                let headings = browser.page.execute(headings, vec![]).await.expect("a number");
                assert_eq!(headings, serde_json::json!(1), "{place} has one heading of the first rank");
                let barriers = browser.barriers().await;
                assert!(barriers.is_empty(), "{place}: {barriers:#?}");
                let complaints = browser.complaints().await;
                let meant = |line: &&String| path == "/no-such-page" && line.contains("404");
                let complaints: Vec<&String> = complaints.iter().filter(|line| !meant(line)).collect();
                assert!(complaints.is_empty(), "{place}: {complaints:#?}");
                let name = path.split('?').next().unwrap_or_default().trim_matches('/').replace('/', "-");
                let name = if name.is_empty() { "overview" } else { &name };
                browser.picture(&format!("{name}-{device}-{theme}")).await;
            }
        }
    }
}

/// Whether a step of the set-up is shown.
async fn is_at(browser: &Browser, step: &str) {
    let script =
        format!("return location.pathname === '/set-up/{step}' && document.readyState === 'complete'");
    browser.until(&script, step).await;
}

#[tokio::test]
async fn a_new_box_is_set_up_and_filters_its_first_question() {
    let data = tempfile::tempdir().expect("a folder");
    let school = start(data.path(), "[resolver]\ntime_limit_ms = 500\n");
    let browser = Browser::start().await;
    browser.width(1280).await;
    browser.page.goto(&address(&school, "/")).await.expect("the door");
    browser.until_text("Set-up code").await;
    browser.picture("set-up-door-desk-light").await;
    browser.fill("input[name=code]", &set_up_code(&school)).await;
    browser.fill("input[name=full_name]", "Ada Morgan").await;
    browser.find("input[name=role][value=head]").await.click().await.expect("chosen");
    browser.fill("input[name=name]", "ada").await;
    browser.fill("input[name=password]", PASSWORD).await;
    browser.fill("input[name=again]", PASSWORD).await;
    browser.submit("main form button").await;
    set_up_second_factor(&browser).await;
    is_at(&browser, "break-glass").await;
    browser.submit("main form button:not(.second)").await;
    browser.find(".sealed-code").await;
    browser.picture("set-up-break-glass-desk-light").await;
    browser.submit("main .buttons a[role=button]").await;
    is_at(&browser, "school").await;
    browser.fill("input[name=name]", "Elm Lane Primary").await;
    browser.find("input[name=kind][value=primary]").await.click().await.expect("chosen");
    browser.submit("main form button:not(.second)").await;
    is_at(&browser, "mail").await;
    browser.picture("set-up-mail-desk-light").await;
    browser.submit("button[name=skip]").await;
    is_at(&browser, "people").await;
    browser.fill("input[name=lead-name]", "Sam Okafor").await;
    browser.fill("input[name=lead-email]", "lead@elmlane.example").await;
    browser.submit("main form button:not(.second)").await;
    is_at(&browser, "suppliers").await;
    browser.find("input[name=by][value=broadband]").await.click().await.expect("chosen");
    browser.fill("input[name=who]", "Example Broadband").await;
    browser.submit("main form button:not(.second)").await;
    is_at(&browser, "networks").await;
    browser.fill("textarea[name=networks]", "127.0.0.0/8, ks2\n10.20.3.0/24, staff").await;
    browser.picture("set-up-networks-desk-light").await;
    browser.submit("main form button:not(.second)").await;
    for step in ["directory", "resolving", "categories"] {
        is_at(&browser, step).await;
        browser.picture(&format!("set-up-{step}-desk-light")).await;
        let skip = if step == "directory" { "button[name=skip]" } else { "main form button:not(.second)" };
        browser.submit(skip).await;
    }
    is_at(&browser, "start").await;
    browser.find("input[name=start][value=filter]").await.click().await.expect("chosen");
    browser.submit("main form button:not(.second)").await;
    is_at(&browser, "finish").await;
    browser.until_text("Windows Server").await;
    assert!(!browser.text().await.contains("Nobody is named as supplier"));
    // The first question is filtered.
    let blocked = school.ask("bet365.com.", RecordType::A);
    assert!(
        blocked
            .answers
            .iter()
            .all(|answer| answer.data.ip_addr().is_none_or(|ip| ip.is_loopback() || ip.is_unspecified())),
        "{blocked:?}"
    );
    browser.picture("set-up-finish-desk-light").await;
    browser.submit("main form button:not(.second)").await;
    browser.until_text("Elm Lane Primary").await;
    // Nobody else can claim it.
    let other = Browser::start().await;
    other.page.goto(&address(&school, "/set-up")).await.expect("the door");
    other.until("return location.pathname === '/sign-in'", "the door").await;
}

/// Whether a question is let through: where there is no internet, it fails then, and else it is answered as a block.
fn is_open(school: &Running, name: &str) -> bool {
    school.ask(name, RecordType::A).metadata.response_code == ResponseCode::ServFail
}

/// A school whose own device is a pupil's, and its head teacher at a browser.
async fn with_head(data: &std::path::Path) -> (Running, Browser) {
    let school = start(data, "[resolver]\ntime_limit_ms = 500\n");
    let password = add_user(&school, "ada", "head");
    let browser = Browser::start().await;
    browser.width(1280).await;
    sign_in_first(&browser, &school, "ada", &password).await;
    (school, browser)
}

#[tokio::test]
async fn a_category_is_opened_with_a_reason_and_closed_again_and_names_follow_at_once() {
    let data = tempfile::tempdir().expect("a folder");
    let (school, browser) = with_head(data.path()).await;
    assert!(!is_open(&school, "roblox.com."));
    browser.page.goto(&address(&school, "/policy")).await.expect("the page");
    // Somebody else has the page open as it is now.
    let other = Browser::start().await;
    other.width(1280).await;
    let password = add_user(&school, "sam", "policy-owner");
    sign_in_first(&other, &school, "sam", &password).await;
    other.page.goto(&address(&school, "/policy")).await.expect("the page");
    other.find("#games--ks2 button[value$=' allow']").await;

    browser.find("#games--ks2 button[value$=' allow']").await.click().await.expect("clicked");
    browser.fill("#panel input[name=why]", "Year 6 makes games this term").await;
    assert!(!is_open(&school, "roblox.com."), "nothing opens without a reason");
    browser.find("#panel form .buttons button").await.click().await.expect("clicked");
    browser.find("#panel .bar .good").await;
    assert!(is_open(&school, "roblox.com."));
    browser.picture("policy-changed-desk-light").await;

    // Who still sees the old page is told, and changes nothing.
    other.find("#games--ks2 button[value$=' allow']").await.click().await.expect("clicked");
    other.until_text("ada").await;
    other.picture("policy-collision-desk-light").await;

    browser.find("#panel .bar form button").await.click().await.expect("clicked");
    browser.find("#games--ks2.block").await;
    assert!(!is_open(&school, "roblox.com."));
}

/// Asks for a name of any bytes, and waits for the answer.
fn ask_raw(school: &Running, labels: &[&[u8]]) {
    let mut packet = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in labels {
        packet.push(u8::try_from(label.len()).expect("a short label"));
        packet.extend_from_slice(label);
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("a limit");
    socket.send_to(&packet, school.dns[0]).expect("sent");
    assert!(socket.recv(&mut [0; 512]).expect("an answer") > 12);
}

#[tokio::test]
async fn what_devices_ask_for_is_found_in_the_log_and_harms_no_page() {
    let data = tempfile::tempdir().expect("a folder");
    let (school, browser) = with_head(data.path()).await;
    school.ask("bet365.com.", RecordType::A);
    // A name is whatever a device sends.
    ask_raw(&school, &[b"<script>window.hacked=1</script>", b"\"onfocus=x", b"example"]);
    let flushed = school.command(&["log", "search", "--limit", "10"]);
    assert!(out(&flushed).contains("bet365.com"), "{flushed:?}");
    browser.page.goto(&address(&school, "/log")).await.expect("the page");
    browser.until_text("bet365.com").await;
    browser.until_text("script").await;
    let hacked = browser.page.execute("return window.hacked === undefined", vec![]).await.expect("an answer");
    assert_eq!(hacked, serde_json::json!(true));
    browser.picture("log-lines-desk-light").await;
    browser.page.goto(&address(&school, "/log?name=bet365.com")).await.expect("the page");
    browser.until_text("bet365.com").await;
    assert!(!browser.text().await.contains("window.hacked"));
    browser.page.goto(&address(&school, "/")).await.expect("the page");
    browser.until_text("The last 24 hours").await;
    browser.picture("overview-busy-desk-light").await;
    assert!(browser.complaints().await.is_empty());
}

#[tokio::test]
async fn pages_are_used_by_keyboard_alone() {
    let data = tempfile::tempdir().expect("a folder");
    let (school, browser) = with_head(data.path()).await;
    browser.page.goto(&address(&school, "/check")).await.expect("the page");
    let body = browser.find("body").await;
    body.send_keys("\u{e004}").await.expect("Tab");
    let on = "return document.activeElement.className";
    assert_eq!(browser.page.execute(on, vec![]).await.expect("an element"), serde_json::json!("skip"));
    browser.page.active_element().await.expect("it").send_keys("\u{e007}").await.expect("Enter");
    // The first thing after the banners' links that takes a key is the field, and Enter sends it.
    let field = "return document.activeElement.name === 'name'";
    for _ in 0..8 {
        if browser.page.execute(field, vec![]).await.expect("an answer") == serde_json::json!(true) {
            break;
        }
        browser.page.active_element().await.expect("it").send_keys("\u{e004}").await.expect("Tab");
    }
    let at = browser.page.active_element().await.expect("the field");
    at.send_keys("bet365.com\u{e007}").await.expect("typed");
    browser.until_text("Starter list: Gambling").await;
}
