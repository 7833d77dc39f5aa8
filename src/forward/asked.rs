use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::ForwardError;
use super::hop_by_hop::{asked_for, elements, tokens};

/// What a request asked for, as far as its response is judged by it: of
/// [`Upstream::request`](super::Upstream::request), for [`Upstream::response`](super::Upstream::response).
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub(super) protocol: Option<HeaderValue>,
}

impl Asked {
    /// Whether it asks for another protocol, and is sent on as one that does: then take the server's side
    /// of the connection.
    pub const fn wants_upgrade(&self) -> bool {
        self.protocol.is_some()
    }

    /// Whether the response changes to another protocol, which must be one that was asked for
    /// (RFC 9110 §7.8).
    pub(super) fn is_upgraded(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<bool, ForwardError> {
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(false);
        }
        let asked = |name: &[u8]| {
            let mut names = self.protocol.iter().flat_map(elements);
            names.any(|it| it.eq_ignore_ascii_case(name))
        };
        let agreed = asked_for(headers).is_some() && tokens(headers, &header::UPGRADE).all(asked);
        agreed.then_some(true).ok_or(ForwardError::Protocol)
    }
}
