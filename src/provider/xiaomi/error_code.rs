use std::fmt;

use crate::provider::{Meaning, Refusal, Refused};

/// Why the provider refused: the codes of the Xiaomi Open API, at the token endpoint and at the
/// API itself.
///
/// What to do about one is [`meaning`](ErrorCode::meaning). `Display` gives the number and a short
/// name.
///
/// ```
/// use tower_mac_auth::provider::{Meaning, xiaomi::ErrorCode};
///
/// let code = ErrorCode::from_code(96009);
/// assert_eq!(code, ErrorCode::RefreshTokenRejected);
/// assert_eq!(code.meaning(), Meaning::GrantEnded);
/// assert_eq!(code.to_string(), "96009 refresh token wrong, spent or expired");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// 96001: the `client_id` is not registered. Correct the configuration; the tokens are
    /// untouched.
    ClientUnknown,
    /// 96002: a parameter is missing or malformed. Correct the configuration.
    InvalidRequest,
    /// 96003: `client_id` and `client_secret` do not belong together, or the secret was not
    /// percent-encoded. Correct the configuration.
    ClientMismatch,
    /// 96004: this client may not use this grant. Correct the configuration. Not to be taken for
    /// RFC 6749's `invalid_grant`: a spent refresh token is 96009.
    InvalidGrant,
    /// 96005: the client is not authorized for this. Correct its registration.
    UnauthorizedClient,
    /// 96006: the provider does not know the grant type. Correct the configuration.
    UnsupportedGrantType,
    /// 96007: a scope is unknown or not granted to this client. Correct the configuration.
    InvalidScope,
    /// 96008: the access token is wrong or has expired. Refresh, then sign the request again.
    AccessTokenRejected,
    /// 96009: the refresh token is wrong, was spent before, or has expired. Unless somebody else
    /// has spent it and stored its successor, the user must authorize again.
    RefreshTokenRejected,
    /// 96010: the `redirect_uri` is not, letter for letter, the registered one. Correct the
    /// configuration.
    RedirectUriMismatch,
    /// 96011: the provider does not know the response type. Correct the configuration.
    UnsupportedResponseType,
    /// 96012: access denied, or the MAC did not verify. Never refresh for it: correct the clock
    /// and sign once more with a new nonce.
    Denied,
    /// 96013: the authorization code is wrong or was used before. Send the user through
    /// authorization again.
    CodeRejected,
    /// A number that is none of the documented ones. Whether the request took effect is not known.
    #[non_exhaustive]
    Unknown(u32),
}

impl ErrorCode {
    /// The code for a number; any number has one.
    pub const fn from_code(code: u32) -> Self {
        match code {
            96001 => Self::ClientUnknown,
            96002 => Self::InvalidRequest,
            96003 => Self::ClientMismatch,
            96004 => Self::InvalidGrant,
            96005 => Self::UnauthorizedClient,
            96006 => Self::UnsupportedGrantType,
            96007 => Self::InvalidScope,
            96008 => Self::AccessTokenRejected,
            96009 => Self::RefreshTokenRejected,
            96010 => Self::RedirectUriMismatch,
            96011 => Self::UnsupportedResponseType,
            96012 => Self::Denied,
            96013 => Self::CodeRejected,
            other => Self::Unknown(other),
        }
    }

    /// The number on the wire.
    pub const fn code(self) -> u32 {
        match self {
            Self::ClientUnknown => 96001,
            Self::InvalidRequest => 96002,
            Self::ClientMismatch => 96003,
            Self::InvalidGrant => 96004,
            Self::UnauthorizedClient => 96005,
            Self::UnsupportedGrantType => 96006,
            Self::InvalidScope => 96007,
            Self::AccessTokenRejected => 96008,
            Self::RefreshTokenRejected => 96009,
            Self::RedirectUriMismatch => 96010,
            Self::UnsupportedResponseType => 96011,
            Self::Denied => 96012,
            Self::CodeRejected => 96013,
            Self::Unknown(code) => code,
        }
    }

    /// What it asks of the client, if the token endpoint says so.
    pub const fn meaning(self) -> Meaning {
        match self {
            Self::ClientUnknown
            | Self::InvalidRequest
            | Self::ClientMismatch
            | Self::InvalidGrant
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType
            | Self::InvalidScope
            | Self::RedirectUriMismatch
            | Self::UnsupportedResponseType
            // Two that are about requests to the API, and say nothing of the refresh token.
            | Self::AccessTokenRejected
            | Self::Denied => Meaning::Configuration,
            Self::RefreshTokenRejected => Meaning::GrantEnded,
            Self::CodeRejected => Meaning::CodeRejected,
            Self::Unknown(_) => Meaning::Unknown,
        }
    }

    /// What it says of a request, if the API says so.
    pub const fn refusal(self) -> Option<Refusal> {
        match self {
            Self::AccessTokenRejected => Some(Refusal::TokenRejected),
            Self::Denied => Some(Refusal::SignatureRejected),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::ClientUnknown => "client does not exist",
            Self::InvalidRequest => "invalid request",
            Self::ClientMismatch => "client_id and client_secret do not match",
            Self::InvalidGrant => "invalid grant",
            Self::UnauthorizedClient => "unauthorized client",
            Self::UnsupportedGrantType => "unsupported grant type",
            Self::InvalidScope => "invalid scope",
            Self::AccessTokenRejected => "access token wrong or expired",
            Self::RefreshTokenRejected => "refresh token wrong, spent or expired",
            Self::RedirectUriMismatch => "redirect_uri does not match",
            Self::UnsupportedResponseType => "unsupported response type",
            Self::Denied => "denied, or the MAC did not verify",
            Self::CodeRejected => "authorization code wrong or spent",
            Self::Unknown(_) => "unknown code",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code(), self.name())
    }
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        Self::new(&code.code().to_string(), code.meaning()).with_name(code.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_from_its_code() {
        for number in (95_990..96_030).chain([0, 1, u32::MAX]) {
            let code = ErrorCode::from_code(number);
            assert_eq!(code.code(), number);
            let documented = (96_001..=96_013).contains(&number);
            assert_eq!(matches!(code, ErrorCode::Unknown(_)), !documented);
            assert_eq!(code.meaning() == Meaning::Unknown, !documented);
            assert!(code.to_string().starts_with(&format!("{number} ")));
        }
    }

    #[test]
    fn only_two_codes_of_the_token_endpoint_are_not_about_the_configuration() {
        let others: Vec<_> = (96_001..=96_013)
            .map(ErrorCode::from_code)
            .filter(|code| code.meaning() != Meaning::Configuration)
            .map(|code| (code.code(), code.meaning()))
            .collect();
        let grant_ended = (96_009, Meaning::GrantEnded);
        assert_eq!(others, [grant_ended, (96_013, Meaning::CodeRejected)]);
    }

    #[test]
    fn only_two_codes_of_the_api_are_about_the_credential() {
        let others: Vec<_> = (96_000..=96_020)
            .filter_map(|code| Some((code, ErrorCode::from_code(code).refusal()?)))
            .collect();
        let (token, mac) = (Refusal::TokenRejected, Refusal::SignatureRejected);
        assert_eq!(others, [(96_008, token), (96_012, mac)]);
    }
}
