//! Tokens that are issued and not yet durable: they must not be lost.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::flight::Flown;
use super::snapshot::Snapshot;
use super::{Event, Shared, policy};
use crate::clock::{finish_by, sleep_until};
use crate::store::{Commit, Generation, Grant, Lease, Origin};
use crate::{Clock, Timestamp};

/// How long those who wait for the flight wait for the store, once the tokens are there.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How long one later attempt may take.
const ATTEMPT: Duration = Duration::from_secs(30);

/// How often a lease that could not be given back is tried again: over a quarter of an hour.
const GIVE_BACK_TRIES: u32 = 10;

/// A step on the store that `None` came of: it took too long, or panicked. Neither may take
/// tokens with it that nobody else has.
pub(super) async fn in_time<F: Future>(
    clock: &dyn Clock,
    within: Duration,
    step: F,
) -> Option<F::Output> {
    let mut step = pin!(step);
    let caught = poll_fn(|cx| {
        // A step that panicked is not polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| step.as_mut().poll(cx)));
        polled.map_or(Poll::Ready(None), |poll| poll.map(Some))
    });
    let by = clock.now().saturating_add(within);
    finish_by(clock, by, caught).await.flatten()
}

/// Goes on trying to give a lease back under which nothing was sent.
pub(super) async fn give_back(account: Arc<Shared>, lease: Lease, why: String) {
    let (store, name, clock) = (&account.realm.store, &account.name, &account.clock);
    for fails in 0..GIVE_BACK_TRIES {
        let pause = policy::backoff(fails);
        let wait = sleep_until(&**clock, clock.now().saturating_add(pause));
        let closing = account.closing.run_until_cancelled(wait).await.is_none();
        let release = store.release(name, &lease, Duration::ZERO, &why);
        if closing || matches!(in_time(&**clock, ATTEMPT, release).await, Some(Ok(_))) {
            return;
        }
    }
}

/// A grant on its way into the store.
pub(super) struct Pending {
    account: Arc<Shared>,
    generation: Generation,
    grant: Grant,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl Pending {
    pub(super) fn new(
        account: &Arc<Shared>,
        generation: Generation,
        grant: Grant,
        issued_at: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Self {
        Self {
            account: Arc::clone(account),
            generation,
            grant,
            issued_at,
            expires_at,
        }
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// Commits and publishes. If the store does not take it soon, publishes first: the tokens are
    /// good, and nobody else has them.
    pub(super) async fn commit_or_publish(self) -> Flown {
        if let Some(generation) = self.attempt(PATIENCE).await {
            return Flown::Done(generation);
        }
        self.publish();
        self.account.emit(Event::CommitDelayed {
            generation: self.generation,
        });
        Flown::Pending(self)
    }

    /// Tries until the store has it. There is nothing else to do: giving up loses the account.
    pub(super) async fn until_durable(self) {
        let mut fails = 0;
        while self.attempt(ATTEMPT).await.is_none() {
            fails += 1;
            let pause = policy::backoff(fails);
            let at = self.account.clock.now().saturating_add(pause);
            sleep_until(&*self.account.clock, at).await;
        }
    }

    async fn attempt(&self, within: Duration) -> Option<Generation> {
        let account = &*self.account;
        let (store, name, clock) = (&account.realm.store, &account.name, &account.clock);
        let now = clock.now();
        let rest = self.expires_at.map(|end| end.saturating_since(now));
        let grant = self.grant.clone();
        let commit = async { store.commit(name, self.generation, grant, rest).await };
        match in_time(&**clock, within, commit).await {
            Some(Ok(Commit::Committed(_))) => {
                self.publish();
                self.account.emit(Event::Refreshed {
                    generation: self.generation,
                });
                Some(self.generation)
            }
            // Our own commit, acknowledged late.
            Some(Ok(Commit::Superseded(record)))
                if record.generation == self.generation && record.grant == self.grant =>
            {
                self.publish();
                self.account.emit(Event::Refreshed {
                    generation: self.generation,
                });
                Some(self.generation)
            }
            // A new authorization or a revocation overtook us, and it counts. Or it is ours, done
            // and not acknowledged.
            Some(Ok(Commit::Superseded(record))) => Some(self.account.adopt(record).0),
            Some(Err(error)) => {
                tracing::error!(%error, "issued tokens could not be committed yet");
                None
            }
            None => {
                tracing::error!("issued tokens could not be committed yet: no answer");
                None
            }
        }
    }

    /// Signs with it from now on.
    pub(super) fn publish(&self) {
        let account = &*self.account;
        let now = account.clock.now();
        let age = now.saturating_since(self.issued_at);
        let rest = self.expires_at.map(|end| end.saturating_since(now));
        let grant = self.grant.clone();
        let client_id = account.realm.endpoint.client_id();
        let (generation, origin) = (self.generation, Origin::Rotated);
        account.cell.publish(Snapshot::new(
            generation, origin, grant, client_id, now, age, rest,
        ));
    }
}
