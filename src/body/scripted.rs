//! A body that does what a test says, step by step.

use std::cell::Cell;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};

/// What a poll finds.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    /// Nothing yet; the test wakes the task, or does not.
    Pending,
    /// Nothing yet, but the task is woken at once.
    Yield,
    Error(&'static str),
    Panic,
}

/// Shorthand for a chunk.
pub(crate) fn data(bytes: &'static str) -> Step {
    Step::Data(Bytes::from_static(bytes.as_bytes()))
}

/// Shorthand for trailers.
pub(crate) fn trailers(value: &'static str) -> Step {
    let mut map = HeaderMap::new();
    map.insert("x-end", HeaderValue::from_static(value));
    Step::Trailers(map)
}

/// Not `Sync`: nothing may need it to be.
pub(crate) struct Scripted {
    steps: VecDeque<Step>,
    length_known: bool,
    end_known: bool,
    over: bool,
    waker: Arc<Mutex<Option<Waker>>>,
    not_sync: PhantomData<Cell<()>>,
}

impl Scripted {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            length_known: false,
            end_known: false,
            over: false,
            waker: Arc::default(),
            not_sync: PhantomData,
        }
    }

    /// `size_hint` is exact.
    pub(crate) fn length_known(mut self, known: bool) -> Self {
        self.length_known = known;
        self
    }

    /// `is_end_stream` says so as soon as the last frame was given.
    pub(crate) fn end_known(mut self, known: bool) -> Self {
        self.end_known = known;
        self
    }

    /// Where a pending poll leaves its waker.
    pub(crate) fn waker(&self) -> Arc<Mutex<Option<Waker>>> {
        Arc::clone(&self.waker)
    }
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        assert!(!self.over, "polled after its end");
        Poll::Ready(match self.steps.pop_front() {
            Some(Step::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Step::Trailers(map)) => Some(Ok(Frame::trailers(map))),
            Some(Step::Pending) => {
                *self.waker.lock().unwrap() = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Some(Step::Yield) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Step::Error(error)) => {
                self.over = true;
                Some(Err(error))
            }
            Some(Step::Panic) => panic!("as the script says"),
            None => {
                self.over = true;
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.end_known && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.length_known {
            SizeHint::with_exact(length(&self.steps))
        } else {
            SizeHint::new()
        }
    }
}

/// Bytes of data in the steps.
pub(crate) fn length<'a>(steps: impl IntoIterator<Item = &'a Step>) -> u64 {
    let len = |step: &Step| match step {
        Step::Data(data) => data.len() as u64,
        _ => 0,
    };
    steps.into_iter().map(len).sum()
}

/// A frame, comparable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Data(Bytes),
    Trailers(HeaderMap),
    Error(String),
}

/// The frames the steps hold, as a reader must see them.
pub(crate) fn expected(steps: &[Step]) -> Vec<Seen> {
    let seen = |step: &Step| match step {
        Step::Data(data) => Some(Seen::Data(data.clone())),
        Step::Trailers(map) => Some(Seen::Trailers(map.clone())),
        Step::Error(error) => Some(Seen::Error((*error).to_owned())),
        Step::Pending | Step::Yield | Step::Panic => None,
    };
    steps.iter().filter_map(seen).collect()
}

/// One frame, made comparable.
pub(crate) fn seen<E: ToString>(frame: Result<Frame<Bytes>, E>) -> Seen {
    match frame.map(Frame::into_data) {
        Ok(Ok(data)) => Seen::Data(data),
        Ok(Err(frame)) => Seen::Trailers(frame.into_trailers().unwrap()),
        Err(error) => Seen::Error(error.to_string()),
    }
}

/// One poll by hand, with a waker that does nothing.
pub(crate) fn poll<B>(body: &mut B) -> Poll<Option<Result<Frame<Bytes>, B::Error>>>
where
    B: Body<Data = Bytes> + Unpin,
{
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// Every frame that is there now, up to the end or to a pending poll. Between any two polls the
/// hint must hold for what is still to come.
pub(crate) fn drain<B>(body: &mut B) -> (Vec<Seen>, bool)
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: ToString,
{
    let mut hints = Vec::new();
    let mut frames = Vec::new();
    let ended = loop {
        hints.push((frames.len(), body.size_hint(), body.is_end_stream()));
        match poll(body) {
            Poll::Ready(Some(frame)) => frames.push(seen(frame)),
            Poll::Ready(None) => break true,
            Poll::Pending => break false,
        }
    };
    for (at, hint, end) in hints {
        let rest: u64 = frames[at..]
            .iter()
            .map(|frame| match frame {
                Seen::Data(data) => data.len() as u64,
                _ => 0,
            })
            .sum();
        let failed = matches!(frames.last(), Some(Seen::Error(_)));
        assert!(
            !ended || failed || hint.lower() <= rest,
            "{hint:?} but {rest} came"
        );
        assert!(
            hint.upper().is_none_or(|upper| upper >= rest),
            "{hint:?} but {rest} came"
        );
        assert!(!end || frames.len() == at, "at its end, but more came");
    }
    (frames, ended)
}
