use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{ChangesFile, FileStore, Inner};
use crate::store::StoreError;
use crate::store::directory::{Directory, Disk, blocking};
use crate::{Clock, SystemClock};

const KIND: &str = "store";

/// Opens a [`FileStore`].
#[must_use = "a builder does nothing until the store is opened"]
pub struct FileStoreBuilder {
    path: PathBuf,
    label: Option<String>,
    clock: Arc<dyn Clock>,
    pub(super) disk: Disk,
}

impl FileStoreBuilder {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            path: dir.to_owned(),
            label: None,
            clock: Arc::new(SystemClock),
            disk: Disk::default(),
        }
    }

    /// What the directory is for, as you would name it: a client's id, say. It is written down in a
    /// new directory, and one that has another label, or none, is refused.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// A clock of your own. All processes on the directory must go by the same. Default:
    /// [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Opens the directory; makes it, and those above it, if it is not there.
    ///
    /// # Errors
    ///
    /// [`Unsuitable`] if others may write to the directory or a file in it and that cannot be
    /// changed, it belongs to another user, it is used
    /// for something else, this process may not write there, or the file system is read-only;
    /// [`Unavailable`] if it cannot be made, locked, written, or synced for another reason. All of
    /// that is tried out here, before any token is spent.
    ///
    /// [`Unsuitable`]: crate::store::StoreErrorKind::Unsuitable
    /// [`Unavailable`]: crate::store::StoreErrorKind::Unavailable
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may leave the directory made and empty.
    pub async fn open(self) -> Result<FileStore, StoreError> {
        let Self {
            path,
            label,
            clock,
            disk,
        } = self;
        let open = move || {
            let directory = Directory::open(&path, KIND, label.as_deref(), disk)?;
            let changes = Arc::new(ChangesFile::of(&directory)?);
            Ok(FileStore(Arc::new(Inner {
                directory,
                clock,
                changes,
                ahead: Mutex::default(),
            })))
        };
        blocking(open).await
    }
}

impl fmt::Debug for FileStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStoreBuilder")
            .field("path", &self.path)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}
