//! The durable record of an account, as it is read and as it is to be written.

use std::fmt;
use std::time::Duration;

use super::{Generation, Grant, Issued, Secrets, StoreError, Version};
use crate::Timestamp;

/// Where a record stands in the rotation. See the [module docs](super). There are no others, for
/// another would be another protocol, and processes of two versions share a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Nobody rotates.
    Active,
    /// Somebody prepares to; nothing was sent. Ends by its deadline.
    Leased,
    /// The refresh token is being presented, or was when its presenter died.
    Sending,
    /// The refresh token was presented and the answer is lost: it may be spent.
    InDoubt,
    /// The refresh token is of no use: the account needs a new authorization.
    Revoked,
}

impl Status {
    pub(crate) const ALL: [Self; 5] = [
        Self::Active,
        Self::Leased,
        Self::Sending,
        Self::InDoubt,
        Self::Revoked,
    ];

    /// Whether a rotation is prepared or under way. Processes that wait for the record wait for that to
    /// end, so a store need not tell of a change to one of these statuses.
    pub const fn is_rotating(self) -> bool {
        matches!(self, Self::Leased | Self::Sending)
    }

    /// The status in lower case, as stores keep it and logs show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Leased => "leased",
            Self::Sending => "sending",
            Self::InDoubt => "in_doubt",
            Self::Revoked => "revoked",
        }
    }

    /// The status of this name; `None` if there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|status| status.as_str() == name)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A moment of a record that is to be written: one of these two. Only the store's clock counts in a
/// record, and the writer does not have it. So a time that begins with the write is given as a
/// distance from the write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// This moment of the store's clock.
    At(Timestamp),
    /// So long after the write.
    In(Duration),
}

impl Moment {
    /// The moment of the write.
    pub const NOW: Self = Self::In(Duration::ZERO);

    /// The moment, of a write at `now`.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::In(distance) => now.saturating_add(distance),
        }
    }
}

/// The durable record of an account, as it stood at [`Record::now`].
///
/// A [`Draft`] of one has a [`Moment`] wherever this has a time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Record<Time = Timestamp> {
    /// Which write made it what it is.
    pub version: Version,
    /// Which credential this is.
    pub generation: Generation,
    /// Where it stands in the rotation.
    pub status: Status,
    /// The grant, or what a store has in its place.
    pub secrets: Secrets,
    /// The generation of the authorization that this one descends from: its own, unless a
    /// rotation made it. It tells a newer decision of the user from further rotations of an old one.
    pub lineage: Generation,
    /// When this generation was written.
    pub issued_at: Time,
    /// When the access token ends; `None` without one, or if the provider did not say.
    pub expires_at: Option<Time>,
    /// When the refresh token ends; `None` without one, or if the provider did not say.
    pub refresh_expires_at: Option<Time>,
    /// The latest lease: the version of the write that took it. `None` if this generation never had
    /// one.
    pub lease: Option<Version>,
    /// Who holds or held it: a name for people, not for decisions.
    pub owner: Option<String>,
    /// When the lease, or the time to answer, ends.
    pub deadline: Time,
    /// When the refresh token was last about to be presented.
    pub intended_at: Option<Time>,
    /// Whether the refresh token was already presented again out of doubt.
    pub presented_again: bool,
    /// Nobody rotates before.
    pub not_before: Time,
    /// Failures since this generation was written.
    pub fails: u32,
    /// The latest failure, or that it was revoked on purpose, for people; no secrets.
    pub last_error: Option<String>,
    /// The store's clock when the record was read. All times above are of this clock.
    pub now: Time,
}

/// A [`Record`] that is to be written.
pub type Draft = Record<Moment>;

impl Draft {
    /// A grant as it is issued: active, no lease, no failures.
    pub fn issued(version: Version, issued: Issued) -> Self {
        Self {
            version,
            generation: issued.generation,
            status: Status::Active,
            secrets: Secrets::Open(issued.grant),
            lineage: issued.lineage,
            issued_at: Moment::NOW,
            expires_at: issued.expires_in.map(Moment::In),
            refresh_expires_at: issued.refresh_expires_in.map(Moment::In),
            lease: None,
            owner: None,
            deadline: Moment::NOW,
            intended_at: None,
            presented_again: false,
            not_before: Moment::At(Timestamp::EPOCH),
            fails: 0,
            last_error: None,
            now: Moment::NOW,
        }
    }

    /// The record that this is once it is written at `now`, by the store's clock.
    pub fn at(&self, now: Timestamp) -> Record {
        // A draft that was made of a record still has the time when that was read.
        self.clone().map(|moment| moment.at(now)).read_at(now)
    }
}

impl<Time> Record<Time> {
    pub(super) fn map<To>(self, to: impl Fn(Time) -> To) -> Record<To> {
        Record {
            version: self.version,
            generation: self.generation,
            status: self.status,
            secrets: self.secrets,
            lineage: self.lineage,
            issued_at: to(self.issued_at),
            expires_at: self.expires_at.map(&to),
            refresh_expires_at: self.refresh_expires_at.map(&to),
            lease: self.lease,
            owner: self.owner,
            deadline: to(self.deadline),
            intended_at: self.intended_at.map(&to),
            presented_again: self.presented_again,
            not_before: to(self.not_before),
            fails: self.fails,
            last_error: self.last_error,
            now: to(self.now),
        }
    }
}

impl Record {
    /// No lease, answer or back-off lasts longer.
    pub const LONGEST_WAIT: Duration = Duration::from_secs(3600);

    /// The same record, read at `now` by the store's clock.
    #[must_use]
    pub fn read_at(self, now: Timestamp) -> Self {
        Self { now, ..self }
    }

    /// The grant, if it can be read.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](super::StoreErrorKind::Corrupt) if it is sealed, or cannot be read.
    pub fn grant(&self) -> Result<&Grant, StoreError> {
        self.secrets.grant()
    }

    /// Whether the lease, or the time to answer, is over.
    pub fn is_past_deadline(&self) -> bool {
        !self.is_ahead(self.deadline)
    }

    /// Whether the account backs off from rotating.
    pub fn is_backing_off(&self) -> bool {
        self.is_ahead(self.not_before)
    }

    /// Whether the refresh token may be spent, and no presentation is under way. A lease that was
    /// taken out of doubt, and ran out, leaves the doubt it came from.
    pub fn is_in_doubt(&self) -> bool {
        self.status == Status::InDoubt || (self.status == Status::Leased && self.presented_again)
    }

    /// Whether a grant that was issued need not be kept any longer where this record stands: the record
    /// holds that grant, or is newer. Another grant of the same generation and lineage is neither.
    pub(crate) fn settles(
        &self,
        generation: Generation,
        lineage: Generation,
        grant: &Grant,
    ) -> bool {
        self.generation > generation || self.lineage != lineage || self.secrets.are(grant)
    }

    /// Whether `moment` is still to come. Nothing is written more than an hour ahead. A moment that
    /// lies further ahead was written before the store's clock was set back, and no longer counts.
    fn is_ahead(&self, moment: Timestamp) -> bool {
        let left = moment.saturating_since(self.now);
        !left.is_zero() && left <= Self::LONGEST_WAIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::draft;

    #[test]
    fn a_record_prints_no_secret() {
        let draft = draft(1);
        let text = format!("{draft:?} {:?}", draft.at(Timestamp::from_secs(1)));
        assert!(!text.contains("AT-1") && !text.contains("KEY-1") && !text.contains("RT-1"));
    }

    #[test]
    fn what_is_written_is_as_of_the_write() {
        let [read, written] = [1, 2].map(Timestamp::from_secs);
        assert_eq!(draft(1).at(read).map(Moment::At).at(written).now, written);
    }

    #[test]
    fn a_status_has_one_name() {
        for status in ["active", "leased", "sending", "in_doubt", "revoked"] {
            assert_eq!(Status::from_name(status).unwrap().to_string(), status);
        }
        assert_eq!(Status::from_name("Active"), None);
    }
}
