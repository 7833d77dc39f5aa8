//! What a service below the layer, and the caller above it, hear of each attempt.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Extensions, Method, Request, StatusCode, header};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_mac_auth::layer::{Attempt, MacAuthLayer, RequestBody};
use tower_mac_auth::provider::xiaomi::SigningRules;
use tower_mac_auth::store::Generation;

use crate::world::{HOST, World, get, post};

type Report = (Option<Attempt>, Option<Generation>);

const FIRST: Report = (Some(Attempt::FIRST), Some(Generation::FIRST));
const SILENT: Report = (None, None);

fn report(extensions: &Extensions) -> Report {
    (extensions.get().copied(), extensions.get().copied())
}

/// Sends the request: what the service below was told at each attempt, and the caller in the end.
async fn reports(
    world: &World,
    layer: MacAuthLayer,
    request: Request<Full<Bytes>>,
) -> (Vec<Report>, Report) {
    let below = Arc::new(Mutex::new(Vec::new()));
    let (seen, api) = (Arc::clone(&below), world.provider.api());
    let inner = service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
        seen.lock().unwrap().push(report(request.extensions()));
        let sent = api.clone().oneshot(request);
        async move { Ok::<_, Infallible>(sent.await.unwrap()) }
    });
    let answer = layer.layer(inner).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let below = below.lock().unwrap().clone();
    (below, report(answer.extensions()))
}

fn resend() -> Report {
    (Some(Attempt::RESEND), Some(Generation::FIRST.next()))
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_sent_again_says_so() {
    let world = World::new().await;
    let (below, above) = reports(&world, world.layer(), get("/")).await;
    assert_eq!((below, above), (vec![SILENT], SILENT));

    world.provider.expire_access_tokens();
    let (below, above) = reports(&world, world.layer(), post("/", "on")).await;
    assert_eq!((below, above), (vec![SILENT, resend()], resend()));
}

#[tokio::test(start_paused = true)]
async fn every_attempt_says_what_it_is_if_asked() {
    let world = World::new().await;
    let layer = world.layer().report_every_attempt(true);
    let (below, above) = reports(&world, layer.clone(), get("/")).await;
    assert_eq!((below, above), (vec![FIRST], FIRST));

    world.provider.expire_access_tokens();
    let (below, above) = reports(&world, layer, get("/")).await;
    assert_eq!((below, above), (vec![FIRST, resend()], resend()));
}

#[tokio::test(start_paused = true)]
async fn so_does_one_that_waited_before_it_was_sent_first() {
    let rules = SigningRules::new().sign_form(true);
    let world = World::with(|provider| provider.signing_rules(rules), |account| account).await;
    let form = Request::builder()
        .method(Method::POST)
        .uri(format!("https://{HOST}/"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::from("a=1"))
        .unwrap();
    let layer = world.layer().report_every_attempt(true);
    let (below, above) = reports(&world, layer, form).await;
    assert_eq!((below, above), (vec![FIRST], FIRST));
}
