//! What the benches share: published vector 1, the floor, and the obvious signer.

#![allow(dead_code, reason = "each bench uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a bench may stop")]

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::uri::Uri;
use sha1::Sha1;
use tower_mac_auth::provider::http_mac::{self, Draft, ISSUED_AT};
use tower_mac_auth::provider::xiaomi::{Credential, Nonce, SigningRules};
use tower_mac_auth::provider::{
    Bearer, Fresh, Grant, HttpMac, OAuth2, Provider as _, RequestParts, TokenSet,
};
use tower_mac_auth::sign::{Algorithm, MacKey};
use tower_mac_auth::{AccessToken, Clock, MacKeyText, SystemClock};

pub(crate) mod clients;
pub(crate) mod loopback;
pub(crate) mod memory;

pub(crate) const NONCE: &str = "2870867952176701445:23282360";
pub(crate) const MAC_KEY: &str = "ORhx44qK6Alqf8vt2rGB5f-oPq0";
pub(crate) const CLIENT_ID: &str = "179887661252608";
pub(crate) const TOKEN: &str = "eJxjYGAQydknLLCFsVyIR-DxSqdTnQFGfX4yDAwMjAzxQJIheJfnRTDtvAhMM8SE_2FgWDw7Rg3MYzdUMFIwVjABMplzE5MBClYRuw";
/// Ten pairs out of order.
pub(crate) const UNSORTED: &str = "zone=east&user=2882303761517592427&page=12&limit=100&fields=id.name.phone&name=Li_Lei&lang=zh-CN&from=2024-01-01&token=eJxjYGAQydknLLCFsVyIR&clientId=179887661252608";
/// Ten pairs out of order, three of which need another spelling.
pub(crate) const RESPELT: &str = "zone=east&user=2882303761517592427&page=12&limit=100&fields=id%2cname%2Cphone&name=Li%20Lei&lang=zh-CN&from=2024%2d01-01&token=eJxjYGAQydknLLCFsVyIR&clientId=179887661252608";

pub(crate) fn credential() -> Credential {
    let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new(MAC_KEY)).unwrap();
    Credential::new(&AccessToken::new(TOKEN), key).with_client_id(CLIENT_ID)
}

pub(crate) fn bearer() -> Bearer {
    Bearer::new(OAuth2::new("https://server.example.com/token", CLIENT_ID))
}

pub(crate) fn bearer_credential(bearer: &Bearer) -> HeaderValue {
    let grant = Grant::from(TokenSet::new(TOKEN));
    bearer.credential(&grant).unwrap()
}

pub(crate) fn http_mac(draft: Draft) -> HttpMac {
    let oauth2 = OAuth2::new("https://server.example.com/token", CLIENT_ID);
    HttpMac::new(oauth2, draft)
}

/// How long ago its key was issued: three days.
const AGE: u64 = 264_095;

/// One that makes a header as long as Xiaomi's, because to check its characters costs more or less by
/// its length.
pub(crate) fn http_mac_credential(
    provider: &HttpMac,
    draft: Draft,
    algorithm: Algorithm,
) -> http_mac::Credential {
    let parts: &[usize] = match draft {
        Draft::V01 => &[b"MAC id=\"\", ts=\"\", nonce=\"\", mac=\"\"".len(), 10, 16],
        _ => &[b"MAC id=\"\", nonce=\"\", mac=\"\"".len(), 6 + 1 + 16],
    };
    let key = MacKey::new(algorithm, &MacKeyText::new(MAC_KEY)).unwrap();
    let length = parts.iter().sum::<usize>() + key.mac(b"").len();
    let token = "t".repeat(header_len() - length);
    let mut tokens = TokenSet::new(token).with_mac_key(MAC_KEY, algorithm);
    let issued_at = (SystemClock.now().as_secs() - AGE).to_string();
    tokens.extras.insert(ISSUED_AT.to_owned(), issued_at.into());
    provider.credential(&Grant::from(tokens)).unwrap()
}

/// The length of Xiaomi's header for the request of published vector 1, with one escape in the MAC, as
/// there is on average.
fn header_len() -> usize {
    signed_header().len() + "%2B".len() - "+".len()
}

/// A request of which as many bytes are signed as of that of published vector 1.
pub(crate) fn http_mac_uri(draft: Draft) -> Uri {
    let before = match draft {
        Draft::V01 => 10 + 1 + 16,
        _ => 6 + 1 + 16 + 1,
    };
    let host = "open.account.xiamomi.com";
    let rest = format!("\nGET\n/user/profile?\n{host}\n443\n\n").len();
    let query = "q".repeat(canonical(&ready_uri()).len() - before - rest);
    let uri = format!("https://{host}/user/profile?{query}");
    uri.parse().unwrap()
}

/// A request signed by a draft: nonce, clock, signature, header.
#[inline]
pub(crate) fn drafted(
    provider: &HttpMac,
    credential: &http_mac::Credential,
    uri: &Uri,
    headers: &mut HeaderMap,
) {
    let fresh = Fresh::at(SystemClock.now());
    let signed = provider.sign(credential, &parts(uri), fresh).unwrap();
    signed.set_headers(headers).unwrap();
}

/// What a response usually has.
pub(crate) fn eight_headers() -> HeaderMap {
    let names = [
        "date",
        "content-type",
        "content-length",
        "server",
        "vary",
        "cache-control",
        "etag",
        "x-request-id",
    ];
    let header = |name| (HeaderName::from_static(name), HeaderValue::from_static("v"));
    names.map(header).into_iter().collect()
}

/// The request of published vector 1.
pub(crate) fn ready_uri() -> Uri {
    format!("https://open.account.xiamomi.com/user/profile?clientId={CLIENT_ID}&token={TOKEN}")
        .parse()
        .unwrap()
}

/// The same request, before the credentials are in its query.
pub(crate) fn bare_uri() -> Uri {
    "https://open.account.xiamomi.com/user/profile"
        .parse()
        .unwrap()
}

pub(crate) fn ten_pairs_uri(pairs: &str) -> Uri {
    format!("https://open.account.xiaomi.com/user/profile?{pairs}")
        .parse()
        .unwrap()
}

pub(crate) fn parts(uri: &Uri) -> RequestParts<'_> {
    let path_and_query = uri.path_and_query().unwrap();
    // The signer drops the port faster than `Uri::host` looks for it.
    let host = uri.authority().unwrap().as_str();
    RequestParts::new("GET", host, path_and_query.path()).with_query(path_and_query.query())
}

/// The header of published vector 1: always the same, for what reads it.
pub(crate) fn signed_header() -> HeaderValue {
    let nonce = Nonce::verbatim(NONCE).unwrap();
    let rules = SigningRules::new().query_credentials(false);
    let uri = ready_uri();
    let signed = rules.sign(&credential(), &parts(&uri), &nonce).unwrap();
    signed.authorization().unwrap().clone()
}

/// What would be signed for `uri` as it stands.
pub(crate) fn canonical(uri: &Uri) -> Vec<u8> {
    let nonce = Nonce::verbatim(NONCE).unwrap();
    SigningRules::new()
        .query_credentials(false)
        .canonical(&credential(), &parts(uri), &nonce)
        .unwrap()
        .into_bytes()
}

pub(crate) fn prepared() -> Hmac<Sha1> {
    Hmac::new_from_slice(MAC_KEY.as_bytes()).unwrap()
}

/// The least a signature can cost: the MAC itself, its key prepared, over one buffer.
#[inline]
pub(crate) fn floor(prepared: &Hmac<Sha1>, message: &[u8]) -> [u8; 20] {
    let mut mac = prepared.clone();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// A request signed as it stands: nonce, clock, signature, header.
#[inline]
pub(crate) fn ready(
    rules: &SigningRules,
    credential: &Credential,
    uri: &Uri,
    headers: &mut HeaderMap,
) {
    let nonce = Nonce::fresh(SystemClock.now());
    let signed = rules.sign(credential, &parts(uri), &nonce).unwrap();
    signed.set_headers(headers).unwrap();
}

/// A request whose query the signer completes: the same, and a new URI. What is signed comes from
/// `uri`; `target` gives its scheme and authority to the new one, as a request's own URI would.
#[inline]
pub(crate) fn with_credentials(
    rules: &SigningRules,
    credential: &Credential,
    uri: &Uri,
    target: &mut Uri,
    headers: &mut HeaderMap,
) {
    let nonce = Nonce::fresh(SystemClock.now());
    let signed = rules.sign(credential, &parts(uri), &nonce).unwrap();
    let path_and_query = signed.set_headers(headers).unwrap();
    let mut target_parts = std::mem::take(target).into_parts();
    target_parts.path_and_query = path_and_query;
    *target = Uri::from_parts(target_parts).unwrap();
}

/// A signer written the obvious way: a map, `format!`, the key set up anew.
#[expect(clippy::disallowed_methods, reason = "the obvious clock")]
#[inline]
pub(crate) fn obvious(mac_key: &str, token: &str, uri: &Uri, headers: &mut HeaderMap) {
    let minutes = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
        / 60;
    let nonce = format!("{}:{minutes}", fastrand::i64(..));
    let mut pairs = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        pairs.insert(name.into_owned(), value.into_owned());
    }
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let query = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&");
    let canonical = format!(
        "{nonce}\n{}\n{}\n{}\n{query}\n",
        "get".to_uppercase(),
        uri.host().unwrap().to_lowercase(),
        uri.path(),
    );
    let mut mac = Hmac::<Sha1>::new_from_slice(mac_key.as_bytes()).unwrap();
    mac.update(canonical.as_bytes());
    let mac = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let header = format!(
        "MAC access_token=\"{}\", nonce=\"{}\",mac=\"{}\"",
        encode(token),
        encode(&nonce),
        encode(&mac),
    );
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&header).unwrap());
}
