//! Against other web pages: those that the operator's browser shows, and those that call the admin
//! address by a name of their own (DNS rebinding).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, ORIGIN,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use tower_mac_auth::provider::Provider;

use super::Admin;
use crate::proxy::Refusal;

pub(super) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_FRAME_OPTIONS, "DENY"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];

/// The names of the admin address.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    ip: Option<IpAddr>,
    names: Vec<String>,
}

impl Hosts {
    pub(super) fn new(ip: IpAddr, names: Vec<String>) -> Self {
        Self {
            ip: Some(ip),
            names,
        }
    }

    /// Whether a page that called it by this name can be its own. The port does not matter, for no
    /// page of another can have the same host.
    fn has(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_own = |name: &String| bare.eq_ignore_ascii_case(name);
        if self.names.iter().any(is_own) {
            return true;
        }
        if let Ok(ip) = bare.parse::<IpAddr>() {
            // An address, in contrast to a name, cannot be made to lead elsewhere.
            return self.ip.is_some_and(|own| {
                own == ip || own.is_unspecified() || (own.is_loopback() && ip.is_loopback())
            });
        }
        host.eq_ignore_ascii_case("localhost")
    }
}

/// Lets a request through, or not, and adds to its response what browsers are to keep to.
pub(super) async fn guard<P: Provider>(
    State(admin): State<Arc<Admin<P>>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match check(&admin.hosts, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.into_answer().map(axum::body::Body::new)
    }
}

fn check(hosts: &Hosts, request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    let host = host(request.uri(), headers).filter(|host| hosts.has(host.host()));
    let Some(host) = host else {
        let reason = "this is not a name of the admin address: if it is to be one, start the gateway with \
                      --admin-host NAME";
        return Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            "host",
            reason,
        ));
    };
    let cross_site =
        |reason: &'static str| Refusal::new(StatusCode::FORBIDDEN, "cross_site", reason);
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    let foreign = site.is_some_and(|site| site != b"same-origin" && site != b"none");
    if *request.method() == Method::GET || *request.method() == Method::HEAD {
        // The provider's page leads to the callback, and it alone may.
        if foreign && request.uri().path() == "/login" {
            return Err(cross_site("a login does not begin on the page of another"));
        }
        return Ok(());
    }
    if foreign {
        return Err(cross_site("the request comes from the page of another"));
    }
    if let Some(origin) = headers.get(ORIGIN) {
        let own = origin.to_str().ok().and_then(|origin| {
            let origin = origin.parse::<Uri>().ok()?;
            Some(origin.authority()? == host.as_str())
        });
        if own != Some(true) {
            return Err(cross_site("the request comes from the page of another"));
        }
    }
    // A form of another page can send neither.
    let json = headers.get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes().split(|byte| *byte == b';').next();
        kind.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"application/json"))
    });
    if !json && !headers.contains_key(REQUESTED_WITH) {
        let reason = "send Content-Type: application/json, or any X-Requested-With";
        return Err(cross_site(reason));
    }
    Ok(())
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

    #[test]
    fn addresses_and_own_names_are_its_own_and_others_are_not() {
        for (listen, host, own) in [
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
            let names = ["ops.example", "192.0.2.1", "2001:db8::1"].map(str::to_owned);
            let hosts = Hosts::new(listen.parse().unwrap(), names.to_vec());
            assert_eq!(hosts.has(host), own, "{host} at {listen}");
        }
    }

    fn asked(method: &str, path: &str, headers: &[(&str, &str)]) -> Option<&'static str> {
        let hosts = Hosts::new([127, 0, 0, 1].into(), Vec::new());
        let builder = Request::builder().method(method).uri(path);
        let builder = headers.iter().fold(builder, |builder, (name, value)| {
            builder.header(*name, *value)
        });
        let request = builder.body(axum::body::Body::empty()).unwrap();
        check(&hosts, &request).err().map(|refusal| refusal.error)
    }

    #[test]
    fn only_its_own_page_and_programs_may_change_anything() {
        let host = ("host", "127.0.0.1:8081");
        let json = ("content-type", "application/json; charset=utf-8");
        let path = "/accounts/a/revoke";
        for (headers, refused) in [
            (&[host, json][..], None),
            (&[host, ("x-requested-with", "curl")], None),
            (&[host, json, ("origin", "http://127.0.0.1:8081")], None),
            (&[host, json, ("sec-fetch-site", "same-origin")], None),
            (&[host], Some("cross_site")),
            (&[host, ("content-type", "text/plain")], Some("cross_site")),
            (
                &[host, json, ("origin", "http://evil.example")],
                Some("cross_site"),
            ),
            (
                &[host, json, ("origin", "http://127.0.0.1:9")],
                Some("cross_site"),
            ),
            (&[host, json, ("origin", "null")], Some("cross_site")),
            (
                &[host, json, ("sec-fetch-site", "cross-site")],
                Some("cross_site"),
            ),
            (
                &[host, json, ("sec-fetch-site", "same-site")],
                Some("cross_site"),
            ),
            (&[("host", "evil.example"), json], Some("host")),
            (&[host, host, json], Some("host")),
        ] {
            assert_eq!(asked("POST", path, headers), refused, "{headers:?}");
        }
    }

    #[test]
    fn the_page_of_another_begins_no_login_but_may_end_one() {
        let headers = [("host", "localhost"), ("sec-fetch-site", "cross-site")];
        assert_eq!(
            asked("GET", "/login?account=a", &headers),
            Some("cross_site")
        );
        assert_eq!(asked("GET", "/callback?code=a", &headers), None);
    }
}
