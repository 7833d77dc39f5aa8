mod answer;
mod builder;
mod entries;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub(crate) use answer::Answer;
pub use builder::JournalBuilder;

#[cfg(feature = "seal")]
use super::Keyring;
use super::directory::{Directory, FileName, blocking};
use super::{AccountName, Grant, RotationStore, StoreError, StoreErrorKind};
use crate::{Clock, SystemClock};

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
/// 0600, seen to when it is opened, shared by any number of processes of one machine. It must
/// outlive the process: a disk, not a container's own file system.
///
/// One store, one journal. What is in it goes into the store it is replayed to; the
/// [realm](JournalBuilder::realm) keeps two apart.
///
/// # What fails, and what that does
///
/// A journal that cannot be written is told in the log, and the commit goes on without it. One that
/// cannot be read keeps an account from being opened, and from presenting a token in doubt: the
/// answer may be there. So does an entry of the account that is damaged, or sealed with a key that
/// is not given, or another client's; it stays as it is, and the error says which file it is.
///
/// Mend what is wrong; another client's leaves once that client opens the account with this journal.
/// One that nobody can read any more is lost: [`revoke`](RotationStore::revoke) the account in the
/// store, delete the file, and have the user authorize again, in this order. **Do not only delete
/// the file**: the account would be in doubt, and its token is spent.
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
        JournalBuilder::new(dir.as_ref())
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
            let shards = directory.shards()?;
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
                log(&path, &error);
                replayed.kept += 1;
            }
        }
        Ok(replayed)
    }

    /// The same for one account of this client; but a store that fails is an error, and an entry
    /// that cannot be read if no other is of use: the account must not go on without what is here.
    pub(crate) async fn replay_account(
        &self,
        (account, client_id): (&AccountName, &str),
        store: &dyn RotationStore,
        clock: &dyn Clock,
    ) -> Result<Replayed, StoreError> {
        let (this, name) = (self.clone(), FileName::of(account));
        let entries = blocking(move || {
            let shard = this.0.directory.shard(name.shard);
            this.entries(&shard, &format!("{}.", name.stem))
        });
        let (mut replayed, mut unreadable) = (Replayed::default(), None);
        for path in entries.await? {
            let account = Some((account, client_id));
            let replay = self.replay_one(&path, account, store, clock, &mut replayed);
            match replay.await {
                Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                    log(&path, &error);
                    replayed.kept += 1;
                    unreadable = Some(error);
                }
                done => done?,
            }
        }
        match unreadable {
            Some(error) if replayed.committed == 0 => Err(error),
            _ => Ok(replayed),
        }
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
}

fn log(entry: &Path, error: &StoreError) {
    let why = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(entry = %entry.display(), %error, why, "an answer is still in the journal");
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
