//! A gateway in earnest, and the world it stands in.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tower_mac_auth::testing::{Provider, Server};

const HOUR: Duration = Duration::from_secs(3600);

/// A token endpoint, an API of our own behaviour, and what a gateway between them needs.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) provider: Provider,
    pub(crate) server: Server,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::seeded(&["alice".to_owned()])
    }

    /// With `user-0` and so on in place of one.
    pub(crate) fn with_accounts(count: u64) -> Self {
        let names: Vec<_> = (0..count).map(|number| format!("user-{number}")).collect();
        Self::seeded(&names)
    }

    fn seeded(names: &[String]) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let provider = Provider::builder().accept_any_body(true).build();
        let server = runtime.block_on(provider.serve()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let world = Self {
            dir,
            provider,
            server,
            runtime,
        };
        let seeds: BTreeMap<_, _> = names
            .iter()
            .map(|name| {
                let token = world.provider.issue(HOUR).refresh_token.unwrap();
                (name, token.expose_secret().to_owned())
            })
            .collect();
        world.write("secret", &format!("{}\n", secret(&world.provider)));
        world.write("seeds.json", &serde_json::to_string(&seeds).unwrap());
        world
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// The file that an account's record is in.
    pub(crate) fn record(&self, account: &str) -> PathBuf {
        let tokens = self.dir.path().join("tokens");
        let shards = std::fs::read_dir(tokens).unwrap();
        let records = shards.map(|shard| shard.unwrap().path().join(format!("{account}.json")));
        records.filter(|record| record.exists()).last().unwrap()
    }

    /// Makes an account's record one that nobody can read.
    pub(crate) fn damage(&self, account: &str) {
        std::fs::write(self.record(account), "garbage").unwrap();
    }

    /// The file of settings, for this API.
    pub(crate) fn settings(&self, upstream: &str, more: &str) -> String {
        let dir = self.dir.path().display();
        self.write(
            "gateway.toml",
            &format!(
                "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n\
                 provider = \"xiaomi\"\nclient-id = \"{}\"\nredirect-uri = \"{}\"\n\
                 token-url = \"{}\"\nallow-http = true\nstore = \"file:{dir}/tokens\"\n\
                 seed = \"{dir}/seeds.json\"\n{more}\n",
                self.provider.client_id(),
                self.provider.redirect_uri(),
                self.server.token_url(),
            ),
        )
    }

    pub(crate) fn command(&self, config: &str) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_mac-gateway"));
        program.args(["--config", config]);
        program.env("MAC_CLIENT_SECRET_FILE", self.dir.path().join("secret"));
        program.env_remove("MAC_CLIENT_SECRET");
        program
    }

    pub(crate) fn start(&self, upstream: &str, more: &str) -> Gateway {
        let config = self.settings(upstream, more);
        let log = self.dir.path().join("log");
        let errors = std::fs::File::create(&log).unwrap();
        let child = self
            .command(&config)
            .stdout(Stdio::from(errors.try_clone().unwrap()))
            .stderr(Stdio::from(errors))
            .spawn()
            .unwrap();
        Gateway::found(child, &log)
    }
}

pub(crate) fn secret(provider: &Provider) -> String {
    provider.client_secret().expose_secret().to_owned()
}

pub(crate) struct Gateway {
    child: Child,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    log: std::path::PathBuf,
}

impl Gateway {
    /// Waits for its log to say where it listens.
    fn found(child: Child, log: &Path) -> Self {
        for _ in 0..1000 {
            let text = std::fs::read_to_string(log).unwrap();
            let after = |word: &str| {
                let rest = text.split_once(word)?.1;
                rest.split_whitespace().next()?.parse().ok()
            };
            if let (Some(listen), Some(admin)) = (after("listen="), after("admin=")) {
                let log = log.to_owned();
                return Self {
                    child,
                    listen,
                    admin,
                    log,
                };
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{}", std::fs::read_to_string(log).unwrap());
    }

    pub(crate) fn send(&self, request: &str) -> String {
        call(self.listen, request)
    }

    pub(crate) fn get(&self, path: &str) -> String {
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Its exit code, and all it has logged.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        self.signal();
        let code = self.child.wait().unwrap().code();
        (code, std::fs::read_to_string(&self.log).unwrap())
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    let limit = Some(Duration::from_secs(30));
    socket.set_read_timeout(limit).unwrap();
    socket
}

pub(crate) fn call(address: SocketAddr, request: &str) -> String {
    let mut socket = connect(address);
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn is(answer: &str, status: u16, word: &str) {
    let right = answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(word);
    assert!(right, "not {status} with {word}: {answer}");
}

/// An API on a thread for each connection; what each does is `serve`'s.
pub(crate) fn api(serve: fn(TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for socket in listener.incoming() {
            thread::spawn(move || serve(socket.unwrap()));
        }
    });
    url
}

/// Reads a head, and gives it.
pub(crate) fn head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}
