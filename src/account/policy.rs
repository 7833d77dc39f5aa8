use std::time::Duration;

use crate::store::Record;

/// How long one attempt to commit tokens that are issued may take.
pub(super) const COMMIT_ATTEMPT: Duration = Duration::from_secs(5);

/// What may be done with a refresh token whose answer is lost. It may be spent, and a spent one
/// presented again can end the grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InDoubtPolicy {
    /// Go on signing with the access token. Once that is dead, there is nothing left to lose, and the
    /// refresh token is presented once more, when two things hold. A minute has passed since the first
    /// time, so that a short outage does not lose both answers. And the record has been watched for ten
    /// seconds (or half of [`refresh_timeout`](super::AccountBuilder::refresh_timeout), if that is
    /// less), so that a process that holds the answer can first bring it to a store that was away.
    #[default]
    HoldUntilDead,
    /// Present it once more within this time of the first. Only for a provider that documents such
    /// a grace window.
    ReplayWithin(Duration),
    /// Never present it again: the user must authorize again.
    Never,
}

/// How long a refresh may take on top of its two limits: each step on the store has a limit of its
/// own.
const STEPS: Duration = Duration::from_secs(30);

/// How an account goes about refreshing.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) in_doubt: InDoubtPolicy,
    pub(super) min_rotation_interval: Duration,
    pub(super) refresh_timeout: Duration,
    pub(super) answer_timeout: Duration,
}

impl Policy {
    /// How long a refresh takes at most while its runtime is driven.
    pub(super) fn longest_refresh(&self) -> Duration {
        let timeouts = self.refresh_timeout.saturating_add(self.answer_timeout);
        timeouts.saturating_add(STEPS)
    }

    /// How long an authorization takes at most, or opening an account: a few steps on the store may
    /// each take as long as a refresh may until it sends.
    pub(super) fn longest_authorization(&self) -> Duration {
        let before = self.refresh_timeout.saturating_mul(3);
        before.saturating_add(self.longest_refresh())
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            in_doubt: InDoubtPolicy::default(),
            min_rotation_interval: Duration::from_secs(60),
            refresh_timeout: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(45),
        }
    }
}

/// After a failure that may pass by itself, the `fails`-th (0, 1, 2…) in a row: 1 s, 2 s, 4 s… up
/// to 5 minutes.
pub(super) fn backoff(fails: u32) -> Duration {
    jittered(Duration::from_secs(1), fails, Duration::from_secs(300))
}

/// The pause when the token endpoint asks to be left alone for a time: that time and up to a tenth
/// more, because all processes of a fleet are told the same; but no longer than a record can say.
pub(super) fn as_asked(pause: Duration) -> Duration {
    let spread = pause.mul_f64(1.0 + fastrand::f64() / 10.0);
    spread.min(Record::LONGEST_WAIT)
}

/// After the `fails`-th failed attempt to commit tokens that were issued: 1 s, then 2 s. It must not
/// be longer: when the store is back, this commit has to come before another process finds the
/// refresh token in doubt and presents it again.
pub(super) fn commit_backoff(fails: u32) -> Duration {
    jittered(Duration::from_secs(1), fails, Duration::from_secs(2))
}

/// After a failure of the store, when the pause after the failure before was `last`: about twice
/// `last`, up to half a minute. A store that is down cannot count the failures of its accounts, and
/// must not be met by all of them each second when it comes back.
pub(super) fn store_backoff(last: Duration) -> Duration {
    jittered(last.saturating_mul(3), 0, Duration::from_secs(30))
}

/// After a failure that a person must mend: 5 minutes, 10… up to an hour.
pub(super) fn long_backoff(fails: u32) -> Duration {
    jittered(Duration::from_secs(300), fails, Duration::from_secs(3600))
}

/// After a refresh ahead of time found no room at the endpoint, `rest` before the access token ends:
/// up to a quarter of `rest`, at least 1 s and at most a minute.
pub(super) fn no_room(rest: Duration) -> Duration {
    let second = Duration::from_secs(1);
    jittered((rest / 4).max(second), 0, Duration::from_secs(60))
}

/// Between half and the whole of `first` doubled `fails` times, at most `most`: so that a fleet
/// does not come back at once.
fn jittered(first: Duration, fails: u32, most: Duration) -> Duration {
    let whole = first.saturating_mul(2_u32.saturating_pow(fails)).min(most);
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_with_jitter_up_to_its_cap() {
        for (fails, whole) in [(0, 1), (1, 2), (4, 16), (30, 300), (u32::MAX, 300)] {
            let whole = Duration::from_secs(whole);
            let pause = backoff(fails);
            assert!(whole / 2 <= pause && pause <= whole, "{fails}: {pause:?}");
        }
        assert!(long_backoff(9) <= Duration::from_secs(3600));
        assert!(commit_backoff(9) <= Duration::from_secs(2));
    }
}
