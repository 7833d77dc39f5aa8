//! Who holds a recording: the attempts that send it, and the layer that may start another.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http_body::{Body, SizeHint};

use super::tape::Tape;
use super::{PolledFrame, RequestBody};

/// The one recording all attempts of a request share.
///
/// The mutex is held while the source is polled and never across an await. It is poisoned when
/// the source panics; the tape is sound even then (see [`Tape::poll_source`]), so that is
/// passed over.
pub(super) struct SharedTape<B>(Arc<Mutex<Tape<B>>>);

impl<B> SharedTape<B> {
    pub(super) fn new(source: B, cap: usize) -> Self {
        Self(Arc::new(Mutex::new(Tape::new(source, cap))))
    }

    /// The body of the first attempt.
    pub(super) fn first(&self) -> Attempt<B> {
        Attempt {
            tape: Some(Self(Arc::clone(&self.0))),
            epoch: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tape<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the layer keeps of a request's body, to send it a second time.
///
/// Dropping it ends the recording: from then on chunks only pass through.
pub(crate) struct ReplayHandle<B> {
    /// `None`: the body is empty, so there is nothing to share.
    tape: Option<SharedTape<B>>,
}

impl<B> ReplayHandle<B> {
    pub(super) const fn empty() -> Self {
        Self { tape: None }
    }

    pub(super) const fn shared(tape: SharedTape<B>) -> Self {
        Self { tape: Some(tape) }
    }

    /// Whether [`take_over`](Self::take_over) would succeed now. An upload that is still under
    /// way may yet outgrow the cap.
    pub(crate) fn is_replayable(&self) -> bool {
        self.tape
            .as_ref()
            .is_none_or(|tape| tape.lock().is_replayable())
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
        let Some(shared) = &self.tape else {
            return Some(RequestBody::empty());
        };
        let mut tape = shared.lock();
        if !tape.is_replayable() {
            return None;
        }
        let (epoch, waker) = tape.rewind();
        // A waker is code we do not know: not under the lock.
        drop(tape);
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(RequestBody::shared(Attempt {
            tape: Some(SharedTape(Arc::clone(&shared.0))),
            epoch,
        }))
    }
}

impl<B> Drop for ReplayHandle<B> {
    fn drop(&mut self) {
        if let Some(tape) = &self.tape {
            tape.lock().stop_recording();
        }
    }
}

/// The body of one attempt.
pub(super) struct Attempt<B> {
    /// `None` after an error: nothing follows one.
    tape: Option<SharedTape<B>>,
    epoch: u32,
}

impl<B> Attempt<B>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<PolledFrame> {
        let Some(tape) = &self.tape else {
            return Poll::Ready(None);
        };
        let polled = tape.lock().poll_frame(self.epoch, cx);
        if let Poll::Ready(Some(Err(_))) = polled {
            self.tape = None;
        }
        polled
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.tape
            .as_ref()
            .is_none_or(|tape| tape.lock().is_end_stream(self.epoch))
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match &self.tape {
            Some(tape) => tape.lock().size_hint(self.epoch),
            None => SizeHint::with_exact(0),
        }
    }
}
