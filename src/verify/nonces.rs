use std::error::Error;
use std::fmt;

use super::{MacAuthorization, ReplayGuard, VerifyError, VerifyErrorKind};
use crate::Timestamp;

/// Where nonces are claimed, so that each works once: in this process ([`ReplayGuard`]), or for many
/// servers together (`store::redis::RedisNonces`).
pub trait NonceStore: Send + Sync + 'static {
    /// Claims the nonce of a request whose MAC was checked, at this moment.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Refused`] if its moment lies outside of what is taken, or it was claimed before.
    /// [`ClaimError::Unavailable`] if that cannot be found out, or it cannot be remembered.
    fn claim(
        &self,
        authorization: &MacAuthorization,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), ClaimError>> + Send;
}

/// Why a nonce could not be claimed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClaimError {
    /// It must not be taken.
    Refused(VerifyError),
    /// Nobody can tell whether it may be taken: the request is not let through, and may be made again
    /// with another.
    Unavailable(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused(_) => "the nonce is refused",
            Self::Unavailable(_) => "the nonce cannot be claimed now",
        })
    }
}

impl Error for ClaimError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Unavailable(error) => Some(&**error),
        }
    }
}

impl NonceStore for ReplayGuard {
    async fn claim(
        &self,
        authorization: &MacAuthorization,
        now: Timestamp,
    ) -> Result<(), ClaimError> {
        self.admit(authorization, now)
            .map_err(|error| match error.kind() {
                VerifyErrorKind::Full => ClaimError::Unavailable(error.into()),
                _ => ClaimError::Refused(error),
            })
    }
}
