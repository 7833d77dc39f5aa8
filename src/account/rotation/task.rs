//! The flight: the one refresh under way for an account in this process, as a detached task. All that
//! comes before the refresh token is sent has a wall-clock deadline; the answer has a timer. Callers
//! only watch it; dropping one changes nothing.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;

use super::commit::Committed;
use super::decide::{Decision, Stop, decide, may_have_an_answer};
use super::ending::Ending;
use super::failure::Failure;
use super::flight::Flight;
use crate::account::credential::Access;
use crate::account::state::AccountState;
use crate::account::work::Work;
use crate::account::{Event, RefreshError, RefreshErrorKind, policy};
use crate::clock::finish_by;
use crate::provider::Provider;
use crate::store::{
    Draft, Generation, Lease, LeaseFrom, Record, Standing, StoreError, corrupt, transition,
};

/// Starts the flight for `generation`. The caller was elected by the cell. `passed`: the endpoint's
/// rate limit has let it pass already.
pub(in crate::account) fn launch<P: Provider>(
    account: &Arc<AccountState<P>>,
    generation: Generation,
    passed: bool,
) -> Arc<Work> {
    let ending = Ending::new(account, generation);
    let span = account.span("refresh");
    let state = Arc::clone(account);
    let task = async move {
        let mut flight = Flight::new(state, generation, passed);
        match flight.fly().await {
            Ok(Committed::Durable(generation)) => ending.succeed(generation),
            Ok(Committed::Delayed(pending)) => {
                ending.succeed(pending.generation());
                pending.until_durable().await;
            }
            Err(failure) => ending.fail(failure, flight.generation),
        }
    };
    // Dropped whole, ending and all, if its runtime goes.
    let work = account.begin(task.instrument(span));
    account.tasks().note_flight(&work);
    work
}

impl<P: Provider> Flight<P> {
    async fn fly(&mut self) -> Result<Committed<P>, Failure> {
        let account = Arc::clone(&self.account);
        loop {
            // Listen first, then look: no change falls between.
            let mut changed = pin!(account.tasks().changed().notified());
            changed.as_mut().enable();
            let record = self.look().await?;
            if record.generation > self.generation {
                self.note_doubt(false);
                match account.adopt(record) {
                    (generation, Access::Dead) => self.generation = generation,
                    (generation, _) => return Ok(Committed::Durable(generation)),
                }
                continue;
            }
            account.note_seen(record.version);
            if account.tasks().closing().is_cancelled() {
                return Err(Failure::Closed);
            }
            if account.clock.now() >= self.deadline {
                return Err(too_late());
            }
            if may_have_an_answer(&record) && self.finds_the_answer().await? {
                continue;
            }
            self.note_doubt(record.is_in_doubt());
            let wait_until = match decide(&record, &self.view(record.generation)) {
                Decision::Wait(left) => account.clock.now().saturating_add(left).min(self.deadline),
                Decision::Doubt if self.doubts(&record).await? => continue,
                Decision::Remind if self.reminds(&record).await? => continue,
                Decision::Acquire(from) => {
                    self.pass().await?;
                    let asked_at = account.clock.now();
                    match self.acquire(&record, from).await? {
                        Some(lease) => match self.rotate(lease, asked_at).await? {
                            Some(committed) => return Ok(committed),
                            None => continue,
                        },
                        None => self.deadline,
                    }
                }
                Decision::Stop(stop) => return Err(self.stopped(stop)),
                // Another process was quicker, so there is a change to be told of.
                Decision::Doubt | Decision::Remind => self.deadline,
            };
            let wait = self.wait(changed, wait_until);
            account.tasks().closing().run_until_cancelled(wait).await;
        }
    }

    /// The record that stands, which this client can use. A store that fell behind this process is
    /// brought up to it.
    async fn look(&self) -> Result<Record, Failure> {
        let account = &*self.account;
        account.cell.begin_look();
        let record = match self.load().await?.standing {
            Standing::Record(record) if record.generation >= self.generation => record,
            Standing::Unreadable { why, .. } => return Err(unusable(why)),
            // What the commit returned counts: another read may lag behind it.
            _ => self.step(account.write_back()).await?,
        };
        account.context.usable(record).map_err(unusable)
    }

    /// Whether the answer that the record waits for, or that is lost, was in this machine's
    /// journal: then it is in the store now.
    async fn finds_the_answer(&self) -> Result<bool, Failure> {
        let (context, name) = (&self.account.context, &self.account.name);
        let account = (name, &*context.client_id);
        let recover = context
            .journal
            .recover(account, &context.store, &*context.clock);
        self.step(recover).await
    }

    /// Says in the presenter's place that its presentation is in doubt; `false` if another process was
    /// quicker.
    async fn doubts(&self, record: &Record) -> Result<bool, Failure> {
        let why = "its presenter did not answer in time";
        let doubted = self.transition(record, |standing, version| {
            transition::doubt(standing, version, record.lease, why)
        });
        let done = doubted.await?.is_some();
        if done {
            let generation = record.generation;
            let why = why.to_owned();
            self.account.emit(Event::InDoubt { generation, why });
        }
        Ok(done)
    }

    /// Puts the doubt back that the store forgot, so that no other process presents the token either;
    /// `false` if one was quicker.
    async fn reminds(&self, record: &Record) -> Result<bool, Failure> {
        let Some(lease) = self.acquire(record, LeaseFrom::Active).await? else {
            return Ok(false);
        };
        let Lease { id, record, .. } = &lease;
        let intended = self.transition(record, |standing, version| {
            transition::intend(standing, version, &lease, Duration::ZERO)
        });
        let Some(intended) = intended.await? else {
            return Ok(false);
        };
        let why = "the store forgot that it was presented";
        let doubted = self.transition(&intended, |standing, version| {
            let intended_at = Some(self.account.presented_at());
            let draft = transition::doubt(standing, version, Some(*id), why)?;
            Some(Draft {
                intended_at,
                ..draft
            })
        });
        Ok(doubted.await?.is_some())
    }

    /// Waits for the endpoint's rate limit: before there is a lease, which a long wait would
    /// outlast.
    async fn pass(&mut self) -> Result<(), Failure> {
        let account = &*self.account;
        let endpoint = &account.context.endpoint;
        let held = endpoint.held_for();
        if std::mem::take(&mut self.passed) && held.is_zero() {
            return Ok(());
        }
        let passed = if held > self.deadline.saturating_since(account.clock.now()) {
            // The pause outlasts the deadline, so there is nothing to wait for.
            None
        } else {
            let closing = account.tasks().closing();
            let pass = closing.run_until_cancelled(endpoint.pass());
            finish_by(&*account.clock, self.deadline, pass).await
        };
        match passed {
            Some(Some(())) => Ok(()),
            Some(None) => Err(Failure::Closed),
            None => match endpoint.held_for() {
                Duration::ZERO => Err(too_late()),
                held => {
                    let error = RefreshError::new(RefreshErrorKind::RateLimited);
                    Err(Failure::retry(error, held))
                }
            },
        }
    }

    fn stopped(&self, stop: Stop) -> Failure {
        match stop {
            Stop::Revoked { why } => Failure::Revoked { why },
            Stop::InDoubt { again_after, why } => Failure::InDoubt { again_after, why },
            Stop::BackingOff { left, why } => {
                let until = self.account.clock.now().saturating_add(left);
                let kind = RefreshErrorKind::BackingOff { until };
                let error = match why {
                    Some(why) => RefreshError::with_source(kind, why),
                    None => RefreshError::new(kind),
                };
                Failure::retry(error, left)
            }
            Stop::LastGeneration => {
                unusable(corrupt("there is no generation after the one stored"))
            }
        }
    }
}

fn too_late() -> Failure {
    let error = RefreshError::new(RefreshErrorKind::TimedOut);
    Failure::retry(error, policy::backoff(0))
}

/// A person has to mend what stands.
fn unusable(error: StoreError) -> Failure {
    Failure::retry(error, policy::long_backoff(0))
}
