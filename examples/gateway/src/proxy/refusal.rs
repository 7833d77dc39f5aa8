//! What a caller is told whose request was not sent, or not answered.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use tower_mac_auth::forward::ForwardError;

use crate::trouble::with_causes;

/// A status, a word for programs and a sentence for people.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) reason: Cow<'static, str>,
    /// What the log has beside it, and nobody is told.
    pub(super) cause: Option<Box<str>>,
    /// When it may be tried again.
    pub(super) retry_after: Option<Duration>,
    /// The header that is missing.
    challenge: Option<HeaderName>,
    /// Whether more of this connection can be believed.
    close: bool,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        error: &'static str,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            error,
            reason: reason.into(),
            cause: None,
            retry_after: None,
            challenge: None,
            close: false,
        }
    }

    pub(crate) fn after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// What caused an error, for the log.
    pub(super) fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        self.cause = error.source().map(|cause| with_causes(cause).into());
        self
    }

    pub(super) fn account_missing(header: &HeaderName) -> Self {
        let reason = format!("the header {header} must name the account that signs");
        let mut refusal = Self::new(StatusCode::UNAUTHORIZED, "account_missing", reason);
        refusal.challenge = Some(header.clone());
        refusal
    }

    pub(super) fn account_given_twice(header: &HeaderName) -> Self {
        let reason = format!("the header {header} is given more than once");
        Self::new(StatusCode::BAD_REQUEST, "account_given_twice", reason)
    }

    pub(super) fn account_unnamed(header: &HeaderName) -> Self {
        let reason = format!("the header {header} does not name an account");
        Self::new(StatusCode::BAD_REQUEST, "account_name", reason)
    }

    pub(super) fn too_large(most: u64) -> Self {
        let reason = format!("the body is longer than the {most} bytes that the gateway takes");
        let mut refusal = Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", reason);
        refusal.close = true;
        refusal
    }

    pub(super) fn no_answer(limit: Duration) -> Self {
        let limit = limit.as_secs();
        let reason = format!("the API has not answered, and nothing has moved, for {limit} s");
        Self::new(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", reason)
    }

    pub(super) fn no_body(limit: Duration) -> Self {
        let limit = limit.as_secs();
        let reason = format!("no more of the request's body has come for {limit} s");
        let mut refusal = Self::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", reason);
        refusal.close = true;
        refusal
    }

    pub(super) fn too_many_headers(most: usize) -> Self {
        let reason = format!("there are more than {most} headers");
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        Self::new(status, "headers", reason)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({ "error": self.error, "reason": self.reason })
    }

    pub(crate) fn into_answer(self) -> Response<Full<Bytes>> {
        let body = Bytes::from(self.json().to_string());
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs().max(1);
            headers.insert(RETRY_AFTER, seconds.into());
        }
        let challenge = self
            .challenge
            .and_then(|name| HeaderValue::try_from(format!("Account header=\"{name}\"")).ok());
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<ForwardError> for Refusal {
    fn from(rejected: ForwardError) -> Self {
        let text = rejected.to_string();
        // Its field is told beside it.
        let reason = text.split_once(": ").map_or("", |(_, reason)| reason);
        let mut refusal = Self::new(rejected.status(), rejected.field(), reason.to_owned());
        // Where the next request begins is not clear.
        refusal.close = matches!(rejected, ForwardError::Framing | ForwardError::Coding);
        refusal
    }
}
