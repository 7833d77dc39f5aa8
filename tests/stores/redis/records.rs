//! What every store promises, and what of that is Redis's own.

use tower_mac_auth::store::redis::RedisStore;
use tower_mac_auth::store::{
    AccountName, Commit, Draft, Grant, Listed, RecordStore, Replaced, Secrets, Standing, Status,
    StoreErrorKind, Version,
};
use tower_mac_auth::testing::Conformance;

use super::server::{Server, before_long, shared};
use super::{KEY, intent, issued, user, whole, write};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server: scripts/test"]
async fn two_processes_are_promised_what_every_store_promises() {
    let url = shared();
    let one = RedisStore::connect(&url).await.unwrap();
    let other = RedisStore::connect(&url).await.unwrap();
    Conformance::between(one, other).run().await;
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_version_is_no_other_that_is_the_same_number_to_a_double() {
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    for number in [
        1,
        9,
        99,
        (1 << 53) - 1,
        1 << 53,
        (1 << 53) + 1,
        i64::MAX as u64,
    ] {
        let draft = Draft::issued(Version::from_number(number), issued(1));
        write(&store, &name, &draft).await.unwrap();
        for other in [number - 1, number + 1] {
            let expected = Some(Version::from_number(other));
            let replaced = store.replace(&name, expected, &intent(2)).await.unwrap();
            let Replaced::Refused(standing) = replaced else {
                panic!("{other} is not {number}")
            };
            assert_eq!(standing.version(), Some(draft.version));
        }
    }
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn text_that_looks_like_a_field_or_a_moment_is_text() {
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    let mut draft = intent(1);
    (draft.owner, draft.last_error) = (Some("+5".to_owned()), Some("+deadline".to_owned()));
    write(&store, &name, &draft).await.unwrap();
    let record = store.load(&name).await.unwrap().into_record();
    let record = record.unwrap().unwrap();
    assert_eq!(
        (record.owner, record.last_error),
        (draft.owner, draft.last_error)
    );
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn what_a_record_no_longer_has_is_gone() {
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    write(&store, &name, &intent(1)).await.unwrap();
    server
        .tell::<()>(&["HSET", KEY, "of a later version", "CANARY"])
        .await;
    let _ = store.commit(&name, issued(2)).await.unwrap();
    let fields: Vec<String> = server.tell(&["HKEYS", KEY]).await;
    for gone in ["lease", "of a later version"] {
        assert!(!fields.iter().any(|field| field == gone), "{fields:?}");
    }
    let keys: Vec<String> = server.tell(&["KEYS", "*draft*"]).await;
    assert!(keys.is_empty(), "{keys:?}");
}

/// What makes a record one that cannot be read.
const SPOILS: &[&[&str]] = &[
    &["HSET", KEY, "schema", "2"],
    &["HSET", KEY, "account", "somebody else"],
    &["HSET", KEY, "version", "CANARY"],
    &["HSET", KEY, "version", "0"],
    &["HSET", KEY, "version", "01"],
    &["HSET", KEY, "version", "18446744073709551616"],
    &["HSET", KEY, "generation", "-1"],
    &["HSET", KEY, "generation", "1e3"],
    &["HSET", KEY, "lineage", "18446744073709551616"],
    &["HSET", KEY, "fails", "4294967296"],
    &["HSET", KEY, "deadline", ""],
    &["HSET", KEY, "expires_at", "soon"],
    &["HSET", KEY, "status", "waiting"],
    &["HSET", KEY, "presented_again", "yes"],
    &["HDEL", KEY, "account"],
    &["HDEL", KEY, "schema"],
    &["HDEL", KEY, "version"],
    &["HDEL", KEY, "status"],
    &["HDEL", KEY, "presented_again"],
    &["SET", KEY, "CANARY, and no hash"],
];

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_record_that_cannot_be_read_is_an_error_and_left_as_it_is_by_all_but_revoking() {
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    for spoil in SPOILS {
        server.tell::<()>(&["DEL", KEY]).await;
        let _ = store.commit(&name, issued(7)).await.unwrap();
        server.tell::<()>(spoil).await;
        let before: Vec<u8> = server.tell(&["DUMP", KEY]).await;

        let standing = store.load(&name).await.unwrap().standing;
        let Standing::Unreadable { why, .. } = standing else {
            panic!("{spoil:?}: {standing:?}")
        };
        let error = store.commit(&name, issued(9)).await.unwrap_err();
        for error in [why, error] {
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{spoil:?}");
            whole(&error);
        }
        assert!(matches!(
            store.replace(&name, None, &intent(8)).await.unwrap(),
            Replaced::Refused(_)
        ));
        let after: Vec<u8> = server.tell(&["DUMP", KEY]).await;
        assert!(before == after, "{spoil:?}");

        let revoked = store.revoke(&name).await.unwrap();
        assert_eq!(revoked.status, Status::Revoked);
        assert!(revoked.secrets.are(&Grant::default()));
        let late = store.commit(&name, issued(8)).await.unwrap();
        assert!(matches!(late, Commit::Superseded(_)), "{spoil:?}");
        let decided = issued(revoked.generation.decided().number());
        let commit = store.commit(&name, decided).await.unwrap();
        assert!(matches!(commit, Commit::Committed(_)), "{spoil:?}");
    }
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_record_whose_secrets_cannot_be_read_still_tells_what_it_supersedes() {
    let server = Server::safe().await;
    let (store, name) = (server.store().await, user());
    for spoil in [
        &["HSET", KEY, "secrets", "\u{9}of a later form"][..],
        &["HSET", KEY, "secrets", ""],
        &["HDEL", KEY, "secrets"],
    ] {
        server.tell::<()>(&["DEL", KEY]).await;
        let _ = store.commit(&name, issued(2)).await.unwrap();
        server.tell::<()>(spoil).await;
        let Commit::Superseded(record) = store.commit(&name, issued(2)).await.unwrap() else {
            panic!("generation 2 is taken");
        };
        assert!(
            matches!(record.secrets, Secrets::Unreadable(_)),
            "{spoil:?}"
        );
        let error = store.commit(&name, issued(3)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{spoil:?}");
        assert_eq!(store.revoke(&name).await.unwrap().generation.number(), 4);
    }
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_list_has_what_cannot_be_read_and_not_what_is_gone() {
    let server = Server::safe().await;
    let store = server.store().await;
    let names = ["a", "b", "c", "d"].map(|name| AccountName::new(name).unwrap());
    for name in &names {
        let _ = store.commit(name, issued(1)).await.unwrap();
    }
    let key = |name: &str| format!("{{tower-mac-auth}}:account:{name}");
    server
        .tell::<()>(&["HSET", &key("b"), "status", "odd"])
        .await;
    server.tell::<()>(&["SET", &key("c"), "no hash"]).await;
    server.tell::<()>(&["DEL", &key("d")]).await;
    // Many more that are gone, and what is no name.
    let gone = "for number = 1, 1100 do redis.call('ZADD', KEYS[1], 0, 'ab' .. number) end \
                redis.call('ZADD', KEYS[1], 0, '', 0, 'a\\255', 0, 'a\\n')";
    let index = "{tower-mac-auth}:accounts";
    server.tell::<()>(&["EVAL", gone, "1", index]).await;

    let listed = store.list(None, 3).await.unwrap();
    let head = listed[0].head.unwrap();
    assert_eq!(
        (head.generation, head.status),
        (issued(1).generation, Status::Active)
    );
    let [_, b, c, d] = names;
    assert_eq!(listed[1..], [Listed::unreadable(b), Listed::unreadable(c)]);
    // What is written again is there again, also if the index was lost.
    server.tell::<()>(&["DEL", index]).await;
    assert!(store.list(None, 10).await.unwrap().is_empty());
    let _ = store.commit(&d, issued(1)).await.unwrap();
    assert_eq!(store.list(None, 10).await.unwrap()[0].account, d);
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn all_keys_share_one_slot_whatever_the_names() {
    let cluster = [&super::server::SAFE[..], &["--cluster-enabled", "yes"]].concat();
    let server = Server::start(&cluster).await;
    server
        .tell::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"])
        .await;
    before_long("the cluster is up", async || {
        let info: String = server.tell(&["CLUSTER", "INFO"]).await;
        info.contains("cluster_state:ok")
    })
    .await;
    let store = server.store().await;
    for name in ["user", "a}b", "}", "{}", "{a}", "a%7Db", "小", "a b/c"] {
        let name = AccountName::new(name).unwrap();
        let _ = store.commit(&name, issued(1)).await.unwrap();
        let record = store.load(&name).await.unwrap().into_record();
        assert_eq!(record.unwrap().unwrap().status, Status::Active);
    }
    assert_eq!(store.list(None, 100).await.unwrap().len(), 8);
    let slot = async |key: &str| server.tell::<u16>(&["CLUSTER", "KEYSLOT", key]).await;
    let ours = slot("tower-mac-auth").await;
    for key in server.tell::<Vec<String>>(&["KEYS", "*"]).await {
        assert_eq!(slot(&key).await, ours, "{key}");
    }
}
