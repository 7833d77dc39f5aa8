//! A token endpoint that answers 429: nothing is spent, and it is left alone.

use std::time::Duration;

use http::StatusCode;
use tower_mac_auth::Clock;
use tower_mac_auth::account::{
    Account, AccountErrorKind, Accounts, Event, InDoubtPolicy, RefreshErrorKind,
};
use tower_mac_auth::store::{
    AccountName, Generation, Issued, MemoryStore, Record, RecordStore, Status,
};
use tower_mac_auth::testing::{Fault, Provider, TestClock};

use crate::world::{HOUR, World, record, status};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn limited(retry_after: impl Into<Option<u64>>) -> Fault {
    Fault::RateLimited {
        retry_after: retry_after.into().map(secs),
    }
}

async fn stored(store: &MemoryStore, name: &str) -> Record {
    let name = AccountName::new(name).unwrap();
    record(store, &name).await
}

async fn refresh(account: &Account) -> Result<Generation, RefreshErrorKind> {
    let refreshed = account.refresh_if_current(account.generation()).await;
    refreshed.map_err(|error| error.kind())
}

/// A world whose store the test can look into, and whose access token has just been refused.
async fn open(policy: InDoubtPolicy) -> (World, MemoryStore) {
    let clock = TestClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let mut world = World::with(
        |provider| provider.clock(clock.clone()),
        |account| {
            let account = account.clock(clock.clone()).in_doubt(policy);
            account.store(store.clone())
        },
    )
    .await;
    world.clock = clock;
    world.provider.expire_access_tokens();
    (world, store)
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_keeps_the_token_and_is_kept_to() {
    let (mut world, store) = open(InDoubtPolicy::Never).await;
    world.provider.fault_next(limited(30));
    let start = world.clock.now();
    let answer = world.get("/").await.unwrap();
    let error = answer
        .extensions()
        .get::<tower_mac_auth::account::RefreshError>();
    assert_eq!(error.unwrap().kind(), RefreshErrorKind::RateLimited);
    assert_eq!(stored(&store, "user").await.status, Status::Active);
    let Some(Event::RefreshFailed {
        error, retry_at, ..
    }) = world.event()
    else {
        panic!("no event")
    };
    assert_eq!(error.kind(), RefreshErrorKind::RateLimited);
    assert!(error.to_string().contains("rate limit"), "{error}");
    assert!(retry_at >= start.saturating_add(secs(30)));
    assert!(retry_at <= start.saturating_add(secs(34)));
    tokio::time::sleep(secs(29)).await;
    assert!(world.get("/").await.is_err());
    assert_eq!(world.provider.token_requests(), 1);
    tokio::time::sleep(secs(5)).await;
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    assert!(world.provider.presented_twice().is_empty());
    let doubts = world.events_so_far();
    assert!(
        matches!(doubts[..], [Event::Refreshed { .. }]),
        "{doubts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_that_says_nothing_more_is_a_back_off_that_grows() {
    let (world, store) = open(InDoubtPolicy::Never).await;
    world.provider.fault_always(limited(None));
    let mut at = Vec::new();
    while at.len() < 6 {
        let before = world.provider.token_requests();
        let _ = refresh(&world.account).await;
        if world.provider.token_requests() > before {
            at.push(world.clock.now());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let pauses: Vec<_> = at
        .windows(2)
        .map(|at| at[1].saturating_since(at[0]))
        .collect();
    assert!(pauses[0] >= secs(1) && pauses[4] >= secs(16), "{pauses:?}");
    assert!(pauses[4] <= secs(34), "{pauses:?}");
    world.provider.clear_faults();
    tokio::time::sleep(secs(64)).await;
    refresh(&world.account).await.unwrap();
    assert_eq!(stored(&store, "user").await.status, Status::Active);
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_more_than_an_hour_is_one_of_an_hour() {
    let (world, store) = open(InDoubtPolicy::Never).await;
    world.provider.fault_next(limited(1_000_000));
    assert_eq!(
        refresh(&world.account).await,
        Err(RefreshErrorKind::RateLimited)
    );
    let record = stored(&store, "user").await;
    assert!(record.is_backing_off());
    assert!(record.not_before <= world.clock.now().saturating_add(HOUR));
    tokio::time::sleep(HOUR + secs(1)).await;
    refresh(&world.account).await.unwrap();
}

/// The accounts `0`, `1`… of one client, in one process.
async fn crowd(provider: &Provider, clock: &TestClock, count: usize) -> (Accounts, MemoryStore) {
    let store = MemoryStore::with_clock(clock.clone());
    for name in 0..count {
        let name = AccountName::new(&name.to_string()).unwrap();
        let tokens = provider.issue(HOUR);
        let issued = Issued::authorized(Generation::FIRST, tokens, Some(HOUR));
        store.commit(&name, issued).await.unwrap();
    }
    let builder = Accounts::builder(provider.endpoint()).clock(clock.clone());
    (builder.store(store.clone()).build(), store)
}

#[tokio::test(start_paused = true)]
async fn all_accounts_of_the_endpoint_keep_to_what_one_of_them_was_told() {
    for pause in [20, 300] {
        let clock = TestClock::new();
        let provider = Provider::builder().clock(clock.clone()).build();
        let (accounts, store) = crowd(&provider, &clock, 10).await;
        let told = accounts.get("0").await.unwrap();
        provider.fault_next(limited(pause));
        refresh(&told).await.unwrap_err();
        let start = clock.now();
        let mut others = tokio::task::JoinSet::new();
        for name in 1..10 {
            let other = accounts.get(&name.to_string()).await.unwrap();
            others.spawn(async move { (refresh(&other).await, other.clone()) });
        }
        for (refreshed, other) in others.join_all().await {
            if pause == 20 {
                // Short enough to be waited for.
                assert!(refreshed.is_ok());
                continue;
            }
            assert_eq!(refreshed, Err(RefreshErrorKind::RateLimited));
            assert_eq!(clock.now(), start, "who waits in vain is told at once");
            assert_eq!(provider.token_requests(), 1);
            let again = refresh(&other).await.unwrap_err();
            let RefreshErrorKind::BackingOff { until } = again else {
                panic!("{again:?}")
            };
            assert_eq!(until, start.saturating_add(secs(pause)));
        }
        let early = |at| at < start.saturating_add(secs(pause));
        assert!(!provider.presentations().iter().any(|one| early(one.at)));
        tokio::time::sleep(secs(pause + pause / 10 + 1)).await;
        for name in 0..10 {
            let account = accounts.get(&name.to_string()).await.unwrap();
            if account.generation() == Generation::FIRST {
                refresh(&account).await.unwrap();
            }
            assert_eq!(
                stored(&store, &name.to_string()).await.status,
                Status::Active
            );
        }
        assert_eq!(provider.presentations().len(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn the_fleet_keeps_to_what_one_process_was_told() {
    let (world, store) = open(InDoubtPolicy::Never).await;
    // An endpoint of its own, as another process has.
    let peer = Account::builder(world.provider.endpoint()).clock(world.clock.clone());
    let peer = peer.store(store).open("user").await.unwrap();
    world.provider.fault_next(limited(120));
    refresh(&world.account).await.unwrap_err();
    let told = refresh(&peer).await.unwrap_err();
    assert!(
        matches!(told, RefreshErrorKind::BackingOff { .. }),
        "{told:?}"
    );
    tokio::time::sleep(secs(119)).await;
    refresh(&peer).await.unwrap_err();
    assert_eq!(world.provider.token_requests(), 1);
    tokio::time::sleep(secs(14)).await;
    refresh(&peer).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_what_was_sent_before_ends_no_pause() {
    let clock = TestClock::new();
    let provider = Provider::builder().clock(clock.clone()).build();
    let (accounts, _) = crowd(&provider, &clock, 3).await;
    let [one, other, third] = ["0", "1", "2"].map(|name| accounts.get(name));
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    provider.fault_next(Fault::Delay(secs(5)));
    provider.fault_next(limited(600));
    let (slow, told) = tokio::join!(refresh(&one), refresh(&other));
    assert_eq!(slow, Ok(Generation::FIRST.next()));
    assert_eq!(told, Err(RefreshErrorKind::RateLimited));
    let third = refresh(&third.await.unwrap()).await;
    assert_eq!(third, Err(RefreshErrorKind::RateLimited));
    assert_eq!(provider.token_requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_code_that_meets_a_rate_limit_is_not_spent_and_the_caller_learns_until_when() {
    let clock = TestClock::new();
    let provider = Provider::builder().clock(clock.clone()).build();
    let (accounts, _) = crowd(&provider, &clock, 0).await;
    let code = provider.authorization_code();
    provider.fault_next(limited(100));
    let until = clock.now().saturating_add(secs(100));
    // Told by the endpoint, then by who was told.
    for _ in 0..2 {
        let error = accounts.authorize("user", code.clone()).await.unwrap_err();
        assert_eq!(error.kind(), AccountErrorKind::CodeRateLimited { until });
        assert!(error.to_string().contains("not spent"), "{error}");
    }
    assert_eq!(provider.token_requests(), 1);
    tokio::time::sleep(secs(100)).await;
    accounts.authorize("user", code).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_token_in_doubt_that_meets_a_rate_limit_stays_in_doubt_and_keeps_its_replay() {
    let (world, store) = open(InDoubtPolicy::HoldUntilDead).await;
    world.provider.fault_next(Fault::Reset);
    assert_eq!(
        refresh(&world.account).await,
        Err(RefreshErrorKind::InDoubt)
    );
    tokio::time::sleep(secs(61)).await;
    world.provider.fault_next(limited(30));
    assert_eq!(
        refresh(&world.account).await,
        Err(RefreshErrorKind::RateLimited)
    );
    assert_eq!(stored(&store, "user").await.status, Status::InDoubt);
    assert_eq!(world.presented(), 1);
    tokio::time::sleep(secs(34)).await;
    refresh(&world.account).await.unwrap();
    assert_eq!(world.presented(), 2);
}
