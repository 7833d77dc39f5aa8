//! Whether a request is signed, by whom, and with a credential that still holds.

use http::Version;
use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;

use super::super::{Denial, Signer, authorization_of};
use super::once;
use crate::AccessToken;
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
    pub(in crate::testing) fn check_mac(
        &self,
        head: &Parts,
        form: Option<&[u8]>,
    ) -> Result<Signer, Denial> {
        const REJECTED: ErrorCode = ErrorCode::AccessTokenRejected;
        let config = self.config();
        let value = authorization_of(&head.headers).map_err(denied)?;
        let authorization = MacAuthorization::try_from(value)?;
        let access_token = authorization.access_token().expose_secret();
        if config.query_credentials {
            self.check_query(head.uri.query(), authorization.access_token())?;
        }
        let holder = self.state().grants.holder_of(access_token);
        let holder = holder.ok_or_else(|| Denial::new(REJECTED, "access_token: not known"))?;
        let key = MacKey::new(Algorithm::HmacSha1, &holder.mac_key)
            .map_err(|_| denied("mac: has no key"))?;
        let host = host(head).ok_or_else(|| denied("host: missing"))?;
        let request = RequestParts::new(head.method.as_str(), host, head.uri.path())
            .with_query(head.uri.query())
            .with_body(form);
        let verifier = Verifier::with_rules(config.signing_rules.clone());
        verifier.check(&key, &request, &authorization)?;
        let (now, window) = (config.clock.now(), config.clock_window);
        check_window(&authorization, now, window)?;
        let mut state = self.state();
        if !state.nonces.first_use(&authorization, now, window) {
            return Err(denied("nonce: used before"));
        }
        match state.grants.lapse_of(access_token, now) {
            Some(reason) => Err(Denial::new(REJECTED, reason)),
            None => Ok(Signer {
                access_token: authorization.access_token().clone(),
                nonce: authorization.nonce().to_owned(),
                holder,
            }),
        }
    }

    fn check_query(&self, query: Option<&str>, access_token: &AccessToken) -> Result<(), Denial> {
        let query = query.unwrap_or_default();
        let wanted = |name, reason| {
            once(query, name).map_err(|()| Denial::new(ErrorCode::InvalidRequest, reason))
        };
        if wanted("clientId", "clientId: wanted in the query, once")? != self.client_id() {
            return Err(Denial::new(ErrorCode::ClientUnknown, "clientId: not known"));
        }
        let token = wanted("token", "token: wanted in the query, once")?;
        if AccessToken::new(token) != *access_token {
            return Err(denied("token: not the one in the header"));
        }
        Ok(())
    }
}

fn denied(reason: &'static str) -> Denial {
    Denial::new(ErrorCode::Denied, reason)
}

/// The host the client has named. In HTTP/2 that is the authority; before, the header goes out
/// as the caller has set it, whatever the URI says.
fn host(head: &Parts) -> Option<&str> {
    let authority = head.uri.authority().map(Authority::as_str);
    let header = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    if head.version >= Version::HTTP_2 {
        authority.or(header)
    } else {
        header.or(authority)
    }
}
