//! The entries on the disk.

use std::path::{Path, PathBuf};

use super::{Answer, Journal, Kept, Recovered};
use crate::Clock;
use crate::store::directory::{FileName, FileTrouble, SUFFIX, blocking};
use crate::store::error::unsuitable;
use crate::store::{AccountName, Commit, RecordStore, StoreError};

impl Journal {
    /// The entries in a shard whose names begin so.
    pub(super) fn entries(&self, shard: u8, begin: &str) -> Result<Vec<PathBuf>, StoreError> {
        let (stems, shard) = (
            self.0.directory.stems(shard)?,
            self.0.directory.shard(shard),
        );
        let stems = stems.into_iter().filter(|stem| stem.starts_with(begin));
        Ok(stems
            .map(|stem| shard.join(format!("{stem}{SUFFIX}")))
            .collect())
    }

    /// Settles one entry: of any account, or of this one of this client.
    ///
    /// # Errors
    ///
    /// If the entry cannot be read, or is another client's, or the store fails. Then it stays.
    pub(super) async fn recover_one(
        &self,
        path: &Path,
        account: Option<(&AccountName, &str)>,
        store: &impl RecordStore,
        clock: &dyn Clock,
        recovered: &mut Recovered,
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
        let expected = match account {
            Some((_, client)) => Some(client.into()),
            None => match store.load(&name).await?.into_record()? {
                Some(standing) => standing.grant()?.client_id.clone(),
                None => None,
            },
        };
        if let (Some(owner), Some(expected)) = (&answer.grant.client_id, expected)
            && *owner != expected
        {
            let what = "the journal holds another client's answer";
            let trouble = FileTrouble::new(path, format!("client {owner:?}, not {expected:?}"));
            return Err(unsuitable(what).with_source(trouble));
        }
        match answer.settle(&name, store, clock).await? {
            Some(Commit::Committed(record)) => {
                let generation = record.generation;
                tracing::warn!(account = %name, %generation, "taken from the journal into the store");
                recovered.committed += 1;
            }
            Some(Commit::Superseded(_)) => recovered.superseded += 1,
            None => {
                tracing::warn!(account = %name, "the store has another grant of the generation of an entry of the journal");
                recovered.kept += 1;
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
        Answer::decode(bytes, path, |account, generation, secrets| {
            self.0.open(account, generation, secrets)
        })
    }
}
