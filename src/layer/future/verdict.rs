//! What is done about a response, and how a request that had to wait is sent.

use std::error::Error as StdError;
use std::pin::Pin;

use http::{Request, Response, header};
use http_body::Body;
use tower_service::Service;

use super::super::refusal::Inspected;
use super::super::service::Outgoing;
use super::super::{Attempt, Identity, Refusal, RefusalPolicy, RequestBody, ResponseBody};
use super::{Exchange, Next, State, finished, prepare};
use crate::Timestamp;
use crate::account::Signer;
use crate::sign::Scheme;

impl<S, B, R, Sch, P, A> Exchange<S, B, R, Sch, P, A>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    R: Body + Unpin,
    Sch: Scheme,
    P: RefusalPolicy,
    A: Identity,
{
    /// The response to an attempt: hand it out, or do something about a refusal.
    #[inline]
    pub(super) fn conclude(mut self: Pin<&mut Self>, inspected: Inspected<R>) -> Next<S, B, R> {
        let Inspected {
            refusal,
            mut response,
        } = inspected;
        let this = self.as_mut().project();
        let replayed = *this.attempt != Attempt::FIRST;
        if refusal.is_some() || replayed || this.call.config.report_every_response {
            response.extensions_mut().insert(*this.generation);
            response.extensions_mut().insert(*this.attempt);
        }
        let refresh = match refusal {
            None => return Next::Respond(response),
            // Noted even if this request gains nothing by it: the next one will.
            Some(Refusal::TokenRejected) => {
                Some(this.call.account().refresh_if_current(*this.generation))
            }
            Some(Refusal::SignatureRejected) => {
                if let Some(time) = server_time(&response) {
                    this.call.account().correct_clock(time);
                }
                match this.call.account().signer() {
                    Signer::Ready(_) => None,
                    // It ended meanwhile.
                    Signer::Wait(refresh) => Some(refresh),
                }
            }
        };
        match (refresh, this.replay) {
            (Some(refresh), Some(replay)) if replay.is_possible() => {
                replay.take_over_after(&response);
                let refused = Some(Box::new(response));
                Next::State(State::Refreshing { refresh, refused })
            }
            (Some(_), _) => Next::Respond(response),
            (None, _) => self.make_ready(response),
        }
    }

    /// Lets go of the refusal and has the service made ready again, if there is a body to send.
    pub(super) fn make_ready(
        self: Pin<&mut Self>,
        refused: Response<ResponseBody<R>>,
    ) -> Next<S, B, R> {
        let replay = self.project().replay.as_mut();
        if replay.is_some_and(|replay| replay.take_over()) {
            Next::State(State::Readying)
        } else {
            Next::Respond(refused)
        }
    }

    /// The service is ready: sends the request with it, or gives its readiness back and waits
    /// (again) for a credential.
    pub(super) fn go(self: Pin<&mut Self>, outgoing: Outgoing<B>, mut service: S) -> Next<S, B, R> {
        let this = self.project();
        match this.call.account().signer() {
            Signer::Ready(ready) => {
                let Outgoing {
                    mut request,
                    handle,
                    form,
                } = outgoing;
                let form = form.as_ref();
                match prepare(this.call, &service, &mut request, form, handle, &ready) {
                    Ok(replay) => {
                        *this.generation = ready.generation();
                        *this.replay = replay;
                        let future = service.call(request);
                        Next::State(State::Called { future })
                    }
                    Err(error) => Next::State(State::Failed { error: Some(error) }),
                }
            }
            Signer::Wait(refresh) => {
                let unready = service.clone();
                drop(service);
                let parked = Some(Box::new((outgoing, unready)));
                Next::State(State::Parked { refresh, parked })
            }
        }
    }

    /// Signs anew and sends the request a second and last time. The service is ready.
    pub(super) fn send_again(mut self: Pin<&mut Self>) -> Next<S, B, R> {
        let this = self.as_mut().project();
        let Some((outgoing, service)) = this.replay.take().and_then(|replay| replay.outgoing())
        else {
            finished()
        };
        *this.attempt = Attempt::REPLAY;
        // The new credential may be dead already: then it waits for the next, as any request does.
        self.go(outgoing, service)
    }
}

/// The server's clock, as `Date` (RFC 9110 §6.6.1) tells it.
fn server_time<B>(response: &Response<B>) -> Option<Timestamp> {
    let date = response.headers().get(header::DATE)?.to_str().ok()?;
    httpdate::parse_http_date(date).ok().map(Timestamp::from)
}
