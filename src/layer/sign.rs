//! Signing an `http` request: all or nothing.

use std::mem;

use http::request::Parts;
use http::{Method, Uri, header};

use super::AuthError;
use super::error::Cause;
use super::service::Call;
use crate::account::Ready;
use crate::sign::{Nonce, RequestParts, Scheme, SignError};

/// Signs the request of `head`, and of the form in its body if that is signed. On an error `head`
/// is as it was.
#[inline]
pub(super) fn sign<Sch: Scheme, P>(
    call: &Call<Sch, P>,
    ready: &Ready,
    head: &mut Parts,
    form: Option<&[u8]>,
) -> Result<(), AuthError> {
    let host =
        call.config
            .allowed
            .check(&head.uri, head.version, head.headers.get_all(header::HOST))?;
    if head.method == Method::CONNECT {
        // Of its URI only the authority is sent (RFC 9110 §9.3.6), so no server could verify it.
        return Err(SignError::malformed("method", "CONNECT sends no path to be signed").into());
    }
    let nonce = Nonce::fresh(call.account.nonce_time(ready.now));
    let (path, query) = match head.uri.path_and_query() {
        Some(both) => (both.path(), both.query()),
        None => ("/", None),
    };
    let request = RequestParts {
        method: head.method.as_str(),
        host,
        path,
        query,
        form,
    };
    let signed = call
        .config
        .scheme
        .sign(ready.credential()?, &request, &nonce)?;
    // Replaces whatever the caller, or a client before us, had put there.
    head.headers
        .try_insert(header::AUTHORIZATION, signed.authorization)
        .map_err(|_| Cause::Headers)?;
    if let Some(path_and_query) = signed.path_and_query {
        let mut parts = mem::take(&mut head.uri).into_parts();
        parts.path_and_query = Some(path_and_query);
        // It had a scheme and an authority, or it would not have been allowed.
        head.uri = Uri::from_parts(parts).unwrap_or_default();
    }
    Ok(())
}
