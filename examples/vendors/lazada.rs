//! Lazada Open Platform: <https://open.lazada.com/apps/doc/doc?nodeId=10450&docId=108068>.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tower_mac_auth::AccessToken;
use tower_mac_auth::ClientSecret;
use tower_mac_auth::provider::{
    AllowedAuthorities, AllowedAuthoritiesError, Ambiguous, AmbiguousKind, BodyNeeded, Fields,
    Fresh, Grant, GrantType, Head, Meaning, Outcome, Presented, Provider, Refusal, Refused,
    RequestParts, Signed, TokenSet,
};
use tower_mac_auth::sign::{Algorithm, MacKey, SignError};
use zeroize::Zeroizing;

use crate::parameters::Parameters;

/// The parameters that are the signer's own.
const OWN: &[&str] = &[
    "app_key",
    "access_token",
    "timestamp",
    "sign_method",
    "sign",
];
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const LONGEST_BODY: usize = 1024 * 1024;

pub(crate) struct Lazada {
    app_key: String,
    app_secret: ClientSecret,
    auth: String,
    hosts: AllowedAuthorities,
}

impl Lazada {
    pub(crate) fn new(app_key: &str, app_secret: &str) -> Result<Self, AllowedAuthoritiesError> {
        let countries = ["sg", "com.my", "co.th", "vn", "com.ph", "co.id"];
        Ok(Self {
            app_key: app_key.to_owned(),
            app_secret: app_secret.into(),
            auth: "https://auth.lazada.com/rest".to_owned(),
            hosts: AllowedAuthorities::new(countries.map(|end| format!("api.lazada.{end}")))?,
        })
    }

    /// Another server, for both.
    pub(crate) fn with_server(mut self, url: &str) -> Result<Self, AllowedAuthoritiesError> {
        let authority = url.rsplit('/').next().unwrap_or_default();
        self.hosts = AllowedAuthorities::new([authority])?;
        self.auth = format!("{url}/rest");
        Ok(self)
    }

    /// `query` with what every request has, and the signature of all of it. A path is signed as the
    /// documents name it, without the `/rest` before it. The pairs of a form are signed as if they were
    /// in the query, and any other body comes after them.
    fn signed(
        &self,
        key: &MacKey,
        path: &str,
        query: Parameters,
        form: Parameters,
        body: &[u8],
        fresh: Fresh,
    ) -> Parameters {
        let query = query
            .with("app_key", &self.app_key)
            .with("timestamp", &fresh.time().as_millis().to_string())
            .with("sign_method", "sha256");
        let all = query.clone().and(form).joined();
        let path = path.strip_prefix("/rest").unwrap_or(path);
        let text = Zeroizing::new([path.as_bytes(), all.as_bytes(), body].concat());
        query.with("sign", &key.upper_hex(&text))
    }

    fn tokens(fields: &Fields) -> Result<TokenSet, Ambiguous> {
        let mut tokens = TokenSet::new(fields.required("access_token")?)
            .with_refresh_token(fields.required("refresh_token")?)
            .with_expires_in(fields.seconds("expires_in")?);
        tokens.refresh_expires_in = fields.seconds("refresh_expires_in")?;
        tokens.subject = fields.optional("account_id").map(str::to_owned);
        tokens.extras = fields.extras(&["access_token", "refresh_token", "code", "request_id"]);
        Ok(tokens)
    }
}

impl Provider for Lazada {
    /// The key, and what goes into the query.
    type Credential = (MacKey, AccessToken);

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

    fn token_request(
        &self,
        what: Presented<'_>,
        fresh: Fresh,
    ) -> Result<Request<Bytes>, SignError> {
        let (path, name) = match what.grant_type() {
            GrantType::AuthorizationCode => ("/rest/auth/token/create", "code"),
            _ => ("/rest/auth/token/refresh", "refresh_token"),
        };
        let key = MacKey::of_secret(Algorithm::HmacSha256, &self.app_secret)?;
        let form = Parameters::default().with(name, what.expose_secret());
        // The token is in the body, where no log of requests has it.
        let mut request = Request::new(form.form());
        let query = self.signed(&key, path, Parameters::default(), form, b"", fresh);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = query.target(path)?;
        request.headers_mut().insert(CONTENT_TYPE, FORM);
        Ok(request)
    }

    fn token_answer(&self, _: Presented<'_>, answer: &Response<Bytes>) -> Outcome {
        let (status, fields) = (answer.status(), Fields::read(answer.body()));
        let meaning = match fields.optional("code") {
            Some("0") if status.is_success() => {
                return Self::tokens(&fields).map_or_else(Outcome::Ambiguous, Outcome::Tokens);
            }
            Some("IllegalRefreshToken") => Meaning::GrantEnded,
            Some("InvalidCode") => Meaning::CodeRejected,
            Some("MissingParameter" | "IncompleteSignature" | "AUTH_TYPE_UNSUPPORTED") => {
                Meaning::Configuration
            }
            Some(code) if code != "0" => Meaning::Unknown,
            _ => return Outcome::Ambiguous(Ambiguous::new(AmbiguousKind::Status(status), "")),
        };
        let refused = Refused::new(fields.optional("code").unwrap_or_default(), meaning);
        Outcome::Refused(refused.with_description(fields.optional("message")))
    }

    fn credential(&self, grant: &Grant) -> Result<Self::Credential, SignError> {
        let access = grant.require_access()?;
        let key = MacKey::of_secret(Algorithm::HmacSha256, &self.app_secret)?;
        Ok((key, access.access_token.clone()))
    }

    fn needs_body(&self, method: &Method, _: &HeaderMap) -> BodyNeeded {
        if method == Method::GET {
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
        let kind = request
            .headers
            .and_then(|headers| headers.get(CONTENT_TYPE));
        let body = request.body.unwrap_or_default();
        let (form, body) = if kind == Some(&FORM) {
            (body, &b""[..])
        } else {
            (&b""[..], body)
        };
        let query = Parameters::read(request.query.unwrap_or_default().as_bytes(), OWN)
            .with("access_token", token.expose_secret());
        let form = Parameters::read(form, &[]);
        let query = self.signed(key, request.path, query, form, body, fresh);
        let target = query.target(request.path)?;
        Ok(Signed::new().with_path_and_query(target.path_and_query().cloned()))
    }

    fn read_head(&self, _: StatusCode, _: &HeaderMap) -> Head {
        // Refusals have the status 200.
        Head::Read { otherwise: None }
    }

    fn read_body(&self, _: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<Refusal> {
        match Fields::read(body).optional("code") {
            Some("IllegalAccessToken") => Some(Refusal::TokenRejected),
            Some("IncompleteSignature") => Some(Refusal::SignatureRejected),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use tower_mac_auth::{RefreshToken, Timestamp};

    const NOW: Fresh = Fresh::at(Timestamp::from_millis(1_517_820_392_000));
    const OURS: &str = "app_key=123456&timestamp=1517820392000&sign_method=sha256";

    fn sent(request: &RequestParts<'_>) -> String {
        let lazada = Lazada::new("123456", "helloworld").unwrap();
        let credential = lazada.credential(&TokenSet::new("test").into()).unwrap();
        let signed = lazada.sign(&credential, request, NOW).unwrap();
        assert!(signed.headers().is_empty());
        signed.path_and_query().unwrap().to_string()
    }

    #[test]
    fn the_published_signature_comes_out_wherever_the_parameters_are() {
        let sign = "4190D32361CFB9581350222F345CB77F3B19F0E31D162316848A2C1FFD5FAB4A";
        let get = RequestParts::new("GET", "api", "/rest/order/get");
        let query = "access_token=old&order_id=1234&sign=old";
        assert_eq!(
            sent(&get.with_query(query)),
            format!("/rest/order/get?order_id=1234&access_token=test&{OURS}&sign={sign}")
        );
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, FORM);
        let post = RequestParts::new("POST", "api", "/rest/order/get")
            .with_headers(&headers)
            .with_body(&b"order_id=1234"[..]);
        assert_eq!(
            sent(&post),
            format!("/rest/order/get?access_token=test&{OURS}&sign={sign}")
        );
    }

    #[test]
    fn a_body_that_is_no_form_is_signed_as_it_is() {
        let create = RequestParts::new("POST", "api", "/rest/product/create");
        let sign = "041D21E37B9AB23013932666F507DD3CD2A44BA8DB6BEF8660890B23FAA48B5F";
        assert_eq!(
            sent(&create.with_body(&b"<a/>"[..])),
            format!("/rest/product/create?access_token=test&{OURS}&sign={sign}")
        );
    }

    #[test]
    fn a_token_request_is_signed_and_shows_no_token_in_its_url() {
        let lazada = Lazada::new("123456", "helloworld").unwrap();
        let token = RefreshToken::new("R/1+=&");
        let request = lazada.token_request((&token).into(), NOW).unwrap();
        let sign = "A82B752C634A2F3A06ED0D588B4180A6CF114E97B2AF7D9D82E3DD8194E0A064";
        let target = format!("/rest/auth/token/refresh?{OURS}&sign={sign}");
        assert_eq!(*request.uri(), *target);
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.body(), "refresh_token=R%2F1%2B%3D%26");
    }

    #[test]
    fn a_refusal_says_what_becomes_of_the_grant() {
        let lazada = Lazada::new("123456", "helloworld").unwrap();
        for (code, meaning) in [
            ("IllegalRefreshToken", Meaning::GrantEnded),
            ("InvalidCode", Meaning::CodeRejected),
            ("IncompleteSignature", Meaning::Configuration),
            ("SystemError", Meaning::Unknown),
        ] {
            let body = format!(r#"{{"code":"{code}","type":"ISP","message":"no"}}"#);
            let token = RefreshToken::new("R");
            let answer = Response::new(Bytes::from(body));
            let outcome = lazada.token_answer((&token).into(), &answer);
            let Outcome::Refused(refused) = outcome else {
                panic!("{code} is a refusal")
            };
            assert_eq!((refused.code(), refused.meaning()), (code, meaning));
        }
    }
}
