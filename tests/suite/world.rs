//! What every test starts from: a provider, a clock that the test owns, an account, a client.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt};
use tower_mac_auth::AuthorizationCode;
use tower_mac_auth::ReadAhead;
use tower_mac_auth::account::{Account, AccountBuilder, Event, Events};
use tower_mac_auth::layer::{Error, MacAuth, MacAuthLayer};
use tower_mac_auth::store::{AccountName, Draft, Record, RecordStore, Replaced, Version};
use tower_mac_auth::testing::rotation::{self, Lease, LeaseFrom, Wanted};
use tower_mac_auth::testing::{Api, Provider, ProviderBuilder, TestClock};
use tower_mac_auth::token::TokenSet;

pub const HOUR: Duration = Duration::from_secs(3600);
pub const HOST: &str = "api.example";

pub type Answer = Result<Response<ReadAhead<Full<Bytes>>>, Error<Infallible>>;

pub struct World {
    pub provider: Provider,
    pub clock: TestClock,
    pub tokens: TokenSet,
    pub account: Account,
    pub events: Events,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|provider| provider, |account| account).await
    }

    /// A world whose provider and account were changed before they were made.
    pub async fn with(
        provider: impl FnOnce(ProviderBuilder) -> ProviderBuilder,
        account: impl FnOnce(AccountBuilder) -> AccountBuilder,
    ) -> Self {
        let clock = TestClock::new();
        let provider = provider(Provider::builder().clock(clock.clone())).build();
        let tokens = provider.issue(HOUR);
        let builder = Account::builder(provider.endpoint()).clock(clock.clone());
        let account = account(builder)
            .tokens(tokens.clone())
            .open("user")
            .await
            .unwrap();
        let events = account.events();
        Self {
            provider,
            clock,
            tokens,
            account,
            events,
        }
    }

    pub fn layer(&self) -> MacAuthLayer {
        MacAuthLayer::new(self.account.clone()).allow(HOST).unwrap()
    }

    pub fn client(&self) -> MacAuth<Api> {
        self.layer().layer(self.provider.api())
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.client().oneshot(get(path)).await
    }

    /// A code of the account's user, who agrees once more.
    pub fn code(&self) -> AuthorizationCode {
        let code = self
            .provider
            .authorization_code_of(&self.tokens.access_token);
        code.unwrap()
    }

    /// How many refresh tokens the provider has seen.
    pub fn presented(&self) -> usize {
        self.provider.presentations().len()
    }

    pub fn event(&mut self) -> Option<Event> {
        self.events.try_next()
    }

    pub fn events_so_far(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_next()).collect()
    }
}

pub fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("https://{HOST}{path}"))
        .body(Full::default())
        .unwrap()
}

pub fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(format!("https://{HOST}{path}"))
        .body(Full::new(body.into()))
        .unwrap()
}

pub fn status(answer: &Answer) -> StatusCode {
    answer.as_ref().unwrap().status()
}

pub async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs `count` copies of a request at once.
pub async fn at_once<S>(client: &S, count: usize) -> Vec<Answer>
where
    S: Service<Request<Full<Bytes>>, Response = Response<ReadAhead<Full<Bytes>>>>
        + Service<Request<Full<Bytes>>, Error = Error<Infallible>>
        + Clone
        + Send
        + 'static,
    <S as Service<Request<Full<Bytes>>>>::Future: Send,
{
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..count {
        tasks.spawn(client.clone().oneshot(get("/at-once")));
    }
    tasks.join_all().await
}

/// The record that stands.
pub async fn record(store: &impl RecordStore, name: &AccountName) -> Record {
    let loaded = store.load(name).await.unwrap();
    loaded.into_record().unwrap().unwrap()
}

/// Moves the record as another process would.
pub async fn moved(
    store: &impl RecordStore,
    name: &AccountName,
    transition: impl FnOnce(&Record, Version) -> Option<Draft>,
) -> Record {
    let standing = record(store, name).await;
    let draft = transition(&standing, Version::draw()).expect("the guard holds");
    match store.replace(name, Some(standing.version), &draft).await {
        Ok(Replaced::Done(now)) => draft.at(now),
        other => panic!("{other:?}"),
    }
}

/// The lease, as another process takes it.
pub async fn leased(
    store: &impl RecordStore,
    name: &AccountName,
    length: Duration,
    from: LeaseFrom,
) -> Lease {
    let leased = moved(store, name, |record, version| {
        let wanted = Wanted {
            of: record.version,
            owner: "dead",
            length,
            from,
        };
        rotation::acquire(record, version, wanted)
    });
    Lease::of(leased.await).unwrap()
}
