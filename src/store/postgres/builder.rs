use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use rustls::ClientConfig;
use tokio::sync::OnceCell;
use tokio_postgres::Config;

use super::PostgresStore;
use super::error::unsuitable;
use super::link::{Effect, Link};
use super::listen::Listener;
use super::sql::Statements;
use super::tables::Tables;
use super::tls;
use crate::store::StoreError;
use crate::store::changes::Changes;
use crate::tls::Trust;

/// Builds a [`PostgresStore`]: from [`PostgresStore::builder`] or
/// [`PostgresStore::builder_with_pool`].
#[must_use]
pub struct PostgresStoreBuilder {
    from: From,
    trust: Trust,
    pool_size: usize,
    timeout: Duration,
    schema: String,
    prefix: String,
    listen: bool,
    listen_url: Option<String>,
    accept_fsync_off: bool,
}

/// Where the connections come from.
pub(super) enum From {
    Url(String),
    Pool(Pool),
}

impl PostgresStoreBuilder {
    pub(super) fn new(from: From) -> Self {
        Self {
            from,
            trust: Trust::Platform,
            pool_size: 4,
            timeout: Duration::from_secs(5),
            schema: "public".to_owned(),
            prefix: "tower_mac_auth_".to_owned(),
            listen: true,
            listen_url: None,
            accept_fsync_off: false,
        }
    }

    /// How many connections the store opens at most, beside the one that listens. 4 by default: a
    /// step holds one for a few milliseconds. Of no effect on a pool of your own.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections.max(1);
        self
    }

    /// How long a step may take, connecting included, before it is
    /// [`Unavailable`](crate::store::StoreErrorKind::Unavailable). 5 s by default. The timer is
    /// tokio's, and stands still while the machine sleeps.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The schema of the tables. `public` by default.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// What the names of the tables begin with. `tower_mac_auth_` by default.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Trusts the authorities in this PEM file, and no others, like `sslrootcert` in the URL.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.trust = Trust::CaFile(path.into());
        self
    }

    /// A TLS configuration of your own, for a client certificate. It is used as `sslmode` says.
    pub fn tls_config(mut self, config: ClientConfig) -> Self {
        self.trust = Trust::Custom(Box::new(config));
        self
    }

    /// Listens for changes at this URL: that of the database itself, if the store's own URL is that of
    /// a pooler. A store with a pool of your own listens only if it is given this URL.
    pub fn listen_url(mut self, url: impl Into<String>) -> Self {
        self.listen_url = Some(url.into());
        self
    }

    /// Whether a connection is opened to listen on: so by default. Without, accounts look for changes
    /// more often: see [`RecordStore::watch`](crate::store::RecordStore::watch).
    pub fn listen(mut self, listen: bool) -> Self {
        self.listen = listen;
        self
    }

    /// Whether a database will do that runs with `fsync = off`. For tests: after a crash it may have
    /// forgotten that a refresh token was presented, and the token is presented again.
    pub fn accept_fsync_off(mut self, accept: bool) -> Self {
        self.accept_fsync_off = accept;
        self
    }

    /// Connects once, to see that it can. The store belongs to the runtime that it is made on.
    ///
    /// # Errors
    ///
    /// [`Unsuitable`](crate::store::StoreErrorKind::Unsuitable) if the URL, a name or the TLS cannot be
    /// used, the login is refused, or there is no such database;
    /// [`Unavailable`](crate::store::StoreErrorKind::Unavailable) if the database does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves nothing open.
    pub async fn connect(self) -> Result<PostgresStore, StoreError> {
        let tables = Tables::new(&self.schema, &self.prefix)?;
        let mut trust = self.trust;
        let mut reach = |url: &str| {
            let mut config = tls::parse(url, &mut trust)?;
            tune(&mut config, self.timeout);
            let tls = tls::connector(&config, &trust)?;
            Ok::<_, StoreError>((config, tls))
        };
        let (pool, own) = match self.from {
            From::Pool(pool) => (pool, None),
            From::Url(url) => {
                let (config, tls) = reach(&url)?;
                // Looks whether the connection was closed, without a round trip.
                let fast = ManagerConfig {
                    recycling_method: RecyclingMethod::Fast,
                };
                let manager = Manager::from_config(config.clone(), tls.clone(), fast);
                let pool = Pool::builder(manager).max_size(self.pool_size).build();
                let pool =
                    pool.map_err(|_| unsuitable("the pool cannot be built", "its options"))?;
                (pool, Some((config, tls)))
            }
        };
        let listen = match self.listen_url {
            Some(url) => Some(reach(&url)?),
            None => own,
        };
        let link = Link::new(pool, self.timeout);
        link.in_time(link.query("SELECT 1", &[], Effect::None))
            .await?;
        let changes = Changes::new();
        let listening = listen.filter(|_| self.listen).map(|(config, tls)| {
            let listener = Listener {
                config,
                tls,
                timeout: self.timeout,
                changes: changes.clone(),
                records: tables.records(),
            };
            Arc::new(listener.start())
        });
        Ok(PostgresStore {
            link: Arc::new(link),
            statements: Arc::new(Statements::new(&tables.records(), self.timeout)),
            tables,
            accept_fsync_off: self.accept_fsync_off,
            checked: Arc::new(OnceCell::new()),
            changes,
            listening,
        })
    }
}

/// What notices a server that died without a word, unless the URL says otherwise.
fn tune(config: &mut Config, timeout: Duration) {
    if config.get_application_name().is_none() {
        config.application_name("tower-mac-auth");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(timeout);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(timeout);
    }
    // The driver's own default is the system's two hours.
    if config.get_keepalives_idle() == Duration::from_secs(2 * 60 * 60) {
        config.keepalives_idle(Duration::from_secs(30));
    }
}

impl fmt::Debug for PostgresStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL: it has the password in it.
        f.debug_struct("PostgresStoreBuilder")
            .field("schema", &self.schema)
            .field("prefix", &self.prefix)
            .field("pool_size", &self.pool_size)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
