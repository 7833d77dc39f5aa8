use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::{Clock, Timestamp};

/// Where a [`TestClock`] starts: 2025-06-01 00:00:00 UTC.
const START: Timestamp = Timestamp::from_secs(1_748_736_000);

/// A clock that a test owns: it follows tokio's time, which a test can pause, and can be set
/// besides.
///
/// With `tokio::time::pause` it stands still but for `tokio::time::advance` and for the sleeps
/// that a paused runtime skips; [`advance`](TestClock::advance) and
/// [`set_back`](TestClock::set_back) move it against tokio's time, as when a machine sleeps or
/// somebody sets its clock. All clones are one clock. Outside a runtime it runs like any other.
///
/// ```
/// use std::time::Duration;
/// use tower_mac_auth::Clock;
/// use tower_mac_auth::testing::TestClock;
///
/// let clock = TestClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(3600));
/// assert!(clock.now().saturating_since(before) >= Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug)]
pub struct TestClock {
    origin: Instant,
    /// Milliseconds, shared by all clones.
    offset: Arc<AtomicI64>,
}

impl TestClock {
    /// A clock that shows 2025-06-01 00:00:00 UTC.
    pub fn new() -> Self {
        Self {
            origin: tokio_now(),
            offset: Arc::default(),
        }
    }

    /// Sets the clock forward.
    pub fn advance(&self, by: Duration) {
        self.shift(millis(by));
    }

    /// Sets the clock back. Time before 1970 is 1970.
    pub fn set_back(&self, by: Duration) {
        self.shift(-millis(by));
    }

    fn shift(&self, by: i64) {
        let add = |offset: i64| Some(offset.saturating_add(by));
        // It always gives a value, so this cannot fail.
        let _ = self
            .offset
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let unset = START.saturating_add(tokio_now().saturating_duration_since(self.origin));
        let offset = self.offset.load(Ordering::Relaxed);
        let by = Duration::from_millis(offset.unsigned_abs());
        if offset < 0 {
            unset.saturating_sub(by)
        } else {
            unset.saturating_add(by)
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[expect(
    clippy::disallowed_methods,
    reason = "tokio's time is what this clock shows"
)]
fn tokio_now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_follows_the_time_of_a_paused_runtime() {
        let clock = TestClock::new();
        assert_eq!(clock.now(), START);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.now(), START.saturating_add(Duration::from_secs(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn clones_are_set_together() {
        let clock = TestClock::new();
        let clone = clock.clone();
        clock.advance(Duration::from_secs(60));
        assert_eq!(clone.now(), START.saturating_add(Duration::from_secs(60)));
        clone.set_back(Duration::from_secs(90));
        assert_eq!(clock.now(), START.saturating_sub(Duration::from_secs(30)));
    }

    #[test]
    fn it_runs_outside_a_runtime_and_cannot_overflow() {
        let clock = TestClock::new();
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert!(clock.now() > START);
        clock.set_back(Duration::MAX);
        clock.set_back(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::EPOCH);
    }
}
