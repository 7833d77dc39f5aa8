use std::time::Duration;

use super::state::{Access, Pause, Rotation};
use super::{Account, InDoubtPolicy};
use crate::Timestamp;
use crate::store::{Generation, Record, Status};

/// Where an account stands, as this process knows it: may it sign, may it rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountStatus {
    /// The generation of the credential.
    pub generation: Generation,
    /// Whether it signs.
    pub access: AccessStatus,
    /// Whether it can be renewed.
    pub rotation: RotationStatus,
}

/// May the account sign?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessStatus {
    /// Yes, until then.
    Live {
        /// When the access token ends.
        until: Timestamp,
    },
    /// Yes, until then, and it is time to renew it: the next request has that done.
    Aging {
        /// When the access token ends.
        until: Timestamp,
    },
    /// No: the access token has ended, was refused, or there is none. Requests wait for the next.
    Dead,
}

/// May the account rotate?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotationStatus {
    /// Nothing speaks against it.
    Idle,
    /// A refresh is under way in this process.
    InFlight,
    /// The last refresh failed; no other starts before then.
    BackingOff {
        /// When the next may start.
        until: Timestamp,
    },
    /// The refresh token may be spent.
    InDoubt {
        /// Whether the [`InDoubtPolicy`] lets it be presented once more.
        may_recover: bool,
    },
    /// The refresh token is of no use: the user must authorize again.
    Revoked,
}

impl Account {
    /// Where the account stands, as this process knows it: what the store holds is read when the
    /// account is opened and when it is refreshed.
    pub fn status(&self) -> AccountStatus {
        let now = self.0.clock.now();
        let snapshot = self.0.cell.load();
        let until = snapshot.expires_at;
        let access = match snapshot.access(self.0.cell.rejected(), now) {
            Access::Live => AccessStatus::Live { until },
            Access::Aging => AccessStatus::Aging { until },
            Access::Dead => AccessStatus::Dead,
        };
        let rotation = match self.0.cell.rotation() {
            (_, true) => RotationStatus::InFlight,
            (Rotation::Backoff { pause, .. }, _) if !pause.is_over(now) => {
                RotationStatus::BackingOff { until: pause.until }
            }
            (Rotation::Idle | Rotation::Backoff { .. }, _) => RotationStatus::Idle,
            (Rotation::InDoubt { replay, .. }, _) => {
                let may_recover = replay.is_some();
                RotationStatus::InDoubt { may_recover }
            }
            (Rotation::Revoked { .. }, _) => RotationStatus::Revoked,
        };
        AccountStatus {
            generation: snapshot.generation,
            access,
            rotation,
        }
    }
}

/// How an account goes on that is opened from `record`, or follows it. It is looked at anew as soon
/// as a request asks.
pub(super) fn rotation_of(record: &Record, policy: InDoubtPolicy, now: Timestamp) -> Rotation {
    let recheck = Pause::new(now, Duration::ZERO);
    let why = record.last_error.as_deref().unwrap_or_default().into();
    match record.status {
        Status::Revoked => Rotation::Revoked { recheck, why },
        Status::InDoubt => {
            let may_recover = policy != InDoubtPolicy::Never && !record.replayed;
            let replay = may_recover.then_some(recheck);
            Rotation::InDoubt {
                recheck,
                replay,
                why,
            }
        }
        Status::Active | Status::Leased | Status::Sending => Rotation::Idle,
    }
}
