//! The same promises for a provider of bearer tokens, from the code to a refresh.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Barrier;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_mac_auth::account::{Account, AccountBuilder, InDoubtPolicy, RefreshErrorKind};
use tower_mac_auth::layer::{Error, MacAuth, MacAuthLayer};
use tower_mac_auth::provider::oauth2::ClientAuthentication;
use tower_mac_auth::provider::xiaomi::ErrorCode;
use tower_mac_auth::provider::{Bearer, Meaning, OAuth2};
use tower_mac_auth::store::{AccountName, MemoryStore, Status};
use tower_mac_auth::testing::{
    Api, Dialect, Fault, Presented, Provider, ProviderBuilder, RefusalStyle, TestClock,
};

use crate::world::{HOST, HOUR, at_once, get, record, status};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// An account of a user who has agreed.
struct Scene {
    provider: Provider,
    account: Account<Bearer>,
    store: MemoryStore,
}

impl Scene {
    async fn new() -> Self {
        Self::with(|provider| provider, |client| client, |account| account).await
    }

    async fn with(
        provider: impl FnOnce(ProviderBuilder) -> ProviderBuilder,
        client: impl FnOnce(OAuth2) -> OAuth2,
        account: impl FnOnce(AccountBuilder<Bearer>) -> AccountBuilder<Bearer>,
    ) -> Self {
        let clock = TestClock::new();
        let builder = Provider::builder()
            .dialect(Dialect::Bearer)
            .lifetime(HOUR)
            .reuse_kills_grant(true)
            .clock(clock.clone());
        let provider = provider(builder).build();
        let store = MemoryStore::with_clock(clock.clone());
        let client = client(provider.oauth2()).allow(HOST).unwrap();
        let endpoint = provider.endpoint_of(Bearer::new(client));
        let asked = endpoint.authorize_url("state").unwrap();
        let code = provider.agree_to(&asked.url).unwrap();
        let code = code.with_verifier(asked.code_verifier.unwrap());
        let builder = Account::builder(endpoint).clock(clock).store(store.clone());
        let account = account(builder).authorize("user", code).await.unwrap();
        Self {
            provider,
            account,
            store,
        }
    }

    fn client(&self) -> MacAuth<Api, Account<Bearer>> {
        MacAuthLayer::new(self.account.clone()).layer(self.provider.api())
    }

    async fn call(&self) -> Result<StatusCode, RefreshErrorKind> {
        match self.client().oneshot(get("/me")).await {
            Ok(response) => Ok(response.status()),
            Err(Error::Auth(error)) => Err(error.refresh_error().unwrap().kind()),
            Err(Error::Service(never)) => match never {},
        }
    }

    async fn refresh(&self) -> Result<(), RefreshErrorKind> {
        let refresh = self.account.refresh_if_current(self.account.generation());
        refresh.await.map(drop).map_err(|error| error.kind())
    }

    async fn status(&self) -> Status {
        record(&self.store, &AccountName::new("user").unwrap())
            .await
            .status
    }

    /// What came of each presentation, and whether it was allowed.
    fn presented(&self) -> Vec<(bool, Presented)> {
        let all = self.provider.presentations().into_iter();
        all.map(|it| (it.allowed, it.outcome)).collect()
    }
}

const STORM: usize = 500;

/// The same service, of which the answers come back when there are as many as the storm has requests:
/// so that each of them finds out by itself.
fn together<S, B>(
    inner: S,
) -> impl Service<Request<B>, Response = S::Response, Error = S::Error, Future: Send> + Clone
where
    S: Service<Request<B>, Response: Send, Error: Send, Future: Send> + Clone + Send + 'static,
    B: Send + 'static,
{
    let barrier = Arc::new(Barrier::new(STORM));
    service_fn(move |request| {
        let (inner, barrier) = (inner.clone(), Arc::clone(&barrier));
        async move {
            let answer = inner.oneshot(request).await;
            barrier.wait().await;
            answer
        }
    })
}

#[tokio::test(start_paused = true)]
async fn five_hundred_requests_that_find_a_token_rejected_make_one_presentation() {
    for style in [
        RefusalStyle::Unauthorized401,
        RefusalStyle::BadRequest400,
        RefusalStyle::Ok200WithCode,
        RefusalStyle::Bare401,
    ] {
        let scene = Scene::new().await;
        scene.provider.set_refusal_style(style);
        scene.provider.expire_access_tokens();
        let layer = MacAuthLayer::new(scene.account.clone());
        let client = layer.layer(together(scene.provider.api()));
        let answers = tokio::time::timeout(MINUTE, at_once(&client, STORM)).await;
        for answer in answers.expect("none waits for what does not come") {
            assert_eq!(status(&answer), StatusCode::OK, "{style:?}");
        }
        assert_eq!(scene.presented(), [(true, Presented::Rotated)], "{style:?}");
        assert_eq!(scene.provider.refused().len(), STORM);
        assert_eq!(scene.provider.accepted().len(), STORM);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_socket_and_on_many_threads_it_is_one_too() {
    for http2 in [false, true] {
        let provider = Provider::builder().dialect(Dialect::Bearer).build();
        let server = provider.serve().await.unwrap();
        let endpoint = server.endpoint_of(Bearer::new(server.oauth2())).unwrap();
        let account = Account::builder(endpoint).tokens(provider.issue(HOUR));
        let account = account.open("user").await.unwrap();
        let client = Client::builder(TokioExecutor::new())
            .http2_only(http2)
            .build_http();
        let client = MacAuthLayer::new(account).layer(together(client));
        provider.expire_access_tokens();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..STORM {
            let request = Request::get(server.url("/me")).body(Full::<Bytes>::default());
            tasks.spawn(client.clone().oneshot(request.unwrap()));
        }
        let answers = tokio::time::timeout(MINUTE, tasks.join_all()).await;
        for answer in answers.expect("none waits for what does not come") {
            let answer = answer.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(body.starts_with(b"{"));
        }
        assert_eq!(provider.presentations().len(), 1);
        assert_eq!(provider.refused().len(), STORM);
        assert_eq!(provider.accepted().len(), STORM);
    }
}

#[tokio::test(start_paused = true)]
async fn each_way_that_a_client_is_registered_serves_an_account() {
    for how in [
        ClientAuthentication::Basic,
        ClientAuthentication::Body,
        ClientAuthentication::None,
    ] {
        for json in [false, true] {
            let provider = |it: ProviderBuilder| it.client_authentication(how).json_requests(json);
            let scene = Scene::with(provider, |client| client, |account| account).await;
            scene.provider.expire_access_tokens();
            assert_eq!(scene.call().await, Ok(StatusCode::OK), "{how:?} {json}");
            assert_eq!(scene.presented(), [(true, Presented::Rotated)]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_scope_that_falls_short_presents_nothing() {
    let scene = Scene::new().await;
    scene.provider.set_insufficient_scope(true);
    for _ in 0..3 {
        assert_eq!(scene.call().await, Ok(StatusCode::FORBIDDEN));
    }
    assert_eq!(scene.presented(), []);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_unknown_life_is_refreshed_when_it_is_refused() {
    let provider = |it: ProviderBuilder| it.announce_lifetime(false);
    let scene = Scene::with(provider, |client| client, |account| account).await;
    assert_eq!(scene.account.expires_at(), None);
    for times in 1..=2 {
        tokio::time::sleep(2 * HOUR).await;
        assert_eq!(scene.call().await, Ok(StatusCode::OK));
        assert_eq!(scene.presented().len(), times);
    }
    assert!(scene.provider.presented_twice().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_rotate_has_its_refresh_token_kept() {
    let provider = |it: ProviderBuilder| it.rotate_refresh_tokens(false).token_extra("error", "");
    let at_once = |it: AccountBuilder<Bearer>| it.min_rotation_interval(Duration::ZERO);
    let scene = Scene::with(provider, |client| client, at_once).await;
    for _ in 0..2 {
        scene.provider.expire_access_tokens();
        assert_eq!(scene.call().await, Ok(StatusCode::OK));
    }
    let [first, second] = &scene.provider.presentations()[..] else {
        panic!("two")
    };
    assert_eq!(first.token, second.token);
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_says_of_a_refresh_decides_what_becomes_of_the_token() {
    use RefreshErrorKind::{InDoubt, RateLimited, ReauthorizationRequired, Refused};
    let refuse = Fault::RefuseWith;
    for (fault, kind, left) in [
        (
            refuse(ErrorCode::RefreshTokenRejected),
            ReauthorizationRequired,
            Status::Revoked,
        ),
        (refuse(ErrorCode::ClientMismatch), Refused, Status::Active),
        // `slow_down`, as below.
        (refuse(ErrorCode::Denied), RateLimited, Status::Active),
        (refuse(ErrorCode::from_code(7)), InDoubt, Status::InDoubt),
        (
            Fault::ServerError(StatusCode::SERVICE_UNAVAILABLE),
            InDoubt,
            Status::InDoubt,
        ),
        (Fault::Html, InDoubt, Status::InDoubt),
    ] {
        let provider = |it: ProviderBuilder| it.token_error(ErrorCode::Denied, "slow_down");
        let client = |it: OAuth2| it.with_error("slow_down", Meaning::TryLater);
        let scene = Scene::with(provider, client, |account| account).await;
        scene.provider.fault_next(fault.clone());
        assert_eq!(scene.refresh().await, Err(kind), "{fault:?}");
        assert_eq!(scene.status().await, left, "{fault:?}");
        assert_eq!(
            scene.presented(),
            [(true, Presented::NotActedOn)],
            "{fault:?}"
        );
    }
}

/// How long the provider answers a spent token again, and the client knows it.
const GRACE: Duration = MINUTE;

async fn in_doubt(policy: InDoubtPolicy) -> Scene {
    let scene = Scene::with(
        |provider| provider.grace_window(GRACE),
        |client| client,
        |account| account.in_doubt(policy),
    )
    .await;
    scene.provider.expire_access_tokens();
    scene.provider.fault_next(Fault::ConsumedThenReset);
    assert_eq!(scene.call().await, Ok(StatusCode::UNAUTHORIZED));
    assert_eq!(scene.status().await, Status::InDoubt);
    scene
}

#[tokio::test(start_paused = true)]
async fn within_the_grace_window_a_lost_answer_is_had_again_and_no_user_is_asked() {
    for loses in [1, 0] {
        let scene = in_doubt(InDoubtPolicy::ReplayWithin(GRACE)).await;
        let mut events = scene.account.events();
        // The second answer may be lost as well. There is no third.
        if loses == 1 {
            scene.provider.fault_next(Fault::ConsumedThenReset);
        }
        tokio::time::sleep(31 * SECOND).await;
        let answer = scene.call().await;
        let replayed = [(true, Presented::Rotated), (true, Presented::Replayed)];
        assert_eq!(scene.presented(), replayed);
        assert!(scene.provider.presented_twice().is_empty());
        if loses == 1 {
            assert_ne!(answer, Ok(StatusCode::OK));
            tokio::time::sleep(10 * MINUTE).await;
            assert_ne!(scene.call().await, Ok(StatusCode::OK));
            assert_eq!(scene.presented(), replayed);
            continue;
        }
        assert_eq!(answer, Ok(StatusCode::OK));
        assert_eq!(scene.status().await, Status::Active);
        while let Some(event) = events.try_next() {
            let text = format!("{event:?}");
            assert!(!text.contains("ReauthorizationRequired"), "{text}");
        }
        // What was replayed is whole: it buys the next.
        tokio::time::sleep(2 * MINUTE).await;
        scene.refresh().await.unwrap();
        assert_eq!(scene.call().await, Ok(StatusCode::OK));
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_the_grace_window_a_lost_answer_is_not_asked_for_again() {
    let scene = in_doubt(InDoubtPolicy::ReplayWithin(GRACE)).await;
    tokio::time::sleep(GRACE).await;
    for _ in 0..3 {
        assert_eq!(scene.call().await, Err(RefreshErrorKind::InDoubt));
        tokio::time::sleep(10 * MINUTE).await;
    }
    assert_eq!(scene.presented(), [(true, Presented::Rotated)]);
    assert_eq!(scene.status().await, Status::InDoubt);
}

/// A minute has passed by then, which is all of this window: the provider calls it reuse.
#[tokio::test(start_paused = true)]
async fn the_default_policy_comes_once_more_and_too_late_for_a_short_window() {
    let scene = in_doubt(InDoubtPolicy::default()).await;
    tokio::time::sleep(MINUTE).await;
    for _ in 0..3 {
        assert_ne!(scene.call().await, Ok(StatusCode::OK));
        tokio::time::sleep(10 * MINUTE).await;
    }
    let refused = Presented::Refused(ErrorCode::RefreshTokenRejected);
    assert_eq!(
        scene.presented(),
        [(true, Presented::Rotated), (false, refused)]
    );
    assert_eq!(scene.provider.presented_twice().len(), 1);
    assert_eq!(scene.status().await, Status::Revoked);
}
