//! What no web page but the own may ask of the admin address.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Method};
use tower_mac_auth::provider::Provider;

use super::Admin;
use crate::browsers::{Hosts, cross_site};
use crate::proxy::Refusal;

const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_FRAME_OPTIONS, "DENY"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];

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
    let host = hosts.called(request, "--admin-host")?;
    let headers = request.headers();
    let foreign = hosts.is_of_another(headers, &host);
    if *request.method() == Method::GET || *request.method() == Method::HEAD {
        // A link may lead to the page, and the provider's page leads to the callback.
        if foreign && !["/", "/callback"].contains(&request.uri().path()) {
            return Err(cross_site("the request comes from the page of another"));
        }
        return Ok(());
    }
    if foreign {
        return Err(cross_site("the request comes from the page of another"));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, path: &str, headers: &[(&str, &str)]) -> Option<&'static str> {
        let hosts = Hosts::Own {
            ip: [127, 0, 0, 1].into(),
            names: Vec::new(),
        };
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
        assert_eq!(asked("GET", "/", &headers), None);
        for path in ["/accounts", "/events", "/history", "/metrics"] {
            assert_eq!(asked("GET", path, &headers), Some("cross_site"), "{path}");
        }
    }
}
