//! The clock of the server, as its refusals tell it.

use http::{HeaderMap, header};

use crate::Timestamp;
use crate::account::Account;
use crate::provider::{Provider, date};

impl<P: Provider> Account<P> {
    /// To be called with the head of a response that refused a signature
    /// ([`Refusal::SignatureRejected`](crate::provider::Refusal::SignatureRejected)): requests are
    /// signed from then on with the time that its `Date` says. Nothing is learned from a response
    /// without one, or one that a cache has kept.
    ///
    /// A [layer](super::MacAuthLayer) does that by itself; this is for clients that
    /// [sign](Self::sign) without one.
    pub fn correct_clock(&self, refused: &HeaderMap) {
        if let Some(time) = server_time(refused) {
            self.learn_time(time);
        }
    }
}

/// The server's clock, as `Date` (RFC 9110 §6.6.1) tells it; nothing if a cache has kept the
/// response, which `Age` says (RFC 9111 §5.1).
fn server_time(headers: &HeaderMap) -> Option<Timestamp> {
    let mut ages = headers.get_all(header::AGE).iter();
    if ages.any(|age| age.as_bytes() != b"0") {
        return None;
    }
    date(headers)
}
