use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{Client, ClientTlsConfig, IntoConnectionInfo as _, ProtocolVersion, TlsCertificates};

use super::checks::Rules;
use super::error::unsuitable;
use super::{RedisStore, TIMEOUT};
use crate::store::StoreError;
use crate::{Clock, SystemClock};

/// What a [`RedisStore`] asks of the server before it trusts it with an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// `appendonly yes`, `appendfsync always` and `no-appendfsync-on-rewrite no`, its default: a
    /// step is on disk before it is answered. The only one that keeps the promise through a crash
    /// of the server's machine.
    Always,
    /// `appendfsync everysec` as well: a machine that crashes may lose up to two seconds of steps.
    /// If an intent was among them, **a refresh token that is spent may be presented again**,
    /// which may end the grant; if a commit was, its process writes it back, if it still runs.
    EverySecond,
    /// Whatever the server does, which is not looked at: for a server that does not tell, such as
    /// a managed one, or one that keeps all in memory. Each restart without its data is as above,
    /// for all that was written.
    Unchecked,
}

/// Builds a [`RedisStore`].
#[must_use]
pub struct RedisStoreBuilder {
    url: String,
    prefix: String,
    timeout: Duration,
    rules: Rules,
    clock: Arc<dyn Clock>,
    roots: Option<Vec<u8>>,
    client: Option<ClientTlsConfig>,
}

impl RedisStoreBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            prefix: "tower-mac-auth".to_owned(),
            timeout: TIMEOUT,
            rules: Rules {
                durability: Durability::Always,
                replicas: 0,
            },
            clock: Arc::new(SystemClock),
            roots: None,
            client: None,
        }
    }

    /// What keys and channels begin with: `tower-mac-auth` by default. Accounts of another prefix
    /// are other accounts. Without braces, which mark what a cluster hashes.
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
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

    /// Has so many replicas confirm each intent, commit and revocation (`WAIT`), which costs one
    /// more round trip for each; none by default. A step that too few confirm in half the
    /// [timeout](Self::timeout) fails, so nothing is sent. It makes the loss of an intent in a
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

    /// For `rediss://`: trusts the certificates in this PEM text, in place of the platform's.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// For `rediss://`: shows this certificate to a server that asks for one. Both are PEM texts.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.client = Some(ClientTlsConfig {
            client_cert: certificate.into(),
            client_key: key.into(),
        });
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
    pub async fn connect(self) -> Result<RedisStore, StoreError> {
        if self.prefix.contains(['{', '}']) {
            return Err(unsuitable("the prefix has a brace"));
        }
        let client = self.client()?;
        RedisStore::open(client, self.prefix, self.timeout, self.rules, self.clock).await
    }

    fn client(&self) -> Result<Client, StoreError> {
        let no_url = |_| unsuitable("the address is no redis:// or rediss:// URL");
        // What the parser complains of may quote it.
        let info = self.url.as_str().into_connection_info().map_err(no_url)?;
        // Of the older protocol, in which a subscription that is refused can be told.
        let settings = info.redis_settings().clone();
        let settings = settings.set_protocol(ProtocolVersion::RESP2);
        let info = info.set_redis_settings(settings);
        if self.url.starts_with("rediss:") {
            // The Redis client takes the process's; without one, and with two built in, it panics.
            if rustls::crypto::CryptoProvider::get_default().is_none() {
                // An error says that another thread was quicker.
                let _ = rustls::crypto::ring::default_provider().install_default();
            }
        }
        if self.roots.is_none() && self.client.is_none() {
            return Client::open(info).map_err(no_url);
        }
        let certificates = TlsCertificates {
            client_tls: self.client.clone(),
            root_cert: self.roots.clone(),
        };
        Client::build_with_tls(info, certificates)
            .map_err(|_| unsuitable("a certificate or key is no PEM, or not for a rediss:// URL"))
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
