//! TikTok Shop, version 202309 of its API: <https://partner.tiktokshop.com/docv2/page/sign-your-api-request>.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tower_mac_auth::ClientSecret;
use tower_mac_auth::provider::{
    AllowedAuthorities, AllowedAuthoritiesError, Ambiguous, AmbiguousKind, BodyNeeded, Fields,
    Fresh, Grant, GrantType, Head, Meaning, Outcome, Presented, Provider, Refusal, Refused,
    RequestParts, Signed, TokenSet,
};
use tower_mac_auth::sign::{Algorithm, MacKey, SignError, SignErrorKind};
use zeroize::Zeroizing;

use crate::parameters::Parameters;

const TOKEN: HeaderName = HeaderName::from_static("x-tts-access-token");
/// The parameters that are the signer's own, and one that the signature leaves out.
const OWN: &[&str] = &["app_key", "timestamp", "sign", "access_token"];
const LONGEST_BODY: usize = 1024 * 1024;

pub(crate) struct TikTokShop {
    app_key: String,
    app_secret: ClientSecret,
    auth: String,
    hosts: AllowedAuthorities,
}

impl TikTokShop {
    pub(crate) fn new(app_key: &str, app_secret: &str) -> Result<Self, AllowedAuthoritiesError> {
        Ok(Self {
            app_key: app_key.to_owned(),
            app_secret: app_secret.into(),
            auth: "https://auth.tiktok-shops.com".to_owned(),
            hosts: AllowedAuthorities::new(["open-api.tiktokglobalshop.com"])?,
        })
    }

    /// Another server, for both.
    pub(crate) fn with_server(mut self, url: &str) -> Result<Self, AllowedAuthoritiesError> {
        let authority = url.rsplit('/').next().unwrap_or_default();
        self.hosts = AllowedAuthorities::new([authority])?;
        url.clone_into(&mut self.auth);
        Ok(self)
    }

    /// The secret, the path, the parameters by name, the body, and the secret once more.
    fn text(&self, path: &str, parameters: &Parameters, body: &[u8]) -> Zeroizing<Vec<u8>> {
        let (secret, joined) = (self.app_secret.expose_secret(), parameters.joined());
        let parts = [
            secret.as_bytes(),
            path.as_bytes(),
            joined.as_bytes(),
            body,
            secret.as_bytes(),
        ];
        Zeroizing::new(parts.concat())
    }

    /// When a token ends is said as a point in time, by the clock that wrote the `Date`.
    fn life(answer: &Response<Bytes>, end: Option<u64>) -> Option<Duration> {
        let date = httpdate::parse_http_date(answer.headers().get(DATE)?.to_str().ok()?).ok()?;
        let now = date.duration_since(UNIX_EPOCH).ok()?.as_secs();
        Some(Duration::from_secs(end?.checked_sub(now)?))
    }

    fn tokens(answer: &Response<Bytes>, fields: &Fields) -> Result<TokenSet, Ambiguous> {
        let data = fields.object("data");
        let data = data.ok_or_else(|| Ambiguous::new(AmbiguousKind::Field, "data: missing"))?;
        let mut tokens = TokenSet::new(data.required("access_token")?)
            .with_refresh_token(data.required("refresh_token")?)
            .with_expires_in(Self::life(answer, data.number("access_token_expire_in")?));
        tokens.refresh_expires_in = Self::life(answer, data.number("refresh_token_expire_in")?);
        tokens.subject = data.optional("open_id").map(str::to_owned);
        tokens.extras = data.extras(&["access_token", "refresh_token", "open_id"]);
        Ok(tokens)
    }
}

impl Provider for TikTokShop {
    /// The key, and what goes into the header.
    type Credential = (MacKey, HeaderValue);

    fn client_id(&self) -> &str {
        &self.app_key
    }

    fn client_secret(&self) -> Option<&ClientSecret> {
        Some(&self.app_secret)
    }

    fn authorities(&self) -> &AllowedAuthorities {
        &self.hosts
    }

    fn token_url(&self, _: GrantType) -> &str {
        &self.auth
    }

    fn token_request(&self, what: Presented<'_>, _: Fresh) -> Result<Request<Bytes>, SignError> {
        let (path, name, grant_type) = match what.grant_type() {
            GrantType::AuthorizationCode => ("/api/v2/token/get", "auth_code", "authorized_code"),
            _ => ("/api/v2/token/refresh", "refresh_token", "refresh_token"),
        };
        let parameters = Parameters::default()
            .with("app_key", &self.app_key)
            .with("app_secret", self.app_secret.expose_secret())
            .with(name, what.expose_secret())
            .with("grant_type", grant_type);
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = parameters.target(path)?;
        Ok(request)
    }

    fn token_answer(&self, _: Presented<'_>, answer: &Response<Bytes>) -> Outcome {
        let (status, fields) = (answer.status(), Fields::read(answer.body()));
        match fields.number("code") {
            Ok(Some(0)) if status.is_success() => {
                Self::tokens(answer, &fields).map_or_else(Outcome::Ambiguous, Outcome::Tokens)
            }
            // No list of these is published, so none of them says what became of the token.
            Ok(Some(code)) if code != 0 => {
                let refused = Refused::new(&code.to_string(), Meaning::Unknown);
                Outcome::Refused(refused.with_description(fields.optional("message")))
            }
            _ => Outcome::Ambiguous(Ambiguous::new(AmbiguousKind::Status(status), "")),
        }
    }

    fn credential(&self, grant: &Grant) -> Result<Self::Credential, SignError> {
        let token = &grant.require_access()?.access_token;
        let token = HeaderValue::try_from(token.expose_secret()).map_err(|_| {
            SignError::new(
                SignErrorKind::Malformed,
                "access_token",
                "does not fit into a header",
            )
        })?;
        Ok((
            MacKey::of_secret(Algorithm::HmacSha256, &self.app_secret)?,
            token,
        ))
    }

    fn needs_body(&self, method: &Method, headers: &HeaderMap) -> BodyNeeded {
        let kind = headers
            .get(CONTENT_TYPE)
            .map_or(&b""[..], HeaderValue::as_bytes);
        if method == Method::GET || kind.starts_with(b"multipart/form-data") {
            return BodyNeeded::No;
        }
        BodyNeeded::UpTo(LONGEST_BODY)
    }

    fn sign(
        &self,
        (key, token): &Self::Credential,
        request: &RequestParts<'_>,
        fresh: Fresh,
    ) -> Result<Signed, SignError> {
        let query = request.query.unwrap_or_default().as_bytes();
        let parameters = Parameters::read(query, OWN)
            .with("app_key", &self.app_key)
            .with("timestamp", &fresh.time().as_secs().to_string());
        let body = request.body.unwrap_or_default();
        let sign = key.hex(&self.text(request.path, &parameters, body));
        let target = parameters.with("sign", &sign).target(request.path)?;
        Ok(Signed::new()
            .with_path_and_query(target.path_and_query().cloned())
            .with_header(TOKEN, token.clone()))
    }

    fn read_head(&self, status: StatusCode, _: &HeaderMap) -> Head {
        if status != StatusCode::UNAUTHORIZED {
            return Head::Verdict(None);
        }
        Head::Read {
            otherwise: Some(Refusal::TokenRejected),
        }
    }

    fn read_body(&self, _: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<Refusal> {
        match Fields::read(body).number("code") {
            // The signature does not hold; the token is unknown, or has ended.
            Ok(Some(106_001)) => Some(Refusal::SignatureRejected),
            Ok(Some(105_001 | 105_002 | 36_009_004) | None) | Err(_) => {
                Some(Refusal::TokenRejected)
            }
            Ok(Some(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use tower_mac_auth::{RefreshToken, Timestamp};

    fn signed(app_key: &str, timestamp: u64, request: &RequestParts<'_>) -> Signed {
        let shop = TikTokShop::new(app_key, "e59af819cc").unwrap();
        let credential = shop
            .credential(&TokenSet::new("TTP_canary").into())
            .unwrap();
        let fresh = Fresh::at(Timestamp::from_secs(timestamp));
        shop.sign(&credential, request, fresh).unwrap()
    }

    fn sent(signed: &Signed) -> &str {
        signed.path_and_query().unwrap().as_str()
    }

    #[test]
    fn the_published_signatures_come_out() {
        let shops = RequestParts::new("GET", "api", "/authorization/202309/shops");
        let signed_shops = signed("29a39d", 1_623_812_664, &shops);
        assert_eq!(
            sent(&signed_shops),
            "/authorization/202309/shops?app_key=29a39d&timestamp=1623812664\
             &sign=b596b73e0cc6de07ac26f036364178ab16b0a907af13d43f0a0cd2345f582dc8"
        );
        let token = HeaderValue::from_static("TTP_canary");
        assert_eq!(signed_shops.headers(), [(&TOKEN, &token)]);
        let shop = "shop_cipher=ROW_xkMbgAAAeVAQra0eZWebFQq5aIK";
        let webhooks = RequestParts::new("GET", "api", "/event/202309/webhooks").with_query(shop);
        assert_eq!(
            sent(&signed("68xu9ks5p4i8", 1_696_909_648, &webhooks)),
            format!(
                "/event/202309/webhooks?{shop}&app_key=68xu9ks5p4i8&timestamp=1696909648\
                 &sign=ed58e1b5e59865c22a7b828c1cab65007441f43cc91a6cb2f2cdc638e0995a37"
            )
        );
    }

    #[test]
    fn a_body_is_signed_and_values_as_they_are_before_they_are_encoded() {
        let path = "/order/202309/orders/search";
        let search = RequestParts::new("POST", "api", path)
            .with_query("sign=old&shop_cipher=a+b%2Bc%26d&access_token=old&timestamp=1")
            .with_body(&b"{\"a\":1}"[..]);
        let query = "shop_cipher=a%20b%2Bc%26d&app_key=29a39d&timestamp=1623812664";
        let sign = "4f8b2cd98fb9b5f8a1d863ade53d37d9c31dc1ffd04c06834eff62d0d3d4fab5";
        let signed = signed("29a39d", 1_623_812_664, &search);
        assert_eq!(sent(&signed), format!("{path}?{query}&sign={sign}"));
    }

    #[test]
    fn only_a_body_that_is_signed_is_asked_for() {
        let shop = TikTokShop::new("29a39d", "e59af819cc").unwrap();
        let mut headers = HeaderMap::new();
        let signed = BodyNeeded::UpTo(LONGEST_BODY);
        assert_eq!(shop.needs_body(&Method::GET, &headers), BodyNeeded::No);
        assert_eq!(shop.needs_body(&Method::POST, &headers), signed);
        let upload = HeaderValue::from_static("multipart/form-data; boundary=x");
        headers.insert(CONTENT_TYPE, upload);
        assert_eq!(shop.needs_body(&Method::POST, &headers), BodyNeeded::No);
    }

    #[test]
    fn an_answer_says_how_long_its_tokens_live() {
        let shop = TikTokShop::new("29a39d", "e59af819cc").unwrap();
        let read = |date: &str, body: &str| {
            let answer = Response::builder().header(DATE, date);
            let answer = answer.body(Bytes::from(body.to_owned())).unwrap();
            shop.token_answer((&RefreshToken::new("R")).into(), &answer)
        };
        let tokens = r#"{"code":0,"data":{"access_token":"A","refresh_token":"R2","open_id":"me",
            "access_token_expire_in":1723000000,"refresh_token_expire_in":4841467787,"user_type":0}}"#;
        let Outcome::Tokens(tokens) = read("Wed, 07 Aug 2024 03:05:40 GMT", tokens) else {
            panic!("there are tokens")
        };
        assert_eq!(tokens.expires_in, Some(Duration::from_secs(60)));
        assert_eq!(tokens.subject.as_deref(), Some("me"));
        for body in [
            "",
            "{}",
            r#"{"code":0}"#,
            r#"{"code":0,"data":{"access_token":"A"}}"#,
        ] {
            assert!(matches!(read("", body), Outcome::Ambiguous(_)), "{body}");
        }
        let refused = read("", r#"{"code":36004004,"message":"no"}"#);
        assert!(matches!(refused, Outcome::Refused(refused) if refused.code() == "36004004"));
    }
}
