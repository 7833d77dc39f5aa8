//! Makes a request that came in one that can be signed and sent on. Knows nothing of this program.

use std::error::Error;
use std::fmt;

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, TRANSFER_ENCODING, VIA};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};

use super::hop_by_hop;

/// The API, as it is called in what is signed.
///
/// | of a request | what is done |
/// |---|---|
/// | scheme and host of its URI | those of the API; path and query stay to the letter |
/// | `Host`, `Expect` | taken off: the client writes the one, the server has answered the other |
/// | hop-by-hop headers | taken off (RFC 9110 §7.6.1) |
/// | several `Cookie` | made one (RFC 9113 §8.2.3) |
/// | `Via` | the gateway is added (RFC 9110 §7.6.3) |
/// | version | 1.1: the client speaks what it speaks |
#[derive(Clone, Debug)]
pub(crate) struct Target {
    scheme: Scheme,
    authority: Authority,
    /// The name of this gateway.
    via: Box<str>,
    /// By the version that was received.
    via_values: [HeaderValue; 3],
}

/// Why a request is not sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// `CONNECT` asks for a tunnel: there is no path to be signed.
    Connect,
    /// No `Host`, more than one, none that is a host, or not that of the URI.
    Host,
    /// Both `Content-Length` and `Transfer-Encoding` (RFC 9112 §6.1).
    Framing,
    /// The path cannot stand behind a host: `*`.
    Path,
    /// It was here before, says its `Via`.
    Loop,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "CONNECT, and what is tunnelled by it, is not signed and not sent on",
            Self::Host => "Host must be there, once, be a host, and be that of the URI",
            Self::Framing => "Content-Length is given besides Transfer-Encoding: send one of them",
            Self::Path => "the path must begin with /",
            Self::Loop => {
                "its Via says that it was here before: the upstream leads back to this gateway"
            }
        })
    }
}

impl Error for Rejected {}

impl Target {
    pub(crate) fn new(scheme: Scheme, authority: Authority, via: &str) -> Self {
        let value = |version: &str| {
            let value = HeaderValue::try_from(format!("{version} {via}"));
            // The settings have let nothing else through.
            value.unwrap_or_else(|_| HeaderValue::from_static("1.1 mac-gateway"))
        };
        Self {
            scheme,
            authority,
            via: via.into(),
            via_values: [value("1.0"), value("1.1"), value("2")],
        }
    }

    /// Makes a request one for the API.
    pub(crate) fn request<B>(&self, request: &mut Request<B>) -> Result<(), Rejected> {
        self.check(request)?;
        let path = request.uri().path_and_query().cloned();
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
            .build();
        *request.uri_mut() = uri.map_err(|_| Rejected::Path)?;
        let version = std::mem::replace(request.version_mut(), Version::HTTP_11);
        let headers = request.headers_mut();
        hop_by_hop::take_off(headers, version == Version::HTTP_11);
        headers.remove(HOST);
        headers.remove(EXPECT);
        join_cookies(headers);
        self.add_via(version, headers);
        Ok(())
    }

    /// Makes the API's response one for the caller.
    pub(crate) fn response<B>(&self, response: &mut Response<B>) {
        let version = std::mem::replace(response.version_mut(), Version::HTTP_11);
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        hop_by_hop::take_off(headers, switches);
        self.add_via(version, headers);
    }

    fn check<B>(&self, request: &Request<B>) -> Result<(), Rejected> {
        if request.method() == Method::CONNECT {
            return Err(Rejected::Connect);
        }
        if !request.uri().path().starts_with('/') {
            return Err(Rejected::Path);
        }
        let headers = request.headers();
        let mut hosts = headers.get_all(HOST).iter();
        let (host, more) = (hosts.next(), hosts.next());
        let host_of_uri = request.uri().authority();
        let good = match host {
            Some(host) => {
                let host = Authority::try_from(host.as_bytes()).ok();
                let host = host.filter(|host| !host.as_str().contains('@'));
                host.is_some_and(|host| host_of_uri.is_none_or(|other| *other == host))
            }
            None => host_of_uri.is_some() || request.version() == Version::HTTP_10,
        };
        if !good || more.is_some() {
            return Err(Rejected::Host);
        }
        if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
            return Err(Rejected::Framing);
        }
        // The protocol, who received it, perhaps a comment.
        let by = |entry: &[u8]| {
            let mut words = entry.split(u8::is_ascii_whitespace);
            let mut words = words.by_ref().filter(|word| !word.is_empty());
            words.nth(1) == Some(self.via.as_bytes())
        };
        if hop_by_hop::tokens(headers, &VIA).any(by) {
            return Err(Rejected::Loop);
        }
        Ok(())
    }

    fn add_via(&self, received: Version, headers: &mut HeaderMap) {
        let [old, usual, two] = &self.via_values;
        let value = match received {
            Version::HTTP_10 => old,
            Version::HTTP_2 => two,
            _ => usual,
        };
        // What does not fit any more is told to nobody.
        let _ = headers.try_append(VIA, value.clone());
    }
}

fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<_> = headers.get_all(COOKIE).iter().collect();
    if crumbs.len() < 2 {
        return;
    }
    let crumbs: Vec<_> = crumbs.into_iter().map(HeaderValue::as_bytes).collect();
    // Of values, so that it is one.
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target::new(
            Scheme::HTTPS,
            Authority::from_static("api.example:8443"),
            "here",
        )
    }

    fn sent(uri: &str, headers: &[(&str, &str)]) -> Result<Request<()>, Rejected> {
        let builder = headers
            .iter()
            .fold(Request::builder().uri(uri), |builder, (name, value)| {
                builder.header(*name, *value)
            });
        let mut request = builder.body(()).unwrap();
        target().request(&mut request)?;
        Ok(request)
    }

    #[test]
    fn a_request_goes_to_the_api_and_its_path_stays() {
        for (uri, path) in [
            ("/a?b=c", "/a?b=c"),
            ("/", "/"),
            ("//evil.example/a", "//evil.example/a"),
            (
                "/a/../%2e%2e/%2F?x=http://evil.example",
                "/a/../%2e%2e/%2F?x=http://evil.example",
            ),
            ("http://gateway/a", "/a"),
        ] {
            let sent = sent(uri, &[("host", "gateway")]).unwrap();
            assert_eq!(
                sent.uri().to_string(),
                format!("https://api.example:8443{path}")
            );
            assert!(sent.headers().get(HOST).is_none());
        }
    }

    #[test]
    fn a_host_that_is_in_doubt_is_rejected() {
        for (uri, hosts) in [
            ("/", &[][..]),
            ("/", &[("host", "a"), ("host", "a")]),
            ("/", &[("host", "a b")]),
            ("/", &[("host", "user@a")]),
            ("/", &[("host", "")]),
            ("http://evil.example/", &[("host", "gateway")]),
        ] {
            assert_eq!(
                sent(uri, hosts).unwrap_err(),
                Rejected::Host,
                "{uri} {hosts:?}"
            );
        }
    }

    #[test]
    fn two_framings_and_a_circle_are_rejected() {
        let framing = [
            ("host", "a"),
            ("content-length", "1"),
            ("transfer-encoding", "chunked"),
        ];
        assert_eq!(sent("/", &framing).unwrap_err(), Rejected::Framing);
        for via in ["1.1 here", "2 other, 1.1  here (comment)", "HTTP/1.1 here"] {
            let looped = sent("/", &[("host", "a"), ("via", via)]);
            assert_eq!(looped.unwrap_err(), Rejected::Loop, "{via}");
        }
        assert!(sent("/", &[("host", "a"), ("via", "1.1 nowhere, 2 there")]).is_ok());
    }

    #[test]
    fn what_is_about_one_connection_stays_there() {
        let sent = sent(
            "/",
            &[
                ("host", "a"),
                ("connection", "close, X-Trace"),
                ("x-trace", "7"),
                ("keep-alive", "timeout=5"),
                ("proxy-authorization", "canary"),
                ("te", "trailers, deflate"),
                ("upgrade", "websocket"),
                ("expect", "100-continue"),
                ("cookie", "a=1"),
                ("cookie", "b=2"),
                ("accept", "*/*"),
            ],
        )
        .unwrap();
        let mut names: Vec<_> = sent
            .headers()
            .keys()
            .map(http::HeaderName::as_str)
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "cookie", "te", "via"]);
        assert_eq!(sent.headers()["te"], "trailers");
        assert_eq!(sent.headers()["cookie"], "a=1; b=2");
        assert_eq!(sent.headers()["via"], "1.1 here");
    }

    #[test]
    fn an_upgrade_that_is_asked_for_stays() {
        let headers = [
            ("host", "a"),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
        ];
        let sent = sent("/", &headers).unwrap();
        assert_eq!(sent.headers()["connection"], "upgrade");
        assert_eq!(sent.headers()["upgrade"], "websocket");
    }

    #[test]
    fn a_response_loses_what_was_about_its_connection() {
        let mut response = Response::builder()
            .version(Version::HTTP_2)
            .header("connection", "x-a")
            .header("x-a", "1")
            .header("proxy-authenticate", "Basic")
            .body(())
            .unwrap();
        target().response(&mut response);
        assert_eq!(response.headers().len(), 1);
        assert_eq!(response.headers()["via"], "2 here");
    }
}
