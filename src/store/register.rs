//! What a store owes: a versioned register for each account, and nothing of the rotation.

use std::future::Future;

use futures_core::future::BoxFuture;

use super::apply::{Applied, apply, odd};
use super::{
    AccountName, Draft, Generation, Issued, Record, Secrets, SharedStore, Status, StoreError,
    Version, transition,
};
use crate::Timestamp;

/// Keeps one [`Record`] for each account, and replaces it if nobody else did.
///
/// A store knows nothing of leases, intents or doubt: those are [transitions](super#transitions) of
/// a record, which are applied by loading it, deciding, and replacing it. See the
/// [module docs](super#a-store-of-your-own) for one in a few lines;
/// `testing::Conformance` holds yours to the promises below.
///
/// # Contract
///
/// - [`replace`](Self::replace) is atomic, and durable before it returns `Ok`.
/// - Times are of the store's own clock: as it [loads](Loaded::now), and as it
///   [writes](Draft::at).
/// - `Err` of kind [`Unavailable`](super::StoreErrorKind::Unavailable) means that the write may or may
///   not have been done. The caller then loads what stands.
/// - A record that cannot be read is [`Standing::Unreadable`], never [`Standing::Nothing`].
/// - Cancelling a future leaves the record as it was or as the write makes it.
pub trait RecordStore: Send + Sync + 'static {
    /// What stands.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached or does not answer.
    fn load(
        &self,
        account: &AccountName,
    ) -> impl Future<Output = Result<Loaded, StoreError>> + Send;

    /// Writes `draft`, if what stands is of the version `expected` (`None`: nothing stands).
    ///
    /// # Errors
    ///
    /// If the store cannot be reached or does not answer; the draft may be written all the same.
    fn replace(
        &self,
        account: &AccountName,
        expected: Option<Version>,
        draft: &Draft,
    ) -> impl Future<Output = Result<Replaced, StoreError>> + Send;

    /// The accounts after `after`, at most `limit` of them, in the order of the bytes of their
    /// names. To read all of them page by page, give the last name of each page for the next. For
    /// operators and gauges: a change that is made while pages are read may be in them or not.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached or does not answer.
    fn list(
        &self,
        after: Option<&AccountName>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Listed>, StoreError>> + Send;

    /// Starts hearing of changes by any process, if the store can tell of them. If it cannot, an
    /// account that waits for its record looks again every second, and an account that signs looks
    /// every five seconds.
    ///
    /// A change to a status that [is rotating](Status::is_rotating) need not be told, because nobody
    /// waits for one.
    fn watch(&self) -> Option<Box<dyn Watch>> {
        None
    }

    /// Moves to the generation that was issued, from any lower generation and any status, or from
    /// nothing. It ends lease, doubt and failures. Repeated, it is [`Commit::Superseded`] by itself.
    ///
    /// A rotation commits one generation up, a user's decision [two](Generation::decided), and the
    /// tokens that a program is started with [`Generation::FIRST`], so they replace nothing.
    ///
    /// # Errors
    ///
    /// If the store fails, or what stands cannot be read.
    fn commit(
        &self,
        account: &AccountName,
        issued: Issued,
    ) -> impl Future<Output = Result<Commit, StoreError>> + Send
    where
        Self: Sized,
    {
        super::apply::commit(self, account, None, issued)
    }

    /// Ends the grant: [`Status::Revoked`], no secrets, two generations up, from any status, and
    /// also in the place of a record that cannot be read. No rotation under way can undo it; a new
    /// authorization can. Open accounts of all processes obey it as soon as they hear of it.
    ///
    /// # Errors
    ///
    /// If the store fails: then it is not known whether the grant is ended there.
    fn revoke(
        &self,
        account: &AccountName,
    ) -> impl Future<Output = Result<Record, StoreError>> + Send
    where
        Self: Sized,
    {
        async move {
            let applied = apply(self, account, None, |loaded, version| {
                Some(transition::revoke(loaded, version))
            });
            match applied.await? {
                Applied::Moved(record) => Ok(record),
                Applied::Stood(_) => Err(odd("a revocation was refused")),
            }
        }
    }

    /// Takes over a record of another store, with all that guards its refresh token: status,
    /// back-off, whether it was presented again, and why. It replaces nothing.
    ///
    /// No process may use the account in either store from before the record is read there until
    /// all use it here, or both stores would hold a token that works once.
    ///
    /// # Errors
    ///
    /// If either record cannot be read, or the store fails.
    fn import(
        &self,
        account: &AccountName,
        record: &Record,
    ) -> impl Future<Output = Result<Import, StoreError>> + Send
    where
        Self: Sized,
    {
        async move {
            if let Secrets::Unreadable(_) = record.secrets {
                return Err(record.secrets.unreadable());
            }
            let applied = apply(self, account, None, |loaded, version| {
                transition::import(loaded, version, record)
            });
            match applied.await? {
                Applied::Moved(record) => Ok(Import::Imported(record)),
                Applied::Stood(loaded) => match loaded.standing {
                    Standing::Record(record) => Ok(Import::AlreadyKnown(record)),
                    Standing::Unreadable { why, .. } => Err(why),
                    Standing::Nothing => Ok(Import::UnderWay),
                },
            }
        }
    }

    /// The store behind one pointer, for many accounts. Provided; nobody need implement it.
    fn into_shared(self) -> SharedStore
    where
        Self: Sized,
    {
        SharedStore::erase(self)
    }
}

/// The answer to [`RecordStore::load`].
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
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all that is loaded is a record"
)]
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

/// The answer to [`RecordStore::replace`]. There is no third one.
#[expect(clippy::large_enum_variant, reason = "it is looked at where it comes")]
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

/// One account in a [list](RecordStore::list).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// Its name.
    pub account: AccountName,
    /// What its record says; `None` if it cannot be read.
    pub head: Option<ListedHead>,
}

/// What a [list](RecordStore::list) says of a record.
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

/// The answer to [`RecordStore::commit`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Commit {
    /// The record is at the new generation and durable.
    Committed(Record),
    /// The record already stood at this generation or a higher one; nothing was changed. Its
    /// secrets need not be readable.
    Superseded(Record),
}

/// The answer to [`RecordStore::import`].
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
