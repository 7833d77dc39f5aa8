use std::collections::BTreeMap;
use std::time::Duration;

use crate::sign::Algorithm;
use crate::{AccessToken, Extra, MacKeyText, RefreshToken};

/// What a token endpoint issues.
///
/// The secrets zeroize when dropped and print as `[redacted]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenSet {
    /// Names the grant in each request.
    pub access_token: AccessToken,
    /// The key that signs; `None` if none is issued with the token: it is the client's own, or
    /// nothing is signed.
    pub mac_key: Option<MacKeyText>,
    /// What the key is for; `None` without one.
    pub algorithm: Option<Algorithm>,
    /// What buys the next set, once. `None` if there is none: then a user must authorize again when
    /// the access token ends.
    pub refresh_token: Option<RefreshToken>,
    /// How long the access token lives, from when the answer was made. `None` if the provider does
    /// not say: then nothing is refreshed before the API refuses the token.
    pub expires_in: Option<Duration>,
    /// How long the refresh token lives, if the provider says.
    pub refresh_expires_in: Option<Duration>,
    /// The scopes granted, as the provider wrote them.
    pub scope: Option<String>,
    /// Who the user is, by the provider: Xiaomi's `openId`, the `sub` of an OpenID Connect `id_token`.
    pub subject: Option<String>,
    /// What else came with them, by its name in the answer.
    pub extras: BTreeMap<String, Extra>,
}

impl TokenSet {
    /// An access token and nothing else.
    pub fn new(access_token: impl Into<AccessToken>) -> Self {
        Self {
            access_token: access_token.into(),
            mac_key: None,
            algorithm: None,
            refresh_token: None,
            expires_in: None,
            refresh_expires_in: None,
            scope: None,
            subject: None,
            extras: BTreeMap::new(),
        }
    }

    /// A set as a provider of MAC tokens issues it: with a key for [`Algorithm::HmacSha1`].
    pub fn mac(
        access_token: impl Into<AccessToken>,
        mac_key: impl Into<MacKeyText>,
        refresh_token: impl Into<RefreshToken>,
        expires_in: Duration,
    ) -> Self {
        Self::new(access_token)
            .with_mac_key(mac_key, Algorithm::HmacSha1)
            .with_refresh_token(refresh_token)
            .with_expires_in(expires_in)
    }

    /// With the key that was issued for it.
    #[must_use]
    pub fn with_mac_key(mut self, mac_key: impl Into<MacKeyText>, algorithm: Algorithm) -> Self {
        self.mac_key = Some(mac_key.into());
        self.algorithm = Some(algorithm);
        self
    }

    /// With this refresh token.
    #[must_use]
    pub fn with_refresh_token(mut self, refresh_token: impl Into<RefreshToken>) -> Self {
        self.refresh_token = Some(refresh_token.into());
        self
    }

    /// With this life of the access token.
    #[must_use]
    pub fn with_expires_in(mut self, expires_in: impl Into<Option<Duration>>) -> Self {
        self.expires_in = expires_in.into();
        self
    }
}
