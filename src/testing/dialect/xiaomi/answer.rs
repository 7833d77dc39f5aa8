//! What the provider writes, to the letter.

use bytes::Bytes;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::super::Denial;
use crate::provider::TokenSet;
use crate::provider::xiaomi::ErrorCode;
use crate::testing::RefusalStyle;
use crate::testing::answer::{HTML, JSON, bare, response};
use crate::testing::config::Config;
use crate::testing::refused::Refused;
use crate::{MacKeyText, RefreshToken};

/// What the provider says when it does not say JSON.
const PREFIX: &str = "&&&START&&&";

/// The answer with tokens, or with some that nobody can sign with.
pub(in crate::testing) fn tokens(
    config: &Config,
    tokens: &TokenSet,
    usable: bool,
) -> Response<Bytes> {
    let refresh_token = tokens.refresh_token.as_ref();
    let mut answer = json!({
        "access_token": tokens.access_token.expose_secret(),
        "expires_in": tokens.expires_in.map(|life| life.as_secs()),
        "refresh_token": refresh_token.map(RefreshToken::expose_secret),
        "scope": tokens.scope,
        "openId": tokens.subject,
    });
    let algorithm = if usable { "HmacSha1" } else { "HmacSha999" };
    let key = tokens.mac_key.as_ref().map(MacKeyText::expose_secret);
    // The white space is the provider's own: so its documents and servers write it.
    let (names, algorithm) = if config.plain_answers {
        (["token_type", "mac_key"], algorithm.to_owned())
    } else {
        (["token_type ", "mac_key "], format!(" {algorithm}"))
    };
    answer[names[0]] = "mac".into();
    answer[names[1]] = key.into();
    answer["mac_algorithm"] = algorithm.into();
    token_answer(config, StatusCode::OK, &answer)
}

/// A refusal of the token endpoint.
pub(in crate::testing) fn token_refusal(
    config: &Config,
    (code, description): Refused,
) -> Response<Bytes> {
    let answer = json!({
        "error": number(config, code),
        "error_description": description,
    });
    let status = config.token_refusal_status.unwrap_or(StatusCode::OK);
    token_answer(config, status, &answer)
}

/// What the API says with it.
#[derive(Serialize)]
struct Refusal<'a> {
    result: &'static str,
    description: &'a str,
    code: Value,
}

/// A refusal of the API.
pub(in crate::testing) fn api_refusal(
    config: &Config,
    style: RefusalStyle,
    Denial { code, reason }: &Denial,
) -> Response<Bytes> {
    let status = style.status();
    let mut response = if style == RefusalStyle::Bare401 {
        bare(config, status)
    } else {
        let answer = Refusal {
            result: "error",
            description: reason,
            code: number(config, *code),
        };
        let prefix = if config.prefixed_refusals { PREFIX } else { "" };
        let mut text = prefix.as_bytes().to_vec();
        // Into memory, and of what JSON has.
        let _ = serde_json::to_writer(&mut text, &answer);
        response(config, status, JSON, text)
    };
    if status == StatusCode::UNAUTHORIZED {
        // A 401 must name a scheme (RFC 9110 §15.5.2).
        let headers = response.headers_mut();
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("MAC"));
    }
    response
}

fn token_answer(config: &Config, status: StatusCode, answer: &Value) -> Response<Bytes> {
    if config.plain_answers {
        response(config, status, JSON, answer.to_string())
    } else {
        response(config, status, HTML, format!("{PREFIX}{answer}"))
    }
}

fn number(config: &Config, code: ErrorCode) -> Value {
    if config.string_codes {
        code.code().to_string().into()
    } else {
        code.code().into()
    }
}
