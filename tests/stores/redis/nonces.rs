//! Nonces that many servers claim together.

use std::time::Duration;

use redis::cmd;
use tower_mac_auth::store::redis::{RedisNonces, RedisStore};
use tower_mac_auth::testing::TestClock;
use tower_mac_auth::verify::{ClaimError, MacAuthorization, NonceStore, VerifyErrorKind};
use tower_mac_auth::{Clock as _, Timestamp};

use super::server::{Server, connect};

const WINDOW: Duration = Duration::from_secs(600);

fn header(token: &str, number: u64, now: Timestamp) -> MacAuthorization {
    let minutes = now.as_secs() / 60;
    let mac = "9uvros2WcjMaJ3pH25eQZU9p5pA=";
    format!("MAC access_token={token}, nonce=\"{number}:{minutes}\", mac=\"{mac}\"")
        .parse()
        .unwrap()
}

async fn nonces(server: &Server) -> RedisNonces {
    RedisNonces::new(server.store().await, WINDOW)
}

fn refused(claimed: Result<(), ClaimError>) -> VerifyErrorKind {
    match claimed {
        Err(ClaimError::Refused(error)) => error.kind(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server: scripts/test"]
async fn of_two_servers_one_lets_a_nonce_in() {
    let server = Server::safe().await;
    let (one, other) = (nonces(&server).await, nonces(&server).await);
    let now = TestClock::new().now();
    for number in 0..50 {
        let header = header("CANARY", number, now);
        let (here, there) = tokio::join!(one.claim(&header, now), other.claim(&header, now));
        assert!(here.is_ok() != there.is_ok(), "{here:?} {there:?}");
        let again = one.claim(&header, now).await;
        assert_eq!(refused(again), VerifyErrorKind::Replayed);
    }
    // A nonce is one token's.
    other.claim(&header("T2", 0, now), now).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_nonce_ends_by_itself_and_its_key_tells_nothing() {
    let server = Server::safe().await;
    let now = TestClock::new().now();
    let header = header("CANARY", 123_456_789, now);
    nonces(&server).await.claim(&header, now).await.unwrap();
    let mut connection = connect(&server.url()).await.unwrap();
    let keys: Vec<String> = cmd("KEYS")
        .arg("*nonce:*")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(keys.len(), 1);
    assert!(
        !keys[0].contains("CANARY") && !keys[0].contains("123456789"),
        "{keys:?}"
    );
    let lives: u64 = cmd("TTL")
        .arg(&keys[0])
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!((1200..=1260).contains(&lives), "{lives}");
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn what_is_too_old_is_refused_and_nothing_is_let_in_while_the_server_is_away() {
    let mut server = Server::safe().await;
    let store = RedisStore::builder(&server.url()).timeout(Duration::from_millis(500));
    let nonces = RedisNonces::new(store.connect().await.unwrap(), WINDOW);
    let now = TestClock::new().now();
    let old = header("T", 1, now.saturating_sub(2 * WINDOW));
    assert_eq!(
        refused(nonces.claim(&old, now).await),
        VerifyErrorKind::OutsideWindow
    );
    server.stop();
    let claimed = nonces.claim(&header("T", 2, now), now).await;
    assert!(
        matches!(claimed, Err(ClaimError::Unavailable(_))),
        "{claimed:?}"
    );
    server.restart().await;
    nonces.claim(&header("T", 3, now), now).await.unwrap();
}
