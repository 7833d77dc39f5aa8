//! Every vector, byte for byte, through the public API: the canonical string, the MAC, and the
//! `Authorization` header.
//!
//! `vectors/xiaomi.json` was computed by the vendor's own SDKs, but for the two published
//! examples (`doc-…`). `vectors/draft.json` has what the IETF drafts and others who follow them have
//! published, corrected where it does not hold.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

use serde::Deserialize;
use tower_mac_auth::provider::RequestParts;
use tower_mac_auth::provider::http_mac::{self, Attributes, Draft};
use tower_mac_auth::provider::xiaomi::{Credential, Nonce, SigningRules};
use tower_mac_auth::sign::{Algorithm, MacKey};
use tower_mac_auth::verify::Verifier;
use tower_mac_auth::{AccessToken, MacKeyText};

#[derive(Deserialize)]
struct Vector {
    id: String,
    nonce: String,
    method: String,
    url: String,
    form_body: Option<String>,
    mac_key: String,
    access_token: String,
    canonical: String,
    mac: String,
    authorization: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors/xiaomi.json")).unwrap()
}

#[test]
fn every_vector_holds_byte_for_byte() {
    let rules = SigningRules::new()
        .query_credentials(false)
        .sign_form(true)
        .accept_malformed_query(true);
    let vectors = vectors();
    assert_eq!(vectors.len(), 98);
    for vector in vectors {
        let id = &vector.id;
        let uri: http::Uri = vector.url.parse().unwrap();
        let host = uri.authority().unwrap().as_str();
        let request = RequestParts::new(&vector.method, host, uri.path())
            .with_query(uri.query())
            .with_body(vector.form_body.as_deref().map(str::as_bytes));
        let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new(&vector.mac_key)).unwrap();
        let credential = Credential::new(&AccessToken::new(&vector.access_token), key.clone());
        let nonce = Nonce::verbatim(&vector.nonce).unwrap();

        let canonical = rules.canonical(&credential, &request, &nonce).unwrap();
        assert_eq!(canonical, vector.canonical, "{id}");
        assert_eq!(key.mac(canonical.as_bytes()), vector.mac, "{id}");
        let signed = rules.sign(&credential, &request, &nonce).unwrap();
        let authorization = signed.authorization().unwrap();
        assert_eq!(authorization, &vector.authorization, "{id}");
        assert!(authorization.is_sensitive(), "{id}");
        assert_eq!(signed.headers().len(), 1, "{id}");
        assert!(signed.path_and_query().is_none(), "{id}");
    }
}

#[test]
fn vectors_without_a_malformed_query_hold_for_the_strict_signer() {
    let rules = SigningRules::new().query_credentials(false).sign_form(true);
    for vector in vectors() {
        let uri: http::Uri = vector.url.parse().unwrap();
        let request = RequestParts::new(&vector.method, uri.host().unwrap(), uri.path())
            .with_query(uri.query())
            .with_body(vector.form_body.as_deref().map(str::as_bytes));
        let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new(&vector.mac_key)).unwrap();
        let credential = Credential::new(&AccessToken::new(&vector.access_token), key);
        let nonce = Nonce::verbatim(&vector.nonce).unwrap();
        match rules.sign(&credential, &request, &nonce) {
            Ok(signed) => assert_eq!(signed.authorization().unwrap(), &vector.authorization),
            Err(error) => {
                assert_eq!(vector.id, "odd-080");
                assert_eq!(error.to_string(), "query: bad percent escape at byte 2");
            }
        }
    }
}

#[derive(Deserialize)]
struct DraftVector {
    id: String,
    draft: String,
    algorithm: String,
    mac_key: String,
    method: String,
    request_uri: String,
    host: String,
    port: u16,
    ts: Option<String>,
    nonce: String,
    #[serde(default)]
    bodyhash: String,
    #[serde(default)]
    ext: String,
    canonical: String,
    mac: String,
}

#[test]
fn every_vector_of_the_drafts_holds_byte_for_byte() {
    let vectors: Vec<DraftVector> =
        serde_json::from_str(include_str!("vectors/draft.json")).unwrap();
    assert_eq!(vectors.len(), 10);
    for vector in vectors {
        let (id, nonce) = (&vector.id, &vector.nonce);
        let (path, query) = match vector.request_uri.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&*vector.request_uri, None),
        };
        let request = RequestParts::new(&vector.method, &vector.host, path)
            .with_query(query)
            .with_port(vector.port);
        let (draft, attributes) = match (&*vector.draft, &vector.ts) {
            ("00", None) => (Draft::V00, Attributes::v00(nonce)),
            ("01", Some(ts)) => (Draft::V01, Attributes::v01(ts, nonce)),
            other => panic!("{id}: {other:?}"),
        };
        let attributes = attributes.unwrap().with_bodyhash(&vector.bodyhash).unwrap();
        let attributes = attributes.with_ext(&vector.ext).unwrap();
        let algorithm = vector.algorithm.parse().unwrap();
        let key = MacKey::new(algorithm, &MacKeyText::new(&vector.mac_key)).unwrap();

        let canonical = attributes.canonical(&request).unwrap();
        assert_eq!(canonical, vector.canonical, "{id}");
        assert_eq!(key.mac(canonical.as_bytes()), vector.mac, "{id}");
        let token = AccessToken::new("h480djs93hd8");
        let credential = http_mac::Credential::new(&token, key.clone()).unwrap();
        let signed = credential.sign(&request, &attributes).unwrap();
        let authorization = signed.authorization().unwrap();
        let parameters = [
            ("id", Some("h480djs93hd8")),
            ("ts", vector.ts.as_deref()),
            ("nonce", Some(nonce)),
            (
                "bodyhash",
                Some(&*vector.bodyhash).filter(|hash| !hash.is_empty()),
            ),
            ("ext", Some(&*vector.ext).filter(|ext| !ext.is_empty())),
            ("mac", Some(&*vector.mac)),
        ];
        let parameters = parameters.iter();
        let parameters =
            parameters.filter_map(|(name, value)| Some(format!("{name}=\"{}\"", (*value)?)));
        let expected = format!("MAC {}", parameters.collect::<Vec<_>>().join(", "));
        assert_eq!(authorization, &expected, "{id}");

        let request = match &**id {
            "00-bodyhash" => request.with_body(&b"hello=world%21"[..]),
            "00-ext" => request.with_body(&b"Hello World!"[..]),
            _ => request,
        };
        let authorization = authorization.try_into().unwrap();
        Verifier::http_mac(draft)
            .check(&key, &request, &authorization)
            .unwrap();
    }
}
