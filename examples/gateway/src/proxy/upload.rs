//! A caller's body on its way to the API.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower_mac_auth::forward::Upstream;

use super::{BoxError, Tenant};

/// How far a request has gone: who waits for the answer sees that something moves, and if not, who is late.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Moved>);

#[derive(Debug, Default)]
struct Moved {
    bytes: AtomicU64,
    /// More of the body is wanted than has come.
    wanted: AtomicBool,
    attempts: AtomicU8,
}

impl Progress {
    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// How often the request was sent.
    pub(super) fn attempts(&self) -> u8 {
        self.0.attempts.load(Ordering::Relaxed)
    }

    pub(super) fn attempted(&self) {
        self.0.attempts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.0.wanted.load(Ordering::Relaxed)
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

/// A caller's body: counted, held to a limit, and with errors that say whose fault it is.
#[derive(Debug)]
pub(crate) struct InboundBody<B = Incoming> {
    inner: B,
    left: Option<u64>,
    progress: Progress,
    trailers: Arc<Trailers>,
}

impl<B> InboundBody<B> {
    pub(super) fn new(
        inner: B,
        most: Option<u64>,
        progress: Progress,
        trailers: Arc<Trailers>,
    ) -> Self {
        Self {
            inner,
            left: most,
            progress,
            trailers,
        }
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
        let polled = Pin::new(&mut body.inner).poll_frame(cx);
        let moved = &body.progress.0;
        moved.wanted.store(polled.is_pending(), Ordering::Relaxed);
        let frame = match polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(frame)) => frame.map_err(|error| BodyError::Broken(error.into()))?,
        };
        let frame = match frame.into_data() {
            Ok(data) => {
                let length = data.remaining() as u64;
                if let Some(left) = &mut body.left {
                    let Some(rest) = left.checked_sub(length) else {
                        return Poll::Ready(Some(Err(BodyError::TooLarge)));
                    };
                    *left = rest;
                }
                moved.bytes.fetch_add(length, Ordering::Relaxed);
                Frame::data(data)
            }
            Err(frame) => match frame.into_trailers() {
                Ok(mut trailers) => {
                    body.trailers.fit(&mut trailers);
                    Frame::trailers(trailers)
                }
                Err(frame) => frame,
            },
        };
        Poll::Ready(Some(Ok(frame)))
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
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the body is longer than the gateway takes",
            Self::Broken(_) => "the body broke off, or is not as its headers say",
        })
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::TooLarge => None,
            Self::Broken(error) => Some(&**error),
        }
    }
}
