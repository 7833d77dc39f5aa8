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

/// All that an error says, down to its root.
#[cfg(any(test, feature = "postgres"))]
pub(super) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let all = std::iter::successors(Some(error), |&error| error.source());
    let all: Vec<_> = all.map(ToString::to_string).collect();
    all.join(": ")
}

pub(super) fn unavailable(what: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, what)
}

pub(crate) fn corrupt(what: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, what)
}

pub(crate) fn unsuitable(what: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unsuitable, what)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// All of them, in turn: a new one does not compile until it is here.
    fn next(kind: StoreErrorKind) -> Option<StoreErrorKind> {
        match kind {
            StoreErrorKind::Unavailable => Some(StoreErrorKind::Corrupt),
            StoreErrorKind::Corrupt => Some(StoreErrorKind::Unsuitable),
            StoreErrorKind::Unsuitable => None,
        }
    }

    #[test]
    fn the_guide_says_what_to_do_about_every_kind() {
        let guide = include_str!("../guide/errors.md");
        for kind in std::iter::successors(Some(StoreErrorKind::Unavailable), |it| next(*it)) {
            let text = StoreError::new(kind, "").to_string();
            let text = text.trim_end_matches(": ");
            assert!(guide.contains(&format!("| `{text}` |")), "{text}");
        }
    }
}
