//! Refusals: one flight, every request served, nothing burnt.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AGE, DATE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::oneshot;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_mac_auth::account::{Account, Event, RefreshError, RefreshErrorKind};
use tower_mac_auth::layer::{Attempt, RequestBody, ResponseFuture};
use tower_mac_auth::store::Generation;
use tower_mac_auth::testing::{Api, Fault, RefusalStyle, TestClock};

use crate::world::{HOST, World, at_once, get, status, text};

#[tokio::test(start_paused = true)]
async fn a_request_goes_through_signed() {
    let world = World::new().await;
    assert_eq!(status(&world.get("/user/profile").await), StatusCode::OK);
    let accepted = &world.provider.accepted()[0];
    assert_eq!(accepted.path, "/user/profile");
    assert_eq!(accepted.access_token, world.tokens.access_token);
    assert_eq!(world.presented(), 0);
}

#[tokio::test(start_paused = true)]
async fn however_many_requests_are_refused_one_refresh_is_made_and_all_succeed() {
    for count in [1, 2, 500, 10_000] {
        let world = World::new().await;
        world.provider.expire_access_tokens();
        for answer in at_once(&world.client(), count).await {
            assert_eq!(status(&answer), StatusCode::OK);
        }
        assert_eq!(world.presented(), 1, "{count} requests");
        world.account.shutdown().await;
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        assert_eq!(tasks, 0, "a task is left over");
        assert_eq!(world.provider.accepted().len(), count);
        assert_eq!(world.account.generation(), Generation::FIRST.next());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_many_threads_one_refresh_is_made_too() {
    let world = World::new().await;
    for round in 1..=20 {
        let world = &world;
        world.provider.expire_access_tokens();
        // Each round is a rotation of its own, not a refusal of a fresh token.
        world.clock.advance(Duration::from_secs(61));
        for answer in at_once(&world.client(), 100).await {
            assert_eq!(status(&answer), StatusCode::OK);
        }
        assert_eq!(world.presented(), round);
    }
    assert!(world.provider.presented_twice().is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_layers_with_one_account_share_one_flight() {
    let world = World::new().await;
    world.provider.expire_access_tokens();
    let (one, other) = (world.client(), world.client());
    let (one, other) = tokio::join!(at_once(&one, 50), at_once(&other, 50));
    assert!(
        one.iter()
            .chain(&other)
            .all(|answer| status(answer) == StatusCode::OK)
    );
    assert_eq!(world.presented(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_way_to_refuse_is_understood() {
    for style in [
        RefusalStyle::Unauthorized401,
        RefusalStyle::BadRequest400,
        RefusalStyle::Ok200WithCode,
        RefusalStyle::Bare401,
    ] {
        let world = World::new().await;
        world.provider.set_refusal_style(style);
        world.provider.expire_access_tokens();
        let answer = world.get("/").await;
        assert_eq!(status(&answer), StatusCode::OK, "{style:?}");
        assert!(text(answer.unwrap()).await.contains("\"ok\""), "{style:?}");
        assert_eq!(world.presented(), 1, "{style:?}");
    }
}

/// An API whose first answer arrives when the test says so.
#[expect(clippy::type_complexity, reason = "it has no name to write")]
fn held(
    api: Api,
) -> (
    impl Service<
        Request<RequestBody<Full<Bytes>>>,
        Response = Response<Full<Bytes>>,
        Error = Infallible,
        Future: Send,
    > + Clone,
    oneshot::Sender<()>,
) {
    let (release, released) = oneshot::channel();
    let first = Arc::new(Mutex::new(Some(released)));
    let service = service_fn(move |request| {
        let released = first.lock().unwrap().take();
        let api = api.clone();
        async move {
            let response = api.oneshot(request).await;
            if let Some(released) = released {
                let _ = released.await;
            }
            response
        }
    });
    (service, release)
}

#[tokio::test(start_paused = true)]
async fn a_late_refusal_of_an_old_generation_is_signed_again_without_a_refresh() {
    let world = World::new().await;
    world.provider.expire_access_tokens();
    let (api, release) = held(world.provider.api());
    let client = world.layer().layer(api);
    let late = tokio::spawn(client.clone().oneshot(get("/late")));
    tokio::task::yield_now().await;
    assert_eq!(status(&client.oneshot(get("/early")).await), StatusCode::OK);
    assert_eq!(world.presented(), 1);
    release.send(()).unwrap();
    let late = late.await.unwrap().unwrap();
    assert_eq!(late.status(), StatusCode::OK);
    assert_eq!(late.extensions().get(), Some(&Attempt::RESEND));
    assert_eq!(late.extensions().get(), Some(&Generation::FIRST.next()));
    assert_eq!(world.presented(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_refreshing_cannot_fix_is_handed_back_and_burns_one_token_at_most() {
    let mut world = World::new().await;
    let refusal = r#"{"result":"error","description":"no","code":96008}"#;
    let stubborn = service_fn(move |_: Request<RequestBody<Full<Bytes>>>| async move {
        let mut response = Response::new(Full::new(Bytes::from_static(refusal.as_bytes())));
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        Ok::<_, Infallible>(response)
    });
    let client = world.layer().layer(stubborn);
    for _ in 0..20 {
        let answer = client.clone().oneshot(get("/")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(text(answer).await, refusal);
    }
    assert_eq!(world.presented(), 1);
    let rejected = |event: &Event| matches!(event, Event::RejectedFresh { .. });
    assert_eq!(
        world
            .events_so_far()
            .iter()
            .filter(|event| rejected(event))
            .count(),
        20
    );
}

#[tokio::test(start_paused = true)]
async fn a_caller_dropped_at_any_poll_changes_nothing() {
    for polls in 0..12 {
        let world = World::new().await;
        world.provider.expire_access_tokens();
        world
            .provider
            .fault_next(Fault::Delay(Duration::from_secs(3)));
        let mut call = tokio_test::task::spawn(world.client().oneshot(get("/dropped")));
        for _ in 0..polls {
            if call.poll().is_ready() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        drop(call);
        assert_eq!(
            status(&world.get("/next").await),
            StatusCode::OK,
            "after {polls} polls"
        );
        assert_eq!(world.presented(), 1, "after {polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_dropped_while_the_token_answer_is_under_way_loses_nothing() {
    let mut world = World::new().await;
    world.provider.expire_access_tokens();
    world
        .provider
        .fault_next(Fault::Delay(Duration::from_secs(10)));
    let leader = tokio::spawn(world.client().oneshot(get("/leader")));
    while world.presented() == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    assert_eq!(status(&world.get("/follower").await), StatusCode::OK);
    assert_eq!(world.presented(), 1);
    assert!(matches!(world.event(), Some(Event::Refreshed { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_dead_token_is_not_sent_the_request_waits_for_the_next() {
    let world = World::new().await;
    world.clock.advance(Duration::from_secs(3601));
    for answer in at_once(&world.client(), 10).await {
        assert_eq!(status(&answer), StatusCode::OK);
    }
    assert_eq!(world.presented(), 1);
    assert_eq!(world.provider.refused().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_is_corrected_from_date_and_never_refreshed() {
    for forward in [true, false] {
        let clock = tower_mac_auth::testing::TestClock::new();
        let mut world =
            World::with(|provider| provider.clock(clock.clone()), |account| account).await;
        let day = Duration::from_secs(86_400);
        if forward {
            clock.advance(day);
        } else {
            clock.set_back(day);
        }
        // Beyond the access token's life for the provider, if a day ahead: a new one then.
        let tokens = world.provider.issue(crate::world::HOUR);
        world.account = tower_mac_auth::account::Account::builder(world.provider.endpoint())
            .clock(world.clock.clone())
            .tokens(tokens)
            .open("user")
            .await
            .unwrap();
        world.events = world.account.events();
        let answer = world.get("/").await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.extensions().get(), Some(&Attempt::RESEND));
        assert_eq!(world.presented(), 0);
        let offset = world
            .events_so_far()
            .into_iter()
            .find_map(|event| match event {
                Event::ClockCorrected { offset_secs, .. } => Some(offset_secs),
                _ => None,
            });
        let expected = if forward { 86_400 } else { -86_400 };
        assert!((offset.unwrap() - expected).abs() <= 1, "{offset:?}");
        // Learnt once.
        assert_eq!(status(&world.get("/again").await), StatusCode::OK);
        assert_eq!(world.provider.refused().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_date_of_an_answer_out_of_a_cache_sets_no_clock() {
    for (ages, corrected) in [
        (&[][..], true),
        (&["0"], true),
        (&["10800"], false),
        (&["0", "1"], false),
        (&["soon"], false),
    ] {
        let mut world = World::new().await;
        let cached = service_fn(move |_: Request<RequestBody<Full<Bytes>>>| {
            let refusal = br#"{"result":"error","code":96012}"#;
            let mut answer = Response::new(Full::new(Bytes::from_static(refusal)));
            let headers = answer.headers_mut();
            let date = "Sun, 06 Nov 1994 08:49:37 GMT";
            headers.insert(DATE, HeaderValue::from_static(date));
            for age in ages {
                headers.append(AGE, HeaderValue::from_static(age));
            }
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        let client = world.layer().layer(cached);
        let answer = client.oneshot(get("/")).await.unwrap();
        assert_eq!(answer.extensions().get(), Some(&Attempt::RESEND));
        let learnt = |event: &Event| matches!(event, Event::ClockCorrected { .. });
        assert_eq!(
            world.events_so_far().iter().any(learnt),
            corrected,
            "{ages:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_signature_is_handed_back_after_one_more_try_and_never_refreshed() {
    let world = World::new().await;
    let refusal = r#"{"result":"error","code":"96012"}"#;
    let calls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&calls);
    let deaf = service_fn(move |_: Request<RequestBody<Full<Bytes>>>| {
        *counted.lock().unwrap() += 1;
        async move {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(
                refusal.as_bytes(),
            ))))
        }
    });
    let answer = world.layer().layer(deaf).oneshot(get("/")).await.unwrap();
    assert_eq!(text(answer).await, refusal);
    assert_eq!(*calls.lock().unwrap(), 2);
    assert_eq!(world.presented(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_signature_is_handed_back_if_there_is_no_credential_for_one_more_try() {
    let world = World::new().await;
    world.provider.fault_next(Fault::ConnectionRefused);
    let refusal = r#"{"result":"error","code":96012}"#;
    let clock = world.clock.clone();
    let late = service_fn(move |_: Request<RequestBody<Full<Bytes>>>| {
        clock.advance(2 * crate::world::HOUR);
        let answer = Response::new(Full::new(Bytes::from_static(refusal.as_bytes())));
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let answer = world.layer().layer(late).oneshot(get("/")).await.unwrap();
    let reason = answer.extensions().get::<RefreshError>().unwrap();
    assert_eq!(reason.kind(), RefreshErrorKind::Unsent);
    assert_eq!(answer.extensions().get(), Some(&Attempt::FIRST));
    assert_eq!(text(answer).await, refusal);
}

#[tokio::test(start_paused = true)]
async fn of_a_request_that_was_refused_nobody_says_that_it_was_not_sent() {
    let world = World::new().await;
    let refused = Arc::new(AtomicBool::new(false));
    // The credential that the second attempt would carry ends while the service is made ready.
    let service = Closing {
        clock: world.clock.clone(),
        refused: Arc::clone(&refused),
    };
    world.provider.fault_next(Fault::ConnectionRefused);
    let error = world.layer().layer(service).oneshot(get("/")).await;
    assert!(refused.load(Ordering::SeqCst));
    let text = error.map(drop).unwrap_err().to_string();
    assert_eq!(text, "the request was refused, and not sent again");
}

/// Refuses the signature; lets time pass when it is made ready after that.
#[derive(Clone)]
struct Closing {
    clock: TestClock,
    refused: Arc<AtomicBool>,
}

impl Service<Request<RequestBody<Full<Bytes>>>> for Closing {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.refused.load(Ordering::SeqCst) {
            self.clock.advance(2 * crate::world::HOUR);
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody<Full<Bytes>>>) -> Self::Future {
        self.refused.store(true, Ordering::SeqCst);
        let refusal = br#"{"result":"error","code":96012}"#;
        std::future::ready(Ok(Response::new(Full::new(Bytes::from_static(refusal)))))
    }
}

#[tokio::test(start_paused = true)]
async fn if_the_refresh_fails_the_refusal_is_handed_back_whole_with_the_reason() {
    let world = World::new().await;
    world.provider.expire_access_tokens();
    world.provider.fault_next(Fault::ConnectionRefused);
    let answer = world.get("/").await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let reason = answer.extensions().get::<RefreshError>().unwrap();
    assert_eq!(reason.kind(), RefreshErrorKind::Unsent);
    assert_eq!(answer.extensions().get(), Some(&Attempt::FIRST));
    assert_eq!(answer.extensions().get(), Some(&Generation::FIRST));
    assert!(text(answer).await.contains("96008"));
    assert_eq!(world.presented(), 0);
}

/// Panics when it is called without having said that it is ready.
struct Strict {
    api: Api,
    ready: Option<Permit>,
    /// Readiness is a permit, given back when the service is dropped uncalled, or the response
    /// future is.
    permit: Arc<AtomicBool>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self {
            api: self.api.clone(),
            ready: None,
            permit: Arc::clone(&self.permit),
        }
    }
}

struct Permit(Arc<AtomicBool>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Service<Request<RequestBody<Full<Bytes>>>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.ready.is_none() {
            if !self.permit.swap(false, Ordering::SeqCst) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.ready = Some(Permit(Arc::clone(&self.permit)));
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<Full<Bytes>>>) -> Self::Future {
        let permit = self.ready.take().expect("called without having been ready");
        let response = self.api.clone().oneshot(request);
        Box::pin(async move {
            let response = response.await;
            // Held until the whole future goes.
            let _held = &permit;
            response
        })
    }
}

#[tokio::test(start_paused = true)]
async fn the_inner_service_is_called_only_when_ready_also_for_a_resend_that_needs_the_first_permit()
{
    let world = World::new().await;
    let permit = Arc::new(AtomicBool::new(true));
    let strict = Strict {
        api: world.provider.api(),
        ready: None,
        permit,
    };
    let mut client = world.layer().layer(strict);
    // Live, then refused and resent, then dead before it is sent.
    let dead = |world: &World| world.clock.advance(Duration::from_secs(400_000));
    let refused = |world: &World| world.provider.expire_access_tokens();
    for prepare in [|_: &World| {}, refused, dead] {
        prepare(&world);
        let answer = client.ready().await.unwrap().call(get("/")).await;
        assert_eq!(status(&answer), StatusCode::OK);
    }
    assert_eq!(world.presented(), 2);
}

/// A service whose future has no size: the layer's own states weigh most around it.
#[derive(Clone)]
struct Never;

impl Service<Request<RequestBody<Full<Bytes>>>> for Never {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Pending<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody<Full<Bytes>>>) -> Self::Future {
        std::future::pending()
    }
}

#[test]
fn the_layers_future_is_no_larger_than_the_inner_one_and_256_bytes() {
    fn sizes<S: Service<Request<RequestBody<Full<Bytes>>>>>() -> (usize, usize) {
        type Outer<S> = ResponseFuture<S, Full<Bytes>, Full<Bytes>, Account>;
        (size_of::<Outer<S>>(), size_of::<S::Future>())
    }
    for (outer, inner) in [sizes::<Api>(), sizes::<Never>()] {
        assert!(outer <= inner + 256, "{outer} bytes around {inner}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_inbound_authorization_and_token_are_replaced() {
    let world = World::new().await;
    let mut request = Request::get(format!("https://{HOST}/x?token=theirs&a=1&clientId=theirs"))
        .body(Full::<Bytes>::default())
        .unwrap();
    for value in ["MAC theirs", "Bearer theirs"] {
        request
            .headers_mut()
            .append("authorization", value.parse().unwrap());
    }
    assert_eq!(
        status(&world.client().oneshot(request).await),
        StatusCode::OK
    );
    let query = world.provider.accepted()[0].query.clone().unwrap();
    assert!(
        query.starts_with("a=1&clientId=") && !query.contains("theirs"),
        "{query}"
    );
}
