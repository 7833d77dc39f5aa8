use super::parameters::Parameters;
use crate::AuthorizationCode;
use crate::testing::Provider;

impl Provider {
    /// An authorization code of a new user, as if one had opened this URL and agreed (RFC 6749
    /// §4.1.1). It works once, for five minutes, and only with the verifier of the code challenge
    /// in the URL, if there is one (RFC 7636).
    ///
    /// # Errors
    ///
    /// Names the parameter that the registered client would not send.
    pub fn agree_to(&self, authorize_url: &str) -> Result<AuthorizationCode, &'static str> {
        let config = self.config();
        let (_, query) = authorize_url.split_once('?').ok_or("url: has no query")?;
        let parameters = Parameters::of_form(query.as_bytes());
        if parameters.has_twice() {
            return Err("url: a parameter is given twice");
        }
        for (name, expected, wrong) in [
            ("response_type", "code", "response_type: not code"),
            ("client_id", &config.client_id, "client_id: not known"),
            ("redirect_uri", &config.redirect_uri, "redirect_uri: wrong"),
        ] {
            if parameters.get(name) != Some(expected) {
                return Err(wrong);
            }
        }
        let challenge = parameters.get("code_challenge");
        // Without a method it would be `plain`, which shows the verifier to whoever sees the URL.
        if challenge.is_some() && parameters.get("code_challenge_method") != Some("S256") {
            return Err("code_challenge_method: not S256");
        }
        let now = config.clock.now();
        let challenge = challenge.map(str::to_owned);
        Ok(self.state().grants.agree(challenge, now))
    }
}
