use std::time::Duration;

use crate::Timestamp;
use crate::provider::TokenSet;
use crate::store::{Grant, Record};

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

    /// With the end of the refresh token of this record, if what was issued has the same one and does
    /// not say when it ends.
    pub(super) fn or_as_before(mut self, grant: &Grant, before: &Record) -> Self {
        let known = before.grant().ok();
        if known.is_some_and(|before| before.refresh_token == grant.refresh_token) {
            // From the store's clock to this process's.
            let left = |end: Timestamp| end.saturating_since(before.now);
            let end = |end| self.issued_at.saturating_add(left(end));
            let before = before.refresh_expires_at.map(end);
            self.refresh_expires_at = self.refresh_expires_at.or(before);
        }
        self
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Draft, Generation, Issued, Version};

    #[test]
    fn a_refresh_token_that_is_kept_keeps_its_end() {
        let day = Duration::from_secs(24 * 60 * 60);
        let grant = |token: &str| Grant::from(crate::RefreshToken::new(token));
        let issued = Issued {
            refresh_expires_in: Some(day),
            ..Issued::authorized(Generation::FIRST, grant("RT"), None)
        };
        // The store's clock, and this process's, which is far from it.
        let store = |secs| Timestamp::from_secs(1_000_000_u64 + secs);
        let here = Timestamp::from_secs(5);
        let before = Draft::issued(Version::draw(), issued)
            .at(store(0))
            .read_at(store(60));
        let tokens = TokenSet::new("AT");
        let end = |token, life| {
            let tokens = TokenSet {
                refresh_expires_in: life,
                ..tokens.clone()
            };
            let lives = Lives::of(&tokens, here).or_as_before(&grant(token), &before);
            lives
                .refresh_expires_at
                .map(|end| end.saturating_since(here))
        };
        let minute = Duration::from_secs(60);
        assert_eq!(end("RT", None), day.checked_sub(minute));
        assert_eq!(end("RT", Some(minute)), Some(minute), "what is said counts");
        assert_eq!(end("RT2", None), None, "another may last longer or not");
    }
}
