//! What a record holds in the place of its secrets.

use std::fmt;

use super::error::corrupt;
use super::{Grant, StoreError};

/// What a record holds in the place of its secrets. There is nothing else: whoever wraps a store must
/// know what to do with each.
#[derive(Clone, Debug)]
pub enum Secrets {
    /// The grant, in the clear.
    Open(Grant),
    /// A grant that a key is needed to read: what a sealing store wrote, and nobody has opened.
    Sealed(SealedGrant),
    /// Bytes that are no grant to whoever reads, and why. The rest of the record can be read, so it
    /// tells what supersedes what; but no account takes it, and only a revocation replaces it.
    Unreadable(StoreError),
}

impl Secrets {
    /// The grant, if it can be read.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](super::StoreErrorKind::Corrupt) if it is sealed, or cannot be read.
    pub fn grant(&self) -> Result<&Grant, StoreError> {
        match self {
            Self::Open(grant) => Ok(grant),
            _ => Err(self.unreadable()),
        }
    }

    /// Why there is no grant to be read.
    pub(super) fn unreadable(&self) -> StoreError {
        match self {
            Self::Unreadable(why) => why.clone(),
            _ => corrupt("it is sealed, and the store that was given has no key that opens it"),
        }
    }

    /// Whether they are this grant, in the clear.
    pub fn are(&self, other: &Grant) -> bool {
        matches!(self, Self::Open(grant) if grant == other)
    }
}

/// A [`Grant`] that a key is needed to read: opaque bytes of a sealing store.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedGrant(Box<[u8]>);

impl SealedGrant {
    /// Takes sealed bytes over.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into().into_boxed_slice())
    }

    /// The sealed bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SealedGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[sealed, {} bytes]", self.0.len())
    }
}
