//! Whether a client is the registered one, and says so in the one way that is registered for it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::super::authorization_of;
use super::parameters::Parameters;
use crate::ClientSecret;
use crate::provider::oauth2::ClientAuthentication;
use crate::provider::xiaomi::ErrorCode;
use crate::testing::config::Config;
use crate::testing::refused::Refused;

/// RFC 6749 §2.3: never in more than one way.
pub(super) fn authenticate(
    config: &Config,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<(), Refused> {
    const INVALID: ErrorCode = ErrorCode::InvalidRequest;
    const MISMATCH: ErrorCode = ErrorCode::ClientMismatch;
    let by_header = headers.contains_key(AUTHORIZATION);
    let in_body = parameters.get("client_secret");
    if by_header && in_body.is_some() {
        return Err((INVALID, "client: authenticates in two ways"));
    }
    let unless = |same, code, detail| if same { Ok(()) } else { Err((code, detail)) };
    let is_known = |id: &str| {
        let same = id == config.client_id;
        unless(same, ErrorCode::ClientUnknown, "client_id: not known")
    };
    let is_secret = |secret: &str, detail| {
        let same = ClientSecret::new(secret) == config.client_secret;
        unless(same, MISMATCH, detail)
    };
    match config.oauth2.client_authentication {
        ClientAuthentication::Basic => {
            let value = authorization_of(headers).map_err(|detail| (MISMATCH, detail))?;
            let (id, secret) = value
                .to_str()
                .ok()
                .and_then(basic)
                .ok_or((MISMATCH, "authorization: not Basic"))?;
            is_known(&id)?;
            parameters.get("client_id").map_or(Ok(()), is_known)?;
            is_secret(&secret, "authorization: wrong, or not form-encoded")
        }
        _ if by_header => Err((MISMATCH, "authorization: not how this client is registered")),
        ClientAuthentication::Body => {
            is_known(parameters.wanted("client_id", "client_id: wanted, once")?)?;
            let secret = in_body.ok_or((MISMATCH, "client_secret: wanted, once"))?;
            is_secret(secret, "client_secret: wrong")
        }
        ClientAuthentication::None => {
            is_known(parameters.wanted("client_id", "client_id: wanted, once")?)?;
            match in_body {
                None => Ok(()),
                Some(_) => Err((MISMATCH, "client_secret: of a public client")),
            }
        }
    }
}

/// The id and the secret, both form-encoded before they were put together (RFC 6749 §2.3.1).
fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, pair) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64_STANDARD.decode(pair.trim()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let decoded = |text: &str| {
        // `&` and `=` would be read as more than one value; whoever encodes has none of them.
        let text = text.replace('&', "%26").replace('=', "%3D");
        let (name, _) = form_urlencoded::parse(text.as_bytes()).next()?;
        Some(name.into_owned())
    };
    Some((decoded(id)?, decoded(secret)?))
}
