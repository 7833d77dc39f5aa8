use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::authorize::standing;
use super::hearing::Listener;
use super::knobs::Knobs;
use super::rotation::bounded;
use super::state::AccountState;
use super::{Account, AccountError, AccountErrorKind, Accounts};
use crate::provider::{Provider, TokenSet, Xiaomi};
use crate::store::{AccountName, Commit, Generation, Issued, RecordStore as _};
use crate::token::TokenEndpoint;
use crate::{AuthorizationCode, RefreshToken};

/// Opens an [`Account`]. See the [module docs](super).
#[must_use = "a builder does nothing until an account is opened or authorized"]
pub struct AccountBuilder<P: Provider = Xiaomi> {
    pub(super) knobs: Knobs<P>,
    /// What to start with, if the store does not know the account.
    first: Option<Issued>,
}

/// Makes [`Accounts`]: the knobs are those of an [`AccountBuilder`]. See the [module docs](super).
#[must_use = "a builder does nothing until it is built"]
pub struct AccountsBuilder<P: Provider = Xiaomi> {
    pub(super) knobs: Knobs<P>,
    capacity: usize,
}

impl<P: Provider> AccountBuilder<P> {
    pub(super) fn new(endpoint: TokenEndpoint<P>) -> Self {
        Self {
            knobs: Knobs::new(endpoint),
            first: None,
        }
    }

    /// An account of this name, of which nothing is known yet.
    fn unopened(self, name: AccountName) -> (Arc<AccountState<P>>, Option<Issued>) {
        let context = self.knobs.context();
        let account = Arc::new(AccountState::unopened(&context, name));
        let listener: Weak<dyn Listener> = Arc::downgrade(&account) as _;
        context.hear(listener);
        (account, self.first)
    }

    /// Tokens to start with, if the store does not know the account yet. If it does, its record
    /// counts, because the refresh token among these may be spent: see [`Account::ignored_tokens`].
    pub fn tokens(mut self, tokens: TokenSet) -> Self {
        let (life, refresh_life) = (tokens.expires_in, tokens.refresh_expires_in);
        let mut first = Issued::authorized(Generation::FIRST, tokens, life);
        first.refresh_expires_in = refresh_life;
        self.first = Some(first);
        self
    }

    /// A bare refresh token to start with, if the store does not know the account yet. The first
    /// request spends it.
    pub fn refresh_token(mut self, refresh_token: impl Into<RefreshToken>) -> Self {
        let grant = refresh_token.into();
        self.first = Some(Issued::authorized(Generation::FIRST, grant, None));
        self
    }

    /// Opens the account as the store knows it, or with the tokens given.
    ///
    /// # Errors
    ///
    /// If the name cannot name an account, the store fails, the store does not know the account
    /// and no tokens were given, or the tokens given cannot sign.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer on.
    ///
    /// # Cancel safety
    ///
    /// A dropped future opens nothing. The tokens given may be in the store by then.
    pub async fn open(self, name: &str) -> Result<Account<P>, AccountError> {
        let name = AccountName::new(name)?;
        let endpoint = &self.knobs.endpoint;
        endpoint.check()?;
        if let Some(Issued { grant, .. }) = &self.first
            && grant.access.is_some()
        {
            let credential = endpoint.provider().credential(grant);
            credential.map_err(|e| AccountError::with_source(AccountErrorKind::Credential, e))?;
        }
        let (account, first) = self.unopened(name);
        let (context, name) = (&account.context, &account.name);
        let record = match (standing(context, name).await?, first) {
            (Some(record), given) => {
                if let (Some(given), Ok(grant)) = (given, record.grant())
                    && !grant.has_tokens_of(&given.grant)
                {
                    tracing::warn!(account = %name, "the tokens given are not taken: the store has others");
                    account.ignored_tokens.store(true, Ordering::Relaxed);
                }
                record
            }
            (None, Some(mut first)) => {
                first.grant.client_id = Some(Arc::clone(&context.client_id));
                let commit = context.store.commit(name, first);
                let commit = bounded(&*context.clock, &context.policy, commit).await?;
                let (Commit::Committed(record) | Commit::Superseded(record)) = commit;
                record
            }
            (None, None) => return Err(AccountError::new(AccountErrorKind::NotAuthorized)),
        };
        account.open(record)?;
        Ok(Account(account))
    }

    /// Exchanges an authorization code for the first tokens, or for new ones, and opens the
    /// account with them. See [`Account::authorize`].
    ///
    /// # Errors
    ///
    /// As [`Account::authorize`], and if the name cannot name an account.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its timer on.
    ///
    /// # Cancel safety
    ///
    /// The exchange goes on if the future is dropped, and the new tokens go into the store.
    pub async fn authorize(
        self,
        name: &str,
        code: impl Into<AuthorizationCode>,
    ) -> Result<Account<P>, AccountError> {
        let name = AccountName::new(name)?;
        self.knobs.endpoint.check()?;
        let account = Account(self.unopened(name).0);
        account.authorize(code).await?;
        Ok(account)
    }
}

impl<P: Provider> AccountsBuilder<P> {
    pub(super) fn new(endpoint: TokenEndpoint<P>) -> Self {
        Self {
            knobs: Knobs::new(endpoint),
            capacity: 100_000,
        }
    }

    /// How many accounts stay open. If more are open, those that nobody holds and that were not asked
    /// for longest are closed; they are opened again when they are next asked for. Accounts that
    /// somebody holds stay open however many they are. Default: 100,000.
    pub fn capacity(mut self, accounts: usize) -> Self {
        self.capacity = accounts;
        self
    }

    /// The accounts, none of them open yet.
    pub fn build(self) -> Accounts<P> {
        Accounts::new(self.knobs.context(), self.capacity)
    }
}
