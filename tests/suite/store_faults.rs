//! Rotations over a store that fails at any step, before or after it did what it was asked.

use std::time::Duration;

use http::StatusCode;
use tower_mac_auth::account::{Account, AccountErrorKind, Event, InDoubtPolicy, RefreshErrorKind};
use tower_mac_auth::store::{
    AccountName, Commit, Draft, Generation, Grant, Issued, MemoryStore, Record, RecordStore,
    Replaced, SealedGrant, Secrets, Status, Version,
};
use tower_mac_auth::testing::{Fault, Provider, TestClock};

use crate::faulty::{Faulty, How, Step};
use crate::world::{HOUR, World, record, status};

async fn open() -> (World, Faulty) {
    open_with(InDoubtPolicy::Never).await
}

pub async fn open_with(policy: InDoubtPolicy) -> (World, Faulty) {
    let clock = TestClock::new();
    let store = Faulty::new(clock.clone());
    let shared = store.clone();
    let mut world = World::with(
        |provider| provider.clock(clock.clone()),
        |account| account.clock(clock.clone()).store(shared).in_doubt(policy),
    )
    .await;
    world.clock = clock;
    store.take_steps();
    (world, store)
}

pub async fn stored(store: &Faulty) -> Record {
    record(&store.inner(), &AccountName::new("user").unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn a_rotation_costs_the_store_four_steps() {
    let (world, store) = open().await;
    world
        .account
        .refresh_if_current(world.account.generation())
        .await
        .unwrap();
    assert_eq!(
        store.take_steps(),
        [Step::Read, Step::Acquire, Step::Intend, Step::Commit]
    );
}

#[tokio::test(start_paused = true)]
async fn whatever_step_fails_in_whatever_way_no_token_is_presented_twice_and_the_account_lives_on()
{
    for step in [Step::Read, Step::Acquire, Step::Intend, Step::Commit] {
        for how in [How::Before, How::After, How::Hang] {
            let (world, store) = open().await;
            world.provider.expire_access_tokens();
            store.fail(step, how);
            let first = world.get("/").await;
            if step == Step::Commit {
                assert_eq!(
                    status(&first),
                    StatusCode::OK,
                    "{step:?} {how:?}: the tokens are good"
                );
            }
            // Longer than any lease, back-off and attempt.
            let mut lived = false;
            for _ in 0..40 {
                tokio::time::sleep(Duration::from_secs(10)).await;
                if let Ok(answer) = world.get("/").await {
                    lived |= answer.status() == StatusCode::OK;
                }
            }
            let lost_to_doubt = stored(&store).await.status == Status::InDoubt;
            // An intent that was written and not acknowledged, with a store that then takes the
            // withdrawal, is no doubt either.
            assert!(
                lived && !lost_to_doubt,
                "{step:?} {how:?}: {:?}",
                stored(&store).await
            );
            assert!(
                world.provider.presented_twice().is_empty(),
                "{step:?} {how:?}"
            );
            assert_eq!(world.presented(), 1, "{step:?} {how:?}");
            assert_eq!(stored(&store).await.generation, Generation::FIRST.next());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn before_the_intent_is_written_nothing_is_sent() {
    for step in [Step::Read, Step::Acquire, Step::Intend] {
        let (world, store) = open().await;
        world.provider.expire_access_tokens();
        store.fail(step, How::Before);
        assert_eq!(status(&world.get("/").await), StatusCode::UNAUTHORIZED);
        assert_eq!(world.provider.token_requests(), 0, "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_that_the_store_does_not_take_sign_from_memory_until_it_does() {
    let (mut world, store) = open().await;
    world.provider.expire_access_tokens();
    for _ in 0..5 {
        store.fail(Step::Commit, How::Before);
    }
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    assert_eq!(stored(&store).await.status, Status::Sending);
    assert!(matches!(world.event(), Some(Event::CommitDelayed { .. })));
    // Shutdown holds until it is durable.
    world.account.shutdown().await;
    let record = stored(&store).await;
    assert_eq!(
        (record.status, record.generation),
        (Status::Active, world.account.generation())
    );
    assert!(matches!(world.event(), Some(Event::Refreshed { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_has_at_the_same_generation_signs_instead_of_what_it_did_not_take() {
    let (world, store) = open().await;
    world.provider.expire_access_tokens();
    store.fail(Step::Commit, How::Before);
    store.fail(Step::Commit, How::Before);
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    // The user authorizes again elsewhere, over a record read before a peer rotated it: the number
    // is the one that the rotation here has published and could not commit.
    let tokens = world.provider.issue(HOUR);
    let authorized = tokens.access_token.clone();
    let again = Issued::authorized(world.account.generation(), tokens, Some(HOUR));
    let (name, inner) = (AccountName::new("user").unwrap(), store.inner());
    let committed = inner.commit(&name, again).await.unwrap();
    assert!(matches!(committed, Commit::Committed(_)));
    // Shutdown holds until the rotation has been told that it came too late.
    world.account.shutdown().await;
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    let accepted = world.provider.accepted();
    assert_eq!(accepted.last().unwrap().access_token, authorized);
}

#[tokio::test(start_paused = true)]
async fn an_authorization_that_the_store_does_not_take_is_not_lost() {
    let (mut world, store) = open().await;
    store.fail(Step::Commit, How::Before);
    store.fail(Step::Commit, How::Before);
    world.account.authorize(world.code()).await.unwrap();
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    assert!(matches!(world.event(), Some(Event::CommitDelayed { .. })));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(stored(&store).await.generation, world.account.generation());
}

#[tokio::test(start_paused = true)]
async fn a_doubt_that_cannot_be_recorded_is_recorded_by_whoever_finds_it() {
    let (world, store) = open().await;
    world.provider.expire_access_tokens();
    world.provider.fault_next(Fault::ConsumedThenReset);
    store.fail(Step::Doubt, How::Before);
    assert_eq!(status(&world.get("/").await), StatusCode::UNAUTHORIZED);
    assert_eq!(stored(&store).await.status, Status::Sending);
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(world.get("/").await.is_err());
    }
    assert_eq!(stored(&store).await.status, Status::InDoubt);
    assert_eq!(world.presented(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_the_store_lost_is_written_back() {
    let (world, store) = open().await;
    world
        .account
        .refresh_if_current(world.account.generation())
        .await
        .unwrap();
    // Failed over to a copy that has not seen the commit: the spent token stands there again.
    let name = AccountName::new("user").unwrap();
    let old = store.inner();
    let copy = MemoryStore::with_clock(world.clock.clone());
    let hour = Some(Duration::from_secs(3600));
    let first = Issued::authorized(Generation::FIRST, world.tokens.clone(), hour);
    let _ = copy.commit(&name, first).await.unwrap();
    store.fail_over(copy.clone());
    world.clock.advance(Duration::from_secs(61));
    world.provider.expire_access_tokens();
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    assert!(world.provider.presented_twice().is_empty());
    assert_eq!(record(&copy, &name).await.generation.number(), 3);
    assert_eq!(record(&old, &name).await.generation.number(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_code_is_not_spent_on_a_store_that_fails() {
    let (world, store) = open().await;
    store.fail(Step::Read, How::Before);
    let code = world.code();
    let error = world.account.authorize(code.clone()).await.unwrap_err();
    assert_eq!(error.kind(), AccountErrorKind::Store);
    assert_eq!(world.provider.token_requests(), 0);
    world.account.authorize(code).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_first_authorization_here_that_the_store_does_not_take_outranks_what_stands_there() {
    let (world, store) = open().await;
    world
        .account
        .refresh_if_current(world.account.generation())
        .await
        .unwrap();
    store.fail(Step::Commit, How::Before);
    // Another process, which has never seen the account.
    let newcomer = Account::builder(world.provider.endpoint())
        .clock(world.clock.clone())
        .store(store.clone())
        .authorize("user", world.code())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(stored(&store).await.generation, newcomer.generation());
    assert_eq!(newcomer.generation().number(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_doubt_is_recorded_however_late_the_answer_was_given_up() {
    let (world, store) = open().await;
    world.provider.expire_access_tokens();
    world.provider.fault_next(Fault::Hang);
    // The transport would give up by itself: the wall clock is quicker.
    let call = tokio::spawn(world.account.refresh_if_current(world.account.generation()));
    while world.presented() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.clock.advance(Duration::from_secs(7200));
    call.await.unwrap().unwrap_err();
    assert_eq!(stored(&store).await.status, Status::InDoubt);
}

#[tokio::test(start_paused = true)]
async fn an_authorization_that_waits_for_the_store_outranks_further_rotations_of_the_old_grant() {
    let (world, store) = open().await;
    for _ in 0..3 {
        store.fail(Step::Commit, How::Before);
    }
    let code = world.code();
    world.account.authorize(code).await.unwrap();
    let hour = Some(Duration::from_secs(3600));
    // Peers that reach the store rotate the old grant, past the number that was meant for the new.
    let name = AccountName::new("user").unwrap();
    for number in 2..=4 {
        let next = world.provider.issue(Duration::from_secs(3600));
        let generation = Generation::from_number(number);
        let issued = Issued::rotated(generation, Generation::FIRST, next, hour);
        let _ = store.inner().commit(&name, issued).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    let record = stored(&store).await;
    assert_eq!(record.generation.number(), 5);
    assert_eq!(record.lineage, record.generation);
    assert_eq!(world.account.generation(), record.generation);
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn an_authorization_that_waits_for_the_store_yields_to_a_newer_decision() {
    let (world, store) = open().await;
    for _ in 0..3 {
        store.fail(Step::Commit, How::Before);
    }
    let code = world.code();
    world.account.authorize(code).await.unwrap();
    let name = AccountName::new("user").unwrap();
    store.inner().revoke(&name).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let record = stored(&store).await;
    assert_eq!(record.status, Status::Revoked);
}

#[tokio::test(start_paused = true)]
async fn a_sealed_record_without_its_key_is_an_error_and_the_live_token_signs_on() {
    let (world, store) = open().await;
    let name = AccountName::new("user").unwrap();
    let sealed = SealedGrant::new(*b"sealed elsewhere");
    let issued = Issued::rotated(
        Generation::from_number(2),
        Generation::FIRST,
        Grant::default(),
        None,
    );
    let mut draft = Draft::issued(Version::draw(), issued);
    draft.secrets = Secrets::Sealed(sealed.clone());
    let standing = stored(&store).await.version;
    let replaced = store.inner().replace(&name, Some(standing), &draft).await;
    assert!(matches!(replaced, Ok(Replaced::Done(_))));
    let error = world
        .account
        .refresh_if_current(world.account.generation())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), RefreshErrorKind::Store);
    assert_eq!(world.account.generation(), Generation::FIRST);
    let opened = Account::builder(world.provider.endpoint())
        .store(store.clone())
        .open("user")
        .await;
    assert_eq!(opened.unwrap_err().kind(), AccountErrorKind::Store);
    assert_eq!(world.presented(), 0);
    assert!(matches!(stored(&store).await.secrets, Secrets::Sealed(it) if it == sealed));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_for_the_store_comes_before_anybody_replays_its_token() {
    for outage in [5, 20, 44, 62, 90, 300, 900] {
        for _ in 0..5 {
            let (world, store) = open().await;
            store.expect_steps(usize::MAX);
            let peer = Account::builder(world.provider.endpoint())
                .clock(world.clock.clone())
                .store(store.clone())
                .open("user")
                .await
                .unwrap();
            world.provider.expire_access_tokens();
            let first = world.account.generation();
            let answer = Fault::Delay(Duration::from_millis(100)).consumed();
            world.provider.fault_next(answer);
            let refresh = tokio::spawn(world.account.refresh_if_current(first));
            while world.presented() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            store.set_gone(true);
            let next = refresh.await.unwrap().unwrap();
            // Requests at the peer, all the time.
            for second in 0.. {
                store.set_gone(second < outage);
                let refresh = peer.refresh_if_current(first);
                let second = Duration::from_secs(1);
                drop(tokio::time::timeout(second, refresh).await);
                tokio::time::sleep(second).await;
                if peer.generation() > first {
                    break;
                }
            }
            eprintln!("{outage} {:?}", world.presented());
            assert_eq!(peer.generation(), next, "{outage} s");
            assert_eq!(world.presented(), 1, "{outage} s");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_costs_four_trips_to_the_store_and_who_watches_one_look_when_it_is_over() {
    let (world, store) = open().await;
    let its_store = Faulty::new(world.clock.clone());
    its_store.fail_over(store.inner());
    let watcher = Account::builder(world.provider.endpoint())
        .clock(world.clock.clone())
        .store(its_store.clone())
        .open("user")
        .await
        .unwrap();
    its_store.take_steps();

    let first = world.account.generation();
    world
        .provider
        .fault_next(Fault::Delay(Duration::from_millis(400)));
    let rotation = tokio::spawn(world.account.refresh_if_current(first));
    while world.presented() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let waiting = tokio::spawn(watcher.refresh_if_current(first));
    let rotated = rotation.await.unwrap().unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), rotated);
    assert_eq!(
        store.take_steps(),
        [Step::Read, Step::Acquire, Step::Intend, Step::Commit]
    );
    // One to learn that somebody rotates, and one for what came of it.
    assert_eq!(its_store.take_steps(), [Step::Read, Step::Read]);

    // Who comes after the rotation pays for one.
    let late = Account::builder(world.provider.endpoint())
        .clock(world.clock.clone())
        .store(its_store.clone())
        .open("user")
        .await
        .unwrap();
    its_store.take_steps();
    world.clock.advance(Duration::from_secs(61));
    let refreshed = world.account.refresh_if_current(rotated).await.unwrap();
    assert_eq!(late.refresh_if_current(rotated).await.unwrap(), refreshed);
    assert_eq!(its_store.take_steps(), [Step::Read]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_down_is_asked_less_and_less_often() {
    let (world, store) = open().await;
    world.provider.expire_access_tokens();
    for _ in 0..200 {
        store.fail(Step::Read, How::Before);
    }
    for _ in 0..600 {
        let _ = world.get("/").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let asked = store.take_steps().len();
    assert!((20..60).contains(&asked), "{asked} times in ten minutes");
    // Once it is back it is found before long.
    store.clear_faults();
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    assert_eq!(world.presented(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_account_of_another_client_is_refused_and_stays_as_it_is() {
    let (world, store) = open().await;
    world
        .account
        .refresh_if_current(world.account.generation())
        .await
        .unwrap();
    let provider = Provider::builder().client("another", "secret").build();
    let builder = || Account::builder(provider.endpoint()).store(store.clone());
    let error = builder().open("user").await.unwrap_err();
    assert_eq!(error.kind(), AccountErrorKind::Store);
    let why = format!("{error:?}");
    assert!(why.contains("another client's"), "{why}");
    // No tokens that it brings, and no code, count for more.
    let tokens = provider.issue(HOUR);
    let error = builder().tokens(tokens).open("user").await.unwrap_err();
    assert_eq!(error.kind(), AccountErrorKind::Store);
    let code = provider.authorization_code();
    assert!(builder().authorize("user", code).await.is_err());
    assert_eq!(provider.token_requests(), 0);
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
}
