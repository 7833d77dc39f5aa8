//! May we rotate? The other question, whether we may sign, is [`Access`]'s.

use std::sync::Arc;
use std::time::Duration;

use super::Access;
use crate::Timestamp;
use crate::account::{InDoubtPolicy, RefreshError, RefreshErrorKind};
use crate::store::{Record, Status};

/// A stretch of wall-clock time to wait out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::account) struct Pause {
    from: Timestamp,
    pub(in crate::account) until: Timestamp,
}

impl Pause {
    pub(in crate::account) fn new(from: Timestamp, length: Duration) -> Self {
        Self {
            from,
            until: from.saturating_add(length),
        }
    }

    pub(in crate::account) fn length(self) -> Duration {
        self.until.saturating_since(self.from)
    }

    /// A clock that was set back must not stretch the pause, so a time before it counts as after.
    pub(in crate::account) fn is_over(self, now: Timestamp) -> bool {
        now < self.from || now >= self.until
    }
}

/// May we rotate? (Whether a flight is under way is the cell's to know.)
#[derive(Clone, Debug)]
pub(in crate::account) enum RotationState {
    /// Nothing speaks against it.
    Idle,
    /// The last attempt failed with `cause`.
    Backoff {
        pause: Pause,
        cause: Arc<RefreshError>,
    },
    /// The refresh token may be spent. `again`: when the policy lets a dead
    /// account present it again.
    InDoubt {
        recheck: Pause,
        again: Option<Pause>,
        why: Arc<str>,
    },
    /// The refresh token is of no use.
    Revoked { recheck: Pause, why: Arc<str> },
}

impl RotationState {
    /// How an account goes on that is opened from `record`, or follows it. It is looked at anew as
    /// soon as a request asks.
    pub(in crate::account) fn of(record: &Record, policy: InDoubtPolicy, now: Timestamp) -> Self {
        let recheck = Pause::new(now, Duration::ZERO);
        let why = record.last_error.as_deref().unwrap_or_default().into();
        match record.status {
            Status::Revoked => Self::Revoked { recheck, why },
            Status::InDoubt => {
                let may_recover = policy != InDoubtPolicy::Never && !record.presented_again;
                Self::InDoubt {
                    recheck,
                    again: may_recover.then_some(recheck),
                    why,
                }
            }
            Status::Active | Status::Leased | Status::Sending => Self::Idle,
        }
    }

    /// How long the pause was, if the last attempt failed for the store.
    pub(in crate::account) fn store_failed_for(&self) -> Option<Duration> {
        match self {
            Self::Backoff { pause, cause } if cause.kind() == RefreshErrorKind::Store => {
                Some(pause.length())
            }
            _ => None,
        }
    }

    /// Whether a flight may start, for an account whose access token is as `access` says.
    ///
    /// In doubt and revoked are looked at again from time to time: another process may hold the
    /// answer, or a user may have authorized the account again.
    pub(in crate::account) fn may_fly(&self, access: Access, now: Timestamp) -> bool {
        match self {
            Self::Idle => true,
            Self::Backoff { pause, .. } => pause.is_over(now),
            Self::InDoubt { recheck, again, .. } => {
                let may_present = again.is_some_and(|pause| pause.is_over(now));
                (may_present && access == Access::Dead) || recheck.is_over(now)
            }
            Self::Revoked { recheck, .. } => recheck.is_over(now),
        }
    }

    /// Whether only another process can end it, or a user.
    pub(in crate::account) fn needs_others(&self) -> bool {
        matches!(self, Self::InDoubt { .. } | Self::Revoked { .. })
    }

    /// When a live token's signer should look again.
    pub(in crate::account) fn look_again_at(&self) -> Timestamp {
        match self {
            Self::Idle => Timestamp::EPOCH,
            Self::Backoff { pause, .. } => pause.until,
            Self::InDoubt { recheck, .. } | Self::Revoked { recheck, .. } => recheck.until,
        }
    }

    /// What a request gets that needs a refresh which may not start.
    pub(in crate::account) fn error(&self) -> RefreshError {
        use RefreshErrorKind::{Interrupted, ReauthorizationRequired};
        match self {
            Self::Backoff { pause, cause } => RefreshError::backing_off(pause.until, cause),
            Self::InDoubt { why, again, .. } => RefreshError::in_doubt(why, again.is_some()),
            Self::Revoked { why, .. } => RefreshError::with_source(ReauthorizationRequired, &**why),
            Self::Idle => RefreshError::new(Interrupted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_axes_meet_as_the_table_says() {
        let now = Timestamp::from_secs(100);
        let pause = |secs| Pause::new(now, Duration::from_secs(secs));
        let backoff = |pause| RotationState::Backoff {
            pause,
            cause: Arc::new(RefreshError::closed()),
        };
        let doubt = |recheck, again| RotationState::InDoubt {
            recheck: pause(recheck),
            again,
            why: "lost".into(),
        };
        let revoked = |recheck| RotationState::Revoked {
            recheck,
            why: "96009".into(),
        };
        let table = [
            (RotationState::Idle, (true, true)),
            (backoff(pause(9)), (false, false)),
            (backoff(pause(0)), (true, true)),
            (doubt(9, Some(pause(0))), (false, true)),
            (doubt(9, Some(pause(5))), (false, false)),
            (doubt(9, None), (false, false)),
            (doubt(0, None), (true, true)),
            (revoked(pause(9)), (false, false)),
            (revoked(pause(0)), (true, true)),
        ];
        for (rotation, may) in table {
            let may_fly = |access| rotation.may_fly(access, now);
            let flies = (may_fly(Access::Aging), may_fly(Access::Dead));
            assert_eq!(flies, may, "{rotation:?}");
        }
    }

    #[test]
    fn a_doubt_that_may_end_does_not_send_the_user_to_log_in() {
        let pause = Pause::new(Timestamp::EPOCH, Duration::ZERO);
        for (again, needed) in [(Some(pause), false), (None, true)] {
            let (recheck, why) = (pause, "lost".into());
            let doubt = RotationState::InDoubt {
                recheck,
                again,
                why,
            };
            assert_eq!(doubt.error().needs_authorization(), needed);
        }
    }

    #[test]
    fn a_clock_set_back_does_not_stretch_a_pause() {
        let pause = Pause::new(Timestamp::from_secs(86_400), Duration::from_secs(60));
        assert!(!pause.is_over(Timestamp::from_secs(86_410)));
        assert!(pause.is_over(Timestamp::from_secs(86_460)));
        assert!(pause.is_over(Timestamp::from_secs(10)));
    }
}
