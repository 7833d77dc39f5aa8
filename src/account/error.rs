use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::work::Untold;
use crate::Timestamp;
use crate::store::{AccountNameError, StoreError};
use crate::token::{ErrorCode, RateLimited, Unsent};

type Source = Arc<dyn Error + Send + Sync>;
type BoxError = Box<dyn Error + Send + Sync>;

/// The credential could not be refreshed.
///
/// A cheap clone: every request that waited gets the same one.
#[derive(Clone, Debug)]
pub struct RefreshError {
    kind: RefreshErrorKind,
    source: Option<Source>,
}

/// Why a credential could not be refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefreshErrorKind {
    /// An attempt failed lately (see the source); none is made before this moment.
    BackingOff {
        /// When the next attempt may be made.
        until: Timestamp,
    },
    /// The API refused a credential that was rotated a moment ago: refreshing cannot fix that.
    RotatedRecently,
    /// The refresh token was presented and the answer is lost. It is not presented again while
    /// that could end the grant.
    InDoubt,
    /// The refresh token is spent, expired or revoked, or there is none: the user must
    /// authorize again.
    ReauthorizationRequired,
    /// The token endpoint was not reached; nothing was sent. It is tried again after a back-off.
    Unsent,
    /// The token endpoint's rate limit is reached. The refresh token is not spent; it is tried
    /// again after the pause that the endpoint asks for.
    RateLimited,
    /// The token endpoint refused for a reason in the client's configuration, not in the token.
    Refused(ErrorCode),
    /// The token endpoint issued tokens that cannot be used. The new refresh token is kept.
    UnusableAnswer,
    /// The store could not be used. If a refresh token had been sent by then, the record says so, or
    /// is called in doubt once the store is back.
    Store,
    /// The refresh did not end in time. Either nothing was sent, or nobody drives the runtime that
    /// began the refresh, which may still end.
    TimedOut,
    /// The task or runtime that refreshed is gone.
    Interrupted,
    /// The account was shut down.
    Closed,
}

impl RefreshError {
    pub(super) fn new(kind: RefreshErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(super) fn closed() -> Self {
        Self::new(RefreshErrorKind::Closed)
    }

    pub(super) fn backing_off(until: Timestamp, cause: &Arc<RefreshError>) -> Self {
        // A cause that is itself a back-off was read from the record: its source is the real cause.
        let source = match (cause.kind, &cause.source) {
            (RefreshErrorKind::BackingOff { .. }, source) => source.clone(),
            _ => Some(Arc::clone(cause) as Source),
        };
        Self {
            kind: RefreshErrorKind::BackingOff { until },
            source,
        }
    }

    pub(super) fn with_source(kind: RefreshErrorKind, source: impl Into<BoxError>) -> Self {
        Self {
            kind,
            source: Some(Arc::from(source.into())),
        }
    }

    /// Why it failed.
    pub fn kind(&self) -> RefreshErrorKind {
        self.kind
    }
}

impl From<Untold> for RefreshError {
    fn from(untold: Untold) -> Self {
        Self::new(match untold {
            Untold::Interrupted => RefreshErrorKind::Interrupted,
            Untold::TimedOut => RefreshErrorKind::TimedOut,
        })
    }
}

impl From<StoreError> for RefreshError {
    fn from(error: StoreError) -> Self {
        Self {
            kind: RefreshErrorKind::Store,
            source: Some(Arc::new(error)),
        }
    }
}

impl From<Unsent> for RefreshError {
    fn from(error: Unsent) -> Self {
        Self {
            kind: RefreshErrorKind::Unsent,
            source: Some(Arc::new(error)),
        }
    }
}

impl From<RateLimited> for RefreshError {
    fn from(error: RateLimited) -> Self {
        Self {
            kind: RefreshErrorKind::RateLimited,
            source: Some(Arc::new(error)),
        }
    }
}

impl fmt::Display for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            RefreshErrorKind::BackingOff { until } => {
                write!(f, "the last refresh failed; the next is tried at {until}")
            }
            RefreshErrorKind::RotatedRecently => {
                f.write_str("the API refused a credential that was refreshed a moment ago")
            }
            RefreshErrorKind::InDoubt => {
                f.write_str("the answer to the last refresh is lost and its refresh token in doubt")
            }
            RefreshErrorKind::ReauthorizationRequired => {
                f.write_str("the refresh token is of no use: the user must authorize again")
            }
            RefreshErrorKind::Unsent => f.write_str("the token endpoint was not reached"),
            RefreshErrorKind::RateLimited => f.write_str(
                "the token endpoint's rate limit is reached; the refresh token is kept for later",
            ),
            RefreshErrorKind::Refused(code) => write!(f, "the token endpoint refused: {code}"),
            RefreshErrorKind::UnusableAnswer => {
                f.write_str("the token endpoint issued tokens that cannot be used")
            }
            RefreshErrorKind::Store => f.write_str("the token store could not be used"),
            RefreshErrorKind::TimedOut => f.write_str("the refresh did not end in time"),
            RefreshErrorKind::Interrupted => f.write_str("the refresh was interrupted"),
            RefreshErrorKind::Closed => {
                f.write_str("the account was shut down, or the request was given none")
            }
        }
    }
}

impl Error for RefreshError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// An account could not be opened, authorized or revoked.
#[derive(Debug)]
pub struct AccountError {
    kind: AccountErrorKind,
    source: Option<Source>,
}

/// What kind of failure an [`AccountError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccountErrorKind {
    /// The name cannot name an account.
    Name,
    /// The store has no such account, and no tokens were given to start it with.
    NotAuthorized,
    /// The tokens given cannot sign.
    Credential,
    /// The store could not be used.
    Store,
    /// The authorization code was not sent: try again with the same code.
    CodeUnsent,
    /// The token endpoint's rate limit is reached. The authorization code is not spent: try again
    /// with the same code.
    CodeRateLimited {
        /// When the endpoint lets itself be asked again.
        until: Timestamp,
    },
    /// The token endpoint refused the authorization code or the client.
    CodeRefused(ErrorCode),
    /// The answer to the authorization code is lost: the user must authorize again.
    CodeInDoubt,
    /// The task that exchanged the code, or opened the account, is gone, with its runtime.
    Interrupted,
    /// The account was not opened or authorized in time: nobody drives the runtime that began it.
    /// Should it be driven again, it still may be.
    TimedOut,
    /// The [`Accounts`](super::Accounts) were shut down: none is opened any more.
    Closed,
}

impl AccountError {
    pub(super) fn new(kind: AccountErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(super) fn with_source(kind: AccountErrorKind, source: impl Into<BoxError>) -> Self {
        Self {
            kind,
            source: Some(Arc::from(source.into())),
        }
    }

    /// Callers that wait for an account to be opened wait as for a flight, and are told this.
    pub(super) fn into_refresh_error(self) -> RefreshError {
        let kind = match self.kind {
            AccountErrorKind::NotAuthorized => RefreshErrorKind::ReauthorizationRequired,
            _ => RefreshErrorKind::Store,
        };
        let source = self.source;
        RefreshError { kind, source }
    }

    /// What they make of it.
    pub(super) fn from_refresh_error(error: RefreshError) -> Self {
        let kind = match error.kind {
            RefreshErrorKind::ReauthorizationRequired => AccountErrorKind::NotAuthorized,
            RefreshErrorKind::Interrupted => AccountErrorKind::Interrupted,
            RefreshErrorKind::Closed => AccountErrorKind::Closed,
            _ => AccountErrorKind::Store,
        };
        let source = error.source;
        Self { kind, source }
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> AccountErrorKind {
        self.kind
    }
}

impl From<Untold> for AccountError {
    fn from(untold: Untold) -> Self {
        Self::new(match untold {
            Untold::Interrupted => AccountErrorKind::Interrupted,
            Untold::TimedOut => AccountErrorKind::TimedOut,
        })
    }
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> Self {
        Self {
            kind: AccountErrorKind::Store,
            source: Some(Arc::new(error)),
        }
    }
}

impl From<AccountNameError> for AccountError {
    fn from(error: AccountNameError) -> Self {
        Self {
            kind: AccountErrorKind::Name,
            source: Some(Arc::new(error)),
        }
    }
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            AccountErrorKind::Name => f.write_str("the name cannot name an account"),
            AccountErrorKind::NotAuthorized => f.write_str(
                "the store has no such account: authorize it with a code, or give tokens to start with",
            ),
            AccountErrorKind::Credential => f.write_str("the tokens given cannot sign"),
            AccountErrorKind::Store => f.write_str("the token store could not be used"),
            AccountErrorKind::CodeUnsent => f.write_str("the authorization code was not sent"),
            AccountErrorKind::CodeRateLimited { until } => write!(
                f,
                "the token endpoint's rate limit is reached and the authorization code not spent; \
                 try it again at {until}"
            ),
            AccountErrorKind::CodeRefused(code) => {
                write!(f, "the token endpoint refused the authorization code: {code}")
            }
            AccountErrorKind::CodeInDoubt => f.write_str(
                "the answer to the authorization code is lost: the user must authorize again",
            ),
            AccountErrorKind::Interrupted => {
                f.write_str("the task that opened or authorized the account was interrupted")
            }
            AccountErrorKind::TimedOut => {
                f.write_str("the account was not opened or authorized in time")
            }
            AccountErrorKind::Closed => f.write_str("the accounts were shut down"),
        }
    }
}

impl Error for AccountError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
