//! Nonces that many servers claim together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower_mac_auth::store::redis::{RedisNonces, RedisStore};
use tower_mac_auth::testing::TestClock;
use tower_mac_auth::verify::{ClaimError, MacAuthorization, NonceStore, VerifyErrorKind};
use tower_mac_auth::{Clock as _, Timestamp};

use super::server::{Server, before_long};

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
    let keys: Vec<String> = server.tell(&["KEYS", "*nonce:*"]).await;
    assert_eq!(keys.len(), 1);
    assert!(
        !keys[0].contains("CANARY") && !keys[0].contains("123456789"),
        "{keys:?}"
    );
    let lives: u64 = server.tell(&["TTL", &keys[0]]).await;
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

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_connection_that_was_lost_while_nobody_asked_costs_no_request() {
    let mut server = Server::safe().await;
    let nonces = nonces(&server).await;
    let now = TestClock::new().now();
    nonces.claim(&header("T", 1, now), now).await.unwrap();
    server.restart().await;
    nonces.claim(&header("T", 2, now), now).await.unwrap();
    let again = nonces.claim(&header("T", 1, now), now).await;
    assert_eq!(refused(again), VerifyErrorKind::Replayed);
}

/// A proxy before the server on `port`, that passes a `SET` on and then hangs up, if it was told to.
async fn proxy(port: u16) -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let here = listener.local_addr().unwrap().port();
    let lose = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&lose);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let told = Arc::clone(&told);
            tokio::spawn(async move {
                let (mut asked, mut answered) = ([0; 4096], [0; 4096]);
                let mut hangs_up = false;
                loop {
                    tokio::select! {
                        Ok(len @ 1..) = client.read(&mut asked) => {
                            let bytes = &asked[..len];
                            if bytes.windows(3).any(|three| three == b"SET") {
                                hangs_up = told.swap(false, Ordering::Relaxed);
                            }
                            server.write_all(bytes).await.unwrap();
                        }
                        Ok(len @ 1..) = server.read(&mut answered) => {
                            if hangs_up {
                                return;
                            }
                            client.write_all(&answered[..len]).await.unwrap();
                        }
                        else => return,
                    }
                }
            });
        }
    });
    (here, lose)
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_claim_whose_answer_is_lost_is_known_again_and_lets_nobody_else_in() {
    let server = Server::safe().await;
    let (port, lose) = proxy(server.port).await;
    let store = RedisStore::builder(&format!("redis://127.0.0.1:{port}"));
    let nonces = RedisNonces::new(store.connect().await.unwrap(), WINDOW);
    let now = TestClock::new().now();
    nonces.claim(&header("T", 1, now), now).await.unwrap();
    lose.store(true, Ordering::Relaxed);
    nonces.claim(&header("T", 2, now), now).await.unwrap();
    assert!(!lose.load(Ordering::Relaxed), "no answer was lost");
    for number in [1, 2] {
        let again = nonces.claim(&header("T", number, now), now).await;
        assert_eq!(refused(again), VerifyErrorKind::Replayed);
    }
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_claim_that_is_made_again_counts_once_so_many_replicas_have_it() {
    let server = Server::safe().await;
    let of = format!("127.0.0.1 {}", server.port);
    let replica = Server::start(&["--replicaof", &of]).await;
    before_long("the replica follows", async || {
        let info: String = replica.tell(&["INFO", "replication"]).await;
        info.contains("master_link_status:up")
    })
    .await;
    let (port, lose) = proxy(server.port).await;
    let store = RedisStore::builder(&format!("redis://127.0.0.1:{port}"))
        .replicas(1)
        .timeout(Duration::from_secs(3));
    let nonces = RedisNonces::new(store.connect().await.unwrap(), WINDOW);
    let now = TestClock::new().now();
    nonces.claim(&header("T", 1, now), now).await.unwrap();
    replica.signal("-STOP");
    lose.store(true, Ordering::Relaxed);
    let again = nonces.claim(&header("T", 2, now), now).await;
    replica.signal("-CONT");
    assert!(!lose.load(Ordering::Relaxed), "no answer was lost");
    assert!(
        matches!(again, Err(ClaimError::Unavailable(_))),
        "{again:?}"
    );
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_nonce_is_remembered_as_long_as_it_is_taken() {
    let server = Server::safe().await;
    let nonces = RedisNonces::new(server.store().await, Duration::from_millis(900));
    let now = TestClock::new().now();
    nonces.claim(&header("T", 1, now), now).await.unwrap();
    let keys: Vec<String> = server.tell(&["KEYS", "*nonce:*"]).await;
    let lives: u64 = server.tell(&["PTTL", &keys[0]]).await;
    assert!((61_000..=61_800).contains(&lives), "{lives}");
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_seed_that_somebody_sets_lets_no_nonce_in_twice() {
    let server = Server::safe().await;
    let nonces = nonces(&server).await;
    let now = TestClock::new().now();
    fastrand::seed(7);
    nonces.claim(&header("T", 1, now), now).await.unwrap();
    fastrand::seed(7);
    let again = nonces.claim(&header("T", 1, now), now).await;
    assert_eq!(refused(again), VerifyErrorKind::Replayed);
}
