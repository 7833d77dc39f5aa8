//! Steps on the store, each with a limit.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::Clock;
use crate::account::policy::Policy;
use crate::account::{AccountError, AccountErrorKind};
use crate::clock::finish_by;
use crate::store::StoreError;

/// After the deadline there is still time for one last look at the store, and for what has to be
/// put down once the refresh token was sent.
pub(in crate::account) const LAST_LOOK: Duration = Duration::from_secs(2);

/// How long those who wait for the flight wait for the store, once the tokens are there.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// One step on the store in the time that a refresh may take.
pub(in crate::account) async fn bounded<T>(
    clock: &dyn Clock,
    policy: &Policy,
    step: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, AccountError> {
    let by = clock.now().saturating_add(policy.refresh_timeout);
    match finish_by(clock, by.saturating_add(LAST_LOOK), step).await {
        Some(done) => Ok(done?),
        None => Err(AccountError::new(AccountErrorKind::Store)),
    }
}

/// A step that must not take tokens with it that nobody else has: `None` if it took too long, or
/// panicked. A timer measures it, for the wall clock may jump.
pub(super) async fn in_time<F: Future>(within: Duration, step: F) -> Option<F::Output> {
    let mut step = pin!(step);
    let caught = poll_fn(|cx| {
        // A step that panicked is not polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| step.as_mut().poll(cx)));
        polled.map_or(Poll::Ready(None), |poll| poll.map(Some))
    });
    tokio::time::timeout(within, caught).await.ok().flatten()
}
