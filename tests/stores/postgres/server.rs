//! The server that all tests share, and servers of their own for those that break them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio_postgres::NoTls;
use tokio_util::task::AbortOnDropHandle;
use tower_mac_auth::store::postgres::PostgresStoreBuilder;
use tower_mac_auth::store::{
    AccountName, Draft, Generation, Grant, Issued, PostgresStore, RecordStore, Replaced, Version,
};
use tower_mac_auth::token::TokenSet;

pub const MINUTE: Duration = Duration::from_secs(60);
pub const PASSWORD: &str = "Canary-PW";

/// The URL of the shared server.
pub fn shared() -> String {
    std::env::var("TOWER_MAC_AUTH_TEST_POSTGRES").expect("the URL of a PostgreSQL server")
}

/// A schema of this test's own.
pub fn fresh() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    format!("t{}_{number}", std::process::id())
}

pub fn name(name: &str) -> AccountName {
    AccountName::new(name).unwrap()
}

pub fn grant(number: u64) -> Grant {
    let [at, key, rt] = ["AT", "KEY", "RT"].map(|word| format!("Canary-{word}-{number}"));
    TokenSet::mac(at, key, rt, MINUTE).into()
}

pub fn issued(number: u64) -> Issued {
    let generation = Generation::from_number(number);
    Issued::rotated(generation, Generation::FIRST, grant(number), Some(MINUTE))
}

pub fn draft(number: u64) -> Draft {
    Draft::issued(Version::draw(), issued(number))
}

/// Writes the first record of an account.
pub async fn first(store: &PostgresStore, account: &str) -> Version {
    let draft = draft(1);
    let replaced = store.replace(&name(account), None, &draft).await;
    assert!(matches!(replaced, Ok(Replaced::Done(_))), "{replaced:?}");
    draft.version
}

pub async fn store_with(
    url: &str,
    build: impl FnOnce(PostgresStoreBuilder) -> PostgresStoreBuilder,
) -> PostgresStore {
    let builder = PostgresStore::builder(url).schema(fresh());
    let store = build(builder).connect().await.unwrap();
    store.migrate().await.unwrap();
    store
}

pub async fn store(url: &str) -> PostgresStore {
    store_with(url, |builder| builder).await
}

/// A store, and the name of its table.
pub async fn with_table(url: &str) -> (PostgresStore, String) {
    let schema = fresh();
    let table = format!("{schema}.tower_mac_auth_records");
    (
        store_with(url, |builder| builder.schema(schema)).await,
        table,
    )
}

/// Two stores on the same tables, as of two processes.
pub async fn two(url: &str) -> [PostgresStore; 2] {
    let schema = fresh();
    let first = store_with(url, |builder| builder.schema(&schema)).await;
    [
        first,
        store_with(url, |builder| builder.schema(&schema)).await,
    ]
}

/// The database without a store.
pub struct Sql {
    pub client: tokio_postgres::Client,
    _connection: AbortOnDropHandle<()>,
}

impl Sql {
    pub async fn connect(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            let _ = connection.await;
        }));
        Self {
            client,
            _connection: connection,
        }
    }

    pub async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }
}

/// The same database as somebody else.
pub fn login(url: &str, user: &str) -> String {
    url.replace("postgres:Canary-PW@", &format!("{user}:{PASSWORD}@"))
}

fn script(name: &str) -> Command {
    Command::new(format!(
        "{}/scripts/servers/{name}",
        env!("CARGO_MANIFEST_DIR")
    ))
}

/// A server that a test may break. Stopped when dropped.
pub struct Server {
    kind: &'static str,
    dir: PathBuf,
    pub url: String,
}

impl Server {
    pub fn start(settings: &[&str]) -> Self {
        Self::of("postgres", settings)
    }

    /// A pooler that shares the connections to `url` by transaction.
    pub fn pooler(url: &str) -> Self {
        Self::of("pgbouncer", &[url])
    }

    fn of(kind: &'static str, arguments: &[&str]) -> Self {
        let dir = std::env::temp_dir().join(format!("tower-mac-auth-{kind}-{}", fresh()));
        let started = script(kind)
            .arg("start")
            .arg(&dir)
            .args(arguments)
            .output()
            .unwrap();
        let server = Self {
            kind,
            dir,
            url: String::from_utf8(started.stdout).unwrap().trim().to_owned(),
        };
        let log = String::from_utf8_lossy(&started.stderr);
        assert!(started.status.success(), "{log}");
        server
    }

    fn run(&self, command: &str, mode: &str) {
        let mut script = script(self.kind);
        let status = script.arg(command).arg(&self.dir).arg(mode).status();
        assert!(status.unwrap().success());
    }

    pub fn stop(&self) {
        self.run("stop", "fast");
    }

    /// Stops it, as a crash does if `mode` is `immediate`, and starts it again.
    pub fn restart(&self, mode: &str) {
        self.run("restart", mode);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut script = script(self.kind);
        let _ = script.arg("stop").arg(&self.dir).arg("immediate").status();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
