use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Uri};

use super::OAuth2;
use super::client_authentication::{ClientAuthentication, basic};
use crate::provider::parameters::Parameters;
use crate::provider::{AuthorizeRequest, Fresh, Presented};
use crate::sign::SignError;
use crate::{ClientSecret, CodeVerifier};

impl OAuth2 {
    /// The `POST` that presents a refresh token or a code (RFC 6749 §4.1.3, §6).
    ///
    /// # Errors
    ///
    /// Names what cannot be sent. Then nothing was presented.
    pub fn token_request(
        &self,
        presented: Presented<'_>,
        _: Fresh,
    ) -> Result<Request<Bytes>, SignError> {
        if let Presented::AuthorizationCode(code) = presented
            && code.verifier().is_some_and(|verifier| !verifier.is_valid())
        {
            let reason = "is not 43 to 128 unreserved characters";
            return Err(SignError::malformed("code_verifier", reason));
        }
        let mut parameters = own_parameters(self, presented);
        let grant_type = presented.grant_type();
        for parameter in &self.parameters {
            if parameter.grant_type == grant_type {
                parameters.push(&parameter.name, &parameter.value);
            }
        }
        let (content_type, body) = if self.json {
            ("application/json", parameters.json()?)
        } else {
            ("application/x-www-form-urlencoded", parameters.form())
        };
        let uri: Uri = self
            .token_url(grant_type)
            .parse()
            .map_err(|_| SignError::malformed("url", "is not a URL"))?;

        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if self.client_authentication() == ClientAuthentication::Basic {
            let value = basic(&self.client_id, self.client_secret.as_ref())?;
            headers.insert(AUTHORIZATION, value);
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        Ok(request)
    }

    /// Where a user's browser is sent for an authorization code (RFC 6749 §4.1.1); `None` without an
    /// [authorization URL](Self::with_authorize_url).
    pub fn authorize_url(&self, request: &AuthorizeRequest<'_>) -> Option<String> {
        let url = self.authorize_url.as_deref()?;
        let mut parameters = Parameters::default();
        parameters.push("response_type", "code");
        parameters.push("client_id", &self.client_id);
        parameters.push_some("redirect_uri", self.redirect_uri.as_deref());
        parameters.push_some("scope", self.scope.as_deref());
        parameters.push("state", request.state);
        if let Some(challenge) = request.code_challenge {
            parameters.push("code_challenge", challenge);
            parameters.push("code_challenge_method", "S256");
        }
        Some(parameters.url(url))
    }
}

/// What is sent without being asked for.
pub(super) fn own_parameters<'a>(client: &'a OAuth2, presented: Presented<'a>) -> Parameters<'a> {
    let mut parameters = Parameters::default();
    parameters.push("grant_type", presented.grant_type().as_str());
    match presented {
        Presented::RefreshToken { token, .. } => {
            parameters.push("refresh_token", token.expose_secret());
        }
        Presented::AuthorizationCode(code) => {
            parameters.push("code", code.expose_secret());
            parameters.push_some("redirect_uri", client.redirect_uri.as_deref());
            let verifier = code.verifier().map(CodeVerifier::expose_secret);
            parameters.push_some("code_verifier", verifier);
        }
    }
    let authentication = client.client_authentication();
    if authentication != ClientAuthentication::Basic {
        parameters.push("client_id", &client.client_id);
    }
    if authentication == ClientAuthentication::Body {
        let secret = client.client_secret.as_ref();
        parameters.push_some("client_secret", secret.map(ClientSecret::expose_secret));
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Bearer, GrantType, Provider as _};
    use crate::{AuthorizationCode, RefreshToken, Timestamp};

    const TOKEN_URL: &str = "https://server.example.com/token";
    /// Of RFC 7636, Appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    fn public() -> OAuth2 {
        OAuth2::new(TOKEN_URL, "s6BhdRkqt3")
    }

    fn confidential() -> OAuth2 {
        public().with_client_secret("7Fjfp0ZBr1KtDRbnfVdmIw")
    }

    fn request(client: &OAuth2, presented: Presented<'_>) -> Request<Bytes> {
        client.check().unwrap();
        let fresh = Fresh::at(Timestamp::from_millis(0));
        client.token_request(presented, fresh).unwrap()
    }

    fn refresh(client: &OAuth2) -> Request<Bytes> {
        request(
            client,
            (&RefreshToken::new("tGzv3JOkF0XG5Qx2TlKWIA")).into(),
        )
    }

    fn exchange(client: &OAuth2, code: &AuthorizationCode) -> Request<Bytes> {
        request(client, code.into())
    }

    fn pairs(form: &[u8]) -> Vec<(String, String)> {
        form_urlencoded::parse(form).into_owned().collect()
    }

    fn body(request: &Request<Bytes>) -> Vec<(String, String)> {
        pairs(request.body())
    }

    fn same(found: Vec<(String, String)>, expected: &[(&str, &str)]) {
        let mut found = found;
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut expected: Vec<_> = expected.iter().map(owned).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    /// RFC 6749 §6, with Basic.
    #[test]
    fn the_published_refresh_comes_out() {
        let client = confidential().with_client_authentication(ClientAuthentication::Basic);
        let request = refresh(&client);
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri(), TOKEN_URL);
        let headers = request.headers();
        let basic = "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3";
        assert_eq!(headers[AUTHORIZATION], basic);
        assert_eq!(headers[CONTENT_TYPE], "application/x-www-form-urlencoded");
        assert_eq!(headers[ACCEPT], "application/json");
        assert_eq!(
            request.body(),
            "grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA"
        );
    }

    /// RFC 6749 §2.3.1.
    #[test]
    fn the_published_refresh_with_the_secret_in_the_body_comes_out() {
        let request = refresh(&confidential());
        assert!(!request.headers().contains_key(AUTHORIZATION));
        let published = b"grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA\
            &client_id=s6BhdRkqt3&client_secret=7Fjfp0ZBr1KtDRbnfVdmIw";
        assert_eq!(body(&request), pairs(published));
    }

    /// RFC 6749 §4.1.3, and what RFC 7636 §4.5 adds.
    #[test]
    fn the_published_exchange_comes_out() {
        let redirected = confidential()
            .with_client_authentication(ClientAuthentication::Basic)
            .with_redirect_uri("https://client.example.com/cb")
            .with_scope("photos");
        let code = AuthorizationCode::new("SplxlOBeZQQYbYS6WxSbIA");
        let published = [
            ("grant_type", "authorization_code"),
            ("code", "SplxlOBeZQQYbYS6WxSbIA"),
            ("redirect_uri", "https://client.example.com/cb"),
        ];
        same(body(&exchange(&redirected, &code)), &published);
        let request = exchange(&redirected, &code.with_verifier(VERIFIER));
        let more = [("code_verifier", VERIFIER)];
        same(body(&request), &[&published[..], &more].concat());
        // Neither goes with a refresh.
        assert_eq!(body(&refresh(&redirected)).len(), 2);
    }

    /// RFC 6749 §4.1.1, and RFC 7636, Appendix B.
    #[test]
    fn the_published_authorization_url_comes_out() {
        let client = public()
            .with_redirect_uri("https://client.example.com/cb")
            .with_authorize_url("https://server.example.com/authorize");
        let mut request = AuthorizeRequest::new("xyz");
        let url = client.authorize_url(&request).unwrap();
        let (page, query) = url.split_once('?').unwrap();
        assert_eq!(page, "https://server.example.com/authorize");
        let published = [
            ("response_type", "code"),
            ("client_id", "s6BhdRkqt3"),
            ("state", "xyz"),
            ("redirect_uri", "https://client.example.com/cb"),
        ];
        same(pairs(query.as_bytes()), &published);
        request.code_challenge = Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        let url = client.with_scope("a b").authorize_url(&request).unwrap();
        let (_, query) = url.split_once('?').unwrap();
        let more = [
            ("scope", "a b"),
            (
                "code_challenge",
                "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            ),
            ("code_challenge_method", "S256"),
        ];
        same(pairs(query.as_bytes()), &[&published[..], &more].concat());
        assert_eq!(public().authorize_url(&request), None);
    }

    #[test]
    fn each_way_to_authenticate_sends_what_it_says_and_no_more() {
        use ClientAuthentication::{Basic, Body, None as Nothing};
        let (id, secret) = ("client_id", "client_secret");
        for (client, how, names, has_header) in [
            (public(), None, &[id][..], false),
            (public(), Some(Nothing), &[id], false),
            (public(), Some(Basic), &[], true),
            (confidential(), None, &[id, secret], false),
            (confidential(), Some(Body), &[id, secret], false),
            (confidential(), Some(Basic), &[], true),
            (confidential(), Some(Nothing), &[id], false),
        ] {
            let shown = format!("{client:?} {how:?}");
            let client = match how {
                Some(how) => client.with_client_authentication(how),
                None => client,
            };
            let request = refresh(&client);
            let sent: Vec<_> = body(&request).into_iter().map(|(name, _)| name).collect();
            assert_eq!(sent[2..], *names, "{shown}");
            let header = request.headers().get(AUTHORIZATION);
            assert_eq!(header.is_some(), has_header, "{shown}");
            assert!(header.is_none_or(HeaderValue::is_sensitive), "{shown}");
        }
    }

    #[test]
    fn json_has_the_same_parameters() {
        let odd = RefreshToken::new("\"\\ü\n&");
        let client = confidential().send_json(true);
        let request = request(&client, (&odd).into());
        assert_eq!(request.headers()[CONTENT_TYPE], "application/json");
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
        let expected = serde_json::json!({
            "grant_type": "refresh_token",
            "refresh_token": "\"\\ü\n&",
            "client_id": "s6BhdRkqt3",
            "client_secret": "7Fjfp0ZBr1KtDRbnfVdmIw",
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn what_a_user_adds_goes_with_its_grant_type_alone() {
        let client = public()
            .with_parameter(GrantType::RefreshToken, "resource", "https://a.example/")
            .with_parameter(GrantType::RefreshToken, "resource", "https://b.example/")
            .with_parameter(GrantType::RefreshToken, "scope", "read")
            .with_parameter(GrantType::RefreshToken, "redirect_uri", "https://c")
            .with_parameter(GrantType::AuthorizationCode, "audience", "api")
            .with_header(ACCEPT, HeaderValue::from_static("application/vnd.x+json"));
        let refresh = refresh(&client);
        let added = [
            ("resource", "https://a.example/"),
            ("resource", "https://b.example/"),
            ("scope", "read"),
            ("redirect_uri", "https://c"),
        ];
        same(body(&refresh)[3..].to_vec(), &added);
        let accept: Vec<_> = refresh.headers().get_all(ACCEPT).iter().collect();
        assert_eq!(accept, ["application/vnd.x+json"]);
        let exchange = exchange(&client, &"C".into());
        same(body(&exchange)[3..].to_vec(), &[("audience", "api")]);
    }

    #[test]
    fn a_refresh_has_a_url_of_its_own_if_there_is_one() {
        let client = public().with_refresh_url("https://server.example.com/renew?v=2");
        let refresh = refresh(&client);
        assert_eq!(refresh.uri(), "https://server.example.com/renew?v=2");
        assert_eq!(exchange(&client, &"C".into()).uri(), TOKEN_URL);
    }

    #[test]
    fn a_verifier_that_is_none_is_not_sent_and_its_code_not_spent() {
        let code = AuthorizationCode::new("C").with_verifier("too short");
        let fresh = Fresh::at(Timestamp::from_millis(0));
        let error = public().token_request((&code).into(), fresh).unwrap_err();
        let text = "code_verifier: is not 43 to 128 unreserved characters";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn nothing_prints_what_is_sent() {
        let client = OAuth2::new("https://u:canary@h/t", "id")
            .with_client_secret(ClientSecret::new("canary"))
            .with_authorize_url("https://h/canary")
            .with_refresh_url("https://h/canary")
            .with_parameter(GrantType::RefreshToken, "assertion", "canary")
            .with_header(AUTHORIZATION, HeaderValue::from_static("Basic canary"));
        let shown = format!("{client:?} {:?}", Bearer::new(client.clone()));
        assert!(shown.contains("id") && !shown.contains("canary"), "{shown}");
        let shown = format!("{:?}", refresh(&client.with_client_secret("s")).headers());
        assert!(!shown.contains("canary"), "{shown}");
        let bearer = Bearer::new(confidential());
        assert_eq!(bearer.client_id(), "s6BhdRkqt3");
        assert!(bearer.client_secret().is_some());
    }
}
