//! What each outcome at the token endpoint means for the account.

use std::error::Error as _;
use std::time::Duration;

use http::StatusCode;
use tower_mac_auth::account::{
    Account, Accounts, Event, InDoubtPolicy, RefreshError, RefreshErrorKind, RotationStatus,
};
use tower_mac_auth::layer::Error;
use tower_mac_auth::provider::xiaomi::ErrorCode;
use tower_mac_auth::provider::{Meaning, Refused, Xiaomi};
use tower_mac_auth::store::{AccountName, Generation, MemoryStore, RecordStore, Status};
use tower_mac_auth::testing::{Fault, Presented};
use tower_mac_auth::token::{TokenEndpoint, TokenSet};

use crate::says::Says;
use crate::world::{HOUR, World, at_once, record, status};

const MINUTE: Duration = Duration::from_secs(60);

/// Why there was no refresh: with the refusal, or as the error of a request that was not sent.
fn why(answer: &crate::world::Answer) -> Option<&RefreshError> {
    match answer {
        Ok(refusal) => refusal.extensions().get(),
        Err(Error::Auth(error)) => error.refresh_error(),
        Err(Error::Service(never)) => match *never {},
    }
}

fn reason(answer: &crate::world::Answer) -> Option<RefreshErrorKind> {
    why(answer).map(RefreshError::kind)
}

/// A world whose store the test can look into.
async fn open(policy: InDoubtPolicy) -> (World, MemoryStore) {
    let clock = tower_mac_auth::testing::TestClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let shared = store.clone();
    let mut world = World::with(
        |provider| provider.clock(clock.clone()),
        |account| account.clock(clock.clone()).store(shared).in_doubt(policy),
    )
    .await;
    world.clock = clock;
    (world, store)
}

async fn record_status(store: &MemoryStore) -> Status {
    record(store, &AccountName::new("user").unwrap())
        .await
        .status
}

#[tokio::test(start_paused = true)]
async fn unsent_backs_off_and_the_same_token_is_good_later() {
    let (mut world, store) = open(InDoubtPolicy::Never).await;
    world.provider.expire_access_tokens();
    world.provider.fault_next(Fault::ConnectionRefused);
    assert_eq!(
        reason(&world.get("/").await),
        Some(RefreshErrorKind::Unsent)
    );
    assert_eq!(record_status(&store).await, Status::Active);
    // At once: fail fast, and say until when.
    let error = world.get("/").await.unwrap_err();
    let tower_mac_auth::layer::Error::Auth(error) = error;
    let RefreshErrorKind::BackingOff { until } = error.refresh_error().unwrap().kind() else {
        panic!("{error:?}")
    };
    assert!(matches!(
        world.event(),
        Some(Event::RefreshFailed { retry_at, .. }) if retry_at == until
    ));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    assert_eq!(world.presented(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_compressed_loses_no_tokens() {
    let (world, store) = open(InDoubtPolicy::Never).await;
    for presented in 1..=2 {
        world.provider.expire_access_tokens();
        world.provider.fault_next(Fault::Compressed);
        assert_eq!(status(&world.get("/").await), StatusCode::OK);
        assert_eq!(record_status(&store).await, Status::Active);
        assert_eq!(world.presented(), presented);
        world.clock.advance(Duration::from_secs(61));
    }
    assert!(world.provider.presented_twice().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_ambiguous_answer_is_recorded_in_doubt_and_never_resent_by_the_policy_never() {
    for fault in [
        Fault::ServerError(StatusCode::SERVICE_UNAVAILABLE),
        Fault::Garbage,
        Fault::CutShort,
        Fault::Empty200,
        Fault::Html,
        Fault::Endless,
        Fault::Hang,
        Fault::Reset,
        Fault::ConsumedThenReset,
        Fault::RefuseWith(ErrorCode::from_code(96_099)),
    ] {
        let (mut world, store) = open(InDoubtPolicy::Never).await;
        world.provider.expire_access_tokens();
        world.provider.fault_next(fault.clone());
        let reasons = at_once(&world.client(), 20).await;
        assert!(
            reasons
                .iter()
                .all(|answer| reason(answer) == Some(RefreshErrorKind::InDoubt)),
            "{fault:?}: {:?}",
            reasons.iter().map(reason).collect::<Vec<_>>()
        );
        assert_eq!(record_status(&store).await, Status::InDoubt, "{fault:?}");
        let events = world.events_so_far();
        assert!(
            events
                .iter()
                .any(|event| matches!(event, Event::InDoubt { .. })),
            "{fault:?}"
        );
        let reauthorize = |event: &&Event| matches!(event, Event::ReauthorizationRequired { .. });
        assert_eq!(events.iter().filter(reauthorize).count(), 1, "{fault:?}");
        // Whatever is asked, and however long one waits.
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(40)).await;
            assert!(world.get("/").await.is_err());
        }
        assert_eq!(world.presented(), 1, "{fault:?}");
        // A new authorization heals it.
        let code = world.code();
        world.account.authorize(code).await.unwrap();
        assert_eq!(status(&world.get("/").await), StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn in_doubt_a_live_token_goes_on_signing_and_a_dead_account_replays_once() {
    let (mut world, store) = open(InDoubtPolicy::HoldUntilDead).await;
    // Time for a refresh ahead, whose answer is lost.
    world.provider.fault_next(Fault::Reset);
    tokio::time::sleep(Duration::from_secs(3500)).await;
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(record_status(&store).await, Status::InDoubt);
    for _ in 0..10 {
        assert_eq!(status(&world.get("/").await), StatusCode::OK);
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(world.presented(), 1);
    let deadline = world
        .events_so_far()
        .into_iter()
        .find_map(|event| match event {
            Event::ReauthorizationRequired { deadline, .. } => Some(deadline),
            _ => None,
        });
    assert_eq!(deadline.flatten(), world.account.expires_at());
    // Dead: nothing left to lose.
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    assert_eq!(world.presented(), 2);
    assert_eq!(record_status(&store).await, Status::Active);
}

#[tokio::test(start_paused = true)]
async fn a_replay_out_of_doubt_is_made_once_and_no_more() {
    let (world, store) = open(InDoubtPolicy::HoldUntilDead).await;
    world.provider.expire_access_tokens();
    world.provider.fault_always(Fault::Reset);
    for _ in 0..10 {
        let _ = world.get("/").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(world.presented(), 2);
    assert_eq!(record_status(&store).await, Status::InDoubt);
}

#[tokio::test(start_paused = true)]
async fn within_a_documented_grace_window_a_lost_answer_is_asked_for_again() {
    let (world, _) = open(InDoubtPolicy::ReplayWithin(Duration::from_secs(60))).await;
    world.provider.expire_access_tokens();
    world.provider.fault_next(Fault::Reset);
    assert_eq!(
        reason(&world.get("/").await),
        Some(RefreshErrorKind::InDoubt)
    );
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    assert_eq!(world.presented(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_spent_refresh_token_ends_in_a_call_for_authorization() {
    let (mut world, store) = open(InDoubtPolicy::Never).await;
    world.provider.expire_access_tokens();
    world
        .provider
        .fault_next(Fault::RefuseWith(ErrorCode::RefreshTokenRejected));
    let answer = world.get("/").await;
    assert_eq!(
        reason(&answer),
        Some(RefreshErrorKind::ReauthorizationRequired)
    );
    assert_eq!(record_status(&store).await, Status::Revoked);
    assert!(matches!(
        world.events_so_far()[..],
        [Event::ReauthorizationRequired {
            deadline: None,
            may_recover: false,
            ..
        }]
    ));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(world.get("/").await.is_err());
    assert_eq!(world.presented(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_configuration_fault_keeps_the_token_and_backs_off_long() {
    for code in [
        96_001, 96_002, 96_003, 96_004, 96_005, 96_006, 96_007, 96_010, 96_011, 96_012,
    ] {
        let (mut world, store) = open(InDoubtPolicy::Never).await;
        world.provider.expire_access_tokens();
        let code = ErrorCode::from_code(code);
        world.provider.fault_next(Fault::RefuseWith(code));
        let answer = world.get("/").await;
        assert_eq!(reason(&answer), Some(RefreshErrorKind::Refused));
        let refused: Option<&Refused> = why(&answer).unwrap().source().unwrap().downcast_ref();
        let refused = refused.expect("the source is the refusal");
        assert_eq!(refused.code(), code.code().to_string());
        assert_eq!(refused.meaning(), Meaning::Configuration);
        assert_eq!(record_status(&store).await, Status::Active);
        assert!(matches!(world.event(), Some(Event::RefreshFailed { .. })));
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert!(world.get("/").await.is_err(), "still backing off");
        assert_eq!(world.presented(), 1);
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(status(&world.get("/").await), StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_used_does_not_lose_the_next_refresh_token() {
    let (world, store) = open(InDoubtPolicy::Never).await;
    world.provider.expire_access_tokens();
    world.provider.fault_next(Fault::WrongAlgorithm);
    let answer = world.get("/").await;
    assert_eq!(reason(&answer), Some(RefreshErrorKind::UnusableAnswer));
    assert_eq!(record_status(&store).await, Status::Active);
    // Not burnt at once...
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.get("/").await.is_err());
    assert_eq!(world.presented(), 1);
    // ...but good for the next try.
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    assert!(world.provider.presented_twice().is_empty());
    assert!(
        world
            .provider
            .presentations()
            .iter()
            .all(|one| one.outcome == Presented::Rotated)
    );
    assert_eq!(world.account.generation(), Generation::FIRST.next().next());
}

#[tokio::test(start_paused = true)]
async fn a_token_endpoint_that_hangs_is_given_up_in_time_and_not_because_the_clock_jumped() {
    let (world, store) = open(InDoubtPolicy::Never).await;
    world.provider.expire_access_tokens();
    world.provider.fault_next(Fault::Hang);
    let waiting = tokio::spawn(world.client().oneshot_get());
    while world.presented() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The machine sleeps for an hour: its timers stand still, the wall clock does not.
    world.clock.advance(Duration::from_secs(3600));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!waiting.is_finished());
    tokio::time::sleep(Duration::from_secs(45)).await;
    assert!(waiting.is_finished());
    assert_eq!(record_status(&store).await, Status::InDoubt);
}

trait OneshotGet {
    fn oneshot_get(self) -> impl Future<Output = crate::world::Answer> + Send + 'static;
}

impl OneshotGet for tower_mac_auth::layer::MacAuth<tower_mac_auth::testing::Api> {
    fn oneshot_get(self) -> impl Future<Output = crate::world::Answer> + Send + 'static {
        tower::ServiceExt::oneshot(self, crate::world::get("/"))
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_next_refresh_token_the_spent_one_is_not_used_again() {
    let clock = tower_mac_auth::testing::TestClock::new();
    let provider = tower_mac_auth::testing::Provider::builder()
        .clock(clock.clone())
        .build();
    let mut tokens = provider.issue(crate::world::HOUR);
    tokens.refresh_token = None;
    let builder = Account::builder(provider.endpoint()).clock(clock);
    let account = builder.tokens(tokens).open("user").await.unwrap();
    let error = account
        .refresh_if_current(account.generation())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), RefreshErrorKind::ReauthorizationRequired);
    assert_eq!(provider.token_requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_repeats_the_refresh_token_does_not_make_it_the_next() {
    let tokens = TokenSet::mac("AT", "KEY", "RT", crate::world::HOUR);
    let body = r#"{"refresh_token":"RT","message":"overloaded"}"#;
    for status in [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE] {
        let xiaomi = Xiaomi::new("1", "secret", "https://client.example/");
        let endpoint = TokenEndpoint::builder(xiaomi)
            .transport(Says::new(&[(status.as_u16(), body)]))
            .build()
            .unwrap();
        let builder = Account::builder(endpoint).tokens(tokens.clone());
        let account = builder
            .in_doubt(InDoubtPolicy::Never)
            .open("user")
            .await
            .unwrap();
        let error = account
            .refresh_if_current(account.generation())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), RefreshErrorKind::InDoubt, "{status}");
        assert_eq!(account.generation(), Generation::FIRST);
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_does_not_lose_the_answer_and_the_replay_both() {
    let (mut world, store) = open(InDoubtPolicy::HoldUntilDead).await;
    world.provider.expire_access_tokens();
    world
        .provider
        .fault_always(Fault::ServerError(StatusCode::SERVICE_UNAVAILABLE));
    for _ in 0..500 {
        assert_eq!(
            reason(&world.get("/").await),
            Some(RefreshErrorKind::InDoubt)
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(world.presented(), 1);
    world.provider.clear_faults();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    assert_eq!(record_status(&store).await, Status::Active);
    let reauthorize = |event: &&Event| matches!(event, Event::ReauthorizationRequired { .. });
    assert_eq!(world.events_so_far().iter().filter(reauthorize).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn that_the_replay_is_lost_as_well_is_told() {
    let (mut world, _) = open(InDoubtPolicy::HoldUntilDead).await;
    world.provider.expire_access_tokens();
    world
        .provider
        .fault_always(Fault::ServerError(StatusCode::SERVICE_UNAVAILABLE));
    for _ in 0..10 {
        let _ = world.get("/").await;
        tokio::time::sleep(Duration::from_secs(61)).await;
    }
    let reauthorize = |event: &&Event| matches!(event, Event::ReauthorizationRequired { .. });
    assert_eq!(world.events_so_far().iter().filter(reauthorize).count(), 2);
    assert_eq!(world.presented(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_call_did_to_the_rotation_shows_at_once() {
    let (world, _) = open(InDoubtPolicy::HoldUntilDead).await;
    let rotation = |world: &World| world.account.status().rotation;
    world.account.revoke().await.unwrap();
    assert_eq!(rotation(&world), RotationStatus::Revoked);
    let code = world.code();
    world.account.authorize(code).await.unwrap();
    assert_eq!(rotation(&world), RotationStatus::Idle);

    world.provider.fault_next(Fault::ConnectionRefused);
    let refresh = world.account.refresh_if_current(world.account.generation());
    assert_eq!(rotation(&world), RotationStatus::InFlight);
    refresh.await.unwrap_err();
    assert!(matches!(
        rotation(&world),
        RotationStatus::BackingOff { .. }
    ));
    world.clock.advance(MINUTE);
    world.provider.fault_next(Fault::ConsumedThenReset);
    let refresh = world.account.refresh_if_current(world.account.generation());
    refresh.await.unwrap_err();
    let may_recover = true;
    assert_eq!(rotation(&world), RotationStatus::InDoubt { may_recover });
    let code = world.code();
    world.account.authorize(code).await.unwrap();
    assert_eq!(rotation(&world), RotationStatus::Idle);
}

/// Another process revoked the account, and this one learns of it.
#[tokio::test(start_paused = true)]
async fn a_revocation_elsewhere_shows_once_it_is_adopted_and_is_told_once() {
    let (mut world, store) = open(InDoubtPolicy::HoldUntilDead).await;
    let user = AccountName::new("user").unwrap();
    store.revoke(&user).await.unwrap();
    for _ in 0..3 {
        let refresh = world.account.refresh_if_current(world.account.generation());
        let error = refresh.await.unwrap_err();
        assert_eq!(error.kind(), RefreshErrorKind::ReauthorizationRequired);
        assert_eq!(world.account.status().rotation, RotationStatus::Revoked);
        world.clock.advance(MINUTE);
    }
    let told = |event: &Event| matches!(event, Event::ReauthorizationRequired { .. });
    let events = world.events_so_far();
    assert_eq!(events.iter().filter(|it| told(it)).count(), 1, "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_brings_nothing_that_signs_is_a_failure_and_no_success() {
    // The old access token is dead, or signs on.
    for ahead in [false, true] {
        let (mut world, _) = open(InDoubtPolicy::Never).await;
        world.events = world.account.events();
        world.provider.fault_next(Fault::WrongAlgorithm);
        if ahead {
            world.clock.advance(HOUR * 91 / 100);
            assert_eq!(status(&world.get("/").await), StatusCode::OK);
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(status(&world.get("/").await), StatusCode::OK);
        } else {
            world.provider.expire_access_tokens();
            let answer = world.get("/").await;
            assert_eq!(reason(&answer), Some(RefreshErrorKind::UnusableAnswer));
        }
        assert_eq!(world.account.generation(), Generation::FIRST.next());
        let events = world.events_so_far();
        let [Event::RefreshFailed { error, .. }] = &events[..] else {
            panic!("{ahead}: {events:?}")
        };
        assert_eq!(error.kind(), RefreshErrorKind::UnusableAnswer);
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_opened_in_trouble_says_so() {
    let (world, store) = open(InDoubtPolicy::HoldUntilDead).await;
    world.provider.fault_next(Fault::ConsumedThenReset);
    let refresh = world.account.refresh_if_current(Generation::FIRST);
    refresh.await.unwrap_err();
    assert_eq!(record_status(&store).await, Status::InDoubt);

    let builder = Accounts::builder(world.provider.endpoint()).clock(world.clock.clone());
    let accounts = builder.store(store.clone()).build();
    let mut events = accounts.events();
    let account = accounts.get("user").await.unwrap();
    let first = events.try_next().unwrap();
    assert_eq!(first.account.unwrap().as_str(), "user");
    assert!(
        matches!(first.event, Event::InDoubt { .. }),
        "{:?}",
        first.event
    );
    let second = events.try_next().unwrap().event;
    assert!(
        matches!(second, Event::ReauthorizationRequired { .. }),
        "{second:?}"
    );
    // Whoever listens later learns it too, and no request brings it up again.
    let mut later = account.events();
    assert!(matches!(later.try_next(), Some(Event::InDoubt { .. })));
    let mut none = || events.try_next().is_none() && later.try_next().is_none();
    assert!(none());
    account
        .refresh_if_current(Generation::FIRST)
        .await
        .unwrap_err();
    assert!(none());

    store.revoke(account.name()).await.unwrap();
    let builder = Account::builder(world.provider.endpoint()).clock(world.clock.clone());
    let account = builder.store(store).open("user").await.unwrap();
    let told = account.events().try_next();
    assert!(
        matches!(told, Some(Event::ReauthorizationRequired { .. })),
        "{told:?}"
    );
}
