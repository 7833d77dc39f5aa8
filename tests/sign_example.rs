//! The `sign` example, run on lines in memory.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

use serde_json::{Value, json};

#[path = "../examples/sign.rs"]
#[expect(dead_code, reason = "its `main` is not called")]
mod sign;

fn answers(input: &[u8]) -> Vec<Value> {
    let mut output = Vec::new();
    sign::run(&mut &*input, &mut output).unwrap();
    let output = String::from_utf8(output).unwrap();
    output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_vector_passes_through_it() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors/xiaomi.json")).unwrap();
    // Blank lines are skipped.
    let input: Vec<_> = vectors
        .iter()
        .map(|vector| format!("{vector}\n \n"))
        .collect();
    let answers = answers(input.concat().as_bytes());
    assert_eq!(answers.len(), vectors.len());
    for (answer, vector) in answers.iter().zip(&vectors) {
        for field in ["canonical", "mac", "authorization"] {
            assert_eq!(answer[field], vector[field], "{}", vector["id"]);
        }
    }
}

/// The line that gives this vector of the drafts.
fn line_of(vector: &Value) -> Value {
    let text = |name: &str| vector[name].as_str().unwrap();
    let scheme = if vector["port"] == 443 {
        "https"
    } else {
        "http"
    };
    let body = match text("id") {
        "00-bodyhash" => Some("hello=world%21"),
        "00-ext" => Some("Hello World!"),
        _ => None,
    };
    json!({
        "scheme": format!("http-mac-{}", text("draft")),
        "algorithm": vector["algorithm"],
        "method": vector["method"],
        "url": format!("{scheme}://{}{}", text("host"), text("request_uri")),
        "mac_key": vector["mac_key"],
        "access_token": "h480djs93hd8",
        "ts": vector["ts"],
        "nonce": vector["nonce"],
        "body": body,
        "ext": vector["ext"],
    })
}

#[test]
fn every_vector_of_the_drafts_passes_through_it() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors/draft.json")).unwrap();
    let input: Vec<_> = vectors
        .iter()
        .map(|vector| format!("{}\n", line_of(vector)))
        .collect();
    let answers = answers(input.concat().as_bytes());
    for (answer, vector) in answers.iter().zip(&vectors) {
        assert_eq!(answer["canonical"], vector["canonical"], "{answer}");
        assert_eq!(answer["mac"], vector["mac"], "{answer}");
        let header = answer["authorization"].as_str().unwrap();
        let begin = "MAC id=\"h480djs93hd8\", ";
        let end = format!(", mac=\"{}\"", vector["mac"].as_str().unwrap());
        assert!(
            header.starts_with(begin) && header.ends_with(&end),
            "{header}"
        );
    }
    assert_eq!(answers.len(), 10);
}

#[test]
fn what_a_draft_lacks_is_made_or_named() {
    let line = |scheme: &str, more: &str| {
        format!(
            r#"{{"scheme":"{scheme}","method":"GET","url":"http://a:8080/","mac_key":"canary","access_token":"t"{more}}}"#
        )
    };
    for (scheme, more, error) in [
        ("http-mac-00", "", "issued_at: is missing, or a nonce"),
        (
            "http-mac-00",
            r#","issued_at":"canary""#,
            "issued_at: is not a whole number",
        ),
        ("http-mac-01", r#","ts":-1"#, "ts: is not a whole number"),
        (
            "http-mac-01",
            r#","body":"canary""#,
            "bodyhash: has no place beside ts",
        ),
        (
            "http-mac-01",
            r#","ext":"a\nb""#,
            "ext: has a character that cannot be quoted at byte 1",
        ),
        (
            "http-mac-01",
            r#","algorithm":"canary""#,
            "mac_algorithm: not known; hmac-sha-1, -256 and -512 are",
        ),
        (
            "canary",
            "",
            "scheme: is not one of xiaomi, http-mac-00 and http-mac-01",
        ),
    ] {
        let answers = answers(line(scheme, more).as_bytes());
        assert_eq!(answers, [json!({ "error": error })]);
    }
    for (scheme, more, lines) in [
        (
            "http-mac-00",
            r#","issued_at":1336363200"#,
            "\nGET\n/\na\n8080\n\n\n",
        ),
        ("http-mac-01", "", "\nGET\n/\na\n8080\n\n"),
    ] {
        let line = line(scheme, more);
        let answers = answers(format!("{line}\n{line}").as_bytes());
        assert_ne!(answers[0]["canonical"], answers[1]["canonical"]);
        let canonical = answers[0]["canonical"].as_str().unwrap();
        assert!(canonical.ends_with(lines), "{canonical}");
    }
}

#[test]
fn a_bad_line_gets_an_error_without_a_secret_and_the_next_is_signed() {
    let good = r#"{"method":"GET","url":"http://a/","mac_key":"k","access_token":"t"}"#;
    for (bad, error) in [
        (&b"{"[..], "line: ends too early at column 1"),
        (b"[]", "line: is not a JSON object at column 0"),
        (b"\"canary\"", "line: is not a JSON object at column 8"),
        (b"canary", "line: is not JSON at column 1"),
        (b"\xff\xfe", "line: is not JSON at column 1"),
        (b"{}", "method: is missing"),
        (br#"{"method":7}"#, "method: is not text"),
        (
            br#"{"method":"GET","url":"/canary","mac_key":"canary","access_token":"t"}"#,
            "url: has no host",
        ),
        (
            br#"{"method":"GET","url":"http://a b","mac_key":"canary","access_token":"t"}"#,
            "url: invalid uri character",
        ),
        (
            br#"{"method":"GET","url":"http://a","mac_key":"","access_token":"canary"}"#,
            "mac_key: is empty",
        ),
        (
            br#"{"method":"GET","url":"http://a","mac_key":"canary","access_token":""}"#,
            "access_token: is empty",
        ),
        (
            br#"{"nonce":"1\n2","method":"GET","url":"http://a","mac_key":"k","access_token":"t"}"#,
            "nonce: has a control character at byte 1",
        ),
        ("x".repeat(3 << 20).as_bytes(), "line: is longer than 1 MiB"),
    ] {
        let answers = answers(&[bad, b"\n", good.as_bytes()].concat());
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[0]["error"], error);
        assert!(answers[1]["mac"].is_string());
    }
}

#[test]
fn a_missing_nonce_is_a_fresh_one() {
    let line =
        r#"{"method":"GET","url":"http://a/","mac_key":"k","access_token":"t","nonce":null}"#;
    let answers = answers(format!("{line}\n{line}").as_bytes());
    assert_ne!(answers[0]["canonical"], answers[1]["canonical"]);
}
