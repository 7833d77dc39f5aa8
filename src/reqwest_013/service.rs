//! The layer around a client, in either version of reqwest.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Request;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::convert::{NotSent, from_http, response_from_http, response_to_http, to_http};
use super::reqwest::{self, Body, Client, Url};
use crate::layer::{self, Error, Identity, MacAuth, RequestBody};

/// A client, as the layer calls it for one request.
#[derive(Clone)]
pub(super) struct Inner {
    client: Client,
    /// Until it is called.
    url: Option<Url>,
}

impl Service<Request<RequestBody<Body>>> for Inner {
    type Response = http::Response<Body>;
    type Error = NotSent;
    type Future = Sending;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NotSent>> {
        self.client.poll_ready(cx).map_err(NotSent::Failed)
    }

    fn call(&mut self, request: Request<RequestBody<Body>>) -> Sending {
        let Some(url) = self.url.take() else {
            panic!("a client for one request was called for a second");
        };
        match from_http(request, url) {
            Ok(request) => Sending::Sent {
                pending: self.client.call(request),
            },
            Err(error) => Sending::Failed { error: Some(error) },
        }
    }
}

pin_project! {
    /// An attempt.
    #[project = SendingProjection]
    pub(super) enum Sending {
        Sent { #[pin] pending: <Client as Service<reqwest::Request>>::Future },
        Failed { error: Option<NotSent> },
    }
}

impl Future for Sending {
    type Output = Result<http::Response<Body>, NotSent>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            SendingProjection::Sent { pending } => {
                let response = ready!(pending.poll(cx));
                // The access token is in the URL, at Xiaomi.
                let response = response.map_err(|error| NotSent::Failed(error.without_url()));
                Poll::Ready(response.map(response_to_http))
            }
            SendingProjection::Failed { error } => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
        }
    }
}

impl<A: Identity> Service<reqwest::Request> for MacAuth<Client, A> {
    type Response = reqwest::Response;
    type Error = Error<reqwest::Error>;
    type Future = ResponseFuture<A>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.get_ref().poll_ready(cx).map_err(Error::Service)
    }

    fn call(&mut self, request: reqwest::Request) -> ResponseFuture<A> {
        let url = Some(request.url().clone());
        let kind = match to_http(request) {
            Ok(request) => Kind::Sent {
                response: self
                    .around(|client| Inner {
                        client: client.clone(),
                        url,
                    })
                    .call(request),
            },
            Err(error) => Kind::Failed { error: Some(error) },
        };
        ResponseFuture { kind }
    }
}

pin_project! {
    /// The future of [`MacAuth`] around a [`reqwest::Client`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it cancels the request. A refresh it waited for goes on: it is the account's.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<A: Identity> {
        #[pin]
        kind: Kind<A>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<A: Identity> {
        Sent { #[pin] response: layer::ResponseFuture<Inner, Body, Body, A> },
        // There is no URI.
        Failed { error: Option<reqwest::Error> },
    }
}

impl<A: Identity> Future for ResponseFuture<A> {
    type Output = Result<reqwest::Response, Error<reqwest::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Sent { response } => {
                let response = ready!(response.poll(cx));
                Poll::Ready(match response {
                    Ok(response) => Ok(response_from_http(response)),
                    Err(Error::Service(error)) => Err(error.error(|error| error)),
                    Err(Error::Auth(error)) => Err(Error::Auth(error)),
                })
            }
            KindProjection::Failed { error } => match error.take() {
                Some(error) => Poll::Ready(Err(Error::Service(error))),
                None => Poll::Pending,
            },
        }
    }
}

impl<A: Identity> fmt::Debug for ResponseFuture<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
