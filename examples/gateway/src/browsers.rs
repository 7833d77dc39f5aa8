//! Against other web pages: those that a user's browser shows, and those that call an address by a name of
//! their own (DNS rebinding).

use std::net::IpAddr;

use http::header::{HOST, HeaderName, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};

use crate::proxy::Refusal;

/// Set by browsers, and by no page.
pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// By which names an address may be called, and so by whose pages.
#[derive(Clone, Debug)]
pub(crate) enum Hosts {
    /// By its own, and by these, in lower case and without a port or brackets.
    Own { ip: IpAddr, names: Vec<String> },
    /// By any: that is for whoever gave them. A browser says all the same whose page it shows.
    Every,
    /// By any, and by the pages of others.
    Open,
}

impl Hosts {
    /// Whether a page that called it by this name can be its own. The port does not matter, for no
    /// page of another can have the same host.
    fn has(&self, host: &str) -> bool {
        let bare = without_brackets(host);
        let Self::Own { ip: own, .. } = self else {
            return true;
        };
        if self.is_named(bare) {
            return true;
        }
        if let Ok(ip) = bare.parse::<IpAddr>() {
            // An address, in contrast to a name, cannot be made to lead elsewhere.
            return *own == ip || own.is_unspecified() || (own.is_loopback() && ip.is_loopback());
        }
        host.eq_ignore_ascii_case("localhost")
    }

    fn is_named(&self, host: &str) -> bool {
        let Self::Own { names, .. } = self else {
            return false;
        };
        names.iter().any(|name| host.eq_ignore_ascii_case(name))
    }

    /// The host that a request names, which must be one of these; `flag` adds others.
    pub(crate) fn called<B>(&self, request: &Request<B>, flag: &str) -> Result<Authority, Refusal> {
        let host = host(request.uri(), request.headers());
        host.filter(|host| self.has(host.host()))
            .ok_or_else(|| misdirected(flag))
    }

    /// Lets a request to be signed in, or not. One that names no host, or two, comes from no browser; it is
    /// judged where it is sent on.
    pub(crate) fn admit<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let Some(called) = host(request.uri(), request.headers()) else {
            return Ok(());
        };
        if !self.has(called.host()) {
            return Err(misdirected("--host"));
        }
        if self.is_of_another(request.headers(), &called) {
            let reason = "a browser made the request for the page of another: if that may sign, start the \
                          gateway with --host and the name of the page";
            return Err(cross_site(reason));
        }
        Ok(())
    }

    /// Whether a browser says that the page of another has made the request, one that is not named here.
    pub(crate) fn is_of_another(&self, headers: &HeaderMap, called: &Authority) -> bool {
        if matches!(self, Self::Open) {
            return false;
        }
        let origin = headers.get(ORIGIN).map(|origin| {
            let origin = origin.to_str().ok()?.parse::<Uri>().ok()?;
            origin.into_parts().authority
        });
        // Behind another port there may be somebody else.
        let named = |origin: &Option<Authority>| {
            let origin = origin.as_ref();
            origin.is_some_and(|it| it.port().is_none() && self.is_named(it.host()))
        };
        if origin.as_ref().is_some_and(named) {
            return false;
        }
        match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
            Some(site) => site != b"same-origin" && site != b"none",
            // An older browser, or one that does not trust the connection.
            None => origin.is_some_and(|origin| origin.as_ref() != Some(called)),
        }
    }
}

/// What is told by another name; `flag` adds it.
fn misdirected(flag: &str) -> Refusal {
    let reason = format!(
        "this is not a name of this address: if it is to be one, start the gateway with {flag} NAME"
    );
    Refusal::new(StatusCode::MISDIRECTED_REQUEST, "host", reason)
}

/// What a page of another is told.
pub(crate) fn cross_site(reason: &'static str) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, "cross_site", reason)
}

/// An address of IPv6 as it is by itself, or any other host.
pub(crate) fn without_brackets(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The one host that a request names.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, None) => return uri.authority().cloned(),
        (Some(host), None) => Authority::try_from(host.as_bytes()).ok()?,
        _ => return None,
    };
    uri.authority()
        .is_none_or(|other| *other == host)
        .then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(listen: &str) -> Hosts {
        let names = ["ops.example", "192.0.2.1", "2001:db8::1"].map(str::to_owned);
        Hosts::Own {
            ip: listen.parse().unwrap(),
            names: names.to_vec(),
        }
    }

    #[test]
    fn addresses_and_own_names_are_its_own_and_others_are_not() {
        for (listen, host, has) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "[::1]", true),
            ("127.0.0.1", "localhost", true),
            ("127.0.0.1", "OPS.example", true),
            ("127.0.0.1", "10.0.0.1", false),
            ("127.0.0.1", "evil.example", false),
            ("127.0.0.1", "localhost.evil.example", false),
            ("0.0.0.0", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.1", "192.0.2.1", true),
            ("10.0.0.1", "[2001:db8::1]", true),
        ] {
            assert_eq!(own(listen).has(host), has, "{host} at {listen}");
        }
        assert!(Hosts::Every.has("any.example"));
    }

    #[test]
    fn the_page_of_another_is_told_by_what_browsers_say() {
        let called = Authority::from_static("gateway:8080");
        let (site, origin) = ("sec-fetch-site", "origin");
        for (headers, foreign) in [
            (&[][..], false),
            (&[(origin, "http://gateway:8080")], false),
            (&[(origin, "http://gateway")], true),
            (&[(origin, "http://evil.example")], true),
            (&[(origin, "null")], true),
            (&[(site, "same-origin")], false),
            (&[(site, "none")], false),
            (&[(site, "same-site")], true),
            (&[(site, "cross-site")], true),
            // A proxy in front has changed the host.
            (
                &[(site, "same-origin"), (origin, "https://app.example")],
                false,
            ),
            (
                &[(site, "cross-site"), (origin, "https://ops.example")],
                false,
            ),
            (
                &[(site, "same-site"), (origin, "https://ops.example:9")],
                true,
            ),
            (
                &[(site, "cross-site"), (origin, "https://evil.example")],
                true,
            ),
        ] {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| {
                    let name = HeaderName::from_static(name);
                    (name, HeaderValue::from_static(value))
                })
                .collect();
            let hosts = own("127.0.0.1");
            assert_eq!(
                hosts.is_of_another(&headers, &called),
                foreign,
                "{headers:?}"
            );
            assert!(!Hosts::Open.is_of_another(&headers, &called));
        }
    }
}
