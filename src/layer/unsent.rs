//! A request that cannot be sent yet.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::attempt::Attempt;
use super::call::Call;
use super::error::{AuthError, Error};
use super::identity::Identity;
use super::outgoing::Outgoing;
use super::read_body::ReadBody;
use super::request_body::RequestBody;
use super::resend::{Resend, prepare};
use crate::account::{Ready, Refresh, Signer};
use crate::provider::Provider;
use crate::store::Generation;

/// A request that cannot be sent yet, and the service that will send it.
pub(super) struct Unsent<S, B> {
    waits_for: WaitsFor<B>,
    /// `None` while its body is read, and once it was sent.
    outgoing: Option<Outgoing<B>>,
    service: S,
}

enum WaitsFor<B> {
    /// Its body, which is to be signed. The service is ready all the time, as if the body
    /// were read by the service itself.
    Body(Box<ReadBody<B>>),
    /// A live credential. The service is not ready: whoever waits for a credential holds nothing
    /// that others need.
    Credential(Refresh),
    /// The service, to be ready.
    Service,
}

type Attempted<S, B> = Result<Sent<S, B>, Error<<S as Service<Request<RequestBody<B>>>>::Error>>;

/// An attempt that was made.
pub(super) struct Sent<S, B>
where
    S: Service<Request<RequestBody<B>>>,
{
    /// What signed it.
    pub(super) generation: Generation,
    /// `None` if it cannot be sent again.
    pub(super) resend: Option<Box<Resend<B>>>,
    pub(super) future: S::Future,
}

impl<S, B> Unsent<S, B> {
    /// Its body is read first. `service` is ready.
    pub(super) fn with_body(body: ReadBody<B>, service: S) -> Self {
        Self {
            waits_for: WaitsFor::Body(Box::new(body)),
            outgoing: None,
            service,
        }
    }

    /// Waits for a credential, and then for the service. `service` is not ready.
    pub(super) fn without_credential(refresh: Refresh, outgoing: Outgoing<B>, service: S) -> Self {
        Self {
            waits_for: WaitsFor::Credential(refresh),
            outgoing: Some(outgoing),
            service,
        }
    }

    /// Waits for the service, which is not ready.
    pub(super) fn until_ready(outgoing: Outgoing<B>, service: S) -> Self {
        Self {
            waits_for: WaitsFor::Service,
            outgoing: Some(outgoing),
            service,
        }
    }
}

impl<S, B, R> Unsent<S, B>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    /// Sends the request as soon as it can be.
    ///
    /// # Panics
    ///
    /// If it is polled after it was ready.
    pub(super) fn poll<A: Identity>(
        &mut self,
        call: &Call<S, A>,
        attempt: Attempt,
        cx: &mut Context<'_>,
    ) -> Poll<Attempted<S, B>> {
        loop {
            match &mut self.waits_for {
                WaitsFor::Body(body) => {
                    self.outgoing = Some(ready!(body.poll(cx)).map_err(Error::Auth)?);
                }
                WaitsFor::Credential(refresh) => {
                    ready!(Pin::new(refresh).poll(cx))
                        .map_err(|error| Error::Auth(error.into()))?;
                    self.waits_for = WaitsFor::Service;
                    continue;
                }
                WaitsFor::Service => {
                    ready!(self.service.poll_ready(cx)).map_err(Error::Service)?;
                }
            }
            match call.account().signer() {
                Signer::Ready(ready) => {
                    let Some(outgoing) = self.outgoing.take() else {
                        panic!("an `Unsent` was polled after it was ready");
                    };
                    let sent = self.send(call, attempt, outgoing, &ready);
                    return Poll::Ready(sent.map_err(Error::Auth));
                }
                // The credential ended meanwhile.
                Signer::Wait(refresh) => {
                    self.service = self.service.clone();
                    self.waits_for = WaitsFor::Credential(refresh);
                }
            }
        }
    }

    /// The service is ready.
    fn send<A: Identity>(
        &mut self,
        call: &Call<S, A>,
        attempt: Attempt,
        outgoing: Outgoing<B>,
        ready: &Ready<<A::Provider as Provider>::Credential>,
    ) -> Result<Sent<S, B>, AuthError> {
        let Outgoing {
            mut request,
            handle,
            signed,
        } = outgoing;
        let signed = signed.as_ref();
        let resend = prepare(call, &self.service, &mut request, signed, handle, ready)?;
        if attempt != Attempt::FIRST || call.config().report_every_attempt {
            attempt.report(ready.generation(), request.extensions_mut());
        }
        Ok(Sent {
            generation: ready.generation(),
            resend,
            future: self.service.call(request),
        })
    }
}
