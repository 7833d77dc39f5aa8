use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use zeroize::Zeroizing;

use super::ClientAuthentication;
use super::answer_rules::AnswerRules;
use crate::ClientSecret;
use crate::provider::{
    AllowedAuthorities, AllowedAuthoritiesError, GrantType, Meaning, Outcome, Presented,
};

/// A client of an RFC 6749 endpoint: the half of a [`Provider`](crate::provider::Provider) that is
/// about tokens. See the [module docs](super).
#[derive(Clone)]
#[must_use]
pub struct OAuth2 {
    pub(super) client_id: String,
    pub(super) client_secret: Option<ClientSecret>,
    authentication: Option<ClientAuthentication>,
    token_url: String,
    refresh_url: Option<String>,
    pub(super) authorize_url: Option<String>,
    pub(super) redirect_uri: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) headers: HeaderMap,
    pub(super) json: bool,
    code_challenge: bool,
    rules: AnswerRules,
    allowed: AllowedAuthorities,
}

/// One that a user adds to a request. The value may be a secret.
#[derive(Clone)]
pub(super) struct Parameter {
    pub(super) grant_type: GrantType,
    pub(super) name: String,
    pub(super) value: Zeroizing<String>,
}

impl OAuth2 {
    /// The client with this id at the token endpoint with this URL, of which a query is kept (RFC 6749
    /// §3.2).
    ///
    /// Without a secret it is a public client (RFC 6749 §2.1). It may send credentials nowhere until
    /// it is [told](Self::allow) where the API is.
    pub fn new(token_url: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: None,
            authentication: None,
            token_url: token_url.into(),
            refresh_url: None,
            authorize_url: None,
            redirect_uri: None,
            scope: None,
            parameters: Vec::new(),
            headers: HeaderMap::new(),
            json: false,
            code_challenge: true,
            rules: AnswerRules::new(),
            allowed: AllowedAuthorities::default(),
        }
    }

    /// With this secret, which is sent in the body unless
    /// [`with_client_authentication`](Self::with_client_authentication) says otherwise.
    pub fn with_client_secret(mut self, secret: impl Into<ClientSecret>) -> Self {
        self.client_secret = Some(secret.into());
        self
    }

    /// How the client authenticates. Default: [`Body`](ClientAuthentication::Body) with a secret,
    /// [`None`](ClientAuthentication::None) without. RFC 6749 §2.3.1 would have Basic first, but of
    /// 344 providers in one public catalogue 301 document the body. If it is the wrong one for yours,
    /// the endpoint says `invalid_client`, which keeps the token.
    pub fn with_client_authentication(mut self, how: ClientAuthentication) -> Self {
        self.authentication = Some(how);
        self
    }

    /// Where refresh tokens are presented, if that is not where codes are.
    pub fn with_refresh_url(mut self, url: impl Into<String>) -> Self {
        self.refresh_url = Some(url.into());
        self
    }

    /// Where users are sent to agree (RFC 6749 §3.1). A query is kept: that is the place for what a
    /// provider wants beside the usual, `access_type=offline` say.
    pub fn with_authorize_url(mut self, url: impl Into<String>) -> Self {
        self.authorize_url = Some(url.into());
        self
    }

    /// Where users come back to, letter for letter as it is registered. It goes into the
    /// authorization URL and with the code (RFC 6749 §4.1.3). A provider that wants it with a refresh
    /// too has it by [`with_parameter`](Self::with_parameter).
    pub fn with_redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(uri.into());
        self
    }

    /// The scopes that users are asked for, with spaces between them (RFC 6749 §3.3). They go into
    /// the authorization URL alone: a refresh keeps what was granted, unless a
    /// [parameter](Self::with_parameter) asks for less.
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Sends this parameter too, with requests of this type: `resource` (RFC 8707), `audience`.
    pub fn with_parameter(
        mut self,
        grant_type: GrantType,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        self.parameters.push(Parameter {
            grant_type,
            name: name.into(),
            value: Zeroizing::new(value.into()),
        });
        self
    }

    /// Sends this header to the token endpoint too, in place of one of that name.
    pub fn with_header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.headers.insert(name, value);
        self
    }

    /// Whether the parameters are sent as an object of JSON, and not as a form. Off by default, for
    /// RFC 6749 §4.1.3 says a form.
    pub fn send_json(mut self, json: bool) -> Self {
        self.json = json;
        self
    }

    /// Whether the authorization URL has a code challenge (RFC 7636, `S256`). On by default: a
    /// provider that does not know it ignores it (RFC 6749 §3.1).
    pub fn send_code_challenge(mut self, send: bool) -> Self {
        self.code_challenge = send;
        self
    }

    /// Whether the old refresh token stays good if an answer to a refresh has no new one: RFC 6749
    /// §6, and the default. If not, the grant ends with the access token.
    pub fn keep_refresh_token(mut self, keep: bool) -> Self {
        self.rules.keep_refresh_token = keep;
        self
    }

    /// How long an access token lives of which the provider does not say it (RFC 6749 §5.1). By
    /// default nobody knows, and it is refreshed when the API refuses it.
    pub fn with_default_life(mut self, life: Duration) -> Self {
        self.rules.default_life = Some(life);
        self
    }

    /// Which field of an answer says who the user is, in place of the `sub` of an `id_token`: `user_id`,
    /// say. A text or a whole number.
    pub fn with_subject_field(mut self, name: impl Into<String>) -> Self {
        self.rules.subject_field = Some(name.into());
        self
    }

    /// Takes no tokens but of this type (RFC 6749 §7.1), in whatever case; an answer need not name
    /// one. By default any will do: who builds a provider on this says what it can sign with.
    pub fn with_token_type(mut self, token_type: impl Into<Cow<'static, str>>) -> Self {
        self.rules.token_type = Some(token_type.into());
        self
    }

    /// Takes no tokens but of this type, if no type was named yet.
    pub(in crate::provider) fn with_usual_token_type(mut self, token_type: &'static str) -> Self {
        let usual = Cow::Borrowed(token_type);
        self.rules.token_type.get_or_insert(usual);
        self
    }

    /// What this `error` of the token endpoint means, if that is not what RFC 6749 §5.2 says or not
    /// said there; whatever status it comes with. See the [module docs](super#errors).
    ///
    /// [`GrantEnded`](Meaning::GrantEnded) and [`CodeRejected`](Meaning::CodeRejected) are the same
    /// here: each becomes what fits what was presented.
    pub fn with_error(mut self, error: impl Into<String>, meaning: Meaning) -> Self {
        self.rules.add_error(error.into(), meaning);
        self
    }

    /// What an answer with this status means that has neither tokens nor a known `error`. By default
    /// it leaves in doubt what was presented, and a 429 is [`TryLater`](Meaning::TryLater).
    pub fn with_status(mut self, status: StatusCode, meaning: Meaning) -> Self {
        self.rules.add_status(status, meaning);
        self
    }

    /// Allows credentials to be sent to this `host` or `host:port` too.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn allow(mut self, authority: &str) -> Result<Self, AllowedAuthoritiesError> {
        self.allowed = self.allowed.allow(authority)?;
        Ok(self)
    }

    /// Allows these hosts, and no others.
    pub fn allowed_authorities(mut self, allowed: AllowedAuthorities) -> Self {
        self.allowed = allowed;
        self
    }
}

/// As the methods of a [`Provider`](crate::provider::Provider) of the same names, which is to call
/// them.
impl OAuth2 {
    /// The client's id.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The client's secret, if it has one.
    pub fn client_secret(&self) -> Option<&ClientSecret> {
        self.client_secret.as_ref()
    }

    /// What else may be a secret: the values of parameters and headers that were added. Short ones are
    /// in any text, and no secrets.
    pub fn other_secrets(&self) -> Vec<&str> {
        let parameters = self.parameters.iter().map(|added| added.value.as_str());
        let headers = self
            .headers
            .values()
            .filter_map(|value| value.to_str().ok());
        let all = parameters.chain(headers);
        all.filter(|value| value.len() >= 8).collect()
    }

    /// Where credentials may be sent: nowhere, unless it was [told](Self::allow).
    pub fn authorities(&self) -> &AllowedAuthorities {
        &self.allowed
    }

    /// Where this is presented.
    pub fn token_url(&self, grant_type: GrantType) -> &str {
        match (grant_type, &self.refresh_url) {
            (GrantType::RefreshToken, Some(url)) => url,
            _ => &self.token_url,
        }
    }

    /// What the answer says became of what was presented (RFC 6749 §5). Anything may be answered.
    pub fn token_answer(&self, presented: Presented<'_>, answer: &Response<Bytes>) -> Outcome {
        self.rules.read(presented, answer)
    }

    /// Whether an authorization URL has a code challenge.
    pub fn uses_code_challenge(&self) -> bool {
        self.code_challenge
    }

    /// How the client authenticates.
    pub(super) fn client_authentication(&self) -> ClientAuthentication {
        let usual = match self.client_secret {
            Some(_) => ClientAuthentication::Body,
            None => ClientAuthentication::None,
        };
        self.authentication.unwrap_or(usual)
    }
}

impl fmt::Debug for OAuth2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URLs: they are not checked yet, and may have a password in them.
        f.debug_struct("OAuth2")
            .field("client_id", &self.client_id)
            .field("client_authentication", &self.client_authentication())
            .field("redirect_uri", &self.redirect_uri)
            .field("scope", &self.scope)
            .field("json", &self.json)
            .field("code_challenge", &self.code_challenge)
            .field("rules", &self.rules)
            .field("allowed", &self.allowed)
            .finish_non_exhaustive()
    }
}
