//! Several processes on one account: here, several accounts on one store.

use std::time::Duration;

use http::StatusCode;
use tower::{Layer, ServiceExt};
use tower_mac_auth::Clock;
use tower_mac_auth::account::{Account, Event};
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::provider::xiaomi::ErrorCode;
use tower_mac_auth::store::{AccountName, Generation, Issued, MemoryStore, RecordStore, Status};
use tower_mac_auth::testing::rotation::{self, LeaseFrom};
use tower_mac_auth::testing::{Fault, Provider, TestClock};

use crate::world::{HOST, HOUR, get, leased, moved, record, status};

struct Fleet {
    provider: Provider,
    clock: TestClock,
    store: MemoryStore,
    name: AccountName,
    members: Vec<Account>,
}

impl Fleet {
    async fn new(size: usize) -> Self {
        let clock = TestClock::new();
        let provider = Provider::builder().clock(clock.clone()).build();
        let store = MemoryStore::with_clock(clock.clone());
        let tokens = provider.issue(HOUR);
        let mut members = Vec::new();
        for _ in 0..size {
            let builder = Account::builder(provider.endpoint()).clock(clock.clone());
            let builder = builder.store(store.clone()).tokens(tokens.clone());
            members.push(builder.open("user").await.unwrap());
        }
        let name = AccountName::new("user").unwrap();
        Self {
            provider,
            clock,
            store,
            name,
            members,
        }
    }

    /// Each member makes a request at once; all must succeed.
    async fn all_get(&self) {
        let mut tasks = tokio::task::JoinSet::new();
        for member in &self.members {
            let layer = MacAuthLayer::new(member.clone()).allow(HOST).unwrap();
            tasks.spawn(layer.layer(self.provider.api()).oneshot(get("/")));
        }
        for answer in tasks.join_all().await {
            assert_eq!(status(&answer), StatusCode::OK);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fleet_presents_each_refresh_token_once_and_every_member_is_served() {
    let fleet = Fleet::new(8).await;
    for rotations in 1..=20 {
        fleet.provider.expire_access_tokens();
        fleet.clock.advance(Duration::from_secs(61));
        fleet
            .provider
            .fault_next(Fault::Delay(Duration::from_millis(300)));
        fleet.all_get().await;
        assert_eq!(fleet.provider.presentations().len(), rotations);
    }
    assert!(fleet.provider.presented_twice().is_empty());
    assert!(
        fleet
            .members
            .iter()
            .all(|member| member.generation().number() == 21)
    );
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_peer_are_served_soon_after_it_has_rotated() {
    let fleet = Fleet::new(8).await;
    fleet.provider.expire_access_tokens();
    fleet
        .provider
        .fault_next(Fault::Delay(Duration::from_secs(3)));
    let before = fleet.clock.now();
    fleet.all_get().await;
    let took = fleet.clock.now().saturating_since(before);
    assert!(took < Duration::from_millis(3_050), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_died_while_it_held_the_lease_is_taken_over() {
    let fleet = Fleet::new(2).await;
    let minute = Duration::from_secs(60);
    let lease = Duration::from_secs(30);
    leased(&fleet.store, &fleet.name, lease, LeaseFrom::Active).await;
    fleet.provider.expire_access_tokens();
    let before = fleet.clock.now();
    fleet.all_get().await;
    let took = fleet.clock.now().saturating_since(before);
    assert!(took >= Duration::from_secs(30) && took < minute, "{took:?}");
    assert_eq!(fleet.provider.presentations().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_died_after_its_intent_leaves_the_account_in_doubt_and_no_second_presentation()
 {
    let fleet = Fleet::new(2).await;
    let lease = Duration::from_secs(30);
    let lease = leased(&fleet.store, &fleet.name, lease, LeaseFrom::Active).await;
    moved(&fleet.store, &fleet.name, |record, version| {
        rotation::intend(record, version, &lease, Duration::from_secs(45))
    })
    .await;
    // Live: the account signs, and nobody resends.
    tokio::time::sleep(Duration::from_secs(3400)).await;
    fleet.all_get().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let record = record(&fleet.store, &fleet.name).await;
    assert_eq!(record.status, Status::InDoubt);
    assert_eq!(fleet.provider.presentations().len(), 0);
    // Its answer comes after all: a late commit heals, whatever the status.
    let next = fleet.provider.issue(HOUR);
    let generation = Generation::FIRST.next();
    let _ = fleet
        .store
        .commit(
            &fleet.name,
            Issued::rotated(generation, Generation::FIRST, next, Some(HOUR)),
        )
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(300)).await;
    fleet.all_get().await;
    assert_eq!(fleet.provider.presentations().len(), 0);
    assert!(
        fleet
            .members
            .iter()
            .all(|member| member.generation() == generation)
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_refresh_token_that_a_peer_has_spent_is_no_end() {
    let fleet = Fleet::new(1).await;
    fleet.provider.expire_access_tokens();
    fleet
        .provider
        .fault_next(Fault::RefuseWith(ErrorCode::RefreshTokenRejected));
    let member = &fleet.members[0];
    let refresh = tokio::spawn(member.refresh_if_current(member.generation()));
    while fleet.provider.presentations().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The peer that spent it commits a second later.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let next = fleet.provider.issue(HOUR);
    let generation = Generation::FIRST.next();
    let _ = fleet
        .store
        .commit(
            &fleet.name,
            Issued::rotated(generation, Generation::FIRST, next, Some(HOUR)),
        )
        .await
        .unwrap();
    assert_eq!(refresh.await.unwrap().unwrap(), generation);
    fleet.all_get().await;
    assert_eq!(fleet.provider.presentations().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_rotated_is_adopted_without_a_presentation() {
    let fleet = Fleet::new(2).await;
    let [one, other] = &fleet.members[..] else {
        unreachable!()
    };
    one.refresh_if_current(Generation::FIRST).await.unwrap();
    let mut events = other.events();
    other.refresh_if_current(Generation::FIRST).await.unwrap();
    assert!(matches!(events.try_next(), Some(Event::Adopted { .. })));
    assert_eq!(fleet.provider.presentations().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_back_off_is_shared_by_the_fleet() {
    let fleet = Fleet::new(2).await;
    let [one, other] = &fleet.members[..] else {
        unreachable!()
    };
    fleet
        .provider
        .fault_next(Fault::RefuseWith(ErrorCode::ClientMismatch));
    one.refresh_if_current(Generation::FIRST).await.unwrap_err();
    other
        .refresh_if_current(Generation::FIRST)
        .await
        .unwrap_err();
    assert_eq!(fleet.provider.token_requests(), 1);
    tokio::time::sleep(Duration::from_secs(301)).await;
    other.refresh_if_current(Generation::FIRST).await.unwrap();
}
