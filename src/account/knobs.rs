use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::context::Context;
use super::event::Channel;
use super::hearing::Hearing;
use super::numbers::Counters;
#[cfg(feature = "metrics")]
use super::numbers::{Measured, Whose};
use super::policy::Policy;
use super::rotation::OptionalJournal;
use super::tasks::Tasks;
use super::work::Home;
use super::{AccountBuilder, AccountsBuilder, InDoubtPolicy};
use crate::provider::Provider;
use crate::store::{MemoryStore, Record, RecordStore, SharedStore};
use crate::token::TokenEndpoint;
use crate::{Clock, SystemClock};

/// How many accounts at once have a shared store looked at for writes of other processes.
const LOOKS: usize = 8;

/// What the builders of one account and of many have in common.
pub(super) struct Knobs<P: Provider> {
    pub(super) endpoint: TokenEndpoint<P>,
    store: Option<SharedStore>,
    journal: OptionalJournal,
    clock: Arc<dyn Clock>,
    policy: Policy,
    owner: Option<String>,
    #[cfg(feature = "metrics")]
    whose: Whose,
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

            /// A label `client` for the [numbers](super::numbers) that go to the recorder. Where a process
            /// has several clients, each needs one, or their numbers overwrite one another. Default: none.
            #[cfg(feature = "metrics")]
            #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
            pub fn metrics_label(mut self, client: impl Into<String>) -> Self {
                self.knobs.whose = Whose::client(client.into());
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
    pub(super) fn new(endpoint: TokenEndpoint<P>) -> Self {
        Self {
            endpoint,
            store: None,
            journal: OptionalJournal::default(),
            clock: Arc::new(SystemClock),
            policy: Policy::default(),
            owner: None,
            #[cfg(feature = "metrics")]
            whose: Whose::default(),
        }
    }

    pub(super) fn context(self) -> Arc<Context<P>> {
        let clock = self.clock;
        // Nobody else writes to a store of our own.
        let look_every = self.store.as_ref().map(Hearing::look_every);
        let own = || SharedStore::new(MemoryStore::with_clock(Arc::clone(&clock)));
        let store = self.store.unwrap_or_else(own);
        #[cfg(feature = "metrics")]
        let store = SharedStore::new(Measured(store, self.whose.clone()));
        #[cfg(feature = "metrics")]
        let counters = Counters::of(self.whose);
        #[cfg(not(feature = "metrics"))]
        let counters = Counters::default();
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
            counters,
            tasks: Tasks::default(),
            home: Home::here(),
        })
    }
}
