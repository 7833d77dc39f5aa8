use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::subject::subject_of_id_token;
use crate::RefreshToken;
use crate::provider::{
    Ambiguous, AmbiguousKind, Fields, Meaning, Outcome, Presented, RateLimited, Refused, TokenSet,
};

/// The fields of an answer that have a place of their own.
const KNOWN: &[&str] = &[
    "access_token",
    "token_type",
    "refresh_token",
    "expires_in",
    "error",
    "error_description",
];
/// What providers call the life of a refresh token, which no RFC names.
const REFRESH_LIVES: [&str; 3] = [
    "refresh_token_expires_in",
    "refresh_expires_in",
    "x_refresh_token_expires_in",
];

/// How the answers of a token endpoint are read.
#[derive(Clone, Debug)]
pub(super) struct AnswerRules {
    errors: Vec<(String, Meaning)>,
    statuses: Vec<(StatusCode, Meaning)>,
    pub(super) keep_refresh_token: bool,
    pub(super) default_life: Option<Duration>,
    pub(super) subject_field: Option<String>,
    pub(super) token_type: Option<Cow<'static, str>>,
}

impl AnswerRules {
    pub(super) fn new() -> Self {
        Self {
            errors: Vec::new(),
            statuses: Vec::new(),
            keep_refresh_token: true,
            default_life: None,
            subject_field: None,
            token_type: None,
        }
    }

    /// The last one said of an error holds.
    pub(super) fn add_error(&mut self, error: String, meaning: Meaning) {
        self.errors.insert(0, (error, meaning));
    }

    /// The last one said of a status holds.
    pub(super) fn add_status(&mut self, status: StatusCode, meaning: Meaning) {
        self.statuses.insert(0, (status, meaning));
    }

    /// What an answer says became of what was presented.
    pub(super) fn read(&self, presented: Presented<'_>, answer: &Response<Bytes>) -> Outcome {
        let fields = Fields::read(answer.body());
        // Kept before anything else is looked at: whatever is wrong with the rest, this may be the
        // only token that works from now on.
        let next = fields.optional("refresh_token").map(RefreshToken::new);
        let read = match self.refusal(presented, answer.status(), &fields) {
            Ok(Some(outcome)) => return outcome,
            Ok(None) if !answer.status().is_success() => {
                Err(Ambiguous::new(AmbiguousKind::Status(answer.status()), ""))
            }
            Ok(None) if answer.body().trim_ascii().is_empty() => {
                Err(Ambiguous::new(AmbiguousKind::Empty, "the answer is empty"))
            }
            Ok(None) if !fields.is_whole() => {
                let detail = "the answer is not one whole JSON object";
                Err(Ambiguous::new(AmbiguousKind::Unreadable, detail))
            }
            Ok(None) => self.tokens(presented, &fields, next.clone()),
            Err(fault) => Err(fault),
        };
        match read {
            Ok(tokens) => Outcome::Tokens(tokens),
            Err(fault) => Outcome::Ambiguous(fault.with_next(next)),
        }
    }

    /// The refusal that an answer is; `None` if it is none that can be read.
    fn refusal(
        &self,
        presented: Presented<'_>,
        status: StatusCode,
        fields: &Fields,
    ) -> Result<Option<Outcome>, Ambiguous> {
        let has_tokens = ["access_token", "refresh_token"]
            .into_iter()
            .any(|name| !fields.is_blank(name));
        // A 429 is no verdict, whatever its page may show. If it brings tokens, it is no 429.
        if status == StatusCode::TOO_MANY_REQUESTS && !has_tokens {
            return Ok(Some(Outcome::RateLimited(RateLimited::new(None))));
        }
        let by_status = || {
            let known = self.statuses.iter().find(|(known, _)| *known == status);
            known.filter(|_| !has_tokens).map(|(_, meaning)| *meaning)
        };
        let refused = |code: &str, meaning| {
            let refused = Refused::new(code, fit(meaning, presented));
            let refused = refused.with_description(fields.optional("error_description"));
            Ok(Some(Outcome::Refused(refused)))
        };
        // A server that fails, or a proxy before it, has looked at no token.
        let decides = status.is_success() || status.is_client_error();
        if fields.is_whole() && !fields.is_blank("error") {
            let code = error_code(fields)?;
            if has_tokens {
                return Err(field("error: given together with tokens"));
            }
            let told = self.errors.iter().find(|(known, _)| *known == code);
            let known = match told {
                Some((_, meaning)) => Some(*meaning),
                None if decides => published(&code),
                None => None,
            };
            if let Some(meaning) = known.or_else(by_status) {
                return refused(&code, meaning);
            }
            if decides {
                return refused(&code, Meaning::Unknown);
            }
        }
        match by_status() {
            Some(meaning) => refused(status.as_str(), meaning),
            None => Ok(None),
        }
    }

    fn tokens(
        &self,
        presented: Presented<'_>,
        fields: &Fields,
        next: Option<RefreshToken>,
    ) -> Result<TokenSet, Ambiguous> {
        let access_token = fields.required("access_token")?;
        // RFC 6749, Appendix A.12.
        if !access_token.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            let detail = "access_token: has a character that is not printable ASCII";
            return Err(field(detail));
        }
        // What it is worth was seen before; here it must not be odd.
        fields.text("refresh_token")?;
        if let Some(wanted) = self.token_type.as_deref()
            && let Some(given) = fields.text("token_type")?.map(str::trim)
            && !given.is_empty()
            && !given.eq_ignore_ascii_case(wanted)
        {
            return Err(field(format!("token_type: not {wanted}")));
        }
        let expires_in = fields.seconds("expires_in")?.or(self.default_life);
        let refresh_token = next.or_else(|| match presented {
            Presented::RefreshToken { token, .. } if self.keep_refresh_token => Some(token.clone()),
            _ => None,
        });
        // Keycloak says 0 of one that does not end; nothing hangs on what else may be odd.
        let refresh_expires_in = REFRESH_LIVES
            .into_iter()
            .find_map(|name| fields.seconds(name).ok().flatten());
        let scope = fields.optional("scope").map(str::to_owned);
        let mut extras = fields.extras(KNOWN);
        if scope.is_some() {
            extras.remove("scope");
        }
        Ok(TokenSet {
            refresh_token,
            expires_in,
            refresh_expires_in,
            scope,
            subject: self.subject(fields),
            extras,
            ..TokenSet::new(access_token)
        })
    }

    fn subject(&self, fields: &Fields) -> Option<String> {
        let id_token = fields.optional("id_token").and_then(subject_of_id_token);
        id_token.or_else(|| {
            let name = self.subject_field.as_deref()?;
            let number = || Some(fields.number(name).ok()??.to_string());
            fields.optional(name).map(str::to_owned).or_else(number)
        })
    }
}

/// The error's text, or its number.
fn error_code(fields: &Fields) -> Result<Cow<'_, str>, Ambiguous> {
    if let Ok(Some(number)) = fields.number("error") {
        return Ok(Cow::Owned(number.to_string()));
    }
    let text = fields.text("error")?.unwrap_or_default();
    Ok(Cow::Borrowed(text.trim()))
}

/// What RFC 6749 §5.2 says, and RFC 8707 §2 of its parameter. It does not say of the others that what
/// was presented is still good.
fn published(error: &str) -> Option<Meaning> {
    match error {
        "invalid_grant" => Some(Meaning::GrantEnded),
        "invalid_request"
        | "invalid_client"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "invalid_scope"
        | "invalid_target" => Some(Meaning::Configuration),
        _ => None,
    }
}

/// The same end, of what was presented.
fn fit(meaning: Meaning, presented: Presented<'_>) -> Meaning {
    match (meaning, presented) {
        (Meaning::GrantEnded | Meaning::CodeRejected, Presented::RefreshToken { .. }) => {
            Meaning::GrantEnded
        }
        (Meaning::GrantEnded | Meaning::CodeRejected, Presented::AuthorizationCode(_)) => {
            Meaning::CodeRejected
        }
        (other, _) => other,
    }
}

fn field(detail: impl Into<Cow<'static, str>>) -> Ambiguous {
    Ambiguous::new(AmbiguousKind::Field, detail)
}
