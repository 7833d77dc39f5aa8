//! One line in the log for each request, whatever becomes of it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, Uri};
use tower_mac_auth::account::RefreshError;
use tower_mac_auth::layer::Attempt;
use tower_mac_auth::{Clock as _, SystemClock, Timestamp};

use super::tenant::Whose;
use super::{Outcome, Refusal};

/// What of a caller's own text a line repeats at most, in characters.
const MOST: usize = 256;
/// The caller had no answer, and went away: no status that goes over the wire, and what other proxies write
/// in their logs.
const CLOSED: u16 = 499;

/// Counts what became of a request.
pub(crate) type Count = Arc<dyn Fn(Outcome) + Send + Sync>;

/// What is known of a request: written when it is dropped.
pub(crate) struct Line {
    method: Method,
    /// Only its path is shown: queries have secrets.
    uri: Uri,
    pub(super) account: Option<Whose>,
    since: Timestamp,
    count: Count,
    /// `None` until it has an answer.
    status: Option<StatusCode>,
    attempt: u8,
    why: Option<Cow<'static, str>>,
}

impl Line {
    pub(super) fn of<B>(request: &Request<B>, count: Count) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            account: None,
            since: SystemClock.now(),
            count,
            status: None,
            attempt: 0,
            why: None,
        }
    }

    /// The API answered.
    pub(super) fn passed<B>(&mut self, response: &Response<B>) {
        let attempt = response.extensions().get::<Attempt>();
        let status = response.status();
        let resent = attempt == Some(&Attempt::RESEND);
        let refresh = response.extensions().get::<RefreshError>();
        self.why = refresh.map(|error| match error.source() {
            Some(source) => format!("{error}: {source}").into(),
            None => error.to_string().into(),
        });
        self.attempt = if resent { 2 } else { 1 };
        self.answered(Outcome {
            status,
            sent: true,
            refused: attempt.is_some() && status.is_client_error(),
            resent,
        });
    }

    /// It was not sent, or not answered.
    pub(super) fn refused(&mut self, refusal: &Refusal) {
        self.why = Some(format!("{}: {}", refusal.error, refusal.reason).into());
        self.answered(Outcome {
            status: refusal.status,
            sent: false,
            refused: false,
            resent: false,
        });
    }

    /// The answer did not get to its end.
    pub(super) fn broke_off(&mut self, why: impl Into<Cow<'static, str>>) {
        self.why = Some(why.into());
    }

    fn answered(&mut self, outcome: Outcome) {
        self.status = Some(outcome.status);
        (self.count)(outcome);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.why = Some("the caller went away before there was an answer".into());
            if let Ok(status) = StatusCode::from_u16(CLOSED) {
                self.answered(Outcome {
                    status,
                    sent: false,
                    refused: false,
                    resent: false,
                });
            }
        }
        let elapsed = SystemClock.now().saturating_since(self.since);
        tracing::info!(
            target: "mac_gateway::request",
            method = %Short(self.method.as_str()),
            path = %Short(self.uri.path()),
            account = self.account.as_ref().map(|it| tracing::field::display(Short(it.as_str()))),
            status = self.status.map(|status| status.as_u16()),
            attempt = self.attempt,
            ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            why = self.why.as_deref(),
            "request"
        );
    }
}

/// The beginning of a text.
struct Short<'a>(&'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(MOST) {
            None => f.write_str(self.0),
            Some((end, _)) => write!(f, "{}…", self.0.get(..end).unwrap_or_default()),
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}
