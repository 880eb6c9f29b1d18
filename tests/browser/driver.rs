//! Debian's Chromium, driven by its own driver.

use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element, wd::WebDriverCompatibleCommand};
use http::Method;
use serde_json::{Value, json};

/// How long anything on a page may take to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A browser, closed when dropped.
pub(crate) struct Browser {
    pub(crate) page: Client,
    driver: Child,
    /// Where the driver listens, and the session that it has.
    port: String,
    session: String,
    /// Where it keeps what it remembers.
    _profile: tempfile::TempDir,
}

/// A command that only this driver has.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    /// Starts one, with an empty profile.
    pub(crate) async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver; tests/run installs the package chromium-driver");
        let mut lines = BufReader::new(driver.stdout.take().expect("its output"));
        let port = loop {
            let mut line = String::new();
            assert_ne!(lines.read_line(&mut line).expect("text"), 0, "chromedriver ended");
            if let Some((_, port)) = line.trim().trim_end_matches('.').split_once("successfully on port ") {
                break port.to_owned();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let profile = tempfile::tempdir().expect("a folder");
        let options = json!({
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
                "--disable-background-networking", "--disable-component-update", "--disable-sync", "--lang=en-GB",
                "--disable-dev-shm-usage",
                format!("--user-data-dir={}", profile.path().display()),
            ]
        });
        let mut wanted = serde_json::Map::new();
        wanted.insert("goog:chromeOptions".into(), options);
        // The box signs its certificate itself.
        wanted.insert("acceptInsecureCerts".into(), json!(true));
        wanted.insert("goog:loggingPrefs".into(), json!({ "browser": "ALL" }));
        let connector = hyper_util::client::legacy::connect::HttpConnector::new();
        let page = ClientBuilder::new(connector)
            .capabilities(wanted)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a browser");
        let session = page.session_id().await.expect("a session").expect("one");
        Self { page, driver, port, session, _profile: profile }
    }

    async fn own(&self, path: &'static str, body: Value) -> Value {
        self.page.issue_cmd(Own { path, body }).await.expect("the driver does it")
    }

    async fn cdp(&self, command: &str, params: Value) {
        self.own("goog/cdp/execute", json!({ "cmd": command, "params": params })).await;
    }

    /// Plugs a security key in that somebody touches whenever it is asked for.
    pub(crate) async fn plug_key_in(&self) {
        let key = json!({
            "protocol": "ctap2", "transport": "usb", "hasResidentKey": false, "hasUserVerification": false,
            "isUserConsenting": true,
        });
        self.own("webauthn/authenticator", key).await;
    }

    /// Makes the page as wide as a phone, a tablet or a desk.
    pub(crate) async fn width(&self, width: u32) {
        let params = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.cdp("Emulation.setDeviceMetricsOverride", params).await;
    }

    /// Prefers light or dark.
    pub(crate) async fn theme(&self, theme: &str) {
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.cdp("Emulation.setEmulatedMedia", feature).await;
    }

    /// What the browser complained of since the last time: scripts that failed, what the policy of the page forbids.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.own("se/log", json!({ "type": "browser" })).await;
        let lines = log.as_array().cloned().unwrap_or_default();
        let serious = lines.iter().filter(|line| {
            line["level"] == "SEVERE" || line["message"].to_string().contains("Content Security")
        });
        serious.map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What is found by a selector, as soon as it is there.
    pub(crate) async fn find(&self, selector: &str) -> Element {
        let wait = self.page.wait().at_most(PATIENCE);
        match wait.for_element(Locator::Css(selector)).await {
            Ok(element) => element,
            Err(error) => panic!("no {selector} on {}: {error}\n{}", self.address().await, self.text().await),
        }
    }

    /// Types into a field, over what is in it.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let field = self.find(selector).await;
        field.clear().await.expect("cleared");
        field.send_keys(text).await.expect("typed");
    }

    /// Clicks, and waits for the page that this leads to.
    pub(crate) async fn submit(&self, selector: &str) {
        let mark = "document.documentElement.dataset.before = 'yes'";
        self.page.execute(mark, vec![]).await.expect("marked");
        self.find(selector).await.click().await.expect("clicked");
        let gone = "return document.readyState === 'complete' && !document.documentElement.dataset.before";
        self.until(gone, "another page").await;
    }

    /// Waits until a script says so.
    pub(crate) async fn until(&self, script: &str, what: &str) {
        let started = Instant::now();
        loop {
            // While a page is left there is nothing to ask.
            if self.page.execute(script, vec![]).await.is_ok_and(|answer| answer == json!(true)) {
                return;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{what} did not come at {}:\n{}",
                self.address().await,
                self.text().await
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the page has a text.
    pub(crate) async fn until_text(&self, text: &str) {
        let script = format!("return document.body.innerText.includes({})", json!(text));
        self.until(&script, text).await;
    }

    /// What people read on the page.
    pub(crate) async fn text(&self) -> String {
        let text = self.page.execute("return document.body.innerText", vec![]).await.unwrap_or_default();
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Where the browser is.
    pub(crate) async fn address(&self) -> String {
        self.page.current_url().await.map(|url| url.to_string()).unwrap_or_default()
    }

    /// What axe finds on the page that keeps people out.
    pub(crate) async fn barriers(&self) -> Vec<String> {
        self.page.execute(include_str!("axe.min.js"), vec![]).await.expect("axe");
        let run = "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] }).then(done, (e) => done({ violations: [{ impact: 'critical', id: String(e), nodes: [] }] }))";
        let found = self.page.execute_async(run, vec![]).await.expect("axe runs");
        let violations = found["violations"].as_array().cloned().unwrap_or_default();
        let serious =
            violations.iter().filter(|v| matches!(v["impact"].as_str(), Some("serious" | "critical")));
        serious
            .map(|v| {
                let first = &v["nodes"][0];
                format!("{}: {} {}", v["id"], first["html"], first["failureSummary"])
            })
            .collect()
    }

    /// Keeps a picture of the whole page under `target/screenshots/`.
    pub(crate) async fn picture(&self, name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        std::fs::create_dir_all(&folder).expect("a folder");
        let high = self
            .page
            .execute("return document.documentElement.scrollHeight", vec![])
            .await
            .expect("a height");
        let wide = self.page.execute("return window.innerWidth", vec![]).await.expect("a width");
        let height = high.as_u64().unwrap_or(900).clamp(400, 4_000);
        let params = json!({ "width": wide, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.cdp("Emulation.setDeviceMetricsOverride", params).await;
        let png = self.page.screenshot().await.expect("a picture");
        std::fs::write(folder.join(format!("{name}.png")), png).expect("written");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium ends with its session, and not with a driver that is killed.
        let asked = TcpStream::connect(format!("127.0.0.1:{}", self.port)).and_then(|mut driver| {
            driver.set_read_timeout(Some(Duration::from_secs(5)))?;
            let (session, port) = (&self.session, &self.port);
            write!(
                driver,
                "DELETE /session/{session} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
            )?;
            driver.read(&mut [0; 256])
        });
        if let Err(error) = asked {
            eprintln!("the browser did not close: {error}");
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
