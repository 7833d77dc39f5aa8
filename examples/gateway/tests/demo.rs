//! The gateway as it shows itself, over real sockets: what it tells people to try does what it says.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Demo {
    child: Child,
    listen: String,
    admin: String,
}

impl Demo {
    fn start() -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_mac-gateway"));
        let child = program.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut after = |word: &str| loop {
            let line = lines.next().unwrap().unwrap();
            if let Some((_, rest)) = line.split_once(word) {
                break rest.split(['/', ' ']).next().unwrap().to_owned();
            }
        };
        let listen = after("alice' http://");
        let admin = after("'http://");
        std::mem::forget(lines);
        Self {
            child,
            listen,
            admin,
        }
    }

    /// The answer to one request, head and body.
    fn call(address: &str, request: &str) -> String {
        let mut socket = TcpStream::connect(address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // It may be reset once it was answered.
        let _ = socket.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn get(&self, path: &str, headers: &str) -> String {
        let host = &self.listen;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
        Self::call(host, &request)
    }

    fn admin(&self, method: &str, path: &str, headers: &str) -> String {
        let host = &self.admin;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n"
        );
        Self::call(host, &request)
    }

    /// Ends it as an operator does: its exit code.
    fn end(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap().code()
    }
}

fn is(answer: &str, status: u16) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "not {status}: {answer}"
    );
}

#[test]
fn what_it_says_to_try_does_what_it_says() {
    let demo = Demo::start();
    let alice = demo.get("/user/profile", "x-account: alice\r\n");
    is(&alice, 200);
    assert!(
        alice.to_lowercase().contains("via: 1.1 mac-gateway"),
        "{alice}"
    );
    is(&demo.get("/user/profile", ""), 401);
    is(&demo.get("/user/profile", "x-account: carol\r\n"), 403);
    is(
        &demo.get("/user/profile", "x-account: alice\r\nx-account: bob\r\n"),
        400,
    );
    is(&demo.admin("GET", "/healthz", ""), 200);
    is(&demo.admin("GET", "/readyz", ""), 200);
    let accounts = demo.admin("GET", "/accounts", "");
    is(&accounts, 200);
    assert!(accounts.contains("alice") && accounts.contains("bob"));
    for part in ["/", "/page.js", "/page.css"] {
        is(&demo.admin("GET", part, ""), 200);
    }

    // A refresh, and a revocation, which both show.
    let csrf = "x-requested-with: test\r\nContent-Length: 0\r\n";
    is(&demo.admin("POST", "/accounts/bob/refresh", csrf), 200);
    is(&demo.admin("POST", "/accounts/alice/revoke", csrf), 200);
    is(&demo.get("/user/profile", "x-account: bob\r\n"), 200);
    let revoked = demo.get("/user/profile", "x-account: alice\r\n");
    assert!(!revoked.starts_with("HTTP/1.1 200"), "{revoked}");
    let numbers = demo.admin("GET", "/metrics", "");
    is(&numbers, 200);
    assert!(
        numbers.contains("mac_auth_refreshes_total{outcome=\"refreshed\"} 2"),
        "{numbers}"
    );
    assert_eq!(demo.end(), Some(0));
}

#[test]
fn requests_that_may_be_an_attack_are_turned_away() {
    let demo = Demo::start();
    let host = &demo.listen;
    for (request, status) in [
        (
            format!(
                "GET http://evil.example/ HTTP/1.1\r\nHost: {host}\r\nx-account: alice\r\nConnection: close\r\n\r\n"
            ),
            400,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nx-account: alice\r\nConnection: close\r\n\r\n"
                .to_owned(),
            400,
        ),
        (
            "GET / HTTP/1.1\r\nx-account: alice\r\nConnection: close\r\n\r\n".to_owned(),
            400,
        ),
        (
            format!(
                "CONNECT a:443 HTTP/1.1\r\nHost: {host}\r\nx-account: alice\r\nConnection: close\r\n\r\n"
            ),
            400,
        ),
    ] {
        is(&Demo::call(host, &request), status);
    }
    // Another site's page, and a name that leads here.
    let csrf = "x-requested-with: test\r\nContent-Length: 0\r\n";
    let cross = demo.admin(
        "POST",
        "/accounts/bob/revoke",
        &format!("Origin: http://evil.example\r\n{csrf}"),
    );
    assert!(cross.starts_with("HTTP/1.1 4"), "{cross}");
    let simple = demo.admin("POST", "/accounts/bob/revoke", "Content-Length: 0\r\n");
    assert!(simple.starts_with("HTTP/1.1 4"), "{simple}");
    let rebound = Demo::call(
        &demo.admin,
        "GET /accounts HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    );
    assert!(
        rebound.starts_with("HTTP/1.1 4") && !rebound.contains("alice"),
        "{rebound}"
    );
    let foreign = demo.admin("GET", "/callback?state=foreign&code=x", "");
    assert!(foreign.starts_with("HTTP/1.1 4"), "{foreign}");
    is(&demo.get("/user/profile", "x-account: bob\r\n"), 200);
    assert_eq!(demo.end(), Some(0));
}
