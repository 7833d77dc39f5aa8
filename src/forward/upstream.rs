use std::fmt;

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, TRANSFER_ENCODING, VIA};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};

use super::hop_by_hop;
use super::{ForwardError, UpstreamError};

/// The API that requests are sent on to. See the [module docs](super).
#[derive(Clone, Debug)]
#[must_use]
pub struct Upstream {
    scheme: Scheme,
    authority: Authority,
    via: Option<Box<str>>,
    upgrades: bool,
}

impl Upstream {
    /// An API at a URL with nothing but a scheme and a host, or a host and a port.
    ///
    /// # Errors
    ///
    /// If it is none, or names a user or a path.
    pub fn new(url: &str) -> Result<Self, UpstreamError> {
        let parts = Uri::try_from(url)
            .map_err(|_| UpstreamError::Url)?
            .into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(UpstreamError::Url);
        };
        let is_http = scheme == Scheme::HTTP || scheme == Scheme::HTTPS;
        let has_path = parts.path_and_query.is_some_and(|path| path != "/");
        if !is_http || has_path || authority.as_str().contains('@') {
            return Err(UpstreamError::Url);
        }
        Ok(Self {
            scheme,
            authority,
            via: None,
            upgrades: false,
        })
    }

    /// Names this gateway in `Via`, and refuses what has that name there already. Give each gateway of
    /// a chain a name of its own.
    ///
    /// # Errors
    ///
    /// If it is no such name.
    pub fn with_via(mut self, name: &str) -> Result<Self, UpstreamError> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if name.is_empty() || !name.bytes().all(good) {
            return Err(UpstreamError::Via);
        }
        self.via = Some(name.into());
        Ok(self)
    }

    /// Whether a request for another protocol (`Upgrade`, a WebSocket's handshake) is sent on as one.
    /// Off by default: then the API is not asked for it. Who switches it on has to carry the bytes of
    /// both connections after a 101.
    pub const fn with_upgrades(mut self, pass: bool) -> Self {
        self.upgrades = pass;
        self
    }

    /// Whether the request asks for another protocol, and is sent on as one that does. To be asked
    /// before [`request`](Self::request), while the server's side of the connection can still be had.
    pub fn wants_upgrade<B>(&self, request: &Request<B>) -> bool {
        self.upgrades
            && request.version() == Version::HTTP_11
            && hop_by_hop::asked_for(request.headers()).is_some()
    }

    /// Makes a request that came in one for the API.
    ///
    /// # Errors
    ///
    /// If it is not one that can be sent on. It is as it was then.
    pub fn request<B>(&self, request: &mut Request<B>) -> Result<(), ForwardError> {
        self.check(request)?;
        let path = request.uri().path_and_query().cloned();
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
            .build();
        *request.uri_mut() = uri.map_err(|_| ForwardError::Path)?;
        let version = std::mem::replace(request.version_mut(), Version::HTTP_11);
        let headers = request.headers_mut();
        // By HTTP/2 a protocol is asked for in another way, which is not passed on.
        hop_by_hop::take_off(headers, self.upgrades && version == Version::HTTP_11);
        headers.remove(HOST);
        headers.remove(EXPECT);
        join_cookies(headers);
        self.add_via(version, headers);
        Ok(())
    }

    /// Makes the API's response one for whoever asked.
    pub fn response<B>(&self, response: &mut Response<B>) {
        let version = std::mem::replace(response.version_mut(), Version::HTTP_11);
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        // It is the coding that says how long the body is (RFC 9112 §6.3): with the length on, less or more
        // of it would be sent.
        if headers.contains_key(TRANSFER_ENCODING) {
            headers.remove(CONTENT_LENGTH);
        }
        hop_by_hop::take_off(headers, self.upgrades && switches);
        self.add_via(version, headers);
    }

    fn check<B>(&self, request: &Request<B>) -> Result<(), ForwardError> {
        if request.method() == Method::CONNECT {
            return Err(ForwardError::Connect);
        }
        if !request.uri().path().starts_with('/') {
            return Err(ForwardError::Path);
        }
        let headers = request.headers();
        let mut hosts = headers.get_all(HOST).iter();
        let (host, more) = (hosts.next(), hosts.next());
        let authority = request.uri().authority();
        let agree = match (host, authority) {
            (Some(host), Some(authority)) => host
                .as_bytes()
                .eq_ignore_ascii_case(authority.as_str().as_bytes()),
            (Some(host), None) => {
                let host = Authority::try_from(host.as_bytes());
                host.is_ok_and(|host| !host.as_str().contains('@'))
            }
            (None, authority) => authority.is_some() || request.version() == Version::HTTP_10,
        };
        if !agree || more.is_some() {
            return Err(ForwardError::Host);
        }
        if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
            return Err(ForwardError::Framing);
        }
        let came_by = |name: &str| {
            let entries = headers.get_all(VIA).into_iter();
            entries
                .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
                // The protocol, who received it, perhaps a comment.
                .any(|entry| {
                    let mut words = entry.split(u8::is_ascii_whitespace);
                    let mut words = words.by_ref().filter(|word| !word.is_empty());
                    words.nth(1) == Some(name.as_bytes())
                })
        };
        if self.via.as_deref().is_some_and(came_by) {
            return Err(ForwardError::Loop);
        }
        Ok(())
    }

    fn add_via(&self, received: Version, headers: &mut HeaderMap) {
        let Some(name) = &self.via else { return };
        let protocol = match received {
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            Version::HTTP_3 => "3",
            _ => "1.1",
        };
        if let Ok(value) = HeaderValue::try_from(format!("{protocol} {name}")) {
            // What does not fit any more is told to nobody.
            let _ = headers.try_append(VIA, value);
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<_> = headers.get_all(COOKIE).iter().collect();
    if crumbs.len() < 2 {
        return;
    }
    let crumbs: Vec<_> = crumbs.into_iter().map(HeaderValue::as_bytes).collect();
    let whole = crumbs.join(&b"; "[..]);
    // Of values, so that it is one.
    if let Ok(whole) = HeaderValue::from_bytes(&whole) {
        headers.insert(COOKIE, whole);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn upstream() -> Upstream {
        let upstream = Upstream::new("https://api.example:8443").unwrap();
        upstream.with_via("here").unwrap()
    }

    fn came(target: &str, headers: &[(&str, &str)]) -> Request<()> {
        let builder = Request::builder().uri(target);
        let builder = headers.iter().fold(builder, |builder, (name, value)| {
            builder.header(*name, *value)
        });
        builder.body(()).unwrap()
    }

    fn sent(target: &str, headers: &[(&str, &str)]) -> Result<Request<()>, ForwardError> {
        let mut request = came(target, headers);
        upstream().request(&mut request)?;
        Ok(request)
    }

    #[test]
    fn an_upstream_is_a_scheme_and_a_host() {
        for url in ["http://a", "https://api.example/", "http://[::1]:8080"] {
            assert!(Upstream::new(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "a",
            "/",
            "api.example",
            "ftp://a",
            "https://",
            "https://a/b",
            "https://a/?b",
            "https://user:secret@a",
        ] {
            let error = Upstream::new(url).unwrap_err();
            assert_eq!(error, UpstreamError::Url, "{url}");
            assert!(!error.to_string().contains("secret"));
        }
        for name in ["", "a b", "a,b", "é", "a\n"] {
            assert!(upstream().with_via(name).is_err(), "{name:?}");
        }
        assert_eq!(upstream().to_string(), "https://api.example:8443");
    }

    #[test]
    fn a_request_goes_to_the_api_and_nowhere_else() {
        let host = [("host", "gateway")];
        for (target, headers, uri) in [
            ("/a?b=c", &host[..], "https://api.example:8443/a?b=c"),
            ("/", &host, "https://api.example:8443/"),
            (
                "//evil.example/a",
                &host,
                "https://api.example:8443//evil.example/a",
            ),
            (
                "/a/../b/%2e%2e/%2F",
                &host,
                "https://api.example:8443/a/../b/%2e%2e/%2F",
            ),
            (
                "/@evil.example",
                &host,
                "https://api.example:8443/@evil.example",
            ),
            // In the absolute form, and by HTTP/2.
            ("http://gateway/a", &host, "https://api.example:8443/a"),
            ("http://evil.example/a", &[], "https://api.example:8443/a"),
            ("http://GATEWAY", &host, "https://api.example:8443/"),
        ] {
            let request = sent(target, headers).unwrap();
            assert_eq!(request.uri(), uri, "{target}");
            assert!(!request.headers().contains_key("host"));
        }
    }

    #[test]
    fn what_may_be_an_attack_is_refused_and_left_as_it_was() {
        use ForwardError::{Framing, Host, Loop, Path};
        for (target, headers, error) in [
            ("/a", &[][..], Host),
            ("/a", &[("host", "a"), ("host", "a")], Host),
            ("/a", &[("host", "a b")], Host),
            ("/a", &[("host", "user@a")], Host),
            ("http://a/", &[("host", "b")], Host),
            ("http://a:80/", &[("host", "a:81")], Host),
            (
                "/a",
                &[
                    ("host", "a"),
                    ("content-length", "1"),
                    ("transfer-encoding", "chunked"),
                ],
                Framing,
            ),
            ("*", &[("host", "a")], Path),
            ("/a", &[("host", "a"), ("via", "1.1 here")], Loop),
            (
                "/a",
                &[("host", "a"), ("via", "2 there, 1.1 here (x)")],
                Loop,
            ),
        ] {
            let mut request = came(target, headers);
            let before = format!("{request:?}");
            assert_eq!(upstream().request(&mut request), Err(error), "{target}");
            assert_eq!(format!("{request:?}"), before);
            assert!(error.to_string().starts_with(error.field()));
        }
        let mut tunnel = came("http://a:443", &[]);
        *tunnel.method_mut() = Method::CONNECT;
        assert_eq!(upstream().request(&mut tunnel), Err(ForwardError::Connect));
    }

    #[test]
    fn what_is_about_the_connection_stays_behind_both_ways() {
        let both = [
            ("connection", "close, X-One"),
            ("connection", ", keep-alive,,x-two , é"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic SECRET"),
            ("proxy-connection", "close"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
            ("x-three", "3"),
        ];
        let headers = [&[("host", "a"), ("expect", "100-continue")][..], &both].concat();
        let request = sent("/", &headers).unwrap();
        let mut response = Response::new(());
        *response.headers_mut() = came("/", &both).headers().clone();
        upstream().response(&mut response);
        for headers in [request.headers(), response.headers()] {
            assert_eq!(headers.len(), 2, "{headers:?}");
            assert_eq!(
                (&headers["x-three"], &headers["via"]),
                (&"3".parse().unwrap(), &"1.1 here".parse().unwrap())
            );
        }
    }

    #[test]
    fn a_host_must_be_one_and_a_circle_is_found_in_any_spelling() {
        for host in ["", "a b", "user@a"] {
            let refused = sent("/", &[("host", host)]).unwrap_err();
            assert_eq!(refused, ForwardError::Host, "{host:?}");
        }
        for via in ["2 other,1.1  here (é)", "HTTP/1.1 here"] {
            let refused = sent("/", &[("host", "a"), ("via", via)]).unwrap_err();
            assert_eq!(refused, ForwardError::Loop, "{via}");
        }
        assert!(sent("/", &[("host", "a"), ("via", "1.1 nowhere, 2 there")]).is_ok());
    }

    #[test]
    fn nobody_gets_past_by_http_2_in_cleartext() {
        for (protocol, kept) in [
            ("websocket", true),
            ("h2c", false),
            ("websocket, H2C", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("connection", HeaderValue::from_static("Upgrade"));
            headers.insert("upgrade", HeaderValue::from_static(protocol));
            hop_by_hop::take_off(&mut headers, true);
            assert_eq!(headers.contains_key("upgrade"), kept, "{protocol}");
        }
    }

    #[test]
    fn a_response_with_a_coding_and_a_length_loses_the_length() {
        let mut response = Response::builder()
            .header(CONTENT_LENGTH, 3)
            .header(TRANSFER_ENCODING, "chunked")
            .body(())
            .unwrap();
        let upstream = Upstream::new("https://api.example").unwrap();
        upstream.response(&mut response);
        assert!(!response.headers().contains_key(CONTENT_LENGTH));
        assert!(!response.headers().contains_key(TRANSFER_ENCODING));
    }

    #[test]
    fn a_response_says_by_what_version_it_came() {
        let mut response = Response::builder()
            .version(Version::HTTP_2)
            .header("connection", "x-a")
            .header("x-a", "1")
            .header("proxy-authenticate", "Basic")
            .body(())
            .unwrap();
        upstream().response(&mut response);
        assert_eq!(response.headers().len(), 1);
        assert_eq!(response.headers()["via"], "2 here");
    }

    #[test]
    fn trailers_may_still_come() {
        let request = sent("/", &[("host", "a"), ("te", "gzip;q=1, Trailers")]).unwrap();
        assert_eq!(request.headers()["te"], "trailers");
    }

    #[test]
    fn what_came_by_http_2_goes_by_any_version() {
        let mut request = came("https://a/", &[("cookie", "a=1"), ("cookie", "b=2")]);
        *request.version_mut() = Version::HTTP_2;
        upstream().request(&mut request).unwrap();
        assert_eq!(request.version(), Version::HTTP_11);
        assert_eq!(request.headers()["cookie"], "a=1; b=2");
        assert_eq!(request.headers()["via"], "2 here");
    }

    #[test]
    fn another_protocol_is_asked_for_only_if_the_gateway_can_carry_it() {
        let asks = [
            ("host", "a"),
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
        ];
        let mut request = came("/", &asks);
        upstream()
            .with_upgrades(true)
            .request(&mut request)
            .unwrap();
        assert_eq!(request.headers()["connection"], "upgrade");
        assert_eq!(request.headers()["upgrade"], "websocket");
        let mut agrees = Response::new(());
        *agrees.headers_mut() = request.headers().clone();
        upstream().with_upgrades(true).response(&mut agrees);
        assert!(!agrees.headers().contains_key("upgrade"), "it is no 101");
        *agrees.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *agrees.headers_mut() = request.headers().clone();
        upstream().with_upgrades(true).response(&mut agrees);
        assert_eq!(agrees.headers()["upgrade"], "websocket");
        // Without a word in `Connection`, and to a gateway that cannot.
        for (headers, can) in [(&asks[..], false), (&[asks[0], asks[2]], true)] {
            let mut request = came("/", headers);
            upstream().with_upgrades(can).request(&mut request).unwrap();
            assert!(!request.headers().contains_key("upgrade"));
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_goes_to_the_api_or_nowhere(
            target in "[ -~]{0,40}",
            headers in proptest::collection::vec(("(host|connection|via|te|cookie|x-[a-z]{1,3})", "[ -~é]{0,20}"), 0..6),
        ) {
            let Ok(uri) = target.parse::<Uri>() else { return Ok(()) };
            let mut request = Request::new(());
            *request.uri_mut() = uri;
            for (name, value) in &headers {
                let name = http::HeaderName::try_from(name.as_str()).unwrap();
                let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) else { return Ok(()) };
                request.headers_mut().append(name, value);
            }
            if upstream().request(&mut request).is_ok() {
                prop_assert_eq!(request.uri().authority().unwrap().as_str(), "api.example:8443");
                prop_assert_eq!(request.uri().scheme_str(), Some("https"));
                prop_assert!(!request.headers().contains_key("connection"));
            }
        }
    }
}
