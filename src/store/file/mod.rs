mod builder;
mod list;
mod one;
#[cfg(test)]
mod tests;
mod watch;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::directory::{Directory, Locked, blocking};
use super::{
    AccountName, Draft, Listed, Loaded, RecordStore, Replaced, StoreError, Version, Watch,
};
use crate::Clock;
pub use builder::FileStoreBuilder;
use list::Ahead;
use one::File;
use watch::ChangesFile;

/// Keeps each record in a file of its own, for all processes of one machine.
///
/// A directory holds any number of accounts. A write takes a lock (`flock`), reads what stands, writes
/// the next record to a new file, syncs it, renames it over the old one, and syncs the directory
/// before it answers: after a crash or a power cut at any moment the record is what it was or what
/// the write made it. Clones share the store; so do processes, and stores opened apart, on one
/// directory.
///
/// ```
/// use tower_mac_auth::store::{AccountName, FileStore, RecordStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let scratch = tempfile::tempdir()?;
/// # let dir = scratch.path().join("tokens");
/// // `Account::builder(endpoint).store(store)…` takes it from here.
/// let store = FileStore::open(dir).await?;
/// assert!(store.load(&AccountName::new("user-42")?).await?.version().is_none());
/// # Ok(())
/// # }
/// ```
///
/// # The directory
///
/// It is made with mode 0700, the files in it with 0600. The tokens in them are in the clear. It must
/// be on a file system with locks and atomic renames; `open` tries them out. Do not share it between
/// machines: each would go by a clock of its own.
///
/// If a mount opens the directory to a group, as Kubernetes does for a pod with an `fsGroup`, it is
/// closed again at each start, with every file in it (a second for 100,000 files). There, name a
/// directory inside the volume from the first start on, because the volume itself belongs to root. A
/// directory that is there already is taken if its owner alone may write to it. If others may write to
/// it, it is closed to them if it is empty or holds a store. If it holds other things, or is
/// everybody's, as `/tmp` is, it is left as it is, and refused.
///
/// All of it belongs to the user that the process runs as. A directory or a file of another owner, or
/// a file that is not a regular one (a FIFO, a link, a device), is an error that names it, and is not
/// opened. That goes for root too, which would leave files that the directory's owner cannot read.
/// The directory itself may be named by a link.
///
/// One client, one directory: an account's refresh token is of no use to another client. If
/// several clients or providers have directories side by side, name each one's
/// [label](FileStoreBuilder::label), and a directory mistaken for another is refused.
///
/// # When a file cannot be read
///
/// A record that is damaged, cut short, empty, another account's, or of a later version of this
/// crate is [`Unreadable`](super::Standing::Unreadable), with an error that names the file and what is
/// the matter. It is never taken for an account that was never seen, or spent tokens could take its
/// place; and nothing but a revocation writes over it, not even a new authorization. Put a good copy
/// back, **if nothing was rotated since it was made**; or give the record up with
/// [`revoke`](RecordStore::revoke), and have the user authorize again. A copy of the file is kept
/// beside the new one (`….unreadable-` and a number), and the log says where.
///
/// # Changes and lists
///
/// Other processes hear of a change within 150 ms: a file `changes` has the latest, and one thread
/// reads it while somebody [watches](RecordStore::watch).
///
/// A [list](RecordStore::list) looks at the names of all files (0.1 s for 100,000) for its first page
/// and again for every 8,192 accounts after that. An account's name that is too long for a file's name (160 bytes, in which
/// each byte but `a` to `z`, digits, `-` and `_` takes three) is read from the file. If such a file
/// cannot be read, its account is not in the list, and the log names the file.
///
/// # Panics
///
/// All its futures panic outside a tokio runtime: files are read and written on its blocking
/// threads.
#[derive(Clone)]
pub struct FileStore(Arc<Inner>);

struct Inner {
    directory: Directory,
    clock: Arc<dyn Clock>,
    changes: Arc<ChangesFile>,
    ahead: Mutex<Ahead>,
}

impl FileStore {
    /// Opens the directory with no [label](FileStoreBuilder::label); see
    /// [`FileStoreBuilder::open`].
    ///
    /// # Errors
    ///
    /// As [`FileStoreBuilder::open`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// As [`FileStoreBuilder::open`].
    pub async fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder(dir).open().await
    }

    /// Starts a store in this directory.
    pub fn builder(dir: impl AsRef<Path>) -> FileStoreBuilder {
        FileStoreBuilder::new(dir.as_ref())
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("directory", &self.0.directory)
            .finish_non_exhaustive()
    }
}

impl RecordStore for FileStore {
    async fn load(&self, account: &AccountName) -> Result<Loaded, StoreError> {
        // Without the lock: a file is only ever replaced whole.
        let file = File::of(&self.0, account);
        blocking(move || file.load()).await
    }

    async fn replace(
        &self,
        account: &AccountName,
        expected: Option<Version>,
        draft: &Draft,
    ) -> Result<Replaced, StoreError> {
        let (file, draft) = (File::of(&self.0, account), draft.clone());
        let shard = file.name.shard;
        let work = move |locked: &Locked| file.replace(locked, expected, &draft);
        self.0.directory.locked(shard, work).await
    }

    async fn list(
        &self,
        after: Option<&AccountName>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let (store, after) = (Arc::clone(&self.0), after.cloned());
        blocking(move || list::page(&store, after.as_ref(), limit)).await
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        self.0.changes.watch()
    }

    /// Takes a lock in the directory, as each step does that writes.
    async fn check(&self) -> Result<(), StoreError> {
        self.0.directory.check()?;
        // A disk that is full, or read-only now, shows in no other way.
        self.0.directory.locked(0, Locked::probe).await
    }
}
