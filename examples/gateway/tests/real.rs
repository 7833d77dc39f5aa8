//! The gateway as it runs in earnest: from a file of settings and files of secrets, in front of an API
//! that behaves and one that does not.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use tower_mac_auth::testing::{ApiFault, Fault, Provider, Server};

const HOUR: Duration = Duration::from_secs(3600);

/// A token endpoint, an API of our own behaviour, and what a gateway between them needs.
struct World {
    dir: tempfile::TempDir,
    provider: Provider,
    server: Server,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
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
        let token = world.provider.issue(HOUR).refresh_token.unwrap();
        world.write("secret", &format!("{}\n", secret(&world.provider)));
        world.write(
            "seeds.json",
            &format!("{{\"alice\": \"{}\"}}", token.expose_secret()),
        );
        world
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// The file of settings, for this API.
    fn settings(&self, upstream: &str, more: &str) -> String {
        let dir = self.dir.path().display();
        self.write(
            "gateway.toml",
            &format!(
                "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n\
                 provider = \"xiaomi\"\nclient-id = \"{}\"\nredirect-uri = \"{}\"\n\
                 token-url = \"{}\"\nallow-http = true\nstore = \"file:{dir}/tokens\"\n\
                 seed = \"{dir}/seeds.json\"\naccount = \"alice\"\n{more}\n",
                self.provider.client_id(),
                self.provider.redirect_uri(),
                self.server.token_url(),
            ),
        )
    }

    fn command(&self, config: &str) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_mac-gateway"));
        program.args(["--config", config]);
        program.env("MAC_CLIENT_SECRET_FILE", self.dir.path().join("secret"));
        program.env_remove("MAC_CLIENT_SECRET");
        program
    }

    fn start(&self, upstream: &str, more: &str) -> Gateway {
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

fn secret(provider: &Provider) -> String {
    provider.client_secret().expose_secret().to_owned()
}

struct Gateway {
    child: Child,
    listen: SocketAddr,
    admin: SocketAddr,
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

    fn send(&self, request: &str) -> String {
        call(self.listen, request)
    }

    fn get(&self, path: &str) -> String {
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"
        ))
    }

    fn signal(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Its exit code, and all it has logged.
    fn end(mut self) -> (Option<i32>, String) {
        self.signal();
        let code = self.child.wait().unwrap().code();
        (code, std::fs::read_to_string(&self.log).unwrap())
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    let limit = Some(Duration::from_secs(30));
    socket.set_read_timeout(limit).unwrap();
    socket
}

fn call(address: SocketAddr, request: &str) -> String {
    let mut socket = connect(address);
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn is(answer: &str, status: u16, word: &str) {
    let right = answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(word);
    assert!(right, "not {status} with {word}: {answer}");
}

/// An API on a thread for each connection; what each does is `serve`'s.
fn api(serve: fn(TcpStream)) -> String {
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
fn head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn what_comes_in_is_signed_and_what_was_stored_is_used_again_after_a_restart() {
    let world = World::new();
    let upstream = world.server.url("");
    let mut signed = 0;
    for _ in 0..2 {
        let gateway = world.start(&upstream, "");
        is(&gateway.get("/user/profile?a=1"), 200, "\"ok\"");
        signed += 1;
        assert_eq!(world.provider.accepted().len(), signed);
        let (code, log) = gateway.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(!log.contains(&secret(&world.provider)), "{log}");
        assert!(!log.contains("token="), "{log}");
    }
    assert_eq!(world.provider.presentations().len(), 1);
    // What was rotated less than a minute ago is not rotated again, whatever the API says.
    let gateway = world.start(&upstream, "");
    world.provider.expire_access_tokens();
    is(&gateway.get("/user/profile"), 401, "96008");
    assert_eq!(world.provider.presentations().len(), 1);
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn what_fails_has_a_status_and_a_reason() {
    let world = World::new();
    let upstream = world.server.url("");
    let gateway = world.start(&upstream, "max-body = 10\nupstream-timeout = 1");
    is(&gateway.get("/user/profile"), 200, "\"ok\"");

    let over = "POST /lamp HTTP/1.1\r\nHost: g\r\nConnection: close\r\nContent-Length: 11\r\n\r\n01234567890";
    is(&gateway.send(over), 413, "body_too_large");
    let chunked = "POST /lamp HTTP/1.1\r\nHost: g\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n";
    is(&gateway.send(chunked), 413, "body_too_large");
    is(
        &gateway.get("/user/profile?a=%zz"),
        400,
        "query: bad percent escape",
    );

    world
        .provider
        .api_fault_next(ApiFault::ServerError(http::StatusCode::SERVICE_UNAVAILABLE));
    // The API's own answer, as it is.
    is(&gateway.get("/user/profile"), 503, "unavailable");
    world.provider.api_fault_next(ApiFault::Stall);
    is(&gateway.get("/user/profile"), 504, "\"error\"");
    world.provider.api_fault_next(ApiFault::Reset);
    is(&gateway.get("/user/profile"), 502, "\"error\"");

    let (status, log) = gateway.end();
    assert_eq!(status, Some(0), "{log}");

    // Nobody listens.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let gateway = world.start(&nobody, "");
    is(&gateway.get("/"), 502, "\"error\"");
    assert_eq!(gateway.end().0, Some(0));
    assert!(world.provider.presented_twice().is_empty());
}

#[test]
fn a_token_endpoint_that_is_away_costs_a_503_and_no_token() {
    let world = World::new();
    let gateway = world.start(&world.server.url(""), "");
    world
        .provider
        .fault_next(Fault::RateLimited { retry_after: None });
    let answer = gateway.get("/user/profile");
    is(&answer, 503, "rate_limited");
    assert!(world.provider.presentations().is_empty());
    assert_eq!(gateway.end().0, Some(0));
    // The token is as good as before.
    let gateway = world.start(&world.server.url(""), "");
    let good = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(100));
        gateway.get("/user/profile").starts_with("HTTP/1.1 200")
    });
    assert!(good);
    assert!(world.provider.presented_twice().is_empty());
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn an_upgrade_is_a_tunnel_and_is_cut_when_the_drain_is_over() {
    let world = World::new();
    let upstream = api(|mut socket| {
        let head = head(&mut socket).to_ascii_lowercase();
        assert!(
            head.contains("upgrade: echo") && head.contains("authorization: mac "),
            "{head}"
        );
        let switched =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
        socket.write_all(switched.as_bytes()).unwrap();
        let mut bytes = [0; 64];
        while let Ok(len @ 1..) = socket.read(&mut bytes) {
            socket.write_all(&bytes[..len]).unwrap();
        }
    });
    let gateway = world.start(&upstream, "drain-timeout = 1");
    let mut socket = connect(gateway.listen);
    let asked = "GET /live HTTP/1.1\r\nHost: g\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    socket.write_all(asked.as_bytes()).unwrap();
    let answer = head(&mut socket);
    is(&answer, 101, "");
    for text in ["ping", "pong"] {
        socket.write_all(text.as_bytes()).unwrap();
        let mut bytes = [0; 4];
        socket.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, text.as_bytes());
    }
    // It goes on while the gateway drains, and ends with it.
    gateway.signal();
    socket.write_all(b"last").unwrap();
    let mut bytes = [0; 4];
    socket.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"last");
    assert_eq!(socket.read(&mut bytes).unwrap_or(0), 0);
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn a_request_under_way_ends_before_the_gateway_does() {
    let world = World::new();
    let gateway = world.start(&world.server.url(""), "drain-timeout = 20");
    is(&gateway.get("/"), 200, "\"ok\"");
    let pause = Duration::from_millis(1500);
    world.provider.api_fault_next(ApiFault::SlowBody(pause));
    let listen = gateway.listen;
    let slow = thread::spawn(move || {
        call(
            listen,
            "GET /slow HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n",
        )
    });
    while world.provider.accepted().len() < 2 {
        thread::sleep(Duration::from_millis(5));
    }
    let (code, log) = gateway.end();
    assert_eq!(code, Some(0), "{log}");
    let answer = slow.join().unwrap();
    is(&answer, 200, "sha1");
    assert!(answer.trim_end().ends_with(['}', '0']), "{answer}");
}

#[test]
fn requests_by_http_2_are_taken() {
    use http_body_util::{BodyExt as _, Empty};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;

    let world = World::new();
    let gateway = world.start(&world.server.url(""), "");
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Empty<bytes::Bytes>>();
    let uri: http::Uri = format!("http://{}/user/profile?a=1", gateway.listen)
        .parse()
        .unwrap();
    let status = world.runtime.block_on(async {
        let answer = client.get(uri).await.unwrap();
        let status = answer.status();
        answer.into_body().collect().await.unwrap();
        status
    });
    assert_eq!(status, 200);
    assert_eq!(world.provider.accepted()[0].path, "/user/profile");
    drop(client);
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn a_login_is_taken_once_and_from_the_browser_that_began_it() {
    let world = World::new();
    let gateway = world.start(&world.server.url(""), "");
    let admin = |request: String| call(gateway.admin, &request);
    let host = gateway.admin;
    let get = |path: &str, more: &str| {
        admin(format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n"
        ))
    };
    // The state, and the cookie of the browser that began.
    let begin = || {
        let begun = get("/login?account=carol", "");
        assert!(begun.starts_with("HTTP/1.1 30"), "{begun}");
        let header = |name: &str| {
            let lines = begun.lines().filter_map(|line| line.split_once(": "));
            let mut found = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
            found.next().unwrap().1.to_owned()
        };
        let (location, cookie) = (header("location"), header("set-cookie"));
        let state = location.split_once("state=").unwrap().1;
        let cookie = cookie.split(';').next().unwrap();
        (
            state.split('&').next().unwrap().to_owned(),
            format!("Cookie: {cookie}\r\n"),
        )
    };
    let callback = |state: &str| {
        let code = world.provider.authorization_code();
        let query = [("code", code.expose_secret()), ("state", state)];
        format!("/callback?{}", serde_urlencoded::to_string(query).unwrap())
    };
    let refused = |answer: &str| answer.starts_with("HTTP/1.1 4");
    let (state, _) = begin();
    assert!(refused(&get(&callback(&state), "")), "no cookie");
    let (state, cookie) = begin();
    for foreign in ["foreign", ""] {
        assert!(refused(&get(&callback(foreign), &cookie)), "{foreign}");
    }
    assert_eq!(world.provider.token_requests(), 0);
    let taken = get(&callback(&state), &cookie);
    assert!(!refused(&taken), "{taken}");
    assert!(refused(&get(&callback(&state), &cookie)), "spent");
    assert_eq!(world.provider.token_requests(), 1);
    assert!(get("/accounts", "").contains("carol"), "{taken}");
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn what_is_wrong_is_said_before_anything_starts() {
    let world = World::new();
    let config = world.settings(&world.server.url(""), "");
    let run = |command: &mut Command| -> Output { command.output().unwrap() };
    let good = run(world.command(&config).arg("--check"));
    assert_eq!(good.status.code(), Some(0), "{good:?}");

    for (more, named) in [
        ("upstreem = \"x\"", "upstreem"),
        ("max-body = \"many\"", "max-body"),
        ("account-header = \"x-account\"", "account-header"),
        ("sign-host = \"a b\"", "sign-host"),
    ] {
        let config = world.settings(&world.server.url(""), more);
        let bad = run(world.command(&config).arg("--check"));
        let told = String::from_utf8_lossy(&bad.stderr);
        assert_eq!(bad.status.code(), Some(2), "{more}: {told}");
        assert!(told.contains(named), "{more}: {told}");
        assert!(!told.contains(&secret(&world.provider)), "{told}");
    }
    let config = world.settings(&world.server.url(""), "");
    let unreadable = run(world
        .command(&config)
        .arg("--check")
        .env("MAC_CLIENT_SECRET_FILE", "/does/not/exist"));
    let told = String::from_utf8_lossy(&unreadable.stderr);
    assert_eq!(unreadable.status.code(), Some(2));
    assert!(told.contains("MAC_CLIENT_SECRET_FILE"), "{told}");

    let unreachable = run(world.command(&config).args([
        "--check",
        "--store",
        "postgres://u:CANARY@127.0.0.1:1/x",
    ]));
    let told = String::from_utf8_lossy(&unreachable.stderr);
    assert_eq!(unreachable.status.code(), Some(1), "{told}");
    assert!(!told.contains("CANARY"), "{told}");
}
