//! The rules of TikTok Shop, as <https://partner.tiktokshop.com/docv2> has them.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tower_mac_auth::{Clock as _, SystemClock};

use super::{Grant, LIFE, hex_mac, is_recent, joined, parameters};

const APP_KEY: &str = "29a39d";
const APP_SECRET: &str = "e59af819cc";

fn error(status: StatusCode, code: u64, message: &str) -> (StatusCode, Value) {
    let answer = json!({ "code": code, "message": message, "data": null, "request_id": "1" });
    (status, answer)
}

pub(crate) fn answer(grant: &mut Grant, request: &Request<Bytes>) -> (StatusCode, Value) {
    match request.uri().path() {
        "/api/v2/token/get" => token(grant, request, "auth_code", "authorized_code"),
        "/api/v2/token/refresh" => token(grant, request, "refresh_token", "refresh_token"),
        _ => api(grant, request),
    }
}

fn token(
    grant: &mut Grant,
    request: &Request<Bytes>,
    name: &str,
    grant_type: &str,
) -> (StatusCode, Value) {
    let parameters = parameters(request.uri().query().unwrap_or_default()).unwrap_or_default();
    let names: Vec<_> = parameters.keys().map(String::as_str).collect();
    let mut wanted = ["app_key", "app_secret", "grant_type", name];
    wanted.sort_unstable();
    let fits = request.method() == Method::GET
        && names == wanted
        && parameters["app_key"] == APP_KEY
        && parameters["app_secret"] == APP_SECRET
        && parameters["grant_type"] == grant_type;
    if !fits {
        return error(
            StatusCode::OK,
            36_004_001,
            "the request is not as it should be",
        );
    }
    let presented = &parameters[name];
    let issued = if name == "auth_code" {
        grant.first(presented)
    } else {
        grant.next(presented)
    };
    let Some((access_token, refresh_token)) = issued else {
        return error(StatusCode::OK, 36_004_004, "the token is not known");
    };
    let now = SystemClock.now().as_secs();
    let data = json!({
        "access_token": access_token,
        "access_token_expire_in": now + LIFE,
        "refresh_token": refresh_token,
        "refresh_token_expire_in": now + 52 * LIFE,
        "open_id": "7010736057180325637",
        "seller_name": "A shop",
        "seller_base_region": "ID",
        "user_type": 0,
    });
    let answer = json!({ "code": 0, "message": "success", "data": data, "request_id": "1" });
    (StatusCode::OK, answer)
}

fn api(grant: &mut Grant, request: &Request<Bytes>) -> (StatusCode, Value) {
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let refused = match sign(request) {
        None => Some((
            106_001,
            "Invalid credentials. The 'sign' query parameter is invalid.",
        )),
        Some(_) if header("content-type") != Some("application/json") => {
            Some((36_009_001, "The 'Content-Type' header is invalid."))
        }
        Some(_) if !header("x-tts-access-token").is_some_and(|token| grant.is_live(token)) => {
            Some((
                105_002,
                "Expired credentials. The 'x-tts-access-token' header is expired.",
            ))
        }
        Some(_) => None,
    };
    if let Some((code, message)) = refused {
        grant.refused += 1;
        return error(StatusCode::UNAUTHORIZED, code, message);
    }
    (
        StatusCode::OK,
        json!({ "code": 0, "data": {}, "message": "Success" }),
    )
}

/// The signature, if it holds and was made in the last five minutes.
fn sign(request: &Request<Bytes>) -> Option<String> {
    let mut parameters = parameters(request.uri().query()?)?;
    let sign = parameters.remove("sign")?;
    // It does not belong there.
    if parameters.contains_key("access_token") || parameters.get("app_key")? != APP_KEY {
        return None;
    }
    let seconds: u64 = parameters.get("timestamp")?.parse().ok()?;
    let mut text = format!(
        "{APP_SECRET}{}{}",
        request.uri().path(),
        joined(&parameters)
    )
    .into_bytes();
    if request.method() != Method::GET {
        text.extend_from_slice(request.body());
    }
    text.extend_from_slice(APP_SECRET.as_bytes());
    let holds = hex_mac(APP_SECRET, &text)? == sign && is_recent(seconds.checked_mul(1000)?, 300);
    holds.then_some(sign)
}
