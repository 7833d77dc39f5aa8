//! Servers in place of the vendors' own. They hold every request to the published rules, in code that
//! shares nothing with the client's, and count how often a refresh token is presented.

mod lazada;
mod tiktok_shop;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use serde_json::Value;
use sha2::Sha256;

pub(crate) use self::lazada::answer as lazada;
pub(crate) use self::tiktok_shop::answer as tiktok_shop;

/// The code that a seller's browser brings. It works once.
pub(crate) const CODE: &str = "TTP_code/1+=&";
/// How long an access token lives, in seconds.
const LIFE: u64 = 7 * 24 * 3600;

/// What a vendor answers.
type Rules = fn(&mut Grant, &Request<Bytes>) -> (StatusCode, Value);

/// The one grant that a server knows of.
#[derive(Default)]
pub(crate) struct Grant {
    code_is_spent: bool,
    /// How many tokens were issued: the last ones alone are good.
    issued: u64,
    access_token_ended: bool,
    presented: usize,
    refused: usize,
}

impl Grant {
    fn access_token(&self) -> String {
        format!("TTP_access/{}+=", self.issued)
    }

    fn refresh_token(&self) -> String {
        format!("TTP_refresh&{}%2B", self.issued)
    }

    /// The next access token and refresh token, for a code.
    fn first(&mut self, code: &str) -> Option<(String, String)> {
        (code == CODE && !std::mem::replace(&mut self.code_is_spent, true)).then(|| self.issue())
    }

    /// The same, for a refresh token. Whichever it is, it was presented.
    fn next(&mut self, refresh_token: &str) -> Option<(String, String)> {
        self.presented += 1;
        (refresh_token == self.refresh_token()).then(|| self.issue())
    }

    fn issue(&mut self) -> (String, String) {
        self.issued += 1;
        self.access_token_ended = false;
        (self.access_token(), self.refresh_token())
    }

    fn is_live(&self, access_token: &str) -> bool {
        !self.access_token_ended && access_token == self.access_token()
    }
}

/// A vendor on a port of this machine.
pub(crate) struct StandIn {
    address: SocketAddr,
    grant: Arc<Mutex<Grant>>,
}

impl StandIn {
    pub(crate) async fn serve(rules: Rules) -> std::io::Result<Self> {
        let grant = Arc::new(Mutex::new(Grant::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::clone(&grant);
        let router = Router::new().fallback(async move |request: Request<Body>| {
            let (head, body) = request.into_parts();
            let body = to_bytes(body, 1024 * 1024).await.unwrap_or_default();
            let request = Request::from_parts(head, body);
            let (status, answer) = rules(&mut lock(&shared), &request);
            let mut response = Response::new(Body::from(answer.to_string()));
            *response.status_mut() = status;
            let json = http::HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            response
        });
        tokio::spawn(async { axum::serve(listener, router).await });
        Ok(Self { address, grant })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Nobody is told.
    pub(crate) fn expire_access_token(&self) {
        lock(&self.grant).access_token_ended = true;
    }

    /// How often a refresh token was presented.
    pub(crate) fn presented(&self) -> usize {
        lock(&self.grant).presented
    }

    /// How many requests to the API were refused.
    pub(crate) fn refused(&self) -> usize {
        lock(&self.grant).refused
    }
}

fn lock(grant: &Mutex<Grant>) -> MutexGuard<'_, Grant> {
    grant.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The parameters of a query or a form, decoded; `None` if one of them is there twice.
fn parameters(encoded: &str) -> Option<BTreeMap<String, String>> {
    let all: Vec<_> = form_urlencoded::parse(encoded.as_bytes())
        .into_owned()
        .collect();
    let by_name: BTreeMap<_, _> = all.iter().cloned().collect();
    (by_name.len() == all.len()).then_some(by_name)
}

/// `name1value1name2value2…`
fn joined(parameters: &BTreeMap<String, String>) -> String {
    parameters
        .iter()
        .fold(String::new(), |text, (name, value)| text + name + value)
}

/// In lower case.
fn hex_mac(key: &str, text: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
    mac.update(text);
    let bytes = mac.finalize().into_bytes();
    let and = |hex: String, byte: &u8| format!("{hex}{byte:02x}");
    Some(bytes.iter().fold(String::new(), and))
}

/// Whether `timestamp`, in milliseconds, is less than `window` seconds from now.
fn is_recent(timestamp: u64, window: u64) -> bool {
    use tower_mac_auth::{Clock as _, SystemClock};
    SystemClock.now().as_millis().abs_diff(timestamp) < window * 1000
}

#[cfg(test)]
mod tests {

    use super::*;
    use http::{HeaderValue, Method};
    use tower_mac_auth::provider::{Fresh, Provider, RequestParts, TokenSet};
    use tower_mac_auth::{Clock as _, SystemClock, Timestamp};

    use crate::lazada::Lazada;
    use crate::tiktok_shop::TikTokShop;

    fn signed<P: Provider>(
        provider: &P,
        token: &str,
        path: &str,
        now: Timestamp,
    ) -> Request<Bytes> {
        let credential = provider.credential(&TokenSet::new(token).into()).unwrap();
        let body = br#"{"a":1}"#;
        let parts = RequestParts::new("POST", "api", path);
        let parts = parts.with_query("b=2&c=%C3%A9").with_body(&body[..]);
        let signed = provider.sign(&credential, &parts, Fresh::at(now)).unwrap();
        let mut request = Request::new(Bytes::from_static(body));
        let target = signed.set_headers(request.headers_mut()).unwrap();
        *request.method_mut() = Method::POST;
        *request.uri_mut() = target.unwrap().into();
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        request
    }

    /// The request as it is is accepted, and refused with anything changed.
    fn is_strict<P: Provider>(provider: &P, rules: Rules, path: &str, window: u64) {
        let mut grant = Grant::default();
        let (token, _) = grant.issue();
        let mut code = |request: &Request<Bytes>| rules(&mut grant, request).1["code"].clone();
        let now = SystemClock.now();
        let good = || signed(provider, &token, path, now);
        assert_eq!(code(&good()), 0);

        let target = good().uri().to_string();
        for (from, to) in [
            ("b=2", "b=3"),
            ("b=2", "b=2&b=2"),
            ("b=2", "b=2&d="),
            ("c=%C3%A9", "c=e"),
            ("sign=", "sign=0"),
            ("app_key=", "app_key=0"),
            ("order", "orders"),
        ] {
            let mut changed = good();
            let target = target.replacen(from, to, 1);
            assert_ne!(target, changed.uri().to_string(), "{from}");
            *changed.uri_mut() = target.parse().unwrap();
            assert_ne!(code(&changed), 0, "{to}");
        }
        let mut changed = good();
        *changed.body_mut() = Bytes::from_static(b"{}");
        assert_ne!(code(&changed), 0);
        let window = std::time::Duration::from_secs(window);
        for then in [now.saturating_sub(window), now.saturating_add(2 * window)] {
            assert_ne!(code(&signed(provider, &token, path, then)), 0, "{then}");
        }
        assert_ne!(code(&signed(provider, "another", path, now)), 0);
        assert_eq!(code(&good()), 0);
    }

    #[test]
    fn whatever_is_changed_in_a_request_is_refused() {
        let shop = TikTokShop::new("29a39d", "e59af819cc").unwrap();
        is_strict(&shop, tiktok_shop, "/order/202309/orders", 300);
        let lazada_shop = Lazada::new("123456", "helloworld").unwrap();
        is_strict(&lazada_shop, lazada, "/rest/order/pack", 7200);
    }

    #[test]
    fn a_refresh_token_works_once() {
        let mut grant = Grant::default();
        let (_, first) = grant.issue();
        let (_, second) = grant.next(&first).unwrap();
        assert!(grant.next(&first).is_none());
        assert!(grant.next(&second).is_some());
        assert_eq!(grant.presented, 3);
    }
}
