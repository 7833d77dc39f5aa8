//! What it takes to send a request once more.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;

use super::call::Call;
use super::error::AuthError;
use super::head::RequestHead;
use super::identity::Identity;
use super::outgoing::Outgoing;
use super::request_body::{RequestBody, ResendHandle};
use super::sign::sign;
use crate::account::Ready;
use crate::body::ReadAhead;
use crate::provider::Provider;

/// What it takes to send a request once more, but for the service, of which [`Common`] has a spare.
/// Boxed: it lives as long as the first attempt does, and what is not boxed is moved with the future.
///
/// [`Common`]: super::common::Common
pub(super) struct Resend<B> {
    /// As the caller made it, before it was signed.
    head: RequestHead,
    handle: ResendHandle<B>,
    signed: Option<Bytes>,
    /// Once the next attempt has taken the body over.
    body: Option<RequestBody<B>>,
}

impl<B> Resend<B> {
    pub(super) fn is_possible(&self) -> bool {
        self.handle.is_resendable()
    }

    /// Takes the body over before the wait for a refresh, so that an upload under way does not go
    /// on past what is kept. Over HTTP/1 that ends the connection: not before the refusal was read
    /// whole, for it may have to be handed back.
    pub(super) fn take_over_after<R: Body>(&mut self, refused: &Response<ReadAhead<R>>) {
        if refused.body().is_read() {
            self.body = self.handle.take_over();
        }
    }

    /// What is sent again. `None` if the body cannot be sent again.
    pub(super) fn into_outgoing(self) -> Option<Outgoing<B>> {
        let body = match self.body {
            Some(body) => body,
            None => self.handle.take_over()?,
        };
        Some(Outgoing {
            request: self.head.into_request(body),
            handle: None,
            signed: self.signed,
        })
    }
}

/// Signs `request`, and keeps what it takes to send it again if there is a handle of its body.
#[inline]
pub(super) fn prepare<S, B, A, T>(
    call: &Call<S, A>,
    service: &S,
    request: &mut Request<T>,
    body: Option<&Bytes>,
    handle: Option<ResendHandle<B>>,
    ready: &Ready<<A::Provider as Provider>::Credential>,
) -> Result<Option<Box<Resend<B>>>, AuthError>
where
    S: Clone,
    A: Identity,
{
    let resend = handle.map(|handle| {
        call.common.keep(service);
        // Written where it stays.
        let mut resend = Box::write(
            Box::new_uninit(),
            Resend {
                head: RequestHead::of(request),
                handle,
                signed: body.cloned(),
                body: None,
            },
        );
        resend.head.keep_headers(request.headers());
        resend
    });
    let (account, allowed) = (call.account(), &call.config().allowed);
    sign(account, allowed, ready, request, body.map(|body| &**body))?;
    Ok(resend)
}
