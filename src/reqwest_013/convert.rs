//! Between the requests and responses of reqwest and of `http`.

use http::{Request, Response};
use http_body::Body as _;
use reqwest::{Body, ResponseBuilderExt as _, Url};

use crate::ReadAhead;
use crate::layer::RequestBody;

/// A request as the layer takes it. Its URI is the URL to the letter, and its extensions have what
/// reqwest wants to know of it, the time limit for example.
///
/// # Errors
///
/// If the URL makes no URI.
pub(super) fn to_http(request: reqwest::Request) -> reqwest::Result<Request<Body>> {
    Request::try_from(request).map_err(reqwest::Error::without_url)
}

/// A request as reqwest takes it, once it is signed.
///
/// # Errors
///
/// If the URI makes no URL.
pub(super) fn from_http(request: Request<RequestBody<Body>>) -> reqwest::Result<reqwest::Request> {
    let (head, body) = request.into_parts();
    let is_empty = body.is_end_stream();
    let request = Request::from_parts(head, Body::default());
    let mut request = reqwest::Request::try_from(request).map_err(reqwest::Error::without_url)?;
    // Without a body reqwest may send a request once more that the server has not looked at.
    *request.body_mut() = (!is_empty).then(|| Body::wrap(body));
    Ok(request)
}

/// A response of which the layer may read.
pub(super) fn response_to_http(response: reqwest::Response) -> Response<Body> {
    let url = Sent(response.url().clone());
    let mut response = Response::from(response);
    response.extensions_mut().insert(url);
    response
}

/// What became of the URL, meanwhile.
#[derive(Clone)]
struct Sent(Url);

/// The response, as it came.
pub(super) fn response_from_http(response: Response<ReadAhead<Body>>) -> reqwest::Response {
    let (mut head, body) = response.into_parts();
    if let Some(Sent(url)) = head.extensions.remove() {
        // Nothing else can put a URL into one.
        let with_url = Response::builder().url(url).body(());
        if let Ok(with_url) = with_url {
            head.extensions.extend(with_url.into_parts().0.extensions);
        }
    }
    Response::from_parts(head, Body::wrap(body)).into()
}
