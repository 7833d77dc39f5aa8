//! A caller's body on its way to the API.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower_mac_auth::forward::Upstream;

use super::cuttable::Cut;
use super::progress::{Progress, Rests};
use super::{BoxError, Refusal, Tenant};

/// What makes trailers fit to be sent on.
#[derive(Debug)]
pub(crate) struct Trailers {
    pub(super) target: Upstream,
    pub(super) tenant: Tenant,
}

impl Trailers {
    fn fit(&self, trailers: &mut HeaderMap) {
        self.target.trailers(trailers);
        self.tenant.leave_out(trailers);
    }
}

/// A caller's body: counted, held to limits, and with errors that say whose fault it is.
pub(crate) struct InboundBody<B = Incoming> {
    inner: Caller<B>,
    left: Option<u64>,
    limit: Duration,
    /// Ends when the limit does. Whoever waits for an answer has the same limit.
    rests: Rests,
    progress: Progress,
    trailers: Arc<Trailers>,
}

impl<B> InboundBody<B> {
    pub(super) fn new(
        inner: B,
        (most, limit): (Option<u64>, Duration),
        progress: Progress,
        trailers: Arc<Trailers>,
    ) -> Self {
        Self {
            inner: Caller(Arc::new(Mutex::new(Some(inner)))),
            left: most,
            limit,
            rests: Rests::default(),
            progress,
            trailers,
        }
    }

    /// What the body is read from.
    pub(super) fn caller(&self) -> Caller<B> {
        Caller(Arc::clone(&self.inner.0))
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> InboundBody<B> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = match &mut *self.inner.lock() {
            Some(inner) => Pin::new(inner).poll_frame(cx),
            None => return Poll::Ready(Some(Err(BodyError::Stalled(self.limit)))),
        };
        self.progress.wants(polled.is_pending());
        let frame = match polled {
            Poll::Pending => {
                let (progress, limit) = (&self.progress, self.limit);
                ready!(
                    self.rests
                        .poll(progress, limit, Progress::is_in_attempt, cx)
                );
                return Poll::Ready(Some(Err(BodyError::Stalled(self.limit))));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(frame)) => frame.map_err(|error| BodyError::Broken(error.into()))?,
        };
        let frame = match frame.into_data() {
            Ok(data) => {
                let length = data.remaining() as u64;
                if let Some(left) = &mut self.left {
                    let Some(rest) = left.checked_sub(length) else {
                        return Poll::Ready(Some(Err(BodyError::TooLarge)));
                    };
                    *left = rest;
                }
                self.progress.moved(length);
                Frame::data(data)
            }
            Err(frame) => match frame.into_trailers() {
                Ok(mut trailers) => {
                    self.trailers.fit(&mut trailers);
                    Frame::trailers(trailers)
                }
                Err(frame) => frame,
            },
        };
        Poll::Ready(Some(Ok(frame)))
    }
}

impl<B> fmt::Debug for InboundBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundBody").finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for InboundBody<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = self.get_mut();
        let frame = ready!(body.poll_next(cx));
        if let Some(Err(error)) = &frame {
            body.progress.upload_failed(error.refusal());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let inner = self.inner.lock();
        inner.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.inner.lock();
        inner.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl<B> Drop for InboundBody<B> {
    fn drop(&mut self) {
        self.progress.upload_ends();
    }
}

/// Where a body comes from. While the API does not read, nobody asks the body for more, and it has to be
/// ended from outside.
pub(super) struct Caller<B>(Arc<Mutex<Option<B>>>);

impl<B> Caller<B> {
    fn lock(&self) -> MutexGuard<'_, Option<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the caller go, and the API, once nothing has moved for so long and the upload has not ended.
    pub(super) async fn let_go(self, progress: Progress, limit: Duration, api: Option<Cut>) {
        tokio::select! {
            () = progress.uploaded() => {}
            () = progress.clone().rests(limit, |_| false) => {
                drop(self.lock().take());
                if let Some(api) = api {
                    api.cut();
                }
            }
        }
    }
}

/// Why a body does not go on.
#[derive(Debug)]
pub(crate) enum BodyError {
    TooLarge,
    Broken(BoxError),
    /// No more of it has come for so long.
    Stalled(Duration),
}

impl BodyError {
    pub(super) fn refusal(&self) -> Refusal {
        match self {
            Self::TooLarge => Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                self.to_string(),
            ),
            Self::Broken(_) => {
                Refusal::new(StatusCode::BAD_REQUEST, "body_broken", self.to_string())
            }
            Self::Stalled(limit) => Refusal::no_body(*limit),
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the body is longer than the gateway takes"),
            Self::Broken(_) => f.write_str("the body broke off, or is not as its headers say"),
            Self::Stalled(limit) => {
                write!(f, "no more of the body has come for {} s", limit.as_secs())
            }
        }
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::TooLarge | Self::Stalled(_) => None,
            Self::Broken(error) => Some(&**error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt as _, stream};
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(8);

    type Nothing = StreamBody<stream::Pending<Result<Frame<Bytes>, Infallible>>>;

    /// A body of which nothing comes.
    fn nothing(progress: &Progress) -> InboundBody<Nothing> {
        let trailers = Trailers {
            target: Upstream::new("http://api.example").unwrap(),
            tenant: Tenant::Header(http::header::FROM),
        };
        let nothing = StreamBody::new(stream::pending());
        InboundBody::new(nothing, (None, LIMIT), progress.clone(), trailers.into())
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_may_rest_before_its_answer_and_as_long_as_that_goes_on() {
        let progress = Progress::default();
        let mut body = nothing(&progress);
        progress.attempt_begins();
        assert!(timeout(LIMIT * 3, body.frame()).await.is_err());
        progress.attempt_ends();
        for _ in 0..5 {
            progress.moved(1);
            assert!(timeout(LIMIT * 3 / 4, body.frame()).await.is_err());
        }
        let stalled = timeout(LIMIT, body.frame()).await.unwrap();
        assert!(matches!(stalled, Some(Err(BodyError::Stalled(LIMIT)))));
        // Whoever asks again, to send it once more, waits again.
        assert!(timeout(LIMIT * 3 / 4, body.frame()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_is_let_go_whose_upload_nobody_reads() {
        let progress = Progress::default();
        let mut body = nothing(&progress);
        let mut let_go = Box::pin(body.caller().let_go(progress.clone(), LIMIT, None));
        for _ in 0..5 {
            progress.moved(1);
            assert!(timeout(LIMIT * 3 / 4, &mut let_go).await.is_err());
        }
        timeout(LIMIT, let_go).await.unwrap();
        // Should the API go on to read after all.
        let stalled = body.frame().now_or_never().unwrap();
        assert!(matches!(stalled, Some(Err(BodyError::Stalled(LIMIT)))));

        let progress = Progress::default();
        let body = nothing(&progress);
        let let_go = body.caller().let_go(progress.clone(), LIMIT, None);
        drop(body);
        assert!(let_go.now_or_never().is_some());
    }
}
