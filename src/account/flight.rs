//! The flight: the one refresh under way for an account in this process, as a detached task. All that
//! comes before the refresh token is sent has a wall-clock deadline; the answer has a timer. Callers
//! only watch it; dropping one changes nothing.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;

use super::commit::Pending;
use super::landing::Landing;
use super::next::Step;
use super::state::Access;
use super::work::Work;
use super::{RefreshError, RefreshErrorKind, Shared, policy};
use crate::Timestamp;
use crate::clock::finish_by;
use crate::store::{Acquire, Generation, Guarded, Lease, LeaseFrom, StoreError, Watch};

/// While another process rotates, the record is read again at least this often: notifications
/// may be lost.
const POLL: std::ops::Range<u64> = 500..1_000;
/// Two looks at the record are at least this far apart, however often the store says it changed.
const BREATH: Duration = Duration::from_millis(10);
/// A lease covers connecting; it ends by itself if its holder dies.
const LEASE: Duration = Duration::from_secs(30);
/// After the deadline there is still time for one last look at the store, and for what has to be
/// put down once the refresh token was sent.
pub(super) const LAST_LOOK: Duration = Duration::from_secs(2);

pub(super) struct Flight {
    pub(super) account: Arc<Shared>,
    /// The generation that is to be replaced.
    pub(super) generation: Generation,
    deadline: Timestamp,
    /// Since when each look at the record found it in doubt.
    pub(super) in_doubt_since: Option<Timestamp>,
    /// Whether the endpoint's rate limit has let it pass already.
    passed: bool,
}

/// How a flight ended well.
pub(super) enum Flown {
    /// The credential of this generation is published and durable.
    Done(Generation),
    /// It is published; the store has yet to take it.
    Pending(Box<Pending>),
}

/// How a flight failed, and what that means for the next.
#[derive(Debug)]
pub(super) enum Failure {
    /// The refresh token is not spent; try again later.
    Retry {
        error: RefreshError,
        after: Duration,
    },
    /// The refresh token may be spent. `replay_after`: how long until a dead account may replay it.
    InDoubt {
        replay_after: Option<Duration>,
        why: String,
    },
    /// The refresh token is of no use.
    Revoked { why: String },
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

/// Starts the flight for `generation`. The caller was elected by the cell. `passed`: the endpoint's
/// rate limit has let it pass already.
pub(super) fn launch(account: &Arc<Shared>, generation: Generation, passed: bool) -> Arc<Work> {
    let landing = Landing::new(account, generation);
    let span = account.span("refresh");
    let account = Arc::clone(account);
    let task = {
        let account = Arc::clone(&account);
        async move {
            // By when it ends is counted from when it begins.
            let timeout = account.realm.policy.refresh_timeout;
            let deadline = account.clock.now().saturating_add(timeout);
            let mut flight = Flight {
                account,
                generation,
                deadline,
                in_doubt_since: None,
                passed,
            };
            match flight.fly().await {
                Ok(Flown::Done(generation)) => landing.succeed(generation),
                Ok(Flown::Pending(pending)) => {
                    landing.succeed(pending.generation());
                    pending.until_durable().await;
                }
                Err(failure) => landing.fail(failure, flight.generation),
            }
        }
    };
    // Dropped whole, landing and all, if its runtime goes.
    let work = account.begin(task.instrument(span));
    account.note_flight(&work);
    work
}

impl Flight {
    async fn fly(&mut self) -> Result<Flown, Failure> {
        loop {
            // Watch first, then read: no change falls between.
            let watch = self.account.realm.store.watch(&self.account.name);
            let read = self.account.realm.store.read(&self.account.name);
            let record = match self.step(read).await? {
                Some(record) if record.generation >= self.generation => record,
                // The store lost what this process holds. The answer counts, not another read,
                // which may lag behind it.
                _ => self.step(self.account.write_back()).await?,
            };
            let record = record
                .usable_by(&self.account.realm.client_id)
                .map_err(|error| {
                    let after = policy::long_backoff(0);
                    Failure::retry(RefreshError::from(error), after)
                })?;
            if record.generation > self.generation {
                self.in_doubt_since = None;
                match self.account.adopt(record) {
                    (generation, Access::Dead) => self.generation = generation,
                    (generation, _) => return Ok(Flown::Done(generation)),
                }
                continue;
            }
            if self.account.closing().is_cancelled() {
                return Err(Failure::Closed);
            }
            if self.account.clock.now() >= self.deadline {
                let error = RefreshError::new(RefreshErrorKind::TimedOut);
                return Err(Failure::retry(error, policy::backoff(0)));
            }
            if self.finds_the_answer(&record).await? {
                continue;
            }
            self.note_doubt(&record);
            let wait_until = match self.next_step(&record) {
                Step::Wait(until) => until.min(self.deadline),
                Step::Doubt => match self.doubt_for_another(&record).await? {
                    Guarded::Done => continue,
                    Guarded::Refused => self.deadline,
                },
                Step::Remind => match self.remind().await? {
                    Guarded::Done => continue,
                    Guarded::Refused => self.deadline,
                },
                Step::Lease(from) => {
                    self.pass().await?;
                    let asked_at = self.account.clock.now();
                    match self.acquire(from).await? {
                        Some(lease) => match self.rotate(lease, asked_at).await? {
                            Some(flown) => return Ok(flown),
                            None => continue,
                        },
                        // Somebody was quicker, so the watch has something to tell.
                        None => self.deadline,
                    }
                }
                Step::Stop(failure) => return Err(failure),
            };
            let wait = self.wait(watch, wait_until);
            self.account.closing().run_until_cancelled(wait).await;
        }
    }

    /// Waits for the endpoint's rate limit: before there is a lease, which a long wait would
    /// outlast.
    async fn pass(&mut self) -> Result<(), Failure> {
        let account = &*self.account;
        let endpoint = &account.realm.endpoint;
        let held = endpoint.held_for();
        if std::mem::take(&mut self.passed) && held.is_zero() {
            return Ok(());
        }
        let passed = if held > self.deadline.saturating_since(account.clock.now()) {
            // Nobody waits for what cannot come in time.
            None
        } else {
            let pass = account.closing().run_until_cancelled(endpoint.pass());
            finish_by(&*account.clock, self.deadline, pass).await
        };
        match passed {
            Some(Some(())) => Ok(()),
            Some(None) => Err(Failure::Closed),
            None => {
                let (kind, after) = match endpoint.held_for() {
                    Duration::ZERO => (RefreshErrorKind::TimedOut, policy::backoff(0)),
                    held => (RefreshErrorKind::RateLimited, held),
                };
                Err(Failure::retry(RefreshError::new(kind), after))
            }
        }
    }

    pub(super) async fn acquire(&self, from: LeaseFrom) -> Result<Option<Lease>, Failure> {
        let (realm, name) = (&self.account.realm, &self.account.name);
        let owner = &realm.owner;
        match self
            .step(
                realm
                    .store
                    .acquire(name, self.generation, owner, LEASE, from),
            )
            .await?
        {
            Acquire::Granted(lease) => Ok(Some(lease)),
            Acquire::Lost(_) => Ok(None),
        }
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
        finish_by(clock, by, watch.changed()).await;
        // A watch may end without a change: still, time must pass before the next look.
        tokio::time::sleep(BREATH).await;
    }

    pub(super) fn deadline(&self) -> Timestamp {
        self.deadline
    }
}
