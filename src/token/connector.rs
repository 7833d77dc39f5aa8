//! Any connector, in a box: a connection is made once for each rotation, so that one more
//! allocation is no matter.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_core::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, Write};
use tower_service::Service;

use super::transport::BoxError;

/// What a connector connects.
pub(super) type Stream = Pin<Box<dyn ReadWrite + Send>>;

pub(super) trait ReadWrite: Read + Write {}

impl<T: Read + Write> ReadWrite for T {}

type Connect = dyn Fn(Uri) -> BoxFuture<'static, Result<Stream, BoxError>> + Send + Sync;

#[derive(Clone)]
pub(super) struct Connector(Arc<Connect>);

impl Connector {
    pub(super) fn new<C>(connector: C) -> Self
    where
        C: Service<Uri> + Clone + Send + 'static,
        C::Response: Read + Write + Send + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send,
    {
        // Many connectors are not `Sync`: a boxed one, for instance.
        let connector = Mutex::new(connector);
        Self(Arc::new(move |endpoint| {
            let connector = connector.lock().unwrap_or_else(PoisonError::into_inner);
            let mut connector = C::clone(&connector);
            Box::pin(async move {
                poll_fn(|cx| connector.poll_ready(cx))
                    .await
                    .map_err(Into::into)?;
                let stream = connector.call(endpoint).await.map_err(Into::into)?;
                Ok(Box::pin(stream) as Stream)
            })
        }))
    }

    pub(super) async fn connect(&self, endpoint: &Uri) -> Result<Stream, BoxError> {
        (self.0)(endpoint.clone()).await
    }
}
