//! The client that sends to the API.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryFutureExt as _;
use futures_util::future::MapOk;
use http::Uri;
use http_body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use super::BoxError;
use super::cuttable::Cuttable;

const CONNECT: Duration = Duration::from_secs(10);
/// How often a connection by HTTP/2 is asked whether it is there.
const PING: Duration = Duration::from_secs(20);
const IDLE: Duration = Duration::from_secs(60);

pub(crate) type Client<B> = legacy::Client<ToUpstream, B>;

/// Connects to one place, whatever the URI of a request says: that is what is signed, and what the
/// API reads in `Host` or `:authority`. TLS asks for the place's certificate.
#[derive(Clone, Debug)]
pub(crate) struct ToUpstream {
    inner: HttpsConnector<HttpConnector>,
    place: Uri,
}

impl Service<Uri> for ToUpstream {
    type Response = Cuttable<<HttpsConnector<HttpConnector> as Service<Uri>>::Response>;
    type Error = <HttpsConnector<HttpConnector> as Service<Uri>>::Error;
    type Future = MapOk<
        <HttpsConnector<HttpConnector> as Service<Uri>>::Future,
        fn(<HttpsConnector<HttpConnector> as Service<Uri>>::Response) -> Self::Response,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        self.inner.call(self.place.clone()).map_ok(Cuttable::new)
    }
}

/// A client that connects to `place`: by HTTP/2 too if TLS agrees on it, or by HTTP/1.1 alone.
pub(crate) fn client<B>(place: &Uri, http2: bool) -> Result<Client<B>, BoxError>
where
    B: Body<Data = Bytes> + Send,
{
    let mut tcp = HttpConnector::new();
    // TLS stands above it.
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT));
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let tls = HttpsConnectorBuilder::new().with_provider_and_platform_verifier(ring)?;
    let tls = tls.https_or_http().enable_http1();
    let inner = if http2 {
        tls.enable_http2().wrap_connector(tcp)
    } else {
        tls.wrap_connector(tcp)
    };
    let connector = ToUpstream {
        inner,
        place: place.clone(),
    };
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_while_idle(true)
        .build(connector))
}
