use std::error::Error as StdError;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body::Body;
use tower_service::Service;

use super::future::{MacAuthFuture, prepare};
use super::layer::Config;
use super::request_body::ReplayHandle;
use super::{Error, Identity, RefusalPolicy, RequestBody, ResponseBody, XiaomiRefusals};
use crate::account::{Account, Signer};
use crate::sign::{Scheme, XiaomiOpenApi};

/// The service of a [`MacAuthLayer`](super::MacAuthLayer). See the [module docs](super).
#[derive(Clone, Debug)]
pub struct MacAuth<S, Sch = XiaomiOpenApi, P = XiaomiRefusals, A = Account> {
    inner: S,
    config: Arc<Config<Sch, P, A>>,
}

/// What one call works with.
pub(super) struct Call<Sch, P, A: Identity> {
    pub(super) config: Arc<Config<Sch, P, A>>,
    account: A::OfRequest,
}

impl<Sch, P, A: Identity> Call<Sch, P, A> {
    /// The account that signs, at each attempt.
    #[inline]
    pub(super) fn account(&self) -> &Account {
        self.config.identity.account(&self.account)
    }
}

/// A request on its way to be signed.
pub(super) struct Outgoing<B> {
    /// As the caller made it.
    pub(super) request: Request<RequestBody<B>>,
    /// `None` if it is not to be replayed.
    pub(super) handle: Option<ReplayHandle<B>>,
    /// The pairs in the body that are signed with those of the query.
    pub(super) form: Option<Bytes>,
}

impl<B: Body> Outgoing<B> {
    pub(super) fn new(request: Request<B>, cap: usize) -> Self {
        let mut handle = None;
        let request = request.map(|body| {
            let (body, replay) = RequestBody::replayable(body, cap);
            handle = replay;
            body
        });
        Self {
            request,
            handle,
            form: None,
        }
    }
}

impl<S, Sch, P, A> MacAuth<S, Sch, P, A> {
    pub(super) fn new(inner: S, config: Arc<Config<Sch, P, A>>) -> Self {
        Self { inner, config }
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

impl<S, B, R, Sch, P, A> Service<Request<B>> for MacAuth<S, Sch, P, A>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    R: Body + Unpin,
    Sch: Scheme,
    P: RefusalPolicy,
    A: Identity,
{
    type Response = Response<ResponseBody<R>>;
    type Error = Error<S::Error>;
    type Future = MacAuthFuture<S, B, R, Sch, P, A>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Service)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let brought = request.extensions_mut().remove();
        let account = match self.config.identity.of_request(brought) {
            Ok(account) => account,
            Err(error) => {
                self.give_back();
                return MacAuthFuture::unsigned(error);
            }
        };
        let config = Arc::clone(&self.config);
        let call = Call { config, account };
        if call.config.scheme.signs_form() && is_form(&request) {
            return MacAuthFuture::read_form(call, self.take_ready(), request);
        }
        let ready = match call.account().signer() {
            Signer::Ready(ready) => ready,
            Signer::Wait(refresh) => {
                return MacAuthFuture::park(call, self.give_back(), request, refresh);
            }
        };
        let cap = call.config.replay_cap;
        // Here, and by way of no function of ours, and before anything is written to it: a request
        // is large to move.
        let (head, body) = request.into_parts();
        let (body, handle) = RequestBody::replayable(body, cap);
        let mut request = Request::from_parts(head, body);
        let replay = match prepare(&call, &self.inner, &mut request, None, handle, &ready) {
            Ok(replay) => replay,
            Err(error) => {
                self.give_back();
                return MacAuthFuture::unsigned(error);
            }
        };
        let future = self.inner.call(request);
        MacAuthFuture::called(call, ready.generation(), replay, future)
    }
}

impl<S: Clone, Sch, P, A> MacAuth<S, Sch, P, A> {
    /// The inner service that is ready goes along with a request whose body is read; what stays
    /// has to be polled ready again.
    #[cold]
    fn take_ready(&mut self) -> S {
        let clone = self.inner.clone();
        mem::replace(&mut self.inner, clone)
    }

    /// The inner service is not called now, so it gives up what being ready took: a permit, a place
    /// in a buffer. Others need that. What it gives and what stays have to be polled ready again.
    #[cold]
    fn give_back(&mut self) -> S {
        self.take_ready().clone()
    }
}

/// A POST with the pairs of a form in its body.
fn is_form<B>(request: &Request<B>) -> bool {
    let form = b"application/x-www-form-urlencoded";
    let kind = request.headers().get(header::CONTENT_TYPE);
    request.method() == Method::POST
        && kind.is_some_and(|value| {
            let essence = value.as_bytes().split(|byte| *byte == b';').next();
            essence.is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(form))
        })
}
