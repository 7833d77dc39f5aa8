use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Uri};

use super::OAuth2;
use super::client_authentication::{ClientAuthentication, basic};
use crate::provider::parameters::Parameters;
use crate::provider::{AuthorizeRequest, Fresh, Presented};
use crate::sign::SignError;

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
            let verifier = code.verifier().map(|verifier| verifier.expose_secret());
            parameters.push_some("code_verifier", verifier);
        }
    }
    let authentication = client.client_authentication();
    if authentication != ClientAuthentication::Basic {
        parameters.push("client_id", &client.client_id);
    }
    if authentication == ClientAuthentication::Body {
        let secret = client.client_secret.as_ref();
        parameters.push_some("client_secret", secret.map(|secret| secret.expose_secret()));
    }
    parameters
}
