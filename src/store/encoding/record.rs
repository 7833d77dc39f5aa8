//! A whole record as bytes: the secrets as one opaque blob, the rest for people to read.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::envelope::{unwrap, wrap};
use crate::Timestamp;
use crate::store::error::corrupt;
use crate::store::{AccountName, Generation, Record, Secrets, Status, StoreError, Version};

const KIND: &str = "record";

/// All of a record but its secrets. Times are milliseconds since the Unix epoch.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    account: String,
    version: u64,
    generation: u64,
    lineage: u64,
    status: String,
    issued_at: u64,
    expires_at: Option<u64>,
    refresh_expires_at: Option<u64>,
    lease: Option<u64>,
    owner: Option<String>,
    deadline: u64,
    intended_at: Option<u64>,
    presented_again: bool,
    not_before: u64,
    fails: u32,
    last_error: Option<String>,
}

impl Record {
    /// The record as bytes, for a store that keeps it whole. Secrets are in the clear, unless they
    /// are sealed; they are zeroized when dropped.
    ///
    /// # Errors
    ///
    /// If its secrets [cannot be read](Secrets::Unreadable).
    pub fn to_bytes(&self, account: &AccountName) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let header = Header {
            account: account.as_str().to_owned(),
            version: self.version.number(),
            generation: self.generation.number(),
            lineage: self.lineage.number(),
            status: self.status.as_str().to_owned(),
            issued_at: self.issued_at.as_millis(),
            expires_at: self.expires_at.map(Timestamp::as_millis),
            refresh_expires_at: self.refresh_expires_at.map(Timestamp::as_millis),
            lease: self.lease.map(Version::number),
            owner: self.owner.clone(),
            deadline: self.deadline.as_millis(),
            intended_at: self.intended_at.map(Timestamp::as_millis),
            presented_again: self.presented_again,
            not_before: self.not_before.as_millis(),
            fails: self.fails,
            last_error: self.last_error.clone(),
        };
        wrap(KIND, &header, &self.secrets)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote for this account, at `now` by the store's
    /// clock.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](crate::store::StoreErrorKind::Corrupt) if the bytes are cut short, damaged, of a later version
    /// of this crate, or another account's. The error shows no secret.
    pub fn from_bytes(
        account: &AccountName,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        Self::decode(account, bytes, now)
            .map_err(|why| corrupt("it is no record of this account").with_source(why))
    }

    /// The same, with nothing but why not.
    pub(in crate::store) fn decode(
        account: &AccountName,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Self, String> {
        let (header, secrets) = unwrap::<Header>(KIND, bytes)?;
        if header.account != account.as_str() {
            let whose = &header.account;
            return Err(format!("it is the record of another account, {whose:?}"));
        }
        let status = Status::from_name(&header.status).ok_or("its status is not known")?;
        Ok(header.into_record(status, secrets, now))
    }

    /// Whose record these bytes are, if they can be read.
    pub(in crate::store) fn whose(bytes: &[u8]) -> Option<AccountName> {
        let (header, _) = unwrap::<Header>(KIND, bytes).ok()?;
        AccountName::new(&header.account).ok()
    }
}

impl Header {
    fn into_record(self, status: Status, secrets: Secrets, now: Timestamp) -> Record {
        Record {
            version: Version::from_number(self.version),
            generation: Generation::from_number(self.generation),
            status,
            secrets,
            lineage: Generation::from_number(self.lineage),
            issued_at: Timestamp::from_millis(self.issued_at),
            expires_at: self.expires_at.map(Timestamp::from_millis),
            refresh_expires_at: self.refresh_expires_at.map(Timestamp::from_millis),
            lease: self.lease.map(Version::from_number),
            owner: self.owner,
            deadline: Timestamp::from_millis(self.deadline),
            intended_at: self.intended_at.map(Timestamp::from_millis),
            presented_again: self.presented_again,
            not_before: Timestamp::from_millis(self.not_before),
            fails: self.fails,
            last_error: self.last_error,
            now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{draft, name};
    use crate::store::{Draft, StoreErrorKind};

    fn user() -> AccountName {
        name("user")
    }

    fn record() -> Record {
        let draft = Draft {
            lease: Some(Version::draw()),
            owner: Some("me".to_owned()),
            last_error: Some("line 1\nline \"2\"".to_owned()),
            ..draft(1)
        };
        draft.at(Timestamp::from_secs(1))
    }

    #[test]
    fn a_record_comes_back_as_it_went_and_to_its_account_alone() {
        let record = record();
        let bytes = record.to_bytes(&user()).unwrap();
        let read = Record::from_bytes(&user(), &bytes, record.now).unwrap();
        assert_eq!(format!("{read:?}"), format!("{record:?}"));
        assert_eq!(*read.to_bytes(&user()).unwrap(), *bytes);
        assert_eq!(Record::whose(&bytes), Some(user()));
        let other = name("User");
        let error = Record::from_bytes(&other, &bytes, record.now).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    }

    #[test]
    fn one_that_was_cut_or_of_which_a_bit_was_flipped_is_an_error_that_tells_no_secret() {
        let bytes = record().to_bytes(&user()).unwrap();
        let refused = |bytes: &[u8]| {
            let why = Record::decode(&user(), bytes, Timestamp::EPOCH).unwrap_err();
            assert!(why.starts_with("it is "), "{why}");
            assert_eq!(Record::whose(bytes), None);
        };
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            refused(&damaged);
        }
        (0..bytes.len()).for_each(|length| refused(&bytes[..length]));
    }
}
