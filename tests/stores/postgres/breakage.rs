//! A server that restarts, crashes, hangs or is gone.

use std::time::Duration;

use tokio::net::TcpListener;
use tower_mac_auth::store::{
    AccountName, Change, PostgresStore, Record, RecordStore, Replaced, Status, StoreErrorKind,
};
use tower_mac_auth::testing::Conformance;
use tower_mac_auth::{Clock as _, SystemClock};

use super::records::{listening, until_it_waits_for_a_lock};
use super::server::{
    PASSWORD, Server, Sql, draft, first, fresh, issued, login, name, shared, store, store_with,
};

async fn read(store: &PostgresStore, account: &AccountName) -> Record {
    let loaded = store.load(account).await.unwrap();
    loaded.into_record().unwrap().unwrap()
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_store_goes_on_after_the_server_restarted() {
    let server = Server::start(&[]);
    let schema = fresh();
    let here = store_with(&server.url, |builder| builder.schema(&schema)).await;
    let there = store_with(&server.url, |builder| builder.schema(&schema)).await;
    let user = name("user");
    first(&here, "user").await;
    listening(&here, &there).await;
    for (generation, mode) in [(2, "fast"), (3, "immediate")] {
        let mut watch = here.watch().unwrap();
        server.restart(mode);
        // That the connection was lost is told, for a change may have been missed.
        while watch.next().await != Change::Any {}
        assert!(here.load(&user).await.is_ok());
        assert!(there.load(&user).await.is_ok());
        let _ = there.commit(&user, issued(generation)).await.unwrap();
        let record = read(&here, &user).await;
        assert_eq!(record.generation.number(), generation);
        listening(&here, &there).await;
    }
    server.stop();
    let error = here.load(&user).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}

/// A store on a server of the test's own whose pool has eight sessions, all of them idle, and their
/// process ids.
async fn with_eight_sessions(sql: &Sql, url: &str) -> (PostgresStore, Vec<i32>) {
    let schema = fresh();
    let build = |builder: tower_mac_auth::store::postgres::PostgresStoreBuilder| {
        let builder = builder.schema(&schema).pool_size(8);
        builder.listen(false)
    };
    let store = store_with(url, build).await;
    first(&store, "user").await;
    let other = Sql::connect(url).await;
    other
        .run(&format!(
            "BEGIN; LOCK TABLE {schema}.tower_mac_auth_records"
        ))
        .await;
    let mut looks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        looks.spawn(async move { read(&store, &name("user")).await });
    }
    let ask = "SELECT pid FROM pg_stat_activity \
        WHERE application_name = 'tower-mac-auth' AND wait_event_type = 'Lock'";
    for _ in 0..2_000 {
        let waiting = sql.client.query(ask, &[]).await.unwrap();
        if waiting.len() == 8 {
            other.run("COMMIT").await;
            looks.join_all().await;
            return (store, waiting.iter().map(|row| row.get(0)).collect());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("not eight");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn sessions_that_a_failover_left_read_only_fail_no_step_and_are_all_closed() {
    let server = Server::start(&[]);
    let sql = Sql::connect(&server.url).await;
    let (store, sessions) = with_eight_sessions(&sql, &server.url).await;
    // Of sessions that begin from now on, and of those that there are.
    sql.run("ALTER ROLE postgres SET default_transaction_read_only = off")
        .await;
    sql.run("ALTER SYSTEM SET default_transaction_read_only = on")
        .await;
    sql.run("SELECT pg_reload_conf()").await;
    let ask = "SELECT current_setting('default_transaction_read_only')";
    for _ in 0..2_000 {
        let setting: String = sql.client.query_one(ask, &[]).await.unwrap().get(0);
        if setting == "on" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let steps = (2..10).map(|generation| {
        let store = store.clone();
        async move { store.commit(&name("user"), issued(generation)).await }
    });
    let steps: tokio::task::JoinSet<_> = steps.collect();
    for step in steps.join_all().await {
        step.unwrap();
    }
    let ask = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1)";
    for _ in 0..2_000 {
        let left: i64 = sql
            .client
            .query_one(ask, &[&sessions])
            .await
            .unwrap()
            .get(0);
        if left == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("some of them stay");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn sessions_that_a_restart_ended_fail_no_look_and_one_write() {
    let server = Server::start(&[]);
    let user = name("user");
    for mode in ["fast", "immediate"] {
        let sql = Sql::connect(&server.url).await;
        let (store, _) = with_eight_sessions(&sql, &server.url).await;
        // The runtime stands still meanwhile, so that nobody hears of it.
        server.restart(mode);
        read(&store, &user).await;

        let sql = Sql::connect(&server.url).await;
        let (store, _) = with_eight_sessions(&sql, &server.url).await;
        server.restart(mode);
        // Whether it was done nobody knows, so it is not repeated for its caller.
        let error = store.replace(&user, None, &draft(2)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let _ = store.commit(&user, issued(3)).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn what_was_done_survives_a_crash_whatever_the_role_says_of_commits() {
    // What is not waited for is lost: the writer in the background comes by every ten seconds.
    let server = Server::start(&["wal_writer_delay=10s"]);
    let sql = Sql::connect(&server.url).await;
    sql.run(&format!(
        "CREATE ROLE hasty SUPERUSER LOGIN PASSWORD '{PASSWORD}'; \
         ALTER ROLE hasty SET synchronous_commit = off; CREATE TABLE other (number integer)"
    ))
    .await;
    let url = login(&server.url, "hasty");
    let store = store(&url).await;
    let hasty = Sql::connect(&url).await;
    let user = name("user");
    let crash = async || {
        // Lost, to show that the crash is one; it stands before ours would, were that as hasty.
        server.restart("immediate");
        read(&store, &user).await
    };
    let mut standing = None;
    for status in [
        Status::Active,
        Status::Leased,
        Status::Sending,
        Status::InDoubt,
        Status::Revoked,
    ] {
        let mut draft = draft(1);
        draft.status = status;
        let replaced = store.replace(&user, standing, &draft).await.unwrap();
        assert!(matches!(replaced, Replaced::Done(_)));
        standing = Some(draft.version);
        let record = crash().await;
        assert_eq!((record.status, Some(record.version)), (status, standing));
    }
    drop(hasty);
    let hasty = Sql::connect(&url).await;
    hasty.run("INSERT INTO other VALUES (1)").await;
    crash().await;
    let sql = Sql::connect(&server.url).await;
    let left: i64 = sql
        .client
        .query_one("SELECT count(*) FROM other", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(left, 0, "nothing was lost: the crash shows nothing");
}

#[tokio::test]
async fn a_server_that_hangs_or_is_gone_is_unavailable_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connect = || async {
        let url = format!("postgres://u:p@{address}/db");
        let builder = PostgresStore::builder(&url).timeout(Duration::from_millis(200));
        let began = SystemClock.now();
        let error = builder.connect().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(SystemClock.now().saturating_since(began) < Duration::from_secs(5),);
    };
    connect().await;
    drop(listener);
    connect().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_row_that_stays_locked_costs_the_timeout_and_no_connection() {
    let url = shared();
    let schema = fresh();
    let store = store_with(&url, |builder| {
        let builder = builder.schema(&schema).pool_size(1);
        builder.timeout(Duration::from_secs(2)).listen(false)
    })
    .await;
    let table = format!("{schema}.tower_mac_auth_records");
    let user = name("user");
    let standing = Some(first(&store, "user").await);
    let other = Sql::connect(&url).await;
    other
        .run(&format!("BEGIN; SELECT FROM {table} FOR UPDATE"))
        .await;
    let error = store.replace(&user, standing, &draft(2)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    // A look waits for nobody, and the connection that hung is no more.
    read(&store, &user).await;
    // Nor does the server wait on for an answer that nobody wants.
    let ask = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND \
         position('{table}' in replace(query, chr(34), '')) > 0"
    );
    let watching = Sql::connect(&url).await;
    for _ in 0..1_000 {
        let waiting: i64 = watching.client.query_one(&ask, &[]).await.unwrap().get(0);
        if waiting == 0 {
            other.run("COMMIT").await;
            let version = read(&store, &user).await.version;
            assert_eq!(Some(version), standing, "given up, not done later");
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the server waits on");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_step_that_is_dropped_half_way_holds_up_no_other() {
    let url = shared();
    let schema = fresh();
    let store = store_with(&url, |builder| builder.schema(&schema).pool_size(1)).await;
    let table = format!("{schema}.tower_mac_auth_records");
    let user = name("user");
    first(&store, "user").await;
    let other = Sql::connect(&url).await;
    other
        .run(&format!("BEGIN; SELECT FROM {table} FOR UPDATE"))
        .await;
    let step = tokio::spawn({
        let (store, user) = (store.clone(), user.clone());
        async move { store.revoke(&user).await }
    });
    until_it_waits_for_a_lock(&url, &table).await;
    step.abort();
    assert!(step.await.unwrap_err().is_cancelled());
    let began = SystemClock.now();
    read(&store, &user).await;
    assert!(
        SystemClock.now().saturating_since(began) < Duration::from_secs(4),
        "it waited for the lock"
    );
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_store_works_behind_a_pooler_that_shares_connections_by_transaction() {
    let url = shared();
    let pooler = Server::pooler(&url);
    let schema = fresh();
    let build = |builder: tower_mac_auth::store::postgres::PostgresStoreBuilder| {
        builder.schema(&schema).listen_url(&url)
    };
    let one = store_with(&pooler.url, build).await;
    let other = store_with(&pooler.url, build).await;
    listening(&one, &other).await;
    Conformance::between(one, other).run().await;
}
