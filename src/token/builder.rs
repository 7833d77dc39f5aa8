use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

use http::Uri;
use http::header::HeaderValue;
use http::uri::Scheme;

use super::endpoint::{Inner, TokenEndpoint};
use super::endpoint_error::{EndpointError, EndpointErrorKind};
use super::limiter::Limiter;
use super::transport::Transport;
use crate::ClientSecret;

const XIAOMI_URL: &str = "https://account.xiaomi.com/oauth2/token";
/// Xiaomi's documented limit for one client.
const REQUESTS_PER_SECOND: Option<NonZeroU32> = NonZeroU32::new(5000);

/// Makes a [`TokenEndpoint`].
#[must_use]
pub struct TokenEndpointBuilder {
    url: String,
    client_id: String,
    client_secret: Option<ClientSecret>,
    redirect_uri: Option<String>,
    send_token_type: bool,
    requests_per_second: Option<NonZeroU32>,
    allow_plain_http: bool,
    transport: Option<Box<dyn Transport>>,
}

impl TokenEndpointBuilder {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            client_id: String::new(),
            client_secret: None,
            redirect_uri: None,
            send_token_type: true,
            requests_per_second: REQUESTS_PER_SECOND,
            allow_plain_http: false,
            transport: None,
        }
    }

    /// The token endpoint of the Xiaomi Open API, as [`TokenEndpoint::xiaomi`] makes it.
    pub fn xiaomi(
        client_id: impl Into<String>,
        client_secret: impl Into<ClientSecret>,
        redirect_uri: impl Into<String>,
    ) -> Self {
        Self::new(XIAOMI_URL.to_owned())
            .client(client_id, client_secret)
            .redirect_uri(redirect_uri)
    }

    /// The URL of the endpoint. A query in it is kept (RFC 6749 §3.2).
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// The client that asks.
    pub fn client(
        mut self,
        client_id: impl Into<String>,
        client_secret: impl Into<ClientSecret>,
    ) -> Self {
        self.client_id = client_id.into();
        self.client_secret = Some(client_secret.into());
        self
    }

    /// The registered redirect URI, sent with every grant. Without one, none is sent.
    pub fn redirect_uri(mut self, redirect_uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(redirect_uri.into());
        self
    }

    /// Whether `token_type=mac` is sent (the default). Xiaomi does not document it, but most of
    /// its SDKs send it.
    pub fn send_token_type(mut self, send: bool) -> Self {
        self.send_token_type = send;
        self
    }

    /// How many requests may start in any second, over all accounts; `None` for no limit.
    /// 5000 by default, Xiaomi's limit for one client.
    pub fn requests_per_second(mut self, limit: impl Into<Option<NonZeroU32>>) -> Self {
        self.requests_per_second = limit.into();
        self
    }

    /// How the endpoint is reached. By default, with the feature `transport`,
    /// a [`HyperTransport`](super::HyperTransport) with the platform's roots.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Box::new(transport));
        self
    }

    /// Whether `http://` will do for a host other than this machine. The secrets of the client
    /// and of every user then cross the network in the clear: for closed networks only.
    pub fn allow_plain_http(mut self, allow: bool) -> Self {
        self.allow_plain_http = allow;
        self
    }

    /// Checks everything and makes the endpoint.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] names the knob that is wrong.
    pub fn build(self) -> Result<TokenEndpoint, EndpointError> {
        let url = check_url(&self.url, self.allow_plain_http)?;
        if self.client_id.is_empty() {
            return Err(EndpointError::new(
                EndpointErrorKind::Client,
                "client_id: empty",
            ));
        }
        let client_secret = self
            .client_secret
            .filter(|secret| !secret.expose_secret().is_empty())
            .ok_or_else(|| EndpointError::new(EndpointErrorKind::Client, "client_secret: empty"))?;
        if self.redirect_uri.as_deref() == Some("") {
            return Err(EndpointError::new(
                EndpointErrorKind::RedirectUri,
                "redirect_uri: empty",
            ));
        }
        let transport = match self.transport {
            Some(transport) => transport,
            None => default_transport(&url)?,
        };
        Ok(TokenEndpoint::new(Inner {
            host: host_header(&url)?,
            url,
            client_id: self.client_id,
            client_secret,
            redirect_uri: self.redirect_uri,
            send_token_type: self.send_token_type,
            limiter: Limiter::new(self.requests_per_second),
            transport,
        }))
    }
}

impl fmt::Debug for TokenEndpointBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL: it is not checked yet, and may have a password in it.
        f.debug_struct("TokenEndpointBuilder")
            .field("client_id", &self.client_id)
            .field("redirect_uri", &self.redirect_uri)
            .field("send_token_type", &self.send_token_type)
            .field("requests_per_second", &self.requests_per_second)
            .field("allow_plain_http", &self.allow_plain_http)
            .finish_non_exhaustive()
    }
}

fn check_url(url: &str, allow_plain_http: bool) -> Result<Uri, EndpointError> {
    let wrong = |detail| EndpointError::new(EndpointErrorKind::Url, detail);
    if url.contains('#') {
        return Err(wrong("url: has a fragment"));
    }
    let url: Uri = url
        .parse()
        .map_err(|source| wrong("url: not a URL").with_source(source))?;
    let (Some(scheme), Some(authority)) = (url.scheme(), url.authority()) else {
        return Err(wrong("url: not absolute, as in https://host/path"));
    };
    if authority.as_str().contains('@') {
        return Err(wrong("url: has a user name or password"));
    }
    if authority.host().is_empty() {
        return Err(wrong("url: has no host"));
    }
    if authority.as_str() != authority.host() && authority.port_u16().is_none() {
        return Err(wrong("url: the port is not a number up to 65535"));
    }
    if *scheme == Scheme::HTTP {
        if !allow_plain_http && !is_loopback(authority.host()) {
            return Err(EndpointError::new(
                EndpointErrorKind::PlainHttp,
                "url: https is needed for a host other than this machine, \
                 unless allow_plain_http is set",
            ));
        }
    } else if *scheme != Scheme::HTTPS {
        return Err(wrong("url: neither https nor http"));
    }
    Ok(url)
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The `Host` of a URL: its port only if it is not the scheme's own (RFC 9110 §7.2).
fn host_header(url: &Uri) -> Result<HeaderValue, EndpointError> {
    let host = url.host().unwrap_or_default();
    let own_port = if url.scheme() == Some(&Scheme::HTTP) {
        80
    } else {
        443
    };
    match url.port_u16().filter(|port| *port != own_port) {
        Some(port) => HeaderValue::try_from(format!("{host}:{port}")),
        None => HeaderValue::try_from(host),
    }
    .map_err(|source| {
        EndpointError::new(EndpointErrorKind::Url, "url: odd bytes in the host").with_source(source)
    })
}

#[cfg(feature = "transport")]
fn default_transport(url: &Uri) -> Result<Box<dyn Transport>, EndpointError> {
    use super::HyperTransport;

    // The platform's roots may be missing, and plain http does not need them.
    let transport = if url.scheme() == Some(&Scheme::HTTP) {
        HyperTransport::without_roots()
    } else {
        HyperTransport::new()
    };
    Ok(Box::new(transport?))
}

#[cfg(not(feature = "transport"))]
fn default_transport(_: &Uri) -> Result<Box<dyn Transport>, EndpointError> {
    Err(EndpointError::new(
        EndpointErrorKind::Transport,
        "transport: none given, and the feature `transport` is off",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Connection, TransportError};
    use futures_core::future::BoxFuture;

    struct Nowhere;

    impl Transport for Nowhere {
        fn connect<'a>(
            &'a self,
            _: &'a Uri,
        ) -> BoxFuture<'a, Result<Box<dyn Connection>, TransportError>> {
            Box::pin(async { Err(TransportError::timeout()) })
        }
    }

    fn builder(url: &str) -> TokenEndpointBuilder {
        TokenEndpoint::builder(url)
            .client("id", "secret")
            .transport(Nowhere)
    }

    fn refused(builder: TokenEndpointBuilder) -> EndpointErrorKind {
        builder.build().unwrap_err().kind()
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for host in [
            "127.0.0.1",
            "127.8.9.1:80",
            "[::1]:8080",
            "localhost",
            "LocalHost:1",
        ] {
            let built = builder(&format!("http://{host}/t")).build();
            assert!(built.is_ok(), "{host} {built:?}");
        }
        for host in [
            "example.org",
            "10.0.0.1",
            "127.0.0.1.example.org",
            "localhost.example.org",
            "[::2]",
            "0.0.0.0",
            "127.1",
        ] {
            let url = format!("http://{host}/t");
            assert_eq!(
                refused(builder(&url)),
                EndpointErrorKind::PlainHttp,
                "{host}"
            );
            assert!(builder(&url).allow_plain_http(true).build().is_ok());
            assert!(builder(&format!("https://{host}/t")).build().is_ok());
        }
    }

    #[test]
    fn a_url_that_is_none_is_refused_and_not_shown() {
        for url in [
            "",
            "/token",
            "account.example",
            "ftp://h/t",
            "https://",
            "https:///t",
            "https://u:canary@h/t",
            "https://h:99999/canary",
            "https://h:/t",
            "https://h/t#canary",
            "https://h/canary t",
            "https://h\n/t",
        ] {
            let error = builder(url).allow_plain_http(true).build().unwrap_err();
            assert_eq!(error.kind(), EndpointErrorKind::Url, "{url:?}");
            assert!(error.to_string().starts_with("url: "), "{error}");
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let url = "https://h/t";
        let without_client = TokenEndpoint::builder(url).transport(Nowhere);
        assert_eq!(refused(without_client), EndpointErrorKind::Client);
        for (id, secret, text) in [
            ("", "s", "client_id: empty"),
            ("id", "", "client_secret: empty"),
        ] {
            let error = builder(url).client(id, secret).build().unwrap_err();
            assert_eq!(error.to_string(), text);
        }
        let without_redirect = builder(url).redirect_uri("");
        assert_eq!(refused(without_redirect), EndpointErrorKind::RedirectUri);
    }

    #[test]
    fn the_host_header_leaves_out_the_schemes_own_port() {
        for (url, host) in [
            ("https://h/t", "h"),
            ("https://h:443/t", "h"),
            ("https://h:80/t", "h:80"),
            ("http://[::1]:80/t", "[::1]"),
            ("http://[::1]:443/t", "[::1]:443"),
        ] {
            assert_eq!(host_header(&url.parse().unwrap()).unwrap(), host);
        }
    }

    #[cfg(not(feature = "transport"))]
    #[test]
    fn without_the_built_in_transport_one_must_be_given() {
        let without = TokenEndpointBuilder::xiaomi("id", "secret", "https://client/cb");
        assert_eq!(refused(without), EndpointErrorKind::Transport);
    }

    #[cfg(feature = "transport")]
    #[test]
    fn plain_http_needs_no_roots() {
        let endpoint = TokenEndpointBuilder::xiaomi("id", "secret", "https://client/cb")
            .url("http://127.0.0.1:1/t")
            .build()
            .unwrap();
        assert_eq!(
            format!("{endpoint:?}"),
            r#"TokenEndpoint { host: "127.0.0.1:1", client_id: "id", .. }"#
        );
    }
}
