//! Where the API is.

use std::net::IpAddr;

use http::Uri;
use http::uri::Scheme;

/// A scheme and a host, perhaps a port, and no path.
pub(super) fn upstream(given: Option<&str>) -> Result<Uri, String> {
    const RIGHT: &str = "give it as in --upstream https://api.example";
    let text = given.ok_or_else(|| format!("is missing: {RIGHT}"))?;
    let wrong = |what: &str| Err(format!("{what}: {RIGHT}"));
    let Ok(uri) = text.parse::<Uri>() else {
        return wrong("is no URL");
    };
    let scheme = uri.scheme();
    if scheme != Some(&Scheme::HTTP) && scheme != Some(&Scheme::HTTPS) {
        return wrong("is neither http:// nor https://");
    }
    if uri
        .authority()
        .is_none_or(|authority| authority.as_str().contains('@'))
    {
        return wrong("has a user in it, or no host");
    }
    if uri.path_and_query().is_some_and(|path| path != "/") {
        return wrong("has a path, but that of each request is sent on as it is");
    }
    Ok(uri)
}

/// Whether it is this machine.
pub(super) fn is_loopback(uri: &Uri) -> bool {
    uri.host().is_some_and(|host| {
        let ip = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_scheme_and_a_host() {
        for url in ["http://a", "https://api.example/", "http://[::1]:8080"] {
            assert!(upstream(Some(url)).is_ok(), "{url}");
        }
        for url in [
            "",
            "a",
            "/",
            "api.example",
            "ftp://a",
            "https://a/b",
            "https://user:canary@a",
        ] {
            let told = upstream(Some(url)).unwrap_err();
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
