//! The life of an account: how it starts, refreshes ahead, is authorized anew, revoked, shut down.

use std::error::Error as _;
use std::time::Duration;

use http::StatusCode;
use tower::{Layer, ServiceExt};
use tower_mac_auth::account::{Account, AccountErrorKind, Event, RefreshErrorKind};
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::provider::xiaomi::ErrorCode;
use tower_mac_auth::provider::{Meaning, Refused};
use tower_mac_auth::store::{Generation, MemoryStore, RecordStore as _};
use tower_mac_auth::testing::{Fault, Provider, TestClock};
use tower_mac_auth::{Clock as _, Timestamp};

use crate::world::{HOST, HOUR, World, at_once, get, status};

fn provider() -> (Provider, TestClock) {
    let clock = TestClock::new();
    (
        Provider::builder()
            .clock(clock.clone())
            .lifetime(HOUR)
            .build(),
        clock,
    )
}

async fn works(provider: &Provider, account: &Account) -> bool {
    let layer = MacAuthLayer::new(account.clone()).allow(HOST).unwrap();
    status(&layer.layer(provider.api()).oneshot(get("/")).await) == StatusCode::OK
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_a_refresh_tokens_end_is_in_the_record() {
    let (provider, clock) = provider();
    let mut tokens = provider.issue(HOUR);
    tokens.refresh_expires_in = Some(24 * HOUR);
    let store = MemoryStore::with_clock(std::sync::Arc::new(clock.clone()));
    let builder = Account::builder(provider.endpoint()).clock(clock.clone());
    let account = builder.store(store.clone()).tokens(tokens.clone());
    let account = account.open("user").await.unwrap();
    let end = || async {
        let loaded = store.load(account.name()).await.unwrap();
        loaded.into_record().unwrap().unwrap().refresh_expires_at
    };
    let tomorrow = |from: Timestamp| Some(from.saturating_add(24 * HOUR));
    assert_eq!(end().await, tomorrow(clock.now()));
    clock.advance(HOUR / 2);
    account.install(tokens).await.unwrap();
    assert_eq!(end().await, tomorrow(clock.now()));
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_a_refresh_gets_one_and_takes_no_credential_away() {
    let (provider, clock) = provider();
    let builder = Account::builder(provider.endpoint()).clock(clock.clone());
    let tokens = provider.issue(HOUR);
    let account = builder.tokens(tokens).open("user").await.unwrap();
    let mut events = account.events();
    // Two at once, and one at once after, which is nobody's refusal of what is new.
    let before = account.generation();
    let (one, other) = (account.refresh(), account.refresh());
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    assert_eq!((one, other), (before.next(), before.next()));
    assert_eq!(account.refresh().await.unwrap(), one.next());
    assert_eq!(provider.presentations().len(), 2);
    while let Some(happened) = events.try_next() {
        let refreshed = matches!(happened, Event::Refreshed { .. });
        assert!(refreshed, "{happened:?}");
    }
    // Without one the old goes on.
    provider.fault_next(Fault::ConnectionRefused);
    let error = account.refresh().await.unwrap_err();
    assert_eq!(error.kind(), RefreshErrorKind::Unsent);
    assert!(works(&provider, &account).await);
    let error = account.refresh().await.unwrap_err();
    assert!(matches!(error.kind(), RefreshErrorKind::BackingOff { .. }));
    clock.advance(HOUR / 4);
    provider.fault_next(Fault::Reset);
    let error = account.refresh().await.unwrap_err();
    assert_eq!(error.kind(), RefreshErrorKind::InDoubt);
    assert!(works(&provider, &account).await);
    let presented = provider.presentations().len();
    assert!(account.refresh().await.is_err());
    assert_eq!(provider.presentations().len(), presented);
    assert!(provider.presented_twice().is_empty());
    account.shutdown().await;
    let error = account.refresh().await.unwrap_err();
    assert_eq!(error.kind(), RefreshErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_account_starts_from_a_bare_refresh_token() {
    let (provider, clock) = provider();
    let tokens = provider.issue(HOUR);
    let account = Account::builder(provider.endpoint())
        .clock(clock)
        .refresh_token(tokens.refresh_token.unwrap())
        .open("user")
        .await
        .unwrap();
    assert_eq!(provider.token_requests(), 0, "not before it is used");
    assert!(works(&provider, &account).await);
    assert_eq!(provider.presentations().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_account_starts_from_a_code_and_later_from_the_store() {
    let (provider, clock) = provider();
    let store = MemoryStore::with_clock(clock.clone());
    let builder = || {
        Account::builder(provider.endpoint())
            .clock(clock.clone())
            .store(store.clone())
    };
    let unknown = builder().open("user").await.unwrap_err();
    assert_eq!(unknown.kind(), AccountErrorKind::NotAuthorized);
    let account = builder()
        .authorize("user", provider.authorization_code())
        .await
        .unwrap();
    assert!(works(&provider, &account).await);
    assert!(account.subject().is_some());
    let again = builder().open("user").await.unwrap();
    assert_eq!(again.generation(), account.generation());
    assert!(works(&provider, &again).await);
}

#[tokio::test(start_paused = true)]
async fn what_the_store_knows_counts_more_than_the_tokens_given() {
    let (provider, clock) = provider();
    let store = MemoryStore::with_clock(clock.clone());
    let tokens = provider.issue(HOUR);
    let builder = || {
        let builder = Account::builder(provider.endpoint()).clock(clock.clone());
        builder.store(store.clone()).tokens(tokens.clone())
    };
    let first = builder().open("user").await.unwrap();
    first.refresh_if_current(first.generation()).await.unwrap();
    // A restart with the same configuration, whose refresh token is spent by now.
    let second = builder().open("user").await.unwrap();
    assert_eq!(second.generation(), Generation::FIRST.next());
    second
        .refresh_if_current(second.generation())
        .await
        .unwrap_err();
    clock.advance(Duration::from_secs(61));
    second
        .refresh_if_current(second.generation())
        .await
        .unwrap();
    assert!(provider.presented_twice().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_code_that_is_refused_or_not_sent_says_so() {
    let (provider, clock) = provider();
    let builder = || Account::builder(provider.endpoint()).clock(clock.clone());
    let error = builder()
        .authorize("user", "no such code")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), AccountErrorKind::CodeRefused);
    let refused: Option<&Refused> = error.source().unwrap().downcast_ref();
    let refused = refused.expect("the source is the refusal");
    assert_eq!(refused.code(), ErrorCode::CodeRejected.code().to_string());
    assert_eq!(refused.meaning(), Meaning::CodeRejected);
    provider.fault_next(Fault::ConnectionRefused);
    let code = provider.authorization_code();
    let error = builder().authorize("user", code.clone()).await.unwrap_err();
    assert_eq!(error.kind(), AccountErrorKind::CodeUnsent);
    builder().authorize("user", code).await.unwrap();
    provider.fault_next(Fault::ConsumedThenReset);
    let error = builder()
        .authorize("user", provider.authorization_code())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), AccountErrorKind::CodeInDoubt);
}

#[tokio::test(start_paused = true)]
async fn of_an_answer_to_a_code_that_cannot_be_used_the_refresh_token_is_kept() {
    let (provider, clock) = provider();
    let builder = Account::builder(provider.endpoint()).clock(clock);
    provider.fault_next(Fault::WrongAlgorithm);
    let code = provider.authorization_code();
    let account = builder.authorize("user", code).await.unwrap();
    assert_eq!(account.expires_at(), None, "it cannot sign yet");
    let first = account.generation();
    let next = account.refresh_if_current(first).await.unwrap();
    assert_eq!(next, first.next());
    assert!(account.expires_at().is_some());
    assert_eq!(provider.presentations().len(), 1);
    assert!(provider.presented_twice().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_authorization_goes_on() {
    let (provider, clock) = provider();
    let tokens = provider.issue(HOUR);
    let code = provider.authorization_code_of(&tokens.access_token);
    let builder = Account::builder(provider.endpoint()).clock(clock);
    let account = builder.tokens(tokens).open("user").await.unwrap();
    provider.fault_next(Fault::Delay(Duration::from_secs(5)));
    let code = code.unwrap();
    let short = tokio::time::timeout(Duration::from_secs(1), account.authorize(code));
    assert!(short.await.is_err());
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(account.generation() > Generation::FIRST);
    assert!(works(&provider, &account).await);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_ahead_is_made_on_use_while_the_old_token_signs() {
    let mut world = World::new().await;
    tokio::time::sleep(Duration::from_secs(2600)).await;
    assert_eq!(status(&world.get("/early").await), StatusCode::OK);
    tokio::task::yield_now().await;
    assert_eq!(world.presented(), 0, "before 75 % of its life");
    tokio::time::sleep(Duration::from_secs(700)).await;
    world
        .provider
        .fault_next(Fault::Delay(Duration::from_secs(10)));
    for answer in at_once(&world.client(), 100).await {
        assert_eq!(status(&answer), StatusCode::OK);
    }
    assert!(world.event().is_none(), "nobody waited for it");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(matches!(world.event(), Some(Event::Refreshed { .. })));
    assert_eq!(world.presented(), 1);
    let generations: Vec<u64> = world
        .provider
        .accepted()
        .iter()
        .map(|accepted| accepted.generation)
        .collect();
    assert!(generations.iter().all(|generation| *generation == 1));
    assert_eq!(status(&world.get("/late").await), StatusCode::OK);
    assert_eq!(world.provider.accepted().last().unwrap().generation, 2);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_ahead_that_fails_is_tried_again_later_and_bothers_nobody() {
    let world = World::new().await;
    tokio::time::sleep(Duration::from_secs(3300)).await;
    world.provider.fault_always(Fault::ConnectionRefused);
    for _ in 0..200 {
        assert_eq!(status(&world.get("/").await), StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(world.presented(), 0);
    world.provider.clear_faults();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.presented(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_authorization_is_not_undone_by_a_rotation_under_way() {
    let world = World::new().await;
    world.provider.expire_access_tokens();
    world
        .provider
        .fault_next(Fault::Delay(Duration::from_secs(20)));
    let rotation = world.account.refresh_if_current(world.account.generation());
    while world.presented() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let code = world.code();
    let authorized = world.account.authorize(code).await.unwrap();
    // The rotation ends late, and finds the account further on.
    assert_eq!(rotation.await.unwrap(), authorized);
    assert_eq!(world.account.generation(), authorized);
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    // The rotation's tokens are the second of the old grant; these are the first of the new.
    let accepted = &world.provider.accepted()[0];
    assert_ne!(accepted.access_token, world.tokens.access_token);
    assert_eq!(accepted.generation, 1);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_account_signs_no_more_and_no_rotation_undoes_it() {
    let mut world = World::new().await;
    world.provider.expire_access_tokens();
    world
        .provider
        .fault_next(Fault::Delay(Duration::from_secs(20)));
    let rotation = world.account.refresh_if_current(world.account.generation());
    while world.presented() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let revoked = world.account.revoke().await.unwrap();
    let error = rotation.await.unwrap_err();
    assert_eq!(error.kind(), RefreshErrorKind::ReauthorizationRequired);
    assert_eq!(world.account.generation(), revoked);
    assert!(world.get("/").await.is_err());
    assert_eq!(world.provider.api_requests(), 0);
    assert!(
        world
            .events_so_far()
            .iter()
            .any(|event| matches!(event, Event::Revoked { .. }))
    );
    world.account.authorize(world.code()).await.unwrap();
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_a_refresh_that_has_sent_and_starts_no_other() {
    let world = World::new().await;
    world.provider.expire_access_tokens();
    world
        .provider
        .fault_next(Fault::Delay(Duration::from_secs(20)));
    let rotation = tokio::spawn(world.account.refresh_if_current(world.account.generation()));
    while world.presented() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.account.shutdown().await;
    assert!(
        rotation.await.unwrap().is_ok(),
        "shutdown ended before the rotation did"
    );
    assert_eq!(
        status(&world.get("/").await),
        StatusCode::OK,
        "what lives goes on signing"
    );
    world.provider.expire_access_tokens();
    world.clock.advance(Duration::from_secs(61));
    let error = world
        .account
        .refresh_if_current(world.account.generation())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), RefreshErrorKind::Closed);
    assert_eq!(world.presented(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_lets_a_refresh_that_has_sent_finish() {
    let (provider, clock) = provider();
    let store = MemoryStore::with_clock(clock.clone());
    let builder = || {
        Account::builder(provider.endpoint())
            .clock(clock.clone())
            .store(store.clone())
    };
    let account = builder()
        .tokens(provider.issue(HOUR))
        .open("user")
        .await
        .unwrap();
    provider.fault_next(Fault::Delay(Duration::from_secs(5)));
    drop(account.refresh_if_current(account.generation()));
    drop(account);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let account = builder().open("user").await.unwrap();
    assert_eq!(account.generation(), Generation::FIRST.next());
    assert!(works(&provider, &account).await);
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_a_day_stops_neither_back_off_nor_the_storm_breaker() {
    let world = World::new().await;
    let generation = world
        .account
        .refresh_if_current(world.account.generation())
        .await
        .unwrap();
    world.clock.set_back(Duration::from_secs(86_400));
    // Rotated "tomorrow": no evidence that it was a moment ago.
    world.account.refresh_if_current(generation).await.unwrap();
    world.provider.fault_next(Fault::ConnectionRefused);
    world.clock.advance(Duration::from_secs(61));
    let generation = world.account.generation();
    let error = world
        .account
        .refresh_if_current(generation)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), RefreshErrorKind::Unsent);
    world.clock.set_back(Duration::from_secs(86_400));
    world.account.refresh_if_current(generation).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_generation_that_is_not_the_current_one_refreshes_nothing() {
    let world = World::new().await;
    // Say, of another account.
    let other = Generation::from_number(7);
    assert_eq!(
        world.account.refresh_if_current(other).await.unwrap(),
        Generation::FIRST
    );
    assert_eq!(world.provider.token_requests(), 0);
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_while_a_refused_token_is_looked_up() {
    let world = World::new().await;
    world
        .provider
        .fault_next(Fault::RefuseWith(ErrorCode::RefreshTokenRejected));
    let refresh = tokio::spawn(world.account.refresh_if_current(world.account.generation()));
    while world.presented() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.account.shutdown().await;
    let error = refresh.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), RefreshErrorKind::ReauthorizationRequired);
}
