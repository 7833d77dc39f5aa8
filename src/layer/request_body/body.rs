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
use super::shared_buffer::SharedBuffer;
use crate::body::size_hint;

/// The body that the inner service receives.
///
/// It carries the caller's body `B` unchanged: the same chunks, the same trailers, the same
/// [`size_hint`](Body::size_hint), so a `Content-Length` stays one. If the request can be sent
/// again, what has been sent is also kept, up to a cap; the next attempt then takes the body
/// over, even in the middle of an upload: it sends the kept part and goes on from there,
/// while the attempt before ends with
/// [`RequestBodyErrorKind::Superseded`](super::RequestBodyErrorKind::Superseded).
///
/// An empty body costs no allocation. The type is small, because a client moves a request a dozen times,
/// `Sync` whenever `B` is `Send`, and always `Unpin`.
pub struct RequestBody<B>(Kind<B>);

/// Its fields stand beside the tag, so that the whole takes two words.
enum Kind<B> {
    /// From the start, or because nothing follows an error.
    Empty,
    Once(Pin<Box<Once<B>>>),
    Shared {
        buffer: SharedBuffer<B>,
        epoch: u32,
    },
}

pin_project! {
    /// A body that is sent once.
    struct Once<B> {
        // Makes a body that is not `Sync` so, for the price that it can only be asked under
        // `&mut`: hence what it said last is kept beside it.
        #[pin]
        body: SyncWrapper<B>,
        hint: SizeHint,
        ended: bool,
    }
}

impl<B> RequestBody<B> {
    /// A body with nothing in it.
    pub(crate) const fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// The body of the attempt that this epoch of the buffer is for.
    pub(super) const fn shared(buffer: SharedBuffer<B>, epoch: u32) -> Self {
        Self(Kind::Shared { buffer, epoch })
    }
}

impl<B: Body> RequestBody<B> {
    /// A body that is sent once.
    #[inline]
    pub(crate) fn once(body: B) -> Self {
        if body.is_end_stream() {
            return Self::empty();
        }
        Self(Kind::Once(Box::pin(Once {
            hint: body.size_hint(),
            body: SyncWrapper::new(body),
            ended: false,
        })))
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PolledFrame> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Once(once) => {
                let once = once.as_mut().project();
                let mut body = once.body.get_pin_mut();
                let polled = body.as_mut().poll_frame(cx);
                *once.hint = body.size_hint();
                *once.ended = matches!(polled, Poll::Ready(None)) || body.is_end_stream();
                polled.map(|frame| {
                    frame.map(|frame| frame.map(to_bytes).map_err(RequestBodyError::body))
                })
            }
            Kind::Shared { buffer, epoch } => {
                let polled = buffer.lock().poll_frame(*epoch, cx);
                if let Poll::Ready(Some(Err(_))) = polled {
                    self.0 = Kind::Empty;
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Once(once) => once.ended,
            Kind::Shared { buffer, epoch } => buffer.lock().is_end_stream(*epoch),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Once(once) => size_hint::after(0, &once.hint),
            Kind::Shared { buffer, epoch } => buffer.lock().size_hint(*epoch),
        }
    }
}

impl<B> fmt::Debug for RequestBody<B> {
    /// Says how the body is carried, never what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestBody")
            .field(&match self.0 {
                Kind::Empty => format_args!("empty"),
                Kind::Once(_) => format_args!("once"),
                Kind::Shared { .. } => format_args!("resendable"),
            })
            .finish()
    }
}
