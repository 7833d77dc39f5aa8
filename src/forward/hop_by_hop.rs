//! Headers that are about one connection (RFC 9110 §7.6.1).

use http::header::{CONNECTION, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue};

/// Those that a `Connection` need not name.
const KNOWN: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Takes them off. With `upgrade` what asks for another protocol, or agrees to it, stays.
pub(super) fn take_off(headers: &mut HeaderMap, upgrade: bool) {
    let protocol = upgrade.then(|| asked_for(headers)).flatten();
    let trailers = has_token(headers, &TE, "trailers");
    let named: Vec<_> = tokens(headers, &CONNECTION)
        .filter_map(|name| HeaderName::try_from(name).ok())
        .collect();
    for name in KNOWN.iter().chain(&named) {
        headers.remove(name);
    }
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    if trailers {
        // Without it some servers send none: gRPC's.
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// The protocol of an `Upgrade` that `Connection` confirms; not HTTP/2, by which a caller would go past all
/// that looks at requests.
pub(super) fn asked_for(headers: &HeaderMap) -> Option<HeaderValue> {
    let confirmed =
        has_token(headers, &CONNECTION, "upgrade") && !has_token(headers, &UPGRADE, "h2c");
    headers.get(UPGRADE).filter(|_| confirmed).cloned()
}

/// Whether its body has another transfer coding than one `chunked`, which is taken off with the framing: others
/// nobody takes off (RFC 9112 §6.1).
pub(super) fn is_coded(headers: &HeaderMap) -> bool {
    let mut codings = tokens(headers, &TRANSFER_ENCODING);
    let chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    !codings.next().is_none_or(chunked) || codings.next().is_some()
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token.as_bytes()))
}

/// The elements of a list, over all headers of this name.
pub(super) fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).into_iter().flat_map(elements)
}

/// Those of one header.
pub(super) fn elements(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let elements = value.as_bytes().split(|byte| *byte == b',');
    let elements = elements.map(<[u8]>::trim_ascii);
    elements.filter(|element| !element.is_empty())
}
