//! The store that a flag names.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tower_mac_auth::store::{
    FileStore, Keyring, MemoryStore, PostgresStore, RecordStore, RedisStore, SealedStore,
    SharedStore, StoreError,
};

/// Where records are kept. `Display` shows no password.
#[derive(Clone)]
pub(crate) enum StoreLocation {
    Memory,
    File(PathBuf),
    Postgres(String),
    Redis(String),
}

impl FromStr for StoreLocation {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "file" if !rest.is_empty() => Ok(Self::File(rest.into())),
            "postgres" | "postgresql" => Ok(Self::Postgres(text.to_owned())),
            "redis" | "rediss" => Ok(Self::Redis(text.to_owned())),
            _ => Err("is none of memory, file:DIR, postgres://HOST/DATABASE and redis://HOST"),
        }
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres"),
            Self::Redis(_) => f.write_str("redis"),
        }
    }
}

impl fmt::Debug for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Opens it, sealed if there are keys.
pub(crate) async fn open(
    location: &StoreLocation,
    keys: Option<Keyring>,
) -> Result<SharedStore, StoreError> {
    Ok(match location {
        StoreLocation::Memory => share(MemoryStore::new(), keys),
        StoreLocation::File(path) => share(FileStore::open(path).await?, keys),
        StoreLocation::Postgres(url) => share(PostgresStore::connect(url).await?, keys),
        StoreLocation::Redis(url) => share(RedisStore::connect(url).await?, keys),
    })
}

/// Makes what the store needs before it is opened, or brings it up to date: tables, where it has some.
pub(crate) async fn migrate(location: &StoreLocation) -> Result<(), StoreError> {
    match location {
        StoreLocation::Postgres(url) => PostgresStore::connect(url).await?.migrate().await,
        StoreLocation::Memory | StoreLocation::File(_) | StoreLocation::Redis(_) => Ok(()),
    }
}

fn share(store: impl RecordStore, keys: Option<Keyring>) -> SharedStore {
    match keys {
        Some(keys) => SharedStore::new(SealedStore::new(store, keys)),
        None => SharedStore::new(store),
    }
}
