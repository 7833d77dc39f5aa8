use std::time::Duration;

use super::{Generation, Grant};

/// A grant as it is issued: what [`RecordStore::commit`](super::RecordStore::commit) writes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Issued {
    /// The generation it becomes.
    pub generation: Generation,
    /// See [`Record::lineage`](super::Record::lineage).
    pub lineage: Generation,
    /// The secrets.
    pub grant: Grant,
    /// The rest of the access token's life; `None` without one, or if it is not known.
    pub expires_in: Option<Duration>,
    /// The rest of the refresh token's life; `None` without one, or if it is not known.
    pub refresh_expires_in: Option<Duration>,
}

impl Issued {
    /// By a user's authorization, or given to the program at its start.
    pub fn authorized(
        generation: Generation,
        grant: impl Into<Grant>,
        expires_in: Option<Duration>,
    ) -> Self {
        Self::rotated(generation, generation, grant, expires_in)
    }

    /// By the token endpoint for the refresh token of a grant of this lineage.
    pub fn rotated(
        generation: Generation,
        lineage: Generation,
        grant: impl Into<Grant>,
        expires_in: Option<Duration>,
    ) -> Self {
        Self {
            generation,
            lineage,
            grant: grant.into(),
            expires_in,
            refresh_expires_in: None,
        }
    }
}
