use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request};

use super::super::Asked;
use super::authenticate::authenticate;
use super::parameters::Parameters;
use crate::provider::xiaomi::ErrorCode;
use crate::testing::config::Config;
use crate::testing::refused::Refused;

/// What may be sent in a body alone (RFC 6749 §2.3.1, §3.2).
const SECRETS: [&str; 4] = ["client_secret", "code", "code_verifier", "refresh_token"];

/// The refresh token in a request, however wrong the rest of it is.
pub(in crate::testing) fn presented(request: &Request<Bytes>) -> Option<String> {
    let query = Parameters::of_form(request.uri().query().unwrap_or_default().as_bytes());
    let json = Parameters::of_json(request.body());
    let body = json.unwrap_or_else(|| Parameters::of_form(request.body()));
    let token = body.get("refresh_token");
    token
        .or_else(|| query.get("refresh_token"))
        .map(str::to_owned)
}

pub(in crate::testing) fn asked(
    config: &Config,
    request: &Request<Bytes>,
) -> Result<Asked, Refused> {
    let invalid = |detail| Err((ErrorCode::InvalidRequest, detail));
    if request.method() != Method::POST {
        return invalid("method: not POST");
    }
    let query = Parameters::of_form(request.uri().query().unwrap_or_default().as_bytes());
    if SECRETS.iter().any(|name| query.has(name)) {
        return invalid("url: has a secret");
    }
    let (content_type, read) = if config.oauth2.json_requests {
        ("application/json", Parameters::of_json(request.body()))
    } else {
        let form = Parameters::of_form(request.body());
        ("application/x-www-form-urlencoded", Some(form))
    };
    if essence(request) != content_type {
        return invalid("content-type: not what this endpoint takes");
    }
    let Some(parameters) = read else {
        return invalid("body: not an object of texts");
    };
    if parameters.has_twice() {
        return invalid("parameters: one is given twice");
    }
    authenticate(config, request.headers(), &parameters)?;
    match parameters.wanted("grant_type", "grant_type: wanted, once")? {
        "refresh_token" => {
            let token = parameters.wanted("refresh_token", "refresh_token: wanted, once")?;
            Ok(Asked::RefreshToken(token.to_owned()))
        }
        "authorization_code" => {
            let code = parameters.wanted("code", "code: wanted, once")?;
            if parameters.get("redirect_uri") != Some(&config.redirect_uri) {
                let detail = "redirect_uri: not the one that the code was asked for with";
                return Err((ErrorCode::RedirectUriMismatch, detail));
            }
            Ok(Asked::Code {
                code: code.to_owned(),
                verifier: parameters.get("code_verifier").map(str::to_owned),
            })
        }
        _ => Err((ErrorCode::UnsupportedGrantType, "grant_type: not known")),
    }
}

/// The media type, without its parameters.
fn essence(request: &Request<Bytes>) -> String {
    let mut values = request.headers().get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return String::new();
    };
    let text = value.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}
