use std::time::Duration;

use http::{Request, header};

use crate::provider::AllowedAuthorities;

/// What all services of a layer share.
#[derive(Clone, Debug)]
pub(super) struct Config<A> {
    pub(super) identity: A,
    pub(super) allowed: AllowedAuthorities,
    /// Where requests go as they are.
    pub(super) unsigned: AllowedAuthorities,
    pub(super) resend_cap: usize,
    pub(super) inspection_limit: Duration,
    pub(super) report_every_attempt: bool,
}

impl<A> Config<A> {
    /// Whether the request goes where none is signed. A host that is allowed is not such a place.
    #[inline]
    pub(super) fn is_unsigned<B>(&self, request: &Request<B>) -> bool {
        !self.unsigned.is_empty() && self.goes_to_unsigned(request)
    }

    #[cold]
    fn goes_to_unsigned<B>(&self, request: &Request<B>) -> bool {
        let goes_to = |allowed: &AllowedAuthorities| {
            let hosts = request.headers().get_all(header::HOST);
            allowed.check(request.uri(), hosts).is_ok()
        };
        goes_to(&self.unsigned) && !goes_to(&self.allowed)
    }
}
