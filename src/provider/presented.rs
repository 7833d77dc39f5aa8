use std::fmt;

use crate::{AuthorizationCode, RefreshToken};

/// What is presented to a token endpoint, once.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Presented<'a> {
    /// A refresh token (RFC 6749 §6), of this grant.
    #[non_exhaustive]
    RefreshToken {
        /// What is presented.
        token: &'a RefreshToken,
        /// What else the provider sent with it and is known: a provider may want some of it again.
        grant: Option<&'a super::Grant>,
    },
    /// An authorization code (RFC 6749 §4.1.3).
    AuthorizationCode(&'a AuthorizationCode),
}

impl<'a> Presented<'a> {
    /// Its grant type.
    pub const fn grant_type(self) -> GrantType {
        match self {
            Self::RefreshToken { .. } => GrantType::RefreshToken,
            Self::AuthorizationCode(_) => GrantType::AuthorizationCode,
        }
    }

    /// The text itself. Do not log it.
    pub fn expose_secret(self) -> &'a str {
        match self {
            Self::RefreshToken { token, .. } => token.expose_secret(),
            Self::AuthorizationCode(code) => code.expose_secret(),
        }
    }
}

impl<'a> From<&'a RefreshToken> for Presented<'a> {
    /// Of a grant of which nothing else is known.
    fn from(token: &'a RefreshToken) -> Self {
        Self::RefreshToken { token, grant: None }
    }
}

impl<'a> From<&'a AuthorizationCode> for Presented<'a> {
    fn from(code: &'a AuthorizationCode) -> Self {
        Self::AuthorizationCode(code)
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Presented")
            .field(&self.grant_type())
            .finish()
    }
}

/// What a token endpoint is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GrantType {
    /// The next tokens, for a refresh token.
    RefreshToken,
    /// The first tokens, for the code that a user's browser brought.
    AuthorizationCode,
}

impl GrantType {
    /// The value of `grant_type` in RFC 6749.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RefreshToken => "refresh_token",
            Self::AuthorizationCode => "authorization_code",
        }
    }
}

impl fmt::Display for GrantType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
