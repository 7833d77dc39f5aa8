//! What counts the credentials of an account, and what names a write of its record.

use std::fmt;

/// Counts the credentials of an account: 1, 2, 3…, one more at each rotation.
///
/// Every signed request knows the generation that signed it, so a refusal that comes late cannot
/// throw a newer credential away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    /// The first generation.
    pub const FIRST: Self = Self(1);

    /// The generation with this number, as a store keeps it.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number, as a store keeps it.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The generation that a rotation makes of this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The generation that a user's decision makes of this one: two up, so that a rotation still
    /// under way, which will commit one up, can neither undo it nor share its number.
    #[must_use]
    pub const fn decided(self) -> Self {
        self.next().next()
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one write of a record. The writer draws it at random, so no two writes have the same version.
/// That also holds after a failover that took some writes back, where a counter would give the same
/// numbers again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(u64);

impl Version {
    /// A version that no other write has: 63 random bits.
    pub fn draw() -> Self {
        Self(fastrand::u64(1..=i64::MAX.unsigned_abs()))
    }

    /// The version with this number, as a store keeps it: below 2⁶³.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number, as a store keeps it.
    pub const fn number(self) -> u64 {
        self.0
    }
}
