//! The normalized request string of the drafts.

use super::Attributes;
use crate::provider::RequestParts;
use crate::sign::class::Class;
use crate::sign::digits::Decimal;
use crate::sign::lines::{checked_path, write_host, write_method};
use crate::sign::{SignError, Text};

/// Its lines, each ended by a line feed: `ts` in revision 01; `nonce`, method, request URI, host, port;
/// `bodyhash` in revision 00; `ext`.
#[inline]
pub(crate) fn write_request_string(
    attributes: &Attributes<'_>,
    request: &RequestParts<'_>,
    out: &mut Text,
) -> Result<(), SignError> {
    out.extend(&attributes.stamp);
    write_method(request.method, out)?;
    write_request_uri(request, out)?;
    out.push(b'\n');
    let before = out.as_slice().len();
    write_host(request.host, out)?;
    if out.as_slice().len() - before != request.host.len() {
        // Which of the two is meant nobody can say.
        return Err(SignError::conflict(
            "host",
            "has a port, which is a part of its own",
        ));
    }
    match request.port {
        // Copies of a known length take no call.
        443 => out.extend(b"\n443\n"),
        80 => out.extend(b"\n80\n"),
        port => {
            out.push(b'\n');
            out.extend(Decimal::of(port.into()).as_bytes());
            out.push(b'\n');
        }
    }
    if attributes.ts_len == 0 {
        out.extend(attributes.bodyhash);
        out.push(b'\n');
    }
    out.extend(attributes.ext);
    out.push(b'\n');
    Ok(())
}

/// Path and query as they are signed and sent.
#[inline]
fn write_request_uri(request: &RequestParts<'_>, out: &mut Text) -> Result<(), SignError> {
    let before = out.as_slice().len();
    out.extend(request.path.as_bytes());
    if request.path.is_empty() {
        out.push(b'/');
    }
    if let Some(query) = request.query {
        out.push(b'?');
        out.extend(query.as_bytes());
    }
    // Both at a time, which is cheaper than one after the other.
    let uri = out.as_slice().get(before..).unwrap_or_default();
    if SENT.has_all(uri) && uri.first() == Some(&b'/') {
        Ok(())
    } else {
        odd_request_uri(request)
    }
}

/// An error, unless it is the `*` of `OPTIONS`.
#[cold]
fn odd_request_uri(request: &RequestParts<'_>) -> Result<(), SignError> {
    checked_path(request.path)?;
    let odd = request
        .query
        .and_then(|query| SENT.first_other(query.as_bytes()));
    odd.map_or(Ok(()), |at| {
        Err(SignError::malformed("query", "not a query's character").at(at))
    })
}

/// What can be in a path or a query as they are sent.
const SENT: Class<2> = Class::of([(b'!', b'"'), (b'$', b'~')]);

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(request: &RequestParts<'_>) -> Result<String, SignError> {
        Attributes::v01("1", "n").unwrap().canonical(request)
    }

    #[test]
    fn the_request_uri_is_signed_as_it_is_sent() {
        for (path, query, uri) in [
            ("/a", None, "/a"),
            ("", None, "/"),
            ("/a", Some(""), "/a?"),
            (
                "/%e7+//x;y",
                Some("b=%7e&a=?/:@\"{}&&a="),
                "/%e7+//x;y?b=%7e&a=?/:@\"{}&&a=",
            ),
            ("*", None, "*"),
        ] {
            let request = RequestParts::new("options", "h", path).with_query(query);
            assert_eq!(
                canonical(&request).unwrap(),
                format!("1\nn\nOPTIONS\n{uri}\nh\n443\n\n")
            );
        }
    }

    #[test]
    fn the_port_is_the_one_that_the_request_goes_to() {
        for port in [0, 1, 80, 443, 8080, 65535] {
            let request = RequestParts::new("GET", "H.Example", "/").with_port(port);
            let expected = format!("1\nn\nGET\n/\nh.example\n{port}\n\n");
            assert_eq!(canonical(&request).unwrap(), expected);
        }
        let ipv6 = RequestParts::new("GET", "[::1]", "/").with_port(80);
        assert_eq!(canonical(&ipv6).unwrap(), "1\nn\nGET\n/\n[::1]\n80\n\n");
    }

    #[test]
    fn what_cannot_be_signed_is_refused_by_name() {
        let get = |host, path| RequestParts::new("GET", host, path);
        for (request, error) in [
            (RequestParts::new("", "h", "/"), "method: is empty"),
            (get("h", "/ "), "path: not a path's character at byte 1"),
            (
                get("h", "/").with_query("a\nb"),
                "query: not a query's character at byte 1",
            ),
            (
                get("h", "/").with_query("é"),
                "query: not a query's character at byte 0",
            ),
            (
                get("h", "/").with_query("a#b"),
                "query: not a query's character at byte 1",
            ),
            (get("h", "/#"), "path: not a path's character at byte 1"),
            (get("h", "a"), "path: does not begin with a slash"),
            (
                get("h:80", "/"),
                "host: has a port, which is a part of its own",
            ),
            (
                get("[::1]:80", "/"),
                "host: has a port, which is a part of its own",
            ),
            (
                get("h:", "/"),
                "host: has a port, which is a part of its own",
            ),
            (get("", "/"), "host: is empty"),
        ] {
            assert_eq!(canonical(&request).unwrap_err().to_string(), error);
        }
    }
}
