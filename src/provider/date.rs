use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header};

use crate::Timestamp;

/// When a server made its answer, by its own clock (`Date`, RFC 9110 §6.6.1).
pub(crate) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(header::DATE)?.to_str().ok()?)
}

/// A moment as headers write it (RFC 9110 §5.6.7).
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    httpdate::parse_http_date(text).ok().map(Timestamp::from)
}

/// The same, of a moment; `None` past the year 9999, which has no HTTP date.
pub(crate) fn http_date_of(now: Timestamp) -> Option<HeaderValue> {
    const YEAR_10_000: u64 = 253_402_300_800;
    if now.as_secs() >= YEAR_10_000 {
        return None;
    }
    let now = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(now.as_secs()))?;
    HeaderValue::try_from(httpdate::fmt_http_date(now)).ok()
}
