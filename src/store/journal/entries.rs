//! The entries on the disk.

use std::path::{Path, PathBuf};

use super::{Answer, Journal, Kept, Replayed};
use crate::Clock;
use crate::store::directory::{FileName, blocking, corrupt, failed};
use crate::store::{AccountName, Commit, RotationStore, StoreError};

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

    pub(super) async fn replay_one(
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
        // Somebody else was quicker.
        let Some(decoded) = read.await? else {
            return Ok(());
        };
        let (name, answer) = match decoded {
            Ok(entry) => entry,
            Err(error) => {
                let why = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, why, "an entry of the journal cannot be read");
                replayed.kept += 1;
                return Ok(());
            }
        };
        // Another account's, whose name has the same hash.
        if account.is_some_and(|account| *account != name) {
            return Ok(());
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
