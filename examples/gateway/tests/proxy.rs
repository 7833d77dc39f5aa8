//! What callers, APIs and web pages may do to the address where requests come in.
#![allow(clippy::unwrap_used, missing_docs)]

mod real_gateway;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use real_gateway::{Gateway, World, api, call, connect, head, is};
use tower_mac_auth::provider::xiaomi::ErrorCode;
use tower_mac_auth::testing::{ApiFault, Fault};

const ALICE: &str = "account = \"alice\"";

/// An API that answers each request with what it was sent, head and body, to the end of the body or of
/// the trailers.
fn echo(mut socket: TcpStream) {
    let mut request = head(&mut socket);
    if request.contains("transfer-encoding: chunked") {
        let mut byte = [0];
        while !(request.ends_with("\r\n\r\n") && request.contains("\r\n0\r\n"))
            && socket.read(&mut byte).unwrap_or(0) == 1
        {
            request.push(char::from(byte[0]));
        }
    }
    let length = request.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{request}"
    );
    let _ = socket.write_all(answer.as_bytes());
}

fn ask(gateway: &Gateway, method: &str, headers: &str) -> String {
    gateway.send(&format!(
        "{method} /a HTTP/1.1\r\nConnection: close\r\n{headers}\r\n"
    ))
}

/// Waits until the log has this, and gives it.
fn logged(world: &World, text: &str) -> String {
    let log = world.dir.path().join("log");
    for _ in 0..1000 {
        let log = std::fs::read_to_string(&log).unwrap();
        if let Some(line) = log.lines().find(|line| line.contains(text)) {
            return line.to_owned();
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("no {text}: {}", std::fs::read_to_string(&log).unwrap());
}

#[test]
fn the_web_page_of_another_gets_nothing_signed() {
    let world = World::new();
    let upstream = api(echo);
    let (own, other) = ("Host: localhost\r\n", "Host: evil.example\r\n");
    let of_app =
        "Host: app.example\r\nOrigin: https://app.example\r\nSec-Fetch-Site: cross-site\r\n";
    let cross = "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n";
    let origin = "Host: localhost\r\nOrigin: http://evil.example\r\n";

    let gateway = world.start(&upstream, ALICE);
    is(&ask(&gateway, "GET", own), 200, "authorization: MAC");
    is(&ask(&gateway, "GET", other), 421, "--host");
    is(&ask(&gateway, "GET", of_app), 421, "--host");
    is(&ask(&gateway, "GET", cross), 403, "cross_site");
    is(&ask(&gateway, "POST", origin), 403, "cross_site");
    let same = "Host: localhost\r\nSec-Fetch-Site: same-origin\r\n";
    is(&ask(&gateway, "GET", same), 200, "");
    assert_eq!(gateway.end().0, Some(0));

    let named = format!("{ALICE}\nhost = [\"app.example\"]");
    let gateway = world.start(&upstream, &named);
    is(&ask(&gateway, "GET", of_app), 200, "authorization: MAC");
    is(&ask(&gateway, "GET", other), 421, "--host");
    is(&ask(&gateway, "GET", cross), 403, "cross_site");
    assert_eq!(gateway.end().0, Some(0));

    let open = format!("{ALICE}\nhost = [\"*\"]");
    let gateway = world.start(&upstream, &open);
    for headers in [own, other, of_app, cross, origin] {
        is(&ask(&gateway, "GET", headers), 200, "");
    }
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn methods_that_end_here_go_no_further() {
    let world = World::new();
    let gateway = world.start(&api(echo), ALICE);
    let host = "Host: localhost\r\n";
    is(&ask(&gateway, "TRACE", host), 501, "method");
    let hops = |hops: u8| format!("{host}Max-Forwards: {hops}\r\n");
    is(&ask(&gateway, "OPTIONS", &hops(0)), 501, "max-forwards");
    is(&ask(&gateway, "OPTIONS", &hops(5)), 200, "max-forwards: 4");
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn an_api_that_changes_to_what_nobody_asked_for_is_not_followed() {
    let world = World::new();
    let upstream = api(|mut socket| {
        head(&mut socket);
        let other =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n";
        let _ = socket.write_all(other.as_bytes());
        let _ = socket.read(&mut [0]);
    });
    let gateway = world.start(&upstream, ALICE);
    let asked =
        "GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let mut socket = connect(gateway.listen);
    socket.write_all(asked.as_bytes()).unwrap();
    is(&head(&mut socket), 502, "");
    drop(socket);
    is(&ask(&gateway, "GET", "Host: localhost\r\n"), 502, "");
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn a_coding_that_is_not_taken_off_is_not_sent_on() {
    let world = World::new();
    let upstream = api(|mut socket| {
        head(&mut socket);
        let coded = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\n\r\n";
        let _ = socket.write_all(coded.as_bytes());
    });
    let gateway = world.start(&upstream, ALICE);
    let request = "POST /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    is(&call(gateway.listen, request), 501, "transfer-encoding");
    let answer = ask(&gateway, "GET", "Host: localhost\r\n");
    is(&answer, 502, "transfer-encoding");
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn a_trailer_names_no_account_and_no_credential() {
    let world = World::new();
    let gateway = world.start(&api(echo), "account-header = \"x-account\"");
    let request = "POST /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTE: trailers\r\nx-account: alice\r\n\
                   Trailer: x-sum, x-account\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\
                   x-sum: 7\r\nx-account: SECRET\r\nauthorization: SECRET\r\nhost: SECRET\r\n\r\n";
    let answer = call(gateway.listen, request);
    is(&answer, 200, "x-sum: 7");
    assert!(!answer.contains("SECRET"), "{answer}");
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn who_is_late_is_told_so_and_not_another() {
    let world = World::new();
    // The API wants the whole body before it answers, and then stops in the middle of its own.
    let upstream = api(|mut socket| {
        head(&mut socket);
        let mut body = [0; 4];
        if socket.read_exact(&mut body).is_ok() {
            let half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhalf";
            let _ = socket.write_all(half.as_bytes());
        }
        let _ = socket.read(&mut [0]);
    });
    let gateway = world.start(&upstream, &format!("{ALICE}\nupstream-timeout = 1"));
    let post = "POST /late HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n";
    // Two of four bytes, and no more.
    is(
        &call(gateway.listen, &format!("{post}ab")),
        408,
        "body_timeout",
    );
    assert!(logged(&world, "status=408").contains("path=\"/late\""));
    let whole = call(gateway.listen, &format!("{post}abcd"));
    assert!(whole.ends_with("\r\n\r\nhalf"), "{whole}");
    let line = logged(&world, "status=200");
    assert!(line.contains("nothing has moved for 1 s"), "{line}");
    assert_eq!(gateway.end().0, Some(0));
}

/// How many requests the API of the next test has had.
static ASKED: AtomicUsize = AtomicUsize::new(0);

#[test]
fn each_request_has_one_line_also_if_its_caller_goes_away() {
    let world = World::new();
    let upstream = api(|mut socket| {
        let asked = head(&mut socket);
        ASKED.fetch_add(1, Ordering::Relaxed);
        if asked.contains("/body") {
            let half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
            let _ = socket.write_all(half.as_bytes());
        }
        let _ = socket.read(&mut [0]);
    });
    let gateway = world.start(&upstream, ALICE);
    let ask = |path: &str| {
        let mut socket = connect(gateway.listen);
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        socket
    };
    let mut socket = ask("/body");
    let mut half = [0; 4];
    while !half.ends_with(b"half") {
        half.rotate_left(1);
        socket.read_exact(&mut half[3..]).unwrap();
    }
    drop(socket);
    let line = logged(&world, "path=\"/body\"");
    assert!(
        line.contains("status=200") && line.contains("went away"),
        "{line}"
    );

    // Long paths are cut, and nothing of a query is shown.
    let many = "x".repeat(2000);
    let socket = ask(&format!("/{many}?SECRET"));
    while ASKED.load(Ordering::Relaxed) < 2 {
        thread::sleep(Duration::from_millis(5));
    }
    drop(socket);
    let line = logged(&world, "status=499");
    assert!(line.len() < 700 && line.contains("xxx…\""), "{line}");
    // It may have been acted on.
    assert!(line.contains("attempt=1"), "{line}");
    let numbers = call(
        gateway.admin,
        &format!(
            "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            gateway.admin
        ),
    );
    let counted = "mac_gateway_requests_total{status=\"4xx\"} 1";
    assert!(numbers.contains(counted), "{numbers}");
    let (code, log) = gateway.end();
    assert_eq!(code, Some(0));
    assert!(!log.contains("SECRET"));
    assert_eq!(log.matches("mac_gateway::request").count(), 2, "{log}");
}

#[test]
fn who_closes_one_half_of_a_connection_goes_away() {
    let world = World::new();
    let upstream = api(|mut socket| {
        head(&mut socket);
        let _ = socket.read(&mut [0]);
    });
    let gateway = world.start(&upstream, ALICE);
    let mut socket = connect(gateway.listen);
    let request = "GET /half HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(request.as_bytes()).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert!(answer.is_empty());
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn by_http_2_too_there_is_an_end_to_headers() {
    use http_body_util::Empty;
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;

    let world = World::new();
    let gateway = world.start(&world.server.url(""), ALICE);
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Empty<bytes::Bytes>>();
    for (count, status) in [(90, 200), (101, 431)] {
        let mut request = http::Request::get(format!("http://{}/a", gateway.listen));
        for number in 0..count {
            request = request.header(format!("x-{number}"), "1");
        }
        let request = request.body(Empty::new()).unwrap();
        let answer = world.runtime.block_on(client.request(request));
        assert_eq!(answer.unwrap().status(), status, "{count}");
    }
    drop(client);
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn who_waits_for_a_credential_does_not_wait_for_the_api() {
    let world = World::new();
    let gateway = world.start(
        &world.server.url(""),
        &format!("{ALICE}\nupstream-timeout = 1"),
    );
    let delay = Duration::from_millis(2500);
    world.provider.fault_next(Fault::Delay(delay));
    is(&gateway.get("/first"), 200, "\"ok\"");
    assert!(logged(&world, "path=\"/first\"").contains("attempt=1"));
    world.provider.api_fault_next(ApiFault::Stall);
    is(&gateway.get("/late"), 504, "upstream_timeout");
    assert!(logged(&world, "path=\"/late\"").contains("attempt=1"));
    is(&gateway.get("/bad?%zz"), 400, "query");
    assert!(logged(&world, "path=\"/bad\"").contains("attempt=0"));
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn a_line_tells_who_asked_and_why_it_failed_and_nobody_can_write_in_it() {
    let world = World::new();
    let gateway = world.start(&world.server.url(""), "account-header = \"x-account\"");
    let forged = "Host: localhost\r\nx-account: bob status=200 attempt=1\r\nx-request-id: r-7\r\n";
    is(&ask(&gateway, "GET", forged), 403, "account_unknown");
    let line = logged(&world, "status=403");
    for part in [
        "account=\"bob status=200 attempt=1\"",
        "id=\"r-7\"",
        "peer=127.0.0.1",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    // A record that is damaged while the gateway runs: its caller is told that it is the store.
    world.damage("alice");
    let alice = "Host: localhost\r\nx-account: alice\r\n";
    let answer = ask(&gateway, "GET", alice);
    is(&answer, 503, "store");
    assert!(!answer.contains("alice.json"), "{answer}");
    let line = logged(&world, "status=503");
    assert!(line.contains("alice.json"), "{line}");
    assert_eq!(gateway.end().0, Some(0));
}

/// How many requests the API of the next test has had.
static STALLED: AtomicUsize = AtomicUsize::new(0);

#[test]
fn a_request_that_is_cut_by_the_end_is_not_the_callers_doing() {
    let world = World::new();
    let upstream = api(|mut socket| {
        head(&mut socket);
        STALLED.fetch_add(1, Ordering::Relaxed);
        let _ = socket.read(&mut [0]);
    });
    let gateway = world.start(&upstream, &format!("{ALICE}\ndrain-timeout = 1"));
    let mut socket = connect(gateway.listen);
    let request = "GET /stalls HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(request.as_bytes()).unwrap();
    while STALLED.load(Ordering::Relaxed) == 0 {
        thread::sleep(Duration::from_millis(5));
    }
    let (code, log) = gateway.end();
    assert_eq!(code, Some(0), "{log}");
    let line = log.lines().find(|line| line.contains("/stalls")).unwrap();
    assert!(
        line.contains("status=503") && line.contains("the gateway ended"),
        "{line}"
    );
    assert!(log.trim_end().ends_with("owes nothing"), "{log}");
}

#[test]
fn an_answer_with_trailers_or_without_a_body_is_whole() {
    let world = World::new();
    let upstream = api(|mut socket| {
        let asked = head(&mut socket);
        let answer = if asked.starts_with("HEAD") {
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n"
        } else {
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum, connection\r\nConnection: close\r\n\r\n\
             2\r\nok\r\n0\r\nx-sum: 7\r\nconnection: close\r\n\r\n"
        };
        let _ = socket.write_all(answer.as_bytes());
    });
    let gateway = world.start(&upstream, ALICE);
    let answer = ask(&gateway, "GET", "Host: localhost\r\nTE: trailers\r\n");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        body.contains("x-sum: 7") && !body.contains("connection"),
        "{answer}"
    );
    is(&ask(&gateway, "HEAD", "Host: localhost\r\n"), 200, "");
    let (code, log) = gateway.end();
    assert_eq!(code, Some(0));
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("status=200"))
        .collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(!log.contains("why="), "{log}");
}

#[test]
fn an_answer_that_ends_early_ends_its_connection() {
    let world = World::new();
    let upstream = api(|mut socket| {
        let asked = head(&mut socket);
        let early = if asked.starts_with("GET /early") {
            ""
        } else {
            "}"
        };
        // Short enough to be looked at before it is passed on.
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{{\"a\": 1{early}"
        );
        let _ = socket.write_all(answer.as_bytes());
    });
    let gateway = world.start(&upstream, ALICE);
    let ask = |path: &str| {
        // The connection is kept, were it not for the answer.
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut socket = connect(gateway.listen);
        socket.write_all(get(path).as_bytes()).unwrap();
        let first = head(&mut socket);
        let _ = socket.write_all(get("/next").as_bytes());
        let _ = socket.shutdown(Shutdown::Write);
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest);
        first + &String::from_utf8(rest).unwrap()
    };
    let whole = ask("/whole");
    assert!(whole.contains("\r\n\r\n{\"a\": 1}"), "{whole}");
    let early = ask("/early");
    assert_eq!(early.matches("HTTP/1.1").count(), 1, "{early}");
    assert!(early.ends_with("\r\n\r\n{\"a\": 1"), "{early}");
    let line = logged(&world, "path=\"/early\"");
    assert!(line.contains("the API's body broke off"), "{line}");
    let (code, log) = gateway.end();
    assert_eq!(code, Some(0));
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn who_takes_nothing_of_an_answer_is_given_up() {
    let world = World::new();
    let upstream = api(|mut socket| {
        head(&mut socket);
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while socket.write_all(&[7; 8192]).is_ok() {}
    });
    let gateway = world.start(&upstream, &format!("{ALICE}\nupstream-timeout = 1"));
    let mut socket = connect(gateway.listen);
    socket
        .write_all(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let line = logged(&world, "path=\"/big\"");
    assert!(line.contains("has not gone on with the answer"), "{line}");
    assert_eq!(gateway.end().0, Some(0));
}

/// How many requests the API of the next test has been rid of.
static LET_GO: AtomicUsize = AtomicUsize::new(0);

#[test]
fn an_upload_that_stalls_after_its_answer_is_given_up() {
    let world = World::new();
    let upstream = api(|mut socket| {
        head(&mut socket);
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        while socket.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
        LET_GO.fetch_add(1, Ordering::Relaxed);
    });
    let gateway = world.start(&upstream, &format!("{ALICE}\nupstream-timeout = 1"));
    let mut socket = connect(gateway.listen);
    let post = "POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab";
    socket.write_all(post.as_bytes()).unwrap();
    let mut answer = String::new();
    // It ends, though the caller does not end it.
    socket.read_to_string(&mut answer).unwrap();
    is(&answer, 200, "ok");
    while LET_GO.load(Ordering::Relaxed) == 0 {
        thread::sleep(Duration::from_millis(5));
    }
    let (code, log) = gateway.end();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("path=\"/early\"").count(), 1, "{log}");
}

/// Whether the caller of the next test is rid of its connection, and the API was.
static CALLER_LEFT: AtomicUsize = AtomicUsize::new(0);
static API_LEFT: AtomicUsize = AtomicUsize::new(0);

#[test]
fn an_upload_that_the_api_reads_no_more_is_given_up_after_its_answer() {
    let world = World::new();
    let upstream = api(|mut socket| {
        head(&mut socket);
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        while CALLER_LEFT.load(Ordering::Relaxed) == 0 {
            thread::sleep(Duration::from_millis(5));
        }
        // What was under way, and then the end.
        while socket.read(&mut [0; 8192]).is_ok_and(|read| read > 0) {}
        API_LEFT.fetch_add(1, Ordering::Relaxed);
    });
    let gateway = world.start(&upstream, &format!("{ALICE}\nupstream-timeout = 1"));
    let mut socket = connect(gateway.listen);
    let post = "POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n";
    socket.write_all(post.as_bytes()).unwrap();
    let mut caller = socket.try_clone().unwrap();
    caller
        .set_write_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let uploads = thread::spawn(move || {
        loop {
            if let Err(error) = caller.write_all(&[7; 8192]) {
                return error.kind();
            }
        }
    });
    is(&head(&mut socket), 200, "");
    // The caller goes on, and is not kept.
    assert_ne!(uploads.join().unwrap(), ErrorKind::WouldBlock);
    CALLER_LEFT.fetch_add(1, Ordering::Relaxed);
    while API_LEFT.load(Ordering::Relaxed) == 0 {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn cookies_of_logins_stay_here_and_others_go_on() {
    let world = World::new();
    let gateway = world.start(&api(echo), ALICE);
    let asked = "Host: localhost\r\nCookie: a=1; mac_gateway_login_abc=SECRET; b=2\r\n";
    let answer = ask(&gateway, "GET", asked);
    is(&answer, 200, "cookie: a=1; b=2");
    assert!(!answer.contains("SECRET"), "{answer}");
    let asked = "Host: localhost\r\nCookie: mac_gateway_login_abc=SECRET\r\n";
    let answer = ask(&gateway, "GET", asked);
    assert!(!answer.contains("cookie"), "{answer}");
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn no_api_sets_a_cookie_of_a_login() {
    let world = World::new();
    let upstream = api(|mut socket| {
        head(&mut socket);
        // Browsers send one without a name back as its value alone.
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\nSet-Cookie: a=1; Path=/\r\n\
                      Set-Cookie: mac_gateway_login_abc=SECRET; Path=/\r\nSet-Cookie: \t = mac_gateway_login_abc=SECRET\r\n\
                      Set-Cookie: b=mac_gateway_login_abc\r\n\r\n";
        let _ = socket.write_all(answer.as_bytes());
    });
    let gateway = world.start(&upstream, ALICE);
    let answer = ask(&gateway, "GET", "Host: localhost\r\n");
    is(&answer, 200, "set-cookie: a=1; Path=/\r\n");
    is(&answer, 200, "set-cookie: b=mac_gateway_login_abc\r\n");
    assert!(!answer.contains("SECRET"), "{answer}");
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn an_operator_sees_why_an_account_fails_and_each_end_is_told() {
    let world = World::with_accounts(2);
    let gateway = world.start(&world.server.url(""), "account-header = \"x-account\"");
    let admin = |method: &str, path: &str| {
        let host = gateway.admin;
        call(
            host,
            &format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\nx-requested-with: test\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n"
            ),
        )
    };
    world
        .provider
        .fault_next(Fault::RefuseWith(ErrorCode::ClientMismatch));
    let asked = "Host: localhost\r\nx-account: user-0\r\n";
    is(&ask(&gateway, "GET", asked), 502, "client_refused");
    let listed = admin("GET", "/accounts");
    assert!(listed.contains("\"rotation\":\"backing_off\""), "{listed}");
    let first = listed.split_once("user-1").map_or("", |(first, _)| first);
    assert!(!first.contains("\"why\":null"), "{listed}");
    // It was never asked for, so no account of it is open.
    is(&admin("POST", "/accounts/user-1/revoke"), 200, "user-1");
    let line = logged(&world, "ended by an operator");
    assert!(line.contains("user-1"), "{line}");
    assert_eq!(gateway.end().0, Some(0));
}
