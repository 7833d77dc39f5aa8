//! The grants of a provider: who holds which token, and what it is still good for.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

use crate::provider::TokenSet;
use crate::provider::xiaomi::ErrorCode;
use crate::{AuthorizationCode, MacKeyText, Timestamp};

/// How long an authorization code works; the provider documents five to ten minutes.
const CODE_LIFE: Duration = Duration::from_secs(5 * 60);

#[derive(Default)]
pub(super) struct Grants {
    users: usize,
    all: Vec<Grant>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    /// A spent one is gone.
    codes: HashMap<String, Code>,
}

struct Grant {
    subject: String,
    generation: u64,
    /// The access token of that generation.
    current: String,
    revoked: bool,
}

/// What an authorization code is for.
struct Code {
    subject: String,
    works_until: Timestamp,
}

struct Access {
    grant: usize,
    generation: u64,
    mac_key: MacKeyText,
    expires_at: Timestamp,
}

struct Refresh {
    grant: usize,
    generation: u64,
    spent: bool,
}

/// What the provider knows of an access token.
pub(super) struct Holder {
    pub(super) subject: String,
    pub(super) generation: u64,
    pub(super) mac_key: MacKeyText,
}

/// What a rotation does besides.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) reuse_kills_grant: bool,
    pub(super) rotation_kills_access_token: bool,
}

/// A code and what exactly is wrong.
pub(super) type Refused = (ErrorCode, &'static str);

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
        let subject = self.new_user();
        self.code_of(subject, now)
    }

    /// A code of the user whose access token this is.
    pub(super) fn authorization_code_of(
        &mut self,
        access_token: &str,
        now: Timestamp,
    ) -> Option<AuthorizationCode> {
        let subject = self.holder_of(access_token)?.subject;
        Some(self.code_of(subject, now))
    }

    fn code_of(&mut self, subject: String, now: Timestamp) -> AuthorizationCode {
        let code = format!("code.{}", odd_text());
        let works_until = now.saturating_add(CODE_LIFE);
        let of_code = Code {
            subject,
            works_until,
        };
        self.codes.insert(code.clone(), of_code);
        AuthorizationCode::new(code)
    }

    pub(super) fn exchange(
        &mut self,
        code: &str,
        now: Timestamp,
        life: Duration,
    ) -> Result<TokenSet, Refused> {
        const REJECTED: ErrorCode = ErrorCode::CodeRejected;
        match self.codes.remove(code) {
            None => Err((REJECTED, "code: not known, or used before")),
            Some(code) if now >= code.works_until => Err((REJECTED, "code: expired")),
            Some(code) => Ok(self.issue_to(code.subject, now, life)),
        }
    }

    pub(super) fn rotate(
        &mut self,
        token: &str,
        now: Timestamp,
        life: Duration,
        rules: Rules,
    ) -> Result<TokenSet, Refused> {
        const REJECTED: ErrorCode = ErrorCode::RefreshTokenRejected;
        let Some(refresh) = self.refresh.get_mut(token) else {
            return Err((REJECTED, "refresh_token: not known"));
        };
        let index = refresh.grant;
        let spent = std::mem::replace(&mut refresh.spent, true);
        let Some(grant) = self.all.get_mut(index) else {
            return Err((REJECTED, "refresh_token: not known"));
        };
        if spent {
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
        Ok(self.next(index, now, life))
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
        let number = index + 1;
        let access_token = format!("at.{number}.{}", odd_text());
        let refresh_token = format!("rt.{number}.{}", odd_text());
        let mac_key = MacKeyText::new(BASE64_URL_SAFE_NO_PAD.encode(random::<20>()));
        let mut subject = String::new();
        let mut generation = 1;
        if let Some(grant) = self.all.get_mut(index) {
            grant.generation += 1;
            grant.current.clone_from(&access_token);
            generation = grant.generation;
            subject.clone_from(&grant.subject);
        }
        self.access.insert(
            access_token.clone(),
            Access {
                grant: index,
                generation,
                mac_key: mac_key.clone(),
                expires_at: now.saturating_add(life),
            },
        );
        self.refresh.insert(
            refresh_token.clone(),
            Refresh {
                grant: index,
                generation,
                spent: false,
            },
        );
        TokenSet {
            scope: Some("1 3".to_owned()),
            subject: Some(subject),
            ..TokenSet::mac(access_token, mac_key, refresh_token, life)
        }
    }
}

/// Random text with every character that a sloppy encoder gets wrong.
fn odd_text() -> String {
    format!("{}+/=", BASE64_STANDARD.encode(random::<15>()))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fastrand::fill(&mut bytes);
    bytes
}
