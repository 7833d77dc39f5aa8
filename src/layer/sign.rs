//! Signing an `http` request: all or nothing.

use std::mem;

use http::{Method, Request, Uri, header};

use super::call::Call;
use super::error::{AuthError, Cause};
use super::identity::Identity;
use crate::account::Ready;
use crate::sign::{Nonce, RequestParts, Scheme, SignError};

/// Signs `request`, and the form in its body if that is signed. On an error the request is as it
/// was.
#[inline]
pub(super) fn sign<Sch: Scheme, P, A: Identity, B>(
    call: &Call<Sch, P, A>,
    ready: &Ready,
    request: &mut Request<B>,
    form: Option<&[u8]>,
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
    let allowed = &call.config.allowed;
    let host = allowed.check(uri, request.version(), host_headers)?;
    let nonce = Nonce::fresh(call.account().nonce_time(ready.now));
    let (path, query) = match uri.path_and_query() {
        Some(both) => (both.path(), both.query()),
        None => ("/", None),
    };
    let parts = RequestParts {
        method: request.method().as_str(),
        host,
        path,
        query,
        form,
    };
    let signed = call
        .config
        .scheme
        .sign(ready.credential()?, &parts, &nonce)?;
    // Replaces whatever the caller, or a client before us, had put there.
    request
        .headers_mut()
        .try_insert(header::AUTHORIZATION, signed.authorization)
        .map_err(|_| Cause::Headers)?;
    if let Some(path_and_query) = signed.path_and_query {
        let mut parts = mem::take(request.uri_mut()).into_parts();
        parts.path_and_query = Some(path_and_query);
        // It had a scheme and an authority, or it would not have been allowed.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
    Ok(())
}
