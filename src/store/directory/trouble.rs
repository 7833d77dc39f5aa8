//! Errors that say which file it is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::store::error::{self, unavailable};
use crate::store::{StoreError, StoreErrorKind};

pub(super) fn stuck(path: &Path) -> StoreError {
    let why = "its lock has been held by somebody else for 10 seconds";
    unavailable("the directory is locked").with_source(FileTrouble::new(path, why))
}

pub(in crate::store) fn failed(
    what: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> StoreError {
    move |error| {
        let kind = match error.kind() {
            // Trying again does not help.
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StoreErrorKind::Unsuitable
            }
            _ => StoreErrorKind::Unavailable,
        };
        StoreError::new(kind, what).with_source(FileTrouble::new(path, error))
    }
}

pub(in crate::store) fn corrupt(
    what: &'static str,
    path: &Path,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    error::corrupt(what).with_source(FileTrouble::new(path, why))
}

/// Which file, and what is the matter with it.
#[derive(Debug)]
pub(in crate::store) struct FileTrouble {
    path: PathBuf,
    why: Box<dyn std::error::Error + Send + Sync>,
}

impl FileTrouble {
    pub(in crate::store) fn new(
        path: &Path,
        why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            why: why.into(),
        }
    }
}

impl fmt::Display for FileTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for FileTrouble {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // Itself it was told with the path.
        self.why.source()
    }
}
