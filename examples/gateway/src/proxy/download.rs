//! The API's body on its way to the caller.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tower_mac_auth::forward::Upstream;

use super::progress::Rests;
use super::{BoxError, Line};

/// An API's body, which must go on within a limit unless the caller's does, and the line of its request, which
/// ends with it.
pub(crate) struct OutboundBody<B: Body> {
    inner: B,
    limit: Duration,
    /// Ends when the limit does.
    rests: Rests,
    /// Waits until what came before it is written: an answer of which nothing comes looks like a request that
    /// nobody had, and some callers then send it once more.
    broken: Option<BoxError>,
    ended: bool,
    target: Upstream,
    line: Line,
}

impl<B: Body> OutboundBody<B> {
    /// The body of a response; `ended` if it is one that has none, whatever the API sends.
    pub(super) fn new(
        inner: B,
        ended: bool,
        (target, limit): (Upstream, Duration),
        line: Line,
    ) -> Self {
        line.flow.opened();
        Self {
            inner,
            target,
            limit,
            rests: Rests::default(),
            broken: None,
            ended,
            line,
        }
    }

    fn poll_rests(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (progress, limit) = (&self.line.progress, self.limit);
        self.rests.poll(progress, limit, |_| false, cx)
    }
}

impl<B: Body> fmt::Debug for OutboundBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundBody").finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for OutboundBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let body = self.get_mut();
        body.line.flow.moved();
        if let Some(error) = body.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let mut frame = match Pin::new(&mut body.inner).poll_frame(cx) {
            Poll::Ready(frame) => frame.map(|frame| frame.map_err(Into::into)),
            Poll::Pending if body.poll_rests(cx).is_pending() => {
                body.line.flow.waits(true);
                return Poll::Pending;
            }
            Poll::Pending => Some(Err(Stalled(body.limit).into())),
        };
        body.line.flow.waits(false);
        match &mut frame {
            None => body.ended = true,
            Some(Ok(frame)) => {
                body.line.progress.moved(1);
                if let Some(trailers) = frame.trailers_mut() {
                    body.target.trailers(trailers);
                    // Nothing comes after them, and nobody asks whether it does.
                    body.ended = true;
                }
            }
            Some(Err(error)) => {
                body.ended = true;
                body.line.broke_off(error);
            }
        }
        if let Some(Err(error)) = frame {
            body.broken = Some(error);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.broken {
            Some(_) => SizeHint::new(),
            None => self.inner.size_hint(),
        }
    }
}

impl<B: Body> Drop for OutboundBody<B> {
    fn drop(&mut self) {
        self.line.flow.closed();
        if !self.ended && !is_whole(&self.inner) {
            self.line.was_left();
        }
    }
}

/// Whether nothing of it is left. Who writes it stops at its length, and then it may not have said yet that
/// it has ended: HTTP/2 says so in another frame.
fn is_whole(body: &impl Body) -> bool {
    body.is_end_stream() || body.size_hint().upper() == Some(0)
}

/// Nothing has moved.
#[derive(Debug)]
struct Stalled(Duration);

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing has moved for {} s", self.0.as_secs())
    }
}

impl Error for Stalled {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;
    use http_body_util::BodyExt as _;
    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// So many bytes are left, and it has not said that it ends.
    struct Left(u64);

    impl Body for Left {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Pending
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_rest_as_long_as_its_upload_moves() {
        const LIMIT: Duration = Duration::from_secs(8);
        let line = Line::of(&Request::new(()), Arc::new(drop), CancellationToken::new());
        let progress = line.progress.clone();
        let target = Upstream::new("http://api.example").unwrap();
        let mut body = OutboundBody::new(Left(1), false, (target, LIMIT), line);
        for _ in 0..5 {
            assert!(timeout(LIMIT * 3 / 4, body.frame()).await.is_err());
            progress.moved(1);
        }
        let frame = timeout(LIMIT * 2, body.frame()).await.unwrap();
        assert!(frame.unwrap().unwrap_err().is::<Stalled>());
    }

    #[test]
    fn a_body_is_whole_once_its_length_is_there() {
        assert!(is_whole(&Left(0)));
        assert!(!is_whole(&Left(1)));
    }
}
