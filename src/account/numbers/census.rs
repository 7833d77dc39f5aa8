use std::time::Duration;

use crate::Timestamp;
use crate::account::{AccessStatus, Account, Accounts, RotationStatus};
use crate::provider::Provider;

/// How many open accounts stand where: see [`Accounts::census`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Census {
    /// For each access and rotation, as [`AccessStatus::as_str`] and [`RotationStatus::as_str`] name
    /// them, how many accounts there are; nothing where there is none.
    pub accounts: Vec<(&'static str, &'static str, u64)>,
    /// The shortest time that is left to an access token which lives and has an end.
    pub shortest_life: Option<Duration>,
}

impl<P: Provider> Accounts<P> {
    /// Where the open accounts stand. It looks at each of them, so a million take a good part of a
    /// second: ask as often as somebody looks at the answer.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        let now = self.0.context().clock.now();
        self.0
            .for_each(|account| census.count(&Account(account), now));
        census.accounts.sort_unstable();
        census
    }
}

impl Census {
    pub(super) fn count<P: Provider>(&mut self, account: &Account<P>, now: Timestamp) {
        let status = account.status();
        let place = (status.access.as_str(), status.rotation.as_str());
        let mut known = self.accounts.iter_mut();
        match known.find(|(access, rotation, _)| (*access, *rotation) == place) {
            Some((_, _, count)) => *count += 1,
            None => self.accounts.push((place.0, place.1, 1)),
        }
        if let AccessStatus::Live { until } | AccessStatus::Aging { until } = status.access
            && until != Timestamp::MAX
        {
            let left = until.saturating_since(now);
            let shortest = self.shortest_life.unwrap_or(left);
            self.shortest_life = Some(shortest.min(left));
        }
    }
}

impl AccessStatus {
    /// The name of this case, for labels: `live`, `aging` or `dead`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Live { .. } => "live",
            Self::Aging { .. } => "aging",
            Self::Dead => "dead",
        }
    }
}

impl RotationStatus {
    /// The name of this case, for labels: `idle`, `in_flight`, `backing_off`, `in_doubt` or `revoked`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::InFlight => "in_flight",
            Self::BackingOff { .. } => "backing_off",
            Self::InDoubt { .. } => "in_doubt",
            Self::Revoked => "revoked",
        }
    }
}
