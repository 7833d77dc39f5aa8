use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::size_hint;

pin_project! {
    /// The body of a response that may have been looked at.
    ///
    /// Frames that were read to see whether the response is a refusal come first, as they were:
    /// the same chunks, the trailers, and an error that was met, at its place. The rest follows
    /// straight from the inner service's body `B`. [`size_hint`](Body::size_hint) and
    /// [`is_end_stream`](Body::is_end_stream) are those of the whole, so an exact
    /// `Content-Length` stays exact.
    ///
    /// `Unpin` whenever `B` is.
    pub struct ResponseBody<B>
    where
        B: Body,
    {
        // Given back before the rest.
        pub(super) kept: Kept<B::Data, B::Error>,
        // The rest gave its last frame, or an error, and is not polled again.
        pub(super) ended: bool,
        #[pin]
        pub(super) rest: B,
    }
}

/// Frames read ahead. One chunk, the common case, takes no allocation.
pub(super) enum Kept<D, E> {
    Nothing,
    Chunk(D),
    Queue(VecDeque<Result<Frame<D>, E>>),
}

impl<D: Buf, E> Kept<D, E> {
    #[inline]
    pub(super) fn push(&mut self, frame: Result<Frame<D>, E>) {
        let frame = match (&mut *self, frame) {
            (Self::Nothing, Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    *self = Self::Chunk(data);
                    return;
                }
                Err(frame) => Ok(frame),
            },
            (Self::Queue(queue), frame) => return queue.push_back(frame),
            (_, frame) => frame,
        };
        let mut queue = VecDeque::new();
        if let Self::Chunk(data) = std::mem::replace(self, Self::Nothing) {
            queue.push_back(Ok(Frame::data(data)));
        }
        queue.push_back(frame);
        *self = Self::Queue(queue);
    }

    fn pop(&mut self) -> Option<Result<Frame<D>, E>> {
        match self {
            Self::Nothing => None,
            Self::Chunk(_) => match std::mem::replace(self, Self::Nothing) {
                Self::Chunk(data) => Some(Ok(Frame::data(data))),
                Self::Nothing | Self::Queue(_) => None,
            },
            Self::Queue(queue) => {
                let frame = queue.pop_front();
                if queue.is_empty() {
                    *self = Self::Nothing;
                }
                frame
            }
        }
    }

    /// The chunks, in order.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &D> {
        let (chunk, queue) = match self {
            Self::Nothing => (None, None),
            Self::Chunk(data) => (Some(data), None),
            Self::Queue(queue) => (None, Some(queue)),
        };
        chunk.into_iter().chain(
            queue
                .into_iter()
                .flatten()
                .filter_map(|frame| frame.as_ref().ok()?.data_ref()),
        )
    }

    fn len(&self) -> u64 {
        self.chunks().map(|data| data.remaining() as u64).sum()
    }
}

impl<B: Body> ResponseBody<B> {
    /// Not looked at yet.
    #[inline]
    pub(super) const fn new(rest: B) -> Self {
        Self {
            kept: Kept::Nothing,
            ended: false,
            rest,
        }
    }

    /// Whether the inner body was read to its end, so that the connection is done with it.
    pub(super) fn is_read(&self) -> bool {
        self.ended || self.rest.is_end_stream()
    }
}

impl<B: Body + Default> Default for ResponseBody<B> {
    /// The default body, as what makes responses of its own wants it: tower-http's timeout.
    fn default() -> Self {
        Self::new(B::default())
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        if let Some(frame) = this.kept.pop() {
            return Poll::Ready(Some(frame));
        }
        if *this.ended {
            return Poll::Ready(None);
        }
        let polled = this.rest.poll_frame(cx);
        *this.ended = matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kept, Kept::Nothing) && (self.ended || self.rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let rest = if self.ended {
            SizeHint::with_exact(0)
        } else {
            self.rest.size_hint()
        };
        match &self.kept {
            Kept::Nothing => rest,
            kept => size_hint::after(kept.len(), &rest),
        }
    }
}

impl<B: Body> fmt::Debug for ResponseBody<B> {
    /// Says how much was read ahead, never what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("bytes_read_ahead", &self.kept.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;

    use super::super::scripted::{Scripted, data, drain, expected, poll, trailers};
    use super::*;

    fn with_kept<B: Body>(kept: Kept<B::Data, B::Error>, ended: bool, rest: B) -> ResponseBody<B> {
        ResponseBody { kept, ended, rest }
    }

    #[test]
    fn an_untouched_body_is_the_body_itself_and_costs_nothing() {
        let counted = allocation_counter::measure(|| {
            let mut body = with_kept(Kept::Nothing, false, Full::new(Bytes::from_static(b"abc")));
            assert_eq!(body.size_hint().exact(), Some(3));
            assert!(!body.is_end_stream());
            assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(_)))));
            assert!(body.is_end_stream());
        });
        assert_eq!(counted.count_total, 0);
    }

    #[test]
    fn what_was_read_comes_first_then_the_rest() {
        let steps = [data("ab"), data(""), data("c"), trailers("end")];
        for read in 0..=steps.len() {
            let mut rest = Scripted::new(steps.clone()).length_known(true);
            let mut kept = Kept::Nothing;
            for _ in 0..read {
                let Poll::Ready(Some(frame)) = poll(&mut rest) else {
                    panic!("no frame");
                };
                kept.push(frame);
            }
            let mut body = with_kept(kept, false, rest);
            assert_eq!(body.size_hint().exact(), Some(3), "{read} read");
            assert_eq!(drain(&mut body), (expected(&steps), true), "{read} read");
        }
    }

    #[test]
    fn an_error_met_while_reading_comes_at_its_place() {
        let mut kept = Kept::Nothing;
        kept.push(Ok(Frame::data(Bytes::from_static(b"ab"))));
        kept.push(Err("reset"));
        let mut body = with_kept(kept, true, Scripted::new([]));
        let steps = [data("ab"), super::super::scripted::Step::Error("reset")];
        assert_eq!(drain(&mut body), (expected(&steps), true));
        assert!(body.is_end_stream());
    }

    #[test]
    fn a_body_that_has_ended_is_not_polled_again() {
        let mut rest = Scripted::new([]);
        assert!(matches!(poll(&mut rest), Poll::Ready(None)));
        let mut body = with_kept(Kept::Nothing, true, rest);
        assert!(body.is_end_stream());
        assert_eq!(drain(&mut body), (vec![], true));
    }

    #[test]
    fn it_is_unpin_and_small() {
        fn is<T: Send + Unpin>() {}
        is::<ResponseBody<hyper::body::Incoming>>();
        let own =
            size_of::<ResponseBody<hyper::body::Incoming>>() - size_of::<hyper::body::Incoming>();
        assert!(own <= 48, "{own} bytes more than the body itself");
    }

    #[test]
    fn debug_shows_nothing_of_the_body() {
        let mut kept = Kept::Nothing;
        kept.push(Ok(Frame::data(Bytes::from_static(b"SECRET"))));
        let body = with_kept(kept, false, Scripted::new([]));
        assert_eq!(
            format!("{body:?}"),
            "ResponseBody { bytes_read_ahead: 6, .. }"
        );
    }
}
