//! Reading a body that is signed, before it is sent.

use std::error::Error as StdError;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Request;
use http_body::Body;

use super::error::{AuthError, Cause};
use super::outgoing::Outgoing;
use super::request_body::{RequestBody, ResendHandle};

/// Reads a body to its end, as a first attempt would; what is sent then is the same
/// once more.
pub(super) struct ReadBody<B> {
    /// `None` once it is done.
    head: Option<Request<()>>,
    body: RequestBody<B>,
    /// `None` if the body is known to be too long.
    handle: Option<ResendHandle<B>>,
    read: Vec<u8>,
    /// The longest body that is signed.
    most: usize,
    /// How long a body may be, to be kept after it was sent, too.
    resend_cap: usize,
}

impl<B> ReadBody<B>
where
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    pub(super) fn new(request: Request<B>, most: usize, resend_cap: usize) -> Self {
        let (head, body) = request.into_parts();
        let (body, handle) = RequestBody::resendable(body, most);
        Self {
            head: Some(Request::from_parts(head, ())),
            body,
            handle,
            read: Vec::new(),
            most,
            resend_cap,
        }
    }

    /// Goes on reading. Not to be polled again once it was ready.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Outgoing<B>, AuthError>> {
        while self
            .handle
            .as_ref()
            .is_some_and(ResendHandle::is_resendable)
        {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.read.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    return Poll::Ready(Err(Cause::Body(error.into()).into()));
                }
                None => break,
            }
        }
        Poll::Ready(
            self.outgoing()
                .ok_or_else(|| Cause::BodyTooLong(self.most).into()),
        )
    }

    /// `None` if the body was too long to be kept.
    fn outgoing(&mut self) -> Option<Outgoing<B>> {
        let body = self.handle.as_ref()?.take_over()?;
        let cap = self.resend_cap;
        let handle = self.handle.take();
        let handle = handle.filter(|_| cap > 0 && self.read.len() <= cap);
        let signed = Some(mem::take(&mut self.read).into());
        Some(Outgoing {
            request: self.head.take()?.map(|()| body),
            handle,
            signed,
        })
    }
}
