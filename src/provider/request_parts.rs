use std::fmt;

use http::HeaderMap;

/// The parts of a request that are signed, borrowed from whatever kind of request it is.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct RequestParts<'a> {
    /// The method, as on the wire.
    pub method: &'a str,
    /// The host the server will see in `Host`. The layer gives it in lower case and without a
    /// port; Xiaomi's signer drops a port and lowers capitals itself.
    pub host: &'a str,
    /// The port the request goes to, that of its scheme if its URI has none.
    pub port: u16,
    /// The path as on the wire; empty stands for `/`.
    pub path: &'a str,
    /// The query as on the wire, without the `?`.
    pub query: Option<&'a str>,
    /// The headers, if there are any, before those of the signature.
    pub headers: Option<&'a HeaderMap>,
    /// The body, whole, if the provider [needs](super::Provider::needs_body) it.
    pub body: Option<&'a [u8]>,
}

impl<'a> RequestParts<'a> {
    /// Of a request over `https` without a query, whose body is not signed.
    pub const fn new(method: &'a str, host: &'a str, path: &'a str) -> Self {
        Self {
            method,
            host,
            port: 443,
            path,
            query: None,
            headers: None,
            body: None,
        }
    }

    /// To this port.
    #[must_use]
    pub const fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// With this query, as on the wire and without the `?`, or with none.
    #[must_use]
    pub fn with_query(self, query: impl Into<Option<&'a str>>) -> Self {
        let query = query.into();
        Self { query, ..self }
    }

    /// With these headers, or with none.
    #[must_use]
    pub fn with_headers(self, headers: impl Into<Option<&'a HeaderMap>>) -> Self {
        let headers = headers.into();
        Self { headers, ..self }
    }

    /// With this body, or with none that is signed.
    #[must_use]
    pub fn with_body(self, body: impl Into<Option<&'a [u8]>>) -> Self {
        let body = body.into();
        Self { body, ..self }
    }
}

impl fmt::Debug for RequestParts<'_> {
    /// The query, the headers and the body may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestParts")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Whether a request's body has to be read before the request can be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyNeeded {
    /// It is not signed.
    No,
    /// It is, and is refused if it has more bytes than this.
    UpTo(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_what_may_be_a_token() {
        let parts = RequestParts::new("GET", "api.example", "/me")
            .with_query("token=CANARY")
            .with_body(&b"token=CANARY"[..]);
        let shown = format!("{parts:?}");
        assert!(
            shown.contains("/me") && !shown.contains("CANARY"),
            "{shown}"
        );
    }
}
