use std::fmt;

use super::TokenEndpoint;
use crate::CodeVerifier;
use crate::provider::{AuthorizeRequest, Provider};

/// Where a user's browser is sent, and what is kept until it comes back.
#[derive(Clone)]
#[non_exhaustive]
pub struct AuthorizeUrl {
    /// Where the browser is sent.
    pub url: String,
    /// Goes [with the code](crate::AuthorizationCode::with_verifier), if the provider uses one. Keep
    /// it beside the state, where the browser cannot read it.
    pub code_verifier: Option<CodeVerifier>,
}

impl fmt::Debug for AuthorizeUrl {
    /// Neither the verifier nor the state, which is in the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeUrl").finish_non_exhaustive()
    }
}

impl<P: Provider> TokenEndpoint<P> {
    /// Where to send a user's browser for an authorization code (RFC 6749 §4.1.1), with a code
    /// challenge (RFC 7636) if the provider uses one; `None` if the provider does not know where.
    ///
    /// `state` ties the answer to the browser: keep it in the user's session, and take no code that
    /// comes back with another. [`AuthorizeRequest::random_state`] makes one.
    ///
    /// # Panics
    ///
    /// If there is to be a challenge and the operating system has no random bytes to give.
    pub fn authorize_url(&self, state: &str) -> Option<AuthorizeUrl> {
        let provider = self.provider();
        let code_verifier = provider.uses_code_challenge().then(CodeVerifier::random);
        let challenge = code_verifier.as_ref().map(CodeVerifier::challenge);
        let mut request = AuthorizeRequest::new(state);
        request.code_challenge = challenge.as_deref();
        let url = provider.authorize_url(&request)?;
        Some(AuthorizeUrl { url, code_verifier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Bearer, OAuth2, Xiaomi};

    fn query(url: &str) -> Vec<(String, String)> {
        let (_, query) = url.split_once('?').unwrap();
        form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect()
    }

    fn bearer(oauth2: OAuth2) -> TokenEndpoint<Bearer> {
        TokenEndpoint::from(Bearer::new(oauth2))
    }

    #[test]
    fn the_challenge_in_the_url_is_that_of_the_verifier_beside_it() {
        let oauth2 = OAuth2::new("https://as.example/token", "id")
            .with_authorize_url("https://as.example/authorize?prompt=consent");
        let asked = bearer(oauth2).authorize_url("canary").unwrap();
        let verifier = asked.code_verifier.as_ref().unwrap();
        let challenge = verifier.challenge();
        for pair in [
            ("prompt", "consent"),
            ("response_type", "code"),
            ("client_id", "id"),
            ("state", "canary"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ] {
            let pair = (pair.0.to_owned(), pair.1.to_owned());
            assert!(query(&asked.url).contains(&pair), "{}", asked.url);
        }
        assert!(!asked.url.contains(verifier.expose_secret()));
        assert_eq!(format!("{asked:?}"), "AuthorizeUrl { .. }");
    }

    #[test]
    fn a_provider_without_a_challenge_or_a_page_has_none() {
        let xiaomi = Xiaomi::new("id", "secret", "https://me.example/callback");
        let asked = TokenEndpoint::from(xiaomi).authorize_url("s").unwrap();
        assert!(asked.code_verifier.is_none());
        assert!(!asked.url.contains("code_challenge"), "{}", asked.url);
        let nowhere = bearer(OAuth2::new("https://as.example/token", "id"));
        assert!(nowhere.authorize_url("s").is_none());
    }
}
