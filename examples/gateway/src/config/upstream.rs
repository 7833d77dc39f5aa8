//! Where the API is.

use std::net::{IpAddr, SocketAddr};

use http::Uri;
use http::uri::{Authority, Scheme};
use tower_mac_auth::provider::AllowedAuthorities;

use super::addresses::is_web;
use super::{Flags, Problems};
use crate::browsers::without_brackets;

/// Where requests go, and what is signed.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    /// Where it connects.
    pub(crate) connect: Uri,
    /// What the API is called in what is signed, in `Host` and in `:authority`.
    pub(crate) host: Authority,
}

impl Upstream {
    pub(super) fn new(flags: &Flags) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let connect = problems.note("--upstream", connect(flags.upstream.as_deref()));
        let to_others = |uri: &Uri| uri.scheme() == Some(&Scheme::HTTP) && !is_loopback(uri);
        if connect.as_ref().is_some_and(to_others) && !flags.allow_http {
            let what =
                "goes to another machine in the clear: give an https:// URL, or --allow-http too";
            problems.add("--upstream", what);
        }
        let host = match flags.sign_host.as_deref() {
            Some(text) => problems.note("--sign-host", sign_host(text)),
            None => connect
                .as_ref()
                .and_then(|connect| connect.authority().cloned()),
        };
        let upstream = connect
            .zip(host)
            .map(|(connect, host)| Self { connect, host });
        problems.none_or(upstream)
    }

    /// Whether it is this address of this machine.
    pub(super) fn is_at(&self, address: SocketAddr) -> bool {
        let host = self.connect.host().map(without_brackets);
        let ip = host.and_then(|host| host.parse::<IpAddr>().ok());
        let here = ip.is_some_and(|ip| ip == address.ip())
            || (is_loopback(&self.connect)
                && (address.ip().is_loopback() || address.ip().is_unspecified()));
        here && address.port() != 0 && self.connect.port_u16() == Some(address.port())
    }

    /// Where credentials may go.
    pub(super) fn allowed(&self, flags: &Flags) -> Result<AllowedAuthorities, Problems> {
        let named = match flags.sign_host {
            Some(_) => "--sign-host",
            None => "--upstream",
        };
        let allowed = AllowedAuthorities::new([self.host.as_str()]);
        let allowed = allowed.map_err(|error| Problems::one(named, error.to_string()))?;
        // Whether `http` will do was settled by where it connects.
        Ok(allowed.allow_plain_http(self.scheme() == Scheme::HTTP))
    }

    /// The scheme of both.
    pub(crate) fn scheme(&self) -> Scheme {
        self.connect.scheme().cloned().unwrap_or(Scheme::HTTPS)
    }
}

/// A scheme and a host, perhaps a port, and no path.
fn connect(given: Option<&str>) -> Result<Uri, String> {
    const RIGHT: &str = "give it as in --upstream https://api.example";
    let text = given.ok_or_else(|| format!("is missing: {RIGHT}"))?;
    let wrong = |what: &str| Err(format!("{what}: {RIGHT}"));
    let Ok(uri) = text.parse::<Uri>() else {
        return wrong("is no URL");
    };
    if !is_web(&uri) {
        return wrong("is neither http:// nor https://");
    }
    if !uri.authority().is_some_and(is_place) {
        return wrong("has a user in it, no host, or a port that is none");
    }
    if uri.path_and_query().is_some_and(|path| path != "/") {
        return wrong("has a path, but that of each request is sent on as it is");
    }
    Ok(uri)
}

/// What is signed, if it is not the host of the upstream.
fn sign_host(text: &str) -> Result<Authority, &'static str> {
    let host = text.parse::<Authority>().ok().filter(is_place);
    host.ok_or("is no host, or host and port: give it as in --sign-host api.example")
}

/// A host, and perhaps a port that can be connected to.
fn is_place(authority: &Authority) -> bool {
    let (text, host) = (authority.as_str(), authority.host());
    let port = text != host;
    !text.contains('@')
        && !host.is_empty()
        && (!port || authority.port_u16().is_some_and(|port| port > 0))
}

/// Whether it is this machine.
fn is_loopback(uri: &Uri) -> bool {
    uri.host().is_some_and(|host| {
        host.eq_ignore_ascii_case("localhost")
            || without_brackets(host)
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_scheme_and_a_host() {
        for url in ["http://a", "https://api.example/", "http://[::1]:8080"] {
            assert!(connect(Some(url)).is_ok(), "{url}");
        }
        for url in [
            "",
            "a",
            "/",
            "api.example",
            "ftp://a",
            "https://a/b",
            "https://user:canary@a",
            "https://a:",
            "https://a:0",
            "https://a:99999",
        ] {
            let told = connect(Some(url)).unwrap_err();
            assert!(told.contains("--upstream https://"), "{url}: {told}");
            assert!(!told.contains("canary"));
        }
    }

    #[test]
    fn loopback_is_this_machine_by_name_or_number() {
        for (url, loopback) in [
            ("http://localhost:1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:8080", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), loopback, "{url}");
        }
    }
}
