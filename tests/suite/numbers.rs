//! What is counted is what happened, to the one.

use std::time::Duration;

use http::StatusCode;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tower::{Layer, ServiceExt};
use tower_mac_auth::Clock as _;
use tower_mac_auth::account::numbers::Stats;
use tower_mac_auth::account::{Account, AccountErrorKind, Accounts};
use tower_mac_auth::layer::{MacAuthLayer, needs_authorization};
use tower_mac_auth::provider::xiaomi::ErrorCode;
use tower_mac_auth::store::{RecordStore, StoreErrorKind};
use tower_mac_auth::testing::{Fault, Provider, TestClock};

use crate::faulty::Faulty;
use crate::world::{HOST, HOUR, World, at_once, get, status};

fn all_requests(stats: &Stats) -> [u64; 4] {
    let requests = stats.requests;
    [
        requests.sent,
        requests.resent,
        requests.refused,
        requests.not_sent,
    ]
}

#[tokio::test(start_paused = true)]
async fn each_request_is_counted_once_by_what_became_of_it() {
    let world = World::new().await;
    let stats = || world.account.stats();
    assert_eq!(all_requests(&stats()), [0; 4]);
    at_once(&world.client(), 100).await;
    assert_eq!(all_requests(&stats()), [100, 0, 0, 0]);

    world.clock.advance(Duration::from_secs(61));
    world.provider.expire_access_tokens();
    at_once(&world.client(), 50).await;
    // The first is refused, and the others wait for what it has done.
    assert_eq!(all_requests(&stats()), [149, 1, 0, 0]);
    assert_eq!(stats().refusals.token_rejected, 1);
    assert_eq!(stats().refreshes.refreshed, 1);
    assert_eq!(stats().last_refreshed_at, Some(world.clock.now()));
    assert_eq!((stats().waiting, stats().refreshes_ended), (0, 1));

    // Refused again at once: nothing helps.
    world.provider.expire_access_tokens();
    assert_eq!(status(&world.get("/").await), StatusCode::UNAUTHORIZED);
    assert_eq!(all_requests(&stats()), [149, 1, 1, 0]);
    assert_eq!(stats().refusals.rejected_fresh, 1);

    world.account.revoke().await.unwrap();
    assert!(world.get("/").await.is_err());
    let to_another = http::Request::get("https://evil.example/")
        .body(http_body_util::Full::<bytes::Bytes>::default());
    assert!(world.client().oneshot(to_another.unwrap()).await.is_err());
    assert_eq!(all_requests(&stats()), [149, 1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_refresh_is_counted_until_it_ends_or_gives_up() {
    let world = World::new().await;
    world.provider.expire_access_tokens();
    world
        .provider
        .fault_next(Fault::Delay(Duration::from_secs(5)));
    let client = world.client();
    let mut waiting = tokio_test::task::spawn(client.clone().oneshot(get("/")));
    assert!(waiting.poll().is_pending());
    assert_eq!(world.account.stats().waiting, 1);
    drop(waiting);
    assert_eq!(world.account.stats().waiting, 0);
    assert_eq!(status(&client.oneshot(get("/")).await), StatusCode::OK);
    assert!(world.account.stats().refresh_time >= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn each_refresh_is_counted_by_what_became_of_it() {
    for (fault, count) in [
        (Fault::ConnectionRefused, "unsent"),
        (Fault::RateLimited { retry_after: None }, "rate_limited"),
        (Fault::ConsumedThenReset, "in_doubt"),
        (
            Fault::RefuseWith(ErrorCode::RefreshTokenRejected),
            "rejected",
        ),
        (Fault::RefuseWith(ErrorCode::ClientUnknown), "refused"),
        (Fault::WrongAlgorithm, "failed"),
    ] {
        let world = World::new().await;
        world.provider.expire_access_tokens();
        world.provider.fault_next(fault);
        let answer = world.get("/").await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{count}");
        let stats = world.account.stats();
        let refreshes = stats.refreshes;
        let counts = [
            ("unsent", refreshes.unsent),
            ("rate_limited", refreshes.rate_limited),
            ("in_doubt", refreshes.in_doubt),
            ("rejected", refreshes.rejected),
            ("refused", refreshes.refused),
            ("failed", refreshes.failed),
        ];
        for (name, found) in counts {
            assert_eq!(found, u64::from(name == count), "{name} of {count}");
        }
        let must_log_in = count == "rejected";
        assert_eq!(stats.reauthorization_required, u64::from(must_log_in));
        assert_eq!(needs_authorization(answer.extensions()), must_log_in);
        if count != "rejected" {
            assert_eq!(
                stats.last_refresh_failed_at,
                Some(world.clock.now()),
                "{count}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_needs_a_new_authorization_says_so() {
    let world = World::new().await;
    world.account.revoke().await.unwrap();
    let error = world.get("/").await.unwrap_err();
    assert!(error.needs_authorization());
    let accounts = Accounts::builder(world.provider.endpoint()).build();
    let unknown = accounts.get("nobody").await.unwrap_err();
    assert!(unknown.needs_authorization());
    assert_eq!(unknown.kind().as_str(), "not_authorized");
    // To look for an account is no refresh.
    assert_eq!(accounts.stats().refreshes_ended, 0);
    let odd = accounts.get("").await.unwrap_err();
    assert!(odd.kind() == AccountErrorKind::Name && !odd.needs_authorization());
}

#[tokio::test(start_paused = true)]
async fn what_another_process_rotated_is_adopted_and_a_late_commit_is_shown() {
    let clock = TestClock::new();
    let provider = Provider::builder().clock(clock.clone()).build();
    let store = Faulty::new(clock.clone());
    let open = |store: &Faulty| {
        let builder = Account::builder(provider.endpoint()).clock(clock.clone());
        builder.store(store.clone())
    };
    let one = open(&store)
        .tokens(provider.issue(HOUR))
        .open("user")
        .await
        .unwrap();
    let other = open(&store).open("user").await.unwrap();
    provider.expire_access_tokens();
    one.refresh_if_current(one.generation()).await.unwrap();
    other.refresh_if_current(other.generation()).await.unwrap();
    assert_eq!(one.stats().refreshes.refreshed, 1);
    assert_eq!(other.stats().refreshes.adopted, 1);
    assert_eq!(other.stats().last_refreshed_at, None);
}

#[tokio::test(start_paused = true)]
async fn accounts_are_counted_by_where_they_stand() {
    let clock = TestClock::new();
    let provider = Provider::builder().clock(clock.clone()).build();
    let builder = Accounts::builder(provider.endpoint()).clock(clock.clone());
    let accounts = builder.build();
    for name in ["a", "b", "c"] {
        accounts.install(name, provider.issue(HOUR)).await.unwrap();
    }
    accounts
        .install("soon", provider.issue(HOUR / 2))
        .await
        .unwrap();
    accounts.get("c").await.unwrap().revoke().await.unwrap();
    let census = accounts.census();
    let stand = |access: &str, rotation: &str| {
        let mut places = census.accounts.iter();
        places
            .find(|place| (place.0, place.1) == (access, rotation))
            .map(|place| place.2)
    };
    assert_eq!(stand("live", "idle"), Some(3));
    assert_eq!(stand("dead", "revoked"), Some(1));
    assert_eq!(census.accounts.iter().map(|place| place.2).sum::<u64>(), 4);
    assert_eq!(census.shortest_life, Some(HOUR / 2));
}

#[tokio::test(start_paused = true)]
async fn whether_the_store_will_do_is_asked_of_the_store() {
    let provider = Provider::new();
    let store = Faulty::new(TestClock::new());
    let accounts = Accounts::builder(provider.endpoint())
        .store(store.clone())
        .build();
    accounts.check_store().await.unwrap();
    store.set_gone(true);
    let error = accounts.check_store().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(RecordStore::check(&store).await.is_err());
}

/// All numbers with their labels, as a recorder has them.
fn recorded(recorder: &DebuggingRecorder) -> Vec<(String, f64)> {
    let mut all = Vec::new();
    for (key, _, _, value) in recorder.snapshotter().snapshot().into_vec() {
        let mut name = key.key().name().to_owned();
        for label in key.key().labels() {
            name.extend([" ", label.key(), "=", label.value()]);
        }
        #[allow(clippy::cast_precision_loss)]
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(values) => values.len() as f64,
        };
        all.push((name, value));
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

#[test]
fn a_recorder_gets_the_numbers_by_the_names_that_are_documented() {
    let recorder = DebuggingRecorder::new();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().start_paused(true).build().unwrap();
    // One thread, so that the recorder is there for all of it.
    let numbers = metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let clock = TestClock::new();
            let provider = Provider::builder().clock(clock.clone()).build();
            let builder = Accounts::builder(provider.endpoint()).clock(clock.clone());
            let accounts = builder.build();
            let user = accounts
                .install("user", provider.issue(HOUR))
                .await
                .unwrap();
            let layer = MacAuthLayer::new(user).allow(HOST).unwrap();
            let client = layer.layer(provider.api());
            at_once(&client, 7).await;
            provider.expire_access_tokens();
            clock.advance(Duration::from_secs(61));
            at_once(&client, 3).await;
            accounts.record_metrics();
        });
        recorded(&recorder)
    });
    let value = |name: &str| {
        let found = numbers.iter().find(|(known, _)| known == name);
        found
            .unwrap_or_else(|| panic!("no {name} in {numbers:#?}"))
            .1
    };
    let near = |name, expected: f64| assert!((value(name) - expected).abs() < 0.5, "{name}");
    near("mac_auth_requests_total outcome=sent", 9.0);
    near("mac_auth_requests_total outcome=resent", 1.0);
    near("mac_auth_refusals_total reason=token_rejected", 1.0);
    near("mac_auth_refreshes_total outcome=refreshed", 1.0);
    near("mac_auth_refreshes_total outcome=in_doubt", 0.0);
    near("mac_auth_reauthorization_required_total", 0.0);
    near("mac_auth_commits_delayed", 0.0);
    near("mac_auth_refresh_waiters", 0.0);
    near("mac_auth_accounts access=live rotation=idle", 1.0);
    near("mac_auth_accounts access=dead rotation=revoked", 0.0);
    near("mac_auth_refresh_duration_seconds", 1.0);
    near("mac_auth_clock_offset_seconds", 0.0);
    assert!(value("mac_auth_access_token_seconds_left_min") > 3000.0);
    assert!(value("mac_auth_last_refresh_success_timestamp_seconds") > 1e9);
    assert!(value("mac_auth_store_step_duration_seconds step=replace") >= 4.0);
    assert!(value("mac_auth_store_step_duration_seconds step=load") >= 1.0);
    // And by no other, nor by the name of an account.
    let docs = include_str!("../../src/account/numbers/mod.rs");
    for (name, _) in &numbers {
        let name = name.split(' ').next().unwrap();
        assert!(
            docs.contains(&format!("`{name}`")),
            "{name} is not documented"
        );
    }
    assert!(!format!("{numbers:?}").contains("user"));
}

#[test]
fn the_numbers_of_several_clients_in_one_process_stand_beside_one_another() {
    let recorder = DebuggingRecorder::new();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().start_paused(true).build().unwrap();
    let numbers = metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            for (client, calls) in [("lamps", 2), ("doors", 3)] {
                let provider = Provider::new();
                let builder = Accounts::builder(provider.endpoint()).metrics_label(client);
                let accounts = builder.build();
                let user = accounts.install("user", provider.issue(HOUR)).await;
                let layer = MacAuthLayer::new(user.unwrap()).allow(HOST).unwrap();
                at_once(&layer.layer(provider.api()), calls).await;
                accounts.record_metrics();
            }
        });
        recorded(&recorder)
    });
    assert!(numbers.iter().all(|(name, _)| name.contains("client=")));
    for (client, calls) in [("lamps", 2.0), ("doors", 3.0)] {
        for (name, expected) in [
            ("mac_auth_requests_total outcome=sent", calls),
            ("mac_auth_accounts access=live rotation=idle", 1.0),
        ] {
            let name = format!("{name} client={client}");
            let found = numbers.iter().find(|(known, _)| *known == name);
            let value = found.unwrap_or_else(|| panic!("no {name}")).1;
            assert!((value - expected).abs() < 0.5, "{name}");
        }
    }
}
