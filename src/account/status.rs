use super::Account;
use super::credential::{Access, RotationState};
use crate::Timestamp;
use crate::provider::Provider;
use crate::store::Generation;

/// Where an account stands, as this process knows it: may it sign, may it rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
        /// Whether the [`InDoubtPolicy`](super::InDoubtPolicy) lets it be presented once more.
        may_recover: bool,
    },
    /// The refresh token is of no use: the user must authorize again.
    Revoked,
}

impl<P: Provider> Account<P> {
    /// Where the account stands, as this process knows it. The record is read when the account is
    /// opened, when it is refreshed, and by the next request after another process was heard to have
    /// written it.
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
            (RotationState::Backoff { pause, .. }, _) if !pause.is_over(now) => {
                RotationStatus::BackingOff { until: pause.until }
            }
            (RotationState::Idle | RotationState::Backoff { .. }, _) => RotationStatus::Idle,
            (RotationState::InDoubt { again, .. }, _) => {
                let may_recover = again.is_some();
                RotationStatus::InDoubt { may_recover }
            }
            (RotationState::Revoked { .. }, _) => RotationStatus::Revoked,
        };
        AccountStatus {
            generation: snapshot.generation,
            access,
            rotation,
        }
    }
}
