//! Hosts that requests go to as they are.

use std::convert::Infallible;
use std::task::Poll;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio_test::task;
use tower::{Layer, ServiceExt, service_fn};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::{AuthErrorKind, Error, MacAuthLayer, RequestBody};
use tower_mac_auth::testing::Api;

use crate::world::{HOST, World, get, status};

const CDN: &str = "cdn.example";

/// What arrives, as it arrives: a service that says so in its response.
#[derive(Clone, Debug, PartialEq)]
struct Arrived {
    uri: String,
    signed: bool,
    account: bool,
    body: Bytes,
}

async fn echo(
    request: Request<RequestBody<Full<Bytes>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(Full::from("{\"code\":96008}"));
    response.extensions_mut().insert(Arrived {
        uri: head.uri.to_string(),
        signed: head.headers.contains_key(AUTHORIZATION),
        account: head.extensions.get::<Account>().is_some(),
        body: body.collect().await.unwrap().to_bytes(),
    });
    Ok(response)
}

fn to(uri: &str) -> Request<Full<Bytes>> {
    Request::post(uri).body(Full::from("body")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_request_to_an_unsigned_host_goes_as_it_came_and_its_response_too() {
    let world = World::new().await;
    let layer = world.layer().allow_unsigned(CDN).unwrap();
    for uri in [
        "https://cdn.example/a?b=c",
        "https://CDN.example:443/a",
        "http://cdn.example/plain",
    ] {
        let response = layer.layer(service_fn(echo)).oneshot(to(uri)).await;
        let arrived: Arrived = response.unwrap().extensions().get().cloned().unwrap();
        let expected = Arrived {
            uri: uri.into(),
            signed: false,
            account: false,
            body: "body".into(),
        };
        assert_eq!(arrived, expected);
    }
    // What it says is not taken for a refusal.
    assert_eq!(world.presented(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_needs_no_live_credential() {
    let world = World::new().await;
    world.account.revoke().await.unwrap();
    let layer = world.layer().allow_unsigned(CDN).unwrap();
    let response = layer.layer(service_fn(echo));
    let response = response.oneshot(to("https://cdn.example/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_layer_for_many_users_lets_it_through_with_an_account_and_without() {
    let world = World::new().await;
    let layer = MacAuthLayer::per_request(world.account.provider());
    let layer = layer.allow_unsigned(CDN).unwrap();
    for account in [None, Some(world.account.clone())] {
        let mut request = to("https://cdn.example/");
        if let Some(account) = account {
            request.extensions_mut().insert(account);
        }
        let response = layer.layer(service_fn(echo)).oneshot(request).await;
        let arrived: Arrived = response.unwrap().extensions().get().cloned().unwrap();
        assert!(!arrived.account && !arrived.signed);
    }
}

#[tokio::test(start_paused = true)]
async fn an_allowed_host_is_signed_for_all_the_same_and_any_other_is_refused() {
    let world = World::new().await;
    let layer = world.layer().allow_unsigned(CDN).unwrap();
    let layer = layer.allow_unsigned(HOST).unwrap();
    let client = layer.layer(world.provider.api());
    let answer = client.clone().oneshot(get("/")).await;
    assert_eq!(status(&answer), StatusCode::OK);
    for uri in ["https://other.example/", "https://cdn.example:8443/"] {
        let answer = client.clone().oneshot(to(uri)).await;
        let Err(Error::Auth(error)) = answer else {
            panic!("{uri} went out")
        };
        assert_eq!(error.kind(), AuthErrorKind::Authority);
    }
    let mut two_hosts = to("https://cdn.example/");
    two_hosts
        .headers_mut()
        .insert("host", "other.example".parse().unwrap());
    assert!(client.clone().oneshot(two_hosts).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn its_errors_are_the_inner_services() {
    let world = World::new().await;
    let layer = world.layer().allow_unsigned(CDN).unwrap();
    let broken = service_fn(|_: Request<RequestBody<Full<Bytes>>>| async {
        Err::<Response<Full<Bytes>>, _>("broken")
    });
    let answer = layer.layer(broken).oneshot(to("https://cdn.example/"));
    assert!(matches!(answer.await, Err(Error::Service("broken"))));
    assert!(world.layer().allow_unsigned("no host/").is_err());
}

/// A response that says JSON, and whose first byte never comes.
async fn long_poll(
    _: Request<RequestBody<Full<Bytes>>>,
) -> Result<Response<impl http_body::Body<Data = Bytes, Error = Infallible> + Unpin>, Infallible> {
    let body = StreamBody::new(futures_util::stream::pending());
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(body).unwrap())
}

#[tokio::test(start_paused = true)]
async fn with_no_time_to_inspect_a_long_poll_is_handed_on_at_once() {
    let world = World::new().await;
    let poll =
        |layer: MacAuthLayer| task::spawn(layer.layer(service_fn(long_poll)).oneshot(get("/")));
    let mut held_up = poll(world.layer());
    assert!(held_up.poll().is_pending());
    let mut released = poll(world.layer().inspection_limit(std::time::Duration::ZERO));
    assert!(matches!(released.poll(), Poll::Ready(Ok(_))));
}

#[tokio::test(start_paused = true)]
async fn with_no_time_to_inspect_a_refusal_that_comes_with_its_head_is_found() {
    let world = World::new().await;
    world.provider.expire_access_tokens();
    let layer = world.layer().inspection_limit(std::time::Duration::ZERO);
    let api: Api = world.provider.api();
    let answer = layer.layer(api).oneshot(get("/")).await;
    assert_eq!(status(&answer), StatusCode::OK);
    assert_eq!(world.presented(), 1);
}
