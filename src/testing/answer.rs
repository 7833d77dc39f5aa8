//! What goes over the wire, to the letter.

use std::io::Write;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::config::Config;
use crate::provider::TokenSet;
use crate::provider::xiaomi::ErrorCode;
use crate::{MacKeyText, RefreshToken, Timestamp};

/// How the API says no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalStyle {
    /// Status 401 and JSON with the code.
    #[default]
    Unauthorized401,
    /// Status 400 and JSON with the code.
    BadRequest400,
    /// Status 200 and JSON with the code.
    Ok200WithCode,
    /// Status 401 and nothing else, whatever the code is.
    Bare401,
}

/// What the provider says when it does not say JSON.
const PREFIX: &str = "&&&START&&&";
pub(super) const HTML: &str = "text/html;charset=UTF-8";
pub(super) const JSON: &str = "application/json;charset=UTF-8";

pub(super) fn response(
    config: &Config,
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(date) = http_date(config.clock.now()) {
        headers.insert(DATE, date);
    }
    response
}

/// The answer with tokens.
pub(super) fn tokens(config: &Config, tokens: &TokenSet, algorithm: &str) -> Response<Bytes> {
    let refresh_token = tokens.refresh_token.as_ref();
    let mut answer = json!({
        "access_token": tokens.access_token.expose_secret(),
        "expires_in": tokens.expires_in.map(|life| life.as_secs()),
        "refresh_token": refresh_token.map(RefreshToken::expose_secret),
        "scope": tokens.scope,
        "openId": tokens.subject,
    });
    let key = tokens.mac_key.as_ref().map(MacKeyText::expose_secret);
    // The white space is the provider's own: so its documents and servers write it.
    let (names, algorithm) = if config.plain_answers {
        (["token_type", "mac_key"], algorithm.to_owned())
    } else {
        (["token_type ", "mac_key "], format!(" {algorithm}"))
    };
    answer[names[0]] = "mac".into();
    answer[names[1]] = key.into();
    answer["mac_algorithm"] = algorithm.into();
    token_answer(config, StatusCode::OK, &answer)
}

/// A refusal of the token endpoint.
pub(super) fn token_refusal(
    config: &Config,
    code: ErrorCode,
    description: &str,
) -> Response<Bytes> {
    let answer = json!({
        "error": number(config, code),
        "error_description": description,
    });
    token_answer(config, config.token_refusal_status, &answer)
}

/// What a client gets that asks too often.
pub(super) fn rate_limited(config: &Config, retry_after: Option<Duration>) -> Response<Bytes> {
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut answer = response(config, status, HTML, "<h1>Too many requests</h1>");
    if let Some(pause) = retry_after {
        answer
            .headers_mut()
            .insert(RETRY_AFTER, pause.as_secs().into());
    }
    answer
}

/// A refusal of the API.
pub(super) fn api_refusal(
    config: &Config,
    style: RefusalStyle,
    code: ErrorCode,
    description: &str,
) -> Response<Bytes> {
    let status = match style {
        RefusalStyle::Unauthorized401 | RefusalStyle::Bare401 => StatusCode::UNAUTHORIZED,
        RefusalStyle::BadRequest400 => StatusCode::BAD_REQUEST,
        RefusalStyle::Ok200WithCode => StatusCode::OK,
    };
    let mut response = if style == RefusalStyle::Bare401 {
        let mut bare = response(config, status, JSON, Bytes::new());
        bare.headers_mut().remove(CONTENT_TYPE);
        bare
    } else {
        let answer = json!({
            "result": "error",
            "description": description,
            "code": number(config, code),
        });
        let prefix = if config.prefixed_refusals { PREFIX } else { "" };
        response(config, status, JSON, format!("{prefix}{answer}"))
    };
    if status == StatusCode::UNAUTHORIZED {
        // A 401 must name a scheme (RFC 9110 §15.5.2).
        let headers = response.headers_mut();
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("MAC"));
    }
    response
}

/// The same answer, compressed.
pub(super) fn gzip(mut answer: Response<Bytes>) -> Response<Bytes> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = gzip.write_all(answer.body());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    answer.map(|_| gzip.finish().unwrap_or_default().into())
}

fn token_answer(config: &Config, status: StatusCode, answer: &Value) -> Response<Bytes> {
    if config.plain_answers {
        response(config, status, JSON, answer.to_string())
    } else {
        response(config, status, HTML, format!("{PREFIX}{answer}"))
    }
}

fn number(config: &Config, code: ErrorCode) -> Value {
    if config.string_codes {
        code.code().to_string().into()
    } else {
        code.code().into()
    }
}

/// `None` past the year 9999, which has no HTTP date.
fn http_date(now: Timestamp) -> Option<HeaderValue> {
    const YEAR_10_000: u64 = 253_402_300_800;
    if now.as_secs() >= YEAR_10_000 {
        return None;
    }
    let now = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(now.as_secs()))?;
    HeaderValue::try_from(httpdate::fmt_http_date(now)).ok()
}
