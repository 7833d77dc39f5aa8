use bytes::Bytes;
use http::Request;
use http_body::Body;

use super::request_body::{RequestBody, ResendHandle};

/// A request on its way to be signed.
pub(super) struct Outgoing<B> {
    /// As the caller made it.
    pub(super) request: Request<RequestBody<B>>,
    /// `None` if it is not to be sent again.
    pub(super) handle: Option<ResendHandle<B>>,
    /// The body, whole, if it is signed.
    pub(super) signed: Option<Bytes>,
}

impl<B: Body> Outgoing<B> {
    pub(super) fn new(request: Request<B>, cap: usize) -> Self {
        let (head, body) = request.into_parts();
        let (body, handle) = RequestBody::resendable(body, cap);
        Self {
            request: Request::from_parts(head, body),
            handle,
            signed: None,
        }
    }
}
