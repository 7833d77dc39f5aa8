use std::fmt;

use http::Uri;

/// A URI as a log may have it: without the values in its query, of which any may be a secret, and
/// without user information. An access token is in the query of every request that is signed for
/// Xiaomi.
///
/// Values are written as `REDACTED`, which is OpenTelemetry's word for them in `url.full`.
///
/// ```
/// use tower_mac_auth::layer::RedactedUri;
///
/// let uri = "https://api.example/user/profile?clientId=1&token=secret".parse()?;
/// assert_eq!(
///     RedactedUri::new(&uri).to_string(),
///     "https://api.example/user/profile?clientId=REDACTED&token=REDACTED",
/// );
/// # Ok::<(), http::uri::InvalidUri>(())
/// ```
#[derive(Clone, Copy)]
pub struct RedactedUri<'a>(&'a Uri);

impl<'a> RedactedUri<'a> {
    /// This URI, without what may be secret.
    pub const fn new(uri: &'a Uri) -> Self {
        Self(uri)
    }
}

impl fmt::Display for RedactedUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.0.scheme_str() {
            write!(f, "{scheme}:")?;
        }
        if let Some(authority) = self.0.authority() {
            let authority = authority.as_str();
            let host = authority.rsplit('@').next().unwrap_or_default();
            let slashes = if self.0.scheme().is_some() { "//" } else { "" };
            write!(f, "{slashes}{host}")?;
        }
        f.write_str(self.0.path())?;
        let Some(query) = self.0.query() else {
            return Ok(());
        };
        for (at, pair) in query.split('&').enumerate() {
            f.write_str(if at == 0 { "?" } else { "&" })?;
            match pair.split_once('=') {
                Some((name, _)) => write!(f, "{name}=REDACTED")?,
                None if pair.is_empty() => {}
                // It may be a value without a name.
                None => f.write_str("REDACTED")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RedactedUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_shown_and_all_else_is() {
        for (uri, shown) in [
            (
                "https://api.example:8443/a/b",
                "https://api.example:8443/a/b",
            ),
            ("https://api.example", "https://api.example/"),
            ("https://[::1]:80/", "https://[::1]:80/"),
            ("/a?", "/a?"),
            ("/a?b=SECRET", "/a?b=REDACTED"),
            (
                "/a?b=SE=CRET&c=&SECRET&&d=SECRET",
                "/a?b=REDACTED&c=REDACTED&REDACTED&&d=REDACTED",
            ),
            ("https://user:SECRET@api.example/", "https://api.example/"),
            (
                "https://SECRET@a@b@api.example/?q",
                "https://api.example/?REDACTED",
            ),
            ("api.example:443", "api.example:443"),
            ("*", "*"),
        ] {
            let Ok(uri) = uri.parse::<Uri>() else {
                assert!(uri.contains("@a@b@"), "{uri}");
                continue;
            };
            let redacted = RedactedUri::new(&uri);
            assert_eq!(redacted.to_string(), shown);
            assert_eq!(format!("{redacted:?}"), shown);
        }
    }
}
