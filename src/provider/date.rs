use http::{HeaderMap, header};

use crate::Timestamp;

/// When a server made its answer, by its own clock (`Date`, RFC 9110 §6.6.1).
pub(crate) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(header::DATE)?.to_str().ok()?)
}

/// A moment as headers write it (RFC 9110 §5.6.7).
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    httpdate::parse_http_date(text).ok().map(Timestamp::from)
}
