//! Runtimes that end before the account does, and runtimes that nobody drives.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tower::{Layer, ServiceExt};
use tower_mac_auth::account::{Account, AccountErrorKind, Accounts, RefreshErrorKind};
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::store::{AccountName, Generation, Issued, MemoryStore, RecordStore};
use tower_mac_auth::testing::{Fault, Provider, TestClock};
use tower_mac_auth::token::TokenSet;

use crate::faulty::{Faulty, How, Step};
use crate::world::{HOST, HOUR, get, status};

const SECOND: Generation = Generation::FIRST.next();
const MINUTE: Duration = Duration::from_secs(60);

/// A runtime of one thread, with time of its own that is skipped when there is nothing to do.
fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

/// An account, opened on a runtime that is driven for that alone.
struct Opened {
    home: Runtime,
    provider: Provider,
    clock: TestClock,
    account: Account,
    tokens: TokenSet,
}

impl Opened {
    fn new() -> Self {
        let home = runtime();
        let clock = TestClock::new();
        let provider = Provider::builder().clock(clock.clone()).build();
        let tokens = provider.issue(HOUR);
        let account = Account::builder(provider.endpoint())
            .clock(clock.clone())
            .tokens(tokens.clone())
            .open("user");
        let account = home.block_on(account).unwrap();
        Self {
            home,
            provider,
            clock,
            account,
            tokens,
        }
    }

    fn refresh(&self) -> impl Future<Output = Result<Generation, RefreshErrorKind>> + use<> {
        let refresh = self.account.refresh_if_current(self.account.generation());
        async move { refresh.await.map_err(|error| error.kind()) }
    }

    fn presented(&self) -> usize {
        self.provider.presentations().len()
    }

    /// Has the home begin `work`, and no more of it than that the provider is asked.
    fn begin<F: Future>(&self, work: impl FnOnce(Account) -> F) {
        self.provider.fault_next(Fault::Delay(10 * MINUTE));
        let asked = self.provider.token_requests();
        self.home.block_on(async {
            let mut work = pin!(work(self.account.clone()));
            poll_fn(|cx| {
                assert!(work.as_mut().poll(cx).is_pending());
                cx.waker().wake_by_ref();
                if self.provider.token_requests() > asked {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        });
    }
}

/// Long enough for whatever is under way there to end.
fn drive(runtime: &Runtime) {
    runtime.block_on(async { tokio::time::sleep(HOUR).await });
}

#[test]
fn an_account_is_refreshed_on_each_runtime_that_asks_once_its_own_is_gone() {
    let opened = Opened::new();
    drop(opened.home);
    let (account, clock) = (opened.account, opened.clock);
    for rotation in 1..=3 {
        clock.advance(2 * MINUTE);
        let generation = account.generation();
        let refreshed = runtime().block_on(async { account.refresh_if_current(generation).await });
        assert_eq!(refreshed.unwrap(), generation.next());
        assert_eq!(opened.provider.presentations().len(), rotation);
    }
    let token = &opened.tokens.access_token;
    let code = opened.provider.authorization_code_of(token).unwrap();
    let authorized = runtime().block_on(account.authorize(code)).unwrap();
    assert_eq!(account.generation(), authorized);
    runtime().block_on(account.shutdown());
}

#[test]
fn accounts_made_outside_of_any_runtime_are_opened_and_refreshed_where_they_are_asked_for() {
    let clock = TestClock::new();
    let provider = Provider::builder().clock(clock.clone()).build();
    let store = MemoryStore::with_clock(clock.clone());
    let accounts = Accounts::builder(provider.endpoint())
        .clock(clock)
        .store(store.clone())
        .build();
    for name in ["one", "two"] {
        runtime().block_on(async {
            let first = Issued::authorized(Generation::FIRST, provider.issue(HOUR), Some(HOUR));
            let id = AccountName::new(name).unwrap();
            let _ = store.commit(&id, first).await.unwrap();
            let account = accounts.get(name).await.unwrap();
            let refreshed = account.refresh_if_current(account.generation()).await;
            assert_eq!(refreshed.unwrap(), SECOND);
        });
    }
    assert!(accounts.peek("one").is_some());
    runtime().block_on(accounts.shutdown());
}

#[test]
fn a_refresh_that_nobody_waits_for_is_not_begun_on_a_runtime_that_may_end_with_the_request() {
    let opened = Opened::new();
    drop(opened.home);
    opened.clock.advance(Duration::from_secs(3_300));
    let layer = MacAuthLayer::new(opened.account).allow(HOST).unwrap();
    for _ in 0..3 {
        let client = layer.layer(opened.provider.api());
        let answer = runtime().block_on(client.oneshot(get("/")));
        assert_eq!(status(&answer), 200);
    }
    assert_eq!(opened.provider.token_requests(), 0);
}

#[test]
fn a_refresh_that_its_runtime_does_not_begin_is_begun_where_it_is_waited_for() {
    let opened = Opened::new();
    let refreshed = runtime().block_on(async { opened.refresh().await });
    assert_eq!(refreshed, Ok(SECOND));
    drive(&opened.home);
    assert_eq!(opened.presented(), 1, "it was begun twice");
    assert_eq!(opened.account.generation(), SECOND);
}

#[test]
fn whoever_waits_takes_over_also_if_who_asked_first_is_gone() {
    let opened = Opened::new();
    let refreshed = runtime().block_on(async {
        let (first, second) = (opened.refresh(), opened.refresh());
        drop(first);
        second.await
    });
    assert_eq!(refreshed, Ok(SECOND));
    assert_eq!(opened.presented(), 1);
}

#[test]
fn a_refresh_whose_runtime_ends_before_it_begins_is_begun_where_it_is_waited_for() {
    let opened = Opened::new();
    let refresh = opened.refresh();
    drop(opened.home);
    assert_eq!(runtime().block_on(refresh), Ok(SECOND));
    assert_eq!(opened.provider.presentations().len(), 1);
}

#[test]
fn a_refresh_under_way_on_a_runtime_that_nobody_drives_holds_nobody_longer_than_its_limit() {
    let opened = Opened::new();
    opened.begin(|account| account.refresh_if_current(Generation::FIRST));
    let refreshed = runtime().block_on(async { opened.refresh().await });
    assert_eq!(refreshed, Err(RefreshErrorKind::TimedOut));
    assert_eq!(opened.presented(), 1, "it is never presented twice");
    opened.provider.clear_faults();
    drive(&opened.home);
    assert_eq!(opened.presented(), 1);
}

#[test]
fn an_authorization_that_its_runtime_does_not_begin_is_begun_where_it_is_waited_for() {
    let opened = Opened::new();
    let token = &opened.tokens.access_token;
    let code = opened.provider.authorization_code_of(token).unwrap();
    let authorized = runtime().block_on(opened.account.authorize(code)).unwrap();
    drive(&opened.home);
    assert_eq!(opened.account.generation(), authorized);
    assert_eq!(opened.provider.token_requests(), 1);
}

#[test]
fn a_revocation_needs_no_runtime_but_that_of_its_caller() {
    let opened = Opened::new();
    let revoked = runtime().block_on(opened.account.revoke()).unwrap();
    assert_eq!(opened.account.generation(), revoked);
}

#[test]
fn shutdown_ends_though_a_runtime_is_gone_or_nobody_drives_it() {
    // Gone while a refresh was under way.
    let opened = Opened::new();
    opened.begin(|account| account.refresh_if_current(Generation::FIRST));
    drop(opened.home);
    runtime().block_on(opened.account.shutdown());
    // Not driven since.
    let opened = Opened::new();
    opened.begin(|account| account.refresh_if_current(Generation::FIRST));
    runtime().block_on(opened.account.shutdown());
    // Not driven before it was begun.
    let opened = Opened::new();
    let refresh = opened.refresh();
    runtime().block_on(async {
        opened.account.shutdown().await;
        assert_eq!(refresh.await, Err(RefreshErrorKind::Closed));
    });
    assert_eq!(opened.presented(), 0);
}

#[test]
fn opening_an_account_holds_nobody_longer_than_its_limit() {
    let clock = TestClock::new();
    let provider = Provider::builder().clock(clock.clone()).build();
    let store = Faulty::new(clock.clone());
    let accounts = Accounts::builder(provider.endpoint())
        .clock(clock)
        .store(store.clone())
        .build();
    store.fail(Step::Read, How::Hang);
    let first = runtime();
    first.block_on(async {
        let mut get = pin!(accounts.get("user"));
        tokio::select! {
            biased;
            _ = &mut get => panic!("the store hangs"),
            () = tokio::task::yield_now() => {}
        }
    });
    let error = runtime().block_on(accounts.get("user")).unwrap_err();
    assert_eq!(error.kind(), AccountErrorKind::TimedOut);
}
