//! The layer as a middleware.

use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use http::{Extensions, Request};
use reqwest::{Body, Url};
use reqwest_middleware::{Error, Middleware, Next, Result};
use tower_layer::Layer as _;
use tower_service::Service;

use super::convert::{from_http, response_from_http, response_to_http, to_http};
use crate::account::Account;
use crate::layer::{self, Identity, MacAuthLayer, RequestBody};

#[async_trait]
impl<A> Middleware for MacAuthLayer<A>
where
    A: Identity + Send + Sync + 'static,
    A::OfRequest: Send,
{
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<reqwest::Response> {
        let url = request.url().clone();
        let mut request = to_http(request)?;
        if let Some(account) = extensions.get::<Account<A::Provider>>() {
            request.extensions_mut().insert(account.clone());
        }
        let lent = Arc::new(Mutex::new(mem::take(extensions)));
        let rest = Rest {
            next,
            url,
            extensions: Arc::clone(&lent),
        };
        let response = self.layer(rest).call(request).await;
        *extensions = take(&lent);
        response.map(response_from_http).map_err(whole)
    }
}

/// The error as reqwest-middleware has it.
fn whole(error: layer::Error<Error>) -> Error {
    match error {
        layer::Error::Service(error) => error,
        layer::Error::Auth(error) => Error::middleware(error),
    }
}

/// The middlewares that come after the layer, and the client.
#[derive(Clone)]
struct Rest<'a> {
    next: Next<'a>,
    url: Url,
    /// Of one request, for one attempt after the other.
    extensions: Arc<Mutex<Extensions>>,
}

fn take(extensions: &Mutex<Extensions>) -> Extensions {
    mem::take(&mut extensions.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What an attempt has of the extensions; it gives them back even if it is dropped.
struct Lent<'a> {
    extensions: Extensions,
    from: &'a Mutex<Extensions>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        *from = mem::take(&mut self.extensions);
    }
}

impl<'a> Service<Request<RequestBody<Body>>> for Rest<'a> {
    type Response = http::Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>>> + Send + 'a>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<Body>>) -> Self::Future {
        let Self {
            next,
            url,
            extensions,
        } = self.clone();
        Box::pin(async move {
            let mut lent = Lent {
                extensions: take(&extensions),
                from: &extensions,
            };
            let request =
                from_http(request, url).map_err(|error| whole(error.error(Error::from)))?;
            let response = next.run(request, &mut lent.extensions).await;
            // The access token is in the URL, at Xiaomi.
            response.map(response_to_http).map_err(Error::without_url)
        })
    }
}
