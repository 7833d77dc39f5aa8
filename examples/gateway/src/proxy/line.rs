//! One line in the log for each request, whatever becomes of it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use tokio_util::sync::CancellationToken;
use tower_mac_auth::account::RefreshError;
use tower_mac_auth::layer::Attempt;
use tower_mac_auth::{Clock as _, SystemClock, Timestamp};

use super::flow::Flow;
use super::server::Origin;
use super::tenant::Whose;
use super::{BoxError, Outcome, Progress, Refusal};

/// What of a caller's own text a line repeats at most, in characters.
const MOST: usize = 256;
/// The caller had no answer, and went away: no status that goes over the wire, and what other proxies write
/// in their logs.
const CLOSED: u16 = 499;
const REQUEST_ID: &str = "x-request-id";

/// Counts what became of a request.
pub(crate) type Count = Arc<dyn Fn(Outcome) + Send + Sync>;

/// What is known of a request: written when it is dropped.
pub(crate) struct Line {
    method: Method,
    /// Only its path is shown: queries have secrets.
    uri: Uri,
    pub(super) account: Option<Whose>,
    since: Timestamp,
    pub(super) progress: Progress,
    count: Count,
    cut: CancellationToken,
    pub(super) flow: Flow,
    peer: Option<IpAddr>,
    /// What whoever asks, or a proxy in front, calls it.
    id: Option<HeaderValue>,
    /// `None` until it has an answer.
    status: Option<StatusCode>,
    why: Option<Cow<'static, str>>,
}

impl Line {
    pub(super) fn of<B>(request: &Request<B>, count: Count, cut: CancellationToken) -> Self {
        let origin = request.extensions().get::<Origin>();
        Self {
            progress: Progress::default(),
            cut,
            flow: origin.map(|it| it.flow.clone()).unwrap_or_default(),
            peer: origin.map(|it| it.peer),
            id: request.headers().get(REQUEST_ID).cloned(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            account: None,
            since: SystemClock.now(),
            count,
            status: None,
            why: None,
        }
    }

    pub(super) fn is_head(&self) -> bool {
        self.method == Method::HEAD
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
        self.answered(Outcome {
            status,
            sent: true,
            refused: attempt.is_some() && status.is_client_error(),
            resent,
        });
    }

    /// It was not sent, or not answered.
    pub(super) fn refused(&mut self, refusal: &Refusal) {
        let (error, reason) = (refusal.error, &refusal.reason);
        self.why = Some(match &refusal.cause {
            Some(cause) => format!("{error}: {reason}: {cause}").into(),
            None => format!("{error}: {reason}").into(),
        });
        self.answered(Outcome::unanswered(refusal.status));
    }

    /// The API's answer did not get to its end.
    pub(super) fn broke_off(&mut self, why: &BoxError) {
        self.why = Some(format!("the API's body broke off: {why}").into());
    }

    /// Nobody took the rest of the answer.
    pub(super) fn was_left(&mut self) {
        self.why = Some(if self.flow.is_stalled() {
            "the caller has not gone on with the answer".into()
        } else if self.cut.is_cancelled() {
            "the gateway ended before the end of the answer".into()
        } else {
            "the caller went away before the end of the answer".into()
        });
    }

    fn answered(&mut self, outcome: Outcome) {
        self.status = Some(outcome.status);
        (self.count)(outcome);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.status.is_none() {
            let (who, status) = if self.cut.is_cancelled() {
                ("the gateway ended", Ok(StatusCode::SERVICE_UNAVAILABLE))
            } else {
                ("the caller went away", StatusCode::from_u16(CLOSED))
            };
            self.why = Some(format!("{who} before there was an answer").into());
            if let Ok(status) = status {
                self.answered(Outcome::unanswered(status));
            }
        }
        let account = self.account.as_ref().map(|whose| short(whose.as_str()));
        let id = self.id.as_ref().and_then(|id| id.to_str().ok()).map(short);
        let elapsed = SystemClock.now().saturating_since(self.since);
        tracing::info!(
            target: "mac_gateway::request",
            peer = self.peer.map(tracing::field::display),
            // As texts, which are quoted: else a name could look like what follows it.
            id = id.as_deref(),
            method = &*short(self.method.as_str()),
            path = &*short(self.uri.path()),
            account = account.as_deref(),
            status = self.status.map(|status| status.as_u16()),
            attempt = self.progress.attempts(),
            ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            why = self.why.as_deref(),
            "request"
        );
    }
}

/// The beginning of a text.
fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MOST) {
        None => text.into(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}
