//! The server's half, as a layer: what is let through, what is not, and what is said.

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, DATE, HOST, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full, StreamBody};
use proptest::prelude::*;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::provider::http_mac::{Attributes, Draft, body_hash};
use tower_mac_auth::provider::xiaomi::{Credential, Nonce, SigningRules};
use tower_mac_auth::provider::{
    Fresh, Grant, HttpMac, OAuth2, Provider as _, RequestParts, TokenSet,
};
use tower_mac_auth::sign::{Algorithm, MacKey};
use tower_mac_auth::testing::{Provider, TestClock};
use tower_mac_auth::verify::{
    ClaimError, KeyLookup, MacAuthorization, NonceStore, NotVerified, ReplayGuard, TokenKeys,
    Verified, Verifier, VerifyMacLayer,
};
use tower_mac_auth::{AccessToken, Clock as _, MacKeyText, ReadAhead, Timestamp};

use crate::world::{HOST as API, HOUR, text};

const WINDOW: Duration = Duration::from_secs(600);
type Incoming = Request<Full<Bytes>>;

fn key(text: &str) -> MacKey {
    MacKey::new(Algorithm::HmacSha1, &MacKeyText::new(text)).unwrap()
}

/// Knows the token `T`, of the user `li`, with the keys `new` and `old`.
async fn look_up(token: AccessToken) -> Result<Option<TokenKeys<&'static str>>, Infallible> {
    let known = token.expose_secret() == "T";
    Ok(known.then(|| TokenKeys::new("li", key("new")).or(key("old"))))
}

/// Says who called, and with what body.
async fn who<B>(request: Request<ReadAhead<B>>) -> Result<Response<Full<Bytes>>, Infallible>
where
    B: Body<Data = Bytes, Error: Debug> + Unpin,
{
    let (head, mut body) = request.into_parts();
    let extensions = head.extensions;
    let (mut read, mut end) = (Vec::new(), "none");
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => read.extend_from_slice(&data),
            Ok(Err(_)) => end = "trailers",
            Err(_) => end = "error",
        }
    }
    let mut response = Response::new(Full::from(read));
    response
        .headers_mut()
        .insert("x-end", HeaderValue::from_static(end));
    if let Some(Verified(user)) = extensions.get::<Verified<&'static str>>() {
        response
            .headers_mut()
            .insert("x-user", HeaderValue::from_static(user));
    }
    if let Some(why) = extensions.get::<NotVerified>() {
        response
            .headers_mut()
            .insert("x-not", why.status().as_u16().into());
    }
    Ok(response)
}

struct World {
    clock: TestClock,
}

impl World {
    fn new() -> Self {
        Self {
            clock: TestClock::new(),
        }
    }

    fn layer<L: KeyLookup>(&self, lookup: L) -> VerifyMacLayer<L, ReplayGuard> {
        let nonces = ReplayGuard::new(WINDOW, 1000);
        VerifyMacLayer::new(Verifier::new(), lookup, nonces).clock(self.clock.clone())
    }

    fn nonce(&self) -> Nonce {
        Nonce::fresh(self.clock.now())
    }
}

/// A request as a client signs it, with this token and key.
fn signed(token: &str, with: &str, nonce: &Nonce) -> Incoming {
    let credential = Credential::new(&AccessToken::new(token), key(with));
    let parts = RequestParts::new("GET", API, "/lamp").with_query("room=2");
    let signed = SigningRules::new()
        .sign(&credential, &parts, nonce)
        .unwrap();
    let mut request = Request::get("/")
        .header(HOST, API)
        .body(Full::default())
        .unwrap();
    let target = signed.set_headers(request.headers_mut()).unwrap();
    *request.uri_mut() = target.unwrap().into();
    request
}

async fn call<S, B>(service: &S, request: Request<B>) -> Response<Full<Bytes>>
where
    S: Service<Request<B>, Response = Response<Full<Bytes>>, Error = Infallible> + Clone,
{
    service.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_signed_request_goes_through_once_and_says_who_called() {
    let world = World::new();
    let service = world.layer(look_up).layer(service_fn(who));
    for with in ["new", "old"] {
        let nonce = world.nonce();
        let response = call(&service, signed("T", with, &nonce)).await;
        assert_eq!(
            (response.status(), &response.headers()["x-user"]),
            (StatusCode::OK, &HeaderValue::from_static("li"))
        );
        let again = call(&service, signed("T", with, &nonce)).await;
        assert_eq!(again.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_host_that_is_named_twice_is_one_if_it_is_alike_but_for_the_usual_port() {
    let world = World::new();
    let service = world.layer(look_up).layer(service_fn(who));
    for (authority, status) in [
        (API.to_owned(), 200),
        (API.to_uppercase(), 200),
        (format!("{API}:443"), 200),
        (format!("{API}:8443"), 400),
        ("evil.example".to_owned(), 400),
    ] {
        let mut request = signed("T", "new", &world.nonce());
        // As HTTP/2 has it, beside a `Host`.
        let target = request.uri().path_and_query().unwrap();
        let uri = format!("https://{authority}{target}");
        *request.uri_mut() = uri.parse().unwrap();
        assert_eq!(
            call(&service, request).await.status(),
            status,
            "{authority}"
        );
    }
}

#[tokio::test]
async fn a_refusal_says_what_a_client_needs_and_no_more() {
    let world = World::new();
    let service = world.layer(look_up).layer(service_fn(who));
    let with = |change: fn(&mut Incoming)| {
        let mut request = signed("T", "new", &world.nonce());
        change(&mut request);
        request
    };
    let set = |name, value: &[u8]| {
        let mut request = signed("T", "new", &world.nonce());
        let value = HeaderValue::from_bytes(value).unwrap();
        request.headers_mut().insert(name, value);
        request
    };
    let too_old = Nonce::fresh(world.clock.now().saturating_sub(2 * WINDOW));
    let mut reasons = Vec::new();
    for (request, status, code) in [
        (
            with(|it| drop(it.headers_mut().remove(AUTHORIZATION))),
            401,
            96012,
        ),
        (set(AUTHORIZATION, b"Bearer x"), 401, 96012),
        (set(AUTHORIZATION, b"MAC \xff"), 401, 96012),
        (signed("unknown", "new", &world.nonce()), 401, 96008),
        (signed("T", "stolen", &world.nonce()), 401, 96012),
        (signed("T", "new", &too_old), 401, 96012),
        (
            with(|it| *it.method_mut() = http::Method::DELETE),
            401,
            96012,
        ),
        (
            with(|it| *it.uri_mut() = "/door".parse().unwrap()),
            401,
            96012,
        ),
        (
            with(|it| {
                it.headers_mut()
                    .append(AUTHORIZATION, HeaderValue::from_static("MAC"));
            }),
            400,
            96002,
        ),
        (
            with(|it| {
                it.headers_mut()
                    .append(HOST, HeaderValue::from_static("evil.example"));
            }),
            400,
            96002,
        ),
        (with(|it| drop(it.headers_mut().remove(HOST))), 400, 96002),
        (set(HOST, b"a b"), 400, 96002),
        (set(HOST, b"evil.example"), 401, 96012),
    ] {
        let response = call(&service, request).await;
        assert_eq!(response.status(), status);
        let why = response.extensions().get().copied();
        assert_eq!(why.map(NotVerified::status), Some(response.status()));
        reasons.push(why.map_or("none", NotVerified::as_str));
        assert!(response.headers().contains_key(DATE));
        let challenged = response.headers().contains_key(WWW_AUTHENTICATE);
        assert_eq!(challenged, status == 401);
        let json: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(json["code"], code);
        if code == 96012 {
            assert_eq!(json["description"], "access is denied");
        }
    }
    let expected = "absent absent malformed unknown_token wrong_mac outside_window wrong_mac wrong_mac \
        bad_request bad_request bad_request bad_request wrong_mac";
    assert_eq!(reasons.join(" "), expected);
}

#[tokio::test]
async fn a_caller_cannot_say_by_itself_who_it_is() {
    let world = World::new();
    let layer = world.layer(look_up).report_only(true);
    let mut request = Request::get("/")
        .header(HOST, API)
        .body(Full::default())
        .unwrap();
    request.extensions_mut().insert(Verified("admin"));
    let response = call(&layer.layer(service_fn(who)), request).await;
    assert!(!response.headers().contains_key("x-user"));
}

#[tokio::test]
async fn in_the_report_only_mode_each_goes_through_and_says_what_it_would_have_got() {
    let world = World::new();
    let service = world
        .layer(look_up)
        .report_only(true)
        .layer(service_fn(who));
    let good = call(&service, signed("T", "new", &world.nonce())).await;
    assert_eq!(good.headers()["x-user"], "li");
    let bad = call(&service, signed("T", "stolen", &world.nonce())).await;
    assert_eq!(
        (bad.status(), &bad.headers()["x-not"]),
        (StatusCode::OK, &HeaderValue::from(401))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_come_with_one_nonce_one_is_let_in() {
    let world = World::new();
    let service = world.layer(look_up).layer(service_fn(who));
    let nonce = world.nonce();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        calls.spawn(service.clone().oneshot(signed("T", "new", &nonce)));
    }
    let all = calls.join_all().await;
    let let_in = all
        .iter()
        .filter(|it| it.as_ref().unwrap().status() == 200)
        .count();
    assert_eq!(let_in, 1);
}

/// Counts what it is asked, and is out of reach.
struct Away(Arc<AtomicUsize>);

impl NonceStore for Away {
    async fn claim(&self, _: &MacAuthorization, _: Timestamp) -> Result<(), ClaimError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(ClaimError::Unavailable("gone".into()))
    }
}

#[tokio::test]
async fn what_cannot_be_checked_is_not_let_through_and_may_come_again() {
    let world = World::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let layer = VerifyMacLayer::new(Verifier::new(), look_up, Away(Arc::clone(&asked)));
    let service = layer.clock(world.clock.clone()).layer(service_fn(who));
    let response = call(&service, signed("T", "new", &world.nonce())).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!text(response).await.contains("gone"));
    // Nobody fills it who cannot sign.
    call(&service, signed("T", "stolen", &world.nonce())).await;
    call(&service, signed("unknown", "new", &world.nonce())).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    let broken = |_| async { Err::<Option<TokenKeys<()>>, _>("the database is away") };
    let service = world.layer(broken).layer(service_fn(who));
    let response = call(&service, signed("T", "new", &world.nonce())).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);

    let nonces = ReplayGuard::new(WINDOW, 1);
    let layer = VerifyMacLayer::new(Verifier::new(), look_up, nonces).clock(world.clock.clone());
    let service = layer.layer(service_fn(who));
    for status in [200, 503] {
        let response = call(&service, signed("T", "new", &world.nonce())).await;
        assert_eq!(response.status(), status);
    }
}

#[tokio::test]
async fn a_server_behind_another_name_says_what_clients_sign() {
    let world = World::new();
    let mut request = signed("T", "new", &world.nonce());
    request
        .headers_mut()
        .insert(HOST, HeaderValue::from_static("10.0.0.7"));
    let service = world.layer(look_up).host(API).layer(service_fn(who));
    assert_eq!(call(&service, request).await.status(), StatusCode::OK);
}

/// The drafts: what the key was issued at, and the hash of the body.
#[tokio::test]
async fn requests_by_the_drafts_are_checked_with_their_bodies() {
    let clock = TestClock::new();
    let issued_at = clock.now();
    let lookup = move |token: AccessToken| async move {
        let known = token.expose_secret() == "T";
        Ok::<_, Infallible>(known.then(|| TokenKeys::new("li", key("KEY")).issued_at(issued_at)))
    };
    let client = OAuth2::new("https://as.example/token", "client")
        .allow(API)
        .unwrap();
    let provider = HttpMac::new(client, Draft::V00).with_body_hash(64);
    let mut tokens = TokenSet::mac("T", "KEY", "R", HOUR);
    tokens.extras.insert(
        tower_mac_auth::provider::http_mac::ISSUED_AT.to_owned(),
        tower_mac_auth::Extra::new(issued_at.as_secs().to_string()),
    );
    let credential = provider.credential(&Grant::from(tokens)).unwrap();
    let signed = |body: &'static [u8]| {
        let parts = RequestParts::new("POST", API, "/lamp")
            .with_port(443)
            .with_body(body);
        let signed = provider
            .sign(&credential, &parts, Fresh::at(clock.now()))
            .unwrap();
        let mut request = Request::post("/lamp")
            .header(HOST, API)
            .body(Full::from(body))
            .unwrap();
        assert!(signed.set_headers(request.headers_mut()).unwrap().is_none());
        request
    };
    let layer = VerifyMacLayer::new(
        Verifier::http_mac(Draft::V00),
        lookup,
        ReplayGuard::new(WINDOW, 10),
    );
    let layer = layer.clock(clock.clone()).body_cap(10);
    let service = layer.clone().layer(service_fn(who));
    clock.advance(Duration::from_secs(60));
    let good = call(&service, signed(b"on")).await;
    assert_eq!(
        (good.status(), text(good).await.as_str()),
        (StatusCode::OK, "on")
    );
    let mut changed = signed(b"on");
    *changed.body_mut() = Full::from("of");
    let refused = call(&service, changed).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        refused.headers()[WWW_AUTHENTICATE],
        "MAC error=\"invalid MAC, nonce or timestamp\""
    );
    let long = call(&service, signed(b"more than ten bytes")).await;
    assert_eq!(long.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let reporting = layer.report_only(true).layer(service_fn(who));
    let long = call(&reporting, signed(b"more than ten bytes")).await;
    assert_eq!(
        (long.status(), text(long).await.as_str()),
        (StatusCode::OK, "more than ten bytes")
    );
}

type Step = Result<Frame<Bytes>, &'static str>;

/// A body of these frames, with a count of those that were asked for.
fn scripted(
    steps: Vec<Step>,
) -> (
    impl Body<Data = Bytes, Error = &'static str> + Send + Unpin,
    Arc<AtomicUsize>,
) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let steps = steps.into_iter().inspect(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    (StreamBody::new(futures_util::stream::iter(steps)), asked)
}

fn piece(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

/// A form whose pairs are signed with `key`.
fn signed_form<B>(with: &str, nonce: &Nonce, body: B) -> Request<B> {
    let credential = Credential::new(&AccessToken::new("T"), key(with));
    let rules = SigningRules::new().sign_form(true);
    let parts = RequestParts::new("POST", API, "/lamp").with_body(&b"a=1&b=2"[..]);
    let signed = rules.sign(&credential, &parts, nonce).unwrap();
    let mut request = Request::post("/")
        .header(HOST, API)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .unwrap();
    let target = signed.set_headers(request.headers_mut()).unwrap();
    *request.uri_mut() = target.unwrap().into();
    request
}

#[tokio::test]
async fn a_body_that_is_signed_goes_on_as_it_came_whatever_becomes_of_it() {
    let world = World::new();
    let layer = |cap| {
        let verifier = Verifier::with_rules(SigningRules::new().sign_form(true));
        VerifyMacLayer::new(verifier, look_up, ReplayGuard::new(WINDOW, 10))
            .clock(world.clock.clone())
            .body_cap(cap)
    };
    let whole = || {
        let end = Frame::trailers(HeaderMap::new());
        vec![Ok(piece("a=1")), Ok(piece("&b=2")), Ok(end)]
    };
    let broken = || vec![Ok(piece("a=1")), Err("reset")];
    let steps = [&whole as &dyn Fn() -> Vec<Step>, &broken];
    for (steps, cap, status, reported) in [
        (steps[0], 7, 200, ("a=1&b=2", "trailers", None)),
        (steps[0], 6, 413, ("a=1&b=2", "trailers", Some("413"))),
        (steps[1], 7, 400, ("a=1", "error", Some("400"))),
    ] {
        let (body, _) = scripted(steps());
        let service = layer(cap).layer(service_fn(who));
        let answer = call(&service, signed_form("new", &world.nonce(), body)).await;
        assert_eq!(answer.status(), status);
        let (body, _) = scripted(steps());
        let service = layer(cap).report_only(true).layer(service_fn(who));
        let answer = call(&service, signed_form("new", &world.nonce(), body)).await;
        assert_eq!(answer.status(), 200);
        let header = |name| {
            let value = answer.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        let (end, not) = (header("x-end").unwrap(), header("x-not"));
        let read = text(answer).await;
        assert_eq!((&*read, &*end, not.as_deref()), reported);
    }
}

#[tokio::test]
async fn of_who_cannot_sign_no_body_is_read_where_the_mac_is_not_over_it() {
    let clock = TestClock::new();
    let issued_at = clock.now();
    let lookup = move |token: AccessToken| async move {
        let known = token.expose_secret() == "T";
        Ok::<_, Infallible>(known.then(|| TokenKeys::new("li", key("KEY")).issued_at(issued_at)))
    };
    let nonces = ReplayGuard::new(WINDOW, 10);
    let layer = VerifyMacLayer::new(Verifier::http_mac(Draft::V00), lookup, nonces);
    let service = layer.clock(clock).layer(service_fn(who));
    for id in ["T", "unknown"] {
        let (body, asked) = scripted(vec![Ok(piece("on"))]);
        let mac = "W7bdMZbv9UWOTadASIQHagZyirA=";
        let header = format!("MAC id={id}, nonce=\"0:x\", bodyhash=\"{mac}\", mac=\"{mac}\"");
        let request = Request::post("/lamp")
            .header(HOST, API)
            .header(AUTHORIZATION, header)
            .body(body)
            .unwrap();
        assert_eq!(call(&service, request).await.status(), 401);
        assert_eq!(asked.load(Ordering::Relaxed), 0, "{id}");
    }
    // Nor of one that nobody knows.
    let world = World::new();
    let verifier = Verifier::with_rules(SigningRules::new().sign_form(true));
    let nobody = |_| async { Ok::<Option<TokenKeys<&'static str>>, Infallible>(None) };
    let layer = VerifyMacLayer::new(verifier, nobody, ReplayGuard::new(WINDOW, 10));
    let (body, asked) = scripted(vec![Ok(piece("a=1&b=2"))]);
    let service = layer.layer(service_fn(who));
    let answer = call(&service, signed_form("new", &world.nonce(), body)).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

/// A request by revision 00, of the token `T`, to port 443.
fn drafted(with: &MacKey, nonce: &str, body: &'static str, hash: Option<Algorithm>) -> Incoming {
    let hash = hash.map(|algorithm| body_hash(algorithm, body.as_bytes()));
    let hash = hash.unwrap_or_default();
    let attributes = Attributes::v00(nonce).unwrap();
    let attributes = attributes.with_bodyhash(&hash).unwrap();
    let parts = RequestParts::new("POST", API, "/lamp").with_port(443);
    let mac = with.mac(attributes.canonical(&parts).unwrap().as_bytes());
    let header = format!("MAC id=\"T\", nonce=\"{nonce}\", bodyhash=\"{hash}\", mac=\"{mac}\"");
    Request::post("/lamp")
        .header(HOST, API)
        .header(AUTHORIZATION, header)
        .body(Full::from(body))
        .unwrap()
}

fn drafts<L: KeyLookup>(clock: &TestClock, lookup: L) -> VerifyMacLayer<L, ReplayGuard> {
    let nonces = ReplayGuard::new(WINDOW, 1000);
    VerifyMacLayer::new(Verifier::http_mac(Draft::V00), lookup, nonces).clock(clock.clone())
}

#[tokio::test]
async fn what_was_signed_with_the_former_key_counts_from_when_that_was_issued() {
    let clock = TestClock::new();
    let (first, now) = (clock.now(), clock.clone());
    let second = first.saturating_add(HOUR);
    let lookup = move |_| {
        let keys = if now.now() < second {
            TokenKeys::new("li", key("old")).issued_at(first)
        } else {
            let keys = TokenKeys::new("li", key("new")).issued_at(second);
            keys.or(key("old")).issued_at(first)
        };
        async move { Ok::<_, Infallible>(Some(keys)) }
    };
    let service = drafts(&clock, lookup).layer(service_fn(who));
    clock.advance(Duration::from_secs(60));
    let captured = || drafted(&key("old"), "60:a", "", None);
    assert_eq!(call(&service, captured()).await.status(), 200);
    assert_eq!(call(&service, captured()).await.status(), 401);
    clock.advance(HOUR);
    assert_eq!(
        call(&service, captured()).await.status(),
        401,
        "an hour old"
    );
    let late = drafted(&key("old"), "3660:b", "", None);
    assert_eq!(call(&service, late).await.status(), 200);
    let new = drafted(&key("new"), "60:c", "", None);
    assert_eq!(call(&service, new).await.status(), 200);
}

#[tokio::test]
async fn a_body_is_hashed_by_the_algorithm_of_the_key_that_signed_it() {
    let clock = TestClock::new();
    let issued = clock.now();
    let new = MacKey::new(Algorithm::HmacSha256, &MacKeyText::new("new")).unwrap();
    let known = new.clone();
    let lookup = move |_| {
        let keys = TokenKeys::new("li", known.clone()).issued_at(issued);
        let keys = keys.or(key("old")).issued_at(issued);
        async move { Ok::<_, Infallible>(Some(keys)) }
    };
    let service = drafts(&clock, lookup).layer(service_fn(who));
    for (number, (with, hash, status)) in [
        (key("old"), Algorithm::HmacSha1, 200),
        (key("old"), Algorithm::HmacSha256, 401),
        (new.clone(), Algorithm::HmacSha256, 200),
        (new, Algorithm::HmacSha1, 401),
    ]
    .into_iter()
    .enumerate()
    {
        let request = drafted(&with, &format!("0:{number}"), "on", Some(hash));
        assert_eq!(call(&service, request).await.status(), status, "{number}");
    }
}

#[tokio::test]
async fn a_request_is_not_let_in_again_under_another_token() {
    let world = World::new();
    let lookup = |token: AccessToken| async move {
        Ok::<_, Infallible>(match token.expose_secret() {
            "T1" => Some(TokenKeys::new("li", key("old"))),
            "T2" => Some(TokenKeys::new("li", key("new")).or(key("old"))),
            _ => None,
        })
    };
    let service = world.layer(lookup).layer(service_fn(who));
    let captured = signed("T1", "old", &world.nonce());
    let mut replayed = captured.clone();
    let header = replayed.headers_mut().get_mut(AUTHORIZATION).unwrap();
    let swapped = header.to_str().unwrap().replace("\"T1\"", "\"T2\"");
    *header = swapped.parse().unwrap();
    assert_eq!(call(&service, captured).await.status(), 200);
    assert_eq!(call(&service, replayed).await.status(), 401);
}

#[tokio::test]
async fn behind_a_proxy_that_ends_tls_the_port_is_the_one_that_was_said() {
    let clock = TestClock::new();
    let issued = clock.now();
    let lookup = move |_| async move {
        let keys = TokenKeys::new("li", key("KEY")).issued_at(issued);
        Ok::<_, Infallible>(Some(keys))
    };
    let layers = [
        (drafts(&clock, lookup).default_port(443), 200),
        (drafts(&clock, lookup).host(API), 200),
        (drafts(&clock, lookup).host(format!("{API}:443")), 200),
        (drafts(&clock, lookup), 401),
        (drafts(&clock, lookup).host(API).default_port(80), 401),
    ];
    for (layer, status) in layers {
        let mut request = drafted(&key("KEY"), "0:a", "", None);
        request.headers_mut().remove(HOST);
        // In cleartext HTTP/2.
        *request.uri_mut() = format!("http://{API}/lamp").parse().unwrap();
        let service = layer.layer(service_fn(who));
        assert_eq!(call(&service, request).await.status(), status);
    }
}

#[tokio::test]
async fn a_host_that_is_none_is_refused() {
    let clock = TestClock::new();
    let issued = clock.now();
    let lookup = move |_| async move {
        let keys = TokenKeys::new("li", key("KEY")).issued_at(issued);
        Ok::<_, Infallible>(Some(keys))
    };
    for (host, status) in [
        (API.to_owned(), 200),
        (format!("{API}:"), 200),
        (format!("{API}:443"), 200),
        (format!("{API}:99999"), 400),
        (format!("{API}:x"), 400),
        (format!("evil@{API}"), 400),
        (format!("evil.example:1@{API}"), 400),
    ] {
        let service = drafts(&clock, lookup).layer(service_fn(who));
        let mut request = drafted(&key("KEY"), "0:a", "", None);
        request.headers_mut().insert(HOST, host.parse().unwrap());
        assert_eq!(call(&service, request).await.status(), status, "{host}");
    }
}

#[tokio::test]
async fn what_an_outer_layer_has_reported_does_not_stand_beside_who_called() {
    let world = World::new();
    let nobody = |_| async { Ok::<Option<TokenKeys<&'static str>>, Infallible>(None) };
    let service = world
        .layer(nobody)
        .report_only(true)
        .layer(world.layer(look_up).layer(service_fn(who)));
    let answer = call(&service, signed("T", "new", &world.nonce())).await;
    assert_eq!(answer.headers()["x-user"], "li");
    assert!(!answer.headers().contains_key("x-not"));
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_clock_is_wrong_mends_it_by_the_refusal() {
    let world = World::new();
    let provider = Provider::new();
    let ahead = TestClock::new();
    ahead.advance(HOUR);
    let tokens = provider.issue(24 * HOUR);
    let (token, mac_key) = (tokens.access_token.clone(), tokens.mac_key.clone().unwrap());
    let lookup = move |asked: AccessToken| {
        let found = (asked == token)
            .then(|| TokenKeys::new("li", MacKey::new(Algorithm::HmacSha1, &mac_key).unwrap()));
        async move { Ok::<_, Infallible>(found) }
    };
    let verified = world.layer(lookup).layer(service_fn(who));
    let api = service_fn(
        move |request: Request<tower_mac_auth::layer::RequestBody<Full<Bytes>>>| {
            let (mut head, _) = request.into_parts();
            head.headers.insert(HOST, HeaderValue::from_static(API));
            verified
                .clone()
                .oneshot(Request::from_parts(head, Full::<Bytes>::default()))
        },
    );
    let builder = Account::builder(provider.endpoint()).clock(ahead);
    let account = builder.tokens(tokens).open("li").await.unwrap();
    let client = MacAuthLayer::new(account).allow(API).unwrap().layer(api);
    let request = Request::get(format!("https://{API}/lamp")).body(Full::<Bytes>::default());
    let response = client.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["x-user"], "li");
}

/// How many hostile headers are tried.
fn cases() -> u32 {
    let set = std::env::var("VERIFY_CASES").ok();
    set.and_then(|cases| cases.parse().ok()).unwrap_or(2000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn no_header_makes_it_panic_or_gets_in(
        authorization in proptest::collection::vec(
            prop_oneof![
                Just("MAC ".to_owned()), Just("access_token=\"T\"".to_owned()), Just(", ".to_owned()),
                Just("nonce=\"1:23282360\"".to_owned()), Just("mac=\"9uvros2WcjMaJ3pH25eQZU9p5pA=\"".to_owned()),
                Just("id=\"T\"".to_owned()), Just("ts=1".to_owned()), Just("bodyhash=".to_owned()), "\\PC{0,12}",
            ],
            0..10,
        ),
        host in proptest::option::of("\\PC{0,20}"),
        path in "/[ -~]{0,20}",
    ) {
        let Ok(uri) = path.parse::<http::Uri>() else { return Ok(()) };
        let mut request = Request::new(Full::<Bytes>::default());
        *request.uri_mut() = uri;
        for (name, value) in [(AUTHORIZATION, Some(authorization.concat())), (HOST, host)] {
            let value = value.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
            if let Some(value) = value {
                request.headers_mut().append(name, value);
            }
        }
        let world = World::new();
        let service = world.layer(look_up).layer(service_fn(who));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let response = runtime.block_on(call(&service, request));
        prop_assert!(response.status().is_client_error());
    }
}
