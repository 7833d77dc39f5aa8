//! What of a request is signed, as it arrived.

use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::uri::{Authority, Scheme};

use super::answer::Denial;
use crate::provider::RequestParts;
use crate::verify::MacAuthorization;

/// The one MAC of a request.
pub(super) fn authorization(head: &Parts) -> Result<MacAuthorization, Denial> {
    let mut all = head.headers.get_all(AUTHORIZATION).iter();
    match (all.next(), all.next()) {
        (Some(one), None) => MacAuthorization::try_from(one).map_err(Denial::Signature),
        (None, _) => Err(Denial::Absent),
        (Some(_), Some(_)) => Err(Denial::Request("authorization: is given twice")),
    }
}

/// The host that the client named, and the port.
pub(super) fn host(head: &Parts, known: Option<&str>, usual: u16) -> Result<(String, u16), Denial> {
    let port = match head.uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => 443,
        Some(scheme) if *scheme == Scheme::HTTP => 80,
        _ => usual,
    };
    let named = match known {
        Some(known) => known.parse(),
        None => named(head)?.parse(),
    };
    let named: Authority = named.map_err(|_| Denial::Request("host: is none"))?;
    Ok((named.host().to_owned(), named.port_u16().unwrap_or(port)))
}

fn named(head: &Parts) -> Result<&str, Denial> {
    const CONFLICT: Denial = Denial::Request("host: is named twice, or not alike");
    let mut all = head.headers.get_all(HOST).iter();
    let (header, more) = (all.next(), all.next());
    if more.is_some() {
        return Err(CONFLICT);
    }
    let header = header
        .map(|header| {
            header
                .to_str()
                .map_err(|_| Denial::Request("host: is none"))
        })
        .transpose()?;
    match (header, head.uri.authority()) {
        (Some(header), Some(authority)) if !authority.as_str().eq_ignore_ascii_case(header) => {
            Err(CONFLICT)
        }
        (Some(header), _) => Ok(header),
        (None, Some(authority)) => Ok(authority.as_str()),
        (None, None) => Err(Denial::Request("host: is missing")),
    }
}

pub(super) fn parts<'a>(
    head: &'a Parts,
    (host, port): &'a (String, u16),
    body: Option<&'a [u8]>,
) -> RequestParts<'a> {
    RequestParts::new(head.method.as_str(), host, head.uri.path())
        .with_port(*port)
        .with_query(head.uri.query())
        .with_body(body)
}
