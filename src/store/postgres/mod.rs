//! Records in `PostgreSQL`: many machines on one database.
//!
//! ```no_run
//! use tower_mac_auth::account::Account;
//! use tower_mac_auth::store::PostgresStore;
//! # use tower_mac_auth::token::TokenEndpoint;
//!
//! # async fn start(endpoint: TokenEndpoint) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! // The same on each machine. Whichever notices first that the credential of "user-42" has to be
//! // renewed renews it; the others hear of it and sign with the new one.
//! let store = PostgresStore::connect("postgres://app:password@db.example/app").await?;
//! store.migrate().await?;
//! let account = Account::builder(endpoint).store(store).open("user-42").await?;
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! Each step is one guarded statement on the server's clock and one round trip: four for a
//! rotation, one for a look. There is no session state, no prepared statement and no transaction
//! over the call to the token endpoint, so the store works behind a pooler that shares connections
//! by transaction, such as pgbouncer. Before the first step, one look at the database sees that it
//! will do: version, encoding, `fsync`, the table and the rights on it; and each step is tried in a
//! transaction that is rolled back.
//!
//! A failover leaves sessions on a server that was demoted or is gone. The first that turns out to
//! be read-only or lost has all that are idle closed, and what it was asked goes to a new one at
//! once, unless it may have been done.
//!
//! What ends a rotation is also told by `NOTIFY`, on the channel `tower_mac_auth` with a hash of the
//! account's name, and one connection of each store listens. It connects again by itself; without
//! it, or through a pooler, where `LISTEN` hears nothing, waiting callers find a change by polling,
//! up to a second late. Give the database's own address to
//! [`listen_url`](PostgresStoreBuilder::listen_url) then. `NOTIFY` makes the commits of a database
//! wait for each other; a database that rotates thousands of accounts a second feels that.
//!
//! A commit that waits for the disk is what keeps a refresh token from being presented twice across
//! a crash. Should the role or the database have `synchronous_commit` `off` or `local`, each step
//! sets it `on` for itself; stronger settings stay. With synchronous replication a failover
//! forgets nothing; with asynchronous replication it may forget the last moments before it.
//!
//! # TLS
//!
//! `sslmode` in the URL is honoured: `disable`; `prefer`, which takes TLS if the server has it;
//! `require`, `verify-ca` and `verify-full`, which are all `verify-full` here. Without one it is
//! `disable` for a socket or a loopback address, and `verify-full` for everything else. Roots are
//! the platform's, or those of `sslrootcert` or [`ca_file`](PostgresStoreBuilder::ca_file).
//!
//! # The table
//!
//! [`migrate`](PostgresStore::migrate) makes it, unless it is there. Times are milliseconds since
//! the Unix epoch on the server's clock. `secret` is opaque, and holds the tokens **in the clear**
//! unless the store is wrapped in a `SealedStore`, feature `seal`: whoever may read the table, a backup of it
//! or a log with statement parameters (`log_min_duration_statement` together with
//! `log_parameter_max_length`) may read them.
//!
//! ```sql
//! CREATE TABLE "public"."tower_mac_auth_records" (
//!     account text COLLATE "C" PRIMARY KEY,
//!     generation numeric(20) NOT NULL,
//!     lineage numeric(20) NOT NULL,
//!     status text NOT NULL,       -- active, leased, sending, in_doubt or revoked
//!     secret bytea NOT NULL,
//!     issued_at bigint NOT NULL,
//!     expires_at bigint,
//!     fence bigint NOT NULL,
//!     owner text,
//!     deadline bigint NOT NULL,
//!     intended_at bigint,
//!     replayed boolean NOT NULL,
//!     not_before bigint NOT NULL,
//!     fails bigint NOT NULL,
//!     last_error text
//! ) WITH (fillfactor = 50);
//! CREATE TABLE "public"."tower_mac_auth_version" (version integer NOT NULL);
//! INSERT INTO "public"."tower_mac_auth_version" VALUES (1);
//! ```
//!
//! To make it takes `CREATE` on the schema. To use it:
//!
//! ```sql
//! GRANT USAGE ON SCHEMA public TO app;
//! GRANT SELECT ON tower_mac_auth_version TO app;
//! GRANT SELECT, INSERT, UPDATE ON tower_mac_auth_records TO app;
//! ```

mod builder;
mod error;
mod link;
mod listen;
mod rehearsal;
mod row;
mod schema;
mod sql;
mod steps;
mod tls;

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deadpool_postgres::Pool;
use sha1::{Digest, Sha1};
use tokio::sync::OnceCell;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use tokio_util::task::AbortOnDropHandle;

use self::link::{Effect, Link, Parameter};
use self::schema::Tables;
use self::sql::Statements;
use super::watchers::Watchers;
use super::{AccountName, Fence, Generation, Guarded, StoreError};

pub use builder::PostgresStoreBuilder;

/// For [`PostgresStore::builder_with_pool`].
#[doc(no_inline)]
pub use deadpool_postgres;
/// For [`PostgresStoreBuilder::tls_config`].
#[doc(no_inline)]
pub use rustls;

/// Keeps records in `PostgreSQL` 12 or later. See the [module docs](self).
///
/// Clones share their connections, which are closed with the last of them.
#[derive(Clone)]
pub struct PostgresStore {
    link: Arc<Link>,
    statements: Arc<Statements>,
    tables: Tables,
    without_fsync: bool,
    checked: Arc<OnceCell<()>>,
    watchers: Watchers,
    _listening: Option<Arc<AbortOnDropHandle<()>>>,
}

impl PostgresStore {
    /// Connects to the database at a `postgres://` URL.
    ///
    /// # Errors
    ///
    /// Those of [`PostgresStoreBuilder::connect`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves nothing open.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder(url).connect().await
    }

    /// A store on the database at a `postgres://` URL.
    pub fn builder(url: &str) -> PostgresStoreBuilder {
        PostgresStoreBuilder::with_url(url)
    }

    /// A store on a pool of your own. It listens for changes only if it is told
    /// [where](PostgresStoreBuilder::listen_url).
    pub fn builder_with_pool(pool: Pool) -> PostgresStoreBuilder {
        PostgresStoreBuilder::with_pool(pool)
    }

    /// Makes the tables, unless they are there. Any number of programs may do so at once.
    ///
    /// # Errors
    ///
    /// [`Unsuitable`](super::StoreErrorKind::Unsuitable) if the role or the session may not, a later
    /// version of this crate made them, or they are there and look otherwise.
    ///
    /// # Cancel safety
    ///
    /// Dropped, all of it is done or nothing.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let migrate = schema::migrate(&self.link, &self.tables);
        self.link.in_time(migrate).await
    }

    /// Tries whether the database will do, as is done before the first step of a store: what the
    /// table looks like, and each step on an account that there is not, in a transaction that is
    /// rolled back.
    ///
    /// # Errors
    ///
    /// [`Unsuitable`](super::StoreErrorKind::Unsuitable), and what is missing, if it will not.
    ///
    /// # Cancel safety
    ///
    /// It leaves nothing behind, dropped or not.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.link.in_time(self.look()).await
    }

    /// On a session of a server that was demoted it fails, but not on a new one.
    async fn look(&self) -> Result<(), StoreError> {
        let look = || {
            schema::check(
                &self.link,
                &self.tables,
                &self.statements,
                self.without_fsync,
            )
        };
        let before = self.link.emptied();
        match look().await {
            Err(_) if self.link.emptied() != before => look().await,
            done => done,
        }
    }

    async fn query(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
        effect: Effect,
    ) -> Result<Vec<Row>, StoreError> {
        let query = async {
            self.checked.get_or_try_init(|| self.look()).await?;
            self.link.query(statement, parameters, effect).await
        };
        self.link.in_time(query).await
    }

    /// A step that writes: the account and the payload come before its own parameters.
    async fn write(
        &self,
        statement: &str,
        account: &AccountName,
        own: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let (name, key) = (account.as_str(), self.key(account));
        let mut parameters: Vec<Parameter<'_>> = vec![(&name, Type::TEXT), (&key, Type::TEXT)];
        parameters.extend_from_slice(own);
        self.query(statement, &parameters, Effect::Write).await
    }

    /// A step whose guard is the lease, and whose only answer whether it held.
    async fn guarded(
        &self,
        statement: &str,
        account: &AccountName,
        (generation, fence): (Generation, Fence),
        own: &[Parameter<'_>],
    ) -> Result<Guarded, StoreError> {
        let (generation, fence) = (generation.to_string(), row::fence(fence)?);
        let mut parameters: Vec<Parameter<'_>> =
            vec![(&generation, Type::TEXT), (&fence, Type::INT8)];
        parameters.extend_from_slice(own);
        let rows = self.write(statement, account, &parameters).await?;
        match rows.first().map(|row| row.try_get(0)) {
            None => Ok(Guarded::Refused),
            Some(Ok(true)) => Ok(Guarded::Done),
            Some(_) => Err(error::odd_row()),
        }
    }

    /// What notifications call an account of this table: everybody on the database may hear them.
    fn key(&self, account: &AccountName) -> String {
        let hash = Sha1::new_with_prefix(self.tables.records());
        STANDARD.encode(hash.chain_update(account.as_str()).finalize())
    }

    /// A guarded step that ends a rotation, for which others may wait.
    async fn ended(
        &self,
        statement: &str,
        account: &AccountName,
        guard: (Generation, Fence),
        own: &[Parameter<'_>],
    ) -> Result<Guarded, StoreError> {
        let guarded = self.guarded(statement, account, guard, own).await?;
        if guarded == Guarded::Done {
            self.changed(account);
        }
        Ok(guarded)
    }

    /// Wakes the watchers of this process: sooner than the notification comes back, and also if
    /// nobody listens.
    fn changed(&self, account: &AccountName) {
        self.watchers.wake(&self.key(account));
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("records", &self.tables.records())
            .finish_non_exhaustive()
    }
}
