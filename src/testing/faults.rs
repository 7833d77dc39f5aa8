use std::collections::VecDeque;
use std::time::Duration;

use http::StatusCode;

use crate::provider::xiaomi::ErrorCode;

/// How a [`Provider`](super::Provider)'s token endpoint fails.
///
/// In process each is what a real transport makes of it; on a socket it is the real thing. Unless
/// it says otherwise, a fault comes **before** the endpoint acts: what was presented is as good
/// as before, though the client often cannot know. [`consumed`](Fault::consumed) makes the
/// endpoint act first, so that only the answer is lost.
///
/// | fault | [`Outcome`](crate::token::Outcome) at the client |
/// |---|---|
/// | `Delay` | what it would have been, or ambiguous when the client did not wait |
/// | `ConnectionRefused` | unsent |
/// | `RateLimited` | rate limited |
/// | `RefuseWith` | refused |
/// | `Compressed` | what it would have been |
/// | all others | ambiguous |
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Waits, in tokio's time, then acts and answers as always.
    Delay(Duration),
    /// Answers with this status and no JSON: `503`, say.
    ServerError(StatusCode),
    /// Turns the request away with a 429 and no JSON, before it has looked at it: it is no
    /// [`Presentation`](super::Presentation).
    RateLimited {
        /// What `Retry-After` says, in whole seconds; `None` if there is none.
        retry_after: Option<Duration>,
    },
    /// Answers 200 with bytes that are no JSON, nor UTF-8.
    Garbage,
    /// Acts, and answers as always but in gzip, which nobody asked for, as a CDN does.
    Compressed,
    /// Acts, and answers with the first half of the right answer as if it were whole.
    CutShort,
    /// Answers 200 with nothing.
    Empty200,
    /// Answers 200 with a page of HTML, as a captive portal does.
    Html,
    /// Answers 200 with a body that never ends.
    Endless,
    /// Never answers, and keeps the connection open.
    Hang,
    /// Resets the connection before it acts.
    Reset,
    /// Acts, then resets the connection: short for `Fault::Reset.consumed()`.
    ConsumedThenReset,
    /// Acts, and issues tokens that nobody can sign with: for a MAC algorithm or, in the dialect
    /// `Bearer`, of a type that is not known.
    WrongAlgorithm,
    /// Refuses with this code, as the [dialect](super::Dialect) writes it.
    RefuseWith(ErrorCode),
    /// Nobody listens. On a socket the listener is closed, for the API as well, and opened again
    /// on the same port when the fault is gone; connections that are open stay.
    ///
    /// Put into the queue it turns away one connection in process. On a socket nobody sees who
    /// was turned away, so that it stays until
    /// [`clear_faults`](super::Provider::clear_faults).
    ConnectionRefused,
    /// The endpoint acts first, then fails: see [`Fault::consumed`].
    Consumed(Box<Fault>),
}

impl Fault {
    /// The same fault after the endpoint has acted: the refresh token is spent, its successor
    /// issued, and the answer lost in this way. `Delay` delays the answer, not the deed.
    ///
    /// `ConnectionRefused` stays as it is: nothing arrives that could be acted on.
    #[must_use]
    pub fn consumed(self) -> Self {
        match self {
            Self::ConnectionRefused | Self::Consumed(_) => self,
            other => Self::Consumed(Box::new(other)),
        }
    }
}

/// The faults to come.
#[derive(Debug, Default)]
pub(super) struct Faults {
    queue: VecDeque<Fault>,
    /// In force whenever the queue is empty.
    always: Option<Fault>,
}

impl Faults {
    pub(super) fn push(&mut self, fault: Fault) {
        self.queue.push_back(fault);
    }

    pub(super) fn set_always(&mut self, fault: Fault) {
        self.always = Some(fault);
    }

    pub(super) fn clear(&mut self) -> Vec<Fault> {
        self.always = None;
        std::mem::take(&mut self.queue).into()
    }

    /// Whether a connection would be refused now.
    pub(super) fn refuse_connections(&self) -> bool {
        self.queue.front().or(self.always.as_ref()) == Some(&Fault::ConnectionRefused)
    }

    /// Whether this connection is refused; one in the queue is then done with.
    pub(super) fn take_refused_connection(&mut self) -> bool {
        let refused = self.refuse_connections();
        if refused {
            self.queue.pop_front();
        }
        refused
    }

    /// The fault for a request that has arrived.
    pub(super) fn take(&mut self) -> Option<Fault> {
        // A request that has arrived came by a connection that was open before: it is too late
        // to refuse it.
        if self.refuse_connections() {
            return None;
        }
        self.queue.pop_front().or_else(|| self.always.clone())
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "transport")]
    use super::super::Server;
    use super::super::by_hand::{refresh, refresh_token, rotated};
    use super::super::{Dialect, Presented, Provider};
    use super::*;
    use crate::provider::http_mac::Draft;
    use crate::provider::{Bearer, HttpMac};
    use crate::sign::Algorithm;
    use crate::token::{AmbiguousKind, Outcome, TokenEndpoint, UnsentKind};

    const HOUR: Duration = Duration::from_secs(3600);

    /// The outcome, in short.
    #[derive(Debug, PartialEq)]
    enum Seen {
        Tokens,
        Unsent(UnsentKind),
        RateLimited(Option<Duration>),
        Refused(String),
        Ambiguous(AmbiguousKind),
    }

    impl From<Outcome> for Seen {
        fn from(outcome: Outcome) -> Self {
            match outcome {
                Outcome::Tokens(_) => Self::Tokens,
                Outcome::Unsent(unsent) => Self::Unsent(unsent.kind()),
                Outcome::RateLimited(limited) => Self::RateLimited(limited.retry_after()),
                Outcome::Refused(refusal) => Self::Refused(refusal.code().to_owned()),
                Outcome::Ambiguous(ambiguous) => Self::Ambiguous(ambiguous.kind()),
            }
        }
    }

    /// Every fault: what the client sees, and whether the token is spent.
    fn every_fault() -> Vec<(Fault, Seen, bool)> {
        use AmbiguousKind::{Empty, Field, Lost, Status, Timeout, TooLong, Unreadable};
        let seen = Seen::Ambiguous;
        let busy = StatusCode::SERVICE_UNAVAILABLE;
        let moment = Duration::from_millis(1);
        let denied = ErrorCode::Denied;
        let refused = || Seen::Refused("96012".to_owned());
        vec![
            (Fault::Delay(moment), Seen::Tokens, true),
            (Fault::Delay(moment).consumed(), Seen::Tokens, true),
            (Fault::Delay(HOUR), seen(Timeout), false),
            (Fault::Delay(HOUR).consumed(), seen(Timeout), true),
            (Fault::ServerError(busy), seen(Status(busy)), false),
            (
                Fault::ServerError(busy).consumed(),
                seen(Status(busy)),
                true,
            ),
            (Fault::Garbage, seen(Unreadable), false),
            (Fault::Compressed, Seen::Tokens, true),
            (Fault::Compressed.consumed(), Seen::Tokens, true),
            (Fault::CutShort, seen(Unreadable), true),
            (Fault::CutShort.consumed(), seen(Unreadable), true),
            (Fault::Empty200, seen(Empty), false),
            (Fault::Html, seen(Unreadable), false),
            (Fault::Endless, seen(TooLong), false),
            (Fault::Hang, seen(Timeout), false),
            (Fault::Hang.consumed(), seen(Timeout), true),
            (Fault::Reset, seen(Lost), false),
            (Fault::Reset.consumed(), seen(Lost), true),
            (Fault::ConsumedThenReset, seen(Lost), true),
            (Fault::WrongAlgorithm, seen(Field), true),
            (Fault::WrongAlgorithm.consumed(), seen(Field), true),
            (Fault::RefuseWith(denied), refused(), false),
            (Fault::RefuseWith(denied).consumed(), refused(), true),
        ]
    }

    async fn each_fault_is_seen_as_it_should<P: crate::provider::Provider>(
        provider: &Provider,
        endpoint: &TokenEndpoint<P>,
    ) {
        for (fault, expected, spent) in every_fault() {
            let tokens = provider.issue(HOUR);
            provider.clear_records();
            provider.fault_next(fault.clone());
            let seen = Seen::from(refresh(endpoint, &refresh_token(&tokens)).await);
            assert_eq!(seen, expected, "{fault:?}");
            assert_eq!(provider.token_requests(), 1, "{fault:?}");
            let [presentation] = &provider.presentations()[..] else {
                panic!("{fault:?}")
            };
            let outcome = if spent {
                Presented::Rotated
            } else {
                Presented::NotActedOn
            };
            assert_eq!(presentation.outcome, outcome, "{fault:?}");
            if !spent {
                rotated(endpoint, &tokens).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_fault_in_process_is_what_a_network_would_make_of_it() {
        let provider = Provider::new();
        each_fault_is_seen_as_it_should(&provider, &provider.endpoint()).await;
    }

    fn bearer() -> Provider {
        Provider::builder().dialect(Dialect::Bearer).build()
    }

    #[tokio::test(start_paused = true)]
    async fn each_fault_is_the_same_in_every_dialect() {
        let provider = bearer();
        let endpoint = provider.endpoint_of(Bearer::new(provider.oauth2()));
        each_fault_is_seen_as_it_should(&provider, &endpoint).await;
        let dialect = Dialect::HttpMac(Draft::V01, Algorithm::HmacSha256);
        let provider = Provider::builder().dialect(dialect).build();
        let endpoint = provider.endpoint_of(HttpMac::new(provider.oauth2(), Draft::V01));
        each_fault_is_seen_as_it_should(&provider, &endpoint).await;
    }

    #[cfg(feature = "transport")]
    async fn each_fault_on_a_socket<P: crate::provider::Provider>(
        provider: Provider,
        client: impl FnOnce(&Server) -> P,
    ) {
        let server = provider.serve().await.unwrap();
        let transport = crate::token::HyperTransport::new()
            .unwrap()
            .answer_timeout(Duration::from_millis(300));
        let endpoint = TokenEndpoint::builder(client(&server))
            .transport(transport)
            .build()
            .unwrap();
        each_fault_is_seen_as_it_should(&provider, &endpoint).await;
    }

    #[cfg(feature = "transport")]
    #[tokio::test]
    async fn each_fault_on_a_socket_is_the_real_thing() {
        each_fault_on_a_socket(Provider::new(), Server::xiaomi).await;
        each_fault_on_a_socket(bearer(), |server| Bearer::new(server.oauth2())).await;
    }

    async fn a_rate_limit_is_no_presentation(provider: &Provider, endpoint: &TokenEndpoint) {
        let token = refresh_token(&provider.issue(HOUR));
        let second = Duration::from_secs(1);
        for retry_after in [None, Some(second)] {
            provider.fault_next(Fault::RateLimited { retry_after });
            let seen = Seen::from(refresh(endpoint, &token).await);
            assert_eq!(seen, Seen::RateLimited(retry_after));
        }
        assert_eq!(provider.token_requests(), 2);
        assert!(provider.presentations().is_empty());
        assert_eq!(Seen::from(refresh(endpoint, &token).await), Seen::Tokens);
        assert!(provider.presented_twice().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_limit_in_process_looks_at_no_token() {
        let provider = Provider::new();
        a_rate_limit_is_no_presentation(&provider, &provider.endpoint()).await;
        let token = refresh_token(&provider.issue(HOUR));
        let lie = Fault::RateLimited { retry_after: None }.consumed();
        provider.fault_next(lie);
        let seen = Seen::from(refresh(&provider.endpoint(), &token).await);
        assert_eq!(seen, Seen::RateLimited(None));
        let last = provider.presentations().pop().unwrap();
        assert_eq!(last.outcome, Presented::Rotated);
    }

    #[cfg(feature = "transport")]
    #[tokio::test]
    async fn a_rate_limit_on_a_socket_is_the_real_thing() {
        let provider = Provider::new();
        let server = provider.serve().await.unwrap();
        a_rate_limit_is_no_presentation(&provider, &server.endpoint().unwrap()).await;
    }

    #[tokio::test]
    async fn a_refused_connection_in_the_queue_turns_one_away_in_process() {
        let provider = Provider::new();
        let endpoint = provider.endpoint();
        let token = refresh_token(&provider.issue(HOUR));
        provider.fault_next(Fault::ConnectionRefused.consumed());
        let seen = Seen::from(refresh(&endpoint, &token).await);
        assert_eq!(seen, Seen::Unsent(UnsentKind::Connect));
        assert_eq!(provider.token_requests(), 0);
        assert_eq!(Seen::from(refresh(&endpoint, &token).await), Seen::Tokens);
    }

    #[cfg(feature = "transport")]
    #[tokio::test]
    async fn a_closed_listener_opens_again_on_the_same_port() {
        let provider = Provider::new();
        let server = provider.serve().await.unwrap();
        let endpoint = server.endpoint().unwrap();
        let mut tokens = provider.issue(HOUR);
        for _ in 0..3 {
            provider.fault_always(Fault::ConnectionRefused);
            assert!(!server.is_listening());
            let seen = Seen::from(refresh(&endpoint, &refresh_token(&tokens)).await);
            assert_eq!(seen, Seen::Unsent(UnsentKind::Connect));
            provider.clear_faults();
            assert!(server.is_listening());
            tokens = rotated(&endpoint, &tokens).await;
        }
    }

    #[tokio::test]
    async fn the_queue_comes_before_what_is_always_so() {
        let provider = Provider::new();
        let endpoint = provider.endpoint();
        let token = refresh_token(&provider.issue(HOUR));
        provider.fault_always(Fault::Reset);
        provider.fault_next(Fault::Empty200);
        provider.fault_next(Fault::ConnectionRefused);
        for expected in [
            Seen::Ambiguous(AmbiguousKind::Empty),
            Seen::Unsent(UnsentKind::Connect),
            Seen::Ambiguous(AmbiguousKind::Lost),
            Seen::Ambiguous(AmbiguousKind::Lost),
        ] {
            assert_eq!(Seen::from(refresh(&endpoint, &token).await), expected);
        }
        provider.clear_faults();
        assert_eq!(Seen::from(refresh(&endpoint, &token).await), Seen::Tokens);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_away_while_it_waits_has_presented_its_token() {
        let provider = Provider::new();
        let endpoint = provider.endpoint();
        let token = refresh_token(&provider.issue(HOUR));
        provider.fault_next(Fault::Delay(HOUR));
        let gone = tokio::time::timeout(HOUR / 120 / 2, refresh(&endpoint, &token)).await;
        assert!(gone.is_err());
        assert_eq!(provider.presentations()[0].outcome, Presented::NotActedOn);
        let _ = refresh(&endpoint, &token).await;
        assert_eq!(provider.presented_twice().len(), 1);
    }
}
