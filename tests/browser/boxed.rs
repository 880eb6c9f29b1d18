//! A box with pages, and somebody who is signed in.

use std::{path::Path, process::Command};

use super::{
    driver::Browser,
    support::{Running, schoolgate},
};

/// The password of everybody.
pub(crate) const PASSWORD: &str = "purple kettle under seven bridges";

/// Starts a box whose pages are at a port of their own, over TLS.
pub(crate) fn start(data: &Path, more: &str) -> Running {
    let settings = format!(
        "[dns]\nlisten = [\"127.0.0.1:0\", \"[::1]:0\"]\n[admin]\nlisten = [\"127.0.0.1:0\"]\nblock_page = [\"127.0.0.1:0\"]\n{more}"
    );
    Running::by(with_pages(), data, &settings)
}

/// The program, with the pages that its settings say.
fn with_pages() -> Command {
    let mut command = schoolgate();
    command.env_remove("SCHOOLGATE_ADMIN__LISTEN").env_remove("SCHOOLGATE_ADMIN__BLOCK_PAGE");
    command
}

/// The address of a page.
pub(crate) fn address(school: &Running, path: &str) -> String {
    let addresses: serde_json::Value =
        serde_json::from_slice(&std::fs::read(school.data.join("addresses.json")).expect("addresses"))
            .expect("JSON");
    format!("https://{}{path}", addresses["admin"][0].as_str().expect("pages"))
}

/// The same page by a name of the box, which security keys need.
pub(crate) fn address_by_name(school: &Running, path: &str) -> String {
    address(school, path).replacen("127.0.0.1", "localhost", 1)
}

/// The code that the box printed, by which it is set up.
pub(crate) fn set_up_code(school: &Running) -> String {
    let line = school.greeting.lines().find_map(|line| line.strip_prefix("set-up code: "));
    let code = line.and_then(|line| line.split_whitespace().next());
    code.unwrap_or_else(|| panic!("no set-up code: {}", school.greeting)).to_owned()
}

/// The code that an authenticator app shows now for a secret (base32, as people type it).
pub(crate) fn code_of(secret: &str) -> String {
    let plain: String = secret.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let bytes = data_encoding::BASE32_NOPAD.decode(plain.to_ascii_uppercase().as_bytes()).expect("base32");
    let now = u64::try_from(schoolgate::clock::Clock::system().now().as_second()).expect("after 1970");
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let tag = ring::hmac::sign(&key, &(now / 30).to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 15);
    let number = u32::from_be_bytes(tag[at..at + 4].try_into().expect("four bytes")) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Signs in somebody who was just added and whose role needs a second factor: they choose a password, set the factor up,
/// and note their recovery codes.
pub(crate) async fn sign_in_first(browser: &Browser, school: &Running, name: &str, password: &str) {
    browser.page.goto(&address(school, "/sign-in")).await.expect("the door");
    sign_in_here_first(browser, name, password).await;
}

/// The same, where the browser stands before the door already.
pub(crate) async fn sign_in_here_first(browser: &Browser, name: &str, password: &str) {
    browser.fill("input[name=name]", name).await;
    browser.fill("input[name=password]", password).await;
    browser.submit("main form button").await;
    if browser.address().await.contains("/sign-in/next")
        && browser.text().await.contains("Choose a new password")
    {
        browser.fill("input[name=password]", PASSWORD).await;
        browser.fill("input[name=again]", PASSWORD).await;
        browser.submit("main form button").await;
    }
    set_up_second_factor(browser).await;
}

/// Sets a second factor up, as an authenticator app would, and notes the recovery codes.
pub(crate) async fn set_up_second_factor(browser: &Browser) {
    let secret = browser.find(".card code").await.text().await.expect("a secret");
    browser.fill("input[name=code]", &code_of(&secret)).await;
    browser.submit("main form button").await;
    browser.submit("main .card a[role=button]").await;
}
