//! Canaries: no token and no password in any error, log or `Debug`.

use std::error::Error;
use std::fmt::{Debug, Write as _};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tower_mac_auth::store::{PostgresStore, RecordStore, Status, StoreError};
use tracing_subscriber::fmt::MakeWriter;

use super::server::{PASSWORD, Sql, draft, fresh, issued, name, shared, store_with, with_table};

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl io::Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Printed {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Printed {
    fn thing(&self, thing: &impl Debug) {
        let mut text = String::new();
        writeln!(text, "{thing:?} {thing:#?}").unwrap();
        self.0.lock().unwrap().extend_from_slice(text.as_bytes());
    }

    fn error(&self, error: &StoreError) {
        self.thing(error);
        let mut next: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = next {
            self.thing(&format!("{error} {error:?}"));
            next = error.source();
        }
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn no_secret_is_ever_printed() {
    let url = shared();
    let printed = Printed::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(printed.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    tracing::callsite::rebuild_interest_cache();

    let builder = PostgresStore::builder(&url).schema(fresh());
    printed.thing(&builder);
    printed.thing(&builder.connect().await.unwrap());
    for bad in [
        url.replace("postgres:Canary", "Canary-user:Canary"),
        url.replace("/postgres", "/nowhere"),
        url.replace("127.0.0.1", "127.0.0.1:99999,"),
        url.replace("127.0.0.1:", "127.0.0.1:1"),
        format!("{url}?sslmode=require"),
        format!("{url}?canary={PASSWORD}"),
    ] {
        let builder = PostgresStore::builder(&bad).timeout(Duration::from_secs(2));
        if let Err(error) = builder.connect().await {
            printed.error(&error);
        }
    }

    let sql = Sql::connect(&url).await;
    let user = name("user");
    // The text is behind the form and the checksum.
    let rule = "CREATE FUNCTION {schema}.loud() RETURNS trigger LANGUAGE plpgsql AS \
        $$ BEGIN RAISE 'canary %', convert_from(substr(NEW.secret, 22), 'UTF8') USING DETAIL = NEW.secret::text; END $$; \
        CREATE TRIGGER loud BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {schema}.loud()";
    for change in [
        "ALTER TABLE {table} ADD CHECK (generation < 2), ADD CHECK (status <> 'leased')",
        rule,
        "UPDATE {table} SET secret = secret || 'x'",
        "UPDATE {table} SET secret = substr(secret, 1, 40)",
        "ALTER TABLE {table} ALTER secret TYPE text USING encode(secret, 'escape')",
        "ALTER TABLE {table} DROP secret",
        "DROP TABLE {table}",
    ] {
        let (store, table) = with_table(&url).await;
        printed.thing(&store.commit(&user, issued(1)).await.unwrap());
        let schema = table.split('.').next().unwrap();
        sql.run(
            &change
                .replace("{table}", &table)
                .replace("{schema}", schema),
        )
        .await;
        match store.load(&user).await {
            Ok(loaded) => {
                printed.thing(&loaded);
                let mut leased = draft(1);
                leased.status = Status::Leased;
                let replaced = store.replace(&user, loaded.version(), &leased).await;
                printed.thing(&leased);
                printed.thing(&replaced.map_err(|error| printed.error(&error)));
            }
            Err(error) => printed.error(&error),
        }
        printed.thing(&store.list(None, 10).await);
        let failed = [
            store.commit(&user, issued(2)).await.map(drop),
            store.revoke(&user).await.map(drop),
        ];
        for error in failed.into_iter().filter_map(Result::err) {
            printed.error(&error);
        }
    }
    drop(store_with(&url, |builder| builder).await);
    drop(guard);

    let printed = String::from_utf8(printed.0.lock().unwrap().clone()).unwrap();
    assert!(
        printed.contains("23514") && printed.contains("P0001") && printed.contains("42"),
        "{printed}"
    );
    // Of the row in an error's detail, bytes are in hexadecimal: "Canary".
    for secret in [
        "Canary-AT",
        "Canary-KEY",
        "Canary-RT",
        PASSWORD,
        "43616e617279",
    ] {
        let at = printed.find(secret);
        let around = at.map(|at| &printed[at.saturating_sub(300)..at]);
        assert!(at.is_none(), "a secret, after: {around:?}");
    }
}
