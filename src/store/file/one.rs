//! The file of one account. Everything here blocks.

use std::path::PathBuf;
use std::sync::Arc;

use sha1::{Digest as _, Sha1};

use super::Inner;
use crate::Timestamp;
use crate::store::directory::{FileName, Locked, SUFFIX, corrupt};
use crate::store::{
    AccountName, Draft, Loaded, Record, Replaced, Secrets, Standing, StoreError, Version,
};

pub(super) struct File {
    store: Arc<Inner>,
    account: AccountName,
    pub(super) name: FileName,
    pub(super) path: PathBuf,
}

impl File {
    pub(super) fn of(store: &Arc<Inner>, account: &AccountName) -> Self {
        let name = FileName::of(account);
        let directory = store.directory.shard(name.shard);
        Self {
            store: Arc::clone(store),
            account: account.clone(),
            path: directory.join(format!("{}{SUFFIX}", name.stem)),
            name,
        }
    }

    pub(super) fn load(&self) -> Result<Loaded, StoreError> {
        let now = self.store.clock.now();
        let bytes = self.store.directory.read(&self.path)?;
        Ok(bytes.map_or_else(|| Loaded::nothing(now), |bytes| self.loaded(&bytes, now)))
    }

    fn loaded(&self, bytes: &[u8], now: Timestamp) -> Loaded {
        let unreadable = |why: String| corrupt("its file cannot be read", &self.path, why);
        match Record::decode(&self.account, bytes, now) {
            Ok(mut record) => {
                if let Secrets::Unreadable(why) = &record.secrets {
                    record.secrets = Secrets::Unreadable(unreadable(why.to_string()));
                }
                Loaded::record(record, now)
            }
            Err(why) => {
                // Of these very bytes, so that nothing but them is replaced.
                let hash = Sha1::digest(bytes);
                let number = hash[..8]
                    .iter()
                    .fold(0, |all, byte| (all << 8) | u64::from(*byte));
                let version = Version::from_number(number >> 1);
                Loaded::unreadable(version, unreadable(why), now)
            }
        }
    }

    /// Puts the draft in place of what is there, if that is of the version `expected`.
    pub(super) fn replace(
        &self,
        locked: &Locked,
        expected: Option<Version>,
        draft: &Draft,
    ) -> Result<Replaced, StoreError> {
        let standing = self.load()?;
        if standing.version() != expected {
            // An answer about what stands: a power cut must not take it back.
            locked.sync()?;
            return Ok(Replaced::Refused(standing));
        }
        self.keep_unreadable(locked, &standing)?;
        let now = standing.now;
        let bytes = draft.at(now).to_bytes(&self.account)?;
        let written = locked.replace(&format!("{}{SUFFIX}", self.name.stem), &bytes);
        if !draft.status.is_rotating() {
            // It may stand even if that failed.
            self.store.changes.tell(&self.account, draft.version);
        }
        written.map(|()| Replaced::Done(now))
    }

    /// Keeps a copy of what cannot be read, and is about to be replaced: somebody may mend it yet.
    fn keep_unreadable(&self, locked: &Locked, standing: &Loaded) -> Result<(), StoreError> {
        let version = match &standing.standing {
            Standing::Unreadable { version, .. } => *version,
            Standing::Record(record) if matches!(record.secrets, Secrets::Unreadable(_)) => {
                record.version
            }
            Standing::Nothing | Standing::Record(_) => return Ok(()),
        };
        let Some(bytes) = self.store.directory.read(&self.path)? else {
            return Ok(());
        };
        let copy = format!("{}.unreadable-{}", self.name.stem, version.number());
        locked.replace(&copy, &bytes)?;
        let copy = self.path.with_file_name(copy);
        tracing::warn!(account = %self.account, copy = %copy.display(), "a record that cannot be read is replaced, and a copy of it kept");
        Ok(())
    }
}
