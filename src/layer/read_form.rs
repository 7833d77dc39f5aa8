//! Reading a form that is signed, before it is sent.

use std::error::Error as StdError;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Request;
use http_body::Body;

use super::error::{AuthError, Cause};
use super::outgoing::Outgoing;
use super::request_body::{RequestBody, ResendHandle};

/// The longest form that is signed; the query and the form together cannot be longer either.
const FORM_CAP: usize = 64 * 1024;

/// Reads a body to its end, as a first attempt would; what is sent then is the same
/// once more.
pub(super) struct ReadForm<B> {
    /// `None` once it is done.
    head: Option<Request<()>>,
    body: Pin<Box<RequestBody<B>>>,
    /// `None` if the form is known to be too long.
    handle: Option<ResendHandle<B>>,
    form: Vec<u8>,
    /// How long a body may be, to be kept after it was sent, too.
    resend_cap: usize,
}

impl<B> ReadForm<B>
where
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    pub(super) fn new(request: Request<B>, resend_cap: usize) -> Self {
        let (head, body) = request.into_parts();
        let (body, handle) = RequestBody::resendable(body, FORM_CAP);
        let body = Box::pin(body);
        Self {
            head: Some(Request::from_parts(head, ())),
            body,
            handle,
            form: Vec::new(),
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
            match ready!(self.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.form.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    return Poll::Ready(Err(Cause::FormBody(error.into()).into()));
                }
                None => break,
            }
        }
        Poll::Ready(
            self.outgoing()
                .ok_or_else(|| Cause::FormTooLong(FORM_CAP).into()),
        )
    }

    /// `None` if the form was too long to be kept.
    fn outgoing(&mut self) -> Option<Outgoing<B>> {
        let body = self.handle.as_ref()?.take_over()?;
        let cap = self.resend_cap;
        let handle = self.handle.take();
        let handle = handle.filter(|_| cap > 0 && self.form.len() <= cap);
        let form = Some(mem::take(&mut self.form).into());
        Some(Outgoing {
            request: self.head.take()?.map(|()| body),
            handle,
            form,
        })
    }
}
