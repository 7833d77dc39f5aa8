use std::time::Duration;

use crate::store::Record;

/// A dead account replays a refresh token in doubt this long after it was first presented: it can
/// do so only once, and most outages that lose answers are shorter.
pub(super) const REPLAY_PAUSE: Duration = Duration::from_secs(60);

/// Before a refresh token in doubt is presented once more, the store answers for so long without a
/// word of it: after an outage of the store, whoever has the answer must be able to come first.
pub(super) const REPLAY_WATCH: Duration = Duration::from_secs(10);

/// How long one attempt to commit tokens that are issued may take.
pub(super) const COMMIT_ATTEMPT: Duration = Duration::from_secs(5);

/// What may be done with a refresh token whose answer is lost. It may be spent, and a spent one
/// presented again can end the grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InDoubtPolicy {
    /// Go on signing with the access token; once that is dead, present the refresh token once
    /// more: there is nothing left to lose. Not within a minute of the first time, so that a short
    /// outage does not lose both answers; and not before it watched the record for ten seconds (or
    /// half of [`refresh_timeout`](super::AccountBuilder::refresh_timeout), if that is less), so
    /// that a process that holds the answer can bring it to a store that was away.
    #[default]
    HoldUntilDead,
    /// Present it once more within this time of the first. Only for a provider that documents such
    /// a grace window.
    ReplayWithin(Duration),
    /// Never present it again: the user must authorize again.
    Never,
}

/// What a refresh may take beside its two limits: steps on the store, each with a limit of its own.
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

/// When the token endpoint asks to be left alone for a time: that and up to a tenth more, for all
/// processes of a fleet were told the same; but no longer than a record can say.
pub(super) fn as_asked(pause: Duration) -> Duration {
    let spread = pause.mul_f64(1.0 + fastrand::f64() / 10.0);
    spread.min(Record::LONGEST_WAIT)
}

/// After an attempt to commit tokens that are issued, the `fails`-th: 1 s, then 2 s. No more, or a
/// store that is back would be told by somebody else that their refresh token is in doubt.
pub(super) fn commit_backoff(fails: u32) -> Duration {
    jittered(Duration::from_secs(1), fails, Duration::from_secs(2))
}

/// After a failure of the store, when the pause after the last was `last`: about twice that, up to
/// half a minute. A store that is down cannot count for its accounts, and must not be met by all of
/// them each second when it comes back.
pub(super) fn store_backoff(last: Duration) -> Duration {
    jittered(last.saturating_mul(3), 0, Duration::from_secs(30))
}

/// After a failure that a person must mend: 5 minutes, 10… up to an hour.
pub(super) fn long_backoff(fails: u32) -> Duration {
    jittered(Duration::from_secs(300), fails, Duration::from_secs(3600))
}

/// After a refresh ahead of time that found no room at the endpoint, `rest` before the access token
/// ends: up to a quarter of that, within 1 s to a minute.
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

    #[test]
    fn a_commit_is_tried_again_before_a_peer_replays() {
        let worst = COMMIT_ATTEMPT + Duration::from_secs(2);
        assert!(worst + Duration::from_secs(2) < REPLAY_WATCH);
    }
}
