//! One attempt at the API. It stands below the layer, so that a request which waits for its credential is
//! not held against the API.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use tower_service::Service;

use super::{Failure, Progress, Refusal};

/// A client, each of whose requests must move.
#[derive(Clone, Debug)]
pub(crate) struct Attempts<S> {
    inner: S,
    limit: Duration,
}

impl<S> Attempts<S> {
    pub(crate) const fn new(inner: S, limit: Duration) -> Self {
        Self { inner, limit }
    }
}

impl<S, B> Service<Request<B>> for Attempts<S>
where
    S: Service<Request<B>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = AttemptError<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(AttemptError::Failed)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let progress = request.extensions().get::<Progress>();
        let progress = progress.cloned().unwrap_or_default();
        progress.attempted();
        let (answer, limit) = (self.inner.call(request), self.limit);
        Box::pin(async move {
            let answer = moving(answer, &progress, limit).await;
            answer
                .map_err(AttemptError::Late)?
                .map_err(AttemptError::Failed)
        })
    }
}

/// The answer, unless for so long neither it comes nor anything of the body goes.
async fn moving<F: Future>(
    answer: F,
    progress: &Progress,
    limit: Duration,
) -> Result<F::Output, Refusal> {
    let mut answer = std::pin::pin!(answer);
    let mut seen = progress.bytes();
    loop {
        match tokio::time::timeout(limit, answer.as_mut()).await {
            Ok(answer) => return Ok(answer),
            Err(_) if progress.bytes() != seen => seen = progress.bytes(),
            Err(_) if progress.is_wanted() => return Err(Refusal::no_body(limit)),
            Err(_) => return Err(Refusal::no_answer(limit)),
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum AttemptError<E> {
    Failed(E),
    Late(Refusal),
}

impl<E: Failure> Failure for AttemptError<E> {
    fn refusal(&self) -> Refusal {
        match self {
            Self::Failed(error) => error.refusal(),
            Self::Late(refusal) => refusal.clone(),
        }
    }
}
