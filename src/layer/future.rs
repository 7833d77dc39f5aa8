use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::call::Call;
use super::error::{AuthError, Error};
use super::exchange::{Answer, Exchange, finished};
use super::identity::Identity;
use super::request_body::RequestBody;
use super::unsent::{Sent, Unsent};
use crate::body::ReadAhead;

pin_project! {
    /// The future of [`MacAuth`](super::MacAuth).
    ///
    /// # Cancel safety
    ///
    /// Dropping it cancels the request. A refresh it waited for goes on: it is the account's.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B, R, A>
    where
        S: Service<Request<RequestBody<B>>>,
        R: Body,
        A: Identity,
    {
        #[pin]
        kind: Kind<S, B, R, A>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<S, B, R, A>
    where
        S: Service<Request<RequestBody<B>>>,
        R: Body,
        A: Identity,
    {
        // It goes where none is signed. Boxed, for being rare.
        Passed { future: Pin<Box<S::Future>> },
        // It could not be signed, or nobody is there to sign it.
        Unsigned { error: Option<AuthError> },
        Exchange { #[pin] exchange: Exchange<S, B, R, A> },
    }
}

impl<S, B, R, A> ResponseFuture<S, B, R, A>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    R: Body,
    A: Identity,
{
    /// The request cannot be signed.
    #[cold]
    pub(super) fn unsigned(error: AuthError) -> Self {
        let error = Some(error);
        let kind = Kind::Unsigned { error };
        Self { kind }
    }

    /// The request was sent as it is.
    #[cold]
    pub(super) fn passed(future: S::Future) -> Self {
        let future = Box::pin(future);
        let kind = Kind::Passed { future };
        Self { kind }
    }

    /// The request cannot be sent yet.
    #[cold]
    pub(super) fn unsent(call: Call<S, A>, unsent: Unsent<S, B>) -> Self {
        let exchange = Exchange::unsent(call, unsent);
        let kind = Kind::Exchange { exchange };
        Self { kind }
    }

    /// The request is on its way.
    #[inline]
    pub(super) fn sent(call: Call<S, A>, sent: Sent<S, B>) -> Self {
        let exchange = Exchange::sent(call, sent);
        let kind = Kind::Exchange { exchange };
        Self { kind }
    }
}

impl<S, B, R, A> fmt::Debug for ResponseFuture<S, B, R, A>
where
    S: Service<Request<RequestBody<B>>>,
    R: Body,
    A: Identity,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<S, B, R, A> Future for ResponseFuture<S, B, R, A>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    R: Body + Unpin,
    A: Identity,
{
    type Output = Answer<R, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Exchange { exchange } => exchange.poll(cx),
            KindProjection::Passed { future } => match ready!(future.as_mut().poll(cx)) {
                Ok(response) => Poll::Ready(Ok(response.map(ReadAhead::new))),
                Err(error) => Poll::Ready(Err(Error::Service(error))),
            },
            KindProjection::Unsigned { error } => match error.take() {
                Some(error) => Poll::Ready(Err(Error::Auth(error))),
                None => finished(),
            },
        }
    }
}
