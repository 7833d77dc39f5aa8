//! Requests that are signed for clients that are no tower service.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::ServiceExt;
use tower_mac_auth::account::{Account, RefreshErrorKind};
use tower_mac_auth::layer::AuthErrorKind;
use tower_mac_auth::provider::xiaomi::SigningRules;
use tower_mac_auth::provider::{AllowedAuthorities, Head, Provider as _, Refusal};
use tower_mac_auth::store::Generation;
use tower_mac_auth::testing::{Fault, Provider, TestClock};

use crate::world::{HOST, HOUR, World};

fn allowed() -> AllowedAuthorities {
    AllowedAuthorities::new([HOST]).unwrap()
}

fn request(method: Method, body: &'static str) -> Request<Bytes> {
    Request::builder()
        .method(method)
        .uri(format!("https://{HOST}/lamp?room=2"))
        .body(Bytes::from(body))
        .unwrap()
}

fn get() -> Request<Bytes> {
    request(Method::GET, "")
}

async fn send(provider: &Provider, request: Request<Bytes>) -> Response<Bytes> {
    let response = provider.api().oneshot(request.map(Full::new)).await;
    let (head, body) = response.unwrap().into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

fn refusal(account: &Account, response: &Response<Bytes>) -> Option<Refusal> {
    let (status, headers, body) = (response.status(), response.headers(), response.body());
    match account.provider().read_head(status, headers) {
        Head::Verdict(refusal) => refusal,
        Head::Read { otherwise } if body.is_empty() => otherwise,
        _ => account.provider().read_body(status, headers, body),
    }
}

#[tokio::test(start_paused = true)]
async fn a_signed_request_is_accepted_as_that_of_a_layer() {
    let world = World::new().await;
    let mut signed = request(Method::POST, "on");
    let generation = world.account.sign(&mut signed);
    let generation = generation.allowed_authorities(&allowed()).await.unwrap();
    assert_eq!(generation, Generation::FIRST);
    assert!(signed.headers()[AUTHORIZATION].is_sensitive());
    assert_eq!(send(&world.provider, signed).await.status(), StatusCode::OK);
    let accepted = &world.provider.accepted()[0];
    assert_eq!(accepted.body, "on");
    assert!(accepted.query.as_ref().unwrap().starts_with("room=2&"));
    let requests = world.account.stats().requests;
    assert_eq!((requests.signed, requests.not_sent), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_signed_twice_is_as_good_as_new() {
    let world = World::new().await;
    let mut signed = get();
    for _ in 0..2 {
        let generation = world.account.sign(&mut signed);
        generation.allowed_authorities(&allowed()).await.unwrap();
    }
    assert_eq!(signed.headers().get_all(AUTHORIZATION).iter().count(), 1);
    assert_eq!(send(&world.provider, signed).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn however_many_wait_for_a_credential_one_refresh_is_made() {
    let world = World::new().await;
    world.clock.advance(2 * HOUR);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (account, provider) = (world.account.clone(), world.provider.clone());
        tasks.spawn(async move {
            let mut signed = get();
            let generation = account.sign(&mut signed);
            let generation = generation.allowed_authorities(&allowed()).await.unwrap();
            assert_eq!(generation, Generation::FIRST.next());
            send(&provider, signed).await.status()
        });
    }
    let statuses = tasks.join_all().await;
    assert!(statuses.iter().all(|status| *status == StatusCode::OK));
    assert_eq!(world.presented(), 1);
}

#[tokio::test(start_paused = true)]
async fn however_many_are_refused_one_refresh_is_made() {
    let world = World::new().await;
    let mut refused = Vec::new();
    world.provider.expire_access_tokens();
    for _ in 0..100 {
        let mut signed = get();
        let generation = world.account.sign(&mut signed);
        let generation = generation.allowed_authorities(&allowed()).await.unwrap();
        let response = send(&world.provider, signed).await;
        let refusal = refusal(&world.account, &response);
        assert_eq!(refusal, Some(Refusal::TokenRejected));
        refused.push(generation);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for generation in refused {
        tasks.spawn(world.account.refresh_if_current(generation));
    }
    for refreshed in tasks.join_all().await {
        assert_eq!(refreshed.unwrap(), Generation::FIRST.next());
    }
    assert_eq!(world.presented(), 1);
    let mut signed = get();
    let generation = world.account.sign(&mut signed);
    generation.allowed_authorities(&allowed()).await.unwrap();
    assert_eq!(send(&world.provider, signed).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_is_corrected_by_a_refusal() {
    let clock = TestClock::new();
    let provider = Provider::builder().clock(clock.clone()).build();
    let late = TestClock::new();
    late.advance(5 * HOUR);
    let account = Account::builder(provider.endpoint())
        .clock(late)
        .tokens(provider.issue(24 * HOUR))
        .open("user")
        .await
        .unwrap();
    let sign = async |account: &Account| {
        let mut signed = get();
        let generation = account.sign(&mut signed);
        generation.allowed_authorities(&allowed()).await.unwrap();
        send(&provider, signed).await
    };
    let response = sign(&account).await;
    let refused = refusal(&account, &response);
    assert_eq!(refused, Some(Refusal::SignatureRejected));
    account.correct_clock(response.headers());
    assert_eq!(sign(&account).await.status(), StatusCode::OK);
    assert_eq!(provider.presentations().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_refuses_is_refused_and_left_as_it_was() {
    let world = World::new().await;
    for (uri, allowed, kind, source) in [
        // The provider's own are the default.
        (
            format!("https://{HOST}/"),
            None,
            AuthErrorKind::Authority,
            "uri: host",
        ),
        (
            "https://open.account.xiaomi.com/".to_owned(),
            Some(allowed()),
            AuthErrorKind::Authority,
            "uri: host",
        ),
        (
            format!("http://{HOST}/"),
            Some(allowed()),
            AuthErrorKind::Authority,
            "uri: plain http",
        ),
        (
            format!("https://{HOST}/?a=%2"),
            Some(allowed()),
            AuthErrorKind::Request,
            "query: bad percent escape",
        ),
    ] {
        let mut request = Request::get(&uri).body(()).unwrap();
        let error = match &allowed {
            Some(allowed) => {
                let signed = world.account.sign(&mut request);
                signed.allowed_authorities(allowed).await.unwrap_err()
            }
            None => world.account.sign(&mut request).await.unwrap_err(),
        };
        assert_eq!(error.kind(), kind, "{uri}");
        let text = std::error::Error::source(&error).unwrap().to_string();
        assert!(text.starts_with(source), "{text}");
        assert_eq!(*request.uri(), *uri);
        assert!(request.headers().is_empty());
    }
    let mut request = Request::get("https://open.account.xiaomi.com/").body(());
    let request = request.as_mut().unwrap();
    assert!(world.account.sign(request).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn without_a_credential_nothing_is_signed() {
    let world = World::new().await;
    world.clock.advance(2 * HOUR);
    world.provider.fault_next(Fault::ConnectionRefused);
    let mut request = get();
    let signed = world.account.sign(&mut request);
    let error = signed.allowed_authorities(&allowed()).await.unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::Credential);
    let why = error.refresh_error().unwrap().kind();
    assert_eq!(why, RefreshErrorKind::Unsent);
    assert!(!request.headers().contains_key(AUTHORIZATION));
    let requests = world.account.stats().requests;
    assert_eq!((requests.signed, requests.not_sent), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_dropped_while_it_waits_leaves_the_refresh_alone() {
    let world = World::new().await;
    world.clock.advance(2 * HOUR);
    let pause = Duration::from_secs(5);
    world.provider.fault_next(Fault::Delay(pause));
    let mut request = get();
    {
        let allowed = allowed();
        let signed = world.account.sign(&mut request);
        let mut signed = pin!(signed.allowed_authorities(&allowed));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(signed.as_mut().poll(cx).is_pending());
    }
    assert!(request.headers().is_empty());
    // Joins it.
    let signed = world.account.sign(&mut request);
    signed.allowed_authorities(&allowed()).await.unwrap();
    assert_eq!(
        send(&world.provider, request).await.status(),
        StatusCode::OK
    );
    assert_eq!(world.presented(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_signed_has_to_be_given() {
    let rules = SigningRules::new().sign_form(true);
    let world = World::with(|provider| provider.signing_rules(rules), |account| account).await;
    let form = || {
        let mut request = request(Method::POST, "a=1&b=2");
        let form = "application/x-www-form-urlencoded".parse().unwrap();
        request.headers_mut().insert("content-type", form);
        request
    };
    let allowed = allowed();

    let mut request = form();
    let signed = world.account.sign(&mut request);
    let error = signed.allowed_authorities(&allowed).await.unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::Request);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "body: is signed, and was not given");

    let long = "a".repeat(64 * 1024 + 1);
    let signed = world.account.sign(&mut request).body(long.as_bytes());
    let error = signed.allowed_authorities(&allowed).await.unwrap_err();
    assert!(error.to_string().contains(": body: "), "{error}");

    let body = request.body().clone();
    let signed = world.account.sign(&mut request).body(&body);
    signed.allowed_authorities(&allowed).await.unwrap();
    assert_eq!(
        send(&world.provider, request).await.status(),
        StatusCode::OK
    );
}
