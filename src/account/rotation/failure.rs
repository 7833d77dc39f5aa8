use std::time::Duration;

use crate::account::RefreshError;

/// How a rotation failed, and what that means for the next.
#[derive(Debug)]
pub(in crate::account) enum Failure {
    /// The refresh token is not spent; try again later.
    Retry {
        error: RefreshError,
        after: Duration,
    },
    /// The refresh token may be spent. `again_after`: how long until a dead account may present it
    /// again.
    InDoubt {
        again_after: Option<Duration>,
        why: String,
    },
    /// The refresh token is of no use.
    Revoked { why: String },
    /// The account is being shut down.
    Closed,
}

impl Failure {
    pub(in crate::account) fn retry(error: impl Into<RefreshError>, after: Duration) -> Self {
        Self::Retry {
            error: error.into(),
            after,
        }
    }
}
