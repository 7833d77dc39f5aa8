//! What other processes write to the store counts here too, soon and without a refusal.

use std::time::Duration;

use http::StatusCode;
use tower_mac_auth::Clock;
use tower_mac_auth::account::{
    Account, Accounts, Event, RefreshError, RefreshErrorKind, RotationStatus,
};
use tower_mac_auth::layer::Error;
use tower_mac_auth::store::{
    AccountName, Draft, Generation, Issued, Listed, Loaded, MemoryStore, RecordStore, Replaced,
    StoreError, Version,
};

use crate::faulty::{Faulty, How, Step};
use crate::world::{Answer, HOUR, World, status};

const MOMENT: Duration = Duration::from_millis(50);

fn user() -> AccountName {
    AccountName::new("user").unwrap()
}

/// A process on a store that others have too.
async fn process(store: impl RecordStore) -> World {
    World::with(|provider| provider, |account| account.store(store)).await
}

fn reason(answer: &Answer) -> Option<RefreshErrorKind> {
    match answer {
        Err(Error::Auth(error)) => error.refresh_error().map(RefreshError::kind),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_revocation_by_another_process_is_obeyed_in_a_moment_and_told_once() {
    let store = MemoryStore::new();
    let mut world = process(store.clone()).await;
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    store.revoke(&user()).await.unwrap();
    tokio::time::sleep(MOMENT).await;
    // The next request has the store looked at; it need not wait for that.
    let _ = world.get("/").await;
    tokio::time::sleep(MOMENT).await;
    for _ in 0..3 {
        let answer = world.get("/").await;
        let ended = Some(RefreshErrorKind::ReauthorizationRequired);
        assert_eq!(reason(&answer), ended, "{answer:?}");
    }
    assert_eq!(world.account.status().rotation, RotationStatus::Revoked);
    let told = |event: &Event| matches!(event, Event::ReauthorizationRequired { .. });
    let events = world.events_so_far();
    assert_eq!(events.iter().filter(|it| told(it)).count(), 1, "{events:?}");
    assert_eq!(world.provider.token_requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_new_authorization_by_another_process_signs_here_in_a_moment() {
    let store = MemoryStore::new();
    let world = process(store.clone()).await;
    let tokens = world.provider.issue(HOUR);
    let access_token = tokens.access_token.clone();
    let issued = Issued::authorized(Generation::FIRST.decided(), tokens, Some(HOUR));
    store.commit(&user(), issued).await.unwrap();
    tokio::time::sleep(MOMENT).await;
    let _ = world.get("/").await;
    tokio::time::sleep(MOMENT).await;
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    let accepted = world.provider.accepted();
    assert_eq!(accepted.last().unwrap().access_token, access_token);
    assert_eq!(world.provider.token_requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_an_account_that_another_process_has_changed_gets_it_as_it_stands() {
    let world = World::new().await;
    let store = MemoryStore::new();
    let accounts = Accounts::builder(world.provider.endpoint())
        .store(store.clone())
        .build();
    let first = world.provider.authorization_code();
    accounts.authorize("user", first).await.unwrap();
    let revoked = store.revoke(&user()).await.unwrap();
    tokio::time::sleep(MOMENT).await;
    let account = accounts.get("user").await.unwrap();
    assert_eq!(account.generation(), revoked.generation);
    assert_eq!(account.status().rotation, RotationStatus::Revoked);
}

/// A store that cannot tell of changes.
struct Mute(MemoryStore);

impl RecordStore for Mute {
    async fn load(&self, account: &AccountName) -> Result<Loaded, StoreError> {
        self.0.load(account).await
    }

    async fn replace(
        &self,
        account: &AccountName,
        expected: Option<Version>,
        draft: &Draft,
    ) -> Result<Replaced, StoreError> {
        self.0.replace(account, expected, draft).await
    }

    async fn list(
        &self,
        after: Option<&AccountName>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        self.0.list(after, limit).await
    }
}

#[tokio::test(start_paused = true)]
async fn over_a_store_that_tells_of_nothing_a_revocation_is_obeyed_within_seconds() {
    let store = MemoryStore::new();
    let world = process(Mute(store.clone())).await;
    store.revoke(&user()).await.unwrap();
    let mut obeyed = None;
    for second in 0..20 {
        if reason(&world.get("/").await).is_some() {
            obeyed = Some(second);
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(obeyed.is_some_and(|second| second <= 6), "{obeyed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_does_not_look_for_what_it_wrote_itself() {
    let clock = tower_mac_auth::testing::TestClock::new();
    let store = Faulty::new(clock);
    let world = process(store.clone()).await;
    let first = world.account.generation();
    world.account.refresh_if_current(first).await.unwrap();
    tokio::time::sleep(MOMENT).await;
    store.take_steps();
    for _ in 0..10 {
        assert_eq!(status(&world.get("/").await), StatusCode::OK);
        tokio::time::sleep(MOMENT).await;
    }
    assert_eq!(store.take_steps(), []);
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_acknowledgement_was_lost_holds_nobody_up() {
    for step in [Step::Acquire, Step::Intend, Step::Commit] {
        let clock = tower_mac_auth::testing::TestClock::new();
        let store = Faulty::new(clock);
        let world = process(store.clone()).await;
        let first = world.account.generation();
        store.fail(step, How::After);
        let before = world.clock.now();
        world.account.refresh_if_current(first).await.unwrap();
        let took = world.clock.now().saturating_since(before);
        assert!(took < Duration::from_secs(1), "{step:?}: {took:?}");
        assert_eq!(world.presented(), 1, "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_that_the_store_makes_of_no_use_are_said_to_be_ignored() {
    let store = MemoryStore::new();
    let world = process(store.clone()).await;
    assert!(!world.account.ignored_tokens());
    let open = |tokens| {
        Account::builder(world.provider.endpoint())
            .store(store.clone())
            .tokens(tokens)
            .open("user")
    };
    // The same program once more, with what it has in its configuration.
    assert!(!open(world.tokens.clone()).await.unwrap().ignored_tokens());
    // A second login, which the store outranks.
    let again = open(world.provider.issue(HOUR)).await.unwrap();
    assert!(again.ignored_tokens());
    assert_eq!(again.subject(), world.account.subject());
}

#[test]
fn who_heard_on_a_runtime_that_is_gone_hears_on_the_next() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let store = MemoryStore::new();
    let first = runtime();
    let world = first.block_on(process(store.clone()));
    drop(first);
    runtime().block_on(async {
        store.revoke(&user()).await.unwrap();
        world.clock.advance(Duration::from_secs(31));
        // It looks because it is time to, and from here on it hears.
        let _ = world.get("/").await;
        tokio::time::sleep(MOMENT).await;
        assert!(reason(&world.get("/").await).is_some());
        let code = world.code();
        world.account.authorize(code).await.unwrap();
        assert_eq!(status(&world.get("/").await), StatusCode::OK);
        store.revoke(&user()).await.unwrap();
        tokio::time::sleep(MOMENT).await;
        let _ = world.get("/").await;
        tokio::time::sleep(MOMENT).await;
        assert!(reason(&world.get("/").await).is_some());
    });
}
