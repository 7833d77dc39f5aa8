//! Rows, who hears of them, and what two who write at once come to.

use std::time::Duration;

use tokio::task::JoinSet;
use tower_mac_auth::Timestamp;
use tower_mac_auth::store::{
    Change, Commit, Generation, Grant, Issued, Loaded, Moment, PostgresStore, RecordStore,
    Replaced, Secrets, Standing, Status, StoreErrorKind, Watch,
};
use tower_mac_auth::testing::Conformance;

use super::server::{
    MINUTE, Sql, draft, first, fresh, grant, issued, name, shared, store_with, two, with_table,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn two_processes_are_promised_what_every_store_promises() {
    let [one, other] = two(&shared()).await;
    Conformance::between(one, other).run().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_person_can_query_what_stands() {
    let url = shared();
    let (store, table) = with_table(&url).await;
    let mut draft = draft(7);
    draft.status = Status::Leased;
    draft.deadline = Moment::At(Timestamp::from_secs(1_700_000_000));
    let replaced = store.replace(&name("user"), None, &draft).await;
    assert!(matches!(replaced, Ok(Replaced::Done(_))));
    let ask = format!(
        "SELECT account FROM {table} WHERE generation = 7 AND status = 'leased' \
         AND to_timestamp(deadline / 1000) = '2023-11-14 22:13:20+00'"
    );
    let sql = Sql::connect(&url).await;
    let account: String = sql.client.query_one(&ask, &[]).await.unwrap().get(0);
    assert_eq!(account, "user");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_write_that_waited_for_another_sees_what_that_wrote() {
    let url = shared();
    let (store, table) = with_table(&url).await;
    let standing = first(&store, "user").await;
    let other = Sql::connect(&url).await;
    other
        .run(&format!(
            "BEGIN; UPDATE {table} SET status = 'leased', version = 7"
        ))
        .await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .replace(&name("user"), Some(standing), &draft(2))
                .await
        }
    });
    until_it_waits_for_a_lock(&url, &table).await;
    other
        .run(&format!("UPDATE {table} SET deadline = 42; COMMIT"))
        .await;
    let Replaced::Refused(loaded) = waiting.await.unwrap().unwrap() else {
        panic!("the record is another's");
    };
    let record = loaded.into_record().unwrap().unwrap();
    assert_eq!(
        (record.status, record.version.number()),
        (Status::Leased, 7)
    );
    assert_eq!(record.deadline, Timestamp::from_millis(42));
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_write_that_waited_for_another_goes_by_the_clock_after_that() {
    let url = shared();
    let (store, table) = with_table(&url).await;
    let standing = first(&store, "user").await;
    let other = Sql::connect(&url).await;
    other
        .run(&format!("BEGIN; SELECT FROM {table} FOR UPDATE"))
        .await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .replace(&name("user"), Some(standing), &draft(2))
                .await
        }
    });
    until_it_waits_for_a_lock(&url, &table).await;
    let after = store.load(&name("user")).await.unwrap().now;
    other.run("COMMIT").await;
    let Replaced::Done(now) = waiting.await.unwrap().unwrap() else {
        panic!("nobody else wrote");
    };
    assert!(after <= now);
    let record = store.load(&name("user")).await.unwrap();
    assert_eq!(record.into_record().unwrap().unwrap().issued_at, now);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_database_that_defaults_to_serializable_does_as_well() {
    let url = shared();
    let options = "?options=-c%20default_transaction_isolation%3Dserializable";
    let stores = two(&format!("{url}{options}")).await;
    let standing = first(&stores[0], "user").await;
    let mut racers = JoinSet::new();
    for racer in 0..8 {
        let store = stores[racer % 2].clone();
        racers.spawn(async move {
            let (user, draft) = (name("user"), draft(2));
            store.replace(&user, Some(standing), &draft).await.unwrap()
        });
    }
    let replaced = racers.join_all().await;
    let done = replaced.iter().filter(|it| matches!(it, Replaced::Done(_)));
    assert_eq!(done.count(), 1);
}

async fn rows(sql: &Sql, table: &str) -> Vec<String> {
    let ask = format!("SELECT r::text FROM {table} r ORDER BY account");
    let rows = sql.client.query(&ask, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// What makes a row one that cannot be read, and whether that is seen in a list.
const SPOILS: [(&str, bool); 14] = [
    ("status = 'odd'", true),
    ("generation = -1", true),
    ("generation = 'NaN'", true),
    ("generation = 18446744073709551616", true),
    ("lineage = -1", false),
    ("lineage = 18446744073709551616", false),
    ("issued_at = -1", false),
    ("expires_at = -1", true),
    ("refresh_expires_at = -1", false),
    ("deadline = -1", false),
    ("intended_at = -1", false),
    ("not_before = -1", false),
    ("fails = -1", false),
    ("fails = 4294967296", false),
];

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_row_that_cannot_be_read_is_an_error_until_a_revocation_replaces_it() {
    let url = shared();
    let (store, table) = with_table(&url).await;
    let sql = Sql::connect(&url).await;
    let user = name("user");
    for (spoil, is_listed) in SPOILS {
        sql.run(&format!("DELETE FROM {table}")).await;
        let version = first(&store, "user").await;
        sql.run(&format!("UPDATE {table} SET {spoil}")).await;
        let before = rows(&sql, &table).await;
        let loaded = store.load(&user).await.unwrap();
        assert_eq!(loaded.version(), Some(version), "{spoil}");
        let Standing::Unreadable { why, .. } = loaded.standing else {
            panic!("{spoil}: it was read");
        };
        let committed = store.commit(&user, issued(9)).await.unwrap_err();
        for error in [why, committed] {
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{spoil}");
        }
        let refused = store.replace(&user, None, &draft(9)).await.unwrap();
        assert!(matches!(
            refused,
            Replaced::Refused(Loaded {
                standing: Standing::Unreadable { .. },
                ..
            })
        ));
        let listed = store.list(None, 10).await.unwrap();
        assert_eq!(listed[0].account, user);
        assert_eq!(listed[0].head.is_none(), is_listed, "{spoil}");
        assert_eq!(rows(&sql, &table).await, before, "{spoil}");

        let revoked = store.revoke(&user).await.unwrap();
        assert_eq!(revoked.status, Status::Revoked);
        assert!(revoked.secrets.are(&Grant::default()));
        let decided = Issued::authorized(revoked.generation.decided(), grant(9), None);
        let commit = store.commit(&user, decided).await.unwrap();
        assert!(matches!(commit, Commit::Committed(_)), "{spoil}");
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn secrets_that_cannot_be_read_stay_until_a_revocation_replaces_them() {
    let url = shared();
    let (store, table) = with_table(&url).await;
    let sql = Sql::connect(&url).await;
    let user = name("user");
    // The last letter of the refresh token: `1` becomes `0`, and the JSON stays whole.
    let bit = "8 * (position('Canary-RT-1'::bytea IN secret) + 9)";
    let flipped = format!("set_bit(secret, {bit}, 1 - get_bit(secret, {bit}))");
    for (secret, says) in [
        ("''", "empty"),
        (r"'\x09'::bytea || secret", "another version"),
        (&flipped, "damaged"),
    ] {
        sql.run(&format!("DELETE FROM {table}")).await;
        first(&store, "user").await;
        sql.run(&format!("UPDATE {table} SET secret = {secret}"))
            .await;
        let before = rows(&sql, &table).await;
        let record = store.load(&user).await.unwrap().into_record();
        let record = record.unwrap().unwrap();
        assert_eq!(record.generation, Generation::FIRST);
        assert!(matches!(record.secrets, Secrets::Unreadable(_)));
        let error = store.commit(&user, issued(2)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(rows(&sql, &table).await, before);
        assert_eq!(store.revoke(&user).await.unwrap().status, Status::Revoked);
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn whatever_version_stands_can_be_replaced() {
    let url = shared();
    let (store, table) = with_table(&url).await;
    let sql = Sql::connect(&url).await;
    first(&store, "user").await;
    for version in [0, -1, i64::MIN, i64::MAX] {
        sql.run(&format!("UPDATE {table} SET version = {version}"))
            .await;
        let revoked = store.revoke(&name("user")).await.unwrap();
        let standing = store.load(&name("user")).await.unwrap();
        assert_eq!(standing.version(), Some(revoked.version));
    }
}

/// Waits for a change of this account, and for nothing that may be another's.
pub async fn hears(watch: &mut dyn Watch, account: &str) {
    while !matches!(watch.next().await, Change::Record(heard, _) if heard == name(account)) {}
}

/// Waits until what one store does is heard by the other.
pub async fn listening(here: &PostgresStore, there: &PostgresStore) {
    let probe = fresh();
    for _ in 0..200 {
        let mut watch = here.watch().unwrap();
        there.revoke(&name(&probe)).await.unwrap();
        let heard = hears(&mut *watch, &probe);
        let heard = tokio::time::timeout(Duration::from_millis(50), heard);
        if heard.await.is_ok() {
            return;
        }
    }
    panic!("nothing is heard");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_change_by_another_process_is_heard_in_milliseconds_by_its_name() {
    let url = shared();
    let [here, there] = two(&url).await;
    listening(&here, &there).await;
    let mut watch = here.watch().unwrap();
    // Another table's, on the same database.
    first(&with_table(&url).await.0, "user").await;
    let version = first(&there, "小米 'user'").await;
    let mut standing = version;
    // Nobody waits for the start of a rotation.
    for status in [Status::Leased, Status::Sending] {
        let mut draft = draft(1);
        draft.status = status;
        let user = name("小米 'user'");
        let replaced = there.replace(&user, Some(standing), &draft).await.unwrap();
        assert!(matches!(replaced, Replaced::Done(_)));
        standing = draft.version;
    }
    let mut changes = vec![Change::Record(name("小米 'user'"), version)];
    for number in 0..10 {
        let account = format!("user {number}");
        let version = first(&there, &account).await;
        changes.push(Change::Record(name(&account), version));
    }
    for change in changes {
        let heard = tokio::time::timeout(Duration::from_millis(400), watch.next());
        assert_eq!(heard.await.expect("sooner than a poll"), change);
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_change_of_ones_own_is_heard_before_it_comes_back() {
    let [here, _] = two(&shared()).await;
    let mut watch = here.watch().unwrap();
    first(&here, "user").await;
    let heard = tokio::time::timeout(MINUTE, hears(&mut *watch, "user"));
    heard.await.expect("it was told");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn who_does_not_listen_cannot_tell_of_changes() {
    let store = store_with(&shared(), |builder| builder.listen(false)).await;
    assert!(store.watch().is_none());
}
