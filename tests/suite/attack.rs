//! Faults that were found by looking for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Notify;
use tower_mac_auth::account::{Accounts, Event, InDoubtPolicy, RefreshErrorKind, RotationStatus};
use tower_mac_auth::store::{
    AccountName, Draft, Generation, Issued, Listed, Loaded, MemoryStore, RecordStore, Replaced,
    Status, StoreError, StoreErrorKind, Version, Watch,
};
use tower_mac_auth::testing::{Fault, TestClock, rotation};

use crate::world::{HOUR, World, moved, record, status};

const MOMENT: Duration = Duration::from_millis(50);

fn user() -> AccountName {
    AccountName::new("user").unwrap()
}

/// What a store does beside what it is asked for.
#[derive(Clone)]
struct Odd {
    inner: MemoryStore,
    clock: TestClock,
    /// Commits land, and are never acknowledged.
    commits_hang: Arc<AtomicBool>,
    /// A load was made, and is to be answered.
    holds_loads: Arc<AtomicBool>,
    held: Arc<Notify>,
    go_on: Arc<Notify>,
    /// The next intent lands, its answer is lost, and a peer calls it in doubt meanwhile.
    doubts_intent: Arc<AtomicBool>,
}

impl Odd {
    fn new(clock: TestClock) -> Self {
        Self {
            inner: MemoryStore::with_clock(clock.clone()),
            clock,
            commits_hang: Arc::default(),
            holds_loads: Arc::default(),
            held: Arc::default(),
            go_on: Arc::default(),
            doubts_intent: Arc::default(),
        }
    }
}

impl RecordStore for Odd {
    async fn load(&self, account: &AccountName) -> Result<Loaded, StoreError> {
        let loaded = self.inner.load(account).await;
        if self.holds_loads.swap(false, Ordering::SeqCst) {
            self.held.notify_one();
            self.go_on.notified().await;
        }
        loaded
    }

    async fn replace(
        &self,
        account: &AccountName,
        expected: Option<Version>,
        draft: &Draft,
    ) -> Result<Replaced, StoreError> {
        let done = self.inner.replace(account, expected, draft).await?;
        if draft.status == Status::Active && self.commits_hang.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if draft.status == Status::Sending && self.doubts_intent.swap(false, Ordering::SeqCst) {
            self.clock.advance(Duration::from_secs(46));
            moved(&self.inner, account, |record, version| {
                rotation::doubt(
                    record,
                    version,
                    record.lease,
                    "its presenter did not answer",
                )
            })
            .await;
            return Err(StoreError::new(StoreErrorKind::Unavailable, "lost"));
        }
        Ok(done)
    }

    async fn list(
        &self,
        after: Option<&AccountName>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        self.inner.list(after, limit).await
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        self.inner.watch()
    }
}

async fn world(clock: &TestClock, store: impl RecordStore, policy: InDoubtPolicy) -> World {
    World::with(
        |provider| provider.clock(clock.clone()),
        |account| account.store(store).clock(clock.clone()).in_doubt(policy),
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_only_seen_is_not_taken_for_durable() {
    let clock = TestClock::new();
    let store = Odd::new(clock.clone());
    let mut world = world(&clock, store.clone(), InDoubtPolicy::default()).await;
    store.commits_hang.store(true, Ordering::SeqCst);
    let first = world.account.generation();
    world.account.refresh_if_current(first).await.unwrap();
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let told = |it: &Event| matches!(it, Event::Refreshed { .. });
    let events = world.events_so_far();
    assert!(!events.iter().any(told), "{events:?}");
    store.commits_hang.store(false, Ordering::SeqCst);
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(world.events_so_far().iter().any(told));
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_a_peer_called_in_doubt_is_withdrawn_by_who_sent_nothing() {
    let clock = TestClock::new();
    let store = Odd::new(clock.clone());
    let world = world(&clock, store.clone(), InDoubtPolicy::Never).await;
    store.doubts_intent.store(true, Ordering::SeqCst);
    let first = world.account.generation();
    world.account.refresh_if_current(first).await.unwrap();
    assert_eq!(world.presented(), 1);
    assert_eq!(record(&store, &user()).await.status, Status::Active);
}

#[tokio::test(start_paused = true)]
async fn what_is_heard_while_an_older_record_is_on_its_way_is_looked_at() {
    let clock = TestClock::new();
    let store = Odd::new(clock.clone());
    let world = world(&clock, store.clone(), InDoubtPolicy::default()).await;
    world.clock.advance(Duration::from_secs(31));
    clock.advance(Duration::from_secs(31));
    store.holds_loads.store(true, Ordering::SeqCst);
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    store.held.notified().await;
    store.revoke(&user()).await.unwrap();
    tokio::time::sleep(MOMENT).await;
    store.go_on.notify_one();
    tokio::time::sleep(MOMENT).await;
    let _ = world.get("/").await;
    tokio::time::sleep(MOMENT).await;
    assert!(world.get("/").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_being_looked_at_is_given_out_as_it_stands() {
    let clock = TestClock::new();
    let store = Odd::new(clock.clone());
    let world = world(&clock, MemoryStore::new(), InDoubtPolicy::default()).await;
    let accounts = Accounts::builder(world.provider.endpoint())
        .store(store.clone())
        .clock(clock.clone())
        .build();
    let code = world.provider.authorization_code();
    let account = accounts.authorize("user", code).await.unwrap();
    let revoked = store.revoke(&user()).await.unwrap();
    tokio::time::sleep(MOMENT).await;
    // The look that this request begins is slow.
    store.holds_loads.store(true, Ordering::SeqCst);
    let layer = tower_mac_auth::layer::MacAuthLayer::new(account)
        .allow(crate::world::HOST)
        .unwrap();
    let service = tower::Layer::layer(&layer, world.provider.api());
    let _ = tower::ServiceExt::oneshot(service, crate::world::get("/")).await;
    store.held.notified().await;
    let account = accounts.get("user").await.unwrap();
    assert_eq!(account.generation(), revoked.generation);
}

#[tokio::test(start_paused = true)]
async fn a_new_authorization_elsewhere_is_heard_by_an_account_that_was_revoked() {
    let clock = TestClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let world = world(&clock, store.clone(), InDoubtPolicy::default()).await;
    let revoked = store.revoke(&user()).await.unwrap();
    for _ in 0..5 {
        tokio::time::sleep(MOMENT).await;
        let _ = world.get("/").await;
    }
    assert_eq!(world.account.status().rotation, RotationStatus::Revoked);
    let tokens = world.provider.issue(HOUR);
    let issued = Issued::authorized(revoked.generation.decided(), tokens, Some(HOUR));
    store.commit(&user(), issued).await.unwrap();
    tokio::time::sleep(MOMENT).await;
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn an_account_of_many_that_is_shut_down_leaves_the_others_hearing() {
    let clock = TestClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let world = world(&clock, MemoryStore::new(), InDoubtPolicy::default()).await;
    let accounts = Accounts::builder(world.provider.endpoint())
        .store(store.clone())
        .clock(clock.clone())
        .build();
    for name in ["other", "user"] {
        let code = world.provider.authorization_code();
        accounts.authorize(name, code).await.unwrap();
    }
    accounts.get("other").await.unwrap().shutdown().await;
    let revoked = store.revoke(&user()).await.unwrap();
    tokio::time::sleep(MOMENT).await;
    let account = accounts.get("user").await.unwrap();
    assert_eq!(account.generation(), revoked.generation);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_may_be_spent_is_not_written_back_as_good() {
    let clock = TestClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let world = world(&clock, store.clone(), InDoubtPolicy::Never).await;
    let first = world.account.generation();
    let old = record(&store, &user()).await;
    let second = world.account.refresh_if_current(first).await.unwrap();
    clock.advance(Duration::from_secs(61));
    world.provider.fault_next(Fault::ConsumedThenReset);
    let lost = world.account.refresh_if_current(second).await.unwrap_err();
    assert_eq!(lost.kind(), RefreshErrorKind::InDoubt);
    // A failover takes the rotation back.
    let standing = record(&store, &user()).await.version;
    let grant = old.grant().unwrap().clone();
    let issued = Issued::rotated(Generation::FIRST, Generation::FIRST, grant, Some(HOUR));
    let copy = Draft::issued(Version::draw(), issued);
    let replaced = store.replace(&user(), Some(standing), &copy).await.unwrap();
    assert!(matches!(replaced, Replaced::Done(_)));
    // A code that is refused.
    assert!(world.account.authorize("no such code").await.is_err());
    let record = record(&store, &user()).await;
    assert_eq!(
        (record.generation, record.status),
        (second, Status::InDoubt)
    );
}

#[tokio::test(start_paused = true)]
async fn a_presentation_that_the_store_forgot_is_not_repeated_after_its_grace() {
    let clock = TestClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let grace = InDoubtPolicy::ReplayWithin(Duration::from_secs(30));
    let world = world(&clock, store.clone(), grace).await;
    let old = record(&store, &user()).await;
    // It came before the endpoint had looked at it, or after: nobody knows.
    world.provider.fault_next(Fault::ConsumedThenReset);
    let lost = world.account.refresh_if_current(old.generation).await;
    assert_eq!(lost.unwrap_err().kind(), RefreshErrorKind::InDoubt);
    clock.advance(Duration::from_secs(600));
    // A failover takes the intent back.
    let standing = record(&store, &user()).await.version;
    let grant = old.grant().unwrap().clone();
    let issued = Issued::authorized(Generation::FIRST, grant, Some(HOUR));
    let copy = Draft::issued(Version::draw(), issued);
    let replaced = store.replace(&user(), Some(standing), &copy).await.unwrap();
    assert!(matches!(replaced, Replaced::Done(_)));
    for _ in 0..3 {
        let _ = world.account.refresh_if_current(old.generation).await;
        clock.advance(Duration::from_secs(20));
    }
    assert_eq!(world.presented(), 1);
    assert_eq!(record(&store, &user()).await.status, Status::InDoubt);
}
