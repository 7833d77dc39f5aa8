//! What a provider grants: the secrets, and what came with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::TokenSet;
use crate::sign::{Algorithm, MacKey, SignError};
use crate::{AccessToken, Extra, MacKeyText, RefreshToken};

/// So many bytes of extras are kept over rotations, so that a server that has a new name for one each
/// time fills no store: as many as one answer can bring.
const MOST_EXTRAS: usize = 64 * 1024;

/// The access half of a grant: what signs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessGrant {
    /// Names the grant in each signed request.
    pub access_token: AccessToken,
    /// Signs each request; `None` if no key was issued with the token.
    pub mac_key: Option<MacKeyText>,
    /// What the key is for; `None` without one.
    pub algorithm: Option<Algorithm>,
}

impl AccessGrant {
    /// An access token without a key of its own.
    pub fn new(access_token: impl Into<AccessToken>) -> Self {
        Self {
            access_token: access_token.into(),
            mac_key: None,
            algorithm: None,
        }
    }

    /// The key that was issued for it, made ready.
    ///
    /// # Errors
    ///
    /// Names `mac_key` when there is none, or none that can sign.
    pub fn prepare_key(&self) -> Result<MacKey, SignError> {
        match (self.algorithm, &self.mac_key) {
            (Some(algorithm), Some(mac_key)) => MacKey::new(algorithm, mac_key),
            _ => Err(SignError::missing("mac_key")),
        }
    }

    /// With the key that was issued for it.
    #[must_use]
    pub fn with_mac_key(mut self, mac_key: impl Into<MacKeyText>, algorithm: Algorithm) -> Self {
        self.mac_key = Some(mac_key.into());
        self.algorithm = Some(algorithm);
        self
    }
}

/// The secrets of a record, and what came with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// What signs; `None` if only a refresh token is held.
    pub access: Option<AccessGrant>,
    /// What buys the next grant, once.
    pub refresh_token: Option<RefreshToken>,
    /// The scopes granted, as the provider wrote them.
    pub scope: Option<String>,
    /// Who the user is, by the provider: Xiaomi's `openId`, the `sub` of an OpenID Connect `id_token`.
    pub subject: Option<String>,
    /// The id of the client that it was issued to, which alone can use it: an account of another
    /// refuses it. `None`, of a grant that no account has written, is anybody's.
    pub client_id: Option<Arc<str>>,
    /// What else the provider sent with the tokens, by its name in the answer.
    pub extras: BTreeMap<String, Extra>,
}

impl Grant {
    /// What signs, for [`Provider::credential`](super::Provider::credential).
    ///
    /// # Errors
    ///
    /// Names `access_token` when there is none.
    pub fn require_access(&self) -> Result<&AccessGrant, SignError> {
        let access = self.access.as_ref();
        access.ok_or_else(|| SignError::missing("access_token"))
    }

    /// Whether both hold the same refresh token.
    pub(crate) fn has_tokens_of(&self, other: &Self) -> bool {
        self.refresh_token == other.refresh_token
    }

    /// Whether each says who its user is, and they are two.
    pub(crate) fn is_of_another_than(&self, other: &Self) -> bool {
        self.subject.is_some() && other.subject.is_some() && self.subject != other.subject
    }

    /// Keeps of the grant that this one replaces what the provider did not say anew: a scope that is
    /// left out is the old one (RFC 6749 §5.1), and so, by what providers do, is the rest.
    #[must_use]
    pub(crate) fn after(mut self, old: &Self) -> Self {
        self.scope = self.scope.or_else(|| old.scope.clone());
        self.subject = self.subject.or_else(|| old.subject.clone());
        let mut size: usize = self
            .extras
            .values()
            .map(|it| it.expose_secret().len())
            .sum();
        for (name, value) in &old.extras {
            size += value.expose_secret().len();
            if size > MOST_EXTRAS {
                break;
            }
            if !self.extras.contains_key(name) {
                self.extras.insert(name.clone(), value.clone());
            }
        }
        self
    }
}

impl From<TokenSet> for Grant {
    fn from(tokens: TokenSet) -> Self {
        Self {
            access: Some(AccessGrant {
                access_token: tokens.access_token,
                mac_key: tokens.mac_key,
                algorithm: tokens.algorithm,
            }),
            refresh_token: tokens.refresh_token,
            scope: tokens.scope,
            subject: tokens.subject,
            client_id: None,
            extras: tokens.extras,
        }
    }
}

impl From<RefreshToken> for Grant {
    /// A bare refresh token: the first use buys the access half.
    fn from(refresh_token: RefreshToken) -> Self {
        Self {
            refresh_token: Some(refresh_token),
            ..Self::default()
        }
    }
}
