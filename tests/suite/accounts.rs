//! Many accounts in one process.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt};
use tower_mac_auth::Clock;
use tower_mac_auth::account::{
    Account, AccountErrorKind, Accounts, AccountsBuilder, Event, InDoubtPolicy, RefreshErrorKind,
    RotationStatus,
};
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::store::{AccountName, Generation, Issued, MemoryStore, RecordStore};
use tower_mac_auth::testing::{Fault, Presentation, Provider, TestClock};
use tower_mac_auth::token::{TokenEndpoint, TokenSet};

use crate::faulty::{Faulty, How, Step};
use crate::world::{Answer, HOST, HOUR, get, record, status};

const SECOND: Generation = Generation::FIRST.next();

struct Crowd {
    provider: Provider,
    clock: TestClock,
    store: Faulty,
    accounts: Accounts,
}

impl Crowd {
    /// `count` users that the store knows, by the names `0`, `1`…
    async fn new(count: usize) -> Self {
        Self::with(count, |accounts| accounts, None).await
    }

    /// The same, of accounts that were changed before they were made, at an endpoint that takes so
    /// many requests a second.
    async fn with(
        count: usize,
        accounts: impl FnOnce(AccountsBuilder) -> AccountsBuilder,
        rate: Option<u32>,
    ) -> Self {
        let clock = TestClock::new();
        let provider = Provider::builder().clock(clock.clone()).build();
        let endpoint = TokenEndpoint::builder(provider.xiaomi())
            .requests_per_second(rate.map(|rate| rate.try_into().unwrap()))
            .transport(provider.transport())
            .build()
            .unwrap();
        let store = Faulty::new(clock.clone());
        let builder = Accounts::builder(endpoint).clock(clock.clone());
        let crowd = Self {
            accounts: accounts(builder.store(store.clone())).build(),
            provider,
            clock,
            store,
        };
        for name in 0..count {
            commit(&crowd.store.inner(), name, crowd.provider.issue(HOUR)).await;
        }
        crowd
    }

    async fn account(&self, name: usize) -> Account {
        self.accounts.get(&name.to_string()).await.unwrap()
    }

    async fn get(&self, account: Account) -> Answer {
        let layer = MacAuthLayer::new(account).allow(HOST).unwrap();
        layer.layer(self.provider.api()).oneshot(get("/")).await
    }

    /// A request of each, all at once.
    async fn all_get(self: &Arc<Self>, accounts: &[Account]) -> Vec<Answer> {
        let mut tasks = JoinSet::new();
        for account in accounts {
            let (crowd, account) = (Arc::clone(self), account.clone());
            tasks.spawn(async move { crowd.get(account).await });
        }
        tasks.join_all().await
    }

    async fn all(&self, count: usize) -> Vec<Account> {
        let mut accounts = Vec::new();
        for name in 0..count {
            accounts.push(self.account(name).await);
        }
        self.store.take_steps();
        accounts
    }

    /// Opens so many others that each that can be evicted is.
    async fn crowd_out(&self) {
        for name in 0..500 {
            let name = format!("other {name}");
            commit(&self.store.inner(), &name, self.provider.issue(HOUR)).await;
            drop(self.accounts.get(&name).await.unwrap());
        }
    }
}

async fn commit(store: &MemoryStore, name: impl ToString, tokens: TokenSet) {
    let name = AccountName::new(&name.to_string()).unwrap();
    let issued = Issued::authorized(Generation::FIRST, tokens, Some(HOUR));
    store.commit(&name, issued).await.unwrap();
}

fn assert_rate(presentations: &[Presentation], rate: usize) {
    for (first, next) in presentations.iter().zip(&presentations[rate..]) {
        let apart = next.at.saturating_since(first.at);
        // Timestamps are whole milliseconds.
        assert!(apart >= Duration::from_millis(999), "{apart:?}");
    }
}

#[tokio::test]
async fn ten_thousand_opened_at_once_are_read_once_each() {
    let crowd = Arc::new(Crowd::new(10_000).await);
    crowd.store.expect_steps(20_000);
    let mut tasks = JoinSet::new();
    for number in 0..20_000 {
        let crowd = Arc::clone(&crowd);
        tasks.spawn(async move { crowd.account(number % 10_000).await });
    }
    let handles = tasks.join_all().await;
    assert_eq!(crowd.store.take_steps().len(), 10_000);
    assert_eq!(crowd.accounts.len(), 10_000);
    drop(handles);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_hundred_who_open_one_account_get_the_same() {
    let crowd = Arc::new(Crowd::new(4).await);
    let mut tasks = JoinSet::new();
    for number in 0..2_000 {
        let crowd = Arc::clone(&crowd);
        tasks.spawn(async move { crowd.account(number % 4).await });
    }
    let handles = tasks.join_all().await;
    assert_eq!(crowd.store.take_steps(), [Step::Read; 4]);
    let refreshed = crowd.account(0).await;
    refreshed
        .refresh_if_current(Generation::FIRST)
        .await
        .unwrap();
    for handle in handles {
        let is_it = handle.name().as_str() == "0";
        assert_eq!(handle.generation() == SECOND, is_it);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_to_open_is_told_to_all_who_wait_and_not_remembered() {
    let crowd = Arc::new(Crowd::new(1).await);
    crowd.store.fail(Step::Read, How::Before);
    let mut tasks = JoinSet::new();
    for _ in 0..500 {
        let accounts = crowd.accounts.clone();
        tasks.spawn(async move { accounts.get("0").await.map(drop) });
    }
    for failed in tasks.join_all().await {
        assert_eq!(failed.unwrap_err().kind(), AccountErrorKind::Store);
    }
    assert_eq!(crowd.store.take_steps(), [Step::Read]);
    assert!(crowd.accounts.is_empty());
    crowd.account(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_or_hangs_while_it_opens_is_an_error() {
    let crowd = Crowd::new(1).await;
    for (how, kind) in [
        (How::Panic, AccountErrorKind::Interrupted),
        (How::Hang, AccountErrorKind::Store),
    ] {
        crowd.store.fail(Step::Read, how);
        let failed = crowd.accounts.get("0").await.unwrap_err();
        assert_eq!(failed.kind(), kind, "{how:?}");
        assert!(crowd.accounts.is_empty());
    }
    crowd.account(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_the_store_does_not_know_leaves_nothing_behind() {
    let crowd = Crowd::new(0).await;
    let failed = crowd.accounts.get("nobody").await.unwrap_err();
    assert_eq!(failed.kind(), AccountErrorKind::NotAuthorized);
    let bad = crowd.accounts.get("").await.unwrap_err();
    assert_eq!(bad.kind(), AccountErrorKind::Name);
    let refused = crowd.accounts.authorize("nobody", "no code").await;
    assert_eq!(refused.unwrap_err().kind(), AccountErrorKind::CodeRefused);
    assert!(crowd.accounts.is_empty());
    assert!(crowd.accounts.peek("nobody").is_none());
}

#[tokio::test(start_paused = true)]
async fn whoever_is_dropped_opens_the_account_for_the_others() {
    let crowd = Crowd::new(1).await;
    crowd
        .store
        .fail(Step::Read, How::Late(Duration::from_secs(5)));
    let hasty = tokio::time::timeout(Duration::from_secs(1), crowd.accounts.get("0")).await;
    assert!(hasty.is_err());
    crowd.account(0).await;
    assert_eq!(crowd.store.take_steps(), [Step::Read]);
}

#[tokio::test(start_paused = true)]
async fn an_authorized_account_is_open_and_one_with_those_opened_meanwhile() {
    let crowd = Crowd::new(1).await;
    let code = crowd.provider.authorization_code();
    let new = crowd.accounts.authorize("new", code).await.unwrap();
    assert_eq!(
        crowd.accounts.peek("new").unwrap().generation(),
        new.generation()
    );
    assert_eq!(status(&crowd.get(new).await), StatusCode::OK);

    // An account that is read while a user authorizes it.
    let standing = record(&crowd.store.inner(), &AccountName::new("0").unwrap()).await;
    let access = standing.grant().unwrap().access.as_ref().unwrap();
    let code = crowd.provider.authorization_code_of(&access.access_token);
    let code = code.unwrap();
    crowd
        .store
        .fail(Step::Read, How::Late(Duration::from_secs(5)));
    let (opened, authorized) =
        tokio::join!(crowd.accounts.get("0"), crowd.accounts.authorize("0", code),);
    let (opened, authorized) = (opened.unwrap(), authorized.unwrap());
    assert_eq!(opened.generation(), Generation::from_number(3));
    assert_eq!(authorized.generation(), opened.generation());
}

#[tokio::test(start_paused = true)]
async fn tokens_say_whose_account_they_are_and_are_handed_back_if_they_do_not() {
    let crowd = Crowd::new(0).await;
    let by_subject = |tokens: &TokenSet| tokens.subject.clone();
    let code = crowd.provider.authorization_code();
    let one = crowd.accounts.authorize_as(code, by_subject).await.unwrap();
    assert_eq!(Some(one.name().as_str()), one.subject().as_deref());
    assert_eq!(status(&crowd.get(one.clone()).await), StatusCode::OK);
    // The same user, who agrees once more, has the same account.
    let token = crowd.provider.accepted()[0].access_token.clone();
    let code = crowd.provider.authorization_code_of(&token).unwrap();
    let same = crowd.accounts.authorize_as(code, by_subject).await.unwrap();
    assert_eq!(same.name(), one.name());
    assert_eq!(one.generation(), Generation::FIRST.decided());

    let code = crowd.provider.authorization_code();
    let unnamed = crowd
        .accounts
        .authorize_as(code, |_| None)
        .await
        .unwrap_err();
    assert_eq!(unnamed.kind(), AccountErrorKind::Unnamed);
    let tokens = unnamed.into_tokens().unwrap();
    let bad = crowd.accounts.install("", tokens).await.unwrap_err();
    assert_eq!(bad.kind(), AccountErrorKind::Name);
    let tokens = bad.into_tokens().unwrap();
    let other = crowd.accounts.install("other", tokens).await.unwrap();
    assert_ne!(other.subject(), one.subject());
    assert_eq!(status(&crowd.get(other).await), StatusCode::OK);
    assert_eq!(crowd.accounts.len(), 2);
    assert_eq!(crowd.provider.token_requests(), 3);

    crowd.accounts.shutdown().await;
    let code = crowd.provider.authorization_code();
    let late = crowd.accounts.authorize_as(code, by_subject).await;
    assert_eq!(late.unwrap_err().kind(), AccountErrorKind::Closed);
    assert_eq!(crowd.provider.token_requests(), 3, "the code is still good");
}

#[tokio::test(start_paused = true)]
async fn accounts_that_nobody_holds_make_room_and_come_back() {
    let crowd = Crowd::with(1_000, |accounts| accounts.capacity(100), None).await;
    for name in 0..1_000 {
        let account = crowd.account(name).await;
        if name % 2 == 0 {
            account.refresh_if_current(Generation::FIRST).await.unwrap();
        }
        crowd.store.take_steps();
        assert!(crowd.accounts.len() <= 100, "{}", crowd.accounts.len());
    }
    for name in 0..1_000 {
        let account = crowd.account(name).await;
        let generation = if name % 2 == 0 {
            SECOND
        } else {
            Generation::FIRST
        };
        assert_eq!(account.generation(), generation);
        assert_eq!(status(&crowd.get(account).await), StatusCode::OK);
    }
    assert_eq!(crowd.provider.presentations().len(), 500);
}

#[tokio::test(start_paused = true)]
async fn the_account_that_was_not_asked_for_longest_makes_room() {
    let crowd = Crowd::with(90, |accounts| accounts.capacity(80), None).await;
    drop(crowd.all(80).await);
    for name in 0..40 {
        assert!(crowd.accounts.peek(&name.to_string()).is_some());
    }
    // None of them was opened since, so the next to go is any of the others.
    for name in 80..90 {
        drop(crowd.account(name).await);
    }
    for name in (0..40).chain(80..90) {
        assert!(crowd.accounts.peek(&name.to_string()).is_some(), "{name}");
    }
    assert_eq!(crowd.accounts.len(), 79);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_held_is_never_opened_twice() {
    let crowd = Crowd::with(500, |accounts| accounts.capacity(10), None).await;
    let held = crowd.all(500).await;
    assert_eq!(crowd.accounts.len(), 500);
    crowd.crowd_out().await;
    crowd.store.take_steps();
    for (name, held) in held.iter().enumerate() {
        held.refresh_if_current(Generation::FIRST).await.unwrap();
        assert_eq!(crowd.account(name).await.generation(), SECOND);
        assert!(!crowd.store.take_steps()[1..].contains(&Step::Read));
    }
    drop(held);
    crowd.crowd_out().await;
    assert!(crowd.accounts.len() <= 10, "{}", crowd.accounts.len());
}

#[tokio::test(start_paused = true)]
async fn an_account_stays_while_it_refreshes_and_until_its_tokens_are_stored() {
    let crowd = Crowd::with(1, |accounts| accounts.capacity(10), None).await;
    let account = crowd.account(0).await;
    crowd
        .provider
        .fault_next(Fault::Delay(Duration::from_secs(5)));
    // Longer than the look at it: each pause but the first is a second or two.
    for _ in 0..8 {
        crowd.store.fail(Step::Commit, How::Before);
    }
    drop(account.refresh_if_current(Generation::FIRST));
    drop(account);
    for _ in 0..20 {
        crowd.crowd_out().await;
        assert!(crowd.accounts.peek("0").is_some());
        crowd.store.take_steps();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(crowd.account(0).await.generation(), SECOND);
    tokio::time::sleep(HOUR / 6).await;
    crowd.crowd_out().await;
    assert!(crowd.accounts.peek("0").is_none(), "the tokens are stored");
    assert_eq!(crowd.account(0).await.generation(), SECOND);
    assert_eq!(crowd.provider.presentations().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_only_this_process_knows_of_a_presented_token_is_not_evicted() {
    let change = |accounts: AccountsBuilder| accounts.capacity(10).in_doubt(InDoubtPolicy::Never);
    let crowd = Crowd::with(0, change, None).await;
    let tokens = crowd.provider.issue(HOUR);
    commit(&crowd.store.inner(), 0, tokens.clone()).await;
    crowd.provider.fault_next(Fault::ConsumedThenReset);
    let account = crowd.account(0).await;
    let lost = account.refresh_if_current(Generation::FIRST).await;
    assert_eq!(lost.unwrap_err().kind(), RefreshErrorKind::InDoubt);
    drop(account);
    crowd.crowd_out().await;

    // The store fails over to a copy that has seen neither the intent nor the doubt.
    let copy = MemoryStore::with_clock(crowd.clock.clone());
    commit(&copy, 0, tokens).await;
    crowd.store.fail_over(copy);
    tokio::time::sleep(HOUR * 2).await;
    let account = crowd.account(0).await;
    assert!(crowd.get(account.clone()).await.is_err());
    assert!(matches!(
        account.status().rotation,
        RotationStatus::InDoubt { .. }
    ));
    assert_eq!(crowd.provider.presentations().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_that_end_at_once_are_refreshed_at_the_rate_and_wait_without_a_lease() {
    let crowd = Arc::new(Crowd::with(1_000, |accounts| accounts, Some(50)).await);
    let accounts = crowd.all(1_000).await;
    crowd.store.expect_steps(10_000);
    crowd.clock.advance(HOUR * 2);
    let started = crowd.clock.now();
    for answer in crowd.all_get(&accounts).await {
        assert_eq!(status(&answer), StatusCode::OK);
    }
    let took = crowd.clock.now().saturating_since(started);
    assert!(took <= Duration::from_secs(22), "{took:?}");
    let presentations = crowd.provider.presentations();
    assert_eq!(presentations.len(), 1_000);
    assert_rate(&presentations, 50);
    assert!(crowd.provider.presented_twice().is_empty());
    let steps = crowd.store.take_steps();
    let leases = steps.iter().filter(|step| **step == Step::Acquire);
    // One that was taken before the wait would have run out and been taken again.
    assert_eq!(leases.count(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn when_more_end_at_once_than_a_refresh_may_wait_for_none_starves() {
    let change = |accounts: AccountsBuilder| accounts.refresh_timeout(Duration::from_secs(5));
    let crowd = Arc::new(Crowd::with(1_000, change, Some(50)).await);
    let mut waiting = crowd.all(1_000).await;
    crowd.store.expect_steps(100_000);
    crowd.clock.advance(HOUR * 2);
    let started = crowd.clock.now();
    while !waiting.is_empty() {
        // Some succeed; the others are told that it did not end in time, and ask again.
        crowd.all_get(&waiting).await;
        waiting.retain(|account| account.generation() == Generation::FIRST);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let took = crowd.clock.now().saturating_since(started);
    assert!(took <= Duration::from_secs(40), "{took:?}");
    let presentations = crowd.provider.presentations();
    assert_eq!(presentations.len(), 1_000);
    assert_rate(&presentations, 50);
}

#[tokio::test(start_paused = true)]
async fn refreshes_ahead_give_way_to_requests_that_wait_and_still_come_in_time() {
    let crowd = Arc::new(Crowd::with(80, |accounts| accounts, Some(10)).await);
    let mut aging = crowd.all(80).await;
    let dead = aging.split_off(60);
    crowd.store.expect_steps(1_000_000);
    crowd.clock.advance(HOUR * 92 / 100);
    let started = crowd.clock.now();
    let elapsed = || crowd.clock.now().saturating_since(started);

    // Refused by the API: these must wait for a refresh.
    let waiting: Vec<_> = dead
        .iter()
        .map(|account| account.refresh_if_current(Generation::FIRST))
        .collect();
    for answer in crowd.all_get(&aging).await {
        assert_eq!(status(&answer), StatusCode::OK);
    }
    assert_eq!(
        elapsed(),
        Duration::ZERO,
        "nobody waits for a refresh ahead"
    );
    let tasks = Handle::current().metrics().num_alive_tasks();
    assert!(tasks <= 30, "{tasks}: refreshes ahead pile up");
    for refresh in waiting {
        assert_eq!(refresh.await.unwrap(), SECOND);
    }
    assert!(elapsed() <= Duration::from_secs(3), "{:?}", elapsed());

    // Before the old token ends, each has been refreshed, and no request ever waited.
    for tick in 0.. {
        if aging.iter().all(|account| account.generation() == SECOND) {
            break;
        }
        let before = crowd.clock.now();
        let some: Vec<_> = aging.iter().skip(tick % 10).step_by(10).cloned().collect();
        for answer in crowd.all_get(&some).await {
            assert_eq!(status(&answer), StatusCode::OK);
        }
        assert_eq!(crowd.clock.now(), before);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(elapsed() < HOUR * 7 / 100, "{:?}", elapsed());
    }
    let presentations = crowd.provider.presentations();
    assert_eq!(presentations.len(), 80);
    assert_rate(&presentations, 10);
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_all_that_have_sent_and_opens_no_other() {
    let crowd = Crowd::new(11).await;
    let accounts = crowd.all(10).await;
    crowd
        .provider
        .fault_always(Fault::Delay(Duration::from_secs(5)));
    for account in &accounts {
        drop(account.refresh_if_current(Generation::FIRST));
    }
    while crowd.provider.presentations().len() < 10 {
        tokio::task::yield_now().await;
    }
    drop(accounts);
    let hasty = tokio::time::timeout(Duration::from_secs(1), crowd.accounts.shutdown()).await;
    assert!(hasty.is_err(), "they have sent");
    crowd.accounts.shutdown().await;
    for name in 0..10 {
        let name = AccountName::new(&name.to_string()).unwrap();
        let record = record(&crowd.store.inner(), &name).await;
        assert_eq!(record.generation, SECOND);
    }
    let late = crowd.accounts.get("10").await.unwrap_err();
    assert_eq!(late.kind(), AccountErrorKind::Closed);
    let code = crowd.provider.authorization_code();
    let late = crowd.accounts.authorize("new", code).await.unwrap_err();
    assert_eq!(late.kind(), AccountErrorKind::Closed);
    let open = crowd.account(0).await;
    assert_eq!(status(&crowd.get(open.clone()).await), StatusCode::OK);
    let late = open.refresh_if_current(SECOND).await.unwrap_err();
    assert!(matches!(
        late.kind(),
        RefreshErrorKind::Closed | RefreshErrorKind::RotatedRecently
    ));
    assert_eq!(crowd.accounts.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_given_no_account_is_not_sent() {
    let crowd = Crowd::new(1).await;
    let layer = MacAuthLayer::per_request(crowd.accounts.provider())
        .allow(HOST)
        .unwrap();
    let client = layer.layer(crowd.provider.api());
    let refused = client.clone().oneshot(get("/")).await;
    assert!(refused.is_err());
    assert_eq!(crowd.provider.api_requests(), 0);
    let mut request = get("/");
    request.extensions_mut().insert(crowd.account(0).await);
    assert_eq!(status(&client.oneshot(request).await), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn events_say_whose_they_are() {
    let crowd = Crowd::with(2, |accounts| accounts.capacity(10), None).await;
    let mut all = crowd.accounts.events();
    let (one, other) = (crowd.account(0).await, crowd.account(1).await);
    let mut of_one = one.events();
    other.refresh_if_current(Generation::FIRST).await.unwrap();
    one.revoke().await.unwrap();
    let first = all.next().await.unwrap();
    assert_eq!(first.account.unwrap().as_str(), "1");
    assert!(matches!(first.event, Event::Refreshed { .. }));
    let second = all.next().await.unwrap();
    assert_eq!(second.account.unwrap().as_str(), "0");
    assert!(matches!(second.event, Event::Revoked { .. }));
    assert!(matches!(of_one.try_next(), Some(Event::Revoked { .. })));
    assert!(of_one.try_next().is_none());

    // Whoever reads one account's events reads on, though nobody holds the account.
    drop(one);
    crowd.crowd_out().await;
    crowd.account(0).await.revoke().await.unwrap();
    assert!(matches!(of_one.next().await, Some(Event::Revoked { .. })));

    drop((other, crowd.accounts));
    drop(crowd.store);
    assert!(all.try_next().is_some());
    assert!(all.next().await.is_none());
    assert!(of_one.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_falls_behind_is_told_how_much_it_missed() {
    let crowd = Crowd::new(1).await;
    let account = crowd.account(0).await;
    let (mut events, mut all) = (account.events(), crowd.accounts.events());
    for _ in 0..1_030 {
        account.revoke().await.unwrap();
        crowd.store.take_steps();
    }
    let missed = events.next().await;
    assert!(
        matches!(missed, Some(Event::Lagged { missed: 966, .. })),
        "{missed:?}"
    );
    assert!(matches!(events.next().await, Some(Event::Revoked { .. })));
    let missed = all.try_next().unwrap();
    assert!(
        matches!(missed.event, Event::Lagged { missed: 6, .. }),
        "{missed:?}"
    );
    assert!(missed.account.is_none());
}
