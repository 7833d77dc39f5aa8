//! Stores, peers and users that do their worst while a token is on its way.

use std::time::Duration;

use http::StatusCode;
use tower_mac_auth::account::{Account, AccountErrorKind, Event, InDoubtPolicy, RefreshErrorKind};
use tower_mac_auth::provider::xiaomi::ErrorCode;
use tower_mac_auth::store::{AccountName, Generation, Issued, MemoryStore, RecordStore, Status};
use tower_mac_auth::testing::Fault;
use tower_mac_auth::testing::rotation::LeaseFrom;

use crate::faulty::{Faulty, How, Step};
use crate::store_faults::{open_with, stored};
use crate::world::{HOUR, World, leased, status};

fn user() -> AccountName {
    AccountName::new("user").unwrap()
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Asks for a newer credential than the current one.
async fn refresh(world: &World) -> Result<Generation, RefreshErrorKind> {
    let refresh = world.account.refresh_if_current(world.account.generation());
    refresh.await.map_err(|error| error.kind())
}

/// The refresh token of the first generation is presented, and its answer lost.
async fn lose_an_answer(world: &World) {
    world.provider.expire_access_tokens();
    world.provider.fault_next(Fault::ConsumedThenReset);
    assert_eq!(refresh(world).await, Err(RefreshErrorKind::InDoubt));
}

/// A copy of the store as it was when the world began.
async fn first_copy(world: &World) -> MemoryStore {
    let copy = MemoryStore::with_clock(world.clock.clone());
    let first = Issued::authorized(Generation::FIRST, world.tokens.clone(), Some(HOUR));
    let _ = copy.commit(&user(), first).await.unwrap();
    copy
}

/// Makes a request each few seconds; whether any succeeds.
async fn is_served_in_the_end(world: &World) -> bool {
    for _ in 0..60 {
        if world
            .get("/")
            .await
            .is_ok_and(|it| it.status() == StatusCode::OK)
        {
            return true;
        }
        tokio::time::sleep(secs(10)).await;
    }
    false
}

#[tokio::test(start_paused = true)]
async fn an_authorization_is_kept_though_the_store_hangs() {
    let (world, store) = open_with(InDoubtPolicy::Never).await;
    store.fail(Step::Commit, How::Hang);
    store.fail(Step::Commit, How::Hang);
    let authorize = world.account.authorize(world.code());
    let authorized = tokio::time::timeout(secs(60), authorize).await.unwrap();
    assert_eq!(authorized.unwrap(), world.account.generation());
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    tokio::time::timeout(secs(600), world.account.shutdown())
        .await
        .unwrap();
    assert_eq!(stored(&store).await.generation, world.account.generation());
}

#[tokio::test(start_paused = true)]
async fn a_code_is_not_spent_on_a_store_that_hangs() {
    let (world, store) = open_with(InDoubtPolicy::Never).await;
    store.fail(Step::Read, How::Hang);
    let authorize = world.account.authorize(world.code());
    let error = tokio::time::timeout(secs(600), authorize).await.unwrap();
    assert_eq!(error.unwrap_err().kind(), AccountErrorKind::Store);
    assert_eq!(world.provider.token_requests(), 0);
    tokio::time::timeout(secs(1), world.account.shutdown())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn opening_and_revoking_do_not_hang_with_the_store() {
    let (world, store) = open_with(InDoubtPolicy::Never).await;
    store.fail(Step::Revoke, How::Hang);
    let revoked = tokio::time::timeout(secs(600), world.account.revoke()).await;
    assert_eq!(
        revoked.unwrap().unwrap_err().kind(),
        AccountErrorKind::Store
    );
    store.fail(Step::Read, How::Hang);
    let builder = Account::builder(world.provider.endpoint()).store(store.clone());
    let opened = tokio::time::timeout(secs(600), builder.open("user")).await;
    assert_eq!(opened.unwrap().unwrap_err().kind(), AccountErrorKind::Store);
}

/// The account holds an authorization that the store does not know of.
async fn ahead_of_its_store() -> (World, Faulty) {
    let (world, store) = open_with(InDoubtPolicy::Never).await;
    store.fail(Step::Commit, How::Before);
    for _ in 0..3 {
        store.fail(Step::Commit, How::Before);
    }
    let code = world.code();
    world.account.authorize(code).await.unwrap();
    assert_eq!(stored(&store).await.generation, Generation::FIRST);
    (world, store)
}

#[tokio::test(start_paused = true)]
async fn a_revocation_outranks_tokens_that_the_store_has_not_taken_yet() {
    let (world, store) = ahead_of_its_store().await;
    while world.account.revoke().await.is_err() {
        tokio::time::sleep(secs(1)).await;
    }
    assert!(world.get("/").await.is_err());
    tokio::time::sleep(secs(600)).await;
    assert!(world.get("/").await.is_err());
    assert_eq!(stored(&store).await.status, Status::Revoked);
}

#[tokio::test(start_paused = true)]
async fn a_second_authorization_outranks_one_that_the_store_has_not_taken_yet() {
    let (world, store) = ahead_of_its_store().await;
    let signs = async || {
        assert_eq!(status(&world.get("/").await), StatusCode::OK);
        let accepted = world.provider.accepted();
        accepted.last().unwrap().access_token.clone()
    };
    let first = signs().await;
    while world.account.authorize(world.code()).await.is_err() {
        tokio::time::sleep(secs(1)).await;
    }
    let second = signs().await;
    assert_ne!(second, first);
    tokio::time::sleep(secs(600)).await;
    let record = stored(&store).await;
    let access = record.grant().unwrap().access.as_ref().unwrap();
    assert_eq!(access.access_token, second);
    assert_eq!(record.generation, world.account.generation());
    assert_eq!(signs().await, second);
}

/// A peer takes the lease to replay, and dies before it sends anything.
async fn a_peer_dies_before_its_replay(store: &Faulty) {
    leased(&store.inner(), &user(), secs(30), LeaseFrom::InDoubt).await;
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_its_holder_left_undone_is_not_made_against_the_policy() {
    for policy in [InDoubtPolicy::Never, InDoubtPolicy::ReplayWithin(secs(20))] {
        let (world, store) = open_with(InDoubtPolicy::Never).await;
        lose_an_answer(&world).await;
        a_peer_dies_before_its_replay(&store).await;
        tokio::time::sleep(secs(31)).await;
        let other = Account::builder(world.provider.endpoint())
            .clock(world.clock.clone())
            .store(store.clone())
            .in_doubt(policy)
            .open("user")
            .await
            .unwrap();
        let error = other.refresh_if_current(other.generation()).await;
        assert_eq!(error.unwrap_err().kind(), RefreshErrorKind::InDoubt);
        assert_eq!(world.presented(), 1, "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_its_holder_left_undone_is_made_by_another_within_the_policy() {
    let (world, store) = open_with(InDoubtPolicy::HoldUntilDead).await;
    lose_an_answer(&world).await;
    a_peer_dies_before_its_replay(&store).await;
    tokio::time::sleep(secs(61)).await;
    let _ = world.get("/").await;
    assert_eq!(world.presented(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_replay_is_not_sent_once_its_grace_is_over() {
    let (world, store) = open_with(InDoubtPolicy::ReplayWithin(secs(40))).await;
    lose_an_answer(&world).await;
    tokio::time::sleep(secs(35)).await;
    // The check at the start of the flight passes; the store then takes its time.
    store.fail(Step::Intend, How::Late(secs(8)));
    let _ = world.get("/").await;
    assert!(store.take_steps().contains(&Step::Intend));
    tokio::time::sleep(secs(120)).await;
    let _ = world.get("/").await;
    assert_eq!(world.presented(), 1);
    assert_eq!(stored(&store).await.status, Status::InDoubt);
}

#[tokio::test(start_paused = true)]
async fn a_presentation_that_the_store_forgot_is_remembered_here() {
    for (policy, presentations) in [(InDoubtPolicy::Never, 1), (InDoubtPolicy::HoldUntilDead, 2)] {
        let (world, store) = open_with(policy).await;
        lose_an_answer(&world).await;
        for _ in 0..4 {
            // Fails over to a copy that has not seen the intent.
            store.fail_over(first_copy(&world).await);
            tokio::time::sleep(secs(60)).await;
            assert!(refresh(&world).await.is_err());
            tokio::time::sleep(secs(60)).await;
            let _ = refresh(&world).await;
        }
        assert_eq!(world.presented(), presentations, "{policy:?}");
        assert_ne!(stored(&store).await.status, Status::Active);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_takes_no_issued_tokens_with_it() {
    let (world, store) = open_with(InDoubtPolicy::Never).await;
    world.provider.expire_access_tokens();
    store.fail(Step::Commit, How::Panic);
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    store.fail(Step::Commit, How::Panic);
    store.fail(Step::Commit, How::Panic);
    let code = world.code();
    world.account.authorize(code).await.unwrap();
    tokio::time::sleep(secs(60)).await;
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    assert_eq!(stored(&store).await.generation, world.account.generation());
    assert!(world.provider.presented_twice().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_lags_is_not_read_in_a_hot_loop() {
    let (world, store) = open_with(InDoubtPolicy::Never).await;
    let old = stored(&store).await;
    refresh(&world).await.unwrap();
    store.lag(old);
    world.clock.advance(secs(61));
    world.provider.expire_access_tokens();
    let _ = world.get("/").await;
    assert!(store.take_steps().len() < 100);
    assert!(world.provider.presented_twice().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_without_a_change_makes_no_hot_loop() {
    let (world, store) = open_with(InDoubtPolicy::Never).await;
    store.make_watches_restless();
    leased(&store.inner(), &user(), secs(10), LeaseFrom::Active).await;
    refresh(&world).await.unwrap();
    assert!(store.take_steps().len() <= 1_010);
}

#[tokio::test(start_paused = true)]
async fn shutdown_makes_no_hot_loop_of_the_look_up_of_a_refused_token() {
    let (world, store) = open_with(InDoubtPolicy::Never).await;
    let refused = Fault::RefuseWith(ErrorCode::RefreshTokenRejected);
    world.provider.fault_next(refused);
    let call = tokio::spawn(world.account.refresh_if_current(world.account.generation()));
    while world.presented() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.account.shutdown().await;
    call.await.unwrap().unwrap_err();
    assert!(store.take_steps().len() < 20);
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_was_not_acknowledged_is_withdrawn_sooner_or_later() {
    let (world, store) = open_with(InDoubtPolicy::Never).await;
    world.provider.expire_access_tokens();
    store.fail(Step::Intend, How::After);
    store.fail(Step::Release, How::Before);
    store.fail(Step::Release, How::Before);
    assert!(
        is_served_in_the_end(&world).await,
        "{:?}",
        stored(&store).await
    );
    assert_eq!(world.presented(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_by_an_authorization_though_the_refresh_fails() {
    let (mut world, store) = open_with(InDoubtPolicy::Never).await;
    world.provider.expire_access_tokens();
    world.provider.fault_next(Fault::Delay(secs(20)));
    let call = tokio::spawn(world.account.refresh_if_current(world.account.generation()));
    while world.presented() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.provider.revoke_grant(&world.tokens.access_token);
    let code = world.code();
    let authorized = world.account.authorize(code).await.unwrap();
    // The refresh is refused; the look-up of a peer's commit finds no store.
    for _ in 0..50 {
        store.fail(Step::Read, How::Before);
        store.fail(Step::Reject, How::Before);
    }
    assert_eq!(call.await.unwrap().unwrap(), authorized);
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    let events = world.events_so_far();
    let called_for = |event: &Event| matches!(event, Event::ReauthorizationRequired { .. });
    assert!(!events.iter().any(called_for), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_generation_there_is_presents_nothing() {
    let (world, store) = open_with(InDoubtPolicy::Never).await;
    let last = Generation::from_number(u64::MAX);
    let issued = Issued::rotated(last, Generation::FIRST, world.tokens.clone(), Some(HOUR));
    let _ = store.inner().commit(&user(), issued).await;
    assert_eq!(refresh(&world).await, Ok(last));
    world.clock.advance(secs(61));
    assert!(refresh(&world).await.is_err());
    assert_eq!(world.presented(), 0);
}
