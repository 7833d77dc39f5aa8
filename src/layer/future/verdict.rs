//! What is done about a response.

use std::error::Error as StdError;
use std::pin::Pin;

use http::{Request, Response, header};
use http_body::Body;
use tower_service::Service;

use super::super::refusal::Inspected;
use super::super::sign::sign;
use super::super::{Attempt, Refusal, RequestBody, ResponseBody};
use super::{MacAuthFuture, Next, State};
use crate::Timestamp;
use crate::account::Signer;
use crate::sign::Scheme;

impl<S, B, R, Sch, P> MacAuthFuture<S, B, R, Sch, P>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    R: Body,
    Sch: Scheme,
{
    /// The response to an attempt: hand it out, or do something about a refusal.
    #[inline]
    pub(super) fn conclude(self: Pin<&mut Self>, inspected: Inspected<R>) -> Next<S, B, R> {
        let Inspected {
            refusal,
            mut response,
        } = inspected;
        let this = self.project();
        let replayed = *this.attempt != Attempt::FIRST;
        if refusal.is_some() || replayed || this.call.config.report_every_response {
            response.extensions_mut().insert(*this.generation);
            response.extensions_mut().insert(*this.attempt);
        }
        match refusal {
            None => Next::Respond(response),
            Some(Refusal::TokenRejected) => {
                // Noted even if this request gains nothing by it: the next one will.
                let refresh = this.call.account().refresh_if_current(*this.generation);
                match this.replay {
                    Some(replay) if replay.is_possible() => {
                        replay.take_over_after(&response);
                        let refused = Some(Box::new(response));
                        Next::State(State::Refreshing { refresh, refused })
                    }
                    _ => Next::Respond(response),
                }
            }
            Some(Refusal::SignatureRejected) => {
                if let Some(time) = server_time(&response) {
                    this.call.account().correct_clock(time);
                }
                if this.replay.is_some() {
                    Next::State(State::Readying {
                        refused: Some(Box::new(response)),
                    })
                } else {
                    Next::Respond(response)
                }
            }
        }
    }

    /// Signs anew and sends the request a second and last time. The service is ready.
    pub(super) fn send_again(
        self: Pin<&mut Self>,
        refused: Response<ResponseBody<R>>,
    ) -> Next<S, B, R> {
        let this = self.project();
        let Some(mut replay) = this.replay.take() else {
            return Next::Respond(refused);
        };
        let Signer::Ready(ready) = this.call.account().signer() else {
            // The new credential is dead already.
            return Next::Respond(refused);
        };
        let Some(body) = replay.body() else {
            return Next::Respond(refused);
        };
        let mut request = replay.head.map(|()| body);
        match sign(this.call, &ready, &mut request, replay.form.as_deref()) {
            Ok(()) => {
                *this.generation = ready.generation();
                *this.attempt = Attempt::REPLAY;
                Next::State(State::Called {
                    future: replay.service.call(request),
                })
            }
            Err(error) => Next::State(State::Failed { error: Some(error) }),
        }
    }
}

/// The server's clock, as `Date` (RFC 9110 §6.6.1) tells it.
fn server_time<B>(response: &Response<B>) -> Option<Timestamp> {
    let date = response.headers().get(header::DATE)?.to_str().ok()?;
    httpdate::parse_http_date(date).ok().map(Timestamp::from)
}
