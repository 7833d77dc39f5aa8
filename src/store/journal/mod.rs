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
use super::directory::{Directory, FileName, Locked, SUFFIX, blocking};
use super::{
    AccountName, Generation, Grant, RecordStore, Secrets, SharedStore, StoreError, StoreErrorKind,
};
use crate::{Clock, SystemClock};

/// Keeps on this machine's disk what the token endpoint has issued and the store does not have yet.
///
/// Between the answer and its commit the tokens are in memory alone: a process that dies then, or
/// that is stopped while the store is down, would take them with it. With a journal they are on
/// the disk, synced, before the store is asked. Any process with the journal recovers them into the
/// store when it next [opens](crate::account::AccountBuilder::open) or authorizes the account, or finds
/// it in doubt; [`Journal::recover`] does so for all accounts. Then they leave the journal.
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
/// let recovered = journal.recover(&store).await?;
/// assert_eq!(recovered.kept, 0, "the log says what is the matter");
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
/// One store, one journal. What is in it goes into the store it is recovered to; the
/// [label](JournalBuilder::label) keeps two apart.
///
/// # What fails, and what that does
///
/// If a journal cannot be written, the log says so, and the commit goes on without it. If a journal
/// cannot be read, no account is opened with it and no token in doubt is presented again, because the
/// answer may be there. The same goes for an account whose entry is damaged, sealed with a key that is
/// not given, or another client's. The entry stays as it is, and the error names the file.
///
/// Mend what is wrong. The entry of another client leaves once that client opens the account with this
/// journal. If nobody can read an entry any more, the answer is lost:
/// [`revoke`](RecordStore::revoke) the account in the store, delete the file, and have the user
/// authorize again, in this order. **Do not just delete the file**: the account would be in doubt, and
/// its token is spent.
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
pub struct Recovered {
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
    /// Opens the directory with no [label](JournalBuilder::label), secrets in the clear; see
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
    /// [where they are](Recovered::kept).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an entry leaves the journal once the store has it. Call it again for the rest.
    pub async fn recover(&self, store: &impl RecordStore) -> Result<Recovered, StoreError> {
        let this = self.clone();
        let entries = blocking(move || {
            let mut entries = Vec::new();
            for shard in this.0.directory.shards()? {
                entries.extend(this.entries(shard, "")?);
            }
            Ok(entries)
        });
        let mut recovered = Recovered::default();
        for path in entries.await? {
            if let Err(error) = self
                .recover_one(&path, None, store, &SystemClock, &mut recovered)
                .await
            {
                log(&path, &error);
                recovered.kept += 1;
            }
        }
        Ok(recovered)
    }

    /// The same for one account of this client, which must not go on without what is here. So a store
    /// that fails is an error, and so is an entry that cannot be read, unless another is of use.
    pub(crate) async fn recover_account(
        &self,
        (account, client_id): (&AccountName, &str),
        store: &SharedStore,
        clock: &dyn Clock,
    ) -> Result<Recovered, StoreError> {
        let (this, name) = (self.clone(), FileName::of(account));
        let entries = blocking(move || this.entries(name.shard, &format!("{}.", name.stem)));
        let (mut recovered, mut unreadable) = (Recovered::default(), None);
        for path in entries.await? {
            let account = Some((account, client_id));
            let recover = self.recover_one(&path, account, store, clock, &mut recovered);
            match recover.await {
                Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                    log(&path, &error);
                    recovered.kept += 1;
                    unreadable = Some(error);
                }
                done => done?,
            }
        }
        match unreadable {
            Some(error) if recovered.committed == 0 => Err(error),
            _ => Ok(recovered),
        }
    }

    /// Writes an answer down. It is on the disk when this returns.
    pub(crate) async fn keep(
        &self,
        account: &AccountName,
        answer: &Answer,
    ) -> Result<Kept, StoreError> {
        let FileName { shard, stem } = FileName::of(account);
        let bytes = answer.encode(account, &self.0.secrets(account, answer)?)?;
        let file = format!("{stem}.{}-{}{SUFFIX}", answer.generation, answer.mark());
        let kept = Kept { shard, file };
        let work = move |locked: &Locked| locked.replace(&kept.file, &bytes).map(|()| kept);
        self.0.directory.locked(shard, work).await
    }

    /// Drops an entry: the store has the answer.
    pub(crate) async fn forget(&self, kept: Kept) -> Result<(), StoreError> {
        let work = move |locked: &Locked| locked.remove(&kept.file);
        self.0.directory.locked(kept.shard, work).await
    }
}

fn log(entry: &Path, error: &StoreError) {
    let why = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(entry = %entry.display(), %error, why, "an answer is still in the journal");
}

/// All secrets of entries pass here on their way to the disk and back.
impl Inner {
    #[cfg_attr(
        not(feature = "seal"),
        expect(clippy::unused_self, clippy::unnecessary_wraps)
    )]
    fn secrets(&self, account: &AccountName, answer: &Answer) -> Result<Secrets, StoreError> {
        #[cfg(feature = "seal")]
        if let Some(keys) = &self.keys {
            return keys.seal(account, answer.generation, &answer.grant);
        }
        #[cfg(not(feature = "seal"))]
        let _ = account;
        Ok(Secrets::Open(answer.grant.clone()))
    }

    #[cfg_attr(not(feature = "seal"), expect(clippy::unused_self))]
    fn open(
        &self,
        account: &AccountName,
        generation: Generation,
        secrets: &Secrets,
    ) -> Result<Grant, StoreError> {
        #[cfg(feature = "seal")]
        if let (Some(keys), Secrets::Sealed(sealed)) = (&self.keys, secrets) {
            return keys.open(account, generation, sealed)?.grant().cloned();
        }
        #[cfg(not(feature = "seal"))]
        let _ = (account, generation);
        secrets.grant().cloned()
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("directory", &self.0.directory)
            .finish_non_exhaustive()
    }
}
