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

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> OAuth2 {
        OAuth2::new("https://as.example/token", "id")
    }

    #[test]
    fn what_can_be_used_is_passed() {
        let basic = client().with_client_authentication(ClientAuthentication::Basic);
        // Of its own: with Basic the id is not in the body.
        let with_id = basic
            .clone()
            .with_parameter(GrantType::RefreshToken, "client_id", "id");
        for client in [
            client(),
            client().with_client_secret("s"),
            basic,
            with_id,
            client()
                .with_redirect_uri("https://me.example/callback")
                .with_parameter(
                    GrantType::RefreshToken,
                    "redirect_uri",
                    "https://me.example",
                ),
            client()
                .with_parameter(GrantType::RefreshToken, "resource", "a")
                .with_parameter(GrantType::RefreshToken, "resource", "b"),
            client()
                .send_json(true)
                .with_parameter(GrantType::RefreshToken, "audience", "a")
                .with_parameter(GrantType::AuthorizationCode, "audience", "a"),
        ] {
            let checked = client.check();
            assert!(checked.is_ok(), "{client:?} {checked:?}");
        }
    }

    #[test]
    fn what_cannot_is_named() {
        use EndpointErrorKind::{Client, Provider, RedirectUri, Url};
        let with = |name: &str| client().with_parameter(GrantType::RefreshToken, name, "x");
        let with_code =
            |name: &str| client().with_parameter(GrantType::AuthorizationCode, name, "x");
        let sent = "parameter: is sent already";
        for (client, kind, text) in [
            (OAuth2::new("https://h/t", ""), Client, "client_id: empty"),
            (
                client().with_client_secret(""),
                Client,
                "client_secret: empty",
            ),
            (
                client().with_client_authentication(ClientAuthentication::Body),
                Client,
                "client_secret: missing",
            ),
            (
                client().with_redirect_uri(""),
                RedirectUri,
                "redirect_uri: empty",
            ),
            (client().with_authorize_url(""), Url, "authorize_url: empty"),
            (
                client().with_authorize_url("https://h/a#canary"),
                Url,
                "authorize_url: has a fragment",
            ),
            (with("grant_type"), Provider, sent),
            (with("refresh_token"), Provider, sent),
            (with("client_id"), Provider, sent),
            (
                with("client_secret").with_client_secret("canary"),
                Provider,
                sent,
            ),
            (with_code("code"), Provider, sent),
            (with_code("code_verifier"), Provider, sent),
            (
                with_code("redirect_uri").with_redirect_uri("https://canary"),
                Provider,
                sent,
            ),
            (
                with("resource")
                    .with_parameter(GrantType::RefreshToken, "resource", "canary")
                    .send_json(true),
                Provider,
                "parameter: given twice, which JSON cannot be",
            ),
        ] {
            let error = client.check().unwrap_err();
            assert_eq!((error.kind(), error.to_string()), (kind, text.to_owned()));
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
    }
}
