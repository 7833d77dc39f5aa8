use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::client::WantsClientCert;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;
use zeroize::Zeroizing;

use super::transport::{BoxError, MAX_ANSWER_LEN};
use super::{Connection, EndpointError, EndpointErrorKind, SendError, Transport, TransportError};

/// The built-in [`Transport`]: HTTP/1.1 by hyper, TLS by rustls with the platform's roots.
///
/// Each request has a connection of its own. There is no pool, no retry and no redirect: each of
/// them can present a token twice. Nothing is spawned: when an exchange has ended, or its future
/// is dropped, its connection is closed. (A name look-up runs on tokio's blocking pool, and one
/// that was given up on ends there by itself.)
///
/// The timeouts are tokio's, and stand still while the machine sleeps.
#[derive(Clone)]
pub struct HyperTransport {
    connector: HttpsConnector<HttpConnector>,
    connect_timeout: Duration,
    answer_timeout: Duration,
}

impl HyperTransport {
    /// With the roots that the platform trusts. The cryptography is ring's, whatever the
    /// process has installed as rustls's default.
    ///
    /// # Errors
    ///
    /// [`EndpointErrorKind::Tls`] if the platform has no roots.
    pub fn new() -> Result<Self, EndpointError> {
        Self::with_verifier(ConfigBuilderExt::try_with_platform_verifier)
    }

    /// With a TLS configuration of your own: other roots, a client certificate. Its ALPN
    /// protocols are replaced by `http/1.1`.
    pub fn with_tls_config(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        Self {
            connector: HttpsConnector::from((http, Arc::new(config))),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
        }
    }

    /// For plain HTTP: trusts nobody, so that it also works where the platform has no roots.
    pub(super) fn without_roots() -> Result<Self, EndpointError> {
        Self::with_verifier(|config| Ok(config.with_root_certificates(RootCertStore::empty())))
    }

    fn with_verifier(
        verifier: impl FnOnce(
            ConfigBuilder<ClientConfig, WantsVerifier>,
        )
            -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error>,
    ) -> Result<Self, EndpointError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(verifier)
            .map_err(|source| {
                EndpointError::new(EndpointErrorKind::Tls, "TLS cannot be set up")
                    .with_source(source)
            })?;
        Ok(Self::with_tls_config(config.with_no_client_auth()))
    }

    /// How long DNS, TCP and TLS may take together. 10 s by default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long it may take from sending the request to the last byte of the answer. 30 s by
    /// default.
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }
}

impl fmt::Debug for HyperTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperTransport")
            .field("connect_timeout", &self.connect_timeout)
            .field("answer_timeout", &self.answer_timeout)
            .finish_non_exhaustive()
    }
}

impl Transport for HyperTransport {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Uri,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, TransportError>> {
        let mut connector = self.connector.clone();
        let connect = async move {
            poll_fn(|cx| connector.poll_ready(cx)).await?;
            let stream = connector.call(endpoint.clone()).await?;
            let (sender, driver) = http1::handshake(stream).await?;
            Ok::<_, BoxError>(Box::new(HyperConnection {
                sender,
                driver,
                answer_timeout: self.answer_timeout,
            }) as Box<dyn Connection>)
        };
        Box::pin(async move {
            match timeout(self.connect_timeout, connect).await {
                Ok(connected) => connected.map_err(TransportError::new),
                Err(_) => Err(TransportError::timeout()),
            }
        })
    }
}

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

struct HyperConnection {
    sender: http1::SendRequest<Empty<Bytes>>,
    driver: http1::Connection<Stream, Empty<Bytes>>,
    answer_timeout: Duration,
}

impl Connection for HyperConnection {
    fn send(
        self: Box<Self>,
        request: Request<()>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, SendError>> {
        let Self {
            mut sender,
            driver,
            answer_timeout,
        } = *self;
        let exchange = async move {
            let response = sender
                .try_send_request(request.map(|()| Empty::new()))
                .await
                .map_err(|mut error| {
                    // hyper gives the request back only if it never began to write it.
                    let unsent = error.take_message().is_some();
                    let error = error.into_error();
                    if unsent {
                        SendError::not_sent(error)
                    } else {
                        SendError::lost(error)
                    }
                })?;
            read(response).await
        };
        Box::pin(async move {
            timeout(answer_timeout, drive(driver, exchange))
                .await
                .unwrap_or_else(|_| Err(SendError::timeout()))
        })
    }
}

/// Runs the connection for as long as the exchange on it takes, and no longer.
async fn drive<T>(
    driver: http1::Connection<Stream, Empty<Bytes>>,
    exchange: impl Future<Output = T>,
) -> T {
    let mut exchange = pin!(exchange);
    let mut driver = Some(driver);
    poll_fn(|cx| {
        if let Poll::Ready(result) = exchange.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        if let Some(running) = &mut driver {
            if pin!(running).poll(cx).is_ready() {
                // What ended it reaches the exchange by its channel, at the latest when the
                // driver is dropped.
                driver = None;
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    })
    .await
}

/// Reads the answer whole, up to the cap, into a buffer that is wiped when dropped.
async fn read(response: Response<Incoming>) -> Result<Response<Bytes>, SendError> {
    let (head, mut incoming) = response.into_parts();
    let mut body = Zeroizing::new(Vec::with_capacity(4096));
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(SendError::lost)?;
        if let Some(data) = frame.data_ref() {
            if body.len() + data.len() > MAX_ANSWER_LEN {
                return Err(SendError::too_long());
            }
            body.extend_from_slice(data);
        }
    }
    Ok(Response::from_parts(head, Bytes::from_owner(body)))
}
