//! One attempt, and what it takes to make another.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;

use super::super::request_body::ReplayHandle;
use super::super::service::{Call, Outgoing};
use super::super::sign::sign;
use super::super::{AuthError, Identity, RequestBody, ResponseBody};
use crate::account::Ready;
use crate::sign::Scheme;

/// What it takes to send a request once more. Boxed: it lives as long as the first attempt does.
pub(in super::super) struct Replay<S, B> {
    /// As the caller made it, before it was signed.
    pub(super) head: Request<()>,
    handle: ReplayHandle<B>,
    pub(super) form: Option<Bytes>,
    /// Polled ready before it is called.
    pub(super) service: S,
    /// Once the replay has taken the body over.
    pub(super) body: Option<RequestBody<B>>,
}

impl<S, B> Replay<S, B> {
    pub(super) fn is_possible(&self) -> bool {
        self.handle.is_replayable()
    }

    /// Takes the body over before the wait for a refresh, so that an upload under way does not go
    /// on past what is kept. Over HTTP/1 that ends the connection: not before the refusal was read
    /// whole, for it may have to be handed back.
    pub(super) fn take_over_after<R: Body>(&mut self, refused: &Response<ResponseBody<R>>) {
        if refused.body().is_read() {
            self.take_over();
        }
    }

    /// Takes the body over, unless that is done; `false` if it cannot be sent again.
    pub(super) fn take_over(&mut self) -> bool {
        if self.body.is_none() {
            self.body = self.handle.take_over();
        }
        self.body.is_some()
    }

    /// What is sent again, and by what. `None` if the body was not taken over.
    pub(super) fn outgoing(self) -> Option<(Outgoing<B>, S)> {
        let body = self.body?;
        let outgoing = Outgoing {
            request: self.head.map(|()| body),
            handle: None,
            form: self.form,
        };
        Some((outgoing, self.service))
    }
}

/// Signs `request`, and keeps what it takes to send it again if there is a handle of its body.
#[inline]
pub(in super::super) fn prepare<S, B, Sch, P, A, T>(
    call: &Call<Sch, P, A>,
    service: &S,
    request: &mut Request<T>,
    form: Option<&Bytes>,
    handle: Option<ReplayHandle<B>>,
    ready: &Ready,
) -> Result<Option<Box<Replay<S, B>>>, AuthError>
where
    S: Clone,
    Sch: Scheme,
    A: Identity,
{
    let replay = handle.map(|handle| {
        let mut replay = Box::new(Replay {
            head: Request::new(()),
            handle,
            form: form.cloned(),
            service: service.clone(),
            body: None,
        });
        copy_head(request, &mut replay.head);
        replay
    });
    sign(call, ready, request, form.map(|form| &**form))?;
    Ok(replay)
}

/// Copies all of a request but its body, each part to its place.
#[inline]
fn copy_head<T>(from: &Request<T>, to: &mut Request<()>) {
    *to.method_mut() = from.method().clone();
    *to.uri_mut() = from.uri().clone();
    *to.version_mut() = from.version();
    *to.headers_mut() = from.headers().clone();
    *to.extensions_mut() = from.extensions().clone();
}
