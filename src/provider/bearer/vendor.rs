use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use zeroize::Zeroizing;

use super::refusals;
use crate::ClientSecret;
use crate::provider::{
    AllowedAuthorities, AuthorizeRequest, EndpointError, Fresh, Grant, GrantType, Head, OAuth2,
    Outcome, Presented, Provider, RequestParts, Signed,
};
use crate::sign::SignError;

const SCHEME: &[u8] = b"Bearer ";

/// A client of an API that takes bearer tokens. See the [module docs](super).
#[derive(Clone, Debug)]
#[must_use]
pub struct Bearer {
    oauth2: OAuth2,
}

impl Bearer {
    /// With tokens that this client gets. They are to be of the type `bearer`, unless it
    /// [names](OAuth2::with_token_type) another.
    pub fn new(oauth2: OAuth2) -> Self {
        Self {
            oauth2: oauth2.with_usual_token_type("bearer"),
        }
    }
}

impl Provider for Bearer {
    /// The value of `Authorization`.
    type Credential = HeaderValue;

    fn client_id(&self) -> &str {
        self.oauth2.client_id()
    }

    fn client_secret(&self) -> Option<&ClientSecret> {
        self.oauth2.client_secret()
    }

    fn other_secrets(&self) -> Vec<&str> {
        self.oauth2.other_secrets()
    }

    fn check(&self) -> Result<(), EndpointError> {
        self.oauth2.check()
    }

    fn authorities(&self) -> &AllowedAuthorities {
        self.oauth2.authorities()
    }

    fn token_url(&self, grant_type: GrantType) -> &str {
        self.oauth2.token_url(grant_type)
    }

    fn token_request(
        &self,
        presented: Presented<'_>,
        fresh: Fresh,
    ) -> Result<Request<Bytes>, SignError> {
        self.oauth2.token_request(presented, fresh)
    }

    fn token_answer(&self, presented: Presented<'_>, answer: &Response<Bytes>) -> Outcome {
        self.oauth2.token_answer(presented, answer)
    }

    fn authorize_url(&self, request: &AuthorizeRequest<'_>) -> Option<String> {
        self.oauth2.authorize_url(request)
    }

    fn uses_code_challenge(&self) -> bool {
        self.oauth2.uses_code_challenge()
    }

    fn credential(&self, grant: &Grant) -> Result<HeaderValue, SignError> {
        let token = grant.require_access()?.access_token.expose_secret();
        if token.is_empty() {
            return Err(SignError::empty("access_token"));
        }
        if let Some(at) = token.bytes().position(|byte| !byte.is_ascii_graphic()) {
            let reason = "has a byte that is not visible ASCII,";
            return Err(SignError::malformed("access_token", reason).at(at));
        }
        let mut text = Zeroizing::new(Vec::with_capacity(SCHEME.len() + token.len()));
        text.extend_from_slice(SCHEME);
        text.extend_from_slice(token.as_bytes());
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text))
            .map_err(|_| SignError::malformed("access_token", "does not fit into a header"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    #[inline]
    fn sign(
        &self,
        credential: &HeaderValue,
        _: &RequestParts<'_>,
        _: Fresh,
    ) -> Result<Signed, SignError> {
        Ok(Signed::of(credential.clone(), None))
    }

    #[inline]
    fn read_head(&self, status: StatusCode, headers: &HeaderMap) -> Head {
        refusals::read_head(status, headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use crate::provider::{AmbiguousKind, TokenSet};
    use crate::{RefreshToken, sign::SignErrorKind};

    fn oauth2() -> OAuth2 {
        OAuth2::new("https://as.example/token", "id").with_client_secret("s")
    }

    fn credential(token: &str) -> Result<HeaderValue, SignError> {
        Bearer::new(oauth2()).credential(&Grant::from(TokenSet::new(token)))
    }

    /// RFC 6750 §2.1.
    #[test]
    fn the_published_header_comes_out_and_is_not_printed() {
        let value = credential("mF_9.B5f-4.1JqM").unwrap();
        assert_eq!(value, "Bearer mF_9.B5f-4.1JqM");
        assert_eq!(format!("{value:?}"), "Sensitive");
        let request = RequestParts::new("GET", "server.example.com", "/resource");
        let fresh = Fresh::at(Timestamp::from_millis(0));
        let signed = Bearer::new(oauth2()).sign(&value, &request, fresh).unwrap();
        assert_eq!(signed.authorization(), Some(&value));
        assert_eq!(signed.headers().len(), 1);
        assert!(signed.headers()[0].1.is_sensitive());
        assert!(signed.path_and_query().is_none());
    }

    #[test]
    fn a_token_that_could_be_read_as_more_is_refused_by_name() {
        for token in ["abc.DEF-123_~+/==", "00D!AQ.x", "1|x", "a:b;c,d\"e\\"] {
            assert!(credential(token).is_ok(), "{token}");
        }
        for (token, at) in [
            ("canary\n", 6),
            ("can\r\nary", 3),
            (" canary", 0),
            ("can ary", 3),
            ("can\tary", 3),
            ("canary\u{7f}", 6),
            ("canaryé", 6),
            ("\0canary", 0),
        ] {
            let error = credential(token).unwrap_err();
            assert_eq!(error.kind(), SignErrorKind::Malformed);
            let text = format!("access_token: has a byte that is not visible ASCII, at byte {at}");
            assert_eq!(error.to_string(), text);
        }
        assert_eq!(
            credential("").unwrap_err(),
            SignError::empty("access_token")
        );
        let none = Bearer::new(oauth2()).credential(&Grant::default());
        assert_eq!(none.unwrap_err(), SignError::missing("access_token"));
    }

    #[test]
    fn to_sign_takes_no_memory() {
        let (bearer, value) = (Bearer::new(oauth2()), credential("token").unwrap());
        let request = RequestParts::new("GET", "server.example.com", "/resource");
        let fresh = Fresh::at(Timestamp::from_millis(0));
        let counted = allocation_counter::measure(|| {
            assert!(bearer.sign(&value, &request, fresh).is_ok());
        });
        assert_eq!(counted.count_total, 0);
    }

    #[test]
    fn tokens_are_of_the_type_bearer_unless_the_client_names_another() {
        let read = |oauth2, token_type: &str| {
            let body = format!(
                r#"{{"access_token":"A","token_type":"{token_type}","refresh_token":"R"}}"#
            );
            let answer = Response::new(Bytes::from(body));
            Bearer::new(oauth2).token_answer((&RefreshToken::new("old")).into(), &answer)
        };
        assert!(matches!(read(oauth2(), "BEARER"), Outcome::Tokens(_)));
        let Outcome::Ambiguous(other) = read(oauth2(), "mac") else {
            panic!("a MAC token without a key signs nothing")
        };
        assert_eq!(other.kind(), AmbiguousKind::Field);
        assert!(other.to_string().ends_with("token_type: not bearer"));
        let user = oauth2().with_token_type("user");
        assert!(matches!(read(user, "user"), Outcome::Tokens(_)));
    }

    #[test]
    fn what_is_said_of_the_client_is_said_of_the_provider() {
        let client = oauth2()
            .with_refresh_url("https://as.example/renew")
            .with_authorize_url("https://as.example/authorize")
            .allow("api.example")
            .unwrap();
        let bearer = Bearer::new(client.clone());
        assert_eq!(bearer.client_id(), "id");
        assert_eq!(bearer.client_secret(), client.client_secret());
        assert!(bearer.check().is_ok());
        assert!(
            Bearer::new(client.clone().with_client_secret(""))
                .check()
                .is_err()
        );
        assert_eq!(bearer.authorities(), client.authorities());
        for grant_type in [GrantType::RefreshToken, GrantType::AuthorizationCode] {
            assert_eq!(bearer.token_url(grant_type), client.token_url(grant_type));
        }
        let request = AuthorizeRequest::new("s");
        assert_eq!(
            bearer.authorize_url(&request),
            client.authorize_url(&request)
        );
        assert!(bearer.uses_code_challenge());
        assert!(!Bearer::new(client.send_code_challenge(false)).uses_code_challenge());
    }
}
