//! Properties of what is signed, against a reference written the plain way.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

use proptest::prelude::*;
use tower_mac_auth::provider::xiaomi::{Credential, Nonce, SigningRules};
use tower_mac_auth::provider::{RequestParts, Signed};
use tower_mac_auth::sign::{Algorithm, MacKey, SignError, SignErrorKind};
use tower_mac_auth::{AccessToken, MacKeyText};

const NONCE: &str = "2870867952176701445:23282360";

fn credential() -> Credential {
    let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new("key")).unwrap();
    Credential::new(&AccessToken::new("T=1"), key).with_client_id("42")
}

fn request(query: &str) -> RequestParts<'_> {
    RequestParts::new("GET", "example.com", "/").with_query(query)
}

/// The query line of what is signed.
fn line(rules: &SigningRules, request: &RequestParts<'_>) -> Result<String, SignError> {
    let canonical = rules.canonical(&credential(), request, &NONCE.parse()?)?;
    let head = format!("{NONCE}\nGET\nexample.com\n/\n");
    let line = canonical
        .strip_prefix(&head)
        .unwrap()
        .strip_suffix('\n')
        .unwrap();
    assert!(!line.contains('\n'));
    Ok(line.to_owned())
}

fn sign(rules: &SigningRules, request: &RequestParts<'_>) -> Result<Signed, SignError> {
    rules.sign(&credential(), request, &NONCE.parse()?)
}

fn as_it_stands() -> SigningRules {
    SigningRules::new().query_credentials(false)
}

/// Decode all, drop the empty, sort, encode all.
fn reference(query: &[u8], empty_values: bool) -> String {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = query
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            (
                decode(halves.next().unwrap()),
                decode(halves.next().unwrap_or_default()),
            )
        })
        .filter(|(_, value)| empty_values || !value.is_empty())
        .collect();
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    let encode = |text: &[u8]| form_urlencoded::byte_serialize(text).collect::<String>();
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn decode(text: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_encoding::percent_decode(&text).collect()
}

/// Queries of few and short names, so that names collide, share beginnings and are in order now
/// and then; spelt in every way.
fn queries() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-c]{0,2}",
        2 => "[A-Za-z0-9._*-]{0,20}",
        1 => "%6[1-3]|%[2-7][0-9A-Fa-e]|%E5%B0%8F|\\+|~|/|:",
    ];
    let text = prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat());
    let pair = (
        text.clone(),
        prop_oneof![5 => Just("="), 1 => Just(""), 1 => Just("==")],
        text,
    )
        .prop_map(|(name, equals, value)| format!("{name}{equals}{value}"));
    prop_oneof![
        20 => prop::collection::vec(pair.clone(), 0..12),
        1 => prop::collection::vec(pair, 30..80),
    ]
    .prop_map(|pairs| pairs.join("&"))
}

proptest! {
    #[test]
    fn what_is_signed_is_what_the_reference_says(query in queries(), empty_values: bool) {
        let rules = as_it_stands().sign_empty_values(empty_values);
        let signed = line(&rules, &request(&query)).unwrap();
        prop_assert_eq!(signed, reference(query.as_bytes(), empty_values));
    }

    /// None needs another spelling; names are alike in their first eight bytes, and more, or less.
    #[test]
    fn clean_pairs_are_put_in_order_by_all_of_their_names(
        pairs in prop::collection::vec("(same_name)?[a-b]{0,2}=[a-z]{1,3}", 1..50),
    ) {
        let query = pairs.join("&");
        let signed = line(&as_it_stands(), &request(&query)).unwrap();
        prop_assert_eq!(signed, reference(query.as_bytes(), false));
    }

    #[test]
    fn any_text_at_all_is_what_the_reference_says(query in "[^#]*", form: Vec<u8>) {
        let rules = as_it_stands().accept_malformed_query(true).sign_form(true);
        let request = request(&query).with_body(&form[..]);
        let all = [query.as_bytes(), b"&", &form].concat();
        prop_assert_eq!(line(&rules, &request).unwrap(), reference(&all, false));
    }

    #[test]
    fn a_canonical_query_is_signed_as_it_is(query in queries(), empty_values: bool) {
        let rules = as_it_stands().sign_empty_values(empty_values);
        let once = line(&rules, &request(&query)).unwrap();
        prop_assert_eq!(line(&rules, &request(&once)).unwrap(), once);
    }

    #[test]
    fn pairs_of_distinct_names_are_signed_alike_in_any_order(
        pairs in prop::collection::btree_map("[a-c%&é]{1,10}", "[ -~é]{0,10}", 0..40)
            .prop_map(|pairs| pairs.into_iter().collect::<Vec<_>>())
            .prop_flat_map(|pairs| (Just(pairs.clone()), Just(pairs).prop_shuffle()))
    ) {
        let [sorted, shuffled] = [pairs.0, pairs.1].map(|pairs| {
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            line(&as_it_stands(), &request(&query)).unwrap()
        });
        prop_assert_eq!(sorted, shuffled);
    }

    #[test]
    fn a_form_is_signed_as_if_it_were_in_the_query(query in queries(), form in queries()) {
        let rules = as_it_stands().sign_form(true);
        let request = request(&query).with_body(form.as_bytes());
        let both = format!("{query}&{form}");
        prop_assert_eq!(line(&rules, &request).unwrap(), reference(both.as_bytes(), false));
    }

    #[test]
    fn what_is_sent_is_what_was_signed(query in queries()) {
        let signed = sign(&SigningRules::new(), &request(&query)).unwrap();
        let target = signed.path_and_query().unwrap();
        // A server signs what has arrived.
        let sent = request(target.query().unwrap());
        let check = sign(&as_it_stands(), &sent).unwrap();
        prop_assert_eq!(signed.authorization().unwrap(), check.authorization().unwrap());
    }

    #[test]
    fn the_callers_own_pairs_stay_as_they_are(query in queries()) {
        let signed = sign(&SigningRules::new(), &request(&query)).unwrap();
        let mut expected: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).collect();
        expected.extend(["clientId=42", "token=T%3D1"]);
        prop_assert_eq!(signed.path_and_query().unwrap(), &format!("/?{}", expected.join("&")));
    }

    #[test]
    fn the_header_reads_back(token in "\\PC{1,40}", nonce in "[!-~]{1,64}", key in "\\PC{1,80}") {
        let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new(key)).unwrap();
        let credential = Credential::new(&AccessToken::new(token.clone()), key.clone());
        let nonce = Nonce::verbatim(&nonce).unwrap();
        let rules = as_it_stands();
        let canonical = rules.canonical(&credential, &request("a=1"), &nonce).unwrap();
        let signed = rules.sign(&credential, &request("a=1"), &nonce).unwrap();
        let header = signed.authorization().unwrap().to_str().unwrap();
        let parts: Vec<_> = header.split('"').collect();
        prop_assert_eq!(
            (parts[0], parts[2], parts[4], parts[6], parts.len()),
            ("MAC access_token=", ", nonce=", ",mac=", "", 7)
        );
        let [read_token, read_nonce, mac] =
            [parts[1], parts[3], parts[5]].map(|text| String::from_utf8(decode(text.as_bytes())).unwrap());
        prop_assert_eq!(read_token, token);
        prop_assert_eq!(read_nonce, nonce.as_str());
        prop_assert_eq!(mac, key.mac(canonical.as_bytes()));
    }

    #[test]
    fn nothing_makes_it_panic(
        method: String, host: String, path: String, query: Option<String>, form: Option<Vec<u8>>,
        knobs: [bool; 4],
    ) {
        let rules = SigningRules::new()
            .sign_empty_values(knobs[0])
            .sign_form(knobs[1])
            .query_credentials(knobs[2])
            .accept_malformed_query(knobs[3]);
        for (method, host, path) in [(&*method, &*host, &*path), ("GET", "example.com", "/")] {
            let request = RequestParts::new(method, host, path).with_query(query.as_deref()).with_body(form.as_deref());
            let signed = sign(&rules, &request);
            let canonical = rules.canonical(&credential(), &request, &NONCE.parse().unwrap());
            match (signed, canonical) {
                (Ok(_), Ok(canonical)) => prop_assert_eq!(canonical.matches('\n').count(), 5),
                (Err(signed), Err(canonical)) => prop_assert_eq!(signed, canonical),
                _ => prop_assert!(false, "one fails and the other does not"),
            }
        }
    }
}

#[test]
fn the_signer_owns_its_names_in_every_spelling() {
    let query = "b=2&token=old&%74oken=x&client%49d=9&a=1&clientId&token=&tokens=3";
    let signed = sign(&SigningRules::new(), &request(query)).unwrap();
    assert_eq!(
        signed.path_and_query().unwrap(),
        "/?b=2&a=1&tokens=3&clientId=42&token=T%3D1"
    );
    assert_eq!(
        line(&SigningRules::new(), &request(query)).unwrap(),
        "a=1&b=2&clientId=42&token=T%3D1&tokens=3"
    );
}

#[test]
fn without_a_client_id_the_callers_stays() {
    let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new("key")).unwrap();
    let credential = Credential::new(&AccessToken::new("T"), key);
    let nonce = NONCE.parse().unwrap();
    let request = request("token=old&clientId=9");
    let signed = SigningRules::new()
        .sign(&credential, &request, &nonce)
        .unwrap();
    assert_eq!(signed.path_and_query().unwrap(), "/?clientId=9&token=T");
}

#[test]
fn an_error_names_the_field_and_the_byte() {
    let strict = SigningRules::new().sign_form(true);
    for (query, error) in [
        ("canary=1&b=%zz", "query: bad percent escape at byte 11"),
        ("a=%", "query: bad percent escape at byte 2"),
        ("a=%4", "query: bad percent escape at byte 2"),
        (
            "canary=é",
            "query: non-ASCII byte that is not percent-encoded at byte 7",
        ),
        ("a=1\n", "query: control character or space at byte 3"),
        ("a=1 2", "query: control character or space at byte 3"),
        ("a=\u{7f}", "query: control character or space at byte 2"),
        ("a=1#b", "query: begins a fragment at byte 3"),
    ] {
        let refused = sign(&strict, &request(query)).unwrap_err();
        assert_eq!(refused.to_string(), error);
        assert_eq!(refused.kind(), SignErrorKind::Malformed);
    }
    for (form, error) in [
        (&b"a=%zz"[..], "form: bad percent escape at byte 2"),
        (
            b"a=\xff",
            "form: non-ASCII byte that is not percent-encoded at byte 2",
        ),
        (b"a=1\r\n", "form: control character or space at byte 3"),
    ] {
        let request = request("").with_body(form);
        assert_eq!(sign(&strict, &request).unwrap_err().to_string(), error);
    }
}

#[test]
fn a_form_with_the_signers_names_is_refused() {
    let rules = SigningRules::new().sign_form(true);
    for form in ["token=x", "a=1&client%49d=2"] {
        let request = request("").with_body(form.as_bytes());
        let refused = sign(&rules, &request).unwrap_err();
        assert_eq!(
            (refused.kind(), refused.field()),
            (SignErrorKind::Conflict, "form")
        );
        // A form that is not signed is not looked at, nor is one beside a query left alone.
        assert!(sign(&SigningRules::new(), &request).is_ok());
        assert!(sign(&as_it_stands().sign_form(true), &request).is_ok());
    }
}

#[test]
fn more_than_64_kib_of_pairs_is_refused_by_name() {
    let query = "a=1&".repeat(16 * 1024);
    let rules = as_it_stands().sign_form(true);
    assert!(sign(&rules, &request(&query)).is_ok());
    let refused = sign(&rules, &request(&format!("{query}b=1"))).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "query: makes more than 64 KiB of pairs to sign"
    );
    let request = request(&query).with_body(&b"b=1"[..]);
    let refused = sign(&rules, &request).unwrap_err();
    assert_eq!(
        (refused.kind(), refused.field()),
        (SignErrorKind::TooLong, "form")
    );
    let refused = sign(&SigningRules::new(), &request).unwrap_err();
    assert_eq!(
        (refused.kind(), refused.field()),
        (SignErrorKind::TooLong, "query")
    );
}

#[test]
fn an_empty_access_token_is_refused_by_name() {
    let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new("key")).unwrap();
    let credential = Credential::new(&AccessToken::new(""), key);
    let nonce = NONCE.parse().unwrap();
    let refused = SigningRules::new().sign(&credential, &request(""), &nonce);
    assert_eq!(refused.unwrap_err().to_string(), "access_token: is empty");
}
