//! The `sign` example, run on lines in memory.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

use serde_json::Value;

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
