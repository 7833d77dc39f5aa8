//! What such an endpoint writes, to the letter.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::RefreshToken;
use crate::provider::TokenSet;
use crate::provider::xiaomi::ErrorCode;
use crate::testing::answer::{JSON, response};
use crate::testing::config::Config;
use crate::testing::refused::Refused;

/// RFC 6749 §5.1, with the fields that the type of the token wants (§7.1).
pub(in crate::testing) fn tokens(
    config: &Config,
    tokens: &TokenSet,
    of_type: &[(&str, &str)],
) -> Response<Bytes> {
    let rules = &config.oauth2;
    let mut answer = Map::new();
    let mut put = |name: &str, value: Value| answer.insert(name.to_owned(), value);
    put("access_token", tokens.access_token.expose_secret().into());
    for (name, value) in of_type {
        put(name, (*value).into());
    }
    if let Some(life) = tokens.expires_in.filter(|_| rules.announce_lifetime) {
        put("expires_in", life.as_secs().into());
    }
    if let Some(token) = tokens
        .refresh_token
        .as_ref()
        .map(RefreshToken::expose_secret)
    {
        put("refresh_token", token.into());
    }
    if let Some(scope) = &tokens.scope {
        put("scope", scope.as_str().into());
    }
    if let Some(subject) = tokens.subject.as_ref().filter(|_| rules.id_tokens) {
        put("id_token", id_token(&config.client_id, subject).into());
    }
    for (name, value) in &rules.extras {
        put(name, value.clone());
    }
    response(
        config,
        StatusCode::OK,
        JSON,
        Value::from(answer).to_string(),
    )
}

/// RFC 6749 §5.2.
pub(in crate::testing) fn token_refusal(
    config: &Config,
    request: &Request<Bytes>,
    (code, description): Refused,
) -> Response<Bytes> {
    let unknown_client = matches!(code, ErrorCode::ClientUnknown | ErrorCode::ClientMismatch);
    let status = match config.token_refusal_status {
        Some(status) => status,
        None if unknown_client => StatusCode::UNAUTHORIZED,
        None => StatusCode::BAD_REQUEST,
    };
    let told = config.oauth2.errors.iter().rev();
    let told = told
        .map(|(of, error)| (*of, error))
        .find(|(of, _)| *of == code);
    let error = told.map_or_else(|| error(code), |(_, error)| error.as_str().into());
    let mut refusal = error_response(config, status, &error, description);
    if status == StatusCode::UNAUTHORIZED && request.headers().contains_key(AUTHORIZATION) {
        let challenge = HeaderValue::from_static("Basic realm=\"token endpoint\"");
        refusal.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    refusal
}

/// An object that says what is wrong.
pub(in crate::testing) fn error_response(
    config: &Config,
    status: StatusCode,
    error: &Value,
    description: &str,
) -> Response<Bytes> {
    let body = json!({ "error": error, "error_description": description });
    response(config, status, JSON, body.to_string())
}

/// A text, or the number of a code that RFC 6749 has no word for.
fn error(code: ErrorCode) -> Value {
    match code {
        ErrorCode::ClientUnknown | ErrorCode::ClientMismatch => "invalid_client".into(),
        ErrorCode::RefreshTokenRejected
        | ErrorCode::CodeRejected
        | ErrorCode::RedirectUriMismatch => "invalid_grant".into(),
        ErrorCode::UnauthorizedClient => "unauthorized_client".into(),
        ErrorCode::UnsupportedGrantType => "unsupported_grant_type".into(),
        ErrorCode::InvalidScope => "invalid_scope".into(),
        ErrorCode::InvalidRequest => "invalid_request".into(),
        other => other.code().into(),
    }
}

/// An ID token that says who the user is (OpenID Connect Core §2), signed by nobody.
fn id_token(client_id: &str, subject: &str) -> String {
    let claims = json!({ "iss": "https://localhost", "aud": client_id, "sub": subject });
    let encoded = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", encoded(json!({ "alg": "none" })), encoded(claims))
}
