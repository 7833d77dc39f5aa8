use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::fields::{Fields, Value};
use super::outcome::AmbiguousKind;
use super::{Ambiguous, ErrorCode, MAX_ANSWER_LEN, Outcome, Refusal, TokenSet};
use crate::sign::Algorithm;
use crate::{AccessToken, MacKeyText, RefreshToken};

/// Some of the provider's answers begin with it.
const PREFIX: &[u8] = b"&&&START&&&";
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// No provider issues tokens for longer; a longer life is a sign of a misread answer.
const LONGEST_LIFE: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// The longest description of a refusal that is kept, in characters.
const LONGEST_DESCRIPTION: usize = 200;

/// What an answer of the token endpoint says.
///
/// For transports of your own, for tests and fuzzing; [`TokenEndpoint`](super::TokenEndpoint)
/// does it by itself. Any bytes have an outcome, which is never [`Outcome::Unsent`].
///
/// What the provider is known to send is read: a prefix `&&&START&&&`, white space around names
/// and around `mac_algorithm` and `token_type`, a number as a string, fields nobody knows, any
/// content type. A missing `mac_algorithm` is [`Algorithm::HmacSha1`] and a missing `token_type`
/// is `mac`: the provider has no others, and refusing would throw away tokens that were paid for.
/// A field given twice must have the same value both times.
///
/// Anything else is [`Outcome::Ambiguous`] and says which field is wrong, never its value. A
/// refusal counts only with a status below 500.
///
/// ```
/// use http::StatusCode;
/// use tower_mac_auth::token::{Outcome, parse_answer};
///
/// let answer = br#"&&&START&&&{"error":"96009","error_description":"expired"}"#;
/// let Outcome::Refused(refusal) = parse_answer(StatusCode::OK, answer) else {
///     panic!("a refusal")
/// };
/// assert_eq!(refusal.code().code(), 96009);
/// ```
pub fn parse_answer(status: StatusCode, body: &[u8]) -> Outcome {
    if body.len() > MAX_ANSWER_LEN {
        let detail = "the answer is longer than 64 KiB";
        return Outcome::Ambiguous(Ambiguous::new(AmbiguousKind::TooLong, detail));
    }
    let body = strip(body);
    let (mut fields, whole) = Fields::read(body);
    // Kept before anything else is looked at: whatever is wrong with the rest, this may be the
    // only token that works from now on.
    let next = fields
        .refresh_token
        .text()
        .filter(|token| !token.trim().is_empty())
        .map(RefreshToken::new);
    let ambiguous = |fault: Ambiguous| Outcome::Ambiguous(fault.with_next(next.clone()));

    let definite = status.is_success() || status.is_client_error();
    if !definite {
        return ambiguous(Ambiguous::new(AmbiguousKind::Status(status), ""));
    }
    if body.is_empty() {
        return ambiguous(Ambiguous::new(AmbiguousKind::Empty, "the answer is empty"));
    }
    if !whole {
        let detail = "the answer is not one whole JSON object";
        return ambiguous(Ambiguous::new(AmbiguousKind::Unreadable, detail));
    }
    if fields.error.is_given() {
        return match refusal(&fields) {
            Ok(refusal) => Outcome::Refused(refusal),
            Err(fault) => ambiguous(fault),
        };
    }
    if !status.is_success() {
        return ambiguous(Ambiguous::new(AmbiguousKind::Status(status), ""));
    }
    match tokens(&mut fields, next.clone()) {
        Ok(tokens) => Outcome::Tokens(tokens),
        Err(fault) => ambiguous(fault),
    }
}

/// Without the prefix, and without byte-order marks and white space on either side of it.
fn strip(body: &[u8]) -> &[u8] {
    let blank = |body: &'_ [u8]| -> usize {
        let mut rest = body;
        loop {
            let shorter = rest
                .strip_prefix(BYTE_ORDER_MARK)
                .unwrap_or(rest)
                .trim_ascii_start();
            if shorter.len() == rest.len() {
                return body.len() - rest.len();
            }
            rest = shorter;
        }
    };
    let body = &body[blank(body)..];
    let body = body.strip_prefix(PREFIX).unwrap_or(body);
    body[blank(body)..].trim_ascii_end()
}

fn field(detail: &'static str) -> Ambiguous {
    Ambiguous::new(AmbiguousKind::Field, detail)
}

fn refusal(fields: &Fields) -> Result<Refusal, Ambiguous> {
    if fields.access_token.is_given() || fields.refresh_token.is_given() {
        return Err(field("error: given together with tokens"));
    }
    let code = match &fields.error {
        Value::Integer(code) => u32::try_from(*code).ok(),
        Value::Text(code) => number(code).and_then(|code| u32::try_from(code).ok()),
        Value::Twice => return Err(field("error: given twice, with different values")),
        _ => None,
    };
    let code = code.ok_or_else(|| field("error: not a code"))?;
    let description = fields.error_description.text().map(describe);
    Ok(Refusal::new(ErrorCode::from_code(code), description))
}

/// A server's text, fit for a log: short, one line, nothing that steers a terminal.
fn describe(text: &str) -> String {
    let plain = |c: char| {
        // The bidirectional controls reorder what stands around them.
        let steers =
            c.is_control() || matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        if steers { ' ' } else { c }
    };
    text.trim()
        .chars()
        .take(LONGEST_DESCRIPTION)
        .map(plain)
        .collect()
}

fn tokens(fields: &mut Fields, next: Option<RefreshToken>) -> Result<TokenSet, Ambiguous> {
    let access_token = match fields.access_token.take() {
        Value::Text(token) if !token.trim().is_empty() => AccessToken::new(token.as_str()),
        Value::Text(_) => return Err(field("access_token: empty")),
        Value::Missing => return Err(field("access_token: missing")),
        Value::Twice => return Err(field("access_token: given twice, with different values")),
        _ => return Err(field("access_token: not a string")),
    };
    let mac_key = match fields.mac_key.take() {
        Value::Text(key) if !key.trim().is_empty() => MacKeyText::new(key.as_str()),
        Value::Text(_) => return Err(field("mac_key: empty")),
        Value::Missing => return Err(field("mac_key: missing")),
        Value::Twice => return Err(field("mac_key: given twice, with different values")),
        _ => return Err(field("mac_key: not a string")),
    };
    match fields.refresh_token {
        Value::Text(_) | Value::Missing => {}
        Value::Twice => return Err(field("refresh_token: given twice, with different values")),
        _ => return Err(field("refresh_token: not a string")),
    }
    match &fields.token_type {
        Value::Text(name) if name.trim().eq_ignore_ascii_case("mac") => {}
        Value::Missing => {}
        Value::Text(_) => return Err(field("token_type: not mac")),
        Value::Twice => return Err(field("token_type: given twice, with different values")),
        _ => return Err(field("token_type: not a string")),
    }
    let algorithm = match &fields.mac_algorithm {
        Value::Text(name) => name.parse().map_err(|unknown| {
            field("mac_algorithm: not known").with_source(Some(Arc::new(unknown)))
        })?,
        Value::Missing => Algorithm::HmacSha1,
        Value::Twice => return Err(field("mac_algorithm: given twice, with different values")),
        _ => return Err(field("mac_algorithm: not a string")),
    };
    Ok(TokenSet {
        access_token,
        mac_key,
        algorithm,
        refresh_token: next,
        expires_in: expires_in(&fields.expires_in)?,
        scope: fields.scope.text().map(str::to_owned),
        open_id: fields
            .open_id
            .text()
            .or(fields.openid.text())
            .map(str::to_owned),
    })
}

fn expires_in(value: &Value) -> Result<Duration, Ambiguous> {
    let seconds = match value {
        Value::Integer(seconds) => Some(*seconds),
        Value::Text(text) => number(text),
        Value::Missing => return Err(field("expires_in: missing")),
        Value::Twice => return Err(field("expires_in: given twice, with different values")),
        Value::Other => None,
    };
    let life = seconds
        .map(Duration::from_secs)
        .ok_or_else(|| field("expires_in: not a whole, positive number of seconds"))?;
    if life.is_zero() {
        return Err(field("expires_in: zero"));
    }
    if life > LONGEST_LIFE {
        return Err(field("expires_in: more than 100 years"));
    }
    Ok(life)
}

/// A string of nothing but digits, with white space around it or not.
fn number(text: &str) -> Option<u64> {
    let digits = text.trim();
    // `parse` would take a `+`.
    if digits.starts_with('+') {
        return None;
    }
    digits.parse().ok()
}
