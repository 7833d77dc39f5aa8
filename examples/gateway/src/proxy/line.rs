//! One line in the log for each request.

use std::error::Error as StdError;

use http::{Method, Request, Response, Uri};
use tower_mac_auth::account::RefreshError;
use tower_mac_auth::{Clock as _, SystemClock, Timestamp};

use super::tenant::Whose;
use super::{Outcome, Refusal};

/// What is known of a request from its beginning.
#[derive(Debug)]
pub(crate) struct Line {
    method: Method,
    /// Only its path is shown: queries have secrets.
    uri: Uri,
    pub(super) account: Option<Whose>,
    since: Timestamp,
}

impl Line {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            account: None,
            since: SystemClock.now(),
        }
    }

    /// The API answered.
    pub(super) fn passed<B>(&self, response: &Response<B>, outcome: Outcome) {
        let refresh = response.extensions().get::<RefreshError>();
        let why = refresh.map(|error| match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        });
        let attempt = if outcome.resent { 2 } else { 1 };
        self.write(outcome.status.as_u16(), attempt, why.as_deref());
    }

    /// It was not sent, or not answered.
    pub(super) fn refused(&self, refusal: &Refusal) {
        let why = format!("{}: {}", refusal.error, refusal.reason);
        self.write(refusal.status.as_u16(), 0, Some(&why));
    }

    fn write(&self, status: u16, attempt: u8, why: Option<&str>) {
        let elapsed = SystemClock.now().saturating_since(self.since);
        tracing::info!(
            target: "mac_gateway::request",
            method = self.method.as_str(),
            path = self.uri.path(),
            account = self.account.as_ref().map(Whose::as_str),
            status,
            attempt,
            ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            why,
            "request"
        );
    }
}
