//! What people do with the pages, in a real browser, on the real program.

mod support;

#[path = "browser/boxed.rs"]
mod boxed;
#[path = "browser/driver.rs"]
mod driver;

use boxed::{PASSWORD, address, set_up_code, set_up_second_factor, sign_in_first, start};
use driver::Browser;
use hickory_proto::rr::RecordType;
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

#[tokio::test]
async fn every_page_is_sound_on_phone_tablet_and_desk_in_light_and_dark() {
    let data = tempfile::tempdir().expect("a folder");
    let school = start(data.path(), "[resolver]\ntime_limit_ms = 500\n");
    let password = add_user(&school, "head", "head");
    let browser = Browser::start().await;
    sign_in_first(&browser, &school, "head", &password).await;
    let mut paths = places(&browser).await;
    assert!(paths.len() > 8, "{paths:?}");
    paths.extend(["/account", "/sites/new", "/check?name=bet365.com", "/no-such-page"].map(String::from));
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
