use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::Mutex;

/// Lets at most `n` requests pass in any second, in the order they came.
pub(super) struct Limiter {
    cells: RateLimiter<NotKeyed, InMemoryState, TimerClock, NoOpMiddleware<Instant>>,
    /// Whoever waits for a cell holds this, and the others queue behind: all of them asking
    /// again each time one cell falls free would be a stampede.
    turn: Mutex<()>,
}

impl Limiter {
    /// The cells are a short burst, and refill at what the burst leaves of `n`: full burst and
    /// refill within one second together are `n`, not `n` each.
    pub(super) fn new(n: NonZeroU32) -> Self {
        // Timers tick in milliseconds, so a burst of one would hold 5000 a second to 1000.
        let burst = NonZeroU32::new(n.get() / 50).unwrap_or(NonZeroU32::MIN);
        let refill = u64::from(n.get() - burst.get()) + 1;
        let period = Duration::from_nanos(1_000_000_000_u64.div_ceil(refill));
        let quota = Quota::with_period(period)
            .unwrap_or(Quota::per_second(n))
            .allow_burst(burst);
        Self {
            cells: RateLimiter::direct_with_clock(quota, TimerClock),
            turn: Mutex::new(()),
        }
    }

    /// Waits for this caller's turn. Dropped before it ends, it takes no cell.
    pub(super) async fn ready(&self) {
        let _turn = self.turn.lock().await;
        while let Err(later) = self.cells.check() {
            tokio::time::sleep(later.wait_time_from(TimerClock.now())).await;
        }
    }

    /// Passes if that is possible at once: not past those who wait.
    pub(super) fn try_ready(&self) -> bool {
        let turn = self.turn.try_lock();
        turn.is_ok_and(|_turn| self.cells.check().is_ok())
    }
}

/// The clock that tokio's timers run on: a wait is measured by what waits it out.
#[derive(Clone, Copy, Debug)]
struct TimerClock;

impl Clock for TimerClock {
    type Instant = Instant;

    fn now(&self) -> Instant {
        #[expect(
            clippy::disallowed_methods,
            reason = "a rate, not a lifetime: it must agree with the timer"
        )]
        tokio::time::Instant::now().into_std()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// When each of `count` requests passed, in nanoseconds.
    async fn passes(n: u32, count: usize) -> Vec<u128> {
        let limiter = Arc::new(Limiter::new(NonZeroU32::new(n).unwrap()));
        let start = TimerClock.now();
        let tasks: Vec<_> = (0..count)
            .map(|_| {
                let limiter = Arc::clone(&limiter);
                tokio::spawn(async move {
                    limiter.ready().await;
                    TimerClock.now().duration_since(start).as_nanos()
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.push(task.await.unwrap());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_has_more_requests_than_the_limit() {
        for (n, count) in [(1, 5), (2, 9), (60, 300), (5000, 20_000)] {
            let times = passes(n, count).await;
            let n = usize::try_from(n).unwrap();
            for (first, next) in times.iter().zip(&times[n..]) {
                assert!(next - first >= 1_000_000_000, "limit {n}: {first} {next}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_is_nearly_reached() {
        let times = passes(5000, 20_000).await;
        assert!(*times.last().unwrap() < 4_200_000_000, "{:?}", times.last());
    }

    #[tokio::test(start_paused = true)]
    async fn callers_pass_in_the_order_they_came() {
        let times = passes(100, 500).await;
        assert!(times.is_sorted());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_gives_up_holds_nobody_up() {
        let limiter = Limiter::new(NonZeroU32::MIN);
        limiter.ready().await;
        let start = TimerClock.now();
        let hasty = tokio::time::timeout(Duration::from_millis(10), limiter.ready()).await;
        assert!(hasty.is_err());
        limiter.ready().await;
        let waited = TimerClock.now().duration_since(start);
        assert!(waited <= Duration::from_millis(1002), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_wait_does_not_pass_those_who_do() {
        let limiter = Limiter::new(NonZeroU32::MIN);
        assert!(limiter.try_ready());
        assert!(!limiter.try_ready(), "nothing is free");
        let mut waits = tokio_test::task::spawn(limiter.ready());
        tokio_test::assert_pending!(waits.poll());
        tokio::time::advance(Duration::from_millis(1_001)).await;
        // A cell is free, and whoever waits for it has yet to be polled.
        assert!(!limiter.try_ready(), "somebody waits");
        tokio_test::assert_ready!(waits.poll());
        drop(waits);
        tokio::time::advance(Duration::from_millis(1_001)).await;
        assert!(limiter.try_ready());
    }
}
