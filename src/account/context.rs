//! What all accounts of a client share in this process, so that each of many is small.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use super::AccountEvent;
use super::event::Channel;
use super::hearing::{Hearing, Listener};
use super::numbers::Counters;
use super::policy::Policy;
use super::rotation::OptionalJournal;
use super::tasks::Tasks;
use super::work::{Home, Wait};
use crate::Clock;
use crate::provider::{Grant, Provider};
use crate::store::{Record, SharedStore, StoreError, unsuitable};
use crate::token::TokenEndpoint;

pub(super) struct Context<P: Provider> {
    pub(super) endpoint: TokenEndpoint<P>,
    /// The endpoint's client: every grant says which client it belongs to.
    pub(super) client_id: Arc<str>,
    pub(super) store: SharedStore,
    /// How often an account that signs has the store looked at for writes of other processes; `None` if
    /// the store is this process's own.
    pub(super) look_every: Option<Duration>,
    /// How many accounts may have the store looked at for that at once.
    pub(super) looks: Arc<Semaphore>,
    pub(super) hearing: Hearing,
    pub(super) journal: OptionalJournal,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) policy: Policy,
    pub(super) owner: String,
    /// The events of all of them.
    pub(super) events: Channel<AccountEvent>,
    /// What all of them count.
    pub(super) counters: Counters,
    /// What belongs to no account yet.
    pub(super) tasks: Tasks,
    /// The runtime that opened the first: a flight outlives the runtime of any one caller.
    pub(super) home: Home,
}

impl<P: Provider> Context<P> {
    /// Tells the listener of what other processes write, if there are any.
    pub(super) fn hear(&self, listener: Weak<dyn Listener>) {
        if self.look_every.is_some() {
            self.hearing.tell(listener, &self.store);
        }
    }

    /// Begins work that goes on if the caller is dropped.
    pub(super) fn outliving<T: Send + 'static>(
        &self,
        tasks: &Tasks,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Wait<T> {
        let (tell, told) = oneshot::channel();
        let work = tasks.begin(&self.home, async move {
            // The caller may have been dropped.
            let _ = tell.send(work.await);
        });
        let limit = self.policy.longest_authorization();
        Wait::new(told, Some(work), limit)
    }

    /// The record, if this client can use its grant.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is another client's.
    pub(super) fn usable(&self, record: Record) -> Result<Record, StoreError> {
        if let Some(owner) = &record.grant()?.client_id
            && **owner != *self.client_id
        {
            let what = "the account is another client's; each client needs a store of its own";
            let whose = format!("client {owner:?}, not {:?}", self.client_id);
            return Err(unsuitable(what).with_source(whose));
        }
        Ok(record)
    }

    /// What signs with this grant; `None` if nothing can: then the account is dead and its refresh
    /// token buys another.
    pub(super) fn prepare(&self, grant: &Grant) -> Option<P::Credential> {
        grant.access.as_ref()?;
        match self.endpoint.provider().credential(grant) {
            Ok(credential) => Some(credential),
            Err(error) => {
                tracing::error!(%error, "a credential cannot sign");
                None
            }
        }
    }
}
