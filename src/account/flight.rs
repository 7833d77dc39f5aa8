//! The flight: the one refresh under way for an account in this process, as a detached task with a
//! wall-clock deadline. Callers only watch it; dropping one changes nothing.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;

use super::commit::Pending;
use super::landing::Landing;
use super::snapshot::Snapshot;
use super::state::Access;
use super::{Event, InDoubtPolicy, RefreshError, RefreshErrorKind, Shared, policy};
use crate::Timestamp;
use crate::clock::finish_by;
use crate::store::{
    Acquire, Commit, Generation, Guarded, Lease, LeaseFrom, Record, Status, StoreError, Watch,
};

/// While another process rotates, the record is read again at least this often: notifications
/// may be lost.
const POLL: std::ops::Range<u64> = 500..1_000;
/// A lease covers connecting; it ends by itself if its holder dies.
const LEASE: Duration = Duration::from_secs(30);
/// After the deadline there is still time for one last look at the store, and for what has to be
/// put down once the refresh token was sent.
const LAST_LOOK: Duration = Duration::from_secs(2);

pub(super) struct Flight {
    pub(super) account: Arc<Shared>,
    /// The generation that is to be replaced.
    pub(super) generation: Generation,
    deadline: Timestamp,
}

/// How a flight ended well.
pub(super) enum Flown {
    /// The credential of this generation is published and durable.
    Done(Generation),
    /// It is published; the store has yet to take it.
    Pending(Pending),
}

/// How a flight failed, and what that means for the next.
#[derive(Debug)]
pub(super) enum Failure {
    /// The refresh token is not spent; try again later.
    Retry {
        error: RefreshError,
        after: Duration,
    },
    /// The refresh token may be spent.
    InDoubt { replayable: bool },
    /// The refresh token is of no use.
    Revoked,
    /// The account is being shut down.
    Closed,
}

impl Failure {
    pub(super) fn retry(error: impl Into<RefreshError>, after: Duration) -> Self {
        Self::Retry {
            error: error.into(),
            after,
        }
    }
}

/// What the record asks for.
enum Step {
    Wait(Timestamp),
    Doubt,
    Lease(LeaseFrom),
    Stop(Failure),
}

/// Starts the flight for `generation`. The caller was elected by the cell.
pub(super) fn launch(account: &Arc<Shared>, generation: Generation) {
    let deadline = account
        .clock
        .now()
        .saturating_add(account.policy.refresh_timeout);
    let landing = Landing::new(account, generation);
    let mut flight = Flight {
        account: Arc::clone(account),
        generation,
        deadline,
    };
    let span = tracing::debug_span!("refresh", account = %account.name, %generation);
    let task = async move {
        match flight.fly().await {
            Ok(Flown::Done(generation)) => landing.succeed(generation),
            Ok(Flown::Pending(pending)) => {
                landing.succeed(pending.generation());
                pending.until_durable().await;
            }
            Err(failure) => landing.fail(failure, flight.generation),
        }
    };
    // Dropped whole, landing and all, if the runtime is gone.
    account
        .tasks
        .spawn_on(task.instrument(span), &account.runtime);
}

impl Flight {
    async fn fly(&mut self) -> Result<Flown, Failure> {
        loop {
            // Watch first, then read: no change falls between.
            let watch = self.account.store.watch(&self.account.name);
            let Some(record) = self
                .step(self.account.store.read(&self.account.name))
                .await?
            else {
                self.write_back().await?;
                continue;
            };
            if record.generation > self.generation {
                match self.account.adopt(record) {
                    (generation, Access::Dead) => self.generation = generation,
                    (generation, _) => return Ok(Flown::Done(generation)),
                }
                continue;
            }
            if record.generation < self.generation {
                self.write_back().await?;
                continue;
            }
            if self.account.closing.is_cancelled() {
                return Err(Failure::Closed);
            }
            if self.account.clock.now() >= self.deadline {
                let error = RefreshError::new(RefreshErrorKind::TimedOut);
                return Err(Failure::retry(error, policy::backoff(0)));
            }
            match self.next_step(&record) {
                Step::Wait(until) => self.wait(watch, until.min(self.deadline)).await,
                Step::Doubt => {
                    let why = "its presenter did not answer in time";
                    let store = &self.account.store;
                    let doubt =
                        store.doubt(&self.account.name, record.generation, record.fence, why);
                    if self.step(doubt).await? == Guarded::Done {
                        self.account.emit(Event::InDoubt {
                            generation: self.generation,
                        });
                    }
                }
                Step::Lease(from) => {
                    let Some(lease) = self.acquire(from).await? else {
                        // Somebody was quicker, so the watch has something to tell.
                        self.wait(watch, self.deadline).await;
                        continue;
                    };
                    if let Some(flown) = self.rotate(lease).await? {
                        return Ok(flown);
                    }
                }
                Step::Stop(failure) => return Err(failure),
            }
        }
    }

    fn next_step(&self, record: &Record) -> Step {
        let until = || {
            let left = record.deadline.saturating_since(record.now);
            Step::Wait(self.account.clock.now().saturating_add(left))
        };
        match record.status {
            Status::Revoked => Step::Stop(Failure::Revoked),
            Status::Sending if record.is_past_deadline() => Step::Doubt,
            Status::Sending => until(),
            Status::Leased if !record.is_past_deadline() => until(),
            Status::InDoubt if !self.may_replay(record) => {
                let replayable = !record.replayed
                    && self.account.policy.in_doubt == InDoubtPolicy::HoldUntilDead;
                Step::Stop(Failure::InDoubt { replayable })
            }
            Status::Active | Status::InDoubt if record.is_backing_off() => {
                let after = record.not_before.saturating_since(record.now);
                let until = self.account.clock.now().saturating_add(after);
                let kind = RefreshErrorKind::BackingOff { until };
                let error = match &record.last_error {
                    Some(why) => RefreshError::with_source(kind, why.clone()),
                    None => RefreshError::new(kind),
                };
                Step::Stop(Failure::retry(error, after))
            }
            Status::Active | Status::Leased if record.grant.refresh_token.is_none() => {
                Step::Stop(Failure::Revoked)
            }
            Status::Active | Status::Leased => Step::Lease(LeaseFrom::Active),
            Status::InDoubt => Step::Lease(LeaseFrom::InDoubt),
        }
    }

    /// Whether the policy lets a refresh token in doubt be presented once more.
    fn may_replay(&self, record: &Record) -> bool {
        let allowed = match self.account.policy.in_doubt {
            InDoubtPolicy::Never => false,
            InDoubtPolicy::HoldUntilDead => {
                self.account.cell.access(self.account.clock.now()) == Access::Dead
            }
            InDoubtPolicy::ReplayWithin(grace) => record
                .intended_at
                .is_some_and(|sent_at| record.now < sent_at.saturating_add(grace)),
        };
        allowed && !record.replayed && record.grant.refresh_token.is_some()
    }

    pub(super) async fn acquire(&self, from: LeaseFrom) -> Result<Option<Lease>, Failure> {
        let Shared {
            store, name, owner, ..
        } = &*self.account;
        match self
            .step(store.acquire(name, self.generation, owner, LEASE, from))
            .await?
        {
            Acquire::Granted(lease) => Ok(Some(lease)),
            Acquire::Lost(_) => Ok(None),
        }
    }

    /// The store lost what this process holds: a higher generation, or the whole record.
    async fn write_back(&self) -> Result<(), Failure> {
        let current = self.account.cell.load();
        let rest = current.rest(self.account.clock.now());
        let (generation, grant) = (current.generation, current.grant.clone());
        drop(current);
        let Shared { store, name, .. } = &*self.account;
        tracing::warn!("the store is behind this process: writing back");
        let (Commit::Committed(_) | Commit::Superseded(_)) = self
            .step(store.commit(name, generation, grant, rest))
            .await?;
        Ok(())
    }

    /// One step on the store, in the time that is left, or a moment if none is.
    pub(super) async fn step<T>(
        &self,
        step: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Failure> {
        let by = self
            .deadline
            .max(self.account.clock.now())
            .saturating_add(LAST_LOOK);
        let error = match finish_by(&*self.account.clock, by, step).await {
            Some(Ok(done)) => return Ok(done),
            Some(Err(error)) => error.into(),
            None => RefreshError::new(RefreshErrorKind::Store),
        };
        Err(Failure::retry(error, policy::backoff(0)))
    }

    /// Waits for a change of the record, but no longer than `until` or a poll's interval.
    pub(super) async fn wait(&self, mut watch: Box<dyn Watch>, until: Timestamp) {
        let clock = &*self.account.clock;
        let poll = Duration::from_millis(fastrand::u64(POLL));
        let by = until.min(clock.now().saturating_add(poll));
        let changed = self.account.closing.run_until_cancelled(watch.changed());
        if finish_by(clock, by, changed).await.flatten().is_none() {
            // Late or closing: still, time must pass before the next look.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(super) fn deadline(&self) -> Timestamp {
        self.deadline
    }
}

impl Shared {
    /// Takes over a record of a higher generation: its generation, and whether it signs.
    pub(super) fn adopt(&self, record: Record) -> (Generation, Access) {
        let now = self.clock.now();
        let generation = record.generation;
        if self
            .cell
            .publish(Snapshot::of(record, self.endpoint.client_id(), now))
        {
            self.emit(Event::Adopted { generation });
        }
        (self.cell.load().generation, self.cell.access(now))
    }
}
