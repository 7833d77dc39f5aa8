use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio_util::task::AbortOnDropHandle;

use super::address::Address;
use super::checks::{Durability, Rules};
use super::link::Link;
use super::listen::Listener;
use super::script::Keys;
use super::{RedisStore, Shared};
use crate::store::StoreError;
use crate::store::changes::Changes;
use crate::store::error::unsuitable;
use crate::tls::Trust;
use crate::{Clock, SystemClock};

/// Builds a [`RedisStore`].
#[must_use]
pub struct RedisStoreBuilder {
    url: String,
    prefix: String,
    timeout: Duration,
    rules: Rules,
    clock: Arc<dyn Clock>,
    trust: Option<Trust>,
}

impl RedisStoreBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            prefix: "tower-mac-auth".to_owned(),
            timeout: Duration::from_secs(5),
            rules: Rules {
                durability: Durability::Always,
                replicas: 0,
            },
            clock: Arc::new(SystemClock),
            trust: None,
        }
    }

    /// What keys and channels begin with, in braces, which have a cluster keep them together:
    /// `tower-mac-auth` by default. Accounts of another prefix are other accounts.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a step may take, connecting anew included: 5 s by default. Then it fails, and may
    /// or may not have happened.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Accepts a server that may lose what it said was written. See [`Durability`] for what that
    /// puts at risk.
    pub fn accept_durability(mut self, least: Durability) -> Self {
        self.rules.durability = least;
        self
    }

    /// Has so many replicas confirm each write (`WAIT`), which costs one more round trip for each;
    /// none by default. A write that too few confirm in half the [timeout](Self::timeout) fails, so
    /// nothing is sent. It makes the loss of an intent in a
    /// failover less likely, not impossible: see the [module docs](super).
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.rules.replicas = replicas;
        self
    }

    /// A clock of your own, which tells when to look at the server again, and nothing of a record:
    /// that is the server's to date. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// For `rediss://`: trusts the authorities in this PEM file, and no others.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.trust = Some(Trust::CaFile(path.into()));
        self
    }

    /// For `rediss://`: a TLS configuration of your own, for a client certificate.
    pub fn tls_config(mut self, config: ClientConfig) -> Self {
        self.trust = Some(Trust::Custom(Box::new(config)));
        self
    }

    /// Connects, and refuses a server that is not fit to keep records.
    ///
    /// # Errors
    ///
    /// [`Unsuitable`](crate::store::StoreErrorKind::Unsuitable) if the server may evict keys, is
    /// not as durable as asked, is a replica, or lets the user not do what a step does, and if the
    /// address, a certificate or the prefix is not one.
    /// [`Unavailable`](crate::store::StoreErrorKind::Unavailable) if it cannot be reached in time.
    /// No error shows the address, for a password may stand in it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its I/O and its timer on.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves nothing open.
    pub async fn connect(self) -> Result<RedisStore, StoreError> {
        if self.prefix.is_empty() || self.prefix.contains(['{', '}']) {
            return Err(unsuitable("the prefix is empty, or has a brace"));
        }
        let address = Address::new(&self.url, self.trust)?;
        let keys = Keys::new(&self.prefix);
        let (timeout, clock) = (self.timeout, self.clock);
        let link = Link::new(address.clone(), timeout, self.rules, clock, keys.clone());
        link.connect().await?;
        let listener = Listener {
            address,
            channel: keys.changes(),
            timeout,
        };
        let (subscription, changes) = (listener.subscribe().await?, Changes::new());
        let listening = tokio::spawn(listener.listen(subscription, changes.clone()));
        Ok(RedisStore(Arc::new(Shared {
            keys,
            link,
            changes,
            _listening: AbortOnDropHandle::new(listening),
        })))
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
