//! Bodies: what is sent again is what was sent, byte for byte, or it is not sent again.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, Service, ServiceExt};
use tower_mac_auth::account::RefreshErrorKind;
use tower_mac_auth::layer::{Attempt, AuthErrorKind, Error, RequestBody};
use tower_mac_auth::provider::xiaomi::SigningRules;
use tower_mac_auth::store::Generation;
use tower_mac_auth::testing::Api;

use crate::world::{HOST, World, post, status};

#[tokio::test(start_paused = true)]
async fn a_body_is_resent_byte_for_byte() {
    for len in [0, 1, 1_000, 64 * 1024] {
        let world = World::new().await;
        world.provider.expire_access_tokens();
        let body: Vec<u8> = (0..=250).cycle().take(len).collect();
        let answer = world
            .client()
            .oneshot(post("/", body.clone()))
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.extensions().get(), Some(&Attempt::RESEND));
        assert_eq!(world.provider.accepted()[0].body, body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_trailers_is_resent_whole() {
    let world = World::new().await;
    world.provider.expire_access_tokens();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "42".parse().unwrap());
    let frames = [
        Ok::<_, Infallible>(Frame::data(Bytes::from("one,"))),
        Ok(Frame::data(Bytes::from("two"))),
        Ok(Frame::trailers(trailers.clone())),
    ];
    let body = StreamBody::new(Frames(frames.into_iter().collect()));
    let request = Request::put(format!("https://{HOST}/")).body(body).unwrap();
    let answer = world
        .layer()
        .layer(world.provider.api())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let accepted = &world.provider.accepted()[0];
    assert_eq!(
        (accepted.body.as_ref(), &accepted.trailers),
        (&b"one,two"[..], &Some(trailers))
    );
}

struct Frames(std::collections::VecDeque<Result<Frame<Bytes>, Infallible>>);

impl futures_core::Stream for Frames {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop_front())
    }
}

/// More than the cap, without saying so beforehand.
struct Endless(usize);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        self.0 -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 1024])))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[tokio::test(start_paused = true)]
async fn past_the_cap_the_refusal_is_handed_back_and_the_token_refreshed_all_the_same() {
    let world = World::new().await;
    world.provider.expire_access_tokens();
    let client = world.layer().layer(world.provider.api());
    let request = || {
        Request::post(format!("https://{HOST}/"))
            .body(Endless(65))
            .unwrap()
    };
    let refused = client.clone().oneshot(request()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.extensions().get(), Some(&Generation::FIRST));
    let answer = client.oneshot(request()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(world.provider.accepted()[0].body_len, 65 * 1024);
    assert_eq!(world.presented(), 1);
}

#[tokio::test(start_paused = true)]
async fn with_resend_off_nothing_is_resent_and_the_next_request_succeeds() {
    let world = World::new().await;
    world.provider.expire_access_tokens();
    let client = world.layer().resend_cap(0).layer(world.provider.api());
    let refused = client.clone().oneshot(crate::world::get("/")).await;
    assert_eq!(status(&refused), StatusCode::UNAUTHORIZED);
    assert_eq!(
        status(&client.oneshot(crate::world::get("/")).await),
        StatusCode::OK
    );
    assert_eq!(world.presented(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_refused_early_is_resent_with_the_rest_of_the_upload() {
    let world = World::new().await;
    world.provider.set_early_refusal(true);
    world.provider.expire_access_tokens();
    let answer = world
        .client()
        .oneshot(post("/upload", vec![1; 50_000]))
        .await;
    assert_eq!(status(&answer), StatusCode::OK);
    assert_eq!(world.provider.accepted()[0].body, vec![1; 50_000]);
}

fn form(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = post("/form?z=1", body);
    let form = "application/x-www-form-urlencoded; charset=utf-8"
        .parse()
        .unwrap();
    request.headers_mut().insert("content-type", form);
    request
}

#[tokio::test(start_paused = true)]
async fn a_form_is_signed_sent_unchanged_and_resent() {
    let rules = SigningRules::new().sign_form(true);
    let body = "b=x+y&a=%E5%B0%8F&empty=";
    for cap in [0, 10, body.len(), 64 * 1024] {
        let world = World::with(|it| it.signing_rules(rules.clone()), |it| it).await;
        let layer = world.layer().resend_cap(cap);
        let client = layer.layer(world.provider.api());
        assert_eq!(
            status(&client.clone().oneshot(form(body)).await),
            StatusCode::OK
        );
        world.provider.expire_access_tokens();
        let answer = client.clone().oneshot(form(body)).await;
        assert_eq!(status(&answer) == StatusCode::OK, cap >= body.len());
        assert!(
            world
                .provider
                .accepted()
                .iter()
                .all(|accepted| accepted.body == body)
        );
        // A dead token: the form waits, and is signed with the next.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        world.clock.advance(std::time::Duration::from_secs(400_000));
        assert_eq!(status(&client.oneshot(form(body)).await), StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn a_form_that_cannot_be_signed_is_not_sent() {
    let rules = SigningRules::new().sign_form(true);
    let world = World::with(|it| it.signing_rules(rules), |it| it).await;
    let client = world.client();
    for (body, names) in [
        (vec![b'a'; 65 * 1024], "body"),
        (b"token=mine".to_vec(), "form"),
        (b"a=%zz".to_vec(), "form"),
        ("a=ä".as_bytes().to_vec(), "form"),
    ] {
        let Err(Error::Auth(error)) = client.clone().oneshot(form(body)).await else {
            panic!("sent")
        };
        assert_eq!(error.kind(), AuthErrorKind::Request);
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let told = format!("{error}: {source:?}");
        assert!(told.contains(names), "{told}");
    }
    assert_eq!(world.provider.api_requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn method_uri_version_headers_and_extensions_survive_the_resend() {
    #[derive(Clone, PartialEq, Debug)]
    struct Mark(u8);

    let world = World::new().await;
    world.provider.expire_access_tokens();
    let api = world.provider.api();
    let marked = tower::service_fn(move |request: Request<_>| {
        assert_eq!(request.extensions().get(), Some(&Mark(9)));
        api.clone().oneshot(request)
    });
    let mut request = Request::builder()
        .method(Method::PATCH)
        .uri(format!("https://{HOST}/a/b?x=1&y=%20"))
        .header("x-two", "1")
        .header("x-two", "2")
        .body(Full::new(Bytes::from("body")))
        .unwrap();
    request.extensions_mut().insert(Mark(9));
    let answer = world.layer().layer(marked).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let accepted = &world.provider.accepted()[0];
    assert_eq!(
        (&accepted.method, accepted.path.as_str()),
        (&Method::PATCH, "/a/b")
    );
    assert!(
        accepted
            .query
            .as_ref()
            .unwrap()
            .starts_with("x=1&y=%20&clientId=")
    );
    assert_eq!(accepted.headers.get_all("x-two").iter().count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_handed_back_can_still_be_read_after_a_long_body() {
    let world = World::new().await;
    world.account.shutdown().await;
    world.provider.expire_access_tokens();
    let answer = world.client().oneshot(post("/", "x")).await.unwrap();
    let reason = answer
        .extensions()
        .get::<tower_mac_auth::account::RefreshError>()
        .unwrap();
    assert_eq!(reason.kind(), RefreshErrorKind::Closed);
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&text).contains("96008"));
}

/// Counts what it is called for, and how often it was cloned.
struct Counting {
    api: Api,
    name: &'static str,
    calls: Arc<Mutex<Vec<&'static str>>>,
    clones: Arc<AtomicUsize>,
}

impl Clone for Counting {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::Relaxed);
        Self {
            api: self.api.clone(),
            name: self.name,
            calls: Arc::clone(&self.calls),
            clones: Arc::clone(&self.clones),
        }
    }
}

impl Service<Request<RequestBody<Full<Bytes>>>> for Counting {
    type Response = <Api as Service<Request<RequestBody<Full<Bytes>>>>>::Response;
    type Error = Infallible;
    type Future = <Api as Service<Request<RequestBody<Full<Bytes>>>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<RequestBody<Full<Bytes>>>>::poll_ready(&mut self.api, cx)
    }

    fn call(&mut self, request: Request<RequestBody<Full<Bytes>>>) -> Self::Future {
        self.calls.lock().unwrap().push(self.name);
        self.api.call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn the_inner_service_is_cloned_once_for_many_calls_and_one_that_was_changed_resends() {
    let world = World::new().await;
    let inner = Counting {
        api: world.provider.api(),
        name: "as it was",
        calls: Arc::default(),
        clones: Arc::default(),
    };
    let (calls, clones) = (Arc::clone(&inner.calls), Arc::clone(&inner.clones));
    let mut client = world.layer().layer(inner);
    for _ in 0..10 {
        let client = client.ready().await.unwrap();
        let answer = client.call(post("/", "a")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(clones.load(Ordering::Relaxed), 1);

    let mut other = client.clone();
    client.get_mut().name = "changed";
    for (client, name) in [(&mut client, "changed"), (&mut other, "as it was")] {
        world.provider.expire_access_tokens();
        calls.lock().unwrap().clear();
        let client = client.ready().await.unwrap();
        let answer = client.call(post("/", "a")).await.unwrap();
        assert_eq!(answer.extensions().get(), Some(&Attempt::RESEND));
        assert_eq!(*calls.lock().unwrap(), [name, name]);
        // A token that is younger is not refreshed again.
        world.clock.advance(Duration::from_secs(120));
    }
}
