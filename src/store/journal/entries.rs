//! The entries on the disk.

use std::path::{Path, PathBuf};

use super::{Answer, Journal, Kept, Replayed};
use crate::Clock;
use crate::store::directory::{FileName, FileTrouble, blocking, corrupt, failed};
use crate::store::{AccountName, Commit, RotationStore, StoreError, StoreErrorKind};

impl Journal {
    /// The entries in a shard whose names begin so.
    pub(super) fn entries(&self, shard: &Path, begin: &str) -> Result<Vec<PathBuf>, StoreError> {
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

    /// Settles one entry: of any account, or of this one of this client.
    ///
    /// # Errors
    ///
    /// If the entry cannot be read, or is another client's, or the store fails. Then it stays.
    pub(super) async fn replay_one(
        &self,
        path: &Path,
        account: Option<(&AccountName, &str)>,
        store: &dyn RotationStore,
        clock: &dyn Clock,
        replayed: &mut Replayed,
    ) -> Result<(), StoreError> {
        let (this, entry) = (self.clone(), path.to_owned());
        let read = blocking(move || {
            let bytes = this.0.directory.read(&entry)?;
            Ok(bytes.map(|bytes| this.decode(&bytes, &entry)))
        });
        // Somebody else was quicker.
        let Some(decoded) = read.await? else {
            return Ok(());
        };
        let (name, answer) = decoded?;
        // Another account's, whose name has the same hash.
        if account.is_some_and(|(account, _)| *account != name) {
            return Ok(());
        }
        // Two clients can have an account of one name, each in a store of its own.
        let expected = if let Some((_, client)) = account {
            Some(client.into())
        } else {
            let standing = store.read(&name).await?;
            standing.and_then(|record| record.grant.client_id)
        };
        if let (Some(owner), Some(expected)) = (&answer.grant.client_id, expected) {
            if *owner != expected {
                let what = "the journal holds another client's answer";
                let trouble = FileTrouble::new(path, format!("client {owner:?}, not {expected:?}"));
                return Err(StoreError::new(StoreErrorKind::Unsuitable, what).with_source(trouble));
            }
        }
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

    pub(super) fn decode(
        &self,
        bytes: &[u8],
        path: &Path,
    ) -> Result<(AccountName, Answer), StoreError> {
        let (account, answer) = Answer::decode(bytes, path)?;
        let answer = self.0.unseal(&account, answer);
        let answer = answer.map_err(|error| corrupt("an entry of the journal", path, error))?;
        Ok((account, answer))
    }
}
