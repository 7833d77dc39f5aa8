use std::error::Error as StdError;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::attempt::Attempt;
use super::call::Call;
use super::common::Common;
use super::config::Config;
use super::error::Error;
use super::future::ResponseFuture;
use super::identity::Identity;
use super::outgoing::Outgoing;
use super::read_body::ReadBody;
use super::request_body::RequestBody;
use super::resend::prepare;
use super::unsent::{Sent, Unsent};
use crate::account::{Account, Signer};
use crate::body::ReadAhead;
use crate::provider::{BodyNeeded, Provider as _};

/// The service of a [`MacAuthLayer`](super::MacAuthLayer). See the [module docs](super).
#[derive(Clone)]
pub struct MacAuth<S, A = Account> {
    inner: S,
    common: Arc<Common<S, A>>,
}

impl<S, A> MacAuth<S, A> {
    pub(super) fn new(inner: S, config: Arc<Config<A>>) -> Self {
        let common = Arc::new(Common::new(config));
        Self { inner, common }
    }

    /// The same layer around something made of the inner service.
    #[cfg(any(feature = "reqwest_012", feature = "reqwest_013"))]
    pub(crate) fn around<T>(&self, make: impl FnOnce(&S) -> T) -> MacAuth<T, A> {
        MacAuth::new(make(&self.inner), Arc::clone(&self.common.config))
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service. What is changed holds for requests to come, also when they are sent again.
    pub fn get_mut(&mut self) -> &mut S {
        // What was kept of it, alone or by other clones, is as it was.
        self.common = Arc::new(Common::new(Arc::clone(&self.common.config)));
        &mut self.inner
    }

    /// Compiles if this is a service for requests with a body `B` (and responses with a body `R`, to be
    /// left to the compiler: `check::<B, _>()`), and changes nothing. If it is not,
    /// the compiler names what the inner service lacks, where it would otherwise only say that some
    /// method of a stack does not exist.
    ///
    /// The usual faults: the inner service is not [`Clone`] (put a `tower::buffer` around it), or it
    /// takes `Request<B>` alone. It has to take `Request<RequestBody<B>>`, so let the compiler infer
    /// the body type of a hyper client.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn check(account: tower_mac_auth::account::Account, client: tower_mac_auth::testing::Api) {
    /// use bytes::Bytes;
    /// use http_body_util::Full;
    /// use tower_mac_auth::layer::{Layer, MacAuthLayer};
    ///
    /// let client = MacAuthLayer::new(account).layer(client).check::<Full<Bytes>, _>();
    /// # }
    /// ```
    ///
    /// ```compile_fail,E0277
    /// # fn check(account: tower_mac_auth::account::Account) {
    /// use bytes::Bytes;
    /// use http_body_util::Full;
    /// use hyper_util::client::legacy::{Client, connect::HttpConnector};
    /// use hyper_util::rt::TokioExecutor;
    /// use tower_mac_auth::layer::{Layer, MacAuthLayer};
    ///
    /// // The body's type should have been left open.
    /// let client: Client<HttpConnector, Full<Bytes>> =
    ///     Client::builder(TokioExecutor::new()).build_http();
    /// let client = MacAuthLayer::new(account).layer(client).check::<Full<Bytes>, _>();
    /// # }
    /// ```
    #[must_use]
    pub fn check<B, R>(self) -> Self
    where
        S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
        B: Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
        R: Body + Unpin,
        A: Identity,
    {
        self
    }

    /// The inner service, without the layer.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R, A> Service<Request<B>> for MacAuth<S, A>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    R: Body + Unpin,
    A: Identity,
{
    type Response = Response<ReadAhead<R>>;
    type Error = Error<S::Error>;
    type Future = ResponseFuture<S, B, R, A>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Service)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = match Call::new(&self.common, request.extensions_mut().remove()) {
            Ok(call) => call,
            Err(error) => {
                if self.common.config.is_unsigned(&request) {
                    return self.pass(request);
                }
                self.give_back();
                return ResponseFuture::unsigned(error);
            }
        };
        let cap = call.config().resend_cap;
        let needed = call
            .provider()
            .needs_body(request.method(), request.headers());
        if let BodyNeeded::UpTo(most) = needed {
            if self.common.config.is_unsigned(&request) {
                return self.pass(request);
            }
            let body = ReadBody::new(request, most, cap);
            return ResponseFuture::unsent(call, Unsent::with_body(body, self.take_ready()));
        }
        let ready = match call.account().signer() {
            Signer::Ready(ready) => ready,
            Signer::Wait(refresh) => {
                if self.common.config.is_unsigned(&request) {
                    return self.pass(request);
                }
                let outgoing = Outgoing::new(request, cap);
                let unsent = Unsent::without_credential(refresh, outgoing, self.give_back());
                return ResponseFuture::unsent(call, unsent);
            }
        };
        // Here, and by way of no function of ours, and before anything is written to it: a request
        // is large to move.
        let (head, body) = request.into_parts();
        let (body, handle) = RequestBody::resendable(body, cap);
        let mut request = Request::from_parts(head, body);
        let resend = match prepare(&call, &self.inner, &mut request, None, handle, &ready) {
            Ok(resend) => resend,
            Err(_) if self.common.config.is_unsigned(&request) => {
                return ResponseFuture::passed(self.inner.call(request));
            }
            Err(error) => {
                call.counters().not_sent();
                self.give_back();
                return ResponseFuture::unsigned(error);
            }
        };
        if call.config().report_every_attempt {
            Attempt::FIRST.report(ready.generation(), request.extensions_mut());
        }
        let sent = Sent {
            generation: ready.generation(),
            resend,
            future: self.inner.call(request),
        };
        ResponseFuture::sent(call, sent)
    }
}

impl<S: fmt::Debug, A: fmt::Debug> fmt::Debug for MacAuth<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MacAuth")
            .field("inner", &self.inner)
            .field("config", &self.common.config)
            .finish()
    }
}

impl<S, A: Identity> MacAuth<S, A> {
    /// Sends a request as it is.
    #[cold]
    fn pass<B: Body, R>(&mut self, request: Request<B>) -> ResponseFuture<S, B, R, A>
    where
        S: Service<Request<RequestBody<B>>, Response = Response<R>>,
        R: Body,
    {
        let request = request.map(|body| RequestBody::resendable(body, 0).0);
        ResponseFuture::passed(self.inner.call(request))
    }
}

impl<S: Clone, A> MacAuth<S, A> {
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
