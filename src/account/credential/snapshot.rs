use std::fmt;
use std::time::Duration;

use super::Access;
use crate::Timestamp;
use crate::store::{Generation, Grant, Issued, Record, StoreError};

/// The part of the lifetime after which a refresh ahead of time may start, in percent: each
/// snapshot draws its own point, so that a fleet does not wake at once.
const REFRESH_AHEAD: std::ops::RangeInclusive<u32> = 75..=90;
/// A refresh ahead starts at least this long before the end…
const LATEST_REFRESH_AHEAD: Duration = Duration::from_secs(60);
/// …but never in the first half of a life, or a short-lived token would be refreshed at each use.
const EARLIEST_REFRESH_AHEAD: u32 = 50;

/// One credential, immutable. It is swapped whole, so an access token never meets another's key.
pub(in crate::account) struct Snapshot<C> {
    pub(in crate::account) generation: Generation,
    /// `None` if nothing can sign: only a refresh token is held, or none, or an odd key.
    pub(in crate::account) credential: Option<C>,
    /// When the access token ends, on this process's clock.
    pub(in crate::account) expires_at: Timestamp,
    /// When a refresh ahead of time starts.
    pub(in crate::account) refresh_at: Timestamp,
    /// The generation of the authorization it descends from.
    pub(in crate::account) lineage: Generation,
    /// When a rotation made it; `None` if it was authorized.
    pub(in crate::account) rotated_at: Option<Timestamp>,
    /// To write back, should the store lose it.
    pub(in crate::account) grant: Grant,
}

impl<C> Snapshot<C> {
    /// Makes the snapshot of a record that was just read. The record's times are the store's: they
    /// are carried over to this process's clock by their distance from the record's `now`.
    ///
    /// # Errors
    ///
    /// If its grant cannot be read.
    pub(in crate::account) fn of(
        record: &Record,
        prepare: impl FnOnce(&Grant) -> Option<C>,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let age = record.now.saturating_since(record.issued_at);
        let rest = record
            .expires_at
            .map(|end| end.saturating_since(record.now));
        let grant = record.grant()?.clone();
        let credential = prepare(&grant);
        let issued = Issued::rotated(record.generation, record.lineage, grant, rest);
        Ok(Self::new(issued, credential, now, age))
    }

    /// What an account has before its first authorization.
    pub(in crate::account) fn nothing(now: Timestamp) -> Self {
        let nothing = Issued::authorized(Generation::default(), Grant::default(), None);
        Self::new(nothing, None, now, Duration::ZERO)
    }

    /// `age` is the part of the access token's life that is over.
    pub(in crate::account) fn new(
        issued: Issued,
        credential: Option<C>,
        now: Timestamp,
        age: Duration,
    ) -> Self {
        let Issued {
            generation,
            lineage,
            grant,
            expires_in,
            ..
        } = issued;
        let (issued_at, expires_at) = match expires_in {
            // Without a credential the life is over, on any clock.
            _ if credential.is_none() => (Timestamp::EPOCH, Timestamp::EPOCH),
            Some(rest) => (now.saturating_sub(age), now.saturating_add(rest)),
            // Nobody said when it ends: it signs until it is refused.
            None => (now.saturating_sub(age), Timestamp::MAX),
        };
        Self {
            generation,
            lineage,
            credential,
            expires_at,
            refresh_at: refresh_at(issued_at, expires_at, fastrand::u32(REFRESH_AHEAD)),
            rotated_at: (lineage != generation).then_some(issued_at),
            grant,
        }
    }

    /// Whether it may sign, given the highest generation the API refused.
    pub(in crate::account) fn access(&self, rejected: Generation, now: Timestamp) -> Access {
        if self.credential.is_none() || now >= self.expires_at || rejected >= self.generation {
            Access::Dead
        } else if now >= self.refresh_at {
            Access::Aging
        } else {
            Access::Live
        }
    }

    /// Whether a rotation made it less than `interval` ago.
    pub(in crate::account) fn was_rotated_within(
        &self,
        interval: Duration,
        now: Timestamp,
    ) -> bool {
        // A clock that was set back leaves `rotated_at` ahead of `now`: that is no evidence.
        self.rotated_at
            .is_some_and(|at| at <= now && now < at.saturating_add(interval))
    }

    /// The rest of the access token's life, if it has an end.
    pub(in crate::account) fn rest(&self, now: Timestamp) -> Option<Duration> {
        let ends = self.credential.is_some() && self.expires_at != Timestamp::MAX;
        ends.then(|| self.expires_at.saturating_since(now))
    }

    /// When the access token ends, if it has not and that is known.
    pub(in crate::account) fn deadline(
        &self,
        rejected: Generation,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let ends = self.access(rejected, now) != Access::Dead && self.expires_at != Timestamp::MAX;
        ends.then_some(self.expires_at)
    }
}

impl<C> fmt::Debug for Snapshot<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("generation", &self.generation)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

fn refresh_at(issued_at: Timestamp, expires_at: Timestamp, percent: u32) -> Timestamp {
    let life = expires_at.saturating_since(issued_at);
    let point = |percent: u32| issued_at.saturating_add(life / 100 * percent);
    point(percent)
        .min(expires_at.saturating_sub(LATEST_REFRESH_AHEAD))
        .max(point(EARLIEST_REFRESH_AHEAD))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_000_000);
    const ROTATED: Generation = Generation::FIRST.next();

    fn snapshot(age: u64, rest: u64, lineage: Generation) -> Snapshot<()> {
        let set = crate::provider::TokenSet::new("AT");
        let (age, rest) = (Duration::from_secs(age), Duration::from_secs(rest));
        let issued = Issued::rotated(ROTATED, lineage, set, Some(rest));
        Snapshot::new(issued, Some(()), START, age)
    }

    fn after(secs: u64) -> Timestamp {
        START.saturating_add(Duration::from_secs(secs))
    }

    #[test]
    fn a_refresh_ahead_starts_between_75_and_90_percent_of_the_life() {
        for _ in 0..100 {
            let at = snapshot(0, 10_000, Generation::FIRST).refresh_at;
            assert!((after(7_500)..=after(9_000)).contains(&at), "{at:?}");
        }
    }

    #[test]
    fn a_refresh_ahead_leaves_a_minute_and_half_a_life() {
        assert_eq!(refresh_at(START, after(200), 90), after(140));
        assert_eq!(refresh_at(START, after(60), 90), after(30));
        assert_eq!(refresh_at(START, START, 90), START);
    }

    #[test]
    fn a_record_adopted_late_in_its_life_keeps_its_window() {
        let adopted = snapshot(9_500, 500, Generation::FIRST);
        assert_eq!(adopted.access(Generation::default(), START), Access::Aging);
    }

    #[test]
    fn a_snapshot_lives_ages_and_dies() {
        let snapshot = snapshot(0, 1_000, ROTATED);
        let none = Generation::default();
        assert_eq!(snapshot.access(none, after(0)), Access::Live);
        assert_eq!(snapshot.access(none, after(950)), Access::Aging);
        assert_eq!(snapshot.access(none, after(1_000)), Access::Dead);
        assert_eq!(snapshot.access(ROTATED, after(0)), Access::Dead);
    }

    #[test]
    fn only_a_rotation_counts_as_recent_and_no_clock_set_back_prolongs_it() {
        let minute = Duration::from_secs(60);
        let rotated = snapshot(0, 1_000, Generation::FIRST);
        assert!(rotated.was_rotated_within(minute, after(59)));
        assert!(!rotated.was_rotated_within(minute, after(60)));
        assert!(!rotated.was_rotated_within(minute, Timestamp::from_secs(5)));
        assert!(!snapshot(0, 1_000, ROTATED).was_rotated_within(minute, after(1)));
    }
}
