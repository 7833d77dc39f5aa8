//! What a request is answered that is not let through.

use std::fmt;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, DATE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};

use super::not_verified::NotVerified;
use crate::Timestamp;
use crate::provider::http_date_of;
use crate::provider::xiaomi::ErrorCode;
use crate::verify::VerifyError;

/// Why a request is not let through.
pub(crate) enum Denial {
    /// It has no MAC.
    Absent,
    /// Nobody knows its token.
    Token,
    /// Its MAC, its moment or its nonce is not taken; which of them is not told.
    Signature(VerifyError),
    /// It is none that a client could have meant so.
    Request(&'static str),
    /// More of its body is signed than is read.
    TooLong,
    /// Its body broke off.
    Broken,
    /// It cannot be checked now.
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for Denial {
    /// For the server's own log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("authorization: is missing"),
            Self::Token => f.write_str("access_token: is not known"),
            Self::Signature(error) => error.fmt(f),
            Self::Request(reason) => f.write_str(reason),
            Self::TooLong => f.write_str("body: is too long to be signed"),
            Self::Broken => f.write_str("body: broke off"),
            Self::Unavailable(error) => write!(f, "it cannot be checked: {error}"),
        }
    }
}

impl From<&Denial> for NotVerified {
    fn from(denial: &Denial) -> Self {
        match denial {
            Denial::Absent => Self::Absent,
            Denial::Token => Self::UnknownToken,
            Denial::Signature(error) => Self::Signature(error.kind()),
            Denial::Request(_) => Self::BadRequest,
            Denial::TooLong => Self::BodyTooLong,
            Denial::Broken => Self::BodyBroken,
            Denial::Unavailable(_) => Self::Unavailable,
        }
    }
}

impl Denial {
    /// The answer, in the words of Xiaomi or of the drafts, with the time, by which a client can set its
    /// clock.
    pub(super) fn answer<R: From<Bytes>>(&self, xiaomi: bool, now: Timestamp) -> Response<R> {
        let why = NotVerified::from(self);
        let status = why.status();
        let code = match self {
            Self::Token => ErrorCode::AccessTokenRejected,
            Self::Absent | Self::Signature(_) => ErrorCode::Denied,
            _ => ErrorCode::InvalidRequest,
        };
        let text = match self {
            Self::Token => "the access token is not taken",
            Self::Absent | Self::Signature(_) => "access is denied",
            Self::Request(reason) => reason,
            Self::TooLong => "body: is too long to be signed",
            Self::Broken => "body: broke off",
            Self::Unavailable(_) => "the request cannot be checked now",
        };
        let body = if xiaomi {
            let code = code.code();
            format!(r#"{{"result":"error","description":"{text}","code":{code}}}"#)
        } else {
            format!(r#"{{"error":"{text}"}}"#)
        };
        let mut response = Response::new(Bytes::from(body).into());
        *response.status_mut() = status;
        response.extensions_mut().insert(why);
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, json);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(date) = http_date_of(now) {
            headers.insert(DATE, date);
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = match (xiaomi, self) {
                (false, Self::Token) => "MAC error=\"invalid MAC credentials\"",
                (false, Self::Signature(_)) => "MAC error=\"invalid MAC, nonce or timestamp\"",
                _ => "MAC",
            };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
