//! How a refresh ends: what the next one finds, and what those who waited are told.

use std::sync::Arc;
use std::time::Duration;

use super::failure::Failure;
use crate::Timestamp;
use crate::account::credential::{Pause, RotationState};
use crate::account::state::AccountState;
use crate::account::{Event, RefreshError, RefreshErrorKind, policy};
use crate::provider::Provider;
use crate::store::Generation;

/// How often the record of an account in doubt or revoked is looked at again, if requests ask.
const RECHECK: Duration = Duration::from_secs(30);

/// Ends the flight exactly once, also when its task is dropped or panics.
pub(in crate::account) struct Ending<P: Provider> {
    account: Option<Arc<AccountState<P>>>,
    generation: Generation,
    started: Timestamp,
}

impl<P: Provider> Ending<P> {
    pub(in crate::account) fn new(account: &Arc<AccountState<P>>, generation: Generation) -> Self {
        Self {
            account: Some(Arc::clone(account)),
            generation,
            started: account.clock.now(),
        }
    }

    pub(in crate::account) fn succeed(self, generation: Generation) {
        if let Some(account) = &self.account {
            self.note_time(account);
        }
        self.tell(&Ok(generation));
    }

    /// Ends a flight that was no refresh, as an account is opened by one, and nothing speaks against the
    /// next.
    pub(in crate::account) fn tell(mut self, told: &Result<Generation, RefreshError>) {
        if let Some(account) = self.account.take() {
            account.end_flight(self.generation, RotationState::Idle, told);
        }
    }

    fn note_time(&self, account: &AccountState<P>) {
        let took = account.clock.now().saturating_since(self.started);
        account.context.counters.flight(took);
    }

    /// `generation` is the one the flight was looking at when it failed.
    pub(in crate::account) fn fail(mut self, failure: Failure, generation: Generation) {
        let Some(account) = self.account.take() else {
            return;
        };
        self.note_time(&account);
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
                let cause = Arc::new(error.clone());
                (RotationState::Backoff { pause, cause }, error)
            }
            Failure::InDoubt { again_after, why } => {
                let again = again_after.map(|after| Pause::new(now, after));
                let why = why.into();
                let rotation = RotationState::InDoubt {
                    recheck,
                    again,
                    why,
                };
                (rotation.clone(), rotation.error())
            }
            Failure::Revoked { why } => {
                let why = why.into();
                let rotation = RotationState::Revoked { recheck, why };
                (rotation.clone(), rotation.error())
            }
            Failure::Closed => (RotationState::Idle, RefreshError::closed()),
        };
        let current = account.cell.load().generation;
        let told = if current > generation {
            // A user authorized it meanwhile: nobody need hear how the old grant ended.
            Ok(current)
        } else {
            let news = account.announce_reauthorization(&account.cell.rotation().0, &rotation);
            if news && error.needs_authorization() {
                let rejected = matches!(rotation, RotationState::Revoked { .. });
                account.context.counters.reauthorization_required(rejected);
            }
            Err(error)
        };
        account.end_flight(generation, rotation, &told);
    }
}

impl<P: Provider> Drop for Ending<P> {
    fn drop(&mut self) {
        if let Some(account) = self.account.take() {
            let interrupted = Err(RefreshError::new(RefreshErrorKind::Interrupted));
            account.end_flight(self.generation, RotationState::Idle, &interrupted);
        }
    }
}

impl<P: Provider> AccountState<P> {
    fn end_flight(
        &self,
        generation: Generation,
        rotation: RotationState,
        told: &Result<Generation, RefreshError>,
    ) {
        for waiter in self.cell.land(generation, rotation) {
            // Nobody listens to a dropped caller's waiter.
            let _ = waiter.send(told.clone());
        }
    }
}
