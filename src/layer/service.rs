use std::error::Error as StdError;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, header};
use http_body::Body;
use tower_service::Service;

use super::future::MacAuthFuture;
use super::layer::Config;
use super::request_body::ReplayHandle;
use super::{Error, RefusalPolicy, RequestBody, ResponseBody, XiaomiRefusals};
use crate::account::{Account, Signer};
use crate::sign::{Scheme, XiaomiOpenApi};

/// The service of a [`MacAuthLayer`](super::MacAuthLayer). See the [module docs](super).
#[derive(Clone, Debug)]
pub struct MacAuth<S, Sch = XiaomiOpenApi, P = XiaomiRefusals> {
    inner: S,
    account: Account,
    config: Arc<Config<Sch, P>>,
}

/// What one call works with.
#[derive(Debug)]
pub(super) struct Call<Sch, P> {
    pub(super) account: Account,
    pub(super) config: Arc<Config<Sch, P>>,
}

/// A request on its way to be signed.
pub(super) struct Outgoing<B> {
    /// As the caller made it.
    pub(super) head: Parts,
    pub(super) body: RequestBody<B>,
    /// `None` if it is not to be replayed.
    pub(super) handle: Option<ReplayHandle<B>>,
    /// The pairs in the body that are signed with those of the query.
    pub(super) form: Option<Bytes>,
}

impl<S, Sch, P> MacAuth<S, Sch, P> {
    pub(super) fn new(inner: S, account: Account, config: Arc<Config<Sch, P>>) -> Self {
        Self {
            inner,
            account,
            config,
        }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without the layer.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R, Sch, P> Service<Request<B>> for MacAuth<S, Sch, P>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    R: Body + Unpin,
    Sch: Scheme,
    P: RefusalPolicy,
{
    type Response = Response<ResponseBody<R>>;
    type Error = Error<S::Error>;
    type Future = MacAuthFuture<S, B, R, Sch, P>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Service)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let account = head
            .extensions
            .remove()
            .unwrap_or_else(|| self.account.clone());
        let call = Call {
            account,
            config: Arc::clone(&self.config),
        };
        let cap = call.config.replay_cap;
        if call.config.scheme.signs_form() && is_form(&head) {
            return MacAuthFuture::read_form(call, self.take_ready(), head, body);
        }
        let (body, handle) = match cap {
            0 => (RequestBody::passthrough(body), None),
            cap => RequestBody::replayable(body, cap),
        };
        let outgoing = Outgoing {
            head,
            body,
            handle,
            form: None,
        };
        match call.account.signer() {
            Signer::Ready(ready) => MacAuthFuture::send(call, &mut self.inner, outgoing, &ready),
            Signer::Wait(refresh) => {
                MacAuthFuture::park(call, self.take_ready(), outgoing, refresh)
            }
        }
    }
}

impl<S: Clone, Sch, P> MacAuth<S, Sch, P> {
    /// The inner service that is ready goes along with a request that has to wait; what stays has
    /// to be polled ready again.
    #[cold]
    fn take_ready(&mut self) -> S {
        let clone = self.inner.clone();
        mem::replace(&mut self.inner, clone)
    }
}

/// A POST with the pairs of a form in its body.
fn is_form(head: &Parts) -> bool {
    let form = b"application/x-www-form-urlencoded";
    head.method == Method::POST
        && head.headers.get(header::CONTENT_TYPE).is_some_and(|value| {
            let essence = value.as_bytes().split(|byte| *byte == b';').next();
            essence.is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(form))
        })
}
