//! One attempt, and what it takes to make another.

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::super::request_body::ReplayHandle;
use super::super::service::{Call, Outgoing};
use super::super::sign::sign;
use super::super::{RequestBody, ResponseBody};
use super::State;
use crate::account::Ready;
use crate::sign::Scheme;

/// What it takes to send a request once more. Boxed: it lives as long as the first attempt does.
pub(super) struct Replay<S, B> {
    /// As the caller made it, before it was signed.
    pub(super) head: Parts,
    pub(super) handle: ReplayHandle<B>,
    pub(super) form: Option<Bytes>,
    /// Polled ready before it is called.
    pub(super) service: S,
    /// Once the replay has taken the body over.
    pub(super) body: Option<RequestBody<B>>,
}

impl<S, B> Replay<S, B> {
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
        let outgoing = Outgoing {
            head: self.head,
            body: self.body?,
            handle: None,
            form: self.form,
        };
        Some((outgoing, self.service))
    }
}

/// Signs a request and calls `service`, which is ready; keeps what a replay takes.
#[inline]
#[expect(
    clippy::type_complexity,
    reason = "the two halves of a future, used once"
)]
pub(super) fn depart<S, B, R, Sch, P>(
    call: &Call<Sch, P>,
    service: &mut S,
    outgoing: Outgoing<B>,
    ready: &Ready,
) -> (Option<Box<Replay<S, B>>>, State<S, B, R>)
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
    R: Body,
    Sch: Scheme,
{
    let Outgoing {
        mut head,
        body,
        handle,
        form,
    } = outgoing;
    let replay = handle.map(|handle| {
        let (head, form, service) = (head.clone(), form.clone(), service.clone());
        Box::new(Replay {
            head,
            handle,
            form,
            service,
            body: None,
        })
    });
    match sign(call, ready, &mut head, form.as_deref()) {
        Ok(()) => {
            let future = service.call(Request::from_parts(head, body));
            (replay, State::Called { future })
        }
        Err(error) => {
            // It is not called, so it gives up what being ready took: a permit, a place in a
            // buffer.
            *service = service.clone();
            (None, State::Failed { error: Some(error) })
        }
    }
}
