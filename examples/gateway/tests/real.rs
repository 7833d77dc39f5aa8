//! The gateway as it runs in earnest: from a file of settings and files of secrets, in front of an API
//! that behaves and one that does not.
#![allow(clippy::unwrap_used, missing_docs)]

mod real_gateway;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use real_gateway::{World, api, call, connect, head, is, secret};
use tower_mac_auth::testing::{ApiFault, Fault};

/// Signs everything.
const ALICE: &str = "account = \"alice\"";

#[test]
fn what_comes_in_is_signed_and_what_was_stored_is_used_again_after_a_restart() {
    let world = World::new();
    let upstream = world.server.url("");
    let mut signed = 0;
    for _ in 0..2 {
        let gateway = world.start(&upstream, ALICE);
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
    let gateway = world.start(&upstream, ALICE);
    world.provider.expire_access_tokens();
    is(&gateway.get("/user/profile"), 401, "96008");
    assert_eq!(world.provider.presentations().len(), 1);
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn what_fails_has_a_status_and_a_reason() {
    let world = World::new();
    let upstream = world.server.url("");
    let gateway = world.start(
        &upstream,
        "account = \"alice\"\nmax-body = 10\nupstream-timeout = 1",
    );
    is(&gateway.get("/user/profile"), 200, "\"ok\"");

    let over = "POST /lamp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 11\r\n\r\n01234567890";
    is(&gateway.send(over), 413, "body_too_large");
    let chunked = "POST /lamp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n";
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
    let gateway = world.start(&nobody, ALICE);
    is(&gateway.get("/"), 502, "\"error\"");
    assert_eq!(gateway.end().0, Some(0));
    assert!(world.provider.presented_twice().is_empty());
}

#[test]
fn a_token_endpoint_that_is_away_costs_a_503_and_no_token() {
    let world = World::new();
    let gateway = world.start(&world.server.url(""), ALICE);
    world
        .provider
        .fault_next(Fault::RateLimited { retry_after: None });
    let answer = gateway.get("/user/profile");
    is(&answer, 503, "rate_limited");
    assert!(world.provider.presentations().is_empty());
    assert_eq!(gateway.end().0, Some(0));
    // The token is as good as before.
    let gateway = world.start(&world.server.url(""), ALICE);
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
    let gateway = world.start(&upstream, "account = \"alice\"\ndrain-timeout = 1");
    let mut socket = connect(gateway.listen);
    let asked =
        "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
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
    let gateway = world.start(
        &world.server.url(""),
        "account = \"alice\"\ndrain-timeout = 20",
    );
    is(&gateway.get("/"), 200, "\"ok\"");
    let pause = Duration::from_millis(1500);
    world.provider.api_fault_next(ApiFault::SlowBody(pause));
    let listen = gateway.listen;
    let slow = thread::spawn(move || {
        call(
            listen,
            "GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
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
    let gateway = world.start(&world.server.url(""), ALICE);
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
    let gateway = world.start(&world.server.url(""), ALICE);
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
    let config = world.settings(&world.server.url(""), ALICE);
    let run = |command: &mut Command| -> Output { command.output().unwrap() };
    let good = run(world.command(&config).arg("--check"));
    assert_eq!(good.status.code(), Some(0), "{good:?}");

    for (more, named) in [
        ("upstreem = \"x\"", "upstreem"),
        ("max-body = \"many\"", "max-body"),
        ("account-header = \"x-account\"", "account-header"),
        ("sign-host = \"a b\"", "sign-host"),
    ] {
        let config = world.settings(&world.server.url(""), &format!("{ALICE}\n{more}"));
        let bad = run(world.command(&config).arg("--check"));
        let told = String::from_utf8_lossy(&bad.stderr);
        assert_eq!(bad.status.code(), Some(2), "{more}: {told}");
        assert!(told.contains(named), "{more}: {told}");
        assert!(!told.contains(&secret(&world.provider)), "{told}");
    }
    let config = world.settings(&world.server.url(""), ALICE);
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
