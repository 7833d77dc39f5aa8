//! The durable record of an account, and how it moves.
//!
//! A refresh token works once. So a process that is about to present one first writes that down,
//! where every other process looks. A [`RecordStore`] is where: it keeps one [`Record`] for each
//! account, and replaces a record only if it is still the version that the writer read. It is a
//! versioned register with a clock.
//!
//! | store | for |
//! |---|---|
//! | [`MemoryStore`] | one process |
//! | `FileStore` (Unix) | the processes of one machine |
//! | `PostgresStore` (feature `postgres`), `RedisStore` (feature `redis`) | processes on many machines |
//! | `SealedStore` (feature `seal`) | goes around any of them, and seals what is secret |
//!
//! # Transitions
//!
//! ```text
//!            acquire             intend               commit
//! Active ───────────▶ Leased ───────────▶ Sending ───────────▶ Active, generation + 1
//!    ▲                  │                    │
//!    │     release      │      release       │ doubt                reject
//!    └──────────────────┴───── (unsent) ─────┴──────▶ InDoubt       ──────▶ Revoked
//! ```
//!
//! - **acquire** elects who may rotate. A lease that has ended may be taken over, because nothing is
//!   sent under a lease alone.
//! - **intend** is written *before the first byte leaves*. From here on no process takes over because
//!   time has passed.
//! - **commit** moves to a higher generation, from any status: an answer that comes late still counts.
//! - **doubt** is for an answer that may be lost: the token may be spent, so it stays where it is.
//! - **release** gives the lease back, because the refresh token is known not to be spent.
//! - **reject** is for a refusal of the refresh token by the provider.
//!
//! Each transition is a pure function of the record that stands, and an
//! [`Account`](crate::account::Account) applies them. A rotation takes four round trips to the store:
//! a look, the lease, the intent and the commit.
//!
//! A user's decision outranks all of them: a new authorization, and
//! [`revoke`](RecordStore::revoke), raise the generation by two, and no rotation that is under way can
//! undo that. Processes that share a store hear of it: see
//! [many processes](crate::account#many-processes).
//!
//! # A store of your own
//!
//! It has three methods, and knows nothing of the rotation:
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::ops::Bound::{Excluded, Unbounded};
//! use std::sync::Mutex;
//!
//! use tower_mac_auth::store::{
//!     AccountName, Draft, Listed, Loaded, Record, RecordStore, Replaced, StoreError, Version,
//! };
//! use tower_mac_auth::{Clock, SystemClock};
//!
//! #[derive(Default)]
//! struct Mine(Mutex<BTreeMap<AccountName, Record>>);
//!
//! impl RecordStore for Mine {
//!     async fn load(&self, account: &AccountName) -> Result<Loaded, StoreError> {
//!         let (records, now) = (self.0.lock().unwrap(), SystemClock.now());
//!         let record = records.get(account).cloned();
//!         Ok(record.map_or(Loaded::nothing(now), |record| Loaded::record(record, now)))
//!     }
//!
//!     async fn replace(
//!         &self,
//!         account: &AccountName,
//!         expected: Option<Version>,
//!         draft: &Draft,
//!     ) -> Result<Replaced, StoreError> {
//!         let standing = self.load(account).await?;
//!         let mut records = self.0.lock().unwrap();
//!         if records.get(account).map(|record| record.version) != expected {
//!             return Ok(Replaced::Refused(standing));
//!         }
//!         let now = SystemClock.now();
//!         records.insert(account.clone(), draft.at(now));
//!         Ok(Replaced::Done(now))
//!     }
//!
//!     async fn list(
//!         &self,
//!         after: Option<&AccountName>,
//!         limit: usize,
//!     ) -> Result<Vec<Listed>, StoreError> {
//!         let records = self.0.lock().unwrap();
//!         let page = records.range((after.cloned().map_or(Unbounded, Excluded), Unbounded));
//!         Ok(page.take(limit).map(|(name, it)| Listed::of(name.clone(), it)).collect())
//!     }
//! }
//!
//! # #[cfg(feature = "testing")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! tower_mac_auth::testing::Conformance::new(Mine::default()).run().await;
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! A database keeps a record in columns of its own, or whole as [bytes](Record::to_bytes) beside its
//! version. Then [`replace`](RecordStore::replace) is one statement that is conditional on the version
//! and takes the time from the database's clock. What cannot be read is answered as
//! [`Loaded::unreadable`] (in a list, [`Listed::unreadable`]), never as an error or as nothing: so keep
//! the version where it can be read without the record. [`watch`](RecordStore::watch) is for a store
//! that can tell of changes; without it, processes look from time to time.

mod answer;
mod changes;
#[cfg(unix)]
mod directory;
mod encoding;
mod error;
#[cfg(unix)]
mod file;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod fixture;
mod generation;
mod issued;
#[cfg(unix)]
pub(crate) mod journal;
mod memory;
mod name;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub mod postgres;
mod record;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub mod redis;
mod register;
#[cfg(feature = "seal")]
mod seal;
mod secrets;
mod shared;
#[cfg_attr(
    not(feature = "testing"),
    allow(unreachable_pub, reason = "public as `testing::rotation`")
)]
pub(crate) mod transition;

/// What a [`Watch`] returns: `futures_core`'s, for those who implement the trait.
#[doc(no_inline)]
pub use futures_core::future::BoxFuture;

/// What a record keeps.
#[doc(no_inline)]
pub use crate::provider::{AccessGrant, Grant};
pub use answer::{Change, Commit, Import, Listed, ListedHead, Loaded, Replaced, Standing, Watch};
pub use error::{StoreError, StoreErrorKind};
pub(crate) use error::{corrupt, unsuitable};
#[cfg(unix)]
#[cfg_attr(docsrs, doc(cfg(unix)))]
pub use file::{FileStore, FileStoreBuilder};
pub use generation::{Generation, Version};
pub use issued::Issued;
#[cfg(unix)]
#[cfg_attr(docsrs, doc(cfg(unix)))]
pub use journal::{Journal, JournalBuilder, Recovered};
pub use memory::MemoryStore;
pub use name::{AccountName, AccountNameError};
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use postgres::PostgresStore;
pub use record::{Draft, Moment, Record, Status};
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use redis::RedisStore;
pub use register::RecordStore;
pub(crate) use register::{Applied, apply, commit, commit_as};
#[cfg(feature = "seal")]
#[cfg_attr(docsrs, doc(cfg(feature = "seal")))]
pub use seal::{Keyring, KeyringError, Resealed, SealedStore, SealingKey};
pub use secrets::{SealedGrant, Secrets};
pub use shared::SharedStore;
pub(crate) use transition::{Lease, LeaseFrom};
