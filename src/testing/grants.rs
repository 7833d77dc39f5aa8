//! The grants of a provider: who holds which token, and what it is still good for.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::Presented;
use super::codes::Codes;
use super::odd_text::{odd_text, random};
use super::refused::Refused;
use super::rules::Rules;
use crate::provider::TokenSet;
use crate::provider::xiaomi::ErrorCode;
use crate::sign::Algorithm;
use crate::{AuthorizationCode, MacKeyText, RefreshToken, Timestamp};

#[derive(Default)]
pub(super) struct Grants {
    users: usize,
    all: Vec<Grant>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    codes: Codes,
}

struct Grant {
    subject: String,
    generation: u64,
    /// The access token that was issued last.
    current: String,
    revoked: bool,
}

struct Access {
    grant: usize,
    generation: u64,
    mac_key: MacKeyText,
    issued_at: Timestamp,
    expires_at: Timestamp,
}

struct Refresh {
    grant: usize,
    generation: u64,
    spent: Option<Spent>,
}

/// When a refresh token was spent, and for which.
struct Spent {
    at: Timestamp,
    successor: String,
}

/// What the provider knows of an access token.
#[derive(Clone)]
pub(super) struct Holder {
    pub(super) subject: String,
    pub(super) generation: u64,
    pub(super) mac_key: MacKeyText,
    pub(super) issued_at: Timestamp,
}

/// What came of a request for tokens.
pub(super) struct Granted {
    pub(super) tokens: TokenSet,
    pub(super) outcome: Presented,
}

impl Grants {
    /// A grant of a new user.
    pub(super) fn issue(&mut self, now: Timestamp, life: Duration) -> TokenSet {
        let subject = self.new_user();
        self.issue_to(subject, now, life)
    }

    fn issue_to(&mut self, subject: String, now: Timestamp, life: Duration) -> TokenSet {
        let grant = self.all.len();
        self.all.push(Grant {
            subject,
            generation: 0,
            current: String::new(),
            revoked: false,
        });
        self.next(grant, now, life)
    }

    fn new_user(&mut self) -> String {
        self.users += 1;
        format!("2.0:user-{}", self.users)
    }

    /// A code of a new user.
    pub(super) fn authorization_code(&mut self, now: Timestamp) -> AuthorizationCode {
        self.agree(None, now)
    }

    /// The same, asked for with this challenge.
    pub(super) fn agree(&mut self, challenge: Option<String>, now: Timestamp) -> AuthorizationCode {
        let subject = self.new_user();
        self.codes.issue(subject, challenge, now)
    }

    /// A code of the user whose access token this is.
    pub(super) fn authorization_code_of(
        &mut self,
        access_token: &str,
        now: Timestamp,
    ) -> Option<AuthorizationCode> {
        let subject = self.holder_of(access_token)?.subject;
        Some(self.codes.issue(subject, None, now))
    }

    pub(super) fn exchange(
        &mut self,
        code: &str,
        verifier: Option<&str>,
        now: Timestamp,
        life: Duration,
    ) -> Result<Granted, Refused> {
        let subject = self.codes.redeem(code, verifier, now)?;
        Ok(Granted {
            tokens: self.issue_to(subject, now, life),
            outcome: Presented::Rotated,
        })
    }

    pub(super) fn rotate(
        &mut self,
        token: &str,
        now: Timestamp,
        life: Duration,
        rules: Rules,
    ) -> Result<Granted, Refused> {
        const REJECTED: ErrorCode = ErrorCode::RefreshTokenRejected;
        let Some(refresh) = self.refresh.get(token) else {
            return Err((REJECTED, "refresh_token: not known"));
        };
        let index = refresh.grant;
        let again = refresh.spent.as_ref().map(|spent| {
            let in_time = now < spent.at.saturating_add(rules.grace_window);
            // A successor that was presented has arrived: then nobody can need it again.
            let next = self.refresh.get(&spent.successor);
            let next = next.filter(|next| in_time && next.spent.is_none());
            next.map(|next| (spent.successor.clone(), next.generation))
        });
        let Some(grant) = self.all.get_mut(index) else {
            return Err((REJECTED, "refresh_token: not known"));
        };
        if again == Some(None) {
            grant.revoked |= rules.reuse_kills_grant;
            return Err((REJECTED, "refresh_token: used before"));
        }
        if grant.revoked {
            return Err((REJECTED, "refresh_token: the grant was revoked"));
        }
        if rules.rotation_kills_access_token
            && let Some(access) = self.access.get_mut(&grant.current)
        {
            access.expires_at = Timestamp::EPOCH;
        }
        if let Some((successor, generation)) = again.flatten() {
            let tokens = self.access_token(index, generation, now, life);
            let tokens = tokens.with_refresh_token(successor);
            let outcome = Presented::Replayed;
            return Ok(Granted { tokens, outcome });
        }
        let tokens = if rules.rotate_refresh_tokens {
            let tokens = self.next(index, now, life);
            let successor = tokens
                .refresh_token
                .as_ref()
                .map(RefreshToken::expose_secret);
            if let Some(refresh) = self.refresh.get_mut(token) {
                let successor = successor.unwrap_or_default().to_owned();
                refresh.spent = Some(Spent { at: now, successor });
            }
            tokens
        } else {
            let generation = self.next_generation(index);
            self.access_token(index, generation, now, life)
        };
        let outcome = Presented::Rotated;
        Ok(Granted { tokens, outcome })
    }

    /// The user and the generation a refresh token was issued with.
    pub(super) fn owner_of(&self, refresh_token: &str) -> Option<(String, u64)> {
        let refresh = self.refresh.get(refresh_token)?;
        let grant = self.all.get(refresh.grant)?;
        Some((grant.subject.clone(), refresh.generation))
    }

    pub(super) fn holder_of(&self, access_token: &str) -> Option<Holder> {
        let access = self.access.get(access_token)?;
        let grant = self.all.get(access.grant)?;
        Some(Holder {
            subject: grant.subject.clone(),
            generation: access.generation,
            mac_key: access.mac_key.clone(),
            issued_at: access.issued_at,
        })
    }

    /// Why an access token is no longer good, if it is not.
    pub(super) fn lapse_of(&self, access_token: &str, now: Timestamp) -> Option<&'static str> {
        let Some(access) = self.access.get(access_token) else {
            return Some("access_token: not known");
        };
        let revoked = self.all.get(access.grant).is_none_or(|grant| grant.revoked);
        if revoked {
            Some("access_token: the grant was revoked")
        } else if now >= access.expires_at {
            Some("access_token: expired")
        } else {
            None
        }
    }

    pub(super) fn expire_all(&mut self) {
        for access in self.access.values_mut() {
            access.expires_at = Timestamp::EPOCH;
        }
    }

    pub(super) fn expire(&mut self, access_token: &str) -> bool {
        let access = self.access.get_mut(access_token);
        access.map(|it| it.expires_at = Timestamp::EPOCH).is_some()
    }

    pub(super) fn revoke(&mut self, access_token: &str) -> bool {
        let grant = self.access.get(access_token).map(|access| access.grant);
        let grant = grant.and_then(|index| self.all.get_mut(index));
        grant.map(|grant| grant.revoked = true).is_some()
    }

    /// The next tokens of a grant.
    fn next(&mut self, index: usize, now: Timestamp, life: Duration) -> TokenSet {
        let generation = self.next_generation(index);
        let refresh_token = format!("rt.{}.{}", index + 1, odd_text());
        self.refresh.insert(
            refresh_token.clone(),
            Refresh {
                grant: index,
                generation,
                spent: None,
            },
        );
        self.access_token(index, generation, now, life)
            .with_refresh_token(refresh_token)
    }

    fn next_generation(&mut self, index: usize) -> u64 {
        self.all.get_mut(index).map_or(1, |grant| {
            grant.generation += 1;
            grant.generation
        })
    }

    /// A new access token of a grant, which is its current one from now on.
    fn access_token(
        &mut self,
        index: usize,
        generation: u64,
        now: Timestamp,
        life: Duration,
    ) -> TokenSet {
        let access_token = format!("at.{}.{}", index + 1, odd_text());
        let mac_key = MacKeyText::new(BASE64_URL_SAFE_NO_PAD.encode(random::<20>()));
        let mut subject = None;
        if let Some(grant) = self.all.get_mut(index) {
            grant.current.clone_from(&access_token);
            subject = Some(grant.subject.clone());
        }
        self.access.insert(
            access_token.clone(),
            Access {
                grant: index,
                generation,
                mac_key: mac_key.clone(),
                issued_at: now,
                expires_at: now.saturating_add(life),
            },
        );
        TokenSet {
            scope: Some("1 3".to_owned()),
            subject,
            ..TokenSet::new(access_token)
                .with_mac_key(mac_key, Algorithm::HmacSha1)
                .with_expires_in(life)
        }
    }
}
