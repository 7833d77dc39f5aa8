use std::collections::VecDeque;
use std::time::Duration;

use http::StatusCode;

use crate::token::ErrorCode;

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
/// | `RefuseWith` | refused |
/// | all others | ambiguous |
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Waits, in tokio's time, then acts and answers as always.
    Delay(Duration),
    /// Answers with this status and no JSON: `503`, say.
    ServerError(StatusCode),
    /// Answers 200 with bytes that are no JSON, nor UTF-8.
    Garbage,
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
    /// Acts, and issues tokens for a MAC algorithm that nobody knows.
    WrongAlgorithm,
    /// Refuses with this code.
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

    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.always = None;
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
