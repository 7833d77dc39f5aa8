//! Many accounts in one process, opened on demand.

use std::convert::Infallible;
use std::fmt;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, UnitWeighter};
use tokio::sync::oneshot;

use super::authorize::standing;
use super::cell::Join;
use super::landing::Landing;
use super::realm::Realm;
use super::{
    Account, AccountBuilder, AccountError, AccountErrorKind, AccountEvent, AccountsBuilder, Events,
    Shared,
};
use crate::AuthorizationCode;
use crate::store::{AccountName, Generation};
use crate::token::TokenEndpoint;

/// How many events of all accounts a slow reader may fall behind.
const EVENTS: usize = 1024;

/// The accounts of many users at one token endpoint, opened on demand by their names.
///
/// Whoever asks for one account, however many at once, gets handles of the same: it is read from
/// the store once. It stays open while somebody holds a handle, while it is refreshed, and after
/// that until [room is needed](AccountsBuilder::capacity). A cheap clone: all clones are the same
/// accounts. See the [module docs](super#many-users).
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

/// An [`AccountBuilder`] for many accounts.
pub struct Many {
    pub(super) capacity: usize,
}

struct Inner {
    realm: Arc<Realm>,
    /// By name, each the one cell of its account in this process. One that was not read from the
    /// store yet is of generation 0.
    open: Cache<AccountName, Arc<Shared>, UnitWeighter, RandomState, HoldOn>,
    closed: AtomicBool,
}

/// Keeps what must not be evicted. It is asked under the lock under which handles are given out.
#[derive(Clone)]
struct HoldOn;

impl Lifecycle<AccountName, Arc<Shared>> for HoldOn {
    type RequestState = ();

    fn is_pinned(&self, _: &AccountName, account: &Arc<Shared>) -> bool {
        // Handles, whoever waits, a flight, tokens on their way into the store: all hold it.
        Arc::strong_count(account) > 1 || account.remembers()
    }
}

impl Shared {
    fn is_unopened(&self) -> bool {
        self.cell.load().generation == Generation::default()
    }

    /// Whether it knows what the store may not, or somebody listens to it.
    fn remembers(&self) -> bool {
        // Should the store fail over to a copy that has not seen the intent, only this process
        // knows that the refresh token may be spent.
        let generation = self.cell.load().generation;
        self.presented.of(generation).is_some() || self.events.is_read()
    }
}

impl Accounts {
    /// Starts the accounts at `endpoint`. The knobs are those of an [`Account`].
    pub fn builder(endpoint: TokenEndpoint) -> AccountsBuilder {
        let capacity = 100_000;
        AccountBuilder::new(endpoint, Many { capacity })
    }

    pub(super) fn new(realm: Arc<Realm>, capacity: usize) -> Self {
        let weight = capacity as u64;
        let hasher = RandomState::new();
        Self(Arc::new(Inner {
            realm,
            open: Cache::with(capacity, weight, UnitWeighter, hasher, HoldOn),
            closed: AtomicBool::new(false),
        }))
    }

    /// The account of this name; opens it from the store if it is not open.
    ///
    /// # Errors
    ///
    /// If the name cannot name an account, the store fails or does not know the account
    /// ([`NotAuthorized`](AccountErrorKind::NotAuthorized): [authorize](Self::authorize) it), or
    /// the accounts were shut down. No failure is remembered: the next call asks the store again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the account is opened for the others who wait.
    pub async fn get(&self, name: &str) -> Result<Account, AccountError> {
        if let Some(account) = self.peek(name) {
            return Ok(account);
        }
        let account = self.0.entry(name)?;
        match self.0.opened(&account).await {
            Ok(()) => Ok(Account(account)),
            Err(error) => {
                self.0.give_up(account);
                Err(error)
            }
        }
    }

    /// The account of this name, if it is open. It allocates nothing and asks nobody.
    pub fn peek(&self, name: &str) -> Option<Account> {
        let account = self.0.open.get(name)?;
        (!account.is_unopened()).then_some(Account(account))
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
    /// The exchange goes on if the future is dropped; what it brings is in the store.
    pub async fn authorize(
        &self,
        name: &str,
        code: impl Into<AuthorizationCode>,
    ) -> Result<Account, AccountError> {
        let account = Account(self.0.entry(name)?);
        match account.authorize(code).await {
            Ok(_) => Ok(account),
            Err(error) => {
                self.0.give_up(account.0);
                Err(error)
            }
        }
    }

    /// How many accounts are open, those included that are being opened.
    pub fn len(&self) -> usize {
        self.0.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.0.open.is_empty()
    }

    /// The events of all accounts from now on, with their names.
    pub fn events(&self) -> Events<AccountEvent> {
        self.0.realm.events.subscribe(EVENTS)
    }

    /// Opens no account any more, starts no refresh, and waits for all that have sent their refresh
    /// tokens, until what they bring is durable. Accounts that are open go on signing until their
    /// access tokens end.
    ///
    /// Call it before the process ends. See [`Account::shutdown`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: call it again to go on waiting.
    pub async fn shutdown(&self) {
        // First this, then a look at those that are there: whoever enters one looks after.
        self.0.closed.store(true, Ordering::SeqCst);
        let open: Vec<_> = self.0.open.iter().map(|(_, account)| account).collect();
        for account in &open {
            account.close();
        }
        for account in &open {
            account.tasks.wait().await;
        }
    }
}

impl Inner {
    /// The cell of this name, made if there is none.
    fn entry(&self, name: &str) -> Result<Arc<Shared>, AccountError> {
        let name = AccountName::new(name)?;
        let make = || Ok::<_, Infallible>(Arc::new(Shared::unopened(&self.realm, name.clone())));
        let Ok(account) = self.open.get_or_insert_with(&name, make);
        if self.closed.load(Ordering::SeqCst) {
            account.close();
            if account.is_unopened() {
                self.give_up(account);
                return Err(AccountError::new(AccountErrorKind::Closed));
            }
        }
        Ok(account)
    }

    /// Waits until the account is read from the store. It is elected as a flight is who reads, and
    /// told as of a flight who waits.
    async fn opened(self: &Arc<Self>, account: &Arc<Shared>) -> Result<(), AccountError> {
        let (tell, told) = oneshot::channel();
        match account
            .cell
            .join(Generation::default(), account.clock.now(), tell)
        {
            Join::Newer(_) => return Ok(()),
            Join::Joined => {}
            Join::Lead => self.launch(account),
            Join::Grounded(_) | Join::Closed => {
                return Err(AccountError::new(AccountErrorKind::Closed));
            }
        }
        match told.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(AccountError::from_refresh_error(error)),
            Err(_) => Err(AccountError::new(AccountErrorKind::Interrupted)),
        }
    }

    /// Reads the account from the store, in a task of its own: the first who asked may be dropped,
    /// and the others still wait.
    fn launch(self: &Arc<Self>, account: &Arc<Shared>) {
        let landing = Landing::new(account, Generation::default());
        let (accounts, account) = (Arc::clone(self), Arc::clone(account));
        self.realm.runtime.spawn(async move {
            let read = accounts.read(&account).await;
            let current = account.cell.load().generation;
            let told = match read {
                // A user authorized it meanwhile.
                Err(_) if current > Generation::default() => Ok(current),
                Err(error) => Err(error.into_refresh_error()),
                Ok(()) => Ok(current),
            };
            landing.tell(&told);
            accounts.give_up(account);
        });
    }

    async fn read(&self, account: &Shared) -> Result<(), AccountError> {
        match standing(&self.realm, &account.name).await? {
            Some(record) => Ok(account.open(record)?),
            None => Err(AccountError::new(AccountErrorKind::NotAuthorized)),
        }
    }

    /// Lets go of an account; the last to do so forgets it, if it could not be opened.
    fn give_up(&self, account: Arc<Shared>) {
        let name = account.name.clone();
        drop(account);
        self.open.remove_if(name.as_str(), |account| {
            account.is_unopened() && Arc::strong_count(account) == 1
        });
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("endpoint", &self.0.realm.endpoint)
            .field("open", &self.len())
            .finish_non_exhaustive()
    }
}
