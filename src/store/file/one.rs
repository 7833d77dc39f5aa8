//! The file of one account. Everything here blocks.

use std::path::PathBuf;
use std::sync::Arc;

use super::{FileStore, Inner, record};
use crate::Timestamp;
use crate::store::directory::{FileName, Locked};
use crate::store::{
    AccountName, Fence, Generation, Grant, Issued, Record, Status, StoreError, StoreErrorKind,
};

pub(super) struct File {
    pub(super) store: Arc<Inner>,
    account: AccountName,
    pub(super) name: FileName,
    pub(super) path: PathBuf,
}

impl File {
    pub(super) fn of(store: &FileStore, account: &AccountName) -> Self {
        let name = FileName::of(account);
        let directory = store.0.directory.shard(name.shard);
        Self {
            store: Arc::clone(&store.0),
            account: account.clone(),
            path: directory.join(format!("{}.json", name.stem)),
            name,
        }
    }

    pub(super) fn read(&self, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let bytes = self.store.directory.read(&self.path)?;
        let record = bytes.map(|bytes| record::decode(&self.account, &bytes, &self.path, now));
        record.transpose()
    }

    /// What a commit of `generation` goes over, or is superseded by: then, and only then, a grant
    /// that cannot be read is no error.
    pub(super) fn read_for_commit(
        &self,
        generation: Generation,
        now: Timestamp,
    ) -> Result<Option<Record>, StoreError> {
        let Some(bytes) = self.store.directory.read(&self.path)? else {
            return Ok(None);
        };
        record::decode_for_commit(generation, &self.account, &bytes, &self.path, now).map(Some)
    }

    pub(super) fn write(&self, locked: &Locked, record: &Record) -> Result<(), StoreError> {
        let bytes = record::encode(&self.account, record)?;
        let written = locked.replace(&format!("{}.json", self.name.stem), &bytes);
        if !record.status.is_rotating() {
            // It may stand even if that failed.
            self.store.changes[usize::from(self.name.shard)].send_replace(());
        }
        written
    }

    pub(super) fn set_aside(&self, locked: &Locked) -> Result<Option<PathBuf>, StoreError> {
        let now = self.store.clock.now();
        match self.read(now) {
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {}
            read => return read.map(|_| None),
        }
        let Some(bytes) = self.store.directory.read(&self.path)? else {
            return Ok(None);
        };
        let aside = format!("{}.unreadable-{}", self.name.stem, now.as_millis());
        locked.replace(&aside, &bytes)?;
        // Generations are counted one by one, so none has come as far as the milliseconds.
        let generation = Generation::from_number(now.as_millis());
        let nothing = Issued::authorized(generation, Grant::default(), None);
        let record = Record {
            status: Status::Revoked,
            last_error: Some(format!(
                "the record could not be read and was set aside as {aside}"
            )),
            ..Record::active(nothing, Fence::from_number(now.as_millis()), now)
        };
        self.write(locked, &record)?;
        Ok(Some(self.path.with_file_name(aside)))
    }
}
