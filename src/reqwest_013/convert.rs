//! Between the requests and responses of reqwest and of `http`, in either version of reqwest.

use std::mem;

use http::{Request, Response, Uri};
use http_body::Body as _;

use super::reqwest::{self, Body, ResponseBuilderExt as _, Url};
use crate::ReadAhead;
use crate::layer::{Error, RequestBody};
use crate::sign::SignError;

/// A request as the layer takes it. Its URI is the URL to the letter, and its extensions have what
/// reqwest wants to know of it, the time limit for example.
///
/// # Errors
///
/// If the URL makes no URI.
pub(super) fn to_http(request: reqwest::Request) -> reqwest::Result<Request<Body>> {
    Request::try_from(request).map_err(reqwest::Error::without_url)
}

/// Why a request is not sent.
pub(super) enum NotSent {
    Failed(reqwest::Error),
    /// reqwest would send another path or query than what was signed.
    Altered,
}

impl NotSent {
    /// The same, around reqwest's or whichever error comes from within.
    pub(super) fn error<E>(self, failed: impl FnOnce(reqwest::Error) -> E) -> Error<E> {
        match self {
            Self::Failed(error) => Error::Service(failed(error)),
            Self::Altered => Error::Auth(ALTERED.into()),
        }
    }
}

const ALTERED: SignError = SignError::malformed("uri", "is one that reqwest would send otherwise");

/// A request as reqwest takes it, once it is signed. `url` is the one from before: to have all of it
/// parsed anew takes more than to sign the request.
///
/// # Errors
///
/// If reqwest does not take it, or not as it is.
pub(super) fn from_http(
    request: Request<RequestBody<Body>>,
    mut url: Url,
) -> Result<reqwest::Request, NotSent> {
    let (mut head, body) = request.into_parts();
    if url.path() != head.uri.path() {
        url.set_path(head.uri.path());
    }
    if url.query() != head.uri.query() {
        url.set_query(head.uri.query());
    }
    // What a provider has put there.
    if url.path() != head.uri.path() || url.query() != head.uri.query() {
        return Err(NotSent::Altered);
    }
    let mut request = if head.extensions.is_empty() {
        let mut request = reqwest::Request::new(head.method, url);
        *request.version_mut() = head.version;
        *request.headers_mut() = head.headers;
        request
    } else {
        // It takes the extensions only so, with some URI.
        head.uri = Uri::from_static("x://x");
        let request = Request::from_parts(head, Body::default());
        let request = reqwest::Request::try_from(request);
        let mut request = request.map_err(|error| NotSent::Failed(error.without_url()))?;
        *request.url_mut() = url;
        request
    };
    // Without a body reqwest may send a request once more that the server has not looked at.
    *request.body_mut() = (!body.is_end_stream()).then(|| Body::wrap(body));
    Ok(request)
}

/// A response of which the layer may read. What became of the URL is in its extensions, where
/// [`response_from_http`] has it from.
pub(super) fn response_to_http(response: reqwest::Response) -> Response<Body> {
    let url = response.url().clone();
    let mut response = Response::from(response);
    // Only a builder takes a URL.
    let mut with_url = Response::builder();
    if let Some(extensions) = with_url.extensions_mut() {
        mem::swap(extensions, response.extensions_mut());
    }
    with_url = with_url.url(url);
    if let Some(extensions) = with_url.extensions_mut() {
        mem::swap(extensions, response.extensions_mut());
    }
    response
}

/// The response, as it came.
pub(super) fn response_from_http(response: Response<ReadAhead<Body>>) -> reqwest::Response {
    let body = |body: ReadAhead<Body>| match body.into_whole() {
        Ok(whole) => Body::from(whole),
        Err(body) => Body::wrap(body),
    };
    response.map(body).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent when this was signed.
    fn sent(signed: &str) -> Option<String> {
        let (body, _) = RequestBody::resendable(Body::default(), 0);
        let mut request = Request::new(body);
        *request.uri_mut() = format!("https://h{signed}").parse().unwrap();
        let sent = from_http(request, "https://h/x?y".parse().unwrap()).ok()?;
        Some(sent.url().as_str().strip_prefix("https://h")?.to_owned())
    }

    #[test]
    fn what_is_signed_is_sent_or_refused() {
        for signed in [
            "/x?y",
            "/",
            "/?",
            "/a?b=%27",
            "/a//b?c&d=e",
            "//a",
            "/%e4%bd%a0?a=+",
            "/a|b^c?d|e^f{g}",
        ] {
            assert_eq!(sent(signed).as_deref(), Some(signed));
        }
        for signed in ["/x?a='b'", "/a/./b", "/a/../b", "/a/%2e%2e/b", "/{b}"] {
            assert_eq!(sent(signed), None, "{signed}");
        }
    }
}
