//! A body with something in the middle.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::Sleep;

/// The first half of a body, and then what happens.
pub(super) struct Halved {
    first: Option<Bytes>,
    rest: Rest,
}

enum Rest {
    After(Pin<Box<Sleep>>, Bytes),
    /// Once what is before it had its time to be sent.
    BrokenSoon,
    Broken,
    Done,
}

impl Halved {
    /// With a pause between the halves.
    pub(super) fn slow(mut body: Bytes, pause: Duration) -> Self {
        let rest = body.split_off(body.len() / 2);
        Self {
            first: Some(body),
            rest: Rest::After(Box::pin(tokio::time::sleep(pause)), rest),
        }
    }

    /// Without the second half.
    pub(super) fn broken(mut body: Bytes) -> Self {
        body.truncate(body.len() / 2);
        Self {
            first: Some(body),
            rest: Rest::BrokenSoon,
        }
    }
}

impl Body for Halved {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if let Rest::After(pause, _) = &mut self.rest {
            ready!(pause.as_mut().poll(cx));
        }
        Poll::Ready(match std::mem::replace(&mut self.rest, Rest::Done) {
            Rest::BrokenSoon => {
                self.rest = Rest::Broken;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Rest::After(_, rest) => Some(Ok(Frame::data(rest))),
            Rest::Broken => Some(Err(io::ErrorKind::ConnectionReset.into())),
            Rest::Done => None,
        })
    }
}
