use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::answer::Denial;
use super::config::Config;
use super::not_verified::NotVerified;
use crate::ReadAhead;
use crate::verify::{KeyLookup, NonceStore};

/// Who made a request whose MAC holds: in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Verified<C>(
    /// What the [look-up](KeyLookup) says of the access token.
    pub C,
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
    S: Service<Request<ReadAhead<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Send> + Send + Unpin + 'static,
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
    async fn verify<B>(&self, request: Request<B>) -> Result<Request<ReadAhead<B>>, Denial>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (mut head, body) = request.into_parts();
        // Nobody else may say who calls.
        head.extensions.remove::<Verified<L::Caller>>();
        head.extensions.remove::<NotVerified>();
        let mut body = ReadAhead::new(body);
        match self.check(&head, &mut body).await {
            Ok((caller, _)) => {
                head.extensions.insert(Verified(caller));
            }
            Err(denial) if self.report_only => {
                let why = NotVerified::from(&denial);
                tracing::warn!(%denial, status = %why.status(), "a request would have been refused");
                head.extensions.insert(why);
            }
            Err(denial) => {
                tracing::debug!(%denial, "a request is refused");
                return Err(denial);
            }
        }
        Ok(Request::from_parts(head, body))
    }
}
