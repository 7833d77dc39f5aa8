//! The one place that reads a clock.
//!
//! Everything else takes the time from a [`Clock`] it was given, so a test can
//! own it. Deadlines that guard tokens are wall-clock: `Instant` and timers
//! stand still while a machine sleeps, a token's lifetime does not. But what
//! is under way and would be lost is given up by a timer alone: a wall clock
//! may jump.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

/// A moment of wall-clock time: whole milliseconds since the Unix epoch.
///
/// Arithmetic saturates, so no lifetime a peer sends can overflow it: what would lie before the
/// epoch is the epoch, and what would lie past [`MAX`](Self::MAX) is that. A duration counts in
/// whole milliseconds; the rest of it is dropped.
///
/// `Display` and `Debug` write it as RFC 3339 does, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch: before every moment that matters here.
    pub const EPOCH: Self = Self(0);
    /// The far future: "never", as a moment.
    pub const MAX: Self = Self(u64::MAX);

    /// The moment `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The moment `secs` seconds after the Unix epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// The moment `duration` later, or [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// The moment `duration` earlier, or [`Timestamp::EPOCH`].
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// How long after `earlier` this is; zero if it is not.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Timestamp {
    /// As in `2026-03-01T08:30:00.250Z`. A year past 9999 has more digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The calendar of 400 years that begin in March, so that a leap day is the last of its year:
        // <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
        let (days, second) = (self.as_secs() / 86_400 + 719_468, self.as_secs() % 86_400);
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year + u64::from(month <= 2);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let millis = self.0 % 1000;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    }
}

impl From<SystemTime> for Timestamp {
    /// A time before the epoch becomes the epoch.
    fn from(time: SystemTime) -> Self {
        Self::EPOCH.saturating_add(
            time.duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
        )
    }
}

impl From<Timestamp> for SystemTime {
    /// A time past what the platform can tell becomes the end of the year 9999.
    fn from(time: Timestamp) -> Self {
        let last = Duration::from_secs(253_402_300_799);
        Self::UNIX_EPOCH
            .checked_add(Duration::from_millis(time.0))
            .unwrap_or(Self::UNIX_EPOCH + last)
    }
}

/// Where the time comes from.
///
/// Give your own to [`AccountBuilder::clock`](crate::account::AccountBuilder::clock) to run a test
/// at any speed. It is read once for each signed request: keep it cheap.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall-clock time now.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    #[inline]
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// The machine's clock.
///
/// On Linux it reads the coarse clock (a few milliseconds of resolution, a
/// seventh of the cost); nonces count minutes and deadlines seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[inline]
    fn now(&self) -> Timestamp {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
            let secs = u64::try_from(now.tv_sec).unwrap_or(0);
            let millis = u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000;
            Timestamp(secs.saturating_mul(1000).saturating_add(millis))
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        {
            #[expect(clippy::disallowed_methods, reason = "this is the clock")]
            SystemTime::now().into()
        }
    }
}

/// How long a timer may run before the clock is read again: a timer stands still while the
/// machine sleeps, so a deadline is noticed this long after waking at the latest.
const TICK: Duration = Duration::from_secs(1);

/// Waits until the clock shows `at`; should it be set back meanwhile, no longer than it was to be.
pub(crate) async fn sleep_until(clock: &dyn Clock, at: Timestamp) {
    let mut left = at.saturating_since(clock.now());
    while !left.is_zero() {
        let tick = left.min(TICK);
        tokio::time::sleep(tick).await;
        left = left
            .saturating_sub(tick)
            .min(at.saturating_since(clock.now()));
    }
}

/// Runs `work` until the clock shows `at`; `None` if it has not ended by then (it is dropped). Not for
/// work that must not be dropped when the clock jumps.
pub(crate) async fn finish_by<F: Future>(
    clock: &dyn Clock,
    at: Timestamp,
    work: F,
) -> Option<F::Output> {
    let mut work = pin!(work);
    let mut late = pin!(sleep_until(clock, at));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => late.as_mut().poll(cx).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX.saturating_add(Duration::MAX), Timestamp::MAX);
        assert_eq!(
            Timestamp::from_secs(1).saturating_sub(Duration::from_secs(2)),
            Timestamp::EPOCH
        );
        assert_eq!(
            Timestamp::from_secs(3).saturating_since(Timestamp::from_secs(5)),
            Duration::ZERO
        );
    }

    #[test]
    fn it_is_written_as_rfc_3339_says() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_825_600_000, "2000-02-29T12:00:00.000Z"),
            (1_078_012_800_000, "2004-02-29T00:00:00.000Z"),
            (1_772_353_800_250, "2026-03-01T08:30:00.250Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(
                (time.to_string(), format!("{time:?}")),
                (text.into(), text.into())
            );
        }
        assert!(Timestamp::MAX.to_string().starts_with("584556019-"));
        // Each day of 800 years, against another's calendar.
        for day in 0..292_194_u64 {
            let time = Timestamp::from_secs(day * 86_400);
            let theirs = httpdate::HttpDate::from(SystemTime::from(time)).to_string();
            let ours = time.to_string();
            assert_eq!((&ours[..4], &ours[8..10]), (&theirs[12..16], &theirs[5..7]));
        }
    }

    #[test]
    fn a_system_time_comes_back() {
        let time = Timestamp::from_millis(1_772_353_800_250);
        assert_eq!(Timestamp::from(SystemTime::from(time)), time);
        // Does not panic, wherever the platform's time ends.
        let _ = SystemTime::from(Timestamp::MAX);
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "compares our clock with the standard one"
    )]
    fn the_system_clock_agrees_with_the_standard_library() {
        let ours = SystemClock.now();
        let theirs = Timestamp::from(SystemTime::now());
        assert!(theirs.saturating_since(ours) < Duration::from_secs(1));
        assert!(ours.saturating_since(theirs) < Duration::from_secs(1));
    }
}
