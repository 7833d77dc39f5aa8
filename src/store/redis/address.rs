//! Where the server is, and how a connection to it is made: by the Redis client, or, over TLS, by
//! ourselves, for the client takes its cryptography from the process.

use std::sync::Arc;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo as _,
    ProtocolVersion, RedisError,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use crate::store::StoreError;
use crate::store::error::unsuitable;
use crate::tls::Trust;

#[derive(Clone)]
pub(super) struct Address {
    client: Client,
    tls: Option<Arc<ClientConfig>>,
}

/// Clones share one connection, which is closed with the last of them.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) commands: MultiplexedConnection,
    /// What reads and writes, where the client does not see to that itself.
    _driver: Option<Arc<AbortOnDropHandle<()>>>,
}

impl Address {
    /// `trust` is what was asked for, if anything was.
    pub(super) fn new(url: &str, trust: Option<Trust>) -> Result<Self, StoreError> {
        let what = "the address is no redis:// or rediss:// URL";
        // The client knows no TLS, and so not what the one letter says.
        let (url, secure) = match url.strip_prefix("rediss://") {
            Some(place) => (format!("redis://{place}"), true),
            None => (url.to_owned(), false),
        };
        // "#insecure" would be dropped in silence: nothing unverified is to be had here.
        if url.contains('#') {
            return Err(unsuitable(what));
        }
        // What the parser complains of may quote the URL.
        let info = url.into_connection_info().map_err(|_| unsuitable(what))?;
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return Err(unsuitable(what));
        }
        // Of the older protocol, in which a subscription that is refused can be told.
        let settings = info.redis_settings().clone();
        let info = info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP2));
        let tls = match (secure, trust) {
            (false, None) => None,
            (false, Some(_)) => {
                return Err(unsuitable("TLS is set up, but not for a rediss:// URL"));
            }
            (true, trust) => {
                let config = trust.unwrap_or(Trust::Platform).config().map_err(|error| {
                    unsuitable("TLS to Redis cannot be set up").with_source(error)
                })?;
                Some(Arc::new(config))
            }
        };
        let client = Client::open(info).map_err(|_| unsuitable(what))?;
        Ok(Self { client, tls })
    }

    /// Steps have a time limit of their own, which covers connecting as well, so this has none.
    pub(super) async fn connect(&self) -> Result<Connection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let Some(tls) = &self.tls else {
            let client = &self.client;
            let commands = client.get_multiplexed_async_connection_with_config(&config);
            return Ok(Connection {
                commands: commands.await?,
                _driver: None,
            });
        };
        let settings = self.client.get_connection_info().redis_settings();
        let stream = self.secured(tls).await?;
        let made = MultiplexedConnection::new_with_config(settings, stream, config);
        let (commands, driver) = made.await?;
        Ok(Connection {
            commands,
            _driver: Some(Arc::new(AbortOnDropHandle::new(tokio::spawn(driver)))),
        })
    }

    pub(super) async fn subscription(&self) -> Result<PubSub, RedisError> {
        let Some(tls) = &self.tls else {
            return self.client.get_async_pubsub().await;
        };
        let settings = self.client.get_connection_info().redis_settings();
        PubSub::new(settings, self.secured(tls).await?).await
    }

    async fn secured(&self, tls: &Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, RedisError> {
        let ConnectionAddr::Tcp(host, port) = self.client.get_connection_info().addr() else {
            return Err((ErrorKind::InvalidClientConfig, "TLS is for TCP").into());
        };
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.set_nodelay(true)?;
        let no_name = "the host is no name for TLS";
        let name = ServerName::try_from(host.clone());
        let name = name.map_err(|_| (ErrorKind::InvalidClientConfig, no_name))?;
        let connector = TlsConnector::from(Arc::clone(tls));
        Ok(connector.connect(name, stream).await?)
    }
}
