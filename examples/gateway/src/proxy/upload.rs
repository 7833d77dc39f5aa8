//! A caller's body on its way to the API.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower_mac_auth::forward::Upstream;

use super::idle::idle;
use super::{BoxError, Refusal, Tenant};

/// How far a request has gone: who waits for the answer sees that something moves, and if not, who is late.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Moved>);

#[derive(Debug, Default)]
struct Moved {
    /// Either way: bytes of the body, and parts of the answer.
    count: AtomicU64,
    /// More of the body is wanted than has come.
    wanted: AtomicBool,
    /// An attempt waits for its answer, and has a limit of its own.
    attempt: AtomicBool,
    attempts: AtomicU8,
    /// What the caller is told whose body failed. By HTTP/2 the client's error does not have it.
    failed: OnceLock<Refusal>,
}

impl Progress {
    pub(super) fn moved(&self, much: u64) {
        self.0.count.fetch_add(much, Ordering::Relaxed);
    }

    /// Ends once for so long nothing has moved, nor has `otherwise` been so.
    pub(super) async fn rests(self, limit: Duration, otherwise: impl Fn(&Self) -> bool) {
        let count = || self.0.count.load(Ordering::Relaxed);
        let mut seen = count();
        idle(limit, || {
            let before = std::mem::replace(&mut seen, count());
            seen != before || otherwise(&self)
        })
        .await;
    }

    /// How often the request was sent.
    pub(super) fn attempts(&self) -> u8 {
        self.0.attempts.load(Ordering::Relaxed)
    }

    pub(super) fn attempt_begins(&self) {
        self.0.attempts.fetch_add(1, Ordering::Relaxed);
        self.0.attempt.store(true, Ordering::Relaxed);
    }

    pub(super) fn attempt_ends(&self) {
        self.0.attempt.store(false, Ordering::Relaxed);
    }

    fn is_in_attempt(&self) -> bool {
        self.0.attempt.load(Ordering::Relaxed)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.0.wanted.load(Ordering::Relaxed)
    }

    /// Why the body does not go on, if so.
    pub(super) fn failed(&self) -> Option<Refusal> {
        self.0.failed.get().cloned()
    }
}

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

/// What [`Progress::rests`] gives.
pub(super) type Rests = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// A caller's body: counted, held to limits, and with errors that say whose fault it is.
pub(crate) struct InboundBody<B = Incoming> {
    inner: B,
    left: Option<u64>,
    limit: Duration,
    /// Ends when the limit does; begun with the first wait. Whoever waits for an answer has the same limit.
    rests: Option<Rests>,
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
            inner,
            left: most,
            limit,
            rests: None,
            progress,
            trailers,
        }
    }

    fn poll_rests(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (progress, limit) = (&self.progress, self.limit);
        let begin =
            || -> Rests { Box::pin(progress.clone().rests(limit, Progress::is_in_attempt)) };
        ready!(self.rests.get_or_insert_with(begin).as_mut().poll(cx));
        self.rests = None;
        Poll::Ready(())
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> InboundBody<B> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        let wanted = &self.progress.0.wanted;
        wanted.store(polled.is_pending(), Ordering::Relaxed);
        let frame = match polled {
            Poll::Pending => {
                ready!(self.poll_rests(cx));
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
            let _ = body.progress.0.failed.set(error.refusal());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
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

    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_upload_may_rest_before_its_answer_and_as_long_as_that_goes_on() {
        const LIMIT: Duration = Duration::from_secs(8);
        let progress = Progress::default();
        let nothing = stream::pending::<Result<Frame<Bytes>, Infallible>>();
        let trailers = Trailers {
            target: Upstream::new("http://api.example").unwrap(),
            tenant: Tenant::Header(http::header::FROM),
        };
        let (nothing, limits) = (StreamBody::new(nothing), (None, LIMIT));
        let mut body = InboundBody::new(nothing, limits, progress.clone(), trailers.into());
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
}
