use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::authorize::standing;
use super::context::Context;
use super::event::Channel;
use super::hearing::{Hearing, Listener};
use super::numbers::{Counters, measured};
use super::policy::Policy;
use super::rotation::{OptionalJournal, bounded};
use super::state::AccountState;
use super::tasks::Tasks;
use super::work::Home;
use super::{Account, AccountError, AccountErrorKind, Accounts, InDoubtPolicy};
use crate::provider::{Provider, TokenSet, Xiaomi};
use crate::store::{
    AccountName, Commit, Generation, Issued, MemoryStore, Record, RecordStore, SharedStore,
};
use crate::token::TokenEndpoint;
use crate::{AuthorizationCode, Clock, RefreshToken, SystemClock};

/// How many accounts at once have a shared store looked at for writes of other processes.
const LOOKS: usize = 8;

/// Opens an [`Account`]. See the [module docs](super).
#[must_use = "a builder does nothing until an account is opened or authorized"]
pub struct AccountBuilder<P: Provider = Xiaomi> {
    knobs: Knobs<P>,
    /// What to start with, if the store does not know the account.
    first: Option<Issued>,
}

/// Makes [`Accounts`]: the knobs are those of an [`AccountBuilder`]. See the [module docs](super).
#[must_use = "a builder does nothing until it is built"]
pub struct AccountsBuilder<P: Provider = Xiaomi> {
    knobs: Knobs<P>,
    capacity: usize,
}

/// What both have.
struct Knobs<P: Provider> {
    endpoint: TokenEndpoint<P>,
    store: Option<SharedStore>,
    journal: OptionalJournal,
    clock: Arc<dyn Clock>,
    policy: Policy,
    owner: Option<String>,
}

macro_rules! knobs {
    ($builder:ident) => {
        impl<P: Provider> $builder<P> {
            /// Where records live. Without one they live in a [`MemoryStore`] of their own and are
            /// gone with the process. Give a clone of a [`SharedStore`] to share it.
            pub fn store(mut self, store: impl RecordStore) -> Self {
                self.knobs.store = Some(SharedStore::new(store));
                self
            }

            /// Keeps what is issued on this machine's disk until the store has it. What a process that died
            /// left there is recovered into the store before an account is opened. Default: none.
            #[cfg(unix)]
            #[cfg_attr(docsrs, doc(cfg(unix)))]
            pub fn journal(mut self, journal: crate::store::Journal) -> Self {
                self.knobs.journal = journal.into();
                self
            }

            /// The clock for expiry, nonces and deadlines. Default: [`SystemClock`].
            pub fn clock(mut self, clock: impl Clock) -> Self {
                self.knobs.clock = Arc::new(clock);
                self
            }

            /// What may be done with a refresh token whose answer is lost.
            pub fn in_doubt(mut self, policy: InDoubtPolicy) -> Self {
                self.knobs.policy.in_doubt = policy;
                self
            }

            /// A refusal of a credential rotated less than this ago is handed back: refreshing again
            /// cannot fix it, and would burn a refresh token each time. Default: 60 s.
            pub fn min_rotation_interval(mut self, interval: Duration) -> Self {
                self.knobs.policy.min_rotation_interval = interval;
                self
            }

            /// How long a refresh may take until the refresh token is sent: waiting for another process,
            /// the store, connecting. Default: 60 s.
            pub fn refresh_timeout(mut self, timeout: Duration) -> Self {
                self.knobs.policy.refresh_timeout = timeout;
                self
            }

            /// How long the token endpoint may take to answer before the answer counts as lost: at most an
            /// hour. In this process a timer measures it, which no jump of the wall clock shortens; other
            /// processes go by the store's clock. Keep it longer than the transport's own timeout.
            /// Default: 45 s.
            pub fn answer_timeout(mut self, timeout: Duration) -> Self {
                self.knobs.policy.answer_timeout = timeout.min(Record::LONGEST_WAIT);
                self
            }

            /// The name this process leaves in the record while it rotates: for people who look. Default:
            /// its process id.
            pub fn owner(mut self, owner: impl Into<String>) -> Self {
                self.knobs.owner = Some(owner.into());
                self
            }
        }

        impl<P: Provider> fmt::Debug for $builder<P> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($builder))
                    .field("endpoint", &self.knobs.endpoint)
                    .field("policy", &self.knobs.policy)
                    .finish_non_exhaustive()
            }
        }
    };
}

knobs!(AccountBuilder);
knobs!(AccountsBuilder);

impl<P: Provider> Knobs<P> {
    fn new(endpoint: TokenEndpoint<P>) -> Self {
        Self {
            endpoint,
            store: None,
            journal: OptionalJournal::default(),
            clock: Arc::new(SystemClock),
            policy: Policy::default(),
            owner: None,
        }
    }

    fn context(self) -> Arc<Context<P>> {
        let clock = self.clock;
        // Nobody else writes to a store of our own.
        let look_every = self.store.as_ref().map(Hearing::look_every);
        let own = || SharedStore::new(MemoryStore::with_clock(Arc::clone(&clock)));
        let store = measured(self.store.unwrap_or_else(own));
        let owner = self.owner;
        let owner = owner.unwrap_or_else(|| format!("process {}", std::process::id()));
        Arc::new(Context {
            client_id: self.endpoint.provider().client_id().into(),
            endpoint: self.endpoint,
            store,
            look_every,
            looks: Arc::new(Semaphore::new(LOOKS)),
            hearing: Hearing::default(),
            journal: self.journal,
            clock,
            policy: self.policy,
            owner,
            events: Channel::new(),
            counters: Counters::default(),
            tasks: Tasks::default(),
            home: Home::here(),
        })
    }
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
            (Some(record), None) => record,
            (Some(record), Some(given)) => {
                if record
                    .grant()
                    .is_ok_and(|grant| !grant.has_tokens_of(&given.grant))
                {
                    account.note_ignored_tokens();
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
