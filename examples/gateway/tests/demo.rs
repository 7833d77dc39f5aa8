//! The gateway as it shows itself, over real sockets: what it tells people to try does what it says.
#![allow(clippy::unwrap_used, missing_docs)]

mod demo_gateway;

use demo_gateway::Demo;

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
    // Whatever the dashboard shows and the alerts look at is there.
    let shown = include_str!("../grafana/dashboard.json");
    let watched = include_str!("../prometheus/alerts.yml");
    let names = [shown, watched].into_iter().flat_map(|text| {
        let is_name = |character: char| character.is_ascii_lowercase() || character == '_';
        let words = text.split(move |character| !is_name(character));
        words.filter(|word| word.starts_with("mac_auth_"))
    });
    for name in names {
        assert!(numbers.contains(&format!("\n{name}")), "{name}: {numbers}");
    }
    assert_eq!(demo.end(), Some(0));
}

#[test]
fn an_account_whose_name_is_not_ascii_signs_as_others_do() {
    let demo = Demo::start();
    is(&demo.log_in("%E5%B0%8F%E7%B1%B3%20100%25"), 200);
    let named = |name: &str| demo.get("/user/profile", &format!("x-account: {name}\r\n"));
    is(&named("小米 100%"), 200);
    is(&named("%E5%B0%8F%E7%B1%B3%20100%25"), 403);
    // In Latin-1, which no name is.
    let mut request =
        format!("GET / HTTP/1.1\r\nHost: {}\r\nx-account: ", demo.listen).into_bytes();
    request.extend_from_slice(b"caf\xe9\r\nConnection: close\r\n\r\n");
    is(&Demo::call_bytes(&demo.listen, &request), 400);
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
            501,
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
