use std::fmt;

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, COOKIE, EXPECT,
    HOST, HeaderName, MAX_FORWARDS, TRAILER, TRANSFER_ENCODING,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};

use super::{Asked, ForwardError, UpstreamError, hop_by_hop, via};

const NO_TRAILERS: [HeaderName; 10] = [
    AUTHORIZATION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    EXPECT,
    HOST,
    MAX_FORWARDS,
    TRAILER,
];

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

    /// Makes a request that came in one for the API.
    ///
    /// # Errors
    ///
    /// If it is not one that can be sent on. It is as it was then.
    pub fn request<B>(&self, request: &mut Request<B>) -> Result<Asked, ForwardError> {
        self.check(request)?;
        let hops = hops_left(request)?;
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
        let protocol =
            hop_by_hop::asked_for(headers).filter(|_| self.upgrades && version == Version::HTTP_11);
        hop_by_hop::take_off(headers, protocol.is_some());
        headers.remove(HOST);
        headers.remove(EXPECT);
        if let Some(hops) = hops {
            headers.insert(MAX_FORWARDS, hops.into());
        }
        join_cookies(headers);
        if let Some(name) = &self.via {
            via::add(headers, version, name);
        }
        Ok(Asked { protocol })
    }

    /// Takes off what may not come after a body, of a request or a response: what is about one connection or
    /// the framing, who asks, and where it goes (RFC 9110 §6.5.1).
    pub fn trailers(&self, trailers: &mut HeaderMap) {
        hop_by_hop::take_off(trailers, false);
        for name in NO_TRAILERS {
            trailers.remove(name);
        }
    }

    /// Makes the API's response one for whoever asked.
    ///
    /// # Errors
    ///
    /// If it cannot be sent back: the API's fault, a 502. It is as it was then.
    pub fn response<B>(
        &self,
        asked: &Asked,
        response: &mut Response<B>,
    ) -> Result<(), ForwardError> {
        let upgraded = asked.is_upgraded(response.status(), response.headers())?;
        if hop_by_hop::is_coded(response.headers()) {
            return Err(ForwardError::ResponseCoding);
        }
        let version = std::mem::replace(response.version_mut(), Version::HTTP_11);
        let headers = response.headers_mut();
        // It is the coding that says how long the body is (RFC 9112 §6.3): with the length on, less or more
        // of it would be sent.
        if headers.contains_key(TRANSFER_ENCODING) {
            headers.remove(CONTENT_LENGTH);
        }
        hop_by_hop::take_off(headers, upgraded);
        if let Some(name) = &self.via {
            via::add(headers, version, name);
        }
        Ok(())
    }

    fn check<B>(&self, request: &Request<B>) -> Result<(), ForwardError> {
        if request.method() == Method::CONNECT || request.method() == Method::TRACE {
            return Err(ForwardError::Method);
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
        let has_user = authority.is_some_and(|authority| authority.as_str().contains('@'));
        if !agree || more.is_some() || has_user {
            return Err(ForwardError::Host);
        }
        if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
            return Err(ForwardError::Framing);
        }
        if hop_by_hop::is_coded(headers) {
            return Err(ForwardError::Coding);
        }
        let has_come = |name: &str| via::has(headers, name);
        if self.via.as_deref().is_some_and(has_come) {
            return Err(ForwardError::Loop);
        }
        Ok(())
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// How many gateways an `OPTIONS` may still go by after this one, if it says (RFC 9110 §7.6.2).
fn hops_left<B>(request: &Request<B>) -> Result<Option<u64>, ForwardError> {
    if request.method() != Method::OPTIONS {
        return Ok(None);
    }
    let hops = request.headers().get_all(MAX_FORWARDS).into_iter();
    let hops = hops.filter_map(|hops| hops.to_str().ok()?.parse::<u64>().ok());
    hops.min()
        .map(|hops| hops.checked_sub(1).ok_or(ForwardError::LastHop))
        .transpose()
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

    fn answered(asked: &Asked, response: &mut Response<()>) -> Result<(), ForwardError> {
        upstream().response(asked, response)
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
            ("http://user@a/", &[], Host),
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
        ] {
            let mut request = came(target, headers);
            let before = format!("{request:?}");
            assert_eq!(
                upstream().request(&mut request).unwrap_err(),
                error,
                "{target}"
            );
            assert_eq!(format!("{request:?}"), before);
            assert!(error.to_string().starts_with(error.field()));
        }
        for method in [Method::CONNECT, Method::TRACE] {
            let mut request = came("http://a:443", &[]);
            *request.method_mut() = method;
            let refused = upstream().request(&mut request).unwrap_err();
            assert_eq!(refused, ForwardError::Method);
        }
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
        answered(&Asked::default(), &mut response).unwrap();
        for headers in [request.headers(), response.headers()] {
            assert_eq!(headers.len(), 2, "{headers:?}");
            assert_eq!(
                (&headers["x-three"], &headers["via"]),
                (&"3".parse().unwrap(), &"1.1 here".parse().unwrap())
            );
        }
    }

    #[test]
    fn a_host_must_be_one() {
        for host in ["", "a b", "user@a"] {
            let refused = sent("/", &[("host", host)]).unwrap_err();
            assert_eq!(refused, ForwardError::Host, "{host:?}");
        }
    }

    #[test]
    fn a_coding_that_nobody_takes_off_is_refused_both_ways() {
        for (coding, refused) in [
            ("chunked", false),
            ("Chunked", false),
            ("gzip, chunked", true),
            ("gzip", true),
            ("chunked, chunked", true),
            ("chunked, identity", true),
        ] {
            let request = sent("/", &[("host", "a"), ("transfer-encoding", coding)]);
            let expected = refused.then_some(ForwardError::Coding);
            assert_eq!(request.err(), expected, "{coding}");
            let mut response = Response::new(());
            let value = HeaderValue::from_static(coding);
            response.headers_mut().insert(TRANSFER_ENCODING, value);
            let expected = refused.then_some(ForwardError::ResponseCoding);
            let answer = answered(&Asked::default(), &mut response);
            assert_eq!(answer.err(), expected, "{coding}");
        }
    }

    #[test]
    fn options_go_as_far_as_they_say() {
        for (hops, left) in [
            ("2", Ok("1")),
            ("0", Err(ForwardError::LastHop)),
            ("x", Ok("x")),
        ] {
            let mut request = came("/", &[("host", "a"), ("max-forwards", hops)]);
            *request.method_mut() = Method::OPTIONS;
            let sent = upstream().request(&mut request);
            assert_eq!(sent.as_ref().err().copied(), left.err());
            let now = request.headers()[MAX_FORWARDS].to_str().unwrap();
            assert_eq!(now, left.unwrap_or(hops));
            // Of other methods it says nothing.
            let request = self::sent("/", &[("host", "a"), ("max-forwards", hops)]).unwrap();
            assert_eq!(request.headers()[MAX_FORWARDS], hops);
        }
    }

    #[test]
    fn a_trailer_says_neither_who_asks_nor_where_it_goes() {
        let mut trailers = HeaderMap::new();
        for name in [
            "authorization",
            "host",
            "content-length",
            "connection",
            "x-sum",
            "te",
        ] {
            trailers.insert(name, HeaderValue::from_static("x-sum-2"));
        }
        trailers.insert("x-sum-2", HeaderValue::from_static("2"));
        upstream().trailers(&mut trailers);
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["x-sum"]);
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
        answered(&Asked::default(), &mut response).unwrap();
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
        answered(&Asked::default(), &mut response).unwrap();
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
        let asked = upstream()
            .with_upgrades(true)
            .request(&mut request)
            .unwrap();
        assert!(asked.wants_upgrade());
        assert_eq!(request.headers()["connection"], "upgrade");
        assert_eq!(request.headers()["upgrade"], "websocket");
        let mut agrees = Response::new(());
        *agrees.headers_mut() = request.headers().clone();
        answered(&asked, &mut agrees).unwrap();
        assert!(!agrees.headers().contains_key("upgrade"), "it is no 101");
        // Without a word in `Connection`, and to a gateway that cannot.
        for (headers, can) in [(&asks[..], false), (&[asks[0], asks[2]], true)] {
            let mut request = came("/", headers);
            let asked = upstream().with_upgrades(can).request(&mut request).unwrap();
            assert!(!asked.wants_upgrade() && !request.headers().contains_key("upgrade"));
        }
    }

    #[test]
    fn a_response_changes_to_what_was_asked_for_or_is_none() {
        for (asks, agrees, good) in [
            ("websocket", Some("WebSocket"), true),
            ("a/1, b", Some("b"), true),
            ("a/1, b", Some("b, a/1"), true),
            ("a/1", Some("a/2"), false),
            ("a", Some("b"), false),
            ("a", Some("a, b"), false),
            ("a", None, false),
            ("", Some("a"), false),
        ] {
            let headers = [("host", "a"), ("connection", "upgrade"), ("upgrade", asks)];
            let headers = &headers[..if asks.is_empty() { 1 } else { 3 }];
            let mut request = came("/", headers);
            let asked = upstream()
                .with_upgrades(true)
                .request(&mut request)
                .unwrap();
            let mut response = Response::new(());
            *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
            if let Some(agrees) = agrees {
                let headers = response.headers_mut();
                headers.insert("connection", HeaderValue::from_static("upgrade"));
                headers.insert("upgrade", HeaderValue::from_static(agrees));
            }
            let answer = answered(&asked, &mut response);
            assert_eq!(answer.is_ok(), good, "{asks} {agrees:?}");
            assert_eq!(response.headers().contains_key("via"), good);
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
