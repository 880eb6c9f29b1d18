//! What people do with the pages, in a real browser, on the real program.

mod support;

#[path = "browser/boxed.rs"]
mod boxed;
#[path = "browser/driver.rs"]
mod driver;

use boxed::{address, sign_in_first, start};
use driver::Browser;
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
