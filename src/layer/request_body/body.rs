//! The body that the inner service receives.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, SizeHint};
use pin_project_lite::pin_project;
use sync_wrapper::SyncWrapper;

use super::buffer::{PolledFrame, to_bytes};
use super::error::RequestBodyError;
use super::shared_buffer::AttemptBody;
use crate::body::size_hint;

pin_project! {
    /// The body that the inner service receives.
    ///
    /// It carries the caller's body `B` unchanged: the same chunks, the same trailers, the same
    /// [`size_hint`](Body::size_hint), so a `Content-Length` stays one. If the request can be sent
    /// again, what has been sent is also kept, up to a cap; the next attempt then takes the body
    /// over, even in the middle of an upload: it sends the kept part and goes on from there,
    /// while the attempt before ends with
    /// [`RequestBodyErrorKind::Superseded`](super::RequestBodyErrorKind::Superseded).
    ///
    /// An empty body and one that is not to be sent again cost no allocation. The type is `Sync`
    /// whenever `B` is `Send`, and `Unpin` whenever `B` is.
    pub struct RequestBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B> {
        Empty,
        Passthrough {
            // Makes a body that is not `Sync` so, for the price that it can only be asked under
            // `&mut`: hence what it said last is kept beside it.
            #[pin]
            body: SyncWrapper<B>,
            hint: SizeHint,
            ended: bool,
        },
        Shared {
            attempt: AttemptBody<B>,
        },
    }
}

impl<B> RequestBody<B> {
    /// A body with nothing in it.
    pub(crate) const fn empty() -> Self {
        Self { kind: Kind::Empty }
    }

    pub(super) const fn shared(attempt: AttemptBody<B>) -> Self {
        Self {
            kind: Kind::Shared { attempt },
        }
    }
}

impl<B: Body> RequestBody<B> {
    /// A body that is sent once.
    #[inline]
    pub(crate) fn passthrough(body: B) -> Self {
        if body.is_end_stream() {
            return Self::empty();
        }
        Self {
            kind: Kind::Passthrough {
                hint: body.size_hint(),
                body: SyncWrapper::new(body),
                ended: false,
            },
        }
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PolledFrame> {
        match self.project().kind.project() {
            KindProjection::Empty => Poll::Ready(None),
            KindProjection::Passthrough { body, hint, ended } => {
                let mut body = body.get_pin_mut();
                let polled = body.as_mut().poll_frame(cx);
                *hint = body.size_hint();
                *ended = matches!(polled, Poll::Ready(None)) || body.is_end_stream();
                polled.map(|frame| {
                    frame.map(|frame| frame.map(to_bytes).map_err(RequestBodyError::body))
                })
            }
            KindProjection::Shared { attempt } => attempt.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Passthrough { ended, .. } => *ended,
            Kind::Shared { attempt } => attempt.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Passthrough { hint, .. } => size_hint::after(0, hint),
            Kind::Shared { attempt } => attempt.size_hint(),
        }
    }
}

impl<B> fmt::Debug for RequestBody<B> {
    /// Says how the body is carried, never what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestBody")
            .field(&match self.kind {
                Kind::Empty => format_args!("empty"),
                Kind::Passthrough { .. } => format_args!("once"),
                Kind::Shared { .. } => format_args!("resendable"),
            })
            .finish()
    }
}
