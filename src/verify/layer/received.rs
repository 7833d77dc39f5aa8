//! What of a request is signed, as it arrived.

use http::header::{AUTHORIZATION, HOST, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, Scheme};

use super::answer::Denial;
use crate::provider::RequestParts;
use crate::verify::MacAuthorization;

/// The one MAC of a request.
pub(super) fn authorization(head: &Parts) -> Result<MacAuthorization, Denial> {
    let mut all = head.headers.get_all(AUTHORIZATION).iter();
    match (all.next(), all.next()) {
        (Some(one), None) if !is_mac(one) => Err(Denial::Absent),
        (Some(one), None) => MacAuthorization::try_from(one).map_err(Denial::Signature),
        (None, _) => Err(Denial::Absent),
        (Some(_), Some(_)) => Err(Denial::Request("authorization: is given twice")),
    }
}

/// Of another scheme: a client that has not signed.
fn is_mac(value: &HeaderValue) -> bool {
    let mut words = value.as_bytes().split(|byte| matches!(byte, b' ' | b'\t'));
    words
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case(b"MAC"))
}

/// The host that the client named, and the port.
pub(super) fn host(
    head: &Parts,
    known: Option<&str>,
    usual: Option<u16>,
) -> Result<(String, u16), Denial> {
    const CONFLICT: Denial = Denial::Request("host: is named twice, or not alike");
    const NONE: Denial = Denial::Request("host: is none");
    let is_http = known.is_none() && head.uri.scheme() == Some(&Scheme::HTTP);
    let usual = usual.unwrap_or(if is_http { 80 } else { 443 });
    let host = |text: &str| -> Result<(String, u16), Denial> {
        let named: Authority = text.parse().map_err(|_| NONE)?;
        // Neither a user nor a port that is none: one that is not read would be one that is not checked.
        let port = match text.strip_prefix(named.host()) {
            Some("" | ":") => usual,
            Some(_) => named.port_u16().ok_or(NONE)?,
            None => return Err(NONE),
        };
        Ok((named.host().to_owned(), port))
    };
    if let Some(known) = known {
        return host(known);
    }
    let mut all = head.headers.get_all(HOST).iter();
    let (header, more) = (all.next(), all.next());
    if more.is_some() {
        return Err(CONFLICT);
    }
    let header = match header.map(HeaderValue::to_str) {
        Some(Ok(header)) => Some(host(header)?),
        Some(Err(_)) => return Err(NONE),
        None => None,
    };
    let authority = head.uri.authority();
    let authority = authority.map(|it| host(it.as_str())).transpose()?;
    match (header, authority) {
        (Some(header), Some(authority)) if !is_same(&header, &authority) => Err(CONFLICT),
        (Some(named), _) | (None, Some(named)) => Ok(named),
        (None, None) => Err(Denial::Request("host: is missing")),
    }
}

fn is_same(one: &(String, u16), other: &(String, u16)) -> bool {
    one.0.eq_ignore_ascii_case(&other.0) && one.1 == other.1
}

pub(super) fn parts<'a>(head: &'a Parts, (host, port): &'a (String, u16)) -> RequestParts<'a> {
    RequestParts::new(head.method.as_str(), host, head.uri.path())
        .with_port(*port)
        .with_query(head.uri.query())
}
