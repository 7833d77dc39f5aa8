mod answer;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use answer::Answer;

#[cfg(feature = "seal")]
use super::Keyring;
use super::directory::{Directory, Disk, FileName, blocking, corrupt, failed};
use super::{AccountName, Commit, Grant, RotationStore, StoreError};
use crate::{Clock, SystemClock};

const KIND: &str = "journal";

/// Keeps on this machine's disk what the token endpoint has issued and the store does not have yet.
///
/// Between the answer and its commit the tokens are in memory alone: a process that dies then, or
/// that is stopped while the store is down, would take them with it. With a journal they are on
/// the disk, synced, before the store is asked, and go into the store when the account is next
/// [opened](crate::account::AccountBuilder::open), authorized, or found in doubt, by any process
/// with the journal; or by [`Journal::replay`] at the start of one. Then they leave the journal.
///
/// Give one to [`AccountBuilder::journal`](crate::account::AccountBuilder::journal) where the store
/// is across a network. Beside a [`FileStore`](super::FileStore) on the same disk it adds little.
///
/// ```
/// use tower_mac_auth::store::{Journal, MemoryStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let scratch = tempfile::tempdir()?;
/// # let dir = scratch.path().join("journal");
/// # let store = MemoryStore::new();
/// let journal = Journal::open(dir).await?;
/// let replayed = journal.replay(&store).await?;
/// assert_eq!(replayed.kept, 0, "the log says what is the matter");
/// // `Account::builder(endpoint).store(store).journal(journal)…` takes it from here.
/// # Ok(())
/// # }
/// ```
///
/// # The directory
///
/// As that of a [`FileStore`](super::FileStore#the-directory), and another one: mode 0700, files
/// 0600, checked when it is opened, shared by any number of processes of one machine. It must
/// outlive the process: a disk, not a container's own file system.
///
/// One store, one journal. What is in it goes into the store it is replayed to; the
/// [realm](JournalBuilder::realm) keeps two apart.
///
/// # What fails, and what that does
///
/// A journal that cannot be written is told in the log, and the commit goes on without it. One that
/// cannot be read keeps an account from being opened, and from presenting a token in doubt: the
/// answer may be there. An entry that cannot be read stays as it is, and is told in the log.
///
/// # Panics
///
/// All its futures panic outside a tokio runtime.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    directory: Directory,
    #[cfg(feature = "seal")]
    keys: Option<Keyring>,
}

/// Opens a [`Journal`].
#[must_use = "a builder does nothing until the journal is opened"]
pub struct JournalBuilder {
    path: PathBuf,
    realm: Option<String>,
    disk: Disk,
    #[cfg(feature = "seal")]
    keys: Option<Keyring>,
}

/// What became of the entries of a [`Journal`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed {
    /// These went into the store.
    pub committed: usize,
    /// These were in the store already, or something newer was.
    pub superseded: usize,
    /// These stay, and the log says why: the entry cannot be read, the store failed, or the store
    /// has another grant of the same generation, so that nobody knows which is good.
    pub kept: usize,
}

/// An entry, to be dropped once the store has the answer.
#[derive(Debug)]
pub(crate) struct Kept {
    shard: u8,
    file: String,
}

impl JournalBuilder {
    /// As [`FileStoreBuilder::realm`](super::FileStoreBuilder::realm).
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = Some(realm.into());
        self
    }

    /// Seals the secrets of each entry with the first of these keys. Entries that are not sealed,
    /// from before, are taken as well.
    #[cfg(feature = "seal")]
    #[cfg_attr(docsrs, doc(cfg(feature = "seal")))]
    pub fn sealed(mut self, keys: Keyring) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Opens the directory; makes it, and those above it, if it is not there.
    ///
    /// # Errors
    ///
    /// As [`FileStoreBuilder::open`](super::FileStoreBuilder::open).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may leave the directory made and empty.
    pub async fn open(self) -> Result<Journal, StoreError> {
        let (path, realm, disk) = (self.path, self.realm, self.disk);
        let open = move || Directory::open(&path, KIND, realm.as_deref(), disk);
        Ok(Journal(Arc::new(Inner {
            directory: blocking(open).await?,
            #[cfg(feature = "seal")]
            keys: self.keys,
        })))
    }
}

impl Journal {
    /// Opens the directory with no [realm](JournalBuilder::realm), secrets in the clear; see
    /// [`JournalBuilder::open`].
    ///
    /// # Errors
    ///
    /// As [`JournalBuilder::open`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// As [`JournalBuilder::open`].
    pub async fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder(dir).open().await
    }

    /// Starts a journal in this directory.
    pub fn builder(dir: impl AsRef<Path>) -> JournalBuilder {
        JournalBuilder {
            path: dir.as_ref().to_owned(),
            realm: None,
            disk: Disk::default(),
            #[cfg(feature = "seal")]
            keys: None,
        }
    }

    /// Puts what is pending into the store, for all accounts: for the start of a process, so that
    /// they do not wait until they are next opened. The processes that wrote the entries may still
    /// be at it themselves; that harms nothing.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read. A store that fails only leaves the entries
    /// [where they are](Replayed::kept).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an entry leaves the journal once the store has it. Call it again for the rest.
    pub async fn replay(&self, store: &dyn RotationStore) -> Result<Replayed, StoreError> {
        let this = self.clone();
        let entries = blocking(move || {
            let directory = &this.0.directory;
            let shards = directory.shards();
            let shards = shards.map_err(failed("the journal cannot be read", directory.path()))?;
            directory.check()?;
            let mut entries = Vec::new();
            for shard in shards {
                entries.extend(this.entries(&shard, "")?);
            }
            Ok(entries)
        });
        let mut replayed = Replayed::default();
        for path in entries.await? {
            if let Err(error) = self
                .replay_one(&path, None, store, &SystemClock, &mut replayed)
                .await
            {
                tracing::error!(entry = %path.display(), %error, "an answer is still in the journal");
                replayed.kept += 1;
            }
        }
        Ok(replayed)
    }

    /// The same for one account; but a store that fails is an error, for the account must not go on
    /// without what is here.
    pub(crate) async fn replay_account(
        &self,
        account: &AccountName,
        store: &dyn RotationStore,
        clock: &dyn Clock,
    ) -> Result<Replayed, StoreError> {
        let (this, name) = (self.clone(), FileName::of(account));
        let entries = blocking(move || {
            let shard = this.0.directory.shard(name.shard);
            this.entries(&shard, &format!("{}.", name.stem))
        });
        let mut replayed = Replayed::default();
        for path in entries.await? {
            let account = Some(account);
            self.replay_one(&path, account, store, clock, &mut replayed)
                .await?;
        }
        Ok(replayed)
    }

    /// The entries in a shard whose names begin so.
    fn entries(&self, shard: &Path, begin: &str) -> Result<Vec<PathBuf>, StoreError> {
        let mut entries = Vec::new();
        let names = match std::fs::read_dir(shard) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.0.directory.check()?;
                return Ok(entries);
            }
            names => names.map_err(failed("the journal cannot be read", shard))?,
        };
        for name in names {
            let name = name
                .map_err(failed("the journal cannot be read", shard))?
                .file_name();
            let name = name.to_string_lossy();
            if name.starts_with(begin) && name.ends_with(".json") {
                entries.push(shard.join(&*name));
            }
        }
        Ok(entries)
    }

    async fn replay_one(
        &self,
        path: &Path,
        account: Option<&AccountName>,
        store: &dyn RotationStore,
        clock: &dyn Clock,
        replayed: &mut Replayed,
    ) -> Result<(), StoreError> {
        let (this, entry) = (self.clone(), path.to_owned());
        let read = blocking(move || {
            let bytes = this.0.directory.read(&entry)?;
            Ok(bytes.map(|bytes| this.decode(&bytes, &entry)))
        });
        let (name, answer) = match read.await? {
            // Somebody else was quicker.
            None => return Ok(()),
            Some(Ok(entry)) if account.is_none_or(|account| *account == entry.0) => entry,
            // Another account's, whose name has the same hash.
            Some(Ok(_)) => return Ok(()),
            Some(Err(error)) => {
                let why = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, why, "an entry of the journal cannot be read");
                replayed.kept += 1;
                return Ok(());
            }
        };
        match answer.settle(&name, store, clock).await? {
            Some(Commit::Committed(record)) => {
                let generation = record.generation;
                tracing::warn!(account = %name, %generation, "taken from the journal into the store");
                replayed.committed += 1;
            }
            Some(Commit::Superseded(_)) => replayed.superseded += 1,
            None => {
                tracing::warn!(account = %name, "the store has another grant of the generation of an entry of the journal");
                replayed.kept += 1;
                return Ok(());
            }
        }
        let Some(file) = path.file_name() else {
            return Ok(());
        };
        self.forget(Kept {
            shard: FileName::of(&name).shard,
            file: file.to_string_lossy().into_owned(),
        })
        .await
    }

    /// Writes an answer down. It is on the disk when this returns.
    pub(crate) async fn keep(
        &self,
        account: &AccountName,
        answer: &Answer,
    ) -> Result<Kept, StoreError> {
        let FileName { shard, stem } = FileName::of(account);
        let bytes = answer.encode(account, &self.0.seal(account, answer)?)?;
        let file = format!("{stem}.{}-{}.json", answer.generation, answer.mark());
        let kept = Kept { shard, file };
        let locked = self.0.directory.lock(shard).await?;
        blocking(move || {
            locked.replace(&kept.file, &bytes)?;
            Ok(kept)
        })
        .await
    }

    /// Drops an entry: the store has the answer.
    pub(crate) async fn forget(&self, kept: Kept) -> Result<(), StoreError> {
        let locked = self.0.directory.lock(kept.shard).await?;
        blocking(move || locked.remove(&kept.file)).await
    }

    fn decode(&self, bytes: &[u8], path: &Path) -> Result<(AccountName, Answer), StoreError> {
        let (account, answer) = Answer::decode(bytes, path)?;
        let answer = self.0.unseal(&account, answer);
        let answer = answer.map_err(|error| corrupt("an entry of the journal", path, error))?;
        Ok((account, answer))
    }
}

/// The one place where the secrets of an entry pass on their way to the disk and back.
impl Inner {
    #[cfg(feature = "seal")]
    fn seal(&self, account: &AccountName, answer: &Answer) -> Result<Grant, StoreError> {
        let Some(keys) = &self.keys else {
            return Ok(answer.grant.clone());
        };
        let sealed = keys.seal(account, answer.generation, &answer.grant.to_bytes())?;
        Ok(Grant {
            sealed: Some(sealed),
            ..Grant::default()
        })
    }

    #[cfg(feature = "seal")]
    fn unseal(&self, account: &AccountName, answer: Answer) -> Result<Answer, StoreError> {
        let (Some(keys), Some(sealed)) = (&self.keys, &answer.grant.sealed) else {
            return answer.opened();
        };
        let grant = keys.open(account, answer.generation, sealed)?;
        let grant = Grant::from_bytes(&grant)?;
        Ok(Answer { grant, ..answer })
    }

    #[cfg(not(feature = "seal"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps)]
    fn seal(&self, _: &AccountName, answer: &Answer) -> Result<Grant, StoreError> {
        Ok(answer.grant.clone())
    }

    #[cfg(not(feature = "seal"))]
    #[expect(clippy::unused_self)]
    fn unseal(&self, _: &AccountName, answer: Answer) -> Result<Answer, StoreError> {
        answer.opened()
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("directory", &self.0.directory)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for JournalBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalBuilder")
            .field("path", &self.path)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}
