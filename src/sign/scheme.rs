use std::fmt;

use http::HeaderValue;
use http::uri::PathAndQuery;

use super::{Credential, Nonce, SignError};

/// The parts of a request that are signed, borrowed from whatever kind of request it is.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct RequestParts<'a> {
    /// The method; upper-cased where it is signed.
    pub method: &'a str,
    /// The host the server will see in `Host`. The layer gives it in lower case and without a
    /// port; Xiaomi's signer drops a port and lowers capitals itself.
    pub host: &'a str,
    /// The path as on the wire; empty stands for `/`.
    pub path: &'a str,
    /// The query as on the wire, without the `?`.
    pub query: Option<&'a str>,
    /// The body of a form (`application/x-www-form-urlencoded`), for a scheme that
    /// [signs forms](Scheme::signs_form); others do not look at it.
    pub form: Option<&'a [u8]>,
}

impl<'a> RequestParts<'a> {
    /// Of a request without a query, whose body is not signed.
    pub const fn new(method: &'a str, host: &'a str, path: &'a str) -> Self {
        Self {
            method,
            host,
            path,
            query: None,
            form: None,
        }
    }

    /// With this query, as on the wire and without the `?`, or with none.
    #[must_use]
    pub fn with_query(self, query: impl Into<Option<&'a str>>) -> Self {
        let query = query.into();
        Self { query, ..self }
    }

    /// With this body of a form, or with none.
    #[must_use]
    pub fn with_form(self, form: impl Into<Option<&'a [u8]>>) -> Self {
        let form = form.into();
        Self { form, ..self }
    }
}

impl fmt::Debug for RequestParts<'_> {
    /// The query and the form may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestParts")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What to change in a request so that it is signed.
#[derive(Clone)]
#[non_exhaustive]
pub struct Signed {
    /// The value of `Authorization`, marked sensitive.
    pub authorization: HeaderValue,
    /// The new path and query, when the query was rewritten: it must be sent in place of the old
    /// one, or the MAC does not hold.
    pub path_and_query: Option<PathAndQuery>,
}

impl Signed {
    /// For a [`Scheme`] of your own. Marks `authorization` sensitive.
    pub fn new(mut authorization: HeaderValue, path_and_query: Option<PathAndQuery>) -> Self {
        authorization.set_sensitive(true);
        Self {
            authorization,
            path_and_query,
        }
    }
}

impl fmt::Debug for Signed {
    /// The header has the access token, and the query may have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed")
            .field(
                "path",
                &self.path_and_query.as_ref().map(PathAndQuery::path),
            )
            .finish_non_exhaustive()
    }
}

/// A provider's way to sign a request.
///
/// Pure: everything comes in as an argument, and what to change comes out. An error leaves
/// nothing half done.
///
/// A scheme of your own can sign what [`RequestParts`] holds. (The IETF drafts sign a port, a header
/// and the seconds of the day besides, which it does not hold.)
///
/// ```
/// use tower_mac_auth::sign::{
///     Credential, Nonce, RequestParts, Scheme, SignError, SignErrorKind, Signed,
/// };
///
/// /// Signs the nonce, the method and the path, and sends the token as it is.
/// #[derive(Clone, Debug)]
/// struct Short;
///
/// impl Scheme for Short {
///     fn sign(
///         &self,
///         credential: &Credential,
///         request: &RequestParts<'_>,
///         nonce: &Nonce,
///     ) -> Result<Signed, SignError> {
///         let text = format!("{nonce}\n{} {}\n", request.method, request.path);
///         let mac = credential.key().mac(text.as_bytes());
///         let token = credential.access_token().expose_secret();
///         let value = http::HeaderValue::try_from(format!("MAC {token} {nonce} {mac}"))
///             .map_err(|_| {
///                 let reason = "does not fit into a header";
///                 SignError::new(SignErrorKind::Malformed, "access_token", reason)
///             })?;
///         Ok(Signed::new(value, None))
///     }
/// }
/// ```
pub trait Scheme: Clone + fmt::Debug + Send + Sync + 'static {
    /// Signs `request` with `credential`; `nonce` must not have been used before.
    ///
    /// # Errors
    ///
    /// Names the part of the request that cannot be signed, and why.
    fn sign(
        &self,
        credential: &Credential,
        request: &RequestParts<'_>,
        nonce: &Nonce,
    ) -> Result<Signed, SignError>;

    /// Whether the body of a form is signed, so that it must be read before the request is sent.
    ///
    /// By default it is not.
    fn signs_form(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_what_may_be_a_token() {
        let parts = RequestParts::new("GET", "api.example", "/me")
            .with_query("token=CANARY")
            .with_form(&b"token=CANARY"[..]);
        let authorization = HeaderValue::from_static("MAC access_token=\"CANARY\"");
        let target = PathAndQuery::from_static("/me?token=CANARY");
        let signed = Signed::new(authorization, Some(target));
        assert!(signed.authorization.is_sensitive());
        let shown = format!("{parts:?} {signed:?} {:?}", signed.authorization);
        assert!(
            shown.contains("/me") && !shown.contains("CANARY"),
            "{shown}"
        );
    }
}
