//! How a flight ends: what the next one finds, and what those who waited are told.

use std::sync::Arc;
use std::time::Duration;

use super::flight::Failure;
use super::state::{Pause, Rotation};
use super::{Event, RefreshError, RefreshErrorKind, Shared, policy};
use crate::store::Generation;

/// How often an account in doubt or revoked is looked at again, should a request ask.
const RECHECK: Duration = Duration::from_secs(30);

/// Ends the flight exactly once, also when its task is dropped or panics.
pub(super) struct Landing {
    account: Option<Arc<Shared>>,
    generation: Generation,
}

impl Landing {
    pub(super) fn new(account: &Arc<Shared>, generation: Generation) -> Self {
        let account = Some(Arc::clone(account));
        Self {
            account,
            generation,
        }
    }

    pub(super) fn succeed(self, generation: Generation) {
        self.tell(&Ok(generation));
    }

    /// Ends the flight, and nothing speaks against the next.
    pub(super) fn tell(mut self, told: &Result<Generation, RefreshError>) {
        if let Some(account) = self.account.take() {
            account.land(self.generation, told);
        }
    }

    /// `generation` is the one the flight was looking at when it failed.
    pub(super) fn fail(mut self, failure: Failure, generation: Generation) {
        let Some(account) = self.account.take() else {
            return;
        };
        let now = account.clock.now();
        let recheck = Pause::new(now, RECHECK);
        let (rotation, error) = match failure {
            Failure::Retry { error, after } => {
                let last = account.cell.rotation().0.store_failed_for();
                let after = match last {
                    Some(last) if error.kind() == RefreshErrorKind::Store => {
                        after.max(policy::store_backoff(last))
                    }
                    _ => after,
                };
                let pause = Pause::new(now, after);
                account.emit(Event::RefreshFailed {
                    generation,
                    error: error.clone(),
                    retry_at: pause.until,
                });
                (
                    Rotation::Backoff {
                        pause,
                        cause: Arc::new(error.clone()),
                    },
                    error,
                )
            }
            Failure::InDoubt { replay_after, why } => {
                let replay = replay_after.map(|after| Pause::new(now, after));
                let why = why.into();
                let rotation = Rotation::InDoubt {
                    recheck,
                    replay,
                    why,
                };
                (rotation.clone(), rotation.error())
            }
            Failure::Revoked { why } => {
                let why = why.into();
                let rotation = Rotation::Revoked { recheck, why };
                (rotation.clone(), rotation.error())
            }
            Failure::Closed => (Rotation::Idle, RefreshError::closed()),
        };
        let current = account.cell.load().generation;
        let told = if current > generation {
            // A user authorized it meanwhile: nobody need hear how the old grant ended.
            Ok(current)
        } else {
            account.announce_reauthorization(&account.cell.rotation().0, &rotation);
            Err(error)
        };
        for waiter in account.cell.land(generation, rotation) {
            let _ = waiter.send(told.clone());
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if let Some(account) = self.account.take() {
            let interrupted = Err(RefreshError::new(RefreshErrorKind::Interrupted));
            account.land(self.generation, &interrupted);
        }
    }
}

impl Shared {
    fn land(&self, generation: Generation, told: &Result<Generation, RefreshError>) {
        for waiter in self.cell.land(generation, Rotation::Idle) {
            // Nobody listens to a dropped caller's waiter.
            let _ = waiter.send(told.clone());
        }
    }

    /// Tells that a person is needed, and how long the access token still signs: once, and once
    /// more when the last replay has been lost as well.
    pub(super) fn announce_reauthorization(&self, before: &Rotation, rotation: &Rotation) {
        let news = match (before, rotation) {
            (Rotation::InDoubt { replay: before, .. }, Rotation::InDoubt { replay, .. }) => {
                before.is_some() && replay.is_none()
            }
            (Rotation::Revoked { .. }, Rotation::Revoked { .. }) => false,
            (_, Rotation::Revoked { .. } | Rotation::InDoubt { .. }) => true,
            _ => false,
        };
        if news {
            let now = self.clock.now();
            let deadline = self.cell.load().deadline(self.cell.rejected(), now);
            let may_recover =
                matches!(rotation, Rotation::InDoubt { replay, .. } if replay.is_some());
            self.emit(Event::ReauthorizationRequired {
                deadline,
                may_recover,
            });
        }
    }
}
