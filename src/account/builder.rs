use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::authorize::bounded;
use super::cell::Cell;
use super::policy::Policy;
use super::presented::Presented;
use super::snapshot::Snapshot;
use super::status::rotation_of;
use super::{Account, AccountError, AccountErrorKind, InDoubtPolicy, Shared, authorize};
use crate::sign::MacKey;
use crate::store::{
    AccountName, Commit, Generation, Grant, Issued, MemoryStore, Record, RotationStore,
};
use crate::token::{TokenEndpoint, TokenSet};
use crate::{AuthorizationCode, Clock, RefreshToken, SystemClock};

/// How many events a slow reader may fall behind.
const EVENTS: usize = 64;

/// Opens an [`Account`]. See the [module docs](super).
#[must_use = "a builder does nothing until an account is opened or authorized"]
pub struct AccountBuilder {
    endpoint: TokenEndpoint,
    store: Option<Arc<dyn RotationStore>>,
    clock: Arc<dyn Clock>,
    policy: Policy,
    owner: Option<String>,
    seed: Option<(Grant, Option<Duration>)>,
}

impl AccountBuilder {
    pub(super) fn new(endpoint: TokenEndpoint) -> Self {
        Self {
            endpoint,
            store: None,
            clock: Arc::new(SystemClock),
            policy: Policy::default(),
            owner: None,
            seed: None,
        }
    }

    /// Where the account's record lives. Without one it lives in a [`MemoryStore`] of its own and
    /// is gone with the process.
    pub fn store(self, store: impl RotationStore) -> Self {
        self.shared_store(Arc::new(store))
    }

    /// The same, for a store that many accounts share.
    pub fn shared_store(mut self, store: Arc<dyn RotationStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Tokens to start with, if the store does not know the account yet. If it does, its record
    /// counts: the refresh token in these may be spent.
    pub fn tokens(mut self, tokens: TokenSet) -> Self {
        let expires_in = tokens.expires_in;
        self.seed = Some((tokens.into(), Some(expires_in)));
        self
    }

    /// A bare refresh token to start with, if the store does not know the account yet. The first
    /// request spends it.
    pub fn refresh_token(mut self, refresh_token: impl Into<RefreshToken>) -> Self {
        self.seed = Some((refresh_token.into().into(), None));
        self
    }

    /// The clock for expiry, nonces and deadlines. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// What may be done with a refresh token whose answer is lost.
    pub fn in_doubt(mut self, policy: InDoubtPolicy) -> Self {
        self.policy.in_doubt = policy;
        self
    }

    /// A refusal of a credential rotated less than this ago is handed back: refreshing again
    /// cannot fix it, and would burn a refresh token each time. Default: 60 s.
    pub fn min_rotation_interval(mut self, interval: Duration) -> Self {
        self.policy.min_rotation_interval = interval;
        self
    }

    /// How long a refresh may take until the refresh token is sent: waiting for another process,
    /// the store, connecting. Default: 60 s.
    pub fn refresh_timeout(mut self, timeout: Duration) -> Self {
        self.policy.refresh_timeout = timeout;
        self
    }

    /// How long the token endpoint may take to answer, on the wall clock, before the answer counts
    /// as lost: at most an hour. Keep it above the transport's own. Default: 45 s.
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.policy.answer_timeout = timeout.min(Record::LONGEST_WAIT);
        self
    }

    /// The name this process leaves in the record while it rotates: for people who look. Default:
    /// its process id.
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
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
    /// Outside a tokio runtime: refreshes are tasks on the runtime that opened the account.
    pub async fn open(self, name: &str) -> Result<Account, AccountError> {
        let name = AccountName::new(name)?;
        if let Some((
            Grant {
                access: Some(access),
                ..
            },
            _,
        )) = &self.seed
        {
            MacKey::new(access.algorithm, &access.mac_key)
                .map_err(|e| AccountError::with_source(AccountErrorKind::Credential, e))?;
        }
        let store = self.store.clone().unwrap_or_else(|| self.memory());
        let (clock, policy) = (&*self.clock, &self.policy);
        let standing = bounded(clock, policy, store.read(&name)).await?;
        let record = match (standing, self.seed.clone()) {
            (Some(record), _) => record,
            (None, Some((grant, expires_in))) => {
                let first = Issued::authorized(Generation::FIRST, grant, expires_in);
                let commit = bounded(clock, policy, store.commit(&name, first));
                let (Commit::Committed(record) | Commit::Superseded(record)) = commit.await?;
                record
            }
            (None, None) => return Err(AccountError::new(AccountErrorKind::NotAuthorized)),
        };
        let record = record.opened()?;
        let now = self.clock.now();
        let rotation = rotation_of(&record, self.policy.in_doubt, now);
        let snapshot = Snapshot::of(record, self.endpoint.client_id(), now);
        let generation = snapshot.generation;
        let account = self.build(name, store, snapshot);
        account.0.cell.land(generation, rotation);
        Ok(account)
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
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// The exchange goes on if the future is dropped; what it brings is in the store.
    pub async fn authorize(
        self,
        name: &str,
        code: impl Into<AuthorizationCode>,
    ) -> Result<Account, AccountError> {
        let name = AccountName::new(name)?;
        let store = self.store.clone().unwrap_or_else(|| self.memory());
        // A placeholder below every generation, so whatever the store says is newer.
        let nothing = authorize::nothing(self.endpoint.client_id(), self.clock.now());
        let account = self.build(name, store, nothing);
        account.authorize(code).await?;
        Ok(account)
    }

    fn memory(&self) -> Arc<dyn RotationStore> {
        Arc::new(MemoryStore::with_clock(Arc::clone(&self.clock)))
    }

    fn build(
        self,
        name: AccountName,
        store: Arc<dyn RotationStore>,
        snapshot: Snapshot,
    ) -> Account {
        let owner = self
            .owner
            .unwrap_or_else(|| format!("process {}", std::process::id()));
        Account(Arc::new(Shared {
            name,
            store,
            owner,
            endpoint: self.endpoint,
            clock: self.clock,
            policy: self.policy,
            cell: Cell::new(snapshot),
            presented: Presented::default(),
            clock_offset_secs: AtomicI64::new(0),
            events: broadcast::Sender::new(EVENTS),
            runtime: tokio::runtime::Handle::current(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        }))
    }
}

impl fmt::Debug for AccountBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountBuilder")
            .field("endpoint", &self.endpoint)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
