mod replay;
mod verdict;

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

pub(super) use self::replay::{Replay, prepare};
use super::form::ReadForm;
use super::refusal::{Inspect, Inspection, Reading, settle};
use super::service::{Call, Outgoing};
use super::{Attempt, AuthError, Error, Identity, RefusalPolicy, RequestBody, ResponseBody};
use crate::account::Refresh;
use crate::sign::Scheme;
use crate::store::Generation;

pin_project! {
    /// The future of [`MacAuth`](super::MacAuth).
    ///
    /// # Cancel safety
    ///
    /// Dropping it cancels the request. A refresh it waited for goes on: it is the account's.
    #[must_use = "futures do nothing unless polled"]
    pub struct MacAuthFuture<S, B, R, Sch, P, A>
    where
        S: Service<Request<RequestBody<B>>>,
        R: Body,
        A: Identity,
    {
        #[pin]
        kind: Kind<S, B, R, Sch, P, A>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<S, B, R, Sch, P, A>
    where
        S: Service<Request<RequestBody<B>>>,
        R: Body,
        A: Identity,
    {
        // It could not be signed, or nobody is there to sign it.
        Unsigned { error: Option<AuthError> },
        Exchange { #[pin] exchange: Exchange<S, B, R, Sch, P, A> },
    }
}

pin_project! {
    // A request of an account, and its response.
    struct Exchange<S, B, R, Sch, P, A>
    where
        S: Service<Request<RequestBody<B>>>,
        R: Body,
        A: Identity,
    {
        call: Call<Sch, P, A>,
        // What signed the latest attempt.
        generation: Generation,
        attempt: Attempt,
        // `None` for a request that cannot be replayed, and once it was.
        replay: Option<Box<Replay<S, B>>>,
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
        // The body of a form is read, to be signed.
        Form { form: Box<(ReadForm<B>, Option<S>)> },
        // There is no live credential: the request waits for one, unsigned. Its service is not
        // ready: whoever waits for a credential holds no permit that others need.
        Parked { refresh: Refresh, parked: Option<Box<(Outgoing<B>, S)>> },
        // The credential is there: the service is made ready.
        Unparking { parked: Option<Box<(Outgoing<B>, S)>> },
        Called { #[pin] future: S::Future },
        Inspecting { inspect: Inspect<R> },
        // The credential was refused; the refusal is kept, should the refresh fail.
        Refreshing { refresh: Refresh, refused: Option<Box<Response<ResponseBody<R>>>> },
        // A newer credential or a corrected clock is there: the service is made ready again.
        Readying,
        Failed { error: Option<AuthError> },
        Done,
    }
}

/// How a poll goes on.
enum Next<S, B, R>
where
    S: Service<Request<RequestBody<B>>>,
    R: Body,
{
    State(State<S, B, R>),
    Respond(Response<ResponseBody<R>>),
}

impl<S, B, R, Sch, P, A> MacAuthFuture<S, B, R, Sch, P, A>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    R: Body + Unpin,
    Sch: Scheme,
    A: Identity,
{
    fn new(call: Call<Sch, P, A>, state: State<S, B, R>) -> Self {
        let exchange = Exchange {
            call,
            generation: Generation::default(),
            attempt: Attempt::FIRST,
            replay: None,
            state,
        };
        let kind = Kind::Exchange { exchange };
        Self { kind }
    }

    /// The request was signed by `generation` and is on its way.
    #[inline]
    pub(super) fn called(
        call: Call<Sch, P, A>,
        generation: Generation,
        replay: Option<Box<Replay<S, B>>>,
        future: S::Future,
    ) -> Self {
        let exchange = Exchange {
            call,
            generation,
            attempt: Attempt::FIRST,
            replay,
            state: State::Called { future },
        };
        let kind = Kind::Exchange { exchange };
        Self { kind }
    }

    /// The request cannot be signed.
    #[cold]
    pub(super) fn unsigned(error: AuthError) -> Self {
        let error = Some(error);
        let kind = Kind::Unsigned { error };
        Self { kind }
    }

    /// Waits for a credential. `service` is not ready.
    pub(super) fn park(
        call: Call<Sch, P, A>,
        service: S,
        request: Request<B>,
        refresh: Refresh,
    ) -> Self {
        let outgoing = Outgoing::new(request, call.config.replay_cap);
        Self::new(
            call,
            State::Parked {
                refresh,
                parked: Some(Box::new((outgoing, service))),
            },
        )
    }

    /// Reads the form to be signed. `service` is ready.
    pub(super) fn read_form(call: Call<Sch, P, A>, service: S, request: Request<B>) -> Self {
        let form = ReadForm::new(request, call.config.replay_cap);
        Self::new(
            call,
            State::Form {
                form: Box::new((form, Some(service))),
            },
        )
    }
}

impl<S, B, R, Sch, P, A> Future for MacAuthFuture<S, B, R, Sch, P, A>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    R: Body + Unpin,
    Sch: Scheme,
    P: RefusalPolicy,
    A: Identity,
{
    type Output = Result<Response<ResponseBody<R>>, Error<S::Error>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Exchange { exchange } => exchange.poll(cx),
            KindProjection::Unsigned { error } => match error.take() {
                Some(error) => Poll::Ready(Err(Error::Auth(error))),
                None => finished(),
            },
        }
    }
}

impl<S, B, R, Sch, P, A> Future for Exchange<S, B, R, Sch, P, A>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone,
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    R: Body + Unpin,
    Sch: Scheme,
    P: RefusalPolicy,
    A: Identity,
{
    type Output = Result<Response<ResponseBody<R>>, Error<S::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let this = self.as_mut().project();
            let config = &this.call.config;
            let next = match this.state.project() {
                StateProjection::Form { form } => {
                    let (reading, service) = &mut **form;
                    let read = ready!(reading.poll(cx)).map_err(Error::Auth);
                    match (read, service.take()) {
                        (Ok(outgoing), Some(service)) => self.as_mut().go(outgoing, service),
                        (Err(error), _) => return self.fail(error),
                        (_, None) => finished(),
                    }
                }
                StateProjection::Parked { refresh, parked } => {
                    let refreshed = ready!(Pin::new(refresh).poll(cx));
                    match (refreshed, parked.take()) {
                        (Ok(_), parked @ Some(_)) => Next::State(State::Unparking { parked }),
                        (Err(error), _) => return self.fail_unsigned(error.into()),
                        (_, None) => finished(),
                    }
                }
                StateProjection::Unparking { parked } => {
                    let readied = match parked {
                        Some(parked) => ready!(parked.1.poll_ready(cx)),
                        None => finished(),
                    };
                    match (readied, parked.take()) {
                        (Ok(()), Some(parked)) => {
                            let (outgoing, service) = *parked;
                            self.as_mut().go(outgoing, service)
                        }
                        (Err(error), _) => return self.fail(Error::Service(error)),
                        (_, None) => finished(),
                    }
                }
                StateProjection::Called { future } => match ready!(future.poll(cx)) {
                    Ok(response) => {
                        let mut response = response.map(ResponseBody::new);
                        let mut reading = Reading::new(&config.refusals, &response);
                        let _ = reading.advance(&config.refusals, &mut response, cx);
                        // What nearly every response is.
                        if reading.is_clear()
                            && *this.attempt == Attempt::FIRST
                            && !config.report_every_response
                        {
                            self.project().state.set(State::Done);
                            return Poll::Ready(Ok(response));
                        }
                        let limit = config.inspection_limit;
                        match settle(&config.refusals, limit, reading, response, cx) {
                            Inspection::Done(inspected) => self.as_mut().conclude(inspected),
                            Inspection::Waiting(inspect) => {
                                Next::State(State::Inspecting { inspect })
                            }
                        }
                    }
                    Err(error) => return self.fail(Error::Service(error)),
                },
                StateProjection::Inspecting { inspect } => {
                    let inspected = ready!(inspect.poll(&config.refusals, cx));
                    self.as_mut().conclude(inspected)
                }
                StateProjection::Refreshing { refresh, refused } => {
                    let refreshed = ready!(Pin::new(refresh).poll(cx));
                    match (refreshed, refused.take()) {
                        (Ok(_), Some(refused)) => self.as_mut().make_ready(*refused),
                        (Err(error), Some(mut refused)) => {
                            refused.extensions_mut().insert(error);
                            Next::Respond(*refused)
                        }
                        (_, None) => finished(),
                    }
                }
                StateProjection::Readying => {
                    let readied = match this.replay {
                        Some(replay) => ready!(replay.service.poll_ready(cx)),
                        None => finished(),
                    };
                    match readied {
                        Ok(()) => self.as_mut().send_again(),
                        Err(error) => return self.fail(Error::Service(error)),
                    }
                }
                StateProjection::Failed { error } => match error.take() {
                    Some(error) => return self.fail_unsigned(error),
                    None => finished(),
                },
                StateProjection::Done => finished(),
            };
            match next {
                Next::State(state) => self.as_mut().project().state.set(state),
                Next::Respond(response) => {
                    self.as_mut().project().state.set(State::Done);
                    return Poll::Ready(Ok(response));
                }
            }
        }
    }
}

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
    fn fail(self: Pin<&mut Self>, error: Error<S::Error>) -> Poll<<Self as Future>::Output> {
        self.project().state.set(State::Done);
        Poll::Ready(Err(error))
    }

    fn fail_unsigned(self: Pin<&mut Self>, error: AuthError) -> Poll<<Self as Future>::Output> {
        let first = self.attempt == Attempt::FIRST;
        let error = if first { error } else { error.of_replay() };
        self.fail(Error::Auth(error))
    }
}

/// A future is not polled again once it was ready.
#[cold]
fn finished() -> ! {
    panic!("`MacAuthFuture` polled after it was ready")
}
