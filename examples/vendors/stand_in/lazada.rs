//! The rules of Lazada, as <https://open.lazada.com/apps/doc> has them.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::{Grant, LIFE, hex_mac, is_recent, joined, parameters};

const APP_KEY: &str = "123456";
const APP_SECRET: &str = "helloworld";

fn error(kind: &str, code: &str, message: &str) -> (StatusCode, Value) {
    let answer = json!({ "code": code, "type": kind, "message": message, "request_id": "1" });
    (StatusCode::OK, answer)
}

pub(crate) fn answer(grant: &mut Grant, request: &Request<Bytes>) -> (StatusCode, Value) {
    let Some(path) = request.uri().path().strip_prefix("/rest") else {
        return error("ISV", "InvalidApiPath", "The specified API path is invalid");
    };
    let signed = signed(request, path);
    let is_token = path.starts_with("/auth/token/");
    let Some(parameters) = signed else {
        grant.refused += usize::from(!is_token);
        let message = "The request signature does not conform to platform standards";
        return error("ISV", "IncompleteSignature", message);
    };
    let parameter = |name| parameters.get(name).map(String::as_str).unwrap_or_default();
    match path {
        "/auth/token/create" => match grant.first(parameter("code")) {
            Some(tokens) => issued(&tokens),
            None => error("ISV", "InvalidCode", "Invalid authorization code"),
        },
        "/auth/token/refresh" => {
            let message = "The specified refresh token is invalid or expired";
            let refused = || error("ISP", "IllegalRefreshToken", message);
            let next = grant.next(parameter("refresh_token"));
            next.map_or_else(refused, |tokens| issued(&tokens))
        }
        _ if !grant.is_live(parameter("access_token")) => {
            grant.refused += 1;
            let message = "The specified access token is invalid or expired";
            error("ISV", "IllegalAccessToken", message)
        }
        _ => (
            StatusCode::OK,
            json!({ "code": 0, "data": {}, "request_id": "1" }),
        ),
    }
}

fn issued((access_token, refresh_token): &(String, String)) -> (StatusCode, Value) {
    let answer = json!({
        "code": "0",
        "access_token": access_token,
        "expires_in": LIFE,
        "refresh_token": refresh_token,
        "refresh_expires_in": 2 * LIFE,
        "account_id": "7063844",
        "account_platform": "seller_center",
        "country": "sg",
        "country_user_info": [{ "country": "sg", "user_id": "10101", "seller_id": "1001" }],
        "request_id": "1",
    });
    (StatusCode::OK, answer)
}

/// All parameters, if their signature holds and was made in the last two hours.
fn signed(
    request: &Request<Bytes>,
    path: &str,
) -> Option<std::collections::BTreeMap<String, String>> {
    let mut all = parameters(request.uri().query()?)?;
    let sign = all.remove("sign")?;
    let kind = request
        .headers()
        .get("content-type")
        .map_or(&b""[..], |kind| kind.as_bytes());
    let mut body = &request.body()[..];
    if kind.starts_with(b"application/x-www-form-urlencoded") {
        let form = parameters(std::str::from_utf8(body).ok()?)?;
        let pairs = all.len() + form.len();
        all.extend(form);
        // In the query or in the form, and not in both.
        if all.len() != pairs {
            return None;
        }
        body = b"";
    }
    let in_query = request.method() == Method::GET || request.method() == Method::POST;
    let fits = in_query && all.get("app_key")? == APP_KEY && all.get("sign_method")? == "sha256";
    let text = [path.as_bytes(), joined(&all).as_bytes(), body].concat();
    let holds = hex_mac(APP_SECRET, &text)?.to_uppercase() == sign
        && is_recent(all.get("timestamp")?.parse().ok()?, 7200);
    (fits && holds).then_some(all)
}
