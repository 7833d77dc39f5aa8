//! What was sent of a body, kept so that it can be sent again.

use std::error::Error;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::error::RequestBodyError;
use crate::body::size_hint;

pub(super) type PolledFrame = Option<Result<Frame<Bytes>, RequestBodyError>>;

/// A body of more frames than this is not resendable, however few bytes they hold: each one
/// kept costs a handle of 32 bytes.
const MAX_FRAMES: usize = 1024;

/// What was sent of a body, and the rest of it. One attempt at a time reads; which one, the
/// epoch says.
pub(super) struct Buffer<B> {
    source: Source<B>,
    frames: Vec<BufferedFrame>,
    /// Where in `frames` the current attempt stands. There is one cursor because there is one
    /// current attempt.
    next: usize,
    /// Bytes of data in `frames[next..]`.
    ahead: u64,
    /// Bytes in all of `frames`, trailers included: what `cap` bounds.
    held: usize,
    cap: usize,
    buffering: bool,
    /// The attempt that may read. It goes up by one when the next attempt takes over.
    epoch: u32,
    /// The task of the current attempt, if the source left it waiting.
    waker: Option<Waker>,
}

enum Source<B> {
    Live(Pin<Box<B>>),
    Ended,
    /// It gave an error, or it panicked: nobody knows how it goes on.
    Lost,
}

enum BufferedFrame {
    Data(Bytes),
    /// Boxed, or every chunk would take as much room as a header map.
    Trailers(Box<HeaderMap>),
}

impl BufferedFrame {
    fn data_len(&self) -> u64 {
        match self {
            Self::Data(data) => data.len() as u64,
            Self::Trailers(_) => 0,
        }
    }

    fn to_frame(&self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data.clone()),
            Self::Trailers(trailers) => Frame::trailers(HeaderMap::clone(trailers)),
        }
    }
}

impl<B> Buffer<B> {
    pub(super) fn new(source: B, cap: usize) -> Self {
        Self {
            source: Source::Live(Box::pin(source)),
            frames: Vec::new(),
            next: 0,
            ahead: 0,
            held: 0,
            cap,
            buffering: true,
            epoch: 0,
            waker: None,
        }
    }

    pub(super) fn is_resendable(&self) -> bool {
        self.buffering && !matches!(self.source, Source::Lost)
    }

    /// Starts over for a new attempt: its epoch, and the task of the attempt before.
    pub(super) fn rewind(&mut self) -> (u32, Option<Waker>) {
        self.epoch = self.epoch.wrapping_add(1);
        self.next = 0;
        self.ahead = self.frames.iter().map(BufferedFrame::data_len).sum();
        (self.epoch, self.waker.take())
    }

    pub(super) fn stop_buffering(&mut self) {
        self.buffering = false;
        // The current attempt may still have to send some of them.
        if self.next == self.frames.len() {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.frames = Vec::new();
        self.next = 0;
    }
}

impl<B> Buffer<B>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    pub(super) fn poll_frame(&mut self, epoch: u32, cx: &mut Context<'_>) -> Poll<PolledFrame> {
        if epoch != self.epoch {
            return Poll::Ready(Some(Err(RequestBodyError::superseded())));
        }
        if let Some(frame) = self.frames.get(self.next) {
            self.next += 1;
            self.ahead -= frame.data_len();
            return Poll::Ready(Some(Ok(frame.to_frame())));
        }
        if !self.buffering {
            self.forget();
        }
        self.poll_source(cx)
    }

    /// Reads on from the source. Called only when all that is kept has been sent.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<PolledFrame> {
        // Should the source panic, it stays `Lost`.
        let mut source = match mem::replace(&mut self.source, Source::Lost) {
            Source::Live(source) => source,
            Source::Ended => {
                self.source = Source::Ended;
                return Poll::Ready(None);
            }
            Source::Lost => return Poll::Ready(Some(Err(RequestBodyError::panicked()))),
        };
        match source.as_mut().poll_frame(cx) {
            Poll::Pending => {
                self.source = Source::Live(source);
                match &mut self.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => self.waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.source = Source::Ended;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.stop_buffering();
                Poll::Ready(Some(Err(RequestBodyError::body(error))))
            }
            Poll::Ready(Some(Ok(frame))) => {
                let frame = to_bytes(frame);
                if self.buffering {
                    self.keep(&frame);
                }
                self.source = Source::Live(source);
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        let (kept, len) = if let Some(data) = frame.data_ref() {
            (BufferedFrame::Data(data.clone()), data.len())
        } else if let Some(trailers) = frame.trailers_ref() {
            let len = trailers
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len())
                .sum();
            (BufferedFrame::Trailers(Box::new(trailers.clone())), len)
        } else {
            // A kind of frame that came after this was written cannot be copied.
            return self.stop_buffering();
        };
        if len > self.cap - self.held || self.frames.len() == MAX_FRAMES {
            return self.stop_buffering();
        }
        self.held += len;
        self.frames.push(kept);
        self.next = self.frames.len();
    }

    pub(super) fn is_end_stream(&self, epoch: u32) -> bool {
        // A superseded body must not look complete: its error is still to come.
        epoch == self.epoch
            && self.next == self.frames.len()
            && match &self.source {
                Source::Live(source) => source.is_end_stream(),
                Source::Ended => true,
                Source::Lost => false,
            }
    }

    pub(super) fn size_hint(&self, epoch: u32) -> SizeHint {
        if epoch != self.epoch {
            return SizeHint::new();
        }
        match &self.source {
            Source::Live(source) => size_hint::after(self.ahead, &source.size_hint()),
            Source::Ended => SizeHint::with_exact(self.ahead),
            Source::Lost => SizeHint::new(),
        }
    }
}

/// Without a copy when the data are `Bytes`.
pub(super) fn to_bytes<D: Buf>(frame: Frame<D>) -> Frame<Bytes> {
    frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))
}
