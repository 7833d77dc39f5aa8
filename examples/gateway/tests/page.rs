//! The page of the admin address, in a browser that has no window. Ignored where there is no chromium:
//! `scripts/test` installs it. Where `MAC_GATEWAY_SCREENSHOTS` names a directory, what it looked like is
//! there afterwards.
#![allow(clippy::unwrap_used, missing_docs)]

mod demo_gateway;
mod real_gateway;

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use demo_gateway::Demo;
use real_gateway::{World, call, is};
use serde_json::{Value, json};
use tower_mac_auth::provider::xiaomi::ErrorCode;
use tower_mac_auth::testing::Fault;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

/// A page in a browser, driven by its `DevTools` protocol.
struct Page {
    browser: Child,
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    session: String,
    last: u64,
    heard: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Page {
    fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let browser = std::env::var_os("MAC_GATEWAY_TEST_BROWSER");
        let browser = browser.unwrap_or_else(|| "chromium".into());
        let mut browser = Command::new(browser)
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(browser.stderr.take().unwrap()).lines();
        let devtools = loop {
            let line = lines.next().unwrap().unwrap();
            if let Some(url) = line.strip_prefix("DevTools listening on ") {
                break url.to_owned();
            }
        };
        // Or it would stop at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let (socket, _) = tungstenite::connect(&devtools).unwrap();
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream
                .set_read_timeout(Some(Duration::from_secs(60)))
                .unwrap();
        }
        let mut page = Self {
            browser,
            socket,
            session: String::new(),
            last: 0,
            heard: Vec::new(),
            _profile: profile,
        };
        let target = page.ask("Target.createTarget", &json!({ "url": url }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = page.ask("Target.attachToTarget", &target);
        page.session = attached["sessionId"].as_str().unwrap().into();
        page
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        let answer = self.answer(method, params);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// What comes back, be it an error.
    fn answer(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        let mut asked = json!({ "id": self.last, "method": method, "params": params });
        if !self.session.is_empty() {
            asked["sessionId"] = self.session.as_str().into();
        }
        self.socket.send(Message::text(asked.to_string())).unwrap();
        loop {
            let answer = self.read();
            if answer["id"] == self.last {
                return answer;
            }
        }
    }

    fn read(&mut self) -> Value {
        let message = self.socket.read().unwrap();
        let text = message.to_text().unwrap_or_default();
        let read: Value = serde_json::from_str(text).unwrap_or_default();
        self.heard
            .extend(read["method"].as_str().map(str::to_owned));
        read
    }

    /// Waits for an event that was not heard yet.
    fn hear(&mut self, event: &str) {
        while !self.heard.iter().any(|heard| heard == event) {
            self.read();
        }
        self.heard.clear();
    }

    /// What this JavaScript gives.
    fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true });
        let answer = self.ask("Runtime.evaluate", &params);
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    fn until(&mut self, expression: &str) {
        for _ in 0..600 {
            // Between two documents it is an error.
            let params = json!({ "expression": expression, "returnByValue": true });
            let answer = self.answer("Runtime.evaluate", &params);
            if answer["result"]["result"]["value"] == true {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{expression}: {}", self.evaluate("document.body.innerText"));
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}

const ALICE: &str = "[...document.querySelectorAll('#accounts tr')]\
                     .find(row => row.cells[0].textContent === 'alice')";

#[test]
#[ignore = "needs chromium"]
fn a_refresh_shows_without_a_reload_and_the_page_fits_every_screen() {
    let demo = Demo::start();
    let mut page = Page::open(&format!("http://{}/", demo.admin));
    page.until(&format!("!!({ALICE})"));
    page.evaluate("window.sameDocument = true");
    let generation = page.evaluate(&format!("{ALICE}.cells[2].textContent"));
    // A seed has no access token: the first request has it refreshed.
    assert!(
        demo.get("/user/profile", "x-account: alice\r\n")
            .starts_with("HTTP/1.1 200")
    );
    let csrf = "x-requested-with: test\r\nContent-Length: 0\r\n";
    page.until(&format!("{ALICE}.cells[2].textContent !== {generation}"));
    assert_eq!(page.evaluate("window.sameDocument"), true);

    // What a person filters by, and the keyboard alone reaches.
    page.evaluate(
        "document.getElementById('search').value = 'bo'; \
         document.getElementById('search').dispatchEvent(new Event('input', { bubbles: true }))",
    );
    page.until("document.querySelectorAll('#accounts tr').length === 1");
    page.evaluate("document.querySelector('#accounts button').focus()");
    assert_eq!(
        page.evaluate("document.activeElement.getAttribute('aria-label')"),
        "Refresh bob"
    );

    // A revocation shows, too.
    page.evaluate(
        "document.getElementById('search').value = ''; \
         document.getElementById('search').dispatchEvent(new Event('input', { bubbles: true }))",
    );
    let revoked = demo.admin("POST", "/accounts/alice/revoke", csrf);
    assert!(revoked.starts_with("HTTP/1.1 200"), "{revoked}");
    page.until(&format!("{ALICE}.cells[1].textContent === 'revoked'"));

    for width in [380, 1400] {
        let size =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500 });
        page.ask("Emulation.setDeviceMetricsOverride", &size);
        let mut colours = Vec::new();
        for theme in ["light", "dark"] {
            let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
            page.ask("Emulation.setEmulatedMedia", &media);
            // Nothing that an operator needs is off the screen.
            let button = "document.querySelector('#accounts button').getBoundingClientRect().right";
            let right = page.evaluate(button).as_f64().unwrap();
            assert!(right > 0.0 && right <= f64::from(width), "{width}: {right}");
            let overflow = "document.documentElement.scrollWidth - window.innerWidth";
            assert!(
                page.evaluate(overflow).as_i64().unwrap() <= 0,
                "{width} {theme}"
            );
            colours.push(page.evaluate("getComputedStyle(document.body).backgroundColor"));
            if let Some(dir) = std::env::var_os("MAC_GATEWAY_SCREENSHOTS") {
                let taken = page.ask("Page.captureScreenshot", &json!({}));
                let path = std::path::Path::new(&dir).join(format!("{width}-{theme}.png.base64"));
                std::fs::write(path, taken["data"].as_str().unwrap()).unwrap();
            }
        }
        assert_ne!(colours[0], colours[1]);
    }
    drop(page);
    assert_eq!(demo.end(), Some(0));
}

#[test]
#[ignore = "needs chromium"]
fn a_link_to_a_login_asks_first_and_any_name_can_be_acted_on() {
    let demo = Demo::start();
    let mut page = Page::open(&format!("http://{}/", demo.admin));
    page.until(&format!("!!({ALICE})"));
    // As if a link of another led here.
    let link =
        |account: &str| json!({ "url": format!("http://{}/login?account={account}", demo.admin) });
    page.ask("Page.enable", &json!({}));
    for accept in [false, true] {
        page.ask("Page.navigate", &link(".."));
        page.hear("Page.javascriptDialogOpening");
        page.ask("Page.handleJavaScriptDialog", &json!({ "accept": accept }));
        page.until("document.readyState === 'complete'");
        if accept {
            // The demo's user agrees at once, and is led back.
            page.until("location.pathname === '/callback'");
            page.until("document.body.innerText.includes('generation')");
        } else {
            page.until("location.href.endsWith('/') && !!document.querySelector('#accounts tr')");
        }
        let accounts = demo.admin("GET", "/accounts", "");
        assert_eq!(accounts.contains("\"..\""), accept, "{accounts}");
    }
    page.ask(
        "Page.navigate",
        &json!({ "url": format!("http://{}/", demo.admin) }),
    );
    let row = "[...document.querySelectorAll('#accounts tr')]\
               .find(row => row.cells[0].textContent === '..')";
    page.until(&format!("!!({row})"));
    page.evaluate("window.confirm = () => true");
    page.evaluate(&format!("{row}.querySelectorAll('button')[1].click()"));
    page.until(&format!("{row}.cells[1].textContent === 'revoked'"));
    drop(page);
    assert_eq!(demo.end(), Some(0));
}

#[test]
#[ignore = "needs chromium"]
fn each_account_offers_what_may_help_it() {
    let world = World::with_accounts(4);
    let upstream = world.server.url("");
    let gateway = world.start(&upstream, "account-header = \"x-account\"");
    let ask = |account: &str| {
        gateway.send(&format!(
            "GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nx-account: {account}\r\n\r\n"
        ))
    };
    is(&ask("user-0"), 200, "ok");
    let refused = Fault::RefuseWith(ErrorCode::ClientMismatch);
    world.provider.fault_next(refused);
    is(&ask("user-1"), 502, "client_refused");
    let host = gateway.admin;
    let revoke = format!(
        "POST /accounts/user-2/revoke HTTP/1.1\r\nHost: {host}\r\nx-requested-with: test\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    is(&call(host, &revoke), 200, "user-2");
    world.damage("user-3");

    let mut page = Page::open(&format!("http://{host}/"));
    page.ask("Log.enable", &json!({}));
    let rows = "[...document.querySelectorAll('#accounts tr')].map(row => \
                [row.cells[1].textContent, ...[...row.querySelectorAll('button')].map(it => it.textContent)].join(', '))";
    page.until(&format!("{rows}.length === 4"));
    let offered = json!([
        "active, Refresh, Revoke, Log in",
        "backing off, Refresh, Revoke, Log in",
        "revoked, Log in",
        "unreadable, Revoke, Log in",
    ]);
    assert_eq!(page.evaluate(rows), offered);
    // As if it were not known where users agree.
    let offered = json!([
        "active, Refresh, Revoke",
        "backing off, Refresh, Revoke",
        "revoked",
        "unreadable, Revoke",
    ]);
    assert_eq!(
        page.evaluate(&format!("hasLogin = false; show(); {rows}")),
        offered
    );
    // Nothing failed to load, nor did the policy keep anything away.
    assert!(!page.heard.iter().any(|heard| heard == "Log.entryAdded"));
    drop(page);
    assert_eq!(gateway.end().0, Some(0));
}
