use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, StatusCode};

use crate::provider::{Challenges, Head, Refusal};

/// What the head of a response says.
#[inline]
pub(super) fn read_head(status: StatusCode, headers: &HeaderMap) -> Head {
    if status != StatusCode::UNAUTHORIZED && !headers.contains_key(WWW_AUTHENTICATE) {
        return Head::Verdict(None);
    }
    Head::Verdict(refusal(status, headers))
}

#[cold]
fn refusal(status: StatusCode, headers: &HeaderMap) -> Option<Refusal> {
    let mut refused = status == StatusCode::UNAUTHORIZED;
    for challenge in Challenges::of(headers).filter(|challenge| challenge.is("Bearer")) {
        match challenge.parameter("error").as_deref() {
            Some("invalid_token") => return Some(Refusal::TokenRejected),
            // `_scope` (RFC 6750 §3.1), `_user_authentication` (RFC 9470 §3), `_claims` (what some
            // say): a token of the same grant would fall short as well.
            Some(error) if error.starts_with("insufficient_") => refused = false,
            _ => {}
        }
    }
    refused.then_some(Refusal::TokenRejected)
}
