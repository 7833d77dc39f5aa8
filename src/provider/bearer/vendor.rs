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

    fn check(&self) -> Result<(), EndpointError> {
        self.oauth2.check()
    }

    fn authorities(&self) -> AllowedAuthorities {
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
        let access = grant.access.as_ref();
        let access = access.ok_or_else(|| SignError::missing("access_token"))?;
        let token = access.access_token.expose_secret();
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
        Ok(Signed::new().with_authorization(credential.clone()))
    }

    #[inline]
    fn read_head(&self, status: StatusCode, headers: &HeaderMap) -> Head {
        refusals::read_head(status, headers)
    }
}
