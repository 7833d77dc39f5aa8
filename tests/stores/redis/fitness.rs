//! A server that could lose an intent is refused before any token is spent, and the error says what
//! to do.

use std::time::Duration;

use tower_mac_auth::store::redis::{Durability, RedisStore, RedisStoreBuilder};
use tower_mac_auth::store::{RecordStore, StoreErrorKind};
use tower_mac_auth::testing::TestClock;

use super::server::{SAFE, Server, before_long};
use super::{KEY, MINUTE, intent, issued, user, whole, write};

/// What a server of this configuration is refused for.
async fn refused(args: &[&str], change: fn(RedisStoreBuilder) -> RedisStoreBuilder) -> String {
    let server = Server::start(args).await;
    let error = change(RedisStore::builder(&server.url()))
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
    whole(&error)
}

async fn accepted(args: &[&str], durability: Durability) {
    let server = Server::start(args).await;
    let builder = RedisStore::builder(&server.url()).accept_durability(durability);
    let store = builder.connect().await.unwrap();
    let _ = store.commit(&user(), issued(1)).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_server_that_may_evict_is_refused_whatever_it_keeps_on_disk() {
    for policy in ["allkeys-lru", "volatile-ttl", "allkeys-random"] {
        let args = [&SAFE[..], &["--maxmemory-policy", policy]].concat();
        let unchecked = |it: RedisStoreBuilder| it.accept_durability(Durability::Unchecked);
        let why = refused(&args, unchecked).await;
        assert!(why.contains("maxmemory-policy noeviction"), "{why}");
    }
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_server_that_keeps_nothing_on_disk_is_refused_unless_told_otherwise() {
    let why = refused(&[], |it| it).await;
    assert!(
        why.contains("appendonly yes") && why.contains("Durability::Unchecked"),
        "{why}"
    );
    let second = |it: RedisStoreBuilder| it.accept_durability(Durability::EverySecond);
    refused(&[], second).await;
    accepted(&[], Durability::Unchecked).await;
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_server_that_writes_late_is_refused_unless_told_otherwise() {
    let every_second = ["--appendonly", "yes", "--appendfsync", "everysec"];
    let why = refused(&every_second, |it| it).await;
    assert!(why.contains("Durability::EverySecond"), "{why}");
    accepted(&every_second, Durability::EverySecond).await;

    let whenever = ["--appendonly", "yes", "--appendfsync", "no"];
    let second = |it: RedisStoreBuilder| it.accept_durability(Durability::EverySecond);
    let why = refused(&whenever, second).await;
    assert!(why.contains("Durability::Unchecked"), "{why}");
    accepted(&whenever, Durability::Unchecked).await;
    accepted(&SAFE, Durability::EverySecond).await;
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_server_that_leaves_its_disk_alone_while_it_rewrites_its_file_is_refused() {
    for fsync in ["always", "everysec"] {
        let at_times = [
            &["--appendonly", "yes", "--appendfsync", fsync][..],
            &["--no-appendfsync-on-rewrite", "yes"],
        ]
        .concat();
        let second = |it: RedisStoreBuilder| it.accept_durability(Durability::EverySecond);
        let why = refused(&at_times, second).await;
        assert!(why.contains("no-appendfsync-on-rewrite no"), "{why}");
        accepted(&at_times, Durability::Unchecked).await;
    }
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_replica_is_refused() {
    let primary = Server::safe().await;
    let of = format!("127.0.0.1 {}", primary.port);
    let args = [&SAFE[..], &["--replicaof", &of]].concat();
    let why = refused(&args, |it| it).await;
    assert!(why.contains("replica"), "{why}");
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_primary_that_is_demoted_spends_no_token() {
    let server = Server::safe().await;
    let primary = Server::safe().await;
    let (store, name) = (server.store().await, user());
    let _ = store.commit(&name, issued(1)).await.unwrap();
    let expected = store.load(&name).await.unwrap().version();
    server
        .tell::<()>(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()])
        .await;
    let intent = intent(1);
    let error = store.replace(&name, expected, &intent).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
    assert!(whole(&error).contains("replica"), "{error}");
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_server_that_becomes_unfit_is_refused_from_half_a_minute_later_until_it_is_fit_again() {
    let server = Server::safe().await;
    let clock = TestClock::new();
    let builder = RedisStore::builder(&server.url()).clock(clock.clone());
    let (store, name) = (builder.connect().await.unwrap(), user());
    let _ = store.commit(&name, issued(1)).await.unwrap();
    for (setting, unfit, fit) in [
        ("appendfsync", "everysec", "always"),
        ("no-appendfsync-on-rewrite", "yes", "no"),
        ("maxmemory-policy", "allkeys-lru", "noeviction"),
    ] {
        let set = async |value| {
            let set = ["CONFIG", "SET", setting, value];
            server.tell::<()>(&set).await;
        };
        set(unfit).await;
        assert!(store.load(&name).await.is_ok(), "it was looked at just now");
        clock.advance(Duration::from_secs(31));
        for _ in 0..2 {
            let error = store.load(&name).await.expect_err(setting);
            assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
            assert!(whole(&error).contains(setting), "{error}");
        }
        set(fit).await;
        assert!(store.load(&name).await.is_ok(), "{setting}");
    }
    clock.advance(Duration::from_secs(31));
    let connections: String = server.tell(&["INFO", "stats"]).await;
    assert!(store.load(&name).await.is_ok());
    let after: String = server.tell(&["INFO", "stats"]).await;
    let count = |info: &str| -> u32 {
        let line = info
            .lines()
            .find_map(|it| it.strip_prefix("total_connections_received:"));
        line.unwrap().parse().unwrap()
    };
    assert_eq!(
        count(&after),
        count(&connections) + 1,
        "it is not connected to anew"
    );
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_user_without_a_right_is_told_which() {
    let server = Server::safe().await;
    let all = "on >CANARY-password ~{tower-mac-auth}:* &{tower-mac-auth}:* -@all +info \
               +config|get +evalsha +script|load +time +type +hget +hgetall +hmget +hset +del \
               +rename +zadd +zrange +publish +subscribe +ping +wait";
    let set = async |user: &str, rights: &str| {
        let words = ["ACL", "SETUSER", user, "reset"].into_iter();
        let words = words.chain(rights.split_whitespace()).collect::<Vec<_>>();
        server.tell::<()>(&words).await;
    };
    let connect = async |user: &str| {
        let url = format!("redis://{user}:CANARY-password@127.0.0.1:{}", server.port);
        RedisStore::builder(&url).replicas(0).connect().await
    };
    set("whole", all).await;
    let store = connect("whole").await.unwrap();
    let _ = store.commit(&user(), issued(1)).await.unwrap();
    let mut watch = store.watch().unwrap();
    let _ = store.commit(&user(), issued(2)).await.unwrap();
    let told = tokio::time::timeout(MINUTE, watch.next()).await;
    assert!(told.is_ok(), "these rights are enough");
    assert_eq!(store.list(None, 10).await.unwrap().len(), 1);

    for (right, named) in [
        ("+info", "INFO"),
        ("+config|get", "Durability::Unchecked"),
        ("+evalsha", "EVALSHA"),
        ("+script|load", "SCRIPT LOAD"),
        ("+time", "TIME"),
        ("+type", "TYPE"),
        ("+hget ", "HGET"),
        ("+hgetall", "HGETALL"),
        ("+hmget", "HMGET"),
        ("+hset", "HSET"),
        ("+del", "DEL"),
        ("+rename", "RENAME"),
        ("+zadd", "ZADD"),
        ("+zrange", "ZRANGE"),
        ("+publish", "PUBLISH"),
        ("+subscribe", "SUBSCRIBE"),
        ("~{tower-mac-auth}:*", "keys and channels of this prefix"),
        ("&{tower-mac-auth}:*", "keys and channels of this prefix"),
    ] {
        set("less", &all.replacen(right, " ", 1)).await;
        let error = connect("less").await.expect_err(right);
        assert_eq!(error.kind(), StoreErrorKind::Unsuitable, "{right}");
        assert!(whole(&error).contains(named), "{right}: {}", whole(&error));
    }
    // As a managed server has it.
    set("managed", &all.replacen("+config|get", "", 1)).await;
    let url = format!("redis://managed:CANARY-password@127.0.0.1:{}", server.port);
    let managed = RedisStore::builder(&url).accept_durability(Durability::Unchecked);
    managed.connect().await.unwrap();

    let error = connect("nobody").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
    assert!(whole(&error).contains("user or password"), "{error}");
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_write_counts_once_so_many_replicas_have_it() {
    let server = Server::safe().await;
    let store = RedisStore::builder(&server.url())
        .replicas(1)
        .timeout(Duration::from_secs(1))
        .connect()
        .await
        .unwrap();
    let name = user();
    let error = store.commit(&name, issued(1)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(whole(&error).contains("replicas"), "{error}");
    assert!(write(&store, &name, &intent(1)).await.is_err());

    let of = format!("127.0.0.1 {}", server.port);
    let replica = Server::start(&["--replicaof", &of]).await;
    before_long("the replica follows", async || {
        let info: String = replica.tell(&["INFO", "replication"]).await;
        info.contains("master_link_status:up")
    })
    .await;
    write(&store, &name, &intent(2)).await.unwrap();
    let status: String = replica.tell(&["HGET", KEY, "status"]).await;
    assert_eq!(status, "sending");
}

#[tokio::test]
async fn what_is_no_address_is_refused_and_not_quoted() {
    let builders = [
        RedisStore::builder("CANARY"),
        RedisStore::builder("https://:CANARY@host"),
        RedisStore::builder("redis://:CANARY@host:port"),
        RedisStore::builder("redis://:CANARY@127.0.0.1:1/zero"),
        RedisStore::builder("redis://:CANARY@127.0.0.1:1").prefix("{CANARY}"),
        RedisStore::builder("redis://:CANARY@127.0.0.1:1").ca_file("/nowhere"),
        RedisStore::builder("rediss://:CANARY@127.0.0.1:1").ca_file("/nowhere"),
        RedisStore::builder("rediss://:CANARY@127.0.0.1:1/#insecure"),
    ];
    for builder in builders {
        let shown = format!("{builder:?}").replace("prefix: \"{CANARY}\"", "");
        assert!(!shown.contains("CANARY"), "{shown}");
        let error = builder.connect().await.unwrap_err();
        assert_eq!(
            error.kind(),
            StoreErrorKind::Unsuitable,
            "{}",
            whole(&error)
        );
    }
    let nobody = RedisStore::connect("redis://:CANARY@127.0.0.1:1")
        .await
        .unwrap_err();
    assert_eq!(nobody.kind(), StoreErrorKind::Unavailable);
    whole(&nobody);
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_check_finds_a_server_that_is_out_of_memory_or_lets_its_user_write_no_more() {
    let server = Server::safe().await;
    let store = server.store().await;
    store.check().await.unwrap();
    server
        .tell::<()>(&["CONFIG", "SET", "maxmemory", "1"])
        .await;
    let error = store.check().await.unwrap_err();
    assert!(whole(&error).contains("out of memory"), "{error}");
    server
        .tell::<()>(&["CONFIG", "SET", "maxmemory", "0"])
        .await;
    store.check().await.unwrap();
    server
        .tell::<()>(&["ACL", "SETUSER", "default", "-rename"])
        .await;
    let error = store.check().await.unwrap_err();
    assert!(whole(&error).contains("RENAME"), "{error}");
}
