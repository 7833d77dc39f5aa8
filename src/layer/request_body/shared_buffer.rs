//! A buffer that several attempts share, and the body of each.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use http_body::{Body, SizeHint};

use super::buffer::{Buffer, PolledFrame};

/// The one buffer that all attempts of a request share.
///
/// The mutex is held while the source is polled and never across an await. It is poisoned when
/// the source panics; the buffer is sound even then (see [`Buffer::poll_source`]), so that is
/// passed over.
pub(super) struct SharedBuffer<B>(Arc<Mutex<Buffer<B>>>);

impl<B> SharedBuffer<B> {
    pub(super) fn new(source: B, cap: usize) -> Self {
        Self(Arc::new(Mutex::new(Buffer::new(source, cap))))
    }

    /// The body of the first attempt.
    pub(super) fn first(&self) -> AttemptBody<B> {
        AttemptBody {
            buffer: Some(Self(Arc::clone(&self.0))),
            epoch: 0,
        }
    }

    pub(super) fn is_resendable(&self) -> bool {
        self.lock().is_resendable()
    }

    /// The same body from its first byte, and the task of the attempt before; `None` if it cannot
    /// be had any more.
    pub(super) fn take_over(&self) -> Option<(AttemptBody<B>, Option<Waker>)> {
        let mut buffer = self.lock();
        if !buffer.is_resendable() {
            return None;
        }
        let (epoch, waker) = buffer.rewind();
        let buffer = Some(Self(Arc::clone(&self.0)));
        Some((AttemptBody { buffer, epoch }, waker))
    }

    /// Nothing more is kept.
    pub(super) fn stop_buffering(&self) {
        self.lock().stop_buffering();
    }

    fn lock(&self) -> MutexGuard<'_, Buffer<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of one attempt.
pub(super) struct AttemptBody<B> {
    /// `None` after an error: nothing follows one.
    buffer: Option<SharedBuffer<B>>,
    epoch: u32,
}

impl<B> AttemptBody<B>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<PolledFrame> {
        let Some(buffer) = &self.buffer else {
            return Poll::Ready(None);
        };
        let polled = buffer.lock().poll_frame(self.epoch, cx);
        if let Poll::Ready(Some(Err(_))) = polled {
            self.buffer = None;
        }
        polled
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.buffer
            .as_ref()
            .is_none_or(|buffer| buffer.lock().is_end_stream(self.epoch))
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match &self.buffer {
            Some(buffer) => buffer.lock().size_hint(self.epoch),
            None => SizeHint::with_exact(0),
        }
    }
}
