use std::time::Duration;

use crate::sign::Algorithm;
use crate::{AccessToken, MacKeyText, RefreshToken};

/// What the token endpoint issues: an access token, the MAC key bound to it, and
/// the refresh token that buys the next pair.
///
/// The secrets zeroize when dropped and print as `[redacted]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenSet {
    /// Names the grant in each signed request.
    pub access_token: AccessToken,
    /// Signs each request; used as text.
    pub mac_key: MacKeyText,
    /// The algorithm the key is for.
    pub algorithm: Algorithm,
    /// Buys the next set, once. `None` if the provider sent none: the spent one must not be used
    /// again, so the account needs a new authorization when the access token ends.
    pub refresh_token: Option<RefreshToken>,
    /// How long the access token lives, from the moment it was issued.
    pub expires_in: Duration,
    /// The scopes granted, as the provider wrote them.
    pub scope: Option<String>,
    /// The provider's pseudonymous id of the user for this client (Xiaomi's `openId`).
    pub open_id: Option<String>,
}

impl TokenSet {
    /// A set for [`Algorithm::HmacSha1`], without scope or open id.
    pub fn new(
        access_token: impl Into<AccessToken>,
        mac_key: impl Into<MacKeyText>,
        refresh_token: impl Into<RefreshToken>,
        expires_in: Duration,
    ) -> Self {
        Self {
            access_token: access_token.into(),
            mac_key: mac_key.into(),
            algorithm: Algorithm::HmacSha1,
            refresh_token: Some(refresh_token.into()),
            expires_in,
            scope: None,
            open_id: None,
        }
    }
}
