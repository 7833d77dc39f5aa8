use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use pin_project_lite::pin_project;

use super::size_hint;

pin_project! {
    /// A body that may have been looked at: of a response, to see whether it is a refusal; of a request,
    /// because it is signed.
    ///
    /// What was read comes first, as it was: the same chunks, the trailers, and an error that was met,
    /// at its place. The rest follows straight from the body `B`. [`size_hint`](Body::size_hint) and
    /// [`is_end_stream`](Body::is_end_stream) are those of the whole, so an exact `Content-Length`
    /// stays exact; of a body that broke off no length is known.
    ///
    /// `Unpin` whenever `B` is.
    pub struct ReadAhead<B>
    where
        B: Body,
    {
        // Given back before the rest.
        pub(crate) kept: Kept<B::Data, B::Error>,
        // The rest gave its last frame, or an error, and is not polled again.
        pub(crate) ended: bool,
        #[pin]
        pub(crate) rest: B,
    }
}

/// Frames read ahead. One chunk, the common case, takes no allocation.
pub(crate) enum Kept<D, E> {
    Nothing,
    Chunk(D),
    Queue(VecDeque<Result<Frame<D>, E>>),
}

impl<D: Buf, E> Kept<D, E> {
    #[inline]
    pub(crate) fn push(&mut self, frame: Result<Frame<D>, E>) {
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
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &D> {
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

impl<B: Body> ReadAhead<B> {
    /// Not looked at yet.
    #[inline]
    pub(crate) const fn new(rest: B) -> Self {
        Self {
            kept: Kept::Nothing,
            ended: false,
            rest,
        }
    }

    /// Whether the inner body was read to its end, so that the connection is done with it.
    pub(crate) fn is_read(&self) -> bool {
        self.ended || self.rest.is_end_stream()
    }
}

#[cfg(any(feature = "reqwest_012", feature = "reqwest_013"))]
impl<B: Body<Data = Bytes>> ReadAhead<B> {
    /// All of the body, if it was read in one chunk, and nothing came after.
    pub(crate) fn into_whole(self) -> Result<Bytes, Self> {
        let is_read = self.is_read();
        match self.kept {
            Kept::Chunk(data) if is_read => Ok(data),
            kept => Err(Self { kept, ..self }),
        }
    }
}

/// Why a body cannot be read to its end.
pub(crate) enum Unread {
    TooLong,
    Broken,
}

impl<B: Body<Data = Bytes> + Unpin> ReadAhead<B> {
    /// Reads to the end of a body that has at most so many bytes, and gives it back all the same, but for
    /// chunks without a byte.
    pub(crate) async fn read(&mut self, most: usize) -> Result<Bytes, Unread> {
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        let mut read = self.kept.len();
        loop {
            let rest = if self.ended {
                0
            } else {
                self.rest.size_hint().lower()
            };
            if read.saturating_add(rest) > most {
                return Err(Unread::TooLong);
            }
            if self.ended {
                break;
            }
            match self.rest.frame().await {
                // Any number of these would cost nothing to send.
                Some(Ok(frame)) if frame.data_ref().is_some_and(Bytes::is_empty) => {}
                Some(frame) => {
                    self.ended = frame.is_err();
                    let data = frame.as_ref().ok().and_then(Frame::data_ref);
                    read += data.map_or(0, Bytes::len) as u64;
                    self.kept.push(frame);
                }
                None => self.ended = true,
            }
        }
        if let Kept::Queue(queue) = &self.kept
            && queue.iter().any(Result::is_err)
        {
            return Err(Unread::Broken);
        }
        let mut chunks = self.kept.chunks();
        Ok(match (chunks.next(), chunks.next()) {
            (None, _) => Bytes::new(),
            (Some(one), None) => one.clone(),
            (Some(one), Some(two)) => {
                let all = [one, two].into_iter().chain(chunks);
                all.flatten().copied().collect()
            }
        })
    }
}

impl<B: Body + Default> Default for ReadAhead<B> {
    /// The default body, as what makes responses of its own wants it: tower-http's timeout.
    fn default() -> Self {
        Self::new(B::default())
    }
}

impl<B: Body> Body for ReadAhead<B> {
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
        let rest = match &self.kept {
            // Nobody knows how much was to come. Whoever writes the body would take a length that is known for
            // all of it, and go on with the connection without having met the error.
            Kept::Queue(queue) if queue.back().is_some_and(Result::is_err) => SizeHint::new(),
            _ if self.ended => SizeHint::with_exact(0),
            _ => self.rest.size_hint(),
        };
        match &self.kept {
            Kept::Nothing => rest,
            kept => size_hint::after(kept.len(), &rest),
        }
    }
}

impl<B: Body> fmt::Debug for ReadAhead<B> {
    /// Says how much was read ahead, never what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadAhead")
            .field("bytes_read_ahead", &self.kept.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;
    use crate::body::scripted::{Scripted, data, drain, expected, poll, trailers};

    fn with_kept<B: Body>(kept: Kept<B::Data, B::Error>, ended: bool, rest: B) -> ReadAhead<B> {
        ReadAhead { kept, ended, rest }
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
        let steps = [data("ab"), crate::body::scripted::Step::Error("reset")];
        assert_eq!(drain(&mut body), (expected(&steps), true));
        assert!(body.is_end_stream());
    }

    /// Whoever writes it would trust its length, and end it there as if it were whole.
    #[test]
    fn a_body_that_broke_off_while_it_was_read_has_no_length() {
        let mut kept = Kept::Nothing;
        kept.push(Ok(Frame::data(Bytes::from_static(b"ab"))));
        kept.push(Err("reset"));
        let mut body = with_kept(kept, true, Scripted::new([]));
        for left in [2, 0] {
            let hint = body.size_hint();
            assert_eq!((hint.lower(), hint.upper()), (left, None));
            assert!(!body.is_end_stream());
            assert!(matches!(poll(&mut body), Poll::Ready(Some(_))));
        }
        assert_eq!(body.size_hint().exact(), Some(0));
    }

    #[test]
    fn a_body_that_has_ended_is_not_polled_again() {
        let mut rest = Scripted::new([]);
        assert!(matches!(poll(&mut rest), Poll::Ready(None)));
        let mut body = with_kept(Kept::Nothing, true, rest);
        assert!(body.is_end_stream());
        assert_eq!(drain(&mut body), (vec![], true));
    }

    #[tokio::test]
    async fn a_body_that_is_read_to_its_end_is_given_back_as_it_was() {
        for (steps, read) in [
            (vec![], ""),
            (vec![data("abc")], "abc"),
            (vec![data("ab"), data("c"), trailers("end")], "abc"),
        ] {
            let mut body = ReadAhead::new(Scripted::new(steps.clone()));
            for _ in 0..2 {
                assert_eq!(body.read(3).await.ok().unwrap(), read);
            }
            assert_eq!(drain(&mut body), (expected(&steps), true));
        }
    }

    /// Would take half an hour if each chunk were counted anew for each.
    #[tokio::test]
    async fn a_body_of_many_chunks_is_read_in_proportion() {
        const CHUNKS: usize = 200_000;
        let steps = std::iter::repeat_n(data("a"), CHUNKS);
        let mut body = ReadAhead::new(Scripted::new(steps));
        assert_eq!(body.read(CHUNKS).await.ok().unwrap().len(), CHUNKS);
    }

    #[tokio::test]
    async fn chunks_without_a_byte_take_no_memory() {
        let empty = std::iter::repeat_n(data(""), 10_000);
        let steps: Vec<_> = empty.chain([data("a"), data(""), data("b")]).collect();
        let mut body = ReadAhead::new(Scripted::new(steps));
        assert_eq!(body.read(3).await.ok().unwrap(), "ab");
        let left = expected(&[data("a"), data("b")]);
        assert_eq!(drain(&mut body), (left, true));
    }

    #[tokio::test]
    async fn a_body_that_cannot_be_read_to_its_end_is_given_back_as_it_was() {
        let steps = [data("ab"), data("cd"), data("e")];
        let mut body = ReadAhead::new(Scripted::new(steps.clone()));
        assert!(matches!(body.read(3).await, Err(Unread::TooLong)));
        assert_eq!(drain(&mut body), (expected(&steps), true));

        let steps = [data("ab"), crate::body::scripted::Step::Error("reset")];
        let mut body = ReadAhead::new(Scripted::new(steps.clone()));
        assert!(matches!(body.read(3).await, Err(Unread::Broken)));
        assert_eq!(drain(&mut body), (expected(&steps), true));
    }

    #[test]
    fn it_is_unpin_and_small() {
        fn is<T: Send + Unpin>() {}
        is::<ReadAhead<hyper::body::Incoming>>();
        let own =
            size_of::<ReadAhead<hyper::body::Incoming>>() - size_of::<hyper::body::Incoming>();
        assert!(own <= 48, "{own} bytes more than the body itself");
    }

    #[test]
    fn debug_shows_nothing_of_the_body() {
        let mut kept = Kept::Nothing;
        kept.push(Ok(Frame::data(Bytes::from_static(b"SECRET"))));
        let body = with_kept(kept, false, Scripted::new([]));
        assert_eq!(format!("{body:?}"), "ReadAhead { bytes_read_ahead: 6, .. }");
    }
}
