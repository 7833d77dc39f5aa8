use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::config::Config;
use super::dialect::OAuth2Rules;
use super::rules::Rules;
use super::{Dialect, Provider};
use crate::provider::oauth2::ClientAuthentication;
use crate::provider::xiaomi::{ErrorCode, SigningRules};
use crate::{ClientSecret, Clock, SystemClock};

/// Makes a [`Provider`]. What can be changed while it runs is a method of the provider.
#[must_use]
pub struct ProviderBuilder {
    config: Config,
}

impl ProviderBuilder {
    pub(super) fn new() -> Self {
        Self {
            config: Config {
                dialect: Dialect::default(),
                oauth2: OAuth2Rules::default(),
                client_id: "179887661252608".to_owned(),
                // With every character that a sloppy encoder gets wrong.
                client_secret: ClientSecret::new("s3cret+/= &%41"),
                redirect_uri: "https://client.example/callback?from=provider".to_owned(),
                clock: Arc::new(SystemClock),
                lifetime: Duration::from_secs(360_000),
                rules: Rules {
                    grace_window: Duration::ZERO,
                    rotate_refresh_tokens: true,
                    reuse_kills_grant: false,
                    rotation_kills_access_token: false,
                },
                plain_answers: false,
                string_codes: false,
                token_refusal_status: None,
                prefixed_refusals: false,
                clock_window: Duration::from_secs(600),
                query_credentials: true,
                signing_rules: SigningRules::new(),
                echo_bodies: false,
                accept_any_body: false,
            },
        }
    }

    /// What it speaks. [`Dialect::Xiaomi`] by default.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.config.dialect = dialect;
        self
    }

    /// The one client that is registered. By default it has a secret full of characters that must
    /// be percent-encoded. An empty text leaves the default.
    pub fn client(
        mut self,
        client_id: impl Into<String>,
        client_secret: impl Into<ClientSecret>,
    ) -> Self {
        let (client_id, client_secret) = (client_id.into(), client_secret.into());
        if !client_id.is_empty() {
            self.config.client_id = client_id;
        }
        if !client_secret.expose_secret().is_empty() {
            self.config.client_secret = client_secret;
        }
        self
    }

    /// The registered redirect URI, which every request to the token endpoint must name, or with
    /// RFC 6749 every one with a code. An empty text leaves the default.
    pub fn redirect_uri(mut self, redirect_uri: impl Into<String>) -> Self {
        let redirect_uri = redirect_uri.into();
        if !redirect_uri.is_empty() {
            self.config.redirect_uri = redirect_uri;
        }
        self
    }

    /// The provider's clock: expiry, the window for nonces, `Date`. The system's by default.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.config.clock = Arc::new(clock);
        self
    }

    /// How long the access tokens live that the token endpoint issues. 360 000 s by default, as in
    /// the provider's documents.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.config.lifetime = lifetime;
        self
    }

    /// Whether a refresh token that comes a second time ends its grant (RFC 9700 §4.14.2), beside
    /// being refused. Off.
    pub fn reuse_kills_grant(mut self, kills: bool) -> Self {
        self.config.rules.reuse_kills_grant = kills;
        self
    }

    /// For how long after it was spent a refresh token is answered again, as Okta, Auth0 and others
    /// do it for clients that have lost an answer. Not at all by default.
    ///
    /// It gets the refresh token that it was spent for and a new access token, but only until
    /// that refresh token is presented in its turn. [`Provider::presentations`] tells what came
    /// within the window from what came later, counted from the first presentation.
    pub fn grace_window(mut self, window: Duration) -> Self {
        self.config.rules.grace_window = window;
        self
    }

    /// Whether each refresh brings a new refresh token. On; if off, the first one stays good
    /// (RFC 6749 §6).
    pub fn rotate_refresh_tokens(mut self, rotate: bool) -> Self {
        self.config.rules.rotate_refresh_tokens = rotate;
        self
    }

    /// Whether a rotation ends the access token before it. Off: it lives as long as it was issued
    /// for.
    pub fn rotation_kills_access_token(mut self, kills: bool) -> Self {
        self.config.rules.rotation_kills_access_token = kills;
        self
    }

    /// Whether the token endpoint answers tidily: JSON as such, no prefix `&&&START&&&`, no white
    /// space around names and values. Off: it answers as the provider does.
    pub fn plain_answers(mut self, plain: bool) -> Self {
        self.config.plain_answers = plain;
        self
    }

    /// Whether error codes are strings. Off: they are numbers.
    pub fn string_codes(mut self, strings: bool) -> Self {
        self.config.string_codes = strings;
        self
    }

    /// The status of every refusal of the token endpoint. By default Xiaomi's is 200, where 400
    /// occurs as well, and that of RFC 6749 is 400, or 401 for the client.
    pub fn token_refusal_status(mut self, status: StatusCode) -> Self {
        self.config.token_refusal_status = Some(status);
        self
    }

    /// How the client is registered to authenticate at an RFC 6749 endpoint: in this way, and in
    /// no other beside it. In the body by default; [`ClientAuthentication::None`] makes it a
    /// public client.
    pub fn client_authentication(mut self, how: ClientAuthentication) -> Self {
        self.config.oauth2.client_authentication = how;
        self
    }

    /// Whether an RFC 6749 endpoint wants an object of JSON in place of a form. Off.
    pub fn json_requests(mut self, json: bool) -> Self {
        self.config.oauth2.json_requests = json;
        self
    }

    /// Whether the answers of an RFC 6749 endpoint have `expires_in`. On.
    pub fn announce_lifetime(mut self, announce: bool) -> Self {
        self.config.oauth2.announce_lifetime = announce;
        self
    }

    /// Whether the answers of an RFC 6749 endpoint have an `id_token` that says who the user is.
    /// Off: then they do not say it.
    pub fn id_tokens(mut self, issue: bool) -> Self {
        self.config.oauth2.id_tokens = issue;
        self
    }

    /// What the answers with tokens of an RFC 6749 endpoint have besides, or in place of the usual:
    /// `instance_url`, say, or an `error` that is empty.
    pub fn token_extra(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let extra = (name.into(), value.into().into());
        self.config.oauth2.extras.push(extra);
        self
    }

    /// The `error` of an RFC 6749 endpoint for this code, in place of the
    /// [usual](Dialect::Bearer): GitHub's `bad_refresh_token`, say.
    pub fn token_error(mut self, code: ErrorCode, error: impl Into<String>) -> Self {
        self.config.oauth2.errors.push((code, error.into()));
        self
    }

    /// Whether refusals of the API begin with `&&&START&&&`. Off.
    pub fn prefixed_refusals(mut self, prefixed: bool) -> Self {
        self.config.prefixed_refusals = prefixed;
        self
    }

    /// How far the minutes of a nonce may be from the provider's clock, either way. 10 minutes by
    /// default.
    pub fn clock_window(mut self, window: Duration) -> Self {
        self.config.clock_window = window;
        self
    }

    /// Whether the API wants `clientId` and `token` in the query. On: every documented call has
    /// them.
    pub fn query_credentials(mut self, wanted: bool) -> Self {
        self.config.query_credentials = wanted;
        self
    }

    /// How the API reads a signature: empty values, forms, malformed queries. Who puts `clientId`
    /// and `token` into the query is of no matter here.
    pub fn signing_rules(mut self, rules: SigningRules) -> Self {
        self.config.signing_rules = rules;
        self
    }

    /// Whether the API answers with the bytes of the request's body. Off: it answers
    /// `{"result":"ok","code":0,"data":{…}}` with the method, the path, the length of the body
    /// and its SHA-1 in hexadecimal.
    pub fn echo_bodies(mut self, echo: bool) -> Self {
        self.config.echo_bodies = echo;
        self
    }

    /// Whether bodies of any length are taken: they are counted and hashed, not kept. Off: a body
    /// is kept, and one over 4 MiB gets status 413.
    ///
    /// Forms that are signed and bodies that are echoed are kept all the same.
    pub fn accept_any_body(mut self, accept: bool) -> Self {
        self.config.accept_any_body = accept;
        self
    }

    /// The provider.
    pub fn build(self) -> Provider {
        Provider::with(self.config)
    }
}

impl fmt::Debug for ProviderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderBuilder")
            .field("client_id", &self.config.client_id)
            .finish_non_exhaustive()
    }
}
