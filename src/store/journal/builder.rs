use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Inner, Journal};
#[cfg(feature = "seal")]
use crate::store::Keyring;
use crate::store::StoreError;
use crate::store::directory::{Directory, Disk, blocking};

const KIND: &str = "journal";

/// Opens a [`Journal`].
#[must_use = "a builder does nothing until the journal is opened"]
pub struct JournalBuilder {
    path: PathBuf,
    label: Option<String>,
    pub(super) disk: Disk,
    #[cfg(feature = "seal")]
    keys: Option<Keyring>,
}

impl JournalBuilder {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            path: dir.to_owned(),
            label: None,
            disk: Disk::default(),
            #[cfg(feature = "seal")]
            keys: None,
        }
    }

    /// As [`FileStoreBuilder::label`](crate::store::FileStoreBuilder::label).
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
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
    /// As [`FileStoreBuilder::open`](crate::store::FileStoreBuilder::open).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may leave the directory made and empty.
    pub async fn open(self) -> Result<Journal, StoreError> {
        let (path, label, disk) = (self.path, self.label, self.disk);
        let open = move || Directory::open(&path, KIND, label.as_deref(), disk);
        Ok(Journal(Arc::new(Inner {
            directory: blocking(open).await?,
            #[cfg(feature = "seal")]
            keys: self.keys,
        })))
    }
}

impl fmt::Debug for JournalBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalBuilder")
            .field("path", &self.path)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}
