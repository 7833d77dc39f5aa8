use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// How many bytes of a body have gone on: who waits for the answer sees that something moves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<AtomicU64>);

impl Progress {
    pub(super) fn seen(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A caller's body: counted, held to a limit, and with errors that say whose fault it is.
#[derive(Debug)]
pub(crate) struct InboundBody {
    inner: Incoming,
    left: Option<u64>,
    progress: Progress,
}

impl InboundBody {
    pub(super) fn new(inner: Incoming, most: Option<u64>, progress: Progress) -> Self {
        Self {
            inner,
            left: most,
            progress,
        }
    }
}

impl Body for InboundBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = self.get_mut();
        let Some(frame) = ready!(Pin::new(&mut body.inner).poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(BodyError::Broken)?;
        if let Some(data) = frame.data_ref() {
            let length = data.remaining() as u64;
            if let Some(left) = &mut body.left {
                let Some(rest) = left.checked_sub(length) else {
                    return Poll::Ready(Some(Err(BodyError::TooLarge)));
                };
                *left = rest;
            }
            body.progress.0.fetch_add(length, Ordering::Relaxed);
        }
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
    Broken(hyper::Error),
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
            Self::Broken(error) => Some(error),
        }
    }
}
