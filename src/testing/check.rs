//! Whether a request is signed, by whom, and with a credential that still holds.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::{HeaderMap, Version};
use subtle::ConstantTimeEq;

use super::Provider;
use super::grants::{Holder, Refused};
use crate::sign::{Credential, MacKey, Nonce, RequestParts, Scheme};
use crate::token::ErrorCode;
use crate::{AccessToken, Timestamp};

/// Who has signed a request.
pub(super) struct Signer {
    pub(super) access_token: AccessToken,
    pub(super) holder: Holder,
    pub(super) nonce: Nonce,
}

/// What `Authorization` says.
struct Authorization {
    access_token: String,
    nonce: String,
    mac: String,
}

/// The nonces seen, by their minutes.
#[derive(Default)]
pub(super) struct Nonces(BTreeMap<u64, HashSet<String>>);

impl Nonces {
    /// `false` if it was seen before. Those too old to get this far are forgotten.
    fn first_use(&mut self, nonce: &Nonce, minutes: u64, now: Timestamp, window: Duration) -> bool {
        let oldest = now.saturating_sub(window).as_secs() / 60;
        if self.0.keys().next().is_some_and(|first| *first < oldest) {
            self.0 = self.0.split_off(&oldest);
        }
        let seen = self.0.entry(minutes).or_default();
        seen.insert(nonce.as_str().to_owned())
    }
}

impl Provider {
    /// Checks the signature first and the token's standing last, so that a nonce counts as used
    /// even if the token it came with had expired: a replay needs a new one.
    pub(super) fn check(&self, head: &Parts, form: Option<&[u8]>) -> Result<Signer, Refused> {
        let config = self.config();
        let authorization = read_authorization(&head.headers)?;
        if config.query_credentials {
            self.check_query(head.uri.query(), &authorization.access_token)?;
        }
        let holder = self.state().grants.holder_of(&authorization.access_token);
        let holder = holder.ok_or((ErrorCode::AccessTokenRejected, "access_token: not known"))?;
        let access_token = AccessToken::new(authorization.access_token);

        let nonce: Nonce = authorization
            .nonce
            .parse()
            .map_err(|_| denied("nonce: not <signed 64-bit number>:<minutes>"))?;
        let expected = self.expected_mac(&access_token, &holder, head, form, &nonce)?;
        if !bool::from(expected.as_bytes().ct_eq(authorization.mac.as_bytes())) {
            return Err(denied("mac: does not verify"));
        }
        let now = config.clock.now();
        let minutes = nonce.minutes().unwrap_or_default();
        let made_at = Timestamp::from_secs(minutes.saturating_mul(60));
        // Counted in the nonce's own unit: it says nothing of seconds.
        let this_minute = Timestamp::from_secs(now.as_secs() / 60 * 60);
        let off = this_minute
            .saturating_since(made_at)
            .max(made_at.saturating_since(this_minute));
        if off > config.clock_window {
            return Err(denied("nonce: its minutes are too far from the clock"));
        }
        let mut state = self.state();
        if !state
            .nonces
            .first_use(&nonce, minutes, now, config.clock_window)
        {
            return Err(denied("nonce: used before"));
        }
        match state.grants.lapse_of(access_token.expose_secret(), now) {
            Some(reason) => Err((ErrorCode::AccessTokenRejected, reason)),
            None => Ok(Signer {
                access_token,
                holder,
                nonce,
            }),
        }
    }

    fn check_query(&self, query: Option<&str>, access_token: &str) -> Result<(), Refused> {
        let query = query.unwrap_or_default();
        let client_id =
            once(query, "clientId").map_err(|()| invalid("clientId: wanted in the query, once"))?;
        if client_id != self.client_id() {
            return Err((ErrorCode::ClientUnknown, "clientId: not known"));
        }
        let token =
            once(query, "token").map_err(|()| invalid("token: wanted in the query, once"))?;
        if token != access_token {
            return Err(denied("token: not the one in the header"));
        }
        Ok(())
    }

    /// The MAC over the request as it arrived.
    fn expected_mac(
        &self,
        access_token: &AccessToken,
        holder: &Holder,
        head: &Parts,
        form: Option<&[u8]>,
        nonce: &Nonce,
    ) -> Result<String, Refused> {
        const UNSIGNABLE: Refused = (ErrorCode::Denied, "mac: the request cannot be signed");
        let key = MacKey::new(crate::sign::Algorithm::HmacSha1, &holder.mac_key)
            .map_err(|_| UNSIGNABLE)?;
        let scheme = self.config().scheme.clone().query_credentials(false);
        let request = RequestParts {
            method: head.method.as_str(),
            host: host(head).ok_or(denied("host: missing"))?,
            path: head.uri.path(),
            query: head.uri.query(),
            form,
        };
        let signed = scheme
            .sign(&Credential::new(access_token, key), &request, nonce)
            .map_err(|_| UNSIGNABLE)?;
        let text = signed.authorization.to_str().map_err(|_| UNSIGNABLE)?;
        Ok(parse(text)?.mac)
    }
}

fn denied(reason: &'static str) -> Refused {
    (ErrorCode::Denied, reason)
}

fn invalid(reason: &'static str) -> Refused {
    (ErrorCode::InvalidRequest, reason)
}

/// The host the client has named. In HTTP/2 that is the authority; before, the header goes out
/// as the caller has set it, whatever the URI says.
fn host(head: &Parts) -> Option<&str> {
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    let header = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    if head.version >= Version::HTTP_2 {
        authority.or(header)
    } else {
        header.or(authority)
    }
}

/// The value of a parameter that must be there, and once.
pub(super) fn once<'a>(query: &'a str, name: &str) -> Result<Cow<'a, str>, ()> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|pair| pair.0 == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Ok(value),
        _ => Err(()),
    }
}

fn read_authorization(headers: &HeaderMap) -> Result<Authorization, Refused> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(denied("authorization: missing"))?;
    if values.next().is_some() {
        return Err(denied("authorization: given twice"));
    }
    parse(value.to_str().map_err(|_| MALFORMED)?)
}

const MALFORMED: Refused = (
    ErrorCode::Denied,
    "authorization: not MAC access_token=\"…\", nonce=\"…\",mac=\"…\"",
);

/// Reads `MAC access_token="T", nonce="N",mac="M"`, in any order; all three, each once, and
/// nothing else.
fn parse(text: &str) -> Result<Authorization, Refused> {
    let (scheme, parameters) = text.split_once(' ').ok_or(MALFORMED)?;
    if !scheme.eq_ignore_ascii_case("MAC") {
        return Err(MALFORMED);
    }
    let [mut access_token, mut nonce, mut mac] = [None, None, None];
    for parameter in parameters.split(',') {
        let (name, value) = parameter.trim().split_once('=').ok_or(MALFORMED)?;
        let value = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .ok_or(MALFORMED)?;
        let slot = match name {
            "access_token" => &mut access_token,
            "nonce" => &mut nonce,
            "mac" => &mut mac,
            _ => return Err(MALFORMED),
        };
        if slot.replace(decode(value).ok_or(MALFORMED)?).is_some() {
            return Err(MALFORMED);
        }
    }
    match (access_token, nonce, mac) {
        (Some(access_token), Some(nonce), Some(mac)) => Ok(Authorization {
            access_token,
            nonce,
            mac,
        }),
        _ => Err(MALFORMED),
    }
}

/// Form decoding; `None` if a byte stands bare that must be escaped.
fn decode(value: &str) -> Option<String> {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*+%".contains(&byte);
    if !value.bytes().all(bare) {
        return None;
    }
    let spaced = value.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
    decoded.ok().map(Cow::into_owned)
}
