//! Keeps records in Redis: many processes, many machines.
//!
//! Each account is one hash. It is read, and replaced if it still is what was read, by one script
//! that the server runs alone, on its own clock, in one round trip. Those who watch are told the
//! account's name and the version of the write, and nothing else, on one channel.
//!
//! ```no_run
//! use tower_mac_auth::account::Account;
//! use tower_mac_auth::store::redis::RedisStore;
//! use tower_mac_auth::token::TokenEndpoint;
//!
//! # async fn example(endpoint: TokenEndpoint) -> Result<(), Box<dyn std::error::Error>> {
//! let store = RedisStore::connect("rediss://user:password@redis.example.com").await?;
//! let account = Account::builder(endpoint).store(store).open("user-42").await?;
//! # Ok(())
//! # }
//! ```
//!
//! A server that keeps its settings to itself, if you decide to live with that:
//!
//! ```no_run
//! use std::time::Duration;
//! use tower_mac_auth::store::redis::{Durability, RedisStore};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = RedisStore::builder("rediss://managed.example.com")
//!     .accept_durability(Durability::Unchecked)
//!     .replicas(1)
//!     .timeout(Duration::from_secs(2))
//!     .prefix("billing")
//!     .connect()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it asks of the server
//!
//! That a refresh token is presented at most once depends on the intent, which is written before the
//! token is sent: a server that forgets the intent lets the token be sent again. So the server is
//! looked at on each new connection, and every 30 s after that. It is refused, before any token is
//! spent, if it
//!
//! - may evict keys: `maxmemory-policy` must be `noeviction`;
//! - does not have each write on disk before it answers: it must have `appendonly yes`,
//!   `appendfsync always` and `no-appendfsync-on-rewrite no`, unless
//!   [`accept_durability`](RedisStoreBuilder::accept_durability) says that less will do;
//! - is a replica, or denies the user one of the commands below.
//!
//! A user with no more rights than it needs, on Redis 6.2 or later:
//!
//! ```text
//! ACL SETUSER app on >password resetkeys ~{tower-mac-auth}:* resetchannels &{tower-mac-auth}:* -@all
//!     +info +config|get +evalsha +script|load +time +type +hget +hgetall +hmget +hset +del +rename
//!     +zadd +zrange +publish +subscribe +ping +wait
//! ```
//!
//! # By hand
//!
//! The key of an account is `{tower-mac-auth}:account:` and its name; times are milliseconds since
//! the Unix epoch. `{tower-mac-auth}:accounts` has the names of all accounts,
//! for [lists](super::RecordStore::list). If you delete a record by hand, its name may stay there.
//!
//! # What it cannot promise
//!
//! - **Failover.** Replication does not wait: a replica that is promoted may lack the last writes,
//!   a refresh token's intent among them, and then a spent token can be presented once more.
//!   [`replicas`](RedisStoreBuilder::replicas) has an intent confirmed by replicas before the token
//!   is sent, which helps only if one of those replicas is promoted. If that must never happen, use a
//!   store with synchronous replication. A commit that was lost is written back by the process that
//!   made it, as long as that process runs.
//! - **Clusters.** All keys of a prefix share one slot, and the store speaks to the one server at
//!   its address: a primary, a proxy in front of a cluster, or the node of a cluster that has the
//!   slot. Any other node is refused as [`Unsuitable`](super::StoreErrorKind::Unsuitable).
//! - **Secrecy on the server.** `MONITOR` and the slow log show what is written, and the server's file
//!   has it in the clear, unless the grants are sealed. Use `rediss://`, except on a network of your own.

mod address;
mod builder;
mod checks;
mod error;
mod link;
mod listen;
mod nonces;
mod record;
mod script;

use std::fmt;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisResult};
use tokio_util::task::AbortOnDropHandle;

pub use builder::RedisStoreBuilder;
pub use checks::Durability;
pub use nonces::RedisNonces;
/// For [`RedisStoreBuilder::tls_config`].
#[doc(no_inline)]
pub use rustls;

use link::{Kind, Link};
use script::Keys;

use super::changes::Changes;
use super::{
    AccountName, Draft, Listed, Loaded, RecordStore, Replaced, StoreError, Version, Watch,
};

/// How many records are asked for in one message.
const PAGE: usize = 500;

/// Names, and of the record of each what is listed, field by field.
type Page = Vec<(Vec<u8>, RedisResult<Vec<Option<Vec<u8>>>>)>;

/// Keeps records in Redis. Clones share one connection. See the [module docs](self).
#[derive(Clone)]
pub struct RedisStore(Arc<Shared>);

struct Shared {
    keys: Keys,
    link: Link,
    changes: Changes,
    _listening: AbortOnDropHandle<()>,
}

impl RedisStore {
    /// Connects to the server at a `redis://`, `rediss://` (TLS) or `redis+unix://` URL.
    ///
    /// # Errors
    ///
    /// As [`RedisStoreBuilder::connect`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its I/O and its timer on.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves nothing open.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder(url).connect().await
    }

    /// The same, with more to say.
    pub fn builder(url: &str) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url)
    }

    /// At most so many names after this one, and what stands for each.
    async fn page(&self, after: Option<&[u8]>, limit: usize) -> Result<Page, StoreError> {
        let from = after.map_or(b"-".to_vec(), |after| [b"(", after].concat());
        let mut range = Cmd::new();
        range
            .arg(("ZRANGE", self.0.keys.index(), from, "+"))
            .arg(("BYLEX", "LIMIT", 0, limit));
        let (range, keys) = (&range, &self.0.keys);
        let page = |mut connection: MultiplexedConnection| async move {
            let names: Vec<Vec<u8>> = range.query_async(&mut connection).await?;
            if names.is_empty() {
                return Ok(Vec::new());
            }
            let mut heads = Pipeline::new();
            heads.ignore_errors();
            for name in &names {
                heads.cmd("HMGET").arg(keys.record(name)).arg(&record::HEAD);
            }
            let heads: Vec<RedisResult<Vec<_>>> = heads.query_async(&mut connection).await?;
            Ok(names.into_iter().zip(heads).collect())
        };
        self.0.link.run(Kind::Read, page).await
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("keys", &self.0.keys)
            .finish_non_exhaustive()
    }
}

impl RecordStore for RedisStore {
    async fn load(&self, account: &AccountName) -> Result<Loaded, StoreError> {
        let look = self.0.keys.look(account);
        let look = |connection| script::run(&look, connection);
        script::loaded(self.0.link.run(Kind::Read, look).await?, account)
    }

    async fn replace(
        &self,
        account: &AccountName,
        expected: Option<Version>,
        draft: &Draft,
    ) -> Result<Replaced, StoreError> {
        let told = !draft.status.is_rotating();
        let mut replace = self.0.keys.replace(account, expected, told);
        record::give(&mut replace, account, draft)?;
        let replace = |connection| script::run(&replace, connection);
        script::replaced(self.0.link.run(Kind::Write, replace).await?, account)
    }

    async fn list(
        &self,
        after: Option<&AccountName>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let (mut listed, mut after) = (Vec::new(), after.map(|it| it.as_str().into()));
        while listed.len() < limit {
            let asked = PAGE.min(limit - listed.len());
            let page = self.page(after.as_deref(), asked).await?;
            let is_last = page.len() < asked;
            for (name, head) in page {
                listed.extend(record::listed(&name, head)?);
                after = Some(name);
            }
            if is_last {
                break;
            }
        }
        Ok(listed)
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        Some(self.0.changes.watch())
    }

    /// Asks the server whether it still keeps what it is told as it must.
    async fn check(&self) -> Result<(), StoreError> {
        self.0.link.check().await
    }
}
