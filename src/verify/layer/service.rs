use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tower_service::Service;

use super::answer::Denial;
use super::config::Config;
use super::received;
use crate::verify::{KeyLookup, NonceStore};

/// Who made a request whose MAC holds: in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Verified<C>(
    /// What the [look-up](KeyLookup) says of the access token.
    pub C,
);

/// With [`report_only`](super::VerifyMacLayer::report_only): the status that a request in whose
/// extensions this is would have been refused with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NotVerified(
    /// That status.
    pub http::StatusCode,
);

/// The service of a [`VerifyMacLayer`](super::VerifyMacLayer).
pub struct VerifyMac<S, L, N> {
    inner: S,
    config: Arc<Config<L, N>>,
}

impl<S, L, N> VerifyMac<S, L, N> {
    pub(super) fn new(inner: S, config: Arc<Config<L, N>>) -> Self {
        Self { inner, config }
    }
}

impl<S: Clone, L, N> Clone for VerifyMac<S, L, N> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.config))
    }
}

impl<S: fmt::Debug, L, N> fmt::Debug for VerifyMac<S, L, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyMac")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, B, R, L, N> Service<Request<B>> for VerifyMac<S, L, N>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + From<Bytes> + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    R: From<Bytes>,
    L: KeyLookup,
    N: NonceStore,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let clone = self.inner.clone();
        // The one that is ready goes along.
        let mut inner = mem::replace(&mut self.inner, clone);
        let config = Arc::clone(&self.config);
        Box::pin(async move {
            match config.verify(request).await {
                Ok(request) => inner.call(request).await,
                Err(denial) => Ok(denial.answer(config.verifier.is_xiaomi(), config.clock.now())),
            }
        })
    }
}

impl<L: KeyLookup, N: NonceStore> Config<L, N> {
    async fn verify<B>(&self, request: Request<B>) -> Result<Request<B>, Denial>
    where
        B: Body + From<Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut head, body) = request.into_parts();
        // Nobody else may say who calls.
        head.extensions.remove::<Verified<L::Caller>>();
        let authorization = received::authorization(&head);
        let is_signed = authorization
            .as_ref()
            .is_ok_and(|it| self.verifier.needs_body(it, &head));
        // What cannot be given back must not be begun, if the request is to go on in any case.
        let cap = u64::try_from(self.body_cap).unwrap_or(u64::MAX);
        let is_short = body.size_hint().upper().is_some_and(|most| most <= cap);
        let (body, verified) = match authorization {
            Ok(_) if is_signed && self.report_only && !is_short => (body, Err(Denial::TooLong)),
            Ok(authorization) if is_signed => {
                let read = self.read(body).await?;
                let verified = self.check(&head, authorization, Some(&read)).await;
                (B::from(read), verified)
            }
            Ok(authorization) => (body, self.check(&head, authorization, None).await),
            Err(denial) => (body, Err(denial)),
        };
        match verified {
            Ok(caller) => {
                head.extensions.insert(Verified(caller));
            }
            Err(denial) if self.report_only => {
                let status = denial.status();
                tracing::warn!(%denial, %status, "a request would have been refused");
                head.extensions.insert(NotVerified(status));
            }
            Err(denial) => {
                tracing::debug!(%denial, "a request is refused");
                return Err(denial);
            }
        }
        Ok(Request::from_parts(head, body))
    }

    async fn read<B>(&self, body: B) -> Result<Bytes, Denial>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match Limited::new(body, self.body_cap).collect().await {
            Ok(read) => Ok(read.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Denial::TooLong),
            Err(_) => Err(Denial::Broken),
        }
    }
}
