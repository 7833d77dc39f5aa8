use bytes::Bytes;
use http::{Method, Request};

use super::super::Asked;
use super::once;
use crate::ClientSecret;
use crate::provider::xiaomi::ErrorCode;
use crate::testing::config::Config;
use crate::testing::refused::Refused;

/// The refresh token in a request, however wrong the rest of it is.
pub(in crate::testing) fn presented(request: &Request<Bytes>) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    let token = once(query, "refresh_token").ok()?;
    Some(token.into_owned())
}

pub(in crate::testing) fn asked(
    config: &Config,
    request: &Request<Bytes>,
) -> Result<Asked, Refused> {
    const INVALID: ErrorCode = ErrorCode::InvalidRequest;
    if request.method() != Method::GET {
        return Err((INVALID, "method: not GET"));
    }
    let query = request.uri().query().unwrap_or_default();
    let wanted = |name, detail: &'static str| once(query, name).map_err(|()| (INVALID, detail));
    if wanted("client_id", "client_id: wanted, once")? != config.client_id {
        return Err((ErrorCode::ClientUnknown, "client_id: not known"));
    }
    let secret = wanted("client_secret", "client_secret: wanted, once")?;
    if ClientSecret::new(secret) != config.client_secret {
        let detail = "client_secret: wrong, or not percent-encoded";
        return Err((ErrorCode::ClientMismatch, detail));
    }
    if wanted("redirect_uri", "redirect_uri: wanted, once")? != config.redirect_uri {
        return Err((ErrorCode::RedirectUriMismatch, "redirect_uri: wrong"));
    }
    let mut types = form_urlencoded::parse(query.as_bytes()).filter(|it| it.0 == "token_type");
    if types.any(|(_, value)| value != "mac") {
        return Err((INVALID, "token_type: not mac"));
    }
    match &*wanted("grant_type", "grant_type: wanted, once")? {
        "refresh_token" => {
            let token = wanted("refresh_token", "refresh_token: wanted, once")?;
            Ok(Asked::RefreshToken(token.into_owned()))
        }
        "authorization_code" => Ok(Asked::Code {
            code: wanted("code", "code: wanted, once")?.into_owned(),
            verifier: None,
        }),
        _ => Err((ErrorCode::UnsupportedGrantType, "grant_type: not known")),
    }
}
