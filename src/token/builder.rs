use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

use http::Uri;
use http::header::HeaderValue;
use http::uri::Scheme;

use super::endpoint::{Inner, Reach, Target, TokenEndpoint};
use super::limiter::Limiter;
use super::transport::Transport;
use crate::provider::{EndpointError, EndpointErrorKind, GrantType, Provider};

/// Makes a [`TokenEndpoint`] of a provider.
#[must_use]
pub struct TokenEndpointBuilder<P> {
    provider: P,
    requests_per_second: Option<NonZeroU32>,
    allow_plain_http: bool,
    transport: Option<Box<dyn Transport>>,
}

impl<P: Provider> TokenEndpointBuilder<P> {
    pub(super) fn new(provider: P) -> Self {
        Self {
            requests_per_second: provider.requests_per_second(),
            provider,
            allow_plain_http: false,
            transport: None,
        }
    }

    /// How many requests may start in any second, over all accounts; `None` for no limit.
    /// Default: the [provider's](Provider::requests_per_second).
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
    pub fn build(self) -> Result<TokenEndpoint<P>, EndpointError> {
        let endpoint = self.into_endpoint();
        endpoint.check()?;
        Ok(endpoint)
    }

    /// The endpoint, whether it can be used or not.
    pub(super) fn into_endpoint(self) -> TokenEndpoint<P> {
        let limiter = Limiter::new(self.requests_per_second);
        let reach = self.transport.map_or_else(
            || reach(&self.provider, self.allow_plain_http, default_transport),
            |transport| reach(&self.provider, self.allow_plain_http, |_| Ok(transport)),
        );
        TokenEndpoint::new(Inner {
            provider: self.provider,
            limiter,
            reach,
        })
    }
}

fn reach<P: Provider>(
    provider: &P,
    allow_plain_http: bool,
    transport: impl FnOnce(&Uri) -> Result<Box<dyn Transport>, EndpointError>,
) -> Result<Reach, EndpointError> {
    let target = |grant_type| {
        let url = check_url(provider.token_url(grant_type), allow_plain_http)?;
        let host = host_header(&url)?;
        Ok(Target { url, host })
    };
    let for_refresh = target(GrantType::RefreshToken)?;
    let for_code = target(GrantType::AuthorizationCode)?;
    provider.check()?;
    let transport = transport(&for_refresh.url)?;
    Ok(Reach {
        for_refresh,
        for_code,
        transport,
    })
}

impl<P: Provider> fmt::Debug for TokenEndpointBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL: it is not checked yet, and may have a password in it.
        f.debug_struct("TokenEndpointBuilder")
            .field("client_id", &self.provider.client_id())
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
    use std::error::Error as _;

    use super::*;
    use crate::provider::Xiaomi;
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

    fn xiaomi(url: &str) -> Xiaomi {
        Xiaomi::new("id", "secret", "https://client/cb").with_token_url(url)
    }

    fn builder(url: &str) -> TokenEndpointBuilder<Xiaomi> {
        TokenEndpoint::builder(xiaomi(url)).transport(Nowhere)
    }

    fn refused(builder: TokenEndpointBuilder<Xiaomi>) -> EndpointErrorKind {
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
        for (id, secret, redirect_uri, text) in [
            ("", "s", "https://c", "client_id: empty"),
            ("id", "", "https://c", "client_secret: empty"),
            ("id", "s", "", "redirect_uri: empty"),
        ] {
            let xiaomi = Xiaomi::new(id, secret, redirect_uri).with_token_url(url);
            let builder = TokenEndpoint::builder(xiaomi.clone()).transport(Nowhere);
            assert_eq!(builder.build().unwrap_err().to_string(), text);
            let unchecked = TokenEndpoint::from(xiaomi);
            assert_eq!(unchecked.check().unwrap_err().to_string(), text);
        }
    }

    #[tokio::test]
    async fn an_endpoint_that_cannot_be_used_sends_nothing_and_says_why() {
        let endpoint = TokenEndpoint::from(xiaomi("https://h/t#f"));
        let unsent = endpoint.connect().await.unwrap_err();
        assert_eq!(unsent.source().unwrap().to_string(), "url: has a fragment");
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
        let without = TokenEndpoint::builder(xiaomi("https://h/t"));
        assert_eq!(refused(without), EndpointErrorKind::Transport);
    }

    #[cfg(feature = "transport")]
    #[test]
    fn plain_http_needs_no_roots() {
        let endpoint = TokenEndpoint::builder(xiaomi("http://127.0.0.1:1/t"))
            .build()
            .unwrap();
        assert_eq!(
            format!("{endpoint:?}"),
            r#"TokenEndpoint { host: "127.0.0.1:1", client_id: "id", .. }"#
        );
    }
}
