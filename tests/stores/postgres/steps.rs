//! The steps, and what two of them at once come to.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tower_mac_auth::Timestamp;
use tower_mac_auth::store::{
    Acquire, Commit, Generation, Grant, Guarded, Issued, LeaseFrom, PostgresStore, RotationStore,
    Status, StoreErrorKind,
};
use tower_mac_auth::testing::Conformance;

use super::server::{MINUTE, Sql, grant, issued, name, shared, store, store_with, two, with_table};

async fn acquire(store: &PostgresStore, account: &str, generation: u64) -> Acquire {
    let generation = Generation::from_number(generation);
    store
        .acquire(&name(account), generation, "me", MINUTE, LeaseFrom::Active)
        .await
        .unwrap()
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn it_keeps_what_every_store_promises() {
    let [one, other] = two(&shared()).await;
    Conformance::new(Arc::new(one), Arc::new(other)).run().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_record_comes_back_as_it_was_written() {
    let store = store(&shared()).await;
    let user = name("小米 'user'; \"--$1\\");
    assert!(store.read(&user).await.unwrap().is_none());
    let Commit::Committed(written) = store.commit(&user, issued(1)).await.unwrap() else {
        panic!("the first commit");
    };
    let read = store.read(&user).await.unwrap().unwrap();
    for record in [&written, &read] {
        assert_eq!(record.grant, grant(1));
        assert_eq!(record.generation, Generation::FIRST);
        assert_eq!(record.expires_at, Some(written.now.saturating_add(MINUTE)));
        assert_eq!(
            (record.issued_at, record.deadline),
            (written.now, written.now)
        );
        assert_eq!((record.fence.number(), record.fails), (0, 0));
        assert_eq!(record.not_before, Timestamp::EPOCH);
        assert_eq!((&record.owner, record.intended_at), (&None, None));
    }
    assert!(read.now >= written.now);
    let forever = Issued::rotated(
        Generation::from_number(2),
        Generation::FIRST,
        grant(2),
        Some(Duration::MAX),
    );
    let _ = store.commit(&user, forever).await.unwrap();
    let read = store.read(&user).await.unwrap().unwrap();
    assert_eq!(read.expires_at, Some(Timestamp::MAX));
    let revoked = store.revoke(&user).await.unwrap();
    assert_eq!(
        (revoked.status, revoked.generation.number()),
        (Status::Revoked, 4)
    );
    assert_eq!(
        (revoked.grant, revoked.expires_at),
        (Grant::default(), None)
    );
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn why_is_kept_whatever_is_in_it() {
    let store = store(&shared()).await;
    let user = name("user");
    let _ = store.commit(&user, issued(1)).await.unwrap();
    let Acquire::Granted(lease) = acquire(&store, "user", 1).await else {
        panic!("free");
    };
    let released = store.release(&user, &lease, MINUTE, "a\0b 'c' 小").await;
    assert_eq!(released.unwrap(), Guarded::Done);
    let record = store.read(&user).await.unwrap().unwrap();
    assert_eq!(record.last_error.as_deref(), Some("a\u{fffd}b 'c' 小"));
    assert_eq!(
        record.not_before,
        record.now.saturating_add(MINUTE).min(record.not_before)
    );
    assert!(record.is_backing_off() && record.fails == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn of_those_who_acquire_at_once_one_wins_and_the_others_see_its_lease() {
    let stores = two(&shared()).await;
    let _ = stores[0].commit(&name("user"), issued(1)).await.unwrap();
    for generation in 1..=10 {
        let mut racers = JoinSet::new();
        for racer in 0..24 {
            let store = stores[racer % 2].clone();
            racers.spawn(async move { acquire(&store, "user", generation).await });
        }
        let mut won = Vec::new();
        let mut lost = Vec::new();
        for answer in racers.join_all().await {
            match answer {
                Acquire::Granted(lease) => won.push(lease),
                Acquire::Lost(record) => lost.push(record),
            }
        }
        assert_eq!(won.len(), 1);
        for record in lost {
            assert_eq!(
                (record.status, record.fence),
                (Status::Leased, won[0].fence)
            );
            assert_eq!(record.deadline, won[0].record.deadline);
        }
        let intents = [&won[0], &won[0]].map(|lease| async {
            let user = name("user");
            stores[1].intend(&user, lease, MINUTE).await.unwrap()
        });
        let [one, other] = intents;
        let both = tokio::join!(one, other);
        assert!(matches!(
            both,
            (Guarded::Done, Guarded::Refused) | (Guarded::Refused, Guarded::Done)
        ));
        let _ = stores[0]
            .commit(&name("user"), issued(generation + 1))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn of_those_who_commit_the_first_record_at_once_one_does_and_the_others_see_it() {
    let stores = two(&shared()).await;
    for round in 0..10 {
        let mut racers = JoinSet::new();
        for racer in 0..24 {
            let store = stores[racer % 2].clone();
            let user = name(&format!("user {round}"));
            let grant = grant(100 + racer as u64);
            let issued = Issued::authorized(Generation::FIRST, grant, None);
            racers.spawn(async move { store.commit(&user, issued).await.unwrap() });
        }
        let answers = racers.join_all().await;
        let mut committed = answers.iter().filter_map(|answer| match answer {
            Commit::Committed(record) => Some(record),
            Commit::Superseded(_) => None,
        });
        let winner = committed.next().unwrap();
        assert!(committed.next().is_none());
        for answer in &answers {
            let (Commit::Committed(record) | Commit::Superseded(record)) = answer;
            assert_eq!(record.grant, winner.grant);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn of_generations_committed_at_once_the_highest_stands_and_no_answer_is_behind() {
    let stores = two(&shared()).await;
    let mut racers = JoinSet::new();
    for generation in 1..=24_u64 {
        let store = stores[usize::from(generation % 2 == 0)].clone();
        racers.spawn(async move {
            match store
                .commit(&name("user"), issued(generation))
                .await
                .unwrap()
            {
                Commit::Committed(record) => assert_eq!(record.grant, grant(generation)),
                Commit::Superseded(record) => assert!(record.generation.number() > generation),
            }
        });
    }
    racers.join_all().await;
    let record = stores[0].read(&name("user")).await.unwrap().unwrap();
    assert_eq!(record.grant, grant(24));
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_step_that_waited_for_another_sees_what_that_wrote() {
    let url = shared();
    let (store, table) = with_table(&url).await;
    let user = name("user");
    let _ = store.commit(&user, issued(1)).await.unwrap();
    let other = Sql::connect(&url).await;
    other
        .run(&format!(
            "BEGIN; UPDATE {table} SET status = 'leased', fence = 7, deadline = 0"
        ))
        .await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { acquire(&store, "user", 1).await }
    });
    until_it_waits_for_a_lock(&url, &table).await;
    other.run(&format!(
        "UPDATE {table} SET deadline = 60000 + floor(extract(epoch FROM clock_timestamp()) * 1000); COMMIT"
    )).await;
    let Acquire::Lost(record) = waiting.await.unwrap() else {
        panic!("the lease is another's");
    };
    assert_eq!((record.status, record.fence.number()), (Status::Leased, 7));
    assert!(!record.is_past_deadline());
}

pub async fn until_it_waits_for_a_lock(url: &str, table: &str) {
    let sql = Sql::connect(url).await;
    let ask = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND position($1 in replace(query, chr(34), '')) > 0";
    for _ in 0..2_000 {
        let waiting: i64 = sql.client.query_one(ask, &[&table]).await.unwrap().get(0);
        if waiting > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("nothing waits");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn what_lies_too_far_ahead_was_written_before_the_clock_was_set_back() {
    let url = shared();
    let (store, table) = with_table(&url).await;
    let sql = Sql::connect(&url).await;
    let far = "floor(extract(epoch FROM clock_timestamp()) * 1000) + 3600000";
    for (generation, (change, free)) in [
        (format!("not_before = {far} + 60000"), true),
        (format!("not_before = {far} - 60000"), false),
        (format!("not_before = {far} - 3600001"), true),
        (format!("status = 'leased', deadline = {far} + 60000"), true),
        (
            format!("status = 'leased', deadline = {far} - 60000"),
            false,
        ),
        (
            format!("status = 'leased', deadline = {far} - 3600001"),
            true,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let generation = generation as u64 + 1;
        let _ = store
            .commit(&name("user"), issued(generation))
            .await
            .unwrap();
        sql.run(&format!("UPDATE {table} SET {change}")).await;
        let acquired = acquire(&store, "user", generation).await;
        assert_eq!(matches!(acquired, Acquire::Granted(_)), free, "{change}");
    }
}

/// What makes a row one that cannot be read.
const SPOILS: [&str; 16] = [
    "status = 'odd'",
    "secret = ''",
    "secret = decode('09', 'hex') || secret",
    "generation = -1",
    "generation = 'NaN'",
    "generation = 18446744073709551616",
    "lineage = -1",
    "lineage = 18446744073709551616",
    "issued_at = -1",
    "expires_at = -1",
    "fence = -1",
    "deadline = -1",
    "intended_at = -1",
    "not_before = -1",
    "fails = -1",
    "fails = 4294967296",
];

async fn rows(sql: &Sql, table: &str) -> Vec<String> {
    let ask = format!("SELECT r::text FROM {table} r ORDER BY account");
    let rows = sql.client.query(&ask, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_row_that_cannot_be_read_is_an_error_and_no_step_changes_it() {
    let url = shared();
    let (store, table) = with_table(&url).await;
    let sql = Sql::connect(&url).await;
    let user = name("user");
    for spoil in SPOILS {
        // Where each step would be let through, were the row sound.
        for status in ["active", "leased", "sending", "in_doubt"] {
            sql.run(&format!("DELETE FROM {table}")).await;
            let _ = store.commit(&user, issued(1)).await.unwrap();
            let Acquire::Granted(lease) = acquire(&store, "user", 1).await else {
                panic!("free");
            };
            sql.run(&format!(
                "UPDATE {table} SET deadline = 0, status = '{status}'"
            ))
            .await;
            sql.run(&format!("UPDATE {table} SET {spoil}")).await;
            let before = rows(&sql, &table).await;
            let doubted = if status == "in_doubt" {
                LeaseFrom::InDoubt
            } else {
                LeaseFrom::Active
            };
            let acquire = store.acquire(&user, lease.generation, "me", MINUTE, doubted);
            let errors = [
                acquire.await.err(),
                store.read(&user).await.err(),
                store.intend(&user, &lease, MINUTE).await.err(),
                store.release(&user, &lease, MINUTE, "why").await.err(),
                store
                    .doubt(&user, lease.generation, lease.fence, "why")
                    .await
                    .err(),
                store.reject(&user, &lease, "why").await.err(),
                store.commit(&user, issued(9)).await.err(),
            ];
            for (step, error) in errors.into_iter().enumerate() {
                let error = error.unwrap_or_else(|| panic!("{spoil}, {status}: step {step}"));
                assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{spoil}");
            }
            assert_eq!(rows(&sql, &table).await, before, "{spoil}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_row_that_cannot_be_read_is_given_up_by_revoking_and_then_lets_an_authorization_in() {
    let url = shared();
    let (store, table) = with_table(&url).await;
    let sql = Sql::connect(&url).await;
    let user = name("user");
    for spoil in SPOILS {
        sql.run(&format!("DELETE FROM {table}")).await;
        let _ = store.commit(&user, issued(7)).await.unwrap();
        sql.run(&format!("UPDATE {table} SET {spoil}")).await;
        let revoked = store.revoke(&user).await.unwrap();
        assert_eq!(
            (revoked.status, &revoked.grant),
            (Status::Revoked, &Grant::default())
        );
        assert!(revoked.generation.number() >= 9, "{spoil}");
        let read = store.read(&user).await.unwrap().unwrap();
        assert_eq!(
            (read.generation, read.fence),
            (revoked.generation, revoked.fence)
        );
        let decided = Issued::authorized(revoked.generation.decided(), grant(9), None);
        let commit = store.commit(&user, decided).await.unwrap();
        assert!(matches!(commit, Commit::Committed(_)), "{spoil}");
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_bit_flipped_in_a_secret_is_an_error_and_the_row_stays() {
    let url = shared();
    let (store, table) = with_table(&url).await;
    let sql = Sql::connect(&url).await;
    let user = name("user");
    let _ = store.commit(&user, issued(1)).await.unwrap();
    // The last letter of the refresh token: `1` becomes `0`, and the JSON stays whole.
    let flip = "8 * (position('Canary-RT-1'::bytea IN secret) + 9)";
    sql.run(&format!(
        "UPDATE {table} SET secret = set_bit(secret, {flip}, 1 - get_bit(secret, {flip}))"
    ))
    .await;
    let before = rows(&sql, &table).await;
    let error = store.read(&user).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(error.to_string().contains("damaged"), "{error}");
    assert_eq!(rows(&sql, &table).await, before);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_commit_ends_though_the_grant_of_what_supersedes_it_cannot_be_read() {
    let url = shared();
    let (store, table) = with_table(&url).await;
    let sql = Sql::connect(&url).await;
    for (number, secret) in (2..).zip(["", "09aa"]) {
        let user = name(&format!("user {number}"));
        let _ = store.commit(&user, issued(number)).await.unwrap();
        let spoil = format!("UPDATE {table} SET secret = decode('{secret}', 'hex')");
        sql.run(&spoil).await;
        for generation in [1, number] {
            let commit = store.commit(&user, issued(generation)).await.unwrap();
            let Commit::Superseded(record) = commit else {
                panic!("generation {number} is taken");
            };
            assert_eq!(record.generation.number(), number);
            assert!(record.grant.sealed.is_some() && record.grant.refresh_token.is_none());
        }
        let error = store.read(&user).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_change_by_another_process_wakes_in_milliseconds_and_only_who_watches_it() {
    let [here, there] = two(&shared()).await;
    let (user, other) = (name("woken"), name("left alone"));
    for account in [&user, &other] {
        let _ = here.commit(account, issued(1)).await.unwrap();
    }
    listening(&here, &there).await;
    let mut sleeper = here.watch(&other);
    let mut watch = here.watch(&user);
    for generation in 2..12 {
        let committed = there.commit(&user, issued(generation)).await.unwrap();
        assert!(matches!(committed, Commit::Committed(_)));
        let woken = tokio::time::timeout(Duration::from_millis(400), watch.changed());
        woken.await.expect("sooner than a poll");
    }
    let slept = tokio::time::timeout(Duration::from_millis(20), sleeper.changed()).await;
    assert!(slept.is_err(), "nothing changed there");
}

/// Waits until what one store does is heard by the other.
pub async fn listening(here: &PostgresStore, there: &PostgresStore) {
    let probe = name(&super::server::fresh());
    for generation in 1..200 {
        let mut watch = here.watch(&probe);
        there.commit(&probe, issued(generation)).await.unwrap();
        let heard = tokio::time::timeout(Duration::from_millis(50), watch.changed()).await;
        if heard.is_ok() {
            // The connection that was just made wakes everybody once: that may have been it.
            let mut watch = here.watch(&probe);
            there
                .commit(&probe, issued(generation + 1000))
                .await
                .unwrap();
            if tokio::time::timeout(Duration::from_millis(500), watch.changed())
                .await
                .is_ok()
            {
                return;
            }
        }
    }
    panic!("nothing is heard");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn who_does_not_listen_hears_its_own_changes() {
    let store = store_with(
        &shared(),
        tower_mac_auth::store::postgres::PostgresStoreBuilder::without_listening,
    )
    .await;
    let mut watch = store.watch(&name("user"));
    let _ = store.commit(&name("user"), issued(1)).await.unwrap();
    watch.changed().await;
    let _ = store.commit(&name("user"), issued(2)).await.unwrap();
    watch.changed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_database_that_defaults_to_serializable_does_as_well() {
    let url = shared();
    let options = "?options=-c%20default_transaction_isolation%3Dserializable";
    let stores = two(&format!("{url}{options}")).await;
    let _ = stores[0].commit(&name("user"), issued(1)).await.unwrap();
    let mut racers = JoinSet::new();
    for racer in 0..8 {
        let store = stores[racer % 2].clone();
        racers.spawn(async move { acquire(&store, "user", 1).await });
    }
    let won = racers.join_all().await;
    let won = won
        .iter()
        .filter(|answer| matches!(answer, Acquire::Granted(_)));
    assert_eq!(won.count(), 1);
}
