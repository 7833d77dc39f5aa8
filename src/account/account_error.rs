use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::kinds::kinds;
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

kinds! {
    /// What kind of failure an [`AccountError`] is.
    pub enum AccountErrorKind {
        /// The name cannot name an account.
        Name = "name", "the name cannot name an account";
        /// The store has no such account, and no tokens were given to start it with.
        NotAuthorized =
            "not_authorized",
            "the store has no such account: authorize it with a code, or give tokens to start with";
        /// The tokens given cannot sign.
        Credential = "credential", "the tokens given cannot sign";
        /// The store could not be used.
        Store = "store", "the token store could not be used";
        /// The authorization code was not sent: try again with the same code.
        CodeUnsent = "code_unsent", "the authorization code was not sent";
        /// The token endpoint's rate limit is reached. The authorization code is not spent: try again
        /// with the same code.
        CodeRateLimited {
            /// When the endpoint lets itself be asked again.
            until: Timestamp
        } =
            "code_rate_limited",
            "the token endpoint's rate limit is reached and the authorization code not spent; \
            try it again at {until}";
        /// The token endpoint refused the authorization code or the client. The source is a
        /// [`Refused`](crate::provider::Refused), with the code.
        CodeRefused =
            "code_refused", "the token endpoint refused the authorization code, or the client";
        /// The answer to the authorization code is lost, or does not say whose the tokens are while the
        /// account has a user's: the user must authorize again.
        CodeInDoubt =
            "code_in_doubt",
            "the answer to the authorization code is lost: the user must authorize again";
        /// The tokens are another user's than those that the account has: nothing was changed. If that is
        /// meant, [revoke](super::Account::revoke) the account first.
        OtherUser =
            "other_user",
            "the tokens are another user's than those that the account has: nothing was changed";
        /// The tokens were given no name: see [`Accounts::authorize_as`](super::Accounts::authorize_as).
        Unnamed = "unnamed", "the tokens were given no account's name";
        /// The provider, or its endpoint, cannot be used as it is configured.
        Endpoint = "endpoint", "the token endpoint cannot be used as it is configured";
        /// The task that exchanged the code, or opened the account, is gone, with its runtime.
        Interrupted =
            "interrupted", "the task that opened or authorized the account was interrupted";
        /// The account was not opened or authorized in time: nobody drives the runtime that began it.
        /// Should it be driven again, it still may be.
        TimedOut = "timed_out", "the account was not opened or authorized in time";
        /// The [`Accounts`](super::Accounts) were shut down: none is opened any more.
        Closed = "closed", "the accounts were shut down";
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
            source: Some(Arc::from(source.into())),
            ..Self::new(kind)
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
            source: error.source,
            ..Self::new(kind)
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
        Self::with_source(AccountErrorKind::Store, error)
    }
}

impl From<EndpointError> for AccountError {
    fn from(error: EndpointError) -> Self {
        Self::with_source(AccountErrorKind::Endpoint, error)
    }
}

impl From<AccountNameError> for AccountError {
    fn from(error: AccountNameError) -> Self {
        Self::with_source(AccountErrorKind::Name, error)
    }
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.tell(f)
    }
}

impl Error for AccountError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
