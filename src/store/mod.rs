//! The durable record of an account, and the guarded steps by which it moves.
//!
//! A refresh token works once, so whoever presents it must first have written
//! down, where every other process looks, that it is about to. A
//! [`RotationStore`] keeps one [`Record`] for each account and offers those
//! steps; each is one compare-and-set on the store's own clock, so it maps to
//! one guarded `UPDATE`, one script, or one locked file.
//!
//! ```text
//!            acquire             intend               commit
//! Active ───────────▶ Leased ───────────▶ Sending ───────────▶ Active, generation + 1
//!    ▲                  │                    │
//!    │     release      │      release       │ doubt                reject
//!    └──────────────────┴───── (unsent) ─────┴──────▶ InDoubt       ──────▶ Revoked
//! ```
//!
//! - **acquire** elects who may rotate. A lease may end and be taken over: nothing was sent under it.
//! - **intend** is written *before the first byte leaves*. From here nobody takes over by time alone.
//! - **commit** moves to a higher generation, from any status: an answer that comes late still counts.
//! - **doubt** is for an answer that may be lost: the token may be spent, so it is not sent again.
//!
//! [`MemoryStore`] serves one process, `FileStore` those of one machine (a Unix), `PostgresStore`
//! (feature `postgres`) and `RedisStore` (feature `redis`) those of many. `SealedStore` (feature
//! `seal`) goes around any of them. A store of your own implements the trait. If it can
//! read, change and write a whole record under a lock, [`Record::commit`], [`Record::acquire`] and
//! the like decide for it; `testing::Conformance` holds it to its promises. What it must do:
//!
//! ```
//! use std::time::Duration;
//! use tower_mac_auth::store::{
//!     Acquire, AccountName, Generation, Issued, LeaseFrom, MemoryStore, RotationStore,
//! };
//! use tower_mac_auth::token::TokenSet;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryStore::new();
//! let name = AccountName::new("user-42")?;
//! let tokens = TokenSet::new("access", "key", "refresh", Duration::from_secs(3600));
//! let generation = Generation::FIRST;
//! let minute = Duration::from_secs(60);
//! store.commit(&name, Issued::authorized(generation, tokens, Some(60 * minute))).await?;
//!
//! let first = store.acquire(&name, generation, "me", minute, LeaseFrom::Active).await?;
//! assert!(matches!(first, Acquire::Granted(_)));
//! let second = store.acquire(&name, generation, "you", minute, LeaseFrom::Active).await?;
//! assert!(matches!(second, Acquire::Lost(_)));
//! # Ok(())
//! # }
//! ```
//!
//! Once the intent is written only its outcome ends it: a process that dies here leaves a doubt,
//! which nobody resolves by trying again.
//!
//! ```
//! # use std::time::Duration;
//! use tower_mac_auth::store::{
//!     Acquire, AccountName, Generation, Guarded, Issued, LeaseFrom, MemoryStore, RotationStore,
//!     Status,
//! };
//! # use tower_mac_auth::token::TokenSet;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store = MemoryStore::new();
//! # let name = AccountName::new("user-42")?;
//! # let minute = Duration::from_secs(60);
//! # let tokens = TokenSet::new("access", "key", "refresh", minute);
//! # let generation = Generation::FIRST;
//! # store.commit(&name, Issued::authorized(generation, tokens, Some(minute))).await?;
//! let first = store.acquire(&name, generation, "me", minute, LeaseFrom::Active).await?;
//! let Acquire::Granted(lease) = first else { return Err("somebody was quicker".into()) };
//! assert_eq!(store.intend(&name, &lease, minute).await?, Guarded::Done);
//! // The refresh token is sent here, and no answer comes.
//! let doubt = store.doubt(&name, generation, lease.fence, "no answer").await?;
//! assert_eq!(doubt, Guarded::Done);
//!
//! let again = store.acquire(&name, generation, "you", minute, LeaseFrom::Active).await?;
//! assert!(matches!(again, Acquire::Lost(record) if record.status == Status::InDoubt));
//! # Ok(())
//! # }
//! ```

mod blob;
#[cfg(unix)]
mod directory;
mod error;
#[cfg(unix)]
mod file;
#[cfg(unix)]
pub(crate) mod journal;
mod memory;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub mod postgres;
mod record;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub mod redis;
#[cfg(feature = "seal")]
mod seal;
mod shared;
mod steps;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod watchers;

use std::time::Duration;

/// What each step returns: `futures_core`'s, for those who implement the trait.
#[doc(no_inline)]
pub use futures_core::future::BoxFuture;

pub use blob::SealedGrant;
pub use error::{StoreError, StoreErrorKind};
#[cfg(unix)]
#[cfg_attr(docsrs, doc(cfg(unix)))]
pub use file::{FileStore, FileStoreBuilder};
#[cfg(unix)]
#[cfg_attr(docsrs, doc(cfg(unix)))]
pub use journal::{Journal, JournalBuilder, Replayed};
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use postgres::PostgresStore;
pub use record::{
    AccessGrant, AccountName, AccountNameError, Fence, Generation, Grant, Issued, Lease, Record,
    Status,
};
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use redis::RedisStore;
#[cfg(feature = "seal")]
pub use seal::{Keyring, KeyringError, SealedStore, SealingKey};

/// What [`RotationStore::acquire`] takes the lease from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseFrom {
    /// From [`Status::Active`] past its `not_before`, or from a [`Status::Leased`] whose lease ended.
    Active,
    /// From [`Status::InDoubt`], once for a generation: the policy decided to replay, and
    /// [`Record::replayed`] remembers it.
    InDoubt,
}

/// The answer to [`RotationStore::acquire`].
#[derive(Clone, Debug)]
pub enum Acquire {
    /// The lease is ours until its deadline.
    Granted(Lease),
    /// It is not; this is the record that stands.
    Lost(Record),
}

/// The answer to a guarded step: whether the guard held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a step whose guard did not hold changed nothing"]
pub enum Guarded {
    /// The step is done and durable.
    Done,
    /// The record had moved on; nothing was changed.
    Refused,
}

/// The answer to [`RotationStore::commit`].
#[derive(Clone, Debug)]
pub enum Commit {
    /// The record is at the new generation and durable.
    Committed(Record),
    /// The record already stood at this generation or a higher one; nothing was changed. That is
    /// told also of a record whose grant, and nothing else, cannot be read: its grant is a
    /// [sealed](Grant::sealed) one then, which no account takes.
    Superseded(Record),
}

/// Keeps one [`Record`] for each account and moves it by guarded steps.
///
/// # Contract
///
/// - Each step is one atomic compare-and-set, durable before it returns `Ok`.
/// - All times are the store's: `now` is read where the record is, never at the caller.
/// - `Err` means that the step may or may not have happened; the caller reads again.
/// - A record that cannot be read is an error, never "absent".
/// - Cancelling a step's future leaves the record as it was or as the step makes it.
/// - Of an account that was never seen, [`acquire`](Self::acquire) is an error, and each step that
///   answers [`Guarded`] is refused.
pub trait RotationStore: Send + Sync + 'static {
    /// The record that stands, or `None` if the account was never seen.
    fn read<'a>(
        &'a self,
        account: &'a AccountName,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>>;

    /// Takes the lease on `generation` for `owner`, for `lease` from now; the fence rises by one.
    fn acquire<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        owner: &'a str,
        lease: Duration,
        from: LeaseFrom,
    ) -> BoxFuture<'a, Result<Acquire, StoreError>>;

    /// `Leased → Sending`, if the lease's fence still stands. The deadline becomes `answer_within`
    /// from now; past it anyone may call the record in doubt.
    fn intend<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        answer_within: Duration,
    ) -> BoxFuture<'a, Result<Guarded, StoreError>>;

    /// Moves to the generation that was issued, [`Status::Active`], from any lower generation and
    /// any status, or from nothing (an account never seen, or a record that the store lost). Ends
    /// lease, doubt and failures. A repeated commit is [`Commit::Superseded`] by itself.
    ///
    /// A rotation commits one generation up, a user's decision [two](Generation::decided), and the
    /// tokens that a program is started with [`Generation::FIRST`], so they replace nothing.
    fn commit<'a>(
        &'a self,
        account: &'a AccountName,
        issued: Issued,
    ) -> BoxFuture<'a, Result<Commit, StoreError>>;

    /// Back to [`Status::Active`], if the lease's fence still stands: the refresh token was not
    /// spent under it. Nobody acquires for `not_before` from now; the failure is counted.
    fn release<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        not_before: Duration,
        why: &'a str,
    ) -> BoxFuture<'a, Result<Guarded, StoreError>>;

    /// `Sending → InDoubt`, if generation and fence still stand. The holder calls it when the
    /// answer is lost, anyone else once the deadline has passed.
    fn doubt<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        fence: Fence,
        why: &'a str,
    ) -> BoxFuture<'a, Result<Guarded, StoreError>>;

    /// `Sending → Revoked`, if the lease's fence still stands: the provider refused the refresh
    /// token. The generation stays, so that a late commit by whoever spent it still counts, and
    /// the access token stays, for it may still live.
    fn reject<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        why: &'a str,
    ) -> BoxFuture<'a, Result<Guarded, StoreError>>;

    /// Ends the grant: [`Status::Revoked`], no secrets, two generations up, from any status.
    /// No rotation under way can undo it; a new authorization can.
    fn revoke<'a>(&'a self, account: &'a AccountName) -> BoxFuture<'a, Result<Record, StoreError>>;

    /// Starts watching the record: a change after this call wakes the watcher. Not so one to a
    /// status that [is rotating](Status::is_rotating): that ends nobody's wait, and would cost
    /// each who waits a look at the record.
    fn watch(&self, account: &AccountName) -> Box<dyn Watch>;
}

/// Tells that a record may have changed.
pub trait Watch: Send {
    /// Ends when the record may have changed, other than to a status that
    /// [is rotating](Status::is_rotating), since the watch began or this last ended. It may end
    /// without a change, and callers read again from time to time besides, so a change that is
    /// missed delays and never harms.
    fn changed(&mut self) -> BoxFuture<'_, ()>;
}
