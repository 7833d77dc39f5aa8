//! What can be wrong with a client before anything is sent.

use super::client_authentication::ClientAuthentication;
use super::token_request::own_parameters;
use super::{OAuth2, client::Parameter};
use crate::provider::{EndpointError, EndpointErrorKind, GrantType, Presented};
use crate::{AuthorizationCode, CodeVerifier, RefreshToken};

impl OAuth2 {
    /// Whether all of it can be used.
    ///
    /// # Errors
    ///
    /// Names the knob that is wrong.
    pub fn check(&self) -> Result<(), EndpointError> {
        let wrong = |kind, detail| Err(EndpointError::new(kind, detail));
        if self.client_id.is_empty() {
            return wrong(EndpointErrorKind::Client, "client_id: empty");
        }
        match &self.client_secret {
            Some(secret) if secret.expose_secret().is_empty() => {
                return wrong(EndpointErrorKind::Client, "client_secret: empty");
            }
            None if self.client_authentication() == ClientAuthentication::Body => {
                return wrong(EndpointErrorKind::Client, "client_secret: missing");
            }
            _ => {}
        }
        if self.redirect_uri.as_deref() == Some("") {
            return wrong(EndpointErrorKind::RedirectUri, "redirect_uri: empty");
        }
        match self.authorize_url.as_deref() {
            Some("") => return wrong(EndpointErrorKind::Url, "authorize_url: empty"),
            // What is put after it would not be sent.
            Some(url) if url.contains('#') => {
                return wrong(EndpointErrorKind::Url, "authorize_url: has a fragment");
            }
            _ => {}
        }
        for (at, parameter) in self.parameters.iter().enumerate() {
            if is_sent_anyway(self, parameter) {
                return wrong(EndpointErrorKind::Provider, "parameter: is sent already");
            }
            let same = |other: &Parameter| {
                (other.grant_type, &other.name) == (parameter.grant_type, &parameter.name)
            };
            // A form may have several `resource`s (RFC 8707 §2.2), an object has one field of a name.
            if self.json && self.parameters.iter().skip(at + 1).any(same) {
                let detail = "parameter: given twice, which JSON cannot be";
                return wrong(EndpointErrorKind::Provider, detail);
            }
        }
        Ok(())
    }
}

/// No parameter may be sent twice (RFC 6749 §3.2).
fn is_sent_anyway(client: &OAuth2, parameter: &Parameter) -> bool {
    let token = RefreshToken::new("");
    let code = AuthorizationCode::new("").with_verifier(CodeVerifier::new(""));
    let presented = match parameter.grant_type {
        GrantType::RefreshToken => Presented::from(&token),
        GrantType::AuthorizationCode => Presented::from(&code),
    };
    own_parameters(client, presented).has(&parameter.name)
}
