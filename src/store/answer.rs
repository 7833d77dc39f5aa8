//! What a store answers, and what it tells.

use futures_core::future::BoxFuture;

use super::{AccountName, Generation, Record, Status, StoreError, Version};
use crate::Timestamp;

/// The answer to [`RecordStore::load`](super::RecordStore::load).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// What stands.
    pub standing: Standing,
    /// The store's clock as it was read.
    pub now: Timestamp,
}

/// What stands in a store.
///
/// There are no others: whoever wraps a store must know what to do with each.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each look, and what stands nearly always is a record"
)]
pub enum Standing {
    /// The account was never seen.
    Nothing,
    /// Its record.
    Record(Record),
    /// Something that cannot be read. Only a revocation replaces it.
    Unreadable {
        /// By which it can be replaced.
        version: Version,
        /// Why it cannot be read.
        why: StoreError,
    },
}

impl Standing {
    /// The record, if there is one that can be read.
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Record(record) => Some(record),
            _ => None,
        }
    }
}

impl Loaded {
    /// Nothing stands at `now`.
    pub fn nothing(now: Timestamp) -> Self {
        let standing = Standing::Nothing;
        Self { standing, now }
    }

    /// This record stands at `now`.
    pub fn record(record: Record, now: Timestamp) -> Self {
        let standing = Standing::Record(record.read_at(now));
        Self { standing, now }
    }

    /// What stands cannot be read.
    pub fn unreadable(version: Version, why: StoreError, now: Timestamp) -> Self {
        let standing = Standing::Unreadable { version, why };
        Self { standing, now }
    }

    /// The version to replace it by; `None` if nothing stands.
    pub fn version(&self) -> Option<Version> {
        match &self.standing {
            Standing::Nothing => None,
            Standing::Record(record) => Some(record.version),
            Standing::Unreadable { version, .. } => Some(*version),
        }
    }

    /// The record, if there is one.
    ///
    /// # Errors
    ///
    /// If there is one that cannot be read.
    pub fn into_record(self) -> Result<Option<Record>, StoreError> {
        match self.standing {
            Standing::Nothing => Ok(None),
            Standing::Record(record) => Ok(Some(record)),
            Standing::Unreadable { why, .. } => Err(why),
        }
    }
}

/// The answer to [`RecordStore::replace`](super::RecordStore::replace). There is no third one.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each write, and a refusal is read at once"
)]
pub enum Replaced {
    /// The draft is written and durable. With the store's clock as it was written.
    Done(Timestamp),
    /// Something else stood, and nothing was changed.
    Refused(Loaded),
}

/// One account in a [list](super::RecordStore::list).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// Its name.
    pub account: AccountName,
    /// What its record says; `None` if it cannot be read.
    pub head: Option<ListedHead>,
}

/// What a [list](super::RecordStore::list) says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ListedHead {
    /// Which credential it holds.
    pub generation: Generation,
    /// Where it stands in the rotation.
    pub status: Status,
    /// When the access token ends, by the store's clock.
    pub expires_at: Option<Timestamp>,
}

impl Listed {
    /// An account whose record cannot be read.
    pub fn unreadable(account: AccountName) -> Self {
        Self {
            account,
            head: None,
        }
    }

    /// An account and what its record says.
    pub fn new(
        account: AccountName,
        generation: Generation,
        status: Status,
        expires_at: Option<Timestamp>,
    ) -> Self {
        Self {
            account,
            head: Some(ListedHead {
                generation,
                status,
                expires_at,
            }),
        }
    }

    /// The same, of a record at hand.
    pub fn of(account: AccountName, record: &Record) -> Self {
        Self::new(account, record.generation, record.status, record.expires_at)
    }
}

/// The answer to [`RecordStore::commit`](super::RecordStore::commit).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Commit {
    /// The record is at the new generation and durable.
    Committed(Record),
    /// The record already stood at this generation or a higher one; nothing was changed. Its
    /// secrets need not be readable.
    Superseded(Record),
}

/// The answer to [`RecordStore::import`](super::RecordStore::import).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Import {
    /// The record stands here now.
    Imported(Record),
    /// The account was known here; this record stands, as before.
    AlreadyKnown(Record),
    /// Somebody rotates it where it comes from. Stop the processes there, and read it again once
    /// its deadline has passed.
    UnderWay,
}

/// Hears of changes in a store.
pub trait Watch: Send {
    /// The next change since the watch began. A watch may tell of changes that were none, and may miss
    /// some: callers look from time to time besides.
    ///
    /// # Cancel safety
    ///
    /// No change is lost if the future is dropped.
    fn next(&mut self) -> BoxFuture<'_, Change>;
}

/// What changed in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The record of this account, by this write.
    Record(AccountName, Version),
    /// Any record may have changed: some changes may not have been told.
    Any,
}
