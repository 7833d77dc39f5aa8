//! The stores: how a process opens one, and how the parent takes one away.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tower_mac_auth::store::redis::RedisStore;
use tower_mac_auth::store::{FileStore, PostgresStore, SharedStore, StoreError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "as the tests of each are named")]
pub enum Kind {
    file,
    postgres,
    redis,
}

/// How to open a store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum StoreSpec {
    File { dir: PathBuf },
    Postgres { url: String, prefix: String },
    Redis { url: String, prefix: String },
}

impl StoreSpec {
    /// Opens it, however long it takes: it may be restarting.
    pub async fn open(&self) -> SharedStore {
        let mut tries = 0;
        loop {
            match self.try_open().await {
                Ok(store) => return store,
                Err(error) => assert!(tries < 300, "{error}"),
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn try_open(&self) -> Result<SharedStore, StoreError> {
        Ok(match self {
            Self::File { dir } => SharedStore::new(FileStore::open(dir).await?),
            Self::Postgres { url, prefix } => {
                let store = PostgresStore::builder(url).prefix(prefix).pool_size(4);
                SharedStore::new(store.connect().await?)
            }
            Self::Redis { url, prefix } => {
                SharedStore::new(RedisStore::builder(url).prefix(prefix).connect().await?)
            }
        })
    }
}

/// A store of the test's own, in a directory or a server that may have others.
pub struct Backend {
    pub kind: Kind,
    pub spec: StoreSpec,
    /// A directory for a journal beside it.
    pub journal: PathBuf,
    server_dir: Option<String>,
    _scratch: tempfile::TempDir,
}

impl Backend {
    pub async fn new(kind: Kind) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("fleet_{}_{number}_", std::process::id());
        let scratch = tempfile::tempdir().unwrap();
        let (variable, spec) = match kind {
            Kind::file => {
                let dir = scratch.path().join("tokens");
                (None, StoreSpec::File { dir })
            }
            Kind::postgres => {
                let variable = "TOWER_MAC_AUTH_TEST_POSTGRES";
                let url = server(variable);
                let store = PostgresStore::builder(&url).prefix(&prefix);
                store.connect().await.unwrap().migrate().await.unwrap();
                (Some(variable), StoreSpec::Postgres { url, prefix })
            }
            Kind::redis => {
                let variable = "TOWER_MAC_AUTH_TEST_REDIS";
                let url = server(variable);
                (Some(variable), StoreSpec::Redis { url, prefix })
            }
        };
        Self {
            kind,
            spec,
            journal: scratch.path().join("journal"),
            server_dir: variable.map(|name| server(&format!("{name}_DIR"))),
            _scratch: scratch,
        }
    }

    /// Takes the store away: a server crashes, a directory is moved.
    pub async fn stop(&self) {
        match &self.spec {
            StoreSpec::File { dir } => std::fs::rename(dir, away(dir)).unwrap(),
            _ => self.control("stop").await,
        }
    }

    /// Brings it back after [`stop`](Self::stop).
    pub async fn start(&self) {
        match &self.spec {
            StoreSpec::File { dir } => std::fs::rename(away(dir), dir).unwrap(),
            _ => self.control("restart").await,
        }
    }

    /// Has a server crash and come back, while other things go on.
    pub fn crash(&self) -> impl Future<Output = ()> + Send + use<> {
        self.control("restart")
    }

    fn control(&self, what: &'static str) -> impl Future<Output = ()> + Send + use<> {
        let dir = self.server_dir.as_ref().expect("it is a server");
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/servers");
        let status = tokio::process::Command::new(scripts.join(format!("{:?}", self.kind)))
            .args([what, dir, "immediate"])
            .status();
        async move { assert!(status.await.unwrap().success(), "{what}") }
    }
}

fn away(dir: &Path) -> PathBuf {
    dir.with_extension("away")
}

fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: see scripts/test"))
}
