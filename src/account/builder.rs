use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;

use super::accounts::Many;
use super::authorize::{bounded, standing};
use super::event::Channel;
use super::policy::Policy;
use super::realm::Realm;
use super::rescue::Rescue;
use super::work::Home;
use super::{Account, AccountError, AccountErrorKind, Accounts, InDoubtPolicy, Shared};
use crate::sign::MacKey;
use crate::store::{
    AccountName, Commit, Generation, Grant, Issued, MemoryStore, Record, RotationStore,
};
use crate::token::{TokenEndpoint, TokenSet};
use crate::{AuthorizationCode, Clock, RefreshToken, SystemClock};

/// Opens an [`Account`], or many: an [`AccountsBuilder`] has the same knobs. See the
/// [module docs](super).
#[must_use = "a builder does nothing until an account is opened or authorized"]
pub struct AccountBuilder<For = One> {
    endpoint: TokenEndpoint,
    store: Option<Arc<dyn RotationStore>>,
    rescue: Rescue,
    clock: Arc<dyn Clock>,
    policy: Policy,
    owner: Option<String>,
    what: For,
}

/// Opens [`Accounts`].
pub type AccountsBuilder = AccountBuilder<Many>;

/// An [`AccountBuilder`] for one account.
#[derive(Default)]
pub struct One {
    seed: Option<(Grant, Option<Duration>)>,
}

impl<For> AccountBuilder<For> {
    pub(super) fn new(endpoint: TokenEndpoint, what: For) -> Self {
        Self {
            endpoint,
            store: None,
            rescue: Rescue::default(),
            clock: Arc::new(SystemClock),
            policy: Policy::default(),
            owner: None,
            what,
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

    /// Keeps on this machine's disk what is issued until the store has it; and what was kept there
    /// by a process that died goes into the store before an account is opened. Default: none.
    #[cfg(unix)]
    #[cfg_attr(docsrs, doc(cfg(unix)))]
    pub fn journal(mut self, journal: crate::store::Journal) -> Self {
        self.rescue = journal.into();
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

    /// How long the token endpoint may take to answer before the answer counts as lost: at most an
    /// hour. A timer measures it here, which no jump of the wall clock shortens; the store's clock
    /// does so for other processes. Keep it above the transport's own. Default: 45 s.
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

    fn realm(self) -> (Arc<Realm>, For) {
        let clock = self.clock;
        let store = self
            .store
            .unwrap_or_else(|| Arc::new(MemoryStore::with_clock(Arc::clone(&clock))));
        let owner = self
            .owner
            .unwrap_or_else(|| format!("process {}", std::process::id()));
        let realm = Realm {
            client_id: self.endpoint.client_id().into(),
            endpoint: self.endpoint,
            store,
            rescue: self.rescue,
            clock,
            policy: self.policy,
            owner,
            events: Channel::new(),
            home: Home::here(),
        };
        (Arc::new(realm), self.what)
    }
}

impl AccountBuilder {
    /// Tokens to start with, if the store does not know the account yet. If it does, its record
    /// counts: the refresh token in these may be spent.
    pub fn tokens(mut self, tokens: TokenSet) -> Self {
        let expires_in = tokens.expires_in;
        self.what.seed = Some((tokens.into(), Some(expires_in)));
        self
    }

    /// A bare refresh token to start with, if the store does not know the account yet. The first
    /// request spends it.
    pub fn refresh_token(mut self, refresh_token: impl Into<RefreshToken>) -> Self {
        self.what.seed = Some((refresh_token.into().into(), None));
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
    pub async fn open(self, name: &str) -> Result<Account, AccountError> {
        let name = AccountName::new(name)?;
        if let Some((
            Grant {
                access: Some(access),
                ..
            },
            _,
        )) = &self.what.seed
        {
            MacKey::new(access.algorithm, &access.mac_key)
                .map_err(|e| AccountError::with_source(AccountErrorKind::Credential, e))?;
        }
        let (realm, One { seed }) = self.realm();
        let account = Shared::unopened(&realm, name);
        let open = async {
            let (store, clock, policy) = (&realm.store, &*realm.clock, &realm.policy);
            let record = match (standing(&realm, &account.name).await?, seed) {
                (Some(record), _) => record,
                (None, Some((mut grant, expires_in))) => {
                    grant.client_id = Some(Arc::clone(&realm.client_id));
                    let first = Issued::authorized(Generation::FIRST, grant, expires_in);
                    let commit = bounded(clock, policy, store.commit(&account.name, first));
                    let (Commit::Committed(record) | Commit::Superseded(record)) = commit.await?;
                    record
                }
                (None, None) => return Err(AccountError::new(AccountErrorKind::NotAuthorized)),
            };
            Ok(account.open(record)?)
        };
        open.instrument(account.span("open")).await?;
        Ok(Account(Arc::new(account)))
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
    /// The exchange goes on if the future is dropped; what it brings is in the store.
    pub async fn authorize(
        self,
        name: &str,
        code: impl Into<AuthorizationCode>,
    ) -> Result<Account, AccountError> {
        let name = AccountName::new(name)?;
        let (realm, _) = self.realm();
        let account = Account(Arc::new(Shared::unopened(&realm, name)));
        account.authorize(code).await?;
        Ok(account)
    }
}

impl AccountsBuilder {
    /// How many accounts stay open. Past that, opening one closes another that nobody holds; it is
    /// opened again when it is next asked for. Those that somebody holds stay open however many
    /// they are. Default: 100,000.
    pub fn capacity(mut self, accounts: usize) -> Self {
        self.what.capacity = accounts;
        self
    }

    /// The accounts, none of them open yet.
    pub fn build(self) -> Accounts {
        let (realm, Many { capacity }) = self.realm();
        Accounts::new(realm, capacity)
    }
}

impl<For> fmt::Debug for AccountBuilder<For> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountBuilder")
            .field("endpoint", &self.endpoint)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
