use std::collections::HashMap;
use std::time::Duration;

use super::odd_text::odd_text;
use super::refused::Refused;
use crate::provider::xiaomi::ErrorCode;
use crate::{AuthorizationCode, CodeVerifier, Timestamp};

/// How long an authorization code works; the provider documents five to ten minutes.
const CODE_LIFE: Duration = Duration::from_secs(5 * 60);

/// The authorization codes that have not been redeemed.
#[derive(Default)]
pub(super) struct Codes(HashMap<String, Code>);

/// What an authorization code is for.
struct Code {
    subject: String,
    works_until: Timestamp,
    /// `S256` of the verifier that must come with it (RFC 7636 §4.3); without one none may, or
    /// whoever steals a code could leave the challenge away (RFC 9700 §2.1.1).
    challenge: Option<String>,
}

impl Codes {
    pub(super) fn issue(
        &mut self,
        subject: String,
        challenge: Option<String>,
        now: Timestamp,
    ) -> AuthorizationCode {
        let text = format!("code.{}", odd_text());
        let code = Code {
            subject,
            works_until: now.saturating_add(CODE_LIFE),
            challenge,
        };
        self.0.insert(text.clone(), code);
        AuthorizationCode::new(text)
    }

    /// Whose it is. It is spent also by whoever comes too late or with another verifier.
    pub(super) fn redeem(
        &mut self,
        code: &str,
        verifier: Option<&str>,
        now: Timestamp,
    ) -> Result<String, Refused> {
        const REJECTED: ErrorCode = ErrorCode::CodeRejected;
        let Some(code) = self.0.remove(code) else {
            return Err((REJECTED, "code: not known, or used before"));
        };
        if now >= code.works_until {
            return Err((REJECTED, "code: expired"));
        }
        let shown = verifier.map(|verifier| CodeVerifier::new(verifier).challenge());
        if code.challenge != shown {
            return Err((REJECTED, "code_verifier: not that of the code's challenge"));
        }
        Ok(code.subject)
    }
}
