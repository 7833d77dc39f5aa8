use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A step of a [`RecordStore`](super::RecordStore) failed.
#[derive(Clone, Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    what: &'static str,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What kind of failure a [`StoreError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store cannot be reached or did not answer; the step may have happened.
    Unavailable,
    /// The record is there and cannot be read. It was left as it is, and no authorization replaces
    /// it. If it cannot be mended, [`revoke`](super::RecordStore::revoke) on the store gives it up;
    /// then the user can authorize again.
    Corrupt,
    /// What was to be the store cannot keep records safely, or keeps others. Nothing was changed.
    Unsuitable,
}

impl StoreError {
    /// A failure of `kind` while doing `what` (a few words, no secrets).
    pub fn new(kind: StoreErrorKind, what: &'static str) -> Self {
        Self {
            kind,
            what,
            source: None,
        }
    }

    /// Keeps the error underneath. Its text is shown to users: it must hold no secret.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            StoreErrorKind::Unavailable => "the store is unavailable",
            StoreErrorKind::Corrupt => "the stored record cannot be read",
            StoreErrorKind::Unsuitable => "the store is not suitable",
        };
        write!(f, "{kind}: {}", self.what)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
