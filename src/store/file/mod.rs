mod builder;
mod one;
mod record;
#[cfg(test)]
mod tests;
mod watch;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::sync::watch as tokio_watch;

use super::directory::{Directory, Locked, blocking};
use super::steps::{self, Stepped};
use super::{
    AccountName, Acquire, Commit, Fence, Generation, Guarded, Issued, Lease, LeaseFrom, Record,
    RotationStore, StoreError, Watch,
};
use crate::{Clock, Timestamp};
pub use builder::FileStoreBuilder;
use one::File;
use watch::Changes;

/// Keeps each record in a file of its own, for all processes of one machine.
///
/// A directory holds any number of accounts. A step takes a lock (`flock`), reads the record, writes
/// the next to a new file, syncs it, renames it over the old one, and syncs the directory before it
/// answers: after a crash or a power cut at any moment the record is what it was or what the step
/// made it. Clones share the store; so do processes, and stores opened apart, on one directory.
///
/// ```
/// use tower_mac_auth::store::{AccountName, FileStore, RotationStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let scratch = tempfile::tempdir()?;
/// # let dir = scratch.path().join("tokens");
/// // `Account::builder(endpoint).store(store)…` takes it from here.
/// let store = FileStore::open(dir).await?;
/// assert!(store.read(&AccountName::new("user-42")?).await?.is_none());
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
/// What a mount opens to a group is closed again at each start, with every file in it (a second for
/// 100,000): Kubernetes does that for a pod with an `fsGroup`. There, name a directory inside the
/// volume from the first start on, for the volume's own belongs to root. A directory of yours that
/// is there already is taken if it is empty, or for its owner alone to write; one that is everybody's
/// or holds other things is left as it is, and refused if others may write to it.
///
/// All of it belongs to the user that the process runs as: a directory or a file of another owner,
/// or what is no regular file (a FIFO, a link, a device), is an error that names it, and is not
/// opened. Root is no exception, for it would leave files that the directory's owner cannot read.
/// The directory itself may be named by a link.
///
/// One client, one directory: an account's refresh token is of no use to another client. If
/// several clients or providers have directories side by side, name each one's
/// [realm](FileStoreBuilder::realm), and a directory mistaken for another is refused.
///
/// # When a file cannot be read
///
/// A record that is damaged, cut short, empty, another account's, or of a later version of this
/// crate is a [`Corrupt`](super::StoreErrorKind::Corrupt) that names the file and what is the matter. It is never
/// taken for an account that was never seen, for then spent tokens could be taken in in its place;
/// and nothing writes over it, not even a new authorization. Put a good copy back, **if nothing
/// was rotated since it was made**; or give the record up with [`FileStore::set_aside`].
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
    /// Tells those who watch in this process, by shard.
    changes: Vec<tokio_watch::Sender<()>>,
}

impl FileStore {
    /// Opens the directory with no [realm](FileStoreBuilder::realm); see
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

    /// Gives up a record that cannot be read: keeps a copy of its file beside it, whose path is
    /// returned, and ends the grant as [`revoke`](RotationStore::revoke) does. Then have the user
    /// authorize again. `None`, and nothing is changed, if the record can be read or there is none.
    ///
    /// The record that takes its place says *revoked*, at a generation above any that was counted
    /// to. So neither the tokens that a program is started with nor a rotation still under way can
    /// take its place: theirs may be spent.
    ///
    /// # Errors
    ///
    /// If the directory cannot be locked or written. The record is still there then.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// It goes on if the future is dropped while it writes.
    pub async fn set_aside(&self, account: &AccountName) -> Result<Option<PathBuf>, StoreError> {
        self.under_lock(account, File::set_aside).await
    }

    async fn under_lock<T: Send + 'static>(
        &self,
        account: &AccountName,
        work: impl FnOnce(&File, &Locked) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = File::of(self, account);
        let locked = self.0.directory.lock(file.name.shard).await?;
        blocking(move || work(&file, &locked)).await
    }

    /// Looks at the record that stands and, if `step` says so, writes another.
    async fn step<T: Send + 'static>(
        &self,
        account: &AccountName,
        step: impl FnOnce(Option<&Record>, Timestamp) -> Stepped<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.step_over(account, File::read, step).await
    }

    /// The same, for a step that has a way of its own to look.
    async fn step_over<T: Send + 'static>(
        &self,
        account: &AccountName,
        read: impl FnOnce(&File, Timestamp) -> Result<Option<Record>, StoreError> + Send + 'static,
        step: impl FnOnce(Option<&Record>, Timestamp) -> Stepped<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.under_lock(account, |file, locked| {
            let now = file.store.clock.now();
            let standing = read(file, now)?;
            let (written, answer) = step(standing.as_ref(), now);
            match written {
                Some(record) => file.write(locked, &record)?,
                // An answer about what stands: a power cut must not take it back.
                None => locked.sync()?,
            }
            Ok(answer)
        })
        .await
    }

    /// A step that is guarded by what stands.
    async fn guarded(
        &self,
        account: &AccountName,
        step: impl FnOnce(&mut Record) -> Guarded + Send + 'static,
    ) -> Result<Guarded, StoreError> {
        self.step(account, |standing, _| steps::guarded(standing, step))
            .await
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("directory", &self.0.directory)
            .finish_non_exhaustive()
    }
}

type Step<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl RotationStore for FileStore {
    fn read<'a>(&'a self, account: &'a AccountName) -> Step<'a, Option<Record>> {
        // Without the lock: a file is only ever replaced whole.
        let file = File::of(self, account);
        Box::pin(blocking(move || file.read(file.store.clock.now())))
    }

    fn acquire<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        owner: &'a str,
        lease: Duration,
        from: LeaseFrom,
    ) -> Step<'a, Acquire> {
        let owner = owner.to_owned();
        let step = move |standing: Option<&Record>, _| {
            steps::acquire(standing, generation, &owner, lease, from)
        };
        Box::pin(async move { self.step(account, step).await? })
    }

    fn intend<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        answer_within: Duration,
    ) -> Step<'a, Guarded> {
        let lease = lease.clone();
        Box::pin(self.guarded(account, move |record| record.intend(&lease, answer_within)))
    }

    fn commit<'a>(&'a self, account: &'a AccountName, issued: Issued) -> Step<'a, Commit> {
        let generation = issued.generation;
        let read = move |file: &File, now| file.read_for_commit(generation, now);
        Box::pin(self.step_over(account, read, |standing, now| {
            steps::commit(standing, issued, now)
        }))
    }

    fn release<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        not_before: Duration,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        let (lease, why) = (lease.clone(), why.to_owned());
        Box::pin(self.guarded(account, move |record| {
            record.release(&lease, not_before, &why)
        }))
    }

    fn doubt<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        fence: Fence,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        let why = why.to_owned();
        Box::pin(self.guarded(account, move |record| record.doubt(generation, fence, &why)))
    }

    fn reject<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        let (lease, why) = (lease.clone(), why.to_owned());
        Box::pin(self.guarded(account, move |record| record.reject(&lease, &why)))
    }

    fn revoke<'a>(&'a self, account: &'a AccountName) -> Step<'a, Record> {
        Box::pin(self.step(account, steps::revoke))
    }

    fn watch(&self, account: &AccountName) -> Box<dyn Watch> {
        let file = File::of(self, account);
        Box::new(Changes::new(file.store, file.name.shard, file.path))
    }
}
