//! Stacks that people build, with tower-http's layers around the layer.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::retry::{Policy, RetryLayer};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_http::timeout::TimeoutLayer;
use tower_mac_auth::layer::{AuthErrorKind, Error, MacAuthLayer, RequestBody};

use crate::world::{HOST, World, get};

#[tokio::test(start_paused = true)]
async fn a_timeout_of_tower_http_stands_outside() {
    let world = World::new().await;
    let timeout =
        TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(1));
    let stack = |client| {
        ServiceBuilder::new()
            .layer(timeout)
            .layer(world.layer())
            .service(client)
    };
    let in_time = stack(world.provider.api()).oneshot(get("/")).await.unwrap();
    assert_eq!(in_time.status(), StatusCode::OK);

    let never = service_fn(|_: Request<RequestBody<Full<Bytes>>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let client = ServiceBuilder::new()
        .layer(timeout)
        .layer(world.layer())
        .service(never);
    let late = client.oneshot(get("/")).await.unwrap();
    assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
    let body = late.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "");
}

/// Sends the API's own paths elsewhere: `/moved` to another path, `/linked` to a CDN, and the CDN
/// says what it got.
async fn redirecting(
    request: Request<RequestBody<Full<Bytes>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let to = match (request.uri().host(), request.uri().path()) {
        (Some(HOST), "/moved") => "https://api.example/here",
        (Some(HOST), "/linked") => "https://cdn.example/file",
        _ => {
            let signed = request.headers().contains_key(AUTHORIZATION);
            let query = request.uri().query().unwrap_or_default();
            let text = format!("{signed} {}", query.contains("token="));
            return Ok(Response::new(text.into()));
        }
    };
    let response = Response::builder().status(302).header(LOCATION, to);
    Ok(response.body(Full::default()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn redirects_outside_sign_each_hop_and_take_no_token_to_an_unsigned_host() {
    let world = World::new().await;
    let one = world.layer().allow_unsigned("cdn.example").unwrap();
    let client = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(one)
        .service(service_fn(redirecting));
    let many = MacAuthLayer::per_request(world.account.provider());
    let many = many.allow(HOST).unwrap().allow_unsigned("cdn.example");
    let of_many = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(many.unwrap())
        .service(service_fn(redirecting));
    for (path, got) in [("/moved", "true true"), ("/linked", "false false")] {
        let mut request = get(path);
        let response = client.clone().oneshot(request.clone()).await.unwrap();
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            got
        );
        request.extensions_mut().insert(world.account.clone());
        let response = of_many.clone().oneshot(request).await.unwrap();
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            got
        );
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_users_a_redirect_to_another_host_that_is_signed_for_is_refused_and_not_sent() {
    let world = World::new().await;
    let many = MacAuthLayer::per_request(world.account.provider());
    let many = many.allow(HOST).unwrap().allow("cdn.example").unwrap();
    let client = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(many)
        .service(service_fn(redirecting));
    let mut request = get("/linked");
    request.extensions_mut().insert(world.account.clone());
    match client.oneshot(request).await {
        Err(Error::Auth(error)) => assert_eq!(error.kind(), AuthErrorKind::Account),
        other => panic!("{other:?}"),
    }
}

/// Tries a 503 once more.
#[derive(Clone)]
struct Twice;

impl<B, E> Policy<Request<Full<Bytes>>, Response<B>, E> for Twice {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Full<Bytes>>,
        result: &mut Result<Response<B>, E>,
    ) -> Option<Self::Future> {
        let busy = result.as_ref().map(Response::status).ok()? == StatusCode::SERVICE_UNAVAILABLE;
        busy.then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<Full<Bytes>>) -> Option<Request<Full<Bytes>>> {
        Some(request.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_outside_signs_each_try_with_a_nonce_of_its_own_also_for_many_users() {
    let world = World::new().await;
    let api = world.provider.api();
    let tries = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    // The API has taken the request, and what is in front of it says 503 all the same.
    let busy_once = service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
        let first = tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        let answer = api.clone().oneshot(request);
        async move {
            let mut answer = answer.await?;
            if first {
                *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let many = MacAuthLayer::per_request(world.account.provider());
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(Twice))
        .layer(many.allow(HOST).unwrap())
        .service(busy_once);
    let mut request = get("/");
    request.extensions_mut().insert(world.account.clone());
    let answer = client.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let accepted = world.provider.accepted();
    assert_eq!(accepted.len(), 2);
    assert_ne!(accepted[0].nonce, accepted[1].nonce);
    assert_eq!(world.presented(), 0);
}
