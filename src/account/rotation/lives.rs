use std::time::Duration;

use crate::Timestamp;
use crate::provider::TokenSet;

/// How long what was issued lives, on this process's clock.
#[derive(Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the names they have in a record")]
pub(in crate::account) struct Lives {
    pub(super) issued_at: Timestamp,
    /// When the access token ends; `None` if that is not known.
    pub(super) expires_at: Option<Timestamp>,
    /// When the refresh token ends; `None` if that is not known.
    pub(super) refresh_expires_at: Option<Timestamp>,
}

impl Lives {
    /// Of tokens that were asked for at this moment.
    pub(in crate::account) fn of(tokens: &TokenSet, asked_at: Timestamp) -> Self {
        let end = |life: Duration| asked_at.saturating_add(life);
        Self {
            issued_at: asked_at,
            expires_at: tokens.expires_in.map(end),
            refresh_expires_at: tokens.refresh_expires_in.map(end),
        }
    }

    /// Of a refresh token that came without an access token, or of an access token that has ended.
    pub(in crate::account) fn over(at: Timestamp) -> Self {
        Self::until(at, at)
    }

    /// Of an access token that ends then.
    pub(super) fn until(issued_at: Timestamp, expires_at: Timestamp) -> Self {
        Self {
            issued_at,
            expires_at: Some(expires_at),
            refresh_expires_at: None,
        }
    }
}
