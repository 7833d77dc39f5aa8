//! What every store promises, and what of that is Redis's own.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use tower_mac_auth::Timestamp;
use tower_mac_auth::store::redis::RedisStore;
use tower_mac_auth::store::{
    AccountName, Acquire, Commit, Fence, Generation, Grant, Guarded, LeaseFrom, Record,
    RotationStore, Status, StoreErrorKind,
};
use tower_mac_auth::testing::Conformance;

use super::server::{Server, shared};
use super::{KEY, MINUTE, issued, lease, user, whole};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server: scripts/test"]
async fn two_processes_are_promised_what_every_store_promises() {
    let url = shared();
    let one = Arc::new(RedisStore::connect(&url).await.unwrap());
    let other = Arc::new(RedisStore::connect(&url).await.unwrap());
    Conformance::new(one, other).run().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server: scripts/test"]
async fn of_24_that_race_one_is_granted_the_lease() {
    let url = shared();
    let stores = [
        RedisStore::connect(&url).await.unwrap(),
        RedisStore::connect(&url).await.unwrap(),
    ];
    let rounds =
        std::env::var("TOWER_MAC_AUTH_TEST_ROUNDS").map_or(5, |rounds| rounds.parse().unwrap());
    for _ in 0..rounds {
        let name = AccountName::new(&format!("race-{:x}", random())).unwrap();
        let _ = stores[0].commit(&name, issued(1)).await.unwrap();
        let mut racing = tokio::task::JoinSet::new();
        for number in 0..24 {
            let (store, name) = (stores[number % 2].clone(), name.clone());
            racing.spawn(async move {
                let owner = number.to_string();
                let from = LeaseFrom::Active;
                let acquire = store.acquire(&name, Generation::FIRST, &owner, MINUTE, from);
                acquire.await.unwrap()
            });
        }
        let acquired = racing.join_all().await;
        let granted = acquired.iter().filter_map(|it| match it {
            Acquire::Granted(lease) => Some(lease),
            Acquire::Lost(_) => None,
        });
        let [lease] = granted.collect::<Vec<_>>()[..] else {
            panic!("one is granted: {acquired:?}");
        };
        let record = stores[1].read(&name).await.unwrap().unwrap();
        assert_eq!(
            (record.owner, record.fence),
            (lease.record.owner.clone(), lease.fence)
        );
    }
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn fences_lose_nothing_above_2_to_the_53() {
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    let _ = store.commit(&name, issued(1)).await.unwrap();
    for (stands, next) in [
        (0, 1),
        (9, 10),
        (1099, 1100),
        ((1 << 53) - 1, 1 << 53),
        (1 << 53, (1 << 53) + 1),
        (999_999_999_999_999_999, 1_000_000_000_000_000_000),
        (u64::MAX - 1, u64::MAX),
        (u64::MAX, u64::MAX),
    ] {
        let set = [
            "HSET",
            KEY,
            "status",
            "active",
            "fence",
            &stands.to_string(),
        ];
        server.tell::<()>(&set).await;
        let mut lease = lease(&store, &name).await;
        assert_eq!(lease.fence.number(), next);
        // The neighbours, which are the same number to a double.
        for other in [next.wrapping_sub(1), next.saturating_add(1)] {
            if other != next {
                lease.fence = Fence::from_number(other);
                let intend = store.intend(&name, &lease, MINUTE);
                assert_eq!(intend.await.unwrap(), Guarded::Refused);
            }
        }
        lease.fence = Fence::from_number(next);
        assert_eq!(
            store.intend(&name, &lease, MINUTE).await.unwrap(),
            Guarded::Done
        );
    }
    let last = u64::MAX.to_string();
    server.tell::<()>(&["HSET", KEY, "generation", &last]).await;
    let revoked = store.revoke(&name).await.unwrap();
    assert_eq!(
        (revoked.generation.number(), revoked.fence.number()),
        (u64::MAX, u64::MAX)
    );
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn what_was_written_before_the_clock_was_set_back_no_longer_counts() {
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    let _ = store.commit(&name, issued(1)).await.unwrap();
    let now = store.read(&name).await.unwrap().unwrap().now;
    let longest = now.saturating_add(Record::LONGEST_WAIT);
    let just_within = longest.saturating_sub(MINUTE);
    let beyond = longest.saturating_add(MINUTE);
    for (status, field) in [("active", "not_before"), ("leased", "deadline")] {
        for (moment, free) in [(just_within, false), (beyond, true), (Timestamp::MAX, true)] {
            let moment = moment.as_millis().to_string();
            let none = ["HSET", KEY, "not_before", "0", "deadline", "0"];
            server.tell::<()>(&none).await;
            server
                .tell::<()>(&["HSET", KEY, "status", status, field, &moment])
                .await;
            let acquire = store.acquire(&name, Generation::FIRST, "me", MINUTE, LeaseFrom::Active);
            let granted = matches!(acquire.await.unwrap(), Acquire::Granted(_));
            assert_eq!(granted, free, "{status} {moment}");
        }
    }
}

/// What makes a record one that cannot be read.
const SPOILS: &[&[&str]] = &[
    &["HSET", KEY, "schema", "2"],
    &["HSET", KEY, "account", "somebody else"],
    &["HSET", KEY, "generation", "01"],
    &["HSET", KEY, "generation", "-1"],
    &["HSET", KEY, "generation", "1e3"],
    &["HSET", KEY, "fence", "18446744073709551616"],
    &["HSET", KEY, "fails", "4294967296"],
    &["HSET", KEY, "deadline", ""],
    &["HSET", KEY, "expires_at", "soon"],
    &["HSET", KEY, "status", "waiting"],
    &["HSET", KEY, "replayed", "yes"],
    &["HSET", KEY, "grant", ""],
    &["HSET", KEY, "grant", "\u{9}of a later form"],
    &["HDEL", KEY, "grant"],
    &["HDEL", KEY, "account"],
    &["HDEL", KEY, "schema"],
    &["HDEL", KEY, "owner"],
    &["HDEL", KEY, "status"],
    &["HDEL", KEY, "intended_at"],
    &["HDEL", KEY, "lineage"],
    &["SET", KEY, "CANARY, and no hash"],
];

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_record_that_cannot_be_read_is_an_error_and_left_as_it_is_by_all_but_revoking() {
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    for spoil in SPOILS {
        server.tell::<()>(&["DEL", KEY]).await;
        let _ = store.commit(&name, issued(1)).await.unwrap();
        let lease = lease(&store, &name).await;
        server.tell::<()>(spoil).await;
        let before: Vec<u8> = server.tell(&["DUMP", KEY]).await;

        let from = LeaseFrom::Active;
        let (generation, fence) = (lease.generation, lease.fence);
        let errors = [
            store.read(&name).await.unwrap_err(),
            store
                .acquire(&name, generation, "me", MINUTE, from)
                .await
                .unwrap_err(),
            store.intend(&name, &lease, MINUTE).await.unwrap_err(),
            store.commit(&name, issued(9)).await.unwrap_err(),
            store
                .release(&name, &lease, MINUTE, "CANARY")
                .await
                .unwrap_err(),
            store
                .doubt(&name, generation, fence, "CANARY")
                .await
                .unwrap_err(),
            store.reject(&name, &lease, "CANARY").await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(
                error.kind(),
                StoreErrorKind::Corrupt,
                "{spoil:?}: {}",
                whole(&error)
            );
        }
        let after: Vec<u8> = server.tell(&["DUMP", KEY]).await;
        assert!(before == after, "{spoil:?}");
    }
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_record_that_cannot_be_read_is_kept_aside_by_revoking_and_then_lets_an_authorization_in()
{
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    let mut kept = BTreeMap::new();
    for spoil in SPOILS {
        server.tell::<()>(&["DEL", KEY]).await;
        let _ = store.commit(&name, issued(7)).await.unwrap();
        server.tell::<()>(spoil).await;
        let before: Vec<u8> = server.tell(&["DUMP", KEY]).await;
        let now: (u64, u64) = server.tell(&["TIME"]).await;

        let revoked = store.revoke(&name).await.unwrap();
        assert_eq!(
            (revoked.status, &revoked.grant),
            (Status::Revoked, &Grant::default())
        );
        let says_nothing = ["schema", "account", "generation", KEY];
        let least = if spoil[0] == "SET" || says_nothing.contains(&spoil[2]) {
            now.0 * 1000
        } else {
            9
        };
        let generation = revoked.generation.number();
        assert!((least..least + 60_000).contains(&generation), "{spoil:?}");
        let why = revoked.last_error.unwrap();
        let aside = why.rsplit(' ').next().unwrap().to_owned();
        assert!(aside.starts_with("tower-mac-auth:{user}:unreadable-"));
        assert!(kept.insert(aside, before).is_none(), "{spoil:?}: {why}");

        assert_eq!(
            store.read(&name).await.unwrap().unwrap().generation,
            revoked.generation
        );
        let late = store.commit(&name, issued(8)).await.unwrap();
        assert!(matches!(late, Commit::Superseded(_)), "{spoil:?}");
        let decided = issued(revoked.generation.decided().number());
        let commit = store.commit(&name, decided).await.unwrap();
        assert!(matches!(commit, Commit::Committed(_)), "{spoil:?}");
    }
    for (aside, before) in kept {
        let after: Vec<u8> = server.tell(&["DUMP", &aside]).await;
        assert!(before == after, "{aside}");
    }
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn what_is_kept_aside_takes_no_place_of_what_was_kept_before() {
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    // Each name that it could be given in the next seconds.
    let now: (u64, u64) = server.tell(&["TIME"]).await;
    let taken = (now.0 * 1000..(now.0 + 5) * 1000)
        .flat_map(|moment| [format!("{KEY}:unreadable-{moment}"), "before".to_owned()]);
    let set = ["MSET".to_owned()]
        .into_iter()
        .chain(taken)
        .collect::<Vec<_>>();
    let set = set.iter().map(String::as_str).collect::<Vec<_>>();
    server.tell::<()>(&set).await;
    server.tell::<()>(&["SET", KEY, "no hash"]).await;
    let why = store.revoke(&name).await.unwrap().last_error.unwrap();
    let aside = why.rsplit(' ').next().unwrap();
    assert!(aside.ends_with("-2"), "{why}");
    let kept: String = server.tell(&["GET", aside]).await;
    assert_eq!(kept, "no hash");
    let before: String = server
        .tell(&["GET", aside.strip_suffix("-2").unwrap()])
        .await;
    assert_eq!(before, "before");
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_commit_ends_though_the_grant_of_what_supersedes_it_cannot_be_read() {
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    for spoil in [
        &["HSET", KEY, "grant", "\u{9}of a later form"][..],
        &["HSET", KEY, "grant", ""],
        &["HDEL", KEY, "grant"],
    ] {
        server.tell::<()>(&["DEL", KEY]).await;
        let _ = store.commit(&name, issued(2)).await.unwrap();
        server.tell::<()>(spoil).await;
        for generation in [1, 2] {
            let commit = store.commit(&name, issued(generation)).await.unwrap();
            let Commit::Superseded(record) = commit else {
                panic!("generation 2 is taken");
            };
            assert_eq!(record.generation.number(), 2);
            assert!(record.grant.sealed.is_some() && record.grant.refresh_token.is_none());
        }
        let error = store.commit(&name, issued(3)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{spoil:?}");
    }
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_bit_flipped_in_a_secret_is_an_error_and_the_record_stays() {
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    let _ = store.commit(&name, issued(1)).await.unwrap();
    let grant: Vec<u8> = server.tell(&["HGET", KEY, "grant"]).await;
    let token = b"CANARY-RT-1";
    let at = grant.windows(token.len()).position(|it| it == token);
    // Its last letter: `1` becomes `0`, and the JSON stays whole.
    let bit = (at.unwrap() + token.len()) * 8 - 1;
    let lua = "local grant = redis.call('HGET', KEYS[1], 'grant') \
               redis.call('SET', 'scratch', grant) \
               local bit = redis.call('GETBIT', 'scratch', ARGV[1]) \
               redis.call('SETBIT', 'scratch', ARGV[1], 1 - bit) \
               redis.call('HSET', KEYS[1], 'grant', redis.call('GET', 'scratch'))";
    server
        .tell::<()>(&["EVAL", lua, "1", KEY, &bit.to_string()])
        .await;
    let before: Vec<u8> = server.tell(&["DUMP", KEY]).await;
    let from = LeaseFrom::Active;
    let acquire = store.acquire(&name, Generation::FIRST, "me", MINUTE, from);
    for error in [
        acquire.await.unwrap_err(),
        store.read(&name).await.unwrap_err(),
        store.commit(&name, issued(2)).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(whole(&error).contains("damaged"), "{error}");
    }
    let after: Vec<u8> = server.tell(&["DUMP", KEY]).await;
    assert!(before == after);
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn an_account_has_one_key_in_one_slot_whatever_its_name() {
    let args = [
        "--cluster-enabled",
        "yes",
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
    ];
    let server = Server::start(&args).await;
    server
        .tell::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"])
        .await;
    super::server::before_long("the cluster is up", async || {
        let info: String = server.tell(&["CLUSTER", "INFO"]).await;
        info.contains("cluster_state:ok")
    })
    .await;
    let store = server.store().await;
    for (name, encoded) in [
        ("user", "user"),
        ("a}b", "a%7Db"),
        ("}", "%7D"),
        ("{}", "%7B%7D"),
        ("a%7Db", "a%257Db"),
        ("小", "%E5%B0%8F"),
        ("a b/c", "a b/c"),
    ] {
        let name = AccountName::new(name).unwrap();
        let _ = store.commit(&name, issued(1)).await.unwrap();
        let key = format!("tower-mac-auth:{{{encoded}}}");
        assert_eq!(server.tell::<u8>(&["EXISTS", &key]).await, 1, "{key}");
        let slot: u16 = server.tell(&["CLUSTER", "KEYSLOT", &key]).await;
        let of_the_name: u16 = server.tell(&["CLUSTER", "KEYSLOT", encoded]).await;
        assert_eq!(slot, of_the_name, "{key}");
        assert_eq!(
            store.read(&name).await.unwrap().unwrap().status,
            Status::Active
        );
        server.tell::<()>(&["HSET", &key, "status", "odd"]).await;
        let why = store.revoke(&name).await.unwrap().last_error.unwrap();
        let (_, aside) = why.split_once(" as ").unwrap();
        let of_what_is_kept: u16 = server.tell(&["CLUSTER", "KEYSLOT", aside]).await;
        assert_eq!(of_what_is_kept, slot, "{aside}");
    }
}
