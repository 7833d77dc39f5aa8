//! Inner services and bodies that are odd, and readiness that is scarce.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Full};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::buffer::BufferLayer;
use tower::limit::{ConcurrencyLimitLayer, RateLimitLayer};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_mac_auth::layer::{Attempt, Error, MacAuth, RequestBody};
use tower_mac_auth::provider::xiaomi::SigningRules;
use tower_mac_auth::testing::{Api, RefusalStyle};

use crate::world::{World, get, post, status};

/// Fails where the promise would otherwise be waited for without end.
async fn timeout<F: Future>(future: F) -> F::Output {
    let ended = tokio::time::timeout(Duration::from_secs(60), future).await;
    ended.expect("it hangs")
}

type Sent = Request<RequestBody<Full<Bytes>>>;

/// Has few permits: one is there when it is ready, goes with the response, and comes back when
/// the response's body is dropped.
struct PermitInBody {
    api: Api,
    permits: Arc<Semaphore>,
    waiting: Option<Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Clone for PermitInBody {
    fn clone(&self) -> Self {
        Self {
            api: self.api.clone(),
            permits: Arc::clone(&self.permits),
            waiting: None,
            permit: None,
        }
    }
}

struct Held {
    body: Full<Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Service<Sent> for PermitInBody {
    type Response = Response<Held>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Held>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.permit.is_none() {
            let permits = &self.permits;
            let waiting = self.waiting.get_or_insert_with(|| {
                let permits = Arc::clone(permits);
                Box::pin(async move { permits.acquire_owned().await.unwrap() })
            });
            self.permit = Some(ready!(waiting.as_mut().poll(cx)));
            self.waiting = None;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Sent) -> Self::Future {
        let permit = self.permit.take().unwrap();
        let answer = self.api.clone().oneshot(request);
        Box::pin(async move {
            let response = answer.await?;
            Ok(response.map(|body| Held {
                body,
                _permit: permit,
            }))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_resend_does_not_wait_for_what_the_refused_response_holds() {
    let world = World::new().await;
    let inner = PermitInBody {
        api: world.provider.api(),
        permits: Arc::new(Semaphore::new(1)),
        waiting: None,
        permit: None,
    };
    let client = world.layer().layer(inner);
    world.provider.expire_access_tokens();
    let answer = timeout(client.oneshot(get("/"))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_storm_through_few_permits_ends() {
    let world = World::new().await;
    world.provider.expire_access_tokens();
    let inner = ServiceBuilder::new()
        .layer(BufferLayer::new(2))
        .layer(ConcurrencyLimitLayer::new(3))
        .layer(RateLimitLayer::new(7, Duration::from_millis(1)))
        .service(world.provider.api());
    let client = world.layer().layer(inner);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        tasks.spawn(client.clone().oneshot(get("/")));
    }
    for answer in timeout(tasks.join_all()).await {
        assert_eq!(answer.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(world.presented(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_sent_gives_its_permit_back() {
    let world = World::new().await;
    let inner = ServiceBuilder::new()
        .layer(ConcurrencyLimitLayer::new(1))
        .service(world.provider.api());
    let mut client = world.layer().layer(inner);
    let other = client.clone();
    let bad = Request::get("https://evil.example/")
        .body(Full::<Bytes>::default())
        .unwrap();
    let ready = ServiceExt::<Request<Full<Bytes>>>::ready(&mut client).await;
    let answer = ready.unwrap().call(bad).await;
    assert!(matches!(answer, Err(Error::Auth(_))));
    let answer = timeout(other.oneshot(get("/"))).await;
    assert_eq!(status(&answer), StatusCode::OK);
    drop(client);
}

/// Ready once, then never again.
#[derive(Clone)]
struct ReadyOnce {
    api: Api,
    asked: Arc<AtomicUsize>,
}

impl Service<Sent> for ReadyOnce {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, &'static str>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        match self.asked.fetch_add(1, Ordering::SeqCst) {
            0 => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err("closed")),
        }
    }

    fn call(&mut self, request: Sent) -> Self::Future {
        let call = self.api.clone().oneshot(request);
        Box::pin(async move { call.await.map_err(|never| match never {}) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_before_the_resend_says_so_in_its_own_words() {
    let world = World::new().await;
    let inner = ReadyOnce {
        api: world.provider.api(),
        asked: Arc::default(),
    };
    let mut client = world.layer().layer(inner);
    world.provider.expire_access_tokens();
    let mut call = client.ready().await.unwrap().call(post("/", "abc"));
    let answer = (&mut call).await;
    assert!(matches!(answer, Err(Error::Service("closed"))));
    // Polling it again is a mistake, and is told as one.
    let again = tokio::spawn(async move { call.await.is_ok() }).await;
    assert!(again.unwrap_err().is_panic());
}

/// Panics when it is called a second time.
#[derive(Clone)]
struct PanicsOnResend {
    api: Api,
    calls: Arc<AtomicUsize>,
}

impl Service<Sent> for PanicsOnResend {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = <Api as Service<Sent>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Sent) -> Self::Future {
        assert!(self.calls.fetch_add(1, Ordering::SeqCst) != 1, "no more");
        self.api.call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_below_the_resend_hurts_that_request_alone() {
    let world = World::new().await;
    let client = world.layer().layer(PanicsOnResend {
        api: world.provider.api(),
        calls: Arc::default(),
    });
    world.provider.expire_access_tokens();
    let call = tokio::spawn(client.clone().oneshot(post("/", "abc")));
    assert!(call.await.unwrap_err().is_panic());
    let answer = timeout(client.oneshot(get("/"))).await;
    assert_eq!(status(&answer), StatusCode::OK);
    assert_eq!(world.presented(), 1);
}

/// Answers with a refusal that is larger than a refusal may be, in small pieces, and never ends.
#[derive(Clone)]
struct EndlessRefusal;

struct Drip(u64);

impl Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0 += 1;
        if self.0.is_multiple_of(2) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))))
    }
}

impl Service<Sent> for EndlessRefusal {
    type Response = Response<Drip>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Drip>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Sent) -> Self::Future {
        let mut response = Response::new(Drip(0));
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        std::future::ready(Ok(response))
    }
}

#[tokio::test(start_paused = true)]
async fn a_401_without_end_is_resent_once_and_then_handed_back() {
    let world = World::new().await;
    let client = world.layer().layer(EndlessRefusal);
    let answer = timeout(client.oneshot(post("/", "abc"))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.extensions().get(), Some(&Attempt::RESEND));
    let mut body = answer.into_body();
    let first = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
    assert!(first.unwrap().unwrap().is_data());
    assert_eq!(world.presented(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_form_without_end_is_refused_by_name_and_not_sent() {
    let rules = SigningRules::new().sign_form(true);
    let world = World::with(|it| it.signing_rules(rules), |it| it).await;
    let request = Request::post("https://api.example/")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Drip(0))
        .unwrap();
    let call = world.client().oneshot(request);
    let Err(Error::Auth(error)) = timeout(call).await else {
        panic!("sent")
    };
    assert_eq!(
        error.to_string(),
        "the request was not sent: body: has more than the 65536 bytes, or than the pieces, that \
         are kept to be signed"
    );
    assert_eq!(world.provider.api_requests(), 0);
}

/// An API whose answers come in gzip, though their heads say no length.
fn in_gzip(
    api: Api,
) -> impl Service<Sent, Response = Response<Full<Bytes>>, Error = Infallible> + Clone {
    service_fn(move |request: Sent| {
        let api = api.clone();
        async move {
            let (mut head, body) = api.oneshot(request).await?.into_parts();
            let text = body.collect().await?.to_bytes();
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(&text).unwrap();
            let coding = HeaderValue::from_static("gzip");
            head.headers.insert(CONTENT_ENCODING, coding);
            let body = Full::new(gzip.finish().unwrap().into());
            Ok(Response::from_parts(head, body))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_compressed_refusal_is_refreshed_and_one_that_is_not_is_handed_on_as_it_came() {
    for style in [
        RefusalStyle::Ok200WithCode,
        RefusalStyle::BadRequest400,
        RefusalStyle::Unauthorized401,
    ] {
        let world = World::new().await;
        world.provider.set_refusal_style(style);
        let client = world.layer().layer(in_gzip(world.provider.api()));
        world.provider.expire_access_tokens();
        let answer = client.clone().oneshot(get("/")).await.unwrap();
        assert_eq!(
            answer.extensions().get(),
            Some(&Attempt::RESEND),
            "{style:?}"
        );
        assert_eq!(world.presented(), 1, "{style:?}");
        // So soon after a refresh another cannot help.
        world.provider.expire_access_tokens();
        let refused = client.oneshot(get("/")).await.unwrap();
        assert_eq!(
            refused.extensions().get(),
            Some(&Attempt::FIRST),
            "{style:?}"
        );
        assert_eq!(refused.headers()[CONTENT_ENCODING], "gzip");
        let mut text = String::new();
        let body = refused.into_body().collect().await.unwrap().to_bytes();
        GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
        assert!(text.contains("96008"), "{style:?}: {text}");
    }
}

/// An API whose answers come in two pieces, without a length.
fn in_pieces(
    api: Api,
) -> impl Service<Sent, Response = Response<Channel<Bytes>>, Error = Infallible> + Clone {
    service_fn(move |request: Sent| {
        let api = api.clone();
        async move {
            let (mut head, body) = api.oneshot(request).await?.into_parts();
            let text = body.collect().await?.to_bytes();
            head.headers.remove(CONTENT_LENGTH);
            let (mut sender, body) = Channel::new(1);
            tokio::spawn(async move {
                let middle = text.len() / 2;
                for piece in [text.slice(..middle), text.slice(middle..)] {
                    let _ = sender.send_data(piece).await;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
            Ok(Response::from_parts(head, body))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_two_pieces_is_refreshed_whatever_its_status() {
    for style in [
        RefusalStyle::Ok200WithCode,
        RefusalStyle::BadRequest400,
        RefusalStyle::Unauthorized401,
    ] {
        let world = World::new().await;
        world.provider.set_refusal_style(style);
        world.provider.expire_access_tokens();
        let client = world.layer().layer(in_pieces(world.provider.api()));
        let answer = client.oneshot(get("/")).await.unwrap();
        assert_eq!(
            answer.extensions().get(),
            Some(&Attempt::RESEND),
            "{style:?}"
        );
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(text.starts_with(b"{") && text.ends_with(b"}"), "{text:?}");
        assert_eq!(world.presented(), 1, "{style:?}");
    }
}

/// Sends a request of its own by the layer that it is in, when it is first cloned: to warm up, say.
struct WarmsUp {
    api: Api,
    client: Arc<Mutex<Option<MacAuth<WarmsUp>>>>,
}

impl Clone for WarmsUp {
    fn clone(&self) -> Self {
        let client = self.client.lock().unwrap().take();
        if let Some(mut client) = client {
            drop(Service::call(&mut client, get("/")));
        }
        Self {
            api: self.api.clone(),
            client: Arc::clone(&self.client),
        }
    }
}

impl Service<Sent> for WarmsUp {
    type Response = <Api as Service<Sent>>::Response;
    type Error = Infallible;
    type Future = <Api as Service<Sent>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Sent>::poll_ready(&mut self.api, cx)
    }

    fn call(&mut self, request: Sent) -> Self::Future {
        self.api.call(request)
    }
}

#[test]
fn nothing_is_locked_while_a_service_is_cloned_for_the_first_call() {
    let (done, is_done) = std::sync::mpsc::channel();
    // If it hangs, it does so for good.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let own = Arc::new(Mutex::new(None));
            let mut client = world.layer().layer(WarmsUp {
                api: world.provider.api(),
                client: Arc::clone(&own),
            });
            let clone = client.clone();
            *own.lock().unwrap() = Some(clone);
            let client = client.ready().await.unwrap();
            done.send(status(&client.call(get("/")).await)).unwrap();
        });
    });
    let answered = is_done.recv_timeout(Duration::from_secs(60));
    assert_eq!(answered, Ok(StatusCode::OK));
}
