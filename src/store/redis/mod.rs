//! Keeps records in Redis: many processes, many machines.
//!
//! Each account is one hash, and each step of a [`RotationStore`](super::RotationStore) one script
//! that the server runs alone, on its own clock, in one round trip. A change wakes those who watch
//! by a message on a channel that has the key's name, and nothing else.
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
//! A server of which less is known, and where somebody decided to live with that:
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
//! That a refresh token is presented at most once hangs on the intent, which is written before the
//! token is sent: a server that forgets it lets the token be sent again. So each new connection, and
//! one that was last looked at 30 s ago, is refused, before any token is spent, if the server
//!
//! - may evict keys: `maxmemory-policy` must be `noeviction`;
//! - does not have each step on disk before it answers: `appendonly yes`, `appendfsync always`,
//!   `no-appendfsync-on-rewrite no`, unless
//!   [`accept_durability`](RedisStoreBuilder::accept_durability) says that less will do;
//! - is a replica, or lets the user not do what follows.
//!
//! A user with no more rights than it needs, on Redis 6.2 or later:
//!
//! ```text
//! ACL SETUSER app on >password resetkeys ~tower-mac-auth:* resetchannels &tower-mac-auth:* -@all
//!     +info +config|get +evalsha +script|load +time +hgetall +hset +renamenx +publish +psubscribe +ping
//!     +wait
//! ```
//!
//! # A record that cannot be read
//!
//! It is an error of kind [`Corrupt`](super::StoreErrorKind::Corrupt), whatever the step, and left
//! as it is. Only [`revoke`](super::RotationStore::revoke) gives it up: what stands at the record's
//! key is renamed to that key and `:unreadable-`, followed by the server's time in milliseconds (and
//! a number, should that be taken), and a record in its place says *revoked*, at a generation above
//! any that was counted to. What is kept so may hold tokens: delete it when you are done.
//!
//! # What it cannot promise
//!
//! - **Failover.** Replication does not wait: a replica that is promoted may lack the last steps,
//!   a refresh token's intent among them, and then a spent token can be presented once more.
//!   [`replicas`](RedisStoreBuilder::replicas) has an intent confirmed by replicas before the token
//!   is sent, which helps only if one of those is promoted. Where that must never be, use a store
//!   with synchronous replication. A commit that was lost is written back by the process that made
//!   it, while that runs.
//! - **Clusters.** A step touches one key, and account names are put in braces, so an account's key
//!   and channel share a slot. But the store speaks to the one server at its address: that may be a
//!   primary, a proxy in front of a cluster, or a cluster of one shard. Of a larger cluster the
//!   other nodes' accounts fail with [`Unsuitable`](super::StoreErrorKind::Unsuitable).
//! - **Secrecy on the server.** `MONITOR` and the slow log show what is written, and the file has it
//!   in the clear, unless the grants are sealed. Use `rediss://` but on a network of your own.

mod address;
mod builder;
mod checks;
mod error;
mod link;
mod record;
mod script;
mod steps;
mod wake;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use redis::Script;
use tokio::task::AbortHandle;

pub use builder::{Durability, RedisStoreBuilder};
/// For [`RedisStoreBuilder::tls_config`].
#[doc(no_inline)]
pub use rustls;

use address::Address;
use checks::Rules;
use error::odd_answer;
use link::{Care, Link};
use record::Answer;
use wake::Station;

use super::watchers::Watchers;
use super::{AccountName, Guarded, StoreError};
use crate::Clock;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Of a name: what would end the braces around it, and what stands for that.
const QUOTED: &AsciiSet = &CONTROLS.add(b'{').add(b'}').add(b'%');

/// Keeps records in Redis. Clones share one connection. See the [module docs](self).
#[derive(Clone)]
pub struct RedisStore(Arc<Shared>);

struct Shared {
    prefix: String,
    link: Link,
    watchers: Watchers,
    listener: AbortHandle,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl RedisStore {
    /// Connects to the server at a `redis://`, `rediss://` (TLS) or `redis+unix://` URL.
    ///
    /// # Errors
    ///
    /// As [`RedisStoreBuilder::connect`].
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder(url).connect().await
    }

    /// The same, with more to say.
    pub fn builder(url: &str) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url)
    }

    async fn open(
        address: Address,
        prefix: String,
        timeout: Duration,
        rules: Rules,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let prefix = format!("{prefix}:");
        let station = Station::new(address.clone(), &prefix, timeout);
        let link = Link::new(address, timeout, rules, clock, format!("{prefix}about"));
        link.connect().await?;
        let subscription = station.subscribe().await?;
        let watchers = Watchers::default();
        let listening = station.listen(subscription, watchers.clone());
        Ok(Self(Arc::new(Shared {
            prefix,
            link,
            watchers,
            listener: tokio::spawn(listening).abort_handle(),
        })))
    }

    /// The account's key, and its channel. The braces have a cluster hash the name alone.
    fn key(&self, account: &AccountName) -> String {
        let name = utf8_percent_encode(account.as_str(), QUOTED);
        format!("{}{{{name}}}", self.0.prefix)
    }

    /// Runs a step's script; the name goes with it, so that no record answers for another's.
    async fn run<const N: usize>(
        &self,
        script: &Script,
        account: &AccountName,
        args: [&[u8]; N],
        care: Care,
    ) -> Result<Answer, StoreError> {
        let mut all = Vec::with_capacity(1 + N);
        all.push(account.as_str().as_bytes());
        all.extend(args);
        self.0
            .link
            .run(script, &self.key(account), &all, care)
            .await
    }

    async fn guarded<const N: usize>(
        &self,
        script: &Script,
        account: &AccountName,
        args: [&[u8]; N],
        care: Care,
    ) -> Result<Guarded, StoreError> {
        let answer = self.run(script, account, args, care).await?;
        match answer.tag.as_str() {
            "done" => Ok(Guarded::Done),
            "refused" => Ok(Guarded::Refused),
            _ => Err(odd_answer()),
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.0.prefix)
            .finish_non_exhaustive()
    }
}
