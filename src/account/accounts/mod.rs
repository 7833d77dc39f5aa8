//! Many accounts in one process, opened on demand.

mod open;

use std::fmt;
use std::sync::{Arc, Weak};

use self::open::OpenAccounts;
use super::context::Context;
use super::hearing::Listener;
use super::state::shut_down;
use super::{Account, AccountError, AccountEvent, AccountsBuilder, Events};
use crate::AuthorizationCode;
use crate::token::TokenEndpoint;

/// How many events of all accounts a slow reader may fall behind.
const EVENTS: usize = 1024;

/// The accounts of many users at one token endpoint, opened on demand by their names.
///
/// All who ask for an account, however many at once, get handles of the same account, which is read
/// from the store once. It stays open while somebody holds a handle, while it is refreshed, and after
/// that until [room is needed](AccountsBuilder::capacity). A cheap clone: all clones are the same
/// accounts. See the [module docs](super#many-users).
#[derive(Clone)]
pub struct Accounts(Arc<OpenAccounts>);

impl Accounts {
    /// Starts the accounts at `endpoint`. The knobs are those of an [`Account`].
    pub fn builder(endpoint: TokenEndpoint) -> AccountsBuilder {
        AccountsBuilder::new(endpoint)
    }

    pub(super) fn new(context: Arc<Context>, capacity: usize) -> Self {
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
    /// the accounts were shut down. No failure is remembered: the next call asks the store again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the account is opened for the others who wait.
    pub async fn get(&self, name: &str) -> Result<Account, AccountError> {
        if let Some(account) = self.peek(name) {
            if account.0.cell.has_heard() {
                account.0.look().await;
            }
            return Ok(account);
        }
        let account = self.0.entry(name)?;
        match self.0.opened(&account).await {
            Ok(()) => {
                self.0.find(name);
                Ok(Account(account))
            }
            Err(error) => {
                self.0.give_up(account);
                Err(error)
            }
        }
    }

    /// The account of this name, if it is open. It allocates nothing and asks nobody.
    pub fn peek(&self, name: &str) -> Option<Account> {
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
    ) -> Result<Account, AccountError> {
        let account = Account(self.0.entry(name)?);
        match account.authorize(code).await {
            Ok(_) => {
                self.0.find(name);
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
        self.0.context().hearing.end().await;
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("endpoint", &self.0.context().endpoint)
            .field("open", &self.len())
            .finish_non_exhaustive()
    }
}
