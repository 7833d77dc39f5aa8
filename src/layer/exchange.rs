//! One request of an account, and what becomes of it.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::attempt::Attempt;
use super::call::Call;
use super::error::Error;
use super::identity::Identity;
use super::refusal::{Inspect, Inspected, Inspection, Reading, settle};
use super::request_body::RequestBody;
use super::resend::Resend;
use super::unsent::{Sent, Unsent};
use crate::account::Refresh;
use crate::body::ReadAhead;
use crate::store::Generation;

pin_project! {
    // A request of an account, and its response.
    pub(super) struct Exchange<S, B, R, A>
    where
        S: Service<Request<RequestBody<B>>>,
        R: Body,
        A: Identity,
    {
        call: Call<S, A>,
        // What signed the latest attempt.
        generation: Generation,
        attempt: Attempt,
        // `None` for a request that cannot be sent again, and once it was.
        resend: Option<Box<Resend<B>>>,
        #[pin]
        state: State<S, B, R>,
    }
}

pin_project! {
    // Each state names what is waited for. An inner future and a refused response are dropped
    // before the service is made ready again: they may hold the very permit it waits for.
    #[project = StateProjection]
    enum State<S, B, R>
    where
        S: Service<Request<RequestBody<B>>>,
        R: Body,
    {
        Unsent { unsent: Box<Unsent<S, B>> },
        Called { #[pin] future: S::Future },
        Inspecting { inspect: Inspect<R> },
        // The credential was refused; the refusal is kept, should the refresh fail.
        Refreshing { refresh: Refresh, refused: Option<Box<Response<ReadAhead<R>>>> },
        Done,
    }
}

pub(super) type Answer<R, E> = Result<Response<ReadAhead<R>>, Error<E>>;

/// How a poll goes on.
enum Next<S, B, R>
where
    S: Service<Request<RequestBody<B>>>,
    R: Body,
{
    State(State<S, B, R>),
    End(Answer<R, S::Error>),
}

impl<S, B, R, A> Exchange<S, B, R, A>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    R: Body,
    A: Identity,
{
    /// The request cannot be sent yet.
    pub(super) fn unsent(call: Call<S, A>, unsent: Unsent<S, B>) -> Self {
        let unsent = Box::new(unsent);
        Self::first(call, Generation::default(), None, State::Unsent { unsent })
    }

    /// The request is on its way.
    #[inline]
    pub(super) fn sent(call: Call<S, A>, sent: Sent<S, B>) -> Self {
        let future = sent.future;
        Self::first(call, sent.generation, sent.resend, State::Called { future })
    }

    #[inline]
    fn first(
        call: Call<S, A>,
        generation: Generation,
        resend: Option<Box<Resend<B>>>,
        state: State<S, B, R>,
    ) -> Self {
        Self {
            call,
            generation,
            attempt: Attempt::FIRST,
            resend,
            state,
        }
    }
}

impl<S, B, R, A> Exchange<S, B, R, A>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    R: Body + Unpin,
    A: Identity,
{
    pub(super) fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Answer<R, S::Error>> {
        loop {
            let this = self.as_mut().project();
            let (config, provider) = (this.call.config(), this.call.provider());
            let next = match this.state.project() {
                StateProjection::Unsent { unsent } => {
                    match ready!(unsent.poll(this.call, *this.attempt, cx)) {
                        Ok(sent) => {
                            *this.generation = sent.generation;
                            *this.resend = sent.resend;
                            let future = sent.future;
                            Next::State(State::Called { future })
                        }
                        Err(Error::Auth(error)) if *this.attempt != Attempt::FIRST => {
                            this.call.counters().handed_back();
                            Next::End(Err(Error::Auth(error.of_resend())))
                        }
                        Err(error) => {
                            this.call.counters().not_sent();
                            Next::End(Err(error))
                        }
                    }
                }
                StateProjection::Called { future } => match ready!(future.poll(cx)) {
                    Ok(response) => {
                        let mut response = response.map(ReadAhead::new);
                        let mut reading = Reading::new(provider, &response);
                        let _ = reading.advance(provider, &mut response, cx);
                        // What nearly every response is.
                        if reading.is_clear()
                            && *this.attempt == Attempt::FIRST
                            && !config.report_every_attempt
                        {
                            this.call.counters().sent();
                            self.project().state.set(State::Done);
                            return Poll::Ready(Ok(response));
                        }
                        let limit = config.inspection_limit;
                        match settle(provider, limit, reading, response, cx) {
                            Inspection::Done(inspected) => self.as_mut().conclude(inspected),
                            Inspection::Waiting(inspect) => {
                                Next::State(State::Inspecting { inspect })
                            }
                        }
                    }
                    Err(error) => {
                        this.call.counters().ended(*this.attempt == Attempt::FIRST);
                        Next::End(Err(Error::Service(error)))
                    }
                },
                StateProjection::Inspecting { inspect } => {
                    let inspected = ready!(inspect.poll(provider, cx));
                    self.as_mut().conclude(inspected)
                }
                StateProjection::Refreshing { refresh, refused } => {
                    let refreshed = ready!(Pin::new(refresh).poll(cx));
                    match (refreshed, refused.take()) {
                        (Ok(_), Some(refused)) => self.as_mut().resend(*refused),
                        (Err(error), Some(mut refused)) => {
                            this.call.counters().handed_back();
                            refused.extensions_mut().insert(error);
                            Next::End(Ok(*refused))
                        }
                        (_, None) => finished(),
                    }
                }
                StateProjection::Done => finished(),
            };
            match next {
                Next::State(state) => self.as_mut().project().state.set(state),
                Next::End(end) => {
                    self.project().state.set(State::Done);
                    return Poll::Ready(end);
                }
            }
        }
    }

    /// The response to an attempt: hand it out, or do something about a refusal.
    #[inline]
    fn conclude(mut self: Pin<&mut Self>, inspected: Inspected<R>) -> Next<S, B, R> {
        let Inspected {
            refusal,
            mut response,
        } = inspected;
        let this = self.as_mut().project();
        let first = *this.attempt == Attempt::FIRST;
        if refusal.is_some() || !first || this.call.config().report_every_attempt {
            let extensions = response.extensions_mut();
            this.attempt.report(*this.generation, extensions);
        }
        let Some(refusal) = refusal else {
            this.call.counters().ended(first);
            return Next::End(Ok(response));
        };
        let refresh = this.call.remedy(refusal, *this.generation, &response);
        match (refresh, this.resend) {
            (Some(refresh), Some(resend)) if resend.is_possible() => {
                resend.take_over_after(&response);
                let refused = Some(Box::new(response));
                Next::State(State::Refreshing { refresh, refused })
            }
            (Some(_), _) => {
                this.call.counters().handed_back();
                Next::End(Ok(response))
            }
            (None, _) => self.resend(response),
        }
    }

    /// Lets go of the refusal and has the request sent a second and last time, if its body can be.
    fn resend(self: Pin<&mut Self>, refused: Response<ReadAhead<R>>) -> Next<S, B, R> {
        let this = self.project();
        let resend = this.resend.take();
        let outgoing = resend.and_then(|resend| resend.into_outgoing());
        let Some((outgoing, service)) = outgoing.zip(this.call.common.spare()) else {
            this.call.counters().handed_back();
            return Next::End(Ok(refused));
        };
        *this.attempt = Attempt::RESEND;
        let unsent = Box::new(Unsent::until_ready(outgoing, service));
        Next::State(State::Unsent { unsent })
    }
}

/// A future is not polled again once it was ready.
#[cold]
pub(super) fn finished() -> ! {
    panic!("`ResponseFuture` polled after it was ready")
}
