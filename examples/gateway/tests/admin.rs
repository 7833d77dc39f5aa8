//! The admin address, over real sockets.
#![allow(clippy::unwrap_used, missing_docs)]

mod demo_gateway;

use demo_gateway::{Demo, header};
use serde_json::Value;

const PROGRAM: &str = "x-requested-with: test\r\nContent-Length: 0\r\n";

/// Its status, its head and its body.
fn parts(answer: &str) -> (u16, String, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

/// An answer that is no success, with the word for programs.
fn refused(answer: &str) -> (u16, String) {
    let (status, head, body) = parts(answer);
    assert!(head.contains("content-type: application/json"), "{answer}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(!body["reason"].as_str().unwrap().is_empty(), "{answer}");
    (status, body["error"].as_str().unwrap().to_owned())
}

#[test]
fn whatever_is_wrong_with_a_request_is_said_in_json() {
    let demo = Demo::start();
    for (method, path, status, error) in [
        ("GET", "/accounts?limit=many", 400, "query"),
        ("GET", "/accounts?after=%ff", 400, "query"),
        ("GET", "/accounts?after=", 400, "account_name"),
        ("GET", "/login?account=%ff", 400, "query"),
        ("GET", "/login?account=a&account=b", 400, "query"),
        ("GET", "/login", 400, "account_name"),
        ("GET", "/callback?code=%ff", 400, "query"),
        ("POST", "/accounts/%ff/refresh", 400, "path"),
        ("POST", "/accounts/%00/refresh", 400, "account_name"),
        ("POST", "/accounts/nobody/refresh", 404, "account_unknown"),
        ("POST", "/accounts/nobody/revoke", 404, "account_unknown"),
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/healthz", 405, "method"),
        ("GET", "/accounts/alice/revoke", 405, "method"),
    ] {
        let answer = demo.admin(method, path, PROGRAM);
        let told = (status, error.to_owned());
        assert_eq!(refused(&answer), told, "{method} {path}");
        assert_eq!(
            header(&answer, "allow").is_some(),
            status == 405,
            "{answer}"
        );
    }
    assert_eq!(demo.end(), Some(0));
}

#[test]
fn an_operator_who_refreshes_twice_is_no_refusal_by_the_api() {
    let demo = Demo::start();
    for _ in 0..2 {
        let answer = demo.admin("POST", "/accounts/bob/refresh", PROGRAM);
        assert_eq!(parts(&answer).0, 200, "{answer}");
    }
    let numbers = demo.admin("GET", "/metrics", "");
    for counted in [
        "mac_auth_refusals_total{reason=\"rejected_fresh\"} 0",
        "mac_auth_refreshes_total{outcome=\"refreshed\"} 2",
    ] {
        assert!(numbers.contains(counted), "{numbers}");
    }
    assert_eq!(demo.end(), Some(0));
}

#[test]
fn a_link_from_elsewhere_begins_no_login_but_leads_to_the_page_that_asks() {
    let demo = Demo::start();
    // Over plain HTTP to another machine browsers say nothing of where a link was.
    let html = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";
    for browser in [
        html,
        "Sec-Fetch-Site: none\r\n",
        "Sec-Fetch-Site: same-origin\r\n",
    ] {
        let asked = demo.admin("GET", "/login?account=a%26b%20%E5%B0%8F", browser);
        assert_eq!(parts(&asked).0, 303, "{asked}");
        let to = header(&asked, "location").unwrap();
        assert_eq!(to, "/?login=a%26b%20%E5%B0%8F");
        assert_eq!(header(&asked, "set-cookie"), None);
    }
    let cross = demo.admin("GET", "/login?account=a", "Sec-Fetch-Site: cross-site\r\n");
    assert_eq!(refused(&cross), (403, "cross_site".to_owned()));

    let begun = demo.admin("POST", "/login?account=carol", PROGRAM);
    let (status, _, body) = parts(&begun);
    assert_eq!(status, 200, "{begun}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(body["to"].as_str().unwrap().contains("state="), "{begun}");
    assert!(header(&begun, "set-cookie").is_some(), "{begun}");
    let simple = demo.admin("POST", "/login?account=carol", "Content-Length: 0\r\n");
    assert_eq!(refused(&simple), (403, "cross_site".to_owned()));
    // A program has no session at the provider that a page could use.
    let program = demo.admin("GET", "/login?account=carol", "Accept: */*\r\n");
    assert_eq!(parts(&program).0, 303, "{program}");
    assert!(header(&program, "set-cookie").is_some(), "{program}");
    for path in ["/login?account=carol", "/callback?state=a&code=b"] {
        let head = demo.admin("HEAD", path, "");
        assert_eq!(parts(&head).0, 405, "{head}");
        assert_eq!(header(&head, "set-cookie"), None);
    }
    assert_eq!(demo.end(), Some(0));
}

#[test]
fn an_account_may_be_called_what_a_path_cannot_have() {
    let demo = Demo::start();
    let taken = demo.log_in("..");
    assert_eq!(parts(&taken).0, 200, "{taken}");
    let revoked = demo.admin("POST", "/accounts/revoke?account=..", PROGRAM);
    assert_eq!(parts(&revoked).0, 200, "{revoked}");
    let refreshed = demo.admin("POST", "/accounts/refresh?account=..", PROGRAM);
    let told = (403, "authorization_required".to_owned());
    assert_eq!(refused(&refreshed), told);
    assert_eq!(demo.end(), Some(0));
}

#[test]
fn each_histogram_is_as_prometheus_wants_it() {
    let demo = Demo::start();
    let refreshed = demo.admin("POST", "/accounts/bob/refresh", PROGRAM);
    assert_eq!(parts(&refreshed).0, 200, "{refreshed}");
    let numbers = demo.admin("GET", "/metrics", "");
    // The series but for its end, the bound, the count.
    let buckets: Vec<(&str, &str, u64)> = numbers
        .lines()
        .filter_map(|line| {
            let (series, rest) = line.split_once("le=\"")?;
            let (bound, count) = rest.split_once("\"} ")?;
            Some((series, bound, count.parse().unwrap()))
        })
        .collect();
    assert!(!buckets.is_empty(), "{numbers}");
    for buckets in buckets.chunk_by(|one, other| one.0 == other.0) {
        let bounds = buckets
            .iter()
            .map(|(_, bound, _)| bound.parse::<f64>().unwrap());
        assert!(bounds.is_sorted_by(|one, other| one < other), "{buckets:?}");
        assert!(
            buckets.is_sorted_by_key(|(.., count)| *count),
            "{buckets:?}"
        );
        let (series, bound, count) = buckets.last().unwrap();
        assert_eq!(*bound, "+Inf", "{series}");
        let (name, labels) = series.split_once("_bucket{").unwrap();
        let labels = labels
            .strip_suffix(',')
            .map(|labels| format!("{{{labels}}}"));
        let whole = format!("\n{name}_count{} {count}\n", labels.unwrap_or_default());
        assert!(numbers.contains(&whole), "no {whole}: {numbers}");
    }
    assert_eq!(demo.end(), Some(0));
}

#[test]
fn a_browser_that_asks_for_an_icon_is_told_of_no_fault() {
    let demo = Demo::start();
    let icon = demo.admin("GET", "/favicon.ico", "Sec-Fetch-Site: same-origin\r\n");
    assert_eq!(parts(&icon).0, 204, "{icon}");
    assert_eq!(demo.end(), Some(0));
}
