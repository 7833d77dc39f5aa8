//! Who waits for a credential holds nothing that others need.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceExt};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::{Attempt, RequestBody};
use tower_mac_auth::provider::xiaomi::SigningRules;
use tower_mac_auth::testing::{Api, Fault, TestClock};

use crate::users::{get_as, open, per_request};
use crate::world::{Answer, HOUR, World, post, status};

type Sent = Request<RequestBody<Full<Bytes>>>;

/// One request of `world`'s account, which has to wait for its credential, and meanwhile one of
/// another's, which is live: with a single permit for both.
async fn a_slow_refresh_and_another_user<S>(
    world: &World,
    other: &Account,
    inner: S,
    slow: Request<Full<Bytes>>,
) -> Answer
where
    S: Service<Sent, Response = Response<Full<Bytes>>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let client = per_request(world).layer(ConcurrencyLimitLayer::new(1).layer(inner));
    world
        .provider
        .fault_next(Fault::Delay(Duration::from_secs(20)));
    let slow = tokio::spawn(client.clone().oneshot(slow));
    while world.presented() == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let quick = client.oneshot(get_as(other, "/other"));
    let quick = tokio::time::timeout(Duration::from_secs(1), quick).await;
    assert_eq!(
        status(&quick.expect("it had to wait for another's credential")),
        StatusCode::OK
    );
    assert!(!slow.is_finished());
    slow.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_its_credential_holds_up_no_other_user() {
    let world = World::new().await;
    let other = open(&world, world.provider.issue(10 * HOUR)).await;
    world.clock.advance(2 * HOUR);
    let slow = get_as(&world.account, "/");
    let slow = a_slow_refresh_and_another_user(&world, &other, world.provider.api(), slow).await;
    assert_eq!(status(&slow), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_form_that_waits_for_its_credential_holds_up_no_other_user() {
    let rules = SigningRules::new().sign_form(true);
    let world = World::with(|it| it.signing_rules(rules), |it| it).await;
    let other = open(&world, world.provider.issue(10 * HOUR)).await;
    world.clock.advance(2 * HOUR);
    let mut slow = post("/form", "a=1");
    slow.extensions_mut().insert(world.account.clone());
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    slow.headers_mut().insert(CONTENT_TYPE, form);
    let slow = a_slow_refresh_and_another_user(&world, &other, world.provider.api(), slow).await;
    assert_eq!(status(&slow), StatusCode::OK);
    assert_eq!(world.provider.accepted()[1].body, "a=1");
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_that_waits_for_its_refresh_holds_up_no_other_user() {
    let world = World::new().await;
    world.provider.expire_access_tokens();
    let other = open(&world, world.provider.issue(HOUR)).await;
    let slow = get_as(&world.account, "/");
    let slow = a_slow_refresh_and_another_user(&world, &other, world.provider.api(), slow).await;
    assert_eq!(status(&slow), StatusCode::OK);
}

/// Refuses the first signature, and is slow to be ready after that.
#[derive(Clone)]
struct Slow {
    api: Api,
    clock: TestClock,
    calls: Arc<AtomicUsize>,
}

impl Service<Sent> for Slow {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let refused = self
            .calls
            .compare_exchange(1, 2, Ordering::SeqCst, Ordering::SeqCst);
        if refused.is_ok() {
            self.clock.advance(2 * HOUR);
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Sent) -> Self::Future {
        if self.calls.fetch_add(1, Ordering::SeqCst) > 0 {
            return Box::pin(self.api.clone().oneshot(request));
        }
        let refusal = br#"{"result":"error","code":96012}"#;
        let refused = Response::new(Full::new(Bytes::from_static(refusal)));
        Box::pin(std::future::ready(Ok(refused)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_credential_ends_before_it_is_sent_again_holds_up_no_other_user() {
    let world = World::new().await;
    let other = open(&world, world.provider.issue(10 * HOUR)).await;
    let inner = Slow {
        api: world.provider.api(),
        clock: world.clock.clone(),
        calls: Arc::default(),
    };
    let slow = get_as(&world.account, "/");
    let slow = a_slow_refresh_and_another_user(&world, &other, inner, slow).await;
    assert_eq!(status(&slow), StatusCode::OK);
    let slow = slow.unwrap();
    assert_eq!(slow.extensions().get(), Some(&Attempt::RESEND));
}
