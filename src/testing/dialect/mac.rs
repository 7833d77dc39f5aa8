//! What all dialects that sign with a MAC have in common: [`VerifyMacLayer`] checks them, as it does in
//! anybody's server.

use std::borrow::Cow;
use std::convert::Infallible;

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::uri::Scheme;
use http::{Uri, Version};
use http_body_util::Full;

use super::{Denial, Signer};
use crate::provider::xiaomi::ErrorCode;
use crate::sign::{Algorithm, MacKey};
use crate::testing::Provider;
use crate::testing::grants::Holder;
use crate::verify::{
    self, ClaimError, KeyLookup, MacAuthorization, NonceStore, TokenKeys, Verifier, VerifyError,
    VerifyMacLayer, check_window,
};
use crate::{AccessToken, ReadAhead, Timestamp};

impl Provider {
    /// Checks the signature first and the token's standing last, so that a nonce counts as used
    /// even if the token it came with had expired: a request that is resent needs a new nonce.
    pub(super) async fn check_mac(
        &self,
        verifier: Verifier,
        algorithm: Algorithm,
        head: &Parts,
        body: Bytes,
    ) -> Result<Signer, Denial> {
        let keys = Keys {
            provider: self.clone(),
            algorithm,
        };
        // A socket without TLS shows no scheme.
        let is_https = head.uri.scheme() == Some(&Scheme::HTTPS);
        let port = if is_https { 443 } else { 80 };
        let mut head = Cow::Borrowed(head);
        // Before HTTP/2 the header goes out as the caller has set it, whatever the URI says.
        if head.version < Version::HTTP_2 && head.headers.contains_key(HOST) {
            let target = head.uri.path_and_query();
            head.to_mut().uri = target.cloned().map(Uri::from).unwrap_or_default();
        }
        let config = self.config();
        let layer = VerifyMacLayer::new(verifier, keys, Nonces(self.clone()))
            .clock(config.clock.clone())
            .default_port(port)
            .body_cap(usize::MAX);
        let mut body = ReadAhead::new(Full::new(body));
        let (holder, authorization) = layer.config.check(&head, &mut body).await?;
        let access_token = authorization.access_token().clone();
        let now = config.clock.now();
        match self
            .state()
            .grants
            .lapse_of(access_token.expose_secret(), now)
        {
            Some(reason) => Err(Denial::new(ErrorCode::AccessTokenRejected, reason)),
            None => Ok(Signer {
                nonce: authorization.nonce().to_owned(),
                access_token,
                holder,
            }),
        }
    }
}

impl From<verify::Denial> for Denial {
    /// A MAC that does not verify and a nonce that is not taken have one code with all else that
    /// is denied.
    fn from(denial: verify::Denial) -> Self {
        Self {
            code: match denial {
                verify::Denial::Token => ErrorCode::AccessTokenRejected,
                _ => ErrorCode::Denied,
            },
            reason: denial.to_string().into(),
        }
    }
}

/// Every access token that was ever issued.
struct Keys {
    provider: Provider,
    algorithm: Algorithm,
}

impl KeyLookup for Keys {
    type Caller = Holder;
    type Error = Infallible;

    async fn look_up(&self, token: AccessToken) -> Result<Option<TokenKeys<Holder>>, Infallible> {
        let holder = self
            .provider
            .state()
            .grants
            .holder_of(token.expose_secret());
        Ok(holder.and_then(|holder| {
            let key = MacKey::new(self.algorithm, &holder.mac_key).ok()?;
            let issued_at = holder.issued_at;
            Some(TokenKeys::new(holder, key).issued_at(issued_at))
        }))
    }
}

/// The nonces that the provider has seen.
struct Nonces(Provider);

impl NonceStore for Nonces {
    async fn claim(
        &self,
        authorization: &MacAuthorization,
        now: Timestamp,
    ) -> Result<(), ClaimError> {
        let window = self.0.config().clock_window;
        check_window(authorization, now, window).map_err(ClaimError::Refused)?;
        if self.0.state().nonces.first_use(authorization, now, window) {
            return Ok(());
        }
        Err(ClaimError::Refused(VerifyError::REPLAYED))
    }
}
