//! Security keys, by the driver's own one.

use super::{
    add_user,
    boxed::{PASSWORD, address, address_by_name, sign_in_here_first, start},
    driver::Browser,
};

/// Looks at a page at each width and in each theme, and leaves it on a desk.
async fn look_at(browser: &Browser, name: &str) {
    for (width, device) in [(360, "phone"), (820, "tablet"), (1280, "desk")] {
        for theme in ["dark", "light"] {
            browser.width(width).await;
            browser.theme(theme).await;
            // Colours that go over into others are none of either theme.
            browser.page.refresh().await.expect("the page again");
            let wide = "return document.documentElement.scrollWidth > window.innerWidth";
            let wide = browser.page.execute(wide, vec![]).await.expect("a width");
            assert_eq!(wide, serde_json::json!(false), "{name} is too wide for a {device}");
            let barriers = browser.barriers().await;
            assert!(barriers.is_empty(), "{name} on a {device}, {theme}: {barriers:#?}");
            browser.picture(&format!("{name}-{device}-{theme}")).await;
        }
    }
}

#[tokio::test]
async fn somebody_adds_a_security_key_and_signs_in_by_touching_it() {
    let data = tempfile::tempdir().expect("a folder");
    let school = start(data.path(), "[resolver]\ntime_limit_ms = 500\n");
    let password = add_user(&school, "head", "head");
    let browser = Browser::start().await;
    browser.plug_key_in().await;
    browser.page.goto(&address_by_name(&school, "/sign-in")).await.expect("the door");
    sign_in_here_first(&browser, "head", &password).await;
    browser.page.goto(&address_by_name(&school, "/account/keys")).await.expect("the page");
    browser.until_text("You have no security key yet").await;
    look_at(&browser, "account-keys-none").await;
    browser.fill("form[data-key] input[name=name]", "Blue key").await;
    browser.submit("form[data-key] button").await;
    browser.until_text("The key is added").await;
    assert!(browser.text().await.contains("Blue key"));
    look_at(&browser, "account-keys").await;
    browser.submit("form[action='/sign-out'] button").await;
    browser.fill("input[name=name]", "head").await;
    browser.fill("input[name=password]", PASSWORD).await;
    browser.submit("main form button").await;
    browser.until_text("Use your security key").await;
    look_at(&browser, "sign-in-key").await;
    browser.submit("form[data-key] button").await;
    browser.until_text("The last 24 hours").await;
    browser.page.goto(&address_by_name(&school, "/account/keys")).await.expect("the page");
    assert!(!browser.text().await.contains("Never"), "it was used");
    assert!(browser.complaints().await.is_empty());
    // By an address there is no such button, and the code does.
    browser.page.goto(&address(&school, "/sign-in")).await.expect("the door");
    browser.fill("input[name=name]", "head").await;
    browser.fill("input[name=password]", PASSWORD).await;
    browser.submit("main form button").await;
    browser.until_text("Type the six digits").await;
    assert!(!browser.text().await.contains("Use your security key"));
}
