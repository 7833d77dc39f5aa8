//! What the head of a response says about its body.

use http::{HeaderMap, StatusCode, header};

pub(super) fn has_no_body(status: StatusCode) -> bool {
    status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Whether a body of this type can hold a JSON refusal. Text of any kind can: providers send JSON
/// as `text/html`. An event stream, a file, an image, a gRPC message cannot.
pub(super) fn may_be_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let essence = value.as_bytes().split(|byte| *byte == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii();
    let starts = |start: &[u8]| {
        essence
            .get(..start.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(start))
    };
    let ends = |end: &[u8]| {
        essence
            .len()
            .checked_sub(end.len())
            .is_some_and(|at| essence[at..].eq_ignore_ascii_case(end))
    };
    (starts(b"text/") && !starts(b"text/event-stream"))
        || ends(b"/json")
        || ends(b"+json")
        || ends(b"javascript")
}
