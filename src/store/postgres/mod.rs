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
//! A record is a row, and is replaced by one statement that is conditional on its version and goes
//! by the server's clock: each read and each write is one round trip. There is no session state, no
//! prepared statement and no transaction over the call to the token endpoint, so the store works
//! behind a pooler that shares connections by transaction, such as pgbouncer. Before the first use,
//! the store checks that the database will do: its version, encoding and `fsync`, the table and the
//! rights on it. Then it tries each statement in a transaction that is rolled back.
//!
//! A failover leaves sessions on a server that was demoted or is gone. The first session that turns
//! out to be read-only or lost has all idle sessions closed, and its statement goes to a new session
//! at once, unless it may have been done.
//!
//! A write that ends a rotation is also told by `NOTIFY`, on the channel `tower_mac_auth`: the table,
//! the row's new version and the account's name. Whoever may connect to the database can hear that. One
//! connection of each store listens, and connects again by itself. Through a pooler `LISTEN` hears
//! nothing: give the database's own address to [`listen_url`](PostgresStoreBuilder::listen_url), or
//! have the store [not listen](PostgresStoreBuilder::listen), so that accounts look more
//! often. `NOTIFY` makes the commits of a database wait for each other; a database that rotates
//! thousands of accounts a second feels that.
//!
//! A commit that waits for the disk is what keeps a refresh token from being presented twice across
//! a crash. Should the role or the database have `synchronous_commit` `off` or `local`, each write
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
//!     version bigint NOT NULL,    -- drawn by whoever wrote the row last
//!     generation numeric(20) NOT NULL,
//!     lineage numeric(20) NOT NULL,
//!     status text NOT NULL,       -- active, leased, sending, in_doubt or revoked
//!     secret bytea NOT NULL,
//!     issued_at bigint NOT NULL,
//!     expires_at bigint,
//!     refresh_expires_at bigint,
//!     lease bigint,               -- the version of the row that took it
//!     owner text,
//!     deadline bigint NOT NULL,
//!     intended_at bigint,
//!     presented_again boolean NOT NULL,
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
mod tables;
mod tls;

use std::fmt;
use std::sync::Arc;

use deadpool_postgres::Pool;
use tokio::sync::OnceCell;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use tokio_util::task::AbortOnDropHandle;

use self::link::{Effect, Link, Parameter};
use self::row::Values;
use self::sql::Statements;
use self::tables::Tables;
use super::changes::Changes;
use super::error::unavailable;
use super::{
    AccountName, Draft, Listed, Loaded, RecordStore, Replaced, StoreError, Version, Watch,
};

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
    accept_fsync_off: bool,
    checked: Arc<OnceCell<()>>,
    changes: Changes,
    listening: Option<Arc<AbortOnDropHandle<()>>>,
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
        PostgresStoreBuilder::new(builder::From::Url(url.to_owned()))
    }

    /// A store on a pool of your own. It listens for changes only if it is told
    /// [where](PostgresStoreBuilder::listen_url).
    pub fn builder_with_pool(pool: Pool) -> PostgresStoreBuilder {
        PostgresStoreBuilder::new(builder::From::Pool(pool))
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

    /// On a session of a server that was demoted it fails, but not on a new one.
    async fn look(&self) -> Result<(), StoreError> {
        let look = || {
            schema::check(
                &self.link,
                &self.tables,
                &self.statements,
                self.accept_fsync_off,
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
}

impl RecordStore for PostgresStore {
    async fn load(&self, account: &AccountName) -> Result<Loaded, StoreError> {
        let name = account.as_str();
        let rows = self
            .query(&self.statements.load, &[(&name, Type::TEXT)], Effect::None)
            .await?;
        row::loaded(only(&rows)?)
    }

    async fn replace(
        &self,
        account: &AccountName,
        expected: Option<Version>,
        draft: &Draft,
    ) -> Result<Replaced, StoreError> {
        let values = Values::new(account.as_str(), expected, draft)?;
        let rows = self
            .query(
                &self.statements.replace,
                &values.parameters(),
                Effect::Write,
            )
            .await?;
        let replaced = row::replaced(only(&rows)?)?;
        match &replaced {
            // Sooner than the notification comes back.
            Replaced::Done(_) if !draft.status.is_rotating() => {
                self.changes.tell_of(account, draft.version);
            }
            // Another inserted the first record since the statement began, which saw nothing.
            Replaced::Refused(loaded) if loaded.version() == expected => {
                return self.load(account).await.map(Replaced::Refused);
            }
            _ => {}
        }
        Ok(replaced)
    }

    async fn list(
        &self,
        after: Option<&AccountName>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        // No name is empty, so all come after that.
        let after = after.map_or("", AccountName::as_str);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let parameters: [Parameter<'_>; 2] = [(&after, Type::TEXT), (&limit, Type::INT8)];
        let rows = self
            .query(&self.statements.list, &parameters, Effect::None)
            .await?;
        rows.iter().map(row::listed).collect()
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        self.listening.as_ref().map(|_| self.changes.watch())
    }

    /// Tries whether the database will do, as is done before the first step of a store: what the
    /// table looks like, and each statement on an account that there is not, in a transaction that
    /// is rolled back.
    ///
    /// # Errors
    ///
    /// [`Unsuitable`](super::StoreErrorKind::Unsuitable), and what is missing, if it will not.
    ///
    /// # Cancel safety
    ///
    /// It leaves nothing behind, dropped or not.
    async fn check(&self) -> Result<(), StoreError> {
        self.link.in_time(self.look()).await
    }
}

fn only(rows: &[Row]) -> Result<&Row, StoreError> {
    rows.first()
        .ok_or_else(|| unavailable("the database answered nothing"))
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("records", &self.tables.records())
            .finish_non_exhaustive()
    }
}
