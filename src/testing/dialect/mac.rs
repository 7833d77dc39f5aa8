//! What all dialects that sign with a MAC have in common.

use http::Version;
use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;

use super::{Denial, Signer};
use crate::provider::RequestParts;
use crate::provider::xiaomi::ErrorCode;
use crate::sign::{Algorithm, MacKey};
use crate::testing::Provider;
use crate::verify::{MacAuthorization, Verifier, VerifyError, check_window};

impl From<VerifyError> for Denial {
    /// A MAC that does not verify and a nonce that is not taken have one code with all else that
    /// is denied.
    fn from(error: VerifyError) -> Self {
        Self {
            code: ErrorCode::Denied,
            reason: error.to_string().into(),
        }
    }
}

impl Provider {
    /// Checks the signature first and the token's standing last, so that a nonce counts as used
    /// even if the token it came with had expired: a request that is resent needs a new nonce.
    pub(super) fn check_mac(
        &self,
        verifier: &Verifier,
        algorithm: Algorithm,
        request: &RequestParts<'_>,
        authorization: MacAuthorization,
    ) -> Result<Signer, Denial> {
        const REJECTED: ErrorCode = ErrorCode::AccessTokenRejected;
        let config = self.config();
        let access_token = authorization.access_token().clone();
        let holder = self.state().grants.holder_of(access_token.expose_secret());
        let holder = holder.ok_or_else(|| Denial::new(REJECTED, "access_token: not known"))?;
        let authorization = authorization.with_issued_at(holder.issued_at);
        let key = MacKey::new(algorithm, &holder.mac_key).map_err(|_| denied("mac: has no key"))?;
        verifier.check(&key, request, &authorization)?;
        let (now, window) = (config.clock.now(), config.clock_window);
        check_window(&authorization, now, window)?;
        let mut state = self.state();
        if !state.nonces.first_use(&authorization, now, window) {
            return Err(denied("nonce: used before"));
        }
        match state.grants.lapse_of(access_token.expose_secret(), now) {
            Some(reason) => Err(Denial::new(REJECTED, reason)),
            None => Ok(Signer {
                nonce: authorization.nonce().to_owned(),
                access_token,
                holder,
            }),
        }
    }
}

pub(super) fn denied(reason: &'static str) -> Denial {
    Denial::new(ErrorCode::Denied, reason)
}

/// The host the client has named. In HTTP/2 that is the authority; before, the header goes out
/// as the caller has set it, whatever the URI says.
pub(super) fn host(head: &Parts) -> Result<&str, Denial> {
    let authority = head.uri.authority().map(Authority::as_str);
    let header = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = if head.version >= Version::HTTP_2 {
        authority.or(header)
    } else {
        header.or(authority)
    };
    host.ok_or_else(|| denied("host: missing"))
}
