//! What the layer keeps of a request's body, to send it a second time.

use http_body::Body;

use super::body::RequestBody;
use super::shared_buffer::SharedBuffer;

/// What the layer keeps of a request's body, to send it a second time.
///
/// Dropping it ends the buffering: from then on chunks only pass through.
pub(crate) struct ResendHandle<B> {
    /// `None`: the body is empty, so there is nothing to share.
    buffer: Option<SharedBuffer<B>>,
}

impl<B: Body> RequestBody<B> {
    /// A body that is kept while it is sent, as long as it holds at most `cap` bytes, and the
    /// handle to send it again. No handle if it is known to hold more, or the cap is zero.
    #[inline]
    pub(crate) fn resendable(body: B, cap: usize) -> (Self, Option<ResendHandle<B>>) {
        let fits = body.is_end_stream() || body.size_hint().lower() <= cap as u64;
        if cap == 0 || !fits {
            return (Self::once(body), None);
        }
        if body.is_end_stream() {
            return (Self::empty(), Some(ResendHandle { buffer: None }));
        }
        let buffer = SharedBuffer::new(body, cap);
        let body = Self::shared(buffer.clone(), 0);
        let buffer = Some(buffer);
        (body, Some(ResendHandle { buffer }))
    }
}

impl<B> ResendHandle<B> {
    /// Whether [`take_over`](Self::take_over) would succeed now. An upload that is still under
    /// way may yet outgrow the cap.
    pub(crate) fn is_resendable(&self) -> bool {
        self.buffer.as_ref().is_none_or(SharedBuffer::is_resendable)
    }

    /// The same body from its first byte, for the next attempt; `None` if it outgrew the cap,
    /// or its source failed.
    ///
    /// The attempt before ends with an error of kind
    /// [`Superseded`](super::RequestBodyErrorKind::Superseded), and its task is woken to see it.
    /// So take over only when that attempt's answer is read as far as it will be: over HTTP/1
    /// the error costs the connection. Taking over before a long wait keeps the old attempt
    /// from reading on past the cap meanwhile.
    pub(crate) fn take_over(&self) -> Option<RequestBody<B>> {
        let Some(shared) = &self.buffer else {
            return Some(RequestBody::empty());
        };
        let (epoch, waker) = shared.take_over()?;
        // A waker is code we do not know: not under the lock.
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(RequestBody::shared(shared.clone(), epoch))
    }
}

impl<B> Drop for ResendHandle<B> {
    fn drop(&mut self) {
        if let Some(buffer) = &self.buffer {
            buffer.stop_buffering();
        }
    }
}
