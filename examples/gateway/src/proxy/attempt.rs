//! One attempt at the API. It stands below the layer, so that a request which waits for its credential is
//! not held against the API.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use hyper_util::client::legacy::connect::capture_connection;
use tower_service::Service;

use super::idle::idle;
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let connection = capture_connection(&mut request);
        let progress = request.extensions().get::<Progress>();
        let progress = progress.cloned().unwrap_or_default();
        progress.attempted();
        let (answer, limit) = (self.inner.call(request), self.limit);
        Box::pin(async move {
            let answer = moving(answer, &progress, limit).await;
            if answer.is_err()
                && let Some(connected) = connection.connection_metadata().as_ref()
            {
                // By HTTP/2 all others would be sent on it, too, and it may be dead.
                connected.poison();
            }
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
    let mut seen = progress.bytes();
    let moves = || {
        let before = std::mem::replace(&mut seen, progress.bytes());
        seen != before
    };
    tokio::select! {
        biased;
        answer = answer => Ok(answer),
        () = idle(limit, moves) => Err(if progress.is_wanted() {
            Refusal::no_body(limit)
        } else {
            Refusal::no_answer(limit)
        }),
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
