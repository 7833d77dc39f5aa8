//! Many accounts in one process, opened on demand.

mod open;

use std::fmt;
use std::sync::{Arc, Weak};

use self::open::OpenAccounts;
use super::authorize::{self, Brought};
use super::context::Context;
use super::hearing::Listener;
use super::state::shut_down;
use super::tasks::settle;
use super::{Account, AccountError, AccountErrorKind, AccountEvent, AccountsBuilder, Events};
use crate::AuthorizationCode;
use crate::provider::{Provider, TokenSet, Xiaomi};
use crate::store::{RecordStore, StoreError};
use crate::token::TokenEndpoint;

/// How many events of all accounts a slow reader may fall behind.
const EVENTS: usize = 1024;

/// The accounts of many users at one token endpoint, opened on demand by their names.
///
/// All who ask for an account, however many at once, get handles of the same account, which is read
/// from the store once. It stays open while somebody holds a handle, while it is refreshed, and after
/// that until [room is needed](AccountsBuilder::capacity). A cheap clone: all clones are the same
/// accounts. See the [module docs](super#many-users).
pub struct Accounts<P: Provider = Xiaomi>(pub(super) Arc<OpenAccounts<P>>);

impl<P: Provider> Accounts<P> {
    /// Starts the accounts with a provider, or at a [`TokenEndpoint`] that others share. The knobs are
    /// those of an [`Account`].
    pub fn builder(provider: impl Into<TokenEndpoint<P>>) -> AccountsBuilder<P> {
        AccountsBuilder::new(provider.into())
    }

    /// The provider.
    pub fn provider(&self) -> &P {
        self.0.context().endpoint.provider()
    }

    pub(super) fn new(context: Arc<Context<P>>, capacity: usize) -> Self {
        let open = Arc::new(OpenAccounts::new(context, capacity));
        let listener: Weak<dyn Listener> = Arc::downgrade(&open) as _;
        open.context().hear(listener);
        Self(open)
    }

    /// The account of this name; opens it from the store if it is not open, and reads its record again
    /// if another process was heard to have [written it](super#many-processes).
    ///
    /// # Errors
    ///
    /// If the name cannot name an account, the store fails or does not know the account
    /// ([`NotAuthorized`](super::AccountErrorKind::NotAuthorized): [authorize](Self::authorize) it), or
    /// it is not open and the accounts were shut down. No failure is remembered: the next call asks the
    /// store again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the account is opened for the others who wait.
    pub async fn get(&self, name: &str) -> Result<Account<P>, AccountError> {
        if let Some(account) = self.peek(name) {
            if account.0.cell.has_heard() {
                account.0.look().await;
            }
            return Ok(account);
        }
        let account = self.0.entry(name)?;
        let opened = self.0.opened(&account).await;
        self.settled(Account(account), opened)
    }

    /// The account of this name, if it is open. It allocates nothing and asks nobody.
    pub fn peek(&self, name: &str) -> Option<Account<P>> {
        self.0.find(name).map(Account)
    }

    /// Exchanges an authorization code for the account's first tokens, or for new ones, and opens
    /// it. See [`Account::authorize`].
    ///
    /// # Errors
    ///
    /// As [`Account::authorize`], and if the name cannot name an account or the accounts were shut
    /// down.
    ///
    /// # Cancel safety
    ///
    /// The exchange goes on if the future is dropped, and the new tokens go into the store.
    pub async fn authorize(
        &self,
        name: &str,
        code: impl Into<AuthorizationCode>,
    ) -> Result<Account<P>, AccountError> {
        let account = Account(self.0.entry(name)?);
        let authorized = account.authorize(code).await;
        self.settled(account, authorized)
    }

    /// Exchanges an authorization code, and only then finds out whose it is: `name` is asked for the
    /// account's name once the tokens are there, with the [subject](TokenSet::subject) and all else
    /// that the provider sent. Puts them into the account of that name, as
    /// [`authorize`](Self::authorize) does.
    ///
    /// # Errors
    ///
    /// As [`authorize`](Self::authorize), and if `name` gives no name, or none that can name an account.
    /// If the code was exchanged by then, the tokens are in the [error](AccountError::into_tokens):
    /// nobody else has them, and [`install`](Self::install) puts them in.
    ///
    /// # Cancel safety
    ///
    /// It goes on if the future is dropped. But tokens that are given no name then are lost.
    pub async fn authorize_as(
        &self,
        code: impl Into<AuthorizationCode>,
        name: impl FnOnce(&TokenSet) -> Option<String> + Send + 'static,
    ) -> Result<Account<P>, AccountError> {
        // Before the code is spent.
        self.0.check_open()?;
        let (accounts, code) = (self.clone(), code.into());
        let work = async move {
            let brought = authorize::exchange(accounts.0.context(), &code).await?;
            let Some(tokens) = brought.tokens() else {
                // Only a refresh token could be read, which does not say whose it is.
                return Err(AccountError::new(AccountErrorKind::CodeInDoubt));
            };
            match name(tokens) {
                Some(name) => accounts.put(&name, brought).await,
                None => Err(brought.into_error(AccountErrorKind::Unnamed)),
            }
        };
        let context = self.0.context();
        context.outliving(&context.tasks, work).await?
    }

    /// Puts tokens into the account of this name that came another way: see [`Account::install`].
    ///
    /// # Errors
    ///
    /// As [`Account::install`], and if the name cannot name an account or the accounts were shut down.
    /// The tokens are in the [error](AccountError::into_tokens) then.
    ///
    /// # Cancel safety
    ///
    /// It goes on if the future is dropped.
    pub async fn install(&self, name: &str, tokens: TokenSet) -> Result<Account<P>, AccountError> {
        let context = self.0.context();
        let brought = (tokens, context.clock.now()).into();
        let (accounts, name) = (self.clone(), name.to_owned());
        let work = async move { accounts.put(&name, brought).await };
        context.outliving(&context.tasks, work).await?
    }

    async fn put(&self, name: &str, brought: Brought) -> Result<Account<P>, AccountError> {
        let account = match self.0.entry(name) {
            Ok(account) => Account(account),
            Err(error) => return Err(error.with_tokens(brought.tokens().cloned())),
        };
        let installed = authorize::install(Arc::clone(&account.0), brought).await;
        self.settled(account, installed)
    }

    /// The account, if that is what it came to.
    fn settled<T>(
        &self,
        account: Account<P>,
        done: Result<T, AccountError>,
    ) -> Result<Account<P>, AccountError> {
        match done {
            Ok(_) => {
                self.0.find(account.name().as_str());
                Ok(account)
            }
            Err(error) => {
                self.0.give_up(account.0);
                Err(error)
            }
        }
    }

    /// How many accounts are open, those included that are being opened.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the store can be used now: for a health check, as [`RecordStore::check`]. Accounts that
    /// are in doubt or revoked are no reason for a no.
    ///
    /// # Errors
    ///
    /// Why it cannot be used.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn check_store(&self) -> Result<(), StoreError> {
        self.0.context().store.check().await
    }

    /// The events of all accounts from now on, with their names.
    pub fn events(&self) -> Events<AccountEvent> {
        self.0.context().events.subscribe(EVENTS)
    }

    /// Opens no account any more, starts no refresh, and waits for all refreshes that have sent their
    /// refresh tokens until the new tokens are durable. Accounts that are open go on signing until
    /// their access tokens end.
    ///
    /// Call it before the process ends. See [`Account::shutdown`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: call it again to go on waiting.
    pub async fn shutdown(&self) {
        let open = self.0.close();
        shut_down(&open).await;
        let context = self.0.context();
        context.tasks.close();
        let limit = context.policy.longest_authorization();
        settle(&[("codes that are exchanged", &context.tasks)], limit).await;
        context.hearing.end().await;
    }
}

impl<P: Provider> Clone for Accounts<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Provider> fmt::Debug for Accounts<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("endpoint", &self.0.context().endpoint)
            .field("open", &self.len())
            .finish_non_exhaustive()
    }
}
