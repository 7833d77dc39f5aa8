//! The store that a flag names.

mod location;
mod readable;
mod sample;

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Access, access};
use rustix::process::geteuid;
use tower_mac_auth::store::{
    FileStore, Keyring, MemoryStore, PostgresStore, RecordStore, RedisStore, SealedStore,
    SharedStore, StoreError, StoreErrorKind,
};

pub(crate) use self::location::StoreLocation;
pub(crate) use self::readable::unreadable;
pub(crate) use self::sample::Sample;

/// How many accounts are read or written at once.
pub(crate) const AT_ONCE: usize = 16;

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

/// Opens one that is there: who only looks must not make one where a name is mistyped.
pub(crate) async fn open_existing(
    location: &StoreLocation,
    keys: Option<Keyring>,
) -> Result<SharedStore, StoreError> {
    match location {
        StoreLocation::File(path) if is_missing(path) => {
            let what = "there is no store there";
            Err(StoreError::new(StoreErrorKind::Unsuitable, what))
        }
        location => open(location, keys).await,
    }
}

/// Whether no store, or journal, was ever opened in this directory, if it is one: both begin with this file.
/// What else may be wrong is the store's to say.
pub(crate) fn is_missing(path: &Path) -> bool {
    let begun = path.join("store.json").symlink_metadata();
    let none = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    begun.is_err_and(|error| none.contains(&error.kind()))
}

/// Whether one could be made there, as far as that shows without making it.
pub(crate) fn could_be_made(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let near = path
        .ancestors()
        .find(|near| near.symlink_metadata().is_ok());
    // Nothing can stand in what is no directory, nor at a link that leads nowhere.
    let inside = near.unwrap_or(&path).join(".");
    access(&inside, Access::WRITE_OK | Access::EXEC_OK)?;
    if near == Some(&*path) {
        would_be_taken(&path)?;
    }
    Ok(())
}

/// Whether a directory that is there already is one that [`FileStore`] takes.
fn would_be_taken(path: &Path) -> io::Result<()> {
    let there = path.metadata()?;
    let (owner, us) = (there.uid(), geteuid().as_raw());
    let why = if owner != us {
        format!("it belongs to uid {owner}, and this process runs as uid {us}")
    } else if there.mode() & 0o022 == 0 {
        return Ok(());
    } else if there.mode() & 0o1000 != 0 {
        "it is everybody's".to_owned()
    } else if path.read_dir()?.next().is_some() {
        "others may write to it, and it holds other things".to_owned()
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
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
