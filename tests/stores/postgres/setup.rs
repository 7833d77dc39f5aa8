//! A database that will not do says so, before a refresh token is spent on it.

use std::error::Error;

use tokio::task::JoinSet;
use tower_mac_auth::store::{PostgresStore, RecordStore, Standing, StoreError, StoreErrorKind};

use super::server::{
    PASSWORD, Server, Sql, draft, first, fresh, login, name, shared, store_with, with_table,
};

fn chain(error: &StoreError) -> String {
    format!(
        "{error}: {}",
        error.source().map(ToString::to_string).unwrap_or_default()
    )
}

/// What is asked first of a store on `url` and `schema` fails, and says this.
async fn will_not_do(url: &str, schema: &str, says: &str) {
    let builder = PostgresStore::builder(url).schema(schema);
    let store = builder.connect().await.unwrap();
    for error in [
        store.load(&name("user")).await.unwrap_err(),
        store
            .replace(&name("user"), None, &draft(1))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(
            error.kind(),
            StoreErrorKind::Unsuitable,
            "{}",
            chain(&error)
        );
        assert!(chain(&error).contains(says), "{}", chain(&error));
    }
}

async fn nothing_stands(store: &PostgresStore) -> bool {
    let loaded = store.load(&name("user")).await.unwrap();
    matches!(loaded.standing, Standing::Nothing)
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_database_that_was_not_migrated_says_what_to_call() {
    will_not_do(&shared(), "public", "call PostgresStore::migrate").await;
    will_not_do(&shared(), &fresh(), "call PostgresStore::migrate").await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_table_that_goes_away_says_so_too() {
    let url = shared();
    let (store, table) = with_table(&url).await;
    assert!(nothing_stands(&store).await);
    Sql::connect(&url)
        .await
        .run(&format!("DROP TABLE {table}"))
        .await;
    let error = store.load(&name("user")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
    assert!(chain(&error).contains("migrate"), "{}", chain(&error));
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_table_of_a_later_version_is_left_alone() {
    let url = shared();
    let schema = fresh();
    let store = store_with(&url, |builder| builder.schema(&schema)).await;
    let sql = Sql::connect(&url).await;
    sql.run(&format!(
        "UPDATE {schema}.tower_mac_auth_version SET version = 2"
    ))
    .await;
    will_not_do(&url, &schema, "version 2, and this program knows 1").await;
    let error = store.migrate().await.unwrap_err();
    assert!(chain(&error).contains("later version"), "{}", chain(&error));
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_role_without_a_right_is_told_which() {
    let url = shared();
    let schema = fresh();
    store_with(&url, |builder| builder.schema(&schema)).await;
    let sql = Sql::connect(&url).await;
    let role = format!("role_{schema}");
    sql.run(&format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'"))
        .await;
    let url = login(&url, &role);
    for (says, grant) in [
        (
            "permission denied for schema",
            format!("USAGE ON SCHEMA {schema}"),
        ),
        (
            "permission denied for table tower_mac_auth_version",
            format!("SELECT ON {schema}.tower_mac_auth_version"),
        ),
        (
            "lacks SELECT, INSERT, UPDATE on",
            format!("SELECT, UPDATE ON {schema}.tower_mac_auth_records"),
        ),
        (
            "lacks INSERT on",
            format!("INSERT ON {schema}.tower_mac_auth_records"),
        ),
    ] {
        will_not_do(&url, &schema, says).await;
        sql.run(&format!("GRANT {grant} TO {role}")).await;
    }
    let store = PostgresStore::builder(&url)
        .schema(&schema)
        .connect()
        .await
        .unwrap();
    store.migrate().await.unwrap();
    store.check().await.unwrap();
    first(&store, "user").await;
    // What is there may be used; to make more, another has to.
    let other = PostgresStore::builder(&url)
        .schema(fresh())
        .connect()
        .await
        .unwrap();
    let error = other.migrate().await.unwrap_err();
    assert!(
        chain(&error).contains("permission denied"),
        "{}",
        chain(&error)
    );
    sql.run(&format!(
        "ALTER TABLE {schema}.tower_mac_auth_records ENABLE ROW LEVEL SECURITY"
    ))
    .await;
    will_not_do(&url, &schema, "row level security").await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_table_of_another_shape_says_which_column() {
    let url = shared();
    let sql = Sql::connect(&url).await;
    for (change, says, seen_by_migrate) in [
        ("DROP COLUMN last_error", "has no column last_error", true),
        ("ALTER fails TYPE integer", "column fails of", true),
        (
            "ALTER secret TYPE text USING ''",
            "is text, not bytea",
            true,
        ),
        ("ADD tenant text NOT NULL", "column tenant", false),
        (
            "DROP CONSTRAINT tower_mac_auth_records_pkey",
            "42P10",
            false,
        ),
    ] {
        let schema = fresh();
        let store = store_with(&url, |builder| builder.schema(&schema)).await;
        store.check().await.unwrap();
        let alter = format!("ALTER TABLE {schema}.tower_mac_auth_records {change}");
        sql.run(&alter).await;
        let mut errors = vec![store.check().await.expect_err(change)];
        if seen_by_migrate {
            errors.push(store.migrate().await.expect_err(change));
        }
        for error in errors {
            assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
            assert!(chain(&error).contains(says), "{}", chain(&error));
        }
        will_not_do(&url, &schema, says).await;
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_table_that_does_not_keep_what_is_written_will_not_do() {
    let url = shared();
    let sql = Sql::connect(&url).await;
    for event in ["INSERT", "UPDATE"] {
        let schema = fresh();
        store_with(&url, |builder| builder.schema(&schema)).await;
        sql.run(&format!(
            "CREATE FUNCTION {schema}.none() RETURNS trigger LANGUAGE plpgsql \
             AS 'BEGIN RETURN NULL; END'; \
             CREATE TRIGGER none BEFORE {event} ON {schema}.tower_mac_auth_records \
             FOR EACH ROW EXECUTE FUNCTION {schema}.none()"
        ))
        .await;
        will_not_do(&url, &schema, "does not stand there").await;
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_session_that_cannot_write_will_not_do() {
    let url = shared();
    let schema = fresh();
    let store = store_with(&url, |builder| builder.schema(&schema)).await;
    let read_only = format!("{url}?options=-c%20default_transaction_read_only%3Don");
    will_not_do(&read_only, &schema, "read-only").await;
    for schema in [&schema, &fresh()] {
        let builder = PostgresStore::builder(&read_only).schema(schema);
        let store = builder.connect().await.unwrap();
        for error in [
            store.check().await.unwrap_err(),
            store.migrate().await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
            assert!(chain(&error).contains("read-only"), "{}", chain(&error));
        }
    }
    store.check().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn to_check_leaves_nothing_behind() {
    let url = shared();
    let (store, table) = with_table(&url).await;
    store.check().await.unwrap();
    let ask = format!("SELECT count(*) FROM {table}");
    let sql = Sql::connect(&url).await;
    let rows: i64 = sql.client.query_one(&ask, &[]).await.unwrap().get(0);
    assert_eq!(rows, 0);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_table_that_a_crash_empties_will_not_do() {
    let url = shared();
    let schema = fresh();
    store_with(&url, |builder| builder.schema(&schema)).await;
    let sql = Sql::connect(&url).await;
    sql.run(&format!(
        "ALTER TABLE {schema}.tower_mac_auth_records SET UNLOGGED"
    ))
    .await;
    will_not_do(&url, &schema, "not logged").await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_database_that_does_not_write_to_disk_or_in_another_encoding_will_not_do() {
    let url = shared();
    let latin = fresh();
    let create = format!("CREATE DATABASE {latin} ENCODING 'LATIN1' TEMPLATE template0");
    Sql::connect(&url).await.run(&create).await;
    let latin = format!("{}{latin}", url.strip_suffix("postgres").unwrap());
    will_not_do(&latin, "public", "encoding is LATIN1").await;
    let server = Server::start(&["fsync=off"]);
    will_not_do(&server.url, "public", "fsync off").await;
    let store = store_with(&server.url, |builder| builder.accept_fsync_off(true)).await;
    assert!(nothing_stands(&store).await);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_wrong_password_or_database_is_no_reason_to_try_again() {
    let url = shared();
    let elsewhere = format!("{}nowhere", url.strip_suffix("postgres").unwrap());
    for (url, says) in [
        (
            url.replace(PASSWORD, "wrong"),
            "password authentication failed",
        ),
        (elsewhere, "database \"nowhere\" does not exist"),
    ] {
        let error = PostgresStore::connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
        assert!(chain(&error).contains(says), "{}", chain(&error));
    }
}

#[tokio::test]
async fn names_that_would_need_quotes_are_refused() {
    let url = "postgres://nobody@127.0.0.1:1/nowhere";
    for name in ["", "a b", "a\"b", "A", &"a".repeat(49)] {
        let error = PostgresStore::builder(url)
            .schema(name)
            .connect()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unsuitable, "{name}");
        assert!(
            PostgresStore::builder(url)
                .prefix(name)
                .connect()
                .await
                .is_err()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn any_number_of_programs_may_migrate_at_once() {
    let url = shared();
    let schema = fresh();
    let mut programs = JoinSet::new();
    for _ in 0..16 {
        let builder = PostgresStore::builder(&url).schema(&schema).pool_size(1);
        programs.spawn(async move {
            let store = builder.listen(false).connect().await.unwrap();
            store.migrate().await.unwrap();
            store.check().await.unwrap();
        });
    }
    programs.join_all().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_pool_of_ones_own_will_do() {
    let url = shared();
    let manager = deadpool_postgres::Manager::new(url.parse().unwrap(), tokio_postgres::NoTls);
    let pool = deadpool_postgres::Pool::builder(manager).build().unwrap();
    let builder = PostgresStore::builder_with_pool(pool.clone()).schema(fresh());
    let store = builder.listen_url(&url).connect().await.unwrap();
    store.migrate().await.unwrap();
    first(&store, "user").await;
    assert_eq!(pool.status().size, 1);
    pool.close();
    let error = store.load(&name("user")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn two_prefixes_are_two_stores() {
    let url = shared();
    let schema = fresh();
    let one = store_with(&url, |builder| builder.schema(&schema).prefix("one_")).await;
    let two = store_with(&url, |builder| builder.schema(&schema).prefix("two_")).await;
    first(&one, "user").await;
    assert!(nothing_stands(&two).await);
}
