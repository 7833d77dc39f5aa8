//! Servers that restart, hang, forget and vanish.

use std::time::{Duration, Instant};

use tower_mac_auth::store::redis::RedisStore;
use tower_mac_auth::store::{
    AccountName, Change, Commit, Issued, RecordStore, Status, StoreErrorKind, Version, Watch,
};

use super::server::{Server, before_long};
use super::{MINUTE, intent, issued, user, whole, write};

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_server_that_crashes_after_the_intent_comes_back_with_it() {
    let mut server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    let _ = store.commit(&name, issued(1)).await.unwrap();
    let intent = intent(1);
    write(&store, &name, &intent).await.unwrap();

    // Killed, and nothing but the append-only file is left.
    server.restart().await;
    let loaded = store.load(&name).await.unwrap();
    let record = loaded.into_record().unwrap().unwrap();
    assert_eq!(
        (record.status, record.version, record.lease),
        (Status::Sending, intent.version, intent.lease)
    );
    assert!(record.secrets.are(&issued(1).grant));
    let generation = record.generation.next();
    let rotated = Issued::rotated(generation, record.lineage, issued(2).grant, None);
    let committed = store.commit(&name, rotated).await.unwrap();
    assert!(matches!(committed, Commit::Committed(record) if record.secrets.are(&issued(2).grant)));
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_server_that_came_back_less_safe_is_refused() {
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    let _ = store.commit(&name, issued(1)).await.unwrap();
    server
        .tell::<()>(&["CONFIG", "SET", "appendfsync", "everysec"])
        .await;
    server
        .tell::<()>(&["CLIENT", "KILL", "TYPE", "normal"])
        .await;
    before_long("the store notices", async || {
        let loaded = store.load(&name).await;
        loaded.is_err_and(|error| error.kind() == StoreErrorKind::Unsuitable)
    })
    .await;
    server
        .tell::<()>(&["CONFIG", "SET", "appendfsync", "always"])
        .await;
    assert!(store.load(&name).await.unwrap().version().is_some());
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_server_that_is_gone_or_hangs_is_an_error_in_time() {
    const PATIENCE: Duration = Duration::from_millis(500);
    let mut server = Server::safe().await;
    let builder = RedisStore::builder(&server.url()).timeout(PATIENCE);
    let (store, name) = (builder.connect().await.unwrap(), user());
    let _ = store.commit(&name, issued(1)).await.unwrap();
    let (expected, intent) = (store.load(&name).await.unwrap().version(), intent(1));

    for hangs in [true, false] {
        if hangs {
            server.signal("-STOP");
        } else {
            server.stop();
        }
        // Twice: with the connection that there was, and without.
        for _ in 0..2 {
            // How long a test's own server takes, not how long a token lives.
            #[allow(clippy::disallowed_methods)]
            let began = Instant::now();
            let steps = tokio::join!(
                async { store.load(&name).await.unwrap_err() },
                async { store.replace(&name, expected, &intent).await.unwrap_err() },
                async { store.list(None, 10).await.unwrap_err() },
                async { store.commit(&name, issued(2)).await.unwrap_err() },
                async { store.revoke(&name).await.unwrap_err() },
            );
            let took = began.elapsed();
            assert!(took < 3 * PATIENCE, "{took:?}");
            let steps: [_; 5] = steps.into();
            for error in steps {
                assert_eq!(
                    error.kind(),
                    StoreErrorKind::Unavailable,
                    "{}",
                    whole(&error)
                );
            }
        }
        if hangs {
            server.signal("-CONT");
            // What was sent to it while it hung may be done now.
            before_long("the store goes on", async || {
                store.load(&name).await.is_ok()
            })
            .await;
        }
    }
    server.restart().await;
    assert!(store.load(&name).await.unwrap().version().is_some());
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_server_that_forgot_the_script_is_told_again() {
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    server.tell::<()>(&["SCRIPT", "FLUSH"]).await;
    assert!(store.load(&name).await.unwrap().version().is_none());
    server.tell::<()>(&["SCRIPT", "FLUSH"]).await;
    let _ = store.replace(&name, None, &intent(1)).await.unwrap();
    assert!(store.load(&name).await.unwrap().version().is_some());
}

/// Commits a generation; the version of the write.
async fn committed(store: &RedisStore, name: &AccountName, number: u64) -> Version {
    let committed = store.commit(name, issued(number)).await.unwrap();
    let Commit::Committed(record) = committed else {
        panic!("{committed:?}")
    };
    record.version
}

/// What is told next.
async fn next(watch: &mut Box<dyn Watch>) -> Change {
    let next = tokio::time::timeout(MINUTE, watch.next()).await;
    next.expect("a change is told")
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_subscription_that_is_lost_comes_back_by_itself() {
    let mut server = Server::safe().await;
    let (one, other, name) = (server.store().await, server.store().await, user());
    for (number, killed) in (1..).zip([true, false]) {
        let mut watch = one.watch().unwrap();
        if killed {
            let gone: u32 = server.tell(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
            assert_eq!(gone, 2);
        } else {
            server.restart().await;
        }
        // As it is lost, and as it is back: of what happened in between nothing was heard.
        assert_eq!(next(&mut watch).await, Change::Any);
        assert_eq!(next(&mut watch).await, Change::Any);
        let version = committed(&other, &name, number).await;
        assert_eq!(
            next(&mut watch).await,
            Change::Record(name.clone(), version)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server: scripts/test"]
async fn another_process_is_told_long_before_it_would_look() {
    let server = Server::safe().await;
    let (one, other, name) = (server.store().await, server.store().await, user());
    let mut watch = other.watch().unwrap();
    let mut delays = Vec::new();
    for number in 1..=21 {
        let version = committed(&one, &name, number).await;
        // How long a message takes, not how long a token lives.
        #[allow(clippy::disallowed_methods)]
        let since = Instant::now();
        assert_eq!(
            next(&mut watch).await,
            Change::Record(name.clone(), version)
        );
        delays.push(since.elapsed());
    }
    delays.sort();
    eprintln!(
        "after the commit is answered: median {:?}, last {:?}",
        delays[10], delays[20]
    );
    assert!(delays[10] < Duration::from_millis(50), "{delays:?}");
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn an_intent_is_told_to_nobody() {
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    let mut watch = store.watch().unwrap();
    write(&store, &name, &intent(1)).await.unwrap();
    // The message of another comes through, so one for the intent would have.
    let other = AccountName::new("*小\" {1}").unwrap();
    let version = committed(&store, &other, 1).await;
    assert_eq!(next(&mut watch).await, Change::Record(other, version));
}
