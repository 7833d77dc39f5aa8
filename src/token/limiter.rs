use std::num::NonZeroU32;
use std::sync::{Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::Mutex;

/// The longest pause after a 429 that asks for none.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Lets at most `n` requests pass in any second, in the order they came; and none while the
/// endpoint wants to be left alone.
pub(super) struct Limiter {
    cells: Option<RateLimiter<NotKeyed, InMemoryState, TimerClock, NoOpMiddleware<Instant>>>,
    hold: SyncMutex<Hold>,
    /// Whoever waits for a cell holds this, and the others queue behind: all of them asking
    /// again each time one cell falls free would be a stampede.
    turn: Mutex<()>,
}

/// What the endpoint's own rate limit has said.
#[derive(Default)]
struct Hold {
    until: Option<Instant>,
    /// How many holds there were since a request was let through.
    in_a_row: u32,
}

impl Hold {
    fn left(&self, now: Instant) -> Duration {
        let until = self.until.unwrap_or(now);
        until.saturating_duration_since(now)
    }
}

impl Limiter {
    /// `None`: only the endpoint itself sets a limit.
    pub(super) fn new(n: Option<NonZeroU32>) -> Self {
        Self {
            cells: n.map(|n| RateLimiter::direct_with_clock(quota(n), TimerClock)),
            hold: SyncMutex::default(),
            turn: Mutex::new(()),
        }
    }

    /// The endpoint answered 429, and asks for this pause or for none: nobody passes before it is
    /// over, or 1 s, 2 s, 4 s…
    pub(super) fn hold(&self, asked: Option<Duration>) {
        let now = TimerClock.now();
        let mut hold = self.lock();
        // Requests that were under way when the first was turned away are not a further hold.
        if hold.left(now).is_zero() {
            hold.in_a_row = hold.in_a_row.saturating_add(1);
        }
        let doubled = 2_u32.saturating_pow(hold.in_a_row - 1);
        let pause = Duration::from_secs(1).saturating_mul(doubled);
        let until = now + asked.unwrap_or(pause.min(LONGEST_PAUSE));
        hold.until = hold.until.max(Some(until));
    }

    /// The endpoint gave another answer than 429. That does not end a hold that stands: the request
    /// may have been sent before the hold began.
    pub(super) fn was_let_through(&self) {
        self.lock().in_a_row = 0;
    }

    /// How much longer nobody passes.
    pub(super) fn held_for(&self) -> Duration {
        self.lock().left(TimerClock.now())
    }

    /// Waits for this caller's turn. Dropped before it ends, it takes no cell.
    pub(super) async fn ready(&self) {
        let _turn = self.turn.lock().await;
        while let Err(wait) = self.check() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Passes if that is possible at once, and nobody waits.
    pub(super) fn try_ready(&self) -> bool {
        let turn = self.turn.try_lock();
        turn.is_ok_and(|_turn| self.check().is_ok())
    }

    /// Takes a cell, or says when to ask again.
    fn check(&self) -> Result<(), Duration> {
        let held = self.held_for();
        if !held.is_zero() {
            return Err(held);
        }
        match self.cells.as_ref().map(RateLimiter::check) {
            Some(Err(later)) => Err(later.wait_time_from(TimerClock.now())),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Hold> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cells are a short burst, and refill at what the burst leaves of `n`: full burst and
/// refill within one second together are `n`, not `n` each.
fn quota(n: NonZeroU32) -> Quota {
    // Timers tick in milliseconds, so a burst of one would hold 5000 a second to 1000.
    let burst = NonZeroU32::new(n.get() / 50).unwrap_or(NonZeroU32::MIN);
    let refill = u64::from(n.get() - burst.get()) + 1;
    let period = Duration::from_nanos(1_000_000_000_u64.div_ceil(refill));
    Quota::with_period(period)
        .unwrap_or(Quota::per_second(n))
        .allow_burst(burst)
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
        let limiter = Arc::new(Limiter::new(NonZeroU32::new(n)));
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
        let limiter = Limiter::new(Some(NonZeroU32::MIN));
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
        let limiter = Limiter::new(Some(NonZeroU32::MIN));
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
    #[tokio::test(start_paused = true)]
    async fn a_hold_without_a_length_doubles_until_a_request_is_let_through() {
        let limiter = Limiter::new(None);
        for secs in [1, 2, 4, 8, 16, 32, 60, 60] {
            let pause = Duration::from_secs(secs);
            limiter.hold(None);
            assert_eq!(limiter.held_for(), pause);
            // Another of the same moment.
            limiter.hold(None);
            assert_eq!(limiter.held_for(), pause);
            let start = TimerClock.now();
            limiter.ready().await;
            assert_eq!(TimerClock.now().duration_since(start), pause);
        }
        limiter.was_let_through();
        limiter.hold(None);
        assert_eq!(limiter.held_for(), Duration::from_secs(1));
        limiter.was_let_through();
        assert!(!limiter.held_for().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_that_begins_while_somebody_waits_holds_him_back_too() {
        let limiter = Limiter::new(Some(NonZeroU32::MIN));
        limiter.ready().await;
        let start = TimerClock.now();
        let mut waits = tokio_test::task::spawn(limiter.ready());
        tokio_test::assert_pending!(waits.poll());
        limiter.hold(Some(Duration::from_secs(30)));
        limiter.hold(Some(Duration::from_secs(2)));
        waits.await;
        let waited = TimerClock.now().duration_since(start);
        assert!(waited >= Duration::from_secs(30), "{waited:?}");
    }
}
