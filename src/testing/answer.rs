//! What goes over the wire in every dialect, to the letter.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use super::config::Config;
use crate::provider::http_date_of;

/// How the API says no to a credential.
///
/// In the [dialect](super::Dialect) `Bearer` it is `WWW-Authenticate` that says why, and a body of
/// JSON beside it.
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

impl RefusalStyle {
    /// The status of a request that is refused for its credential.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Unauthorized401 | Self::Bare401 => StatusCode::UNAUTHORIZED,
            Self::BadRequest400 => StatusCode::BAD_REQUEST,
            Self::Ok200WithCode => StatusCode::OK,
        }
    }
}

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
    if let Some(date) = http_date_of(config.clock.now()) {
        headers.insert(DATE, date);
    }
    response
}

/// A head and nothing else.
pub(super) fn bare(config: &Config, status: StatusCode) -> Response<Bytes> {
    let mut bare = response(config, status, JSON, Bytes::new());
    bare.headers_mut().remove(CONTENT_TYPE);
    bare
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

/// The same answer, compressed.
pub(super) fn gzip(mut answer: Response<Bytes>) -> Response<Bytes> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = gzip.write_all(answer.body());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    answer.map(|_| gzip.finish().unwrap_or_default().into())
}
