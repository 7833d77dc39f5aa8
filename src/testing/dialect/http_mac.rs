//! How the API that checks requests by draft-ietf-oauth-v2-http-mac refuses them.

use bytes::Bytes;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};

use super::Denial;
use super::oauth2::error_response;
use crate::provider::xiaomi::ErrorCode;
use crate::testing::RefusalStyle;
use crate::testing::answer::bare;
use crate::testing::config::Config;

/// A challenge whose text is for people (§4.1 of revision 01), in the words that servers use.
pub(super) fn refusal(
    config: &Config,
    style: RefusalStyle,
    Denial { code, reason }: &Denial,
) -> Response<Bytes> {
    let (error, challenge) = match code {
        ErrorCode::AccessTokenRejected => (
            "invalid MAC credentials",
            "MAC error=\"invalid MAC credentials\"",
        ),
        _ => (
            "invalid MAC, nonce or timestamp",
            "MAC error=\"invalid MAC, nonce or timestamp\"",
        ),
    };
    let status = StatusCode::UNAUTHORIZED;
    let (mut response, challenge) = if style == RefusalStyle::Bare401 {
        (bare(config, status), "MAC")
    } else {
        (
            error_response(config, status, &error.into(), reason),
            challenge,
        )
    };
    let challenge = HeaderValue::from_static(challenge);
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}
