//! The gateway as it shows itself.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(crate) fn header(answer: &str, name: &str) -> Option<String> {
    let lines = answer.lines().filter_map(|line| line.split_once(": "));
    let mut found = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
    Some(found.next()?.1.to_owned())
}

/// The gateway with a provider of its own.
pub(crate) struct Demo {
    child: Child,
    pub(crate) listen: String,
    pub(crate) admin: String,
}

impl Demo {
    pub(crate) fn start() -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_mac-gateway"));
        let child = program.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut after = |word: &str| {
            loop {
                let line = lines.next().unwrap().unwrap();
                if let Some((_, rest)) = line.split_once(word) {
                    return rest.split(['/', ' ']).next().unwrap().to_owned();
                }
            }
        };
        let (listen, admin) = (after("alice' http://"), after("'http://"));
        std::mem::forget(lines);
        Self {
            child,
            listen,
            admin,
        }
    }

    /// The answer to one request, head and body.
    pub(crate) fn call(address: &str, request: &str) -> String {
        Self::call_bytes(address, request.as_bytes())
    }

    pub(crate) fn call_bytes(address: &str, request: &[u8]) -> String {
        let mut socket = TcpStream::connect(address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        socket.write_all(request).unwrap();
        let mut answer = Vec::new();
        // It may be reset once it was answered.
        let _ = socket.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) fn get(&self, path: &str, headers: &str) -> String {
        let host = &self.listen;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
        Self::call(host, &request)
    }

    pub(crate) fn admin(&self, method: &str, path: &str, headers: &str) -> String {
        let host = &self.admin;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n"
        );
        Self::call(host, &request)
    }

    /// Has the demo's user agree, who does so at once: what the callback answers.
    pub(crate) fn log_in(&self, account: &str) -> String {
        let begun = self.admin("GET", &format!("/login?account={account}"), "");
        let cookie = header(&begun, "set-cookie").unwrap();
        let cookie = cookie.split(';').next().unwrap();
        let provider = header(&begun, "location").unwrap();
        let (host, path) = provider["http://".len()..].split_once('/').unwrap();
        let asked = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let back = header(&Self::call(host, &asked), "location").unwrap();
        let (_, path) = back.split_once(&self.admin).unwrap();
        self.admin("GET", path, &format!("Cookie: {cookie}\r\n"))
    }

    /// Ends it as an operator does: its exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
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
