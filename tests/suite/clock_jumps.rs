//! The wall clock jumps while something is under way: a machine that slept, or whose clock was set.

use std::time::Duration;

use http::StatusCode;
use tower_mac_auth::account::{
    Account, AccountErrorKind, Event, InDoubtPolicy, RefreshError, RefreshErrorKind,
};
use tower_mac_auth::store::{AccountName, Generation, Record, Status};
use tower_mac_auth::testing::{Fault, Provider, TestClock};
use tower_mac_auth::token::TokenEndpoint;

use crate::faulty::{Faulty, How, Step};
use crate::world::{HOUR, World, record, status};

const SECOND: Generation = Generation::FIRST.next();
/// Longer than any limit of a refresh, and shorter than the life of an access token.
const JUMP: Duration = Duration::from_secs(600);
const A_BIT: Duration = Duration::from_millis(10);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

async fn open() -> (World, Faulty) {
    let clock = TestClock::new();
    let store = Faulty::new(clock.clone());
    let mut world = World::with(
        |provider| provider.clock(clock.clone()),
        |account| {
            let account = account.clock(clock.clone()).in_doubt(InDoubtPolicy::Never);
            account.store(store.clone())
        },
    )
    .await;
    world.clock = clock;
    (world, store)
}

async fn stored(store: &Faulty) -> Record {
    let name = AccountName::new("user").unwrap();
    record(&store.inner(), &name).await
}

type Refreshing = tokio::task::JoinHandle<Result<Generation, RefreshError>>;

/// A refresh whose token is at the endpoint, which takes five seconds to answer.
async fn under_way(world: &World) -> Refreshing {
    world.provider.fault_next(Fault::Delay(secs(5)));
    let refreshing = tokio::spawn(world.account.refresh_if_current(Generation::FIRST));
    while world.presented() == 0 {
        tokio::time::sleep(A_BIT).await;
    }
    refreshing
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_the_clock_jumped_is_taken() {
    let (mut world, store) = open().await;
    let refreshing = under_way(&world).await;
    world.clock.advance(JUMP);
    assert_eq!(refreshing.await.unwrap().unwrap(), SECOND);
    assert_eq!(stored(&store).await.status, Status::Active);
    let events = world.events_so_far();
    assert!(
        matches!(events[..], [Event::Refreshed { .. }]),
        "{events:?}"
    );
    assert!(world.provider.presented_twice().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_counts_though_a_peer_has_called_it_lost_since_the_clock_jumped() {
    let (world, store) = open().await;
    let peer = Account::builder(world.provider.endpoint()).clock(world.clock.clone());
    let peer = peer.store(store.clone()).in_doubt(InDoubtPolicy::Never);
    let peer = peer.open("user").await.unwrap();
    let refreshing = under_way(&world).await;
    world.clock.advance(JUMP);
    let lost = peer
        .refresh_if_current(Generation::FIRST)
        .await
        .unwrap_err();
    assert_eq!(lost.kind(), RefreshErrorKind::InDoubt);
    assert_eq!(stored(&store).await.status, Status::InDoubt);
    assert_eq!(refreshing.await.unwrap().unwrap(), SECOND);
    let record = stored(&store).await;
    assert_eq!((record.status, record.generation), (Status::Active, SECOND));
    tokio::time::sleep(secs(31)).await;
    let adopted = peer.refresh_if_current(Generation::FIRST).await;
    assert_eq!(adopted.unwrap(), SECOND);
    assert!(world.provider.presented_twice().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_code_that_comes_after_the_clock_jumped_is_taken() {
    let (world, store) = open().await;
    world.provider.fault_next(Fault::Delay(secs(5)));
    let code = world.code();
    let account = world.account.clone();
    let authorizing = tokio::spawn(async move { account.authorize(code).await });
    while world.provider.token_requests() == 0 {
        tokio::time::sleep(A_BIT).await;
    }
    world.clock.advance(secs(120));
    let generation = authorizing.await.unwrap().unwrap();
    assert_eq!(stored(&store).await.generation, generation);
}

#[tokio::test(start_paused = true)]
async fn a_transport_without_a_limit_ends_though_the_clock_is_set_back() {
    let clock = TestClock::new();
    let provider = Provider::builder().clock(clock.clone()).build();
    let endpoint = TokenEndpoint::builder(provider.xiaomi())
        .transport(provider.transport().answer_timeout(Duration::MAX))
        .build()
        .unwrap();
    let tokens = provider.issue(HOUR);
    let code = provider.authorization_code_of(&tokens.access_token);
    let account = Account::builder(endpoint)
        .clock(clock.clone())
        .tokens(tokens);
    let account = account.open("user").await.unwrap();
    provider.fault_always(Fault::Hang);
    let refreshing = tokio::spawn(account.refresh_if_current(account.generation()));
    let code = code.unwrap();
    let authorizing = tokio::spawn(async move { account.authorize(code).await });
    tokio::time::sleep(secs(1)).await;
    clock.set_back(24 * HOUR);
    tokio::time::sleep(secs(45)).await;
    assert!(refreshing.is_finished() && authorizing.is_finished());
    let lost = refreshing.await.unwrap().unwrap_err();
    assert_eq!(lost.kind(), RefreshErrorKind::InDoubt);
    let lost = authorizing.await.unwrap().unwrap_err();
    assert_eq!(lost.kind(), AccountErrorKind::CodeInDoubt);
}

#[tokio::test(start_paused = true)]
async fn after_a_jump_before_the_token_is_sent_it_is_not_sent() {
    let (world, store) = open().await;
    store.fail(Step::Intend, How::Held);
    let refreshing = tokio::spawn(world.account.refresh_if_current(Generation::FIRST));
    while !store.take_steps().contains(&Step::Intend) {
        tokio::time::sleep(A_BIT).await;
    }
    world.clock.advance(JUMP);
    store.let_go();
    refreshing.await.unwrap().unwrap_err();
    assert_eq!(world.presented(), 0);
    assert_eq!(stored(&store).await.status, Status::Active);
}

#[tokio::test(start_paused = true)]
async fn a_commit_under_way_is_not_given_up_because_the_clock_jumped() {
    let (mut world, store) = open().await;
    store.take_steps();
    store.fail(Step::Commit, How::Late(Duration::from_millis(1_500)));
    let refreshing = tokio::spawn(world.account.refresh_if_current(Generation::FIRST));
    while !store.take_steps().contains(&Step::Commit) {
        tokio::time::sleep(A_BIT).await;
    }
    world.clock.advance(JUMP);
    assert_eq!(refreshing.await.unwrap().unwrap(), SECOND);
    let events = world.events_so_far();
    assert!(
        matches!(events[..], [Event::Refreshed { .. }]),
        "{events:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn tokens_that_a_jump_has_made_old_are_renewed_at_once() {
    let (world, _) = open().await;
    // They are issued before the jump, for a hundred hours.
    world.provider.fault_next(Fault::Delay(secs(5)).consumed());
    let refreshing = tokio::spawn(world.account.refresh_if_current(Generation::FIRST));
    while world.presented() == 0 {
        tokio::time::sleep(A_BIT).await;
    }
    world.clock.advance(200 * HOUR);
    let _ = refreshing.await.unwrap();
    tokio::time::sleep(secs(1)).await;
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    assert!(world.provider.presented_twice().is_empty());
}
