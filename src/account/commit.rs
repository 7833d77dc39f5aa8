//! Tokens that are issued and not yet durable: they must not be lost.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::flight::Flown;
use super::policy::COMMIT_ATTEMPT;
use super::rescue::{Answer, Kept};
use super::snapshot::Snapshot;
use super::{Event, Shared, policy};
use crate::Timestamp;
use crate::clock::sleep_until;
use crate::store::{Commit, Generation, Grant, Issued, Lease};

/// How long those who wait for the flight wait for the store, once the tokens are there.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A step on the store that `None` came of: it took too long, or panicked. Neither may take
/// tokens with it that nobody else has. A timer measures it, for the wall clock may jump.
pub(super) async fn in_time<F: Future>(within: Duration, step: F) -> Option<F::Output> {
    let mut step = pin!(step);
    let caught = poll_fn(|cx| {
        // A step that panicked is not polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| step.as_mut().poll(cx)));
        polled.map_or(Poll::Ready(None), |poll| poll.map(Some))
    });
    tokio::time::timeout(within, caught).await.ok().flatten()
}

/// Goes on trying to give a lease back under which nothing was sent: until the store answers, or
/// once more when the account is shut down.
pub(super) async fn give_back(account: Arc<Shared>, lease: Lease, why: String) {
    let (store, name, clock) = (&account.realm.store, &account.name, &account.clock);
    let mut pause = Duration::from_secs(1);
    loop {
        let wait = sleep_until(&**clock, clock.now().saturating_add(pause));
        let closing = account.closing().run_until_cancelled(wait).await.is_none();
        let release = store.release(name, &lease, Duration::ZERO, &why);
        let released = in_time(COMMIT_ATTEMPT, release).await;
        if closing || matches!(released, Some(Ok(_))) {
            return;
        }
        pause = policy::store_backoff(pause);
    }
}

/// A grant on its way into the store.
pub(super) struct Pending {
    account: Arc<Shared>,
    generation: Generation,
    lineage: Generation,
    grant: Grant,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
    outranks: Outranks,
    /// Whether a rotation's commit is good news.
    signs: bool,
    /// Its entry in the journal.
    kept: Option<Kept>,
}

/// What a grant replaces in the store though that stands at the same generation or a higher one.
enum Outranks {
    /// Of a rotation: nothing.
    Nothing,
    /// Of a decision that the user took a while ago: what its processes made since of the
    /// authorization that the user had then, and not a newer decision.
    Lineage(Generation),
    /// Of a decision that the user takes now: anything that cannot descend from it. With the
    /// lineage that it will outrank once it is an old one.
    Everything(Generation),
}

impl Pending {
    /// What a rotation brought. `signs`: that is a credential, and not a refresh token alone.
    pub(super) fn rotated(
        account: &Arc<Shared>,
        signs: bool,
        (generation, lineage): (Generation, Generation),
        grant: Grant,
        issued_at: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Self {
        let client_id = Some(Arc::clone(&account.realm.client_id));
        Self {
            account: Arc::clone(account),
            generation,
            lineage,
            grant: Grant { client_id, ..grant },
            issued_at,
            expires_at,
            outranks: Outranks::Nothing,
            signs,
            kept: None,
        }
    }

    /// What a user's authorization brought, taken when one of the lineage `over` stood.
    pub(super) fn authorized(
        account: &Arc<Shared>,
        (generation, over): (Generation, Generation),
        grant: Grant,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        let generations = (generation, generation);
        let outranks = Outranks::Everything(over);
        Self {
            outranks,
            ..Self::rotated(
                account,
                true,
                generations,
                grant,
                issued_at,
                Some(expires_at),
            )
        }
    }

    /// From here on the decision is an old one.
    pub(super) fn let_newer_decisions_count(&mut self) {
        if let Outranks::Everything(over) = self.outranks {
            self.outranks = Outranks::Lineage(over);
        }
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// Commits and publishes. If the store does not take it soon, publishes first: the tokens are
    /// good, and nobody else has them.
    pub(super) async fn commit_or_publish(mut self) -> Flown {
        self.kept = self.keep().await;
        if let Some(generation) = self.attempt(PATIENCE).await {
            return Flown::Done(generation);
        }
        self.publish();
        self.account.emit(Event::CommitDelayed {
            generation: self.generation,
        });
        Flown::Pending(Box::new(self))
    }

    /// Tries until the store has it. There is nothing else to do: giving up loses the account.
    pub(super) async fn until_durable(mut self) {
        let mut fails = 0;
        while self.attempt(COMMIT_ATTEMPT).await.is_none() {
            fails += 1;
            let pause = policy::commit_backoff(fails);
            let at = self.account.clock.now().saturating_add(pause);
            sleep_until(&*self.account.clock, at).await;
        }
    }

    /// What stands then; `None` if the store fails.
    async fn attempt(&mut self, within: Duration) -> Option<Generation> {
        loop {
            let record = match self.commit(within).await? {
                Commit::Committed(record) | Commit::Superseded(record) => record,
            };
            // Perhaps acknowledged late.
            if record.generation == self.generation && record.grant == self.grant {
                self.publish();
                self.account.forget(self.kept.take());
                let generation = self.generation;
                self.account.emit(match self.outranks {
                    Outranks::Nothing if !self.signs => return Some(generation),
                    Outranks::Nothing => Event::Refreshed { generation },
                    _ => Event::Authorized { generation },
                });
                return Some(generation);
            }
            let next = record.generation.next();
            let (outranks, above) = match self.outranks {
                Outranks::Nothing => (false, next),
                // One up: a decision that the user takes now, over the same record, is two up.
                Outranks::Lineage(lineage) => (record.lineage == lineage, next),
                // A peer may have found ours in the journal, put it into the store, and spent its
                // refresh token since: it must not come back. So whatever else stands higher may
                // descend from it; at our own generation it would be ours. And one up, for there
                // the peer put it, so that it is there once.
                Outranks::Everything(over) if self.account.realm.rescue.is_shared() => {
                    let others = record.generation == self.generation;
                    (others || record.lineage == over, next)
                }
                Outranks::Everything(_) => (true, record.generation.decided()),
            };
            if outranks && above > record.generation {
                self.generation = above;
                self.lineage = above;
            } else {
                if record.settles(self.generation, self.lineage, &self.grant) {
                    self.account.forget(self.kept.take());
                }
                // A decision of the user overtook us, and it counts.
                return Some(self.account.adopt(record).0);
            }
        }
    }

    /// Writes it down on this machine, should the process not live to see the commit.
    async fn keep(&self) -> Option<Kept> {
        let answer = Answer {
            generation: self.generation,
            lineage: self.lineage,
            decided_over: match self.outranks {
                Outranks::Nothing => None,
                Outranks::Lineage(over) | Outranks::Everything(over) => Some(over),
            },
            grant: self.grant.clone(),
            expires_at: self.expires_at,
        };
        self.account.realm.rescue.keep(&self.account, &answer).await
    }

    async fn commit(&self, within: Duration) -> Option<Commit> {
        let account = &*self.account;
        let (store, name) = (&account.realm.store, &account.name);
        let now = account.clock.now();
        let rest = self.expires_at.map(|end| end.saturating_since(now));
        let grant = self.grant.clone();
        let issued = Issued::rotated(self.generation, self.lineage, grant, rest);
        account.note_commit();
        let commit = async { store.commit(name, issued).await };
        match in_time(within, commit).await {
            Some(Ok(commit)) => Some(commit),
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
        let issued = Issued::rotated(self.generation, self.lineage, self.grant.clone(), rest);
        let client_id = account.realm.endpoint.client_id();
        let snapshot = Snapshot::new(issued, client_id, now, age);
        account.cell.publish(snapshot);
    }
}
