use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::work::Untold;
use super::{RefreshError, RefreshErrorKind};
use crate::Timestamp;
use crate::provider::{EndpointError, TokenSet};
use crate::store::{AccountNameError, StoreError};

type Source = Arc<dyn Error + Send + Sync>;
type BoxError = Box<dyn Error + Send + Sync>;

/// An account could not be opened, authorized or revoked.
#[derive(Debug)]
pub struct AccountError {
    kind: AccountErrorKind,
    source: Option<Source>,
    tokens: Option<Box<TokenSet>>,
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
    /// The token endpoint refused the authorization code or the client. The source is a
    /// [`Refused`](crate::provider::Refused), with the code.
    CodeRefused,
    /// The answer to the authorization code is lost, or does not say whose the tokens are while the
    /// account has a user's: the user must authorize again.
    CodeInDoubt,
    /// The tokens are another user's than those that the account has: nothing was changed. If that is
    /// meant, [revoke](super::Account::revoke) the account first.
    OtherUser,
    /// The tokens were given no name: see [`Accounts::authorize_as`](super::Accounts::authorize_as).
    Unnamed,
    /// The provider, or its endpoint, cannot be used as it is configured.
    Endpoint,
    /// The task that exchanged the code, or opened the account, is gone, with its runtime.
    Interrupted,
    /// The account was not opened or authorized in time: nobody drives the runtime that began it.
    /// Should it be driven again, it still may be.
    TimedOut,
    /// The [`Accounts`](super::Accounts) were shut down: none is opened any more.
    Closed,
}

impl AccountErrorKind {
    /// The name of this kind, for labels: `not_authorized`, for one.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::NotAuthorized => "not_authorized",
            Self::Credential => "credential",
            Self::Store => "store",
            Self::CodeUnsent => "code_unsent",
            Self::CodeRateLimited { .. } => "code_rate_limited",
            Self::CodeRefused => "code_refused",
            Self::CodeInDoubt => "code_in_doubt",
            Self::OtherUser => "other_user",
            Self::Unnamed => "unnamed",
            Self::Endpoint => "endpoint",
            Self::Interrupted => "interrupted",
            Self::TimedOut => "timed_out",
            Self::Closed => "closed",
        }
    }
}

impl AccountError {
    pub(super) fn new(kind: AccountErrorKind) -> Self {
        Self {
            kind,
            source: None,
            tokens: None,
        }
    }

    pub(super) fn with_source(kind: AccountErrorKind, source: impl Into<BoxError>) -> Self {
        Self {
            kind,
            source: Some(Arc::from(source.into())),
            tokens: None,
        }
    }

    /// With tokens that were issued and have no place yet.
    pub(super) fn with_tokens(mut self, tokens: Option<TokenSet>) -> Self {
        self.tokens = tokens.map(Box::new);
        self
    }

    /// The tokens that could not be put into the account, if there are any: only the caller has them
    /// now. [`install`](super::Account::install) them.
    pub fn into_tokens(self) -> Option<TokenSet> {
        self.tokens.map(|tokens| *tokens)
    }

    /// Callers that wait for an account to be opened wait as for a flight, and are told this.
    pub(super) fn into_refresh_error(self) -> RefreshError {
        let kind = match self.kind {
            AccountErrorKind::NotAuthorized => RefreshErrorKind::ReauthorizationRequired,
            _ => RefreshErrorKind::Store,
        };
        let mut error = RefreshError::new(kind);
        error.source = self.source;
        error
    }

    /// What they make of it.
    pub(super) fn from_refresh_error(error: RefreshError) -> Self {
        let kind = match error.kind {
            RefreshErrorKind::ReauthorizationRequired => AccountErrorKind::NotAuthorized,
            RefreshErrorKind::Interrupted => AccountErrorKind::Interrupted,
            RefreshErrorKind::Closed => AccountErrorKind::Closed,
            _ => AccountErrorKind::Store,
        };
        Self {
            kind,
            source: error.source,
            tokens: None,
        }
    }

    /// Whether the user has to authorize, for the first time or anew.
    pub fn needs_authorization(&self) -> bool {
        use AccountErrorKind::{CodeInDoubt, CodeRefused, NotAuthorized};
        matches!(self.kind, NotAuthorized | CodeRefused | CodeInDoubt)
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
            tokens: None,
        }
    }
}

impl From<EndpointError> for AccountError {
    fn from(error: EndpointError) -> Self {
        Self::with_source(AccountErrorKind::Endpoint, error)
    }
}

impl From<AccountNameError> for AccountError {
    fn from(error: AccountNameError) -> Self {
        Self {
            kind: AccountErrorKind::Name,
            source: Some(Arc::new(error)),
            tokens: None,
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
            AccountErrorKind::CodeRefused => {
                f.write_str("the token endpoint refused the authorization code, or the client")
            }
            AccountErrorKind::OtherUser => f.write_str(
                "the tokens are another user's than those that the account has: nothing was changed",
            ),
            AccountErrorKind::Unnamed => f.write_str("the tokens were given no account's name"),
            AccountErrorKind::Endpoint => {
                f.write_str("the token endpoint cannot be used as it is configured")
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

#[cfg(test)]
mod tests {
    use super::*;

    /// All of them, in turn: a new one does not compile until it is here.
    fn next(kind: &AccountErrorKind) -> Option<AccountErrorKind> {
        use AccountErrorKind as Kind;
        let until = Timestamp::EPOCH;
        Some(match kind {
            Kind::Name => Kind::NotAuthorized,
            Kind::NotAuthorized => Kind::Credential,
            Kind::Credential => Kind::Store,
            Kind::Store => Kind::CodeUnsent,
            Kind::CodeUnsent => Kind::CodeRateLimited { until },
            Kind::CodeRateLimited { .. } => Kind::CodeRefused,
            Kind::CodeRefused => Kind::CodeInDoubt,
            Kind::CodeInDoubt => Kind::OtherUser,
            Kind::OtherUser => Kind::Unnamed,
            Kind::Unnamed => Kind::Endpoint,
            Kind::Endpoint => Kind::Interrupted,
            Kind::Interrupted => Kind::TimedOut,
            Kind::TimedOut => Kind::Closed,
            Kind::Closed => return None,
        })
    }

    #[test]
    fn the_guide_says_what_to_do_about_every_kind() {
        let guide = include_str!("../guide/errors.md");
        for kind in std::iter::successors(Some(AccountErrorKind::Name), next) {
            let text = AccountError::new(kind).to_string();
            let text = text.replace(&Timestamp::EPOCH.to_string(), "…");
            assert!(guide.contains(&format!("| `{text}` |")), "{text}");
        }
    }
}
