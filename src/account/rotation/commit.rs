//! Tokens that are issued and not yet durable: they must not be lost.

use std::sync::Arc;
use std::time::Duration;

use super::journal::{Answer, Kept};
use super::lives::Lives;
use super::step::{PATIENCE, in_time};
use crate::Timestamp;
use crate::account::Event;
use crate::account::credential::Snapshot;
use crate::account::policy::{self, COMMIT_ATTEMPT};
use crate::account::state::AccountState;
use crate::clock::sleep_until;
use crate::provider::Provider;
use crate::store::{
    Commit, Generation, Grant, Issued, Lease, Loaded, Record, apply, commit, transition,
};

/// What became of tokens that were issued.
pub(in crate::account) enum Committed<P: Provider> {
    /// The credential of this generation is published and durable.
    Durable(Generation),
    /// It is published; the store has yet to take it.
    Delayed(Box<Pending<P>>),
}

/// Another user's decision stands, which what was issued must not replace.
pub(in crate::account) struct OtherUser;

/// Goes on trying to give back a lease under which nothing was sent, until the store answers. When the
/// account is shut down, it tries once more.
pub(super) async fn give_back<P: Provider>(
    account: Arc<AccountState<P>>,
    lease: Lease,
    why: String,
) {
    let (store, name, clock) = (&account.context.store, &account.name, &account.clock);
    let mut pause = Duration::from_secs(1);
    loop {
        let wait = sleep_until(&**clock, clock.now().saturating_add(pause));
        let waited = account.tasks().closing().run_until_cancelled(wait).await;
        let release = apply(store, name, None, |loaded, version| {
            let record = loaded.standing.record()?;
            transition::release(record, version, &lease, Duration::ZERO, &why)
        });
        let released = in_time(COMMIT_ATTEMPT, release).await;
        if waited.is_none() || matches!(released, Some(Ok(_))) {
            return;
        }
        pause = policy::store_backoff(pause);
    }
}

/// A grant on its way into the store.
pub(in crate::account) struct Pending<P: Provider> {
    account: Arc<AccountState<P>>,
    generation: Generation,
    lineage: Generation,
    grant: Grant,
    lives: Lives,
    outranks: Outranks,
    /// Whether a rotation's commit is good news.
    signs: bool,
    /// What this process saw last in the store, for the first attempt.
    known: Option<Loaded>,
    /// Its entry in the journal.
    kept: Option<Kept>,
}

/// What a grant replaces in the store even if it stands at the same generation or a higher one.
enum Outranks {
    /// What a rotation brought replaces nothing.
    Nothing,
    /// What the user authorized a while ago replaces what rotations made, since then, of the
    /// authorization that stood before (of this lineage). It does not replace a newer decision.
    Lineage(Generation),
    /// What the user authorizes now replaces anything that cannot descend from it. Once the decision
    /// is an old one, it outranks this lineage.
    Everything(Generation),
}

impl<P: Provider> Pending<P> {
    /// What a rotation brought. `signs`: it brought a credential, and not a refresh token alone.
    pub(super) fn rotated(
        account: &Arc<AccountState<P>>,
        signs: bool,
        (generation, lineage): (Generation, Generation),
        grant: Grant,
        lives: Lives,
    ) -> Self {
        let client_id = Some(Arc::clone(&account.context.client_id));
        Self {
            account: Arc::clone(account),
            generation,
            lineage,
            grant: Grant { client_id, ..grant },
            lives,
            outranks: Outranks::Nothing,
            signs,
            known: None,
            kept: None,
        }
    }

    /// What a user's authorization brought, when a record of the lineage `over` stood.
    pub(in crate::account) fn authorized(
        account: &Arc<AccountState<P>>,
        (generation, over): (Generation, Generation),
        grant: Grant,
        lives: Lives,
    ) -> Self {
        let generations = (generation, generation);
        let outranks = Outranks::Everything(over);
        Self {
            outranks,
            ..Self::rotated(account, true, generations, grant, lives)
        }
    }

    /// Over what this process saw last: then one round trip is enough.
    pub(super) fn over(self, known: Record) -> Self {
        let now = known.now;
        Self {
            known: Some(Loaded::record(known, now)),
            ..self
        }
    }

    /// From here on the decision is an old one.
    pub(in crate::account) fn let_newer_decisions_count(&mut self) {
        if let Outranks::Everything(over) = self.outranks {
            self.outranks = Outranks::Lineage(over);
        }
    }

    pub(in crate::account) fn generation(&self) -> Generation {
        self.generation
    }

    /// Commits and publishes. If the store does not take it soon, publishes first: the tokens are
    /// good, and nobody else has them.
    ///
    /// # Errors
    ///
    /// If another user decided meanwhile: nothing was committed.
    pub(in crate::account) async fn commit_or_publish(mut self) -> Result<Committed<P>, OtherUser> {
        self.kept = self.keep().await;
        if let Some(settled) = self.attempt(PATIENCE).await {
            return settled.map(Committed::Durable);
        }
        self.publish();
        self.account.emit(Event::CommitDelayed {
            generation: self.generation,
        });
        Ok(Committed::Delayed(Box::new(self)))
    }

    /// Tries until the store has it. There is nothing else to do: giving up loses the account.
    pub(in crate::account) async fn until_durable(mut self) {
        let _delayed = self.account.context.counters.commit_delayed();
        let mut fails = 0;
        while self.attempt(COMMIT_ATTEMPT).await.is_none() {
            fails += 1;
            let pause = policy::commit_backoff(fails);
            let at = self.account.clock.now().saturating_add(pause);
            sleep_until(&*self.account.clock, at).await;
        }
    }

    /// What stands then; `None` if the store fails.
    async fn attempt(&mut self, within: Duration) -> Option<Result<Generation, OtherUser>> {
        loop {
            let record = match self.commit(within).await? {
                Commit::Committed(record) | Commit::Superseded(record) => record,
            };
            // It is ours, perhaps from an attempt whose acknowledgement was late.
            if record.generation == self.generation && record.secrets.are(&self.grant) {
                self.publish();
                self.account.note_seen(record.version);
                self.account.forget(self.kept.take());
                let generation = self.generation;
                self.account.emit(match self.outranks {
                    Outranks::Nothing if !self.signs => return Some(Ok(generation)),
                    Outranks::Nothing => Event::Refreshed { generation },
                    _ => Event::Authorized { generation },
                });
                return Some(Ok(generation));
            }
            // Whose account it is was looked at before the answer came: two users may agree at once.
            if matches!(self.outranks, Outranks::Everything(_))
                && record
                    .grant()
                    .is_ok_and(|grant| grant.is_of_another_than(&self.grant))
            {
                // Whoever finds it there would commit it.
                self.account.forget(self.kept.take());
                self.account.adopt(record);
                return Some(Err(OtherUser));
            }
            let next = record.generation.next();
            let (outranks, above) = match self.outranks {
                Outranks::Nothing => (false, next),
                // One up: a decision that the user takes now, over the same record, is two up.
                Outranks::Lineage(lineage) => (record.lineage == lineage, next),
                // A peer may have found our answer in the journal, recovered it into the store, and
                // spent its refresh token since: that token must not come back. So a record that
                // stands higher may descend from our answer, and is left alone; another grant at our
                // own generation cannot. Ours goes one up, because the peer would recover it there,
                // and the two must be one.
                Outranks::Everything(over) if self.account.context.journal.is_shared() => {
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
                return Some(Ok(self.account.adopt(record).0));
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
            expires_at: self.lives.expires_at,
            refresh_expires_at: self.lives.refresh_expires_at,
        };
        let account = &self.account;
        account.context.journal.keep(&account.name, &answer).await
    }

    async fn commit(&mut self, within: Duration) -> Option<Commit> {
        let known = self.known.take();
        let account = &*self.account;
        let (store, name) = (&account.context.store, &account.name);
        let issued = self.at(account.clock.now());
        account.tasks().note_commit();
        match in_time(within, commit(store, name, known, issued)).await {
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

    /// As it is at this moment.
    fn at(&self, now: Timestamp) -> Issued {
        let rest = |end: Timestamp| end.saturating_since(now);
        Issued {
            refresh_expires_in: self.lives.refresh_expires_at.map(rest),
            ..Issued::rotated(
                self.generation,
                self.lineage,
                self.grant.clone(),
                self.lives.expires_at.map(rest),
            )
        }
    }

    /// Signs with it from now on.
    pub(super) fn publish(&self) {
        let account = &*self.account;
        let now = account.clock.now();
        let age = now.saturating_since(self.lives.issued_at);
        let credential = account.context.prepare(&self.grant);
        let snapshot = Snapshot::new(self.at(now), credential, now, age);
        account.cell.publish(snapshot);
    }
}
