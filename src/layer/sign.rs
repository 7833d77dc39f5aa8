//! Signing an `http` request: all or nothing.

use std::mem;

use http::{Method, Request, Uri, header};

use super::error::{AuthError, Cause};
use crate::account::{Account, Ready};
use crate::provider::{AllowedAuthorities, Fresh, Provider, RequestParts};
use crate::sign::SignError;

/// Signs `request`, and its body, if that is signed, if it goes to a host that is `allowed`. On an
/// error the request is as it was.
#[inline]
pub(super) fn sign<P: Provider, B>(
    account: &Account<P>,
    allowed: &AllowedAuthorities,
    ready: &Ready<P::Credential>,
    request: &mut Request<B>,
    body: Option<&[u8]>,
) -> Result<(), AuthError> {
    if request.method() == Method::CONNECT {
        // Of its URI only the authority is sent (RFC 9110 §9.3.6), so no server could verify it.
        return Err(SignError::malformed("method", "CONNECT sends no path to be signed").into());
    }
    let uri = request.uri();
    // Looked for one by one: most requests have few headers, and none of this name.
    let host_headers = request.headers().iter();
    let host_headers = host_headers.filter(|(name, _)| **name == header::HOST);
    let host_headers = host_headers.map(|(_, value)| value);
    let destination = allowed.check(uri, host_headers)?;
    let fresh = Fresh::at(account.nonce_time(ready.now));
    let (path, query) = match uri.path_and_query() {
        Some(both) => (both.path(), both.query()),
        None => ("/", None),
    };
    let parts = RequestParts {
        method: request.method().as_str(),
        host: destination.host,
        port: destination.port,
        path,
        query,
        headers: Some(request.headers()),
        body,
    };
    let signed = account
        .provider()
        .sign(ready.credential()?, &parts, fresh)?;
    let set = signed.set_headers(request.headers_mut());
    if let Some(path_and_query) = set.map_err(|_| Cause::Headers)? {
        let mut parts = mem::take(request.uri_mut()).into_parts();
        parts.path_and_query = Some(path_and_query);
        // It had a scheme and an authority, or it would not have been allowed.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
    Ok(())
}
