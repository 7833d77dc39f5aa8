//! Servers that restart, hang, forget and vanish.

use std::time::{Duration, Instant};

use tower_mac_auth::store::redis::RedisStore;
use tower_mac_auth::store::{Commit, Guarded, Issued, RotationStore, Status, StoreErrorKind};

use super::server::{Server, before_long};
use super::{MINUTE, issued, lease, user, whole};

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_server_that_crashes_after_the_intent_comes_back_with_it() {
    let mut server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    let _ = store.commit(&name, issued(1)).await.unwrap();
    let lease = lease(&store, &name).await;
    assert_eq!(
        store.intend(&name, &lease, MINUTE).await.unwrap(),
        Guarded::Done
    );

    // Killed, and nothing but the append-only file is left.
    server.restart().await;
    let record = store.read(&name).await.unwrap().unwrap();
    assert_eq!(
        (record.status, record.fence),
        (Status::Sending, lease.fence)
    );
    assert_eq!(record.grant, issued(1).grant);
    let generation = lease.generation.next();
    let rotated = Issued::rotated(generation, record.lineage, issued(2).grant, None);
    let committed = store.commit(&name, rotated).await.unwrap();
    assert!(matches!(committed, Commit::Committed(record) if record.grant == issued(2).grant));
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
        let read = store.read(&name).await;
        read.is_err_and(|error| error.kind() == StoreErrorKind::Unsuitable)
    })
    .await;
    server
        .tell::<()>(&["CONFIG", "SET", "appendfsync", "always"])
        .await;
    assert!(store.read(&name).await.unwrap().is_some());
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_server_that_is_gone_or_hangs_is_an_error_in_time() {
    const PATIENCE: Duration = Duration::from_millis(500);
    let mut server = Server::safe().await;
    let builder = RedisStore::builder(&server.url()).timeout(PATIENCE);
    let (store, name) = (builder.connect().await.unwrap(), user());
    let _ = store.commit(&name, issued(1)).await.unwrap();
    let lease = lease(&store, &name).await;

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
                async { store.read(&name).await.unwrap_err() },
                async { store.intend(&name, &lease, MINUTE).await.unwrap_err() },
                async { store.commit(&name, issued(2)).await.unwrap_err() },
                async {
                    store
                        .release(&name, &lease, MINUTE, "CANARY")
                        .await
                        .unwrap_err()
                },
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
            // What was sent to it while it hung may be done now, the revocation too.
            before_long("the store goes on", async || {
                store.read(&name).await.is_ok()
            })
            .await;
        }
    }
    server.restart().await;
    assert!(store.read(&name).await.unwrap().is_some());
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_server_that_forgot_the_scripts_is_told_again() {
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    let _ = store.commit(&name, issued(1)).await.unwrap();
    server.tell::<()>(&["SCRIPT", "FLUSH"]).await;
    let lease = lease(&store, &name).await;
    server.tell::<()>(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(
        store.intend(&name, &lease, MINUTE).await.unwrap(),
        Guarded::Done
    );
    server.tell::<()>(&["SCRIPT", "FLUSH"]).await;
    let doubt = store.doubt(&name, lease.generation, lease.fence, "lost");
    assert_eq!(doubt.await.unwrap(), Guarded::Done);
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_subscription_that_is_lost_comes_back_by_itself() {
    let mut server = Server::safe().await;
    let (one, other, name) = (server.store().await, server.store().await, user());
    for (number, killed) in (1..).zip([true, false]) {
        let mut watch = one.watch(&name);
        if killed {
            let gone: u32 = server.tell(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
            assert_eq!(gone, 2);
        } else {
            server.restart().await;
        }
        // What happened in between nobody heard, so all who watch are woken.
        tokio::time::timeout(MINUTE, watch.changed()).await.unwrap();
        let _ = other.read(&name).await;
        let _ = other.commit(&name, issued(number)).await.unwrap();
        tokio::time::timeout(MINUTE, watch.changed()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server: scripts/test"]
async fn another_process_is_woken_long_before_it_would_poll() {
    let server = Server::safe().await;
    let (one, other, name) = (server.store().await, server.store().await, user());
    let mut delays = Vec::new();
    for number in 1..=21 {
        let mut watch = other.watch(&name);
        let _ = one.commit(&name, issued(number)).await.unwrap();
        // How long a message takes, not how long a token lives.
        #[allow(clippy::disallowed_methods)]
        let committed = Instant::now();
        tokio::time::timeout(MINUTE, watch.changed()).await.unwrap();
        delays.push(committed.elapsed());
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
async fn other_accounts_changes_wake_nobody() {
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    let other = tower_mac_auth::store::AccountName::new("user2").unwrap();
    let (mut ours, mut others) = (store.watch(&name), store.watch(&other));
    let _ = store.commit(&other, issued(1)).await.unwrap();
    tokio::time::timeout(MINUTE, others.changed())
        .await
        .unwrap();
    // The message for the other came through, so one for us would have.
    let woken = tokio::time::timeout(Duration::ZERO, ours.changed()).await;
    assert!(woken.is_err());
}
