//! Looking into the body of a response without holding it up.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::super::response_body::ResponseBody;
use super::reading::Reading;
use super::{Refusal, RefusalPolicy};

/// What was found, and the response as it came.
pub(crate) struct Inspected<B: Body> {
    pub(crate) refusal: Option<Refusal>,
    pub(crate) response: Response<ResponseBody<B>>,
}

/// What [`inspect`] came to.
pub(crate) enum Inspection<B: Body> {
    /// The common case: all that had to be seen was there. Nothing was allocated for one chunk.
    Done(Inspected<B>),
    /// The body has to be waited for.
    Waiting(Inspect<B>),
}

/// An inspection that waits for more of the body. One allocation, made when it had to wait, so
/// that it weighs a pointer in the future that holds it.
pub(crate) struct Inspect<B: Body>(Pin<Box<Waiting<B>>>);

pin_project! {
    struct Waiting<B>
    where
        B: Body,
    {
        // `None` once it is done.
        reading: Option<Reading<B>>,
        #[pin]
        limit: Sleep,
    }
}

/// Looks at a response: at its head, and at as much of its body as `policy` wants and the rules
/// of [`RefusalPolicy`] allow. Whatever is read is given back with the response.
///
/// A body that is not there yet is waited for, for `limit` in all; then what is known decides.
///
/// # Panics
///
/// If it has to wait outside of a tokio runtime with its timer on.
pub(crate) fn inspect<P, B>(
    policy: &P,
    limit: Duration,
    response: Response<B>,
    cx: &mut Context<'_>,
) -> Inspection<B>
where
    P: RefusalPolicy + ?Sized,
    B: Body + Unpin,
{
    let mut reading = Reading::new(policy, response);
    if reading.advance(policy, cx).is_ready() {
        return Inspection::Done(reading.finish());
    }
    let mut inspect = Inspect(Box::pin(Waiting {
        reading: Some(reading),
        limit: tokio::time::sleep(limit),
    }));
    // The timer has to know whom to wake.
    match inspect.poll_limit(policy, cx) {
        Poll::Ready(inspected) => Inspection::Done(inspected),
        Poll::Pending => Inspection::Waiting(inspect),
    }
}

impl<B: Body + Unpin> Inspect<B> {
    /// Goes on. Not to be polled again once it was ready: it stays pending then.
    pub(crate) fn poll<P>(&mut self, policy: &P, cx: &mut Context<'_>) -> Poll<Inspected<B>>
    where
        P: RefusalPolicy + ?Sized,
    {
        if let Some(reading) = self.0.as_mut().project().reading {
            if reading.advance(policy, cx).is_ready() {
                return self.take();
            }
        }
        self.poll_limit(policy, cx)
    }

    fn poll_limit<P>(&mut self, policy: &P, cx: &mut Context<'_>) -> Poll<Inspected<B>>
    where
        P: RefusalPolicy + ?Sized,
    {
        let waiting = self.0.as_mut().project();
        if waiting.limit.poll(cx).is_pending() {
            return Poll::Pending;
        }
        if let Some(reading) = waiting.reading {
            reading.decide(policy);
        }
        self.take()
    }

    fn take(&mut self) -> Poll<Inspected<B>> {
        match self.0.as_mut().project().reading.take() {
            Some(reading) => Poll::Ready(reading.finish()),
            None => Poll::Pending,
        }
    }
}
