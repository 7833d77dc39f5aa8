use std::fmt;
use std::num::NonZeroU32;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};

use super::refusals;
use super::token_answer::read_answer;
use super::token_request::{authorize_url, token_request};
use super::{Credential, Nonce, SigningRules};
use crate::ClientSecret;
use crate::provider::{
    AllowedAuthorities, AllowedAuthoritiesError, AuthorizeRequest, BodyNeeded, EndpointError,
    EndpointErrorKind, Fresh, Grant, GrantType, Head, Outcome, Presented, Provider, Refusal,
    RequestParts, Signed,
};
use crate::sign::SignError;

const TOKEN_URL: &str = "https://account.xiaomi.com/oauth2/token";
const AUTHORIZE_URL: &str = "https://account.xiaomi.com/oauth2/authorize";
/// Where the API lives.
const API: &str = "open.account.xiaomi.com";
/// The documented limit for one client.
const REQUESTS_PER_SECOND: Option<NonZeroU32> = NonZeroU32::new(5000);
/// The longest form that is signed; the query and the form together cannot be longer either.
const FORM_CAP: usize = 64 * 1024;

/// A client of the Xiaomi Open API.
#[derive(Clone)]
#[must_use]
pub struct Xiaomi {
    pub(super) client_id: String,
    pub(super) client_secret: ClientSecret,
    pub(super) redirect_uri: Option<String>,
    pub(super) token_url: String,
    pub(super) authorize_url: String,
    pub(super) scope: Option<String>,
    pub(super) send_token_type: bool,
    rules: SigningRules,
    allowed: AllowedAuthorities,
}

impl Xiaomi {
    /// The client with this id and secret. `redirect_uri` must be the registered one, letter for
    /// letter; Xiaomi wants it with every grant.
    ///
    /// Signs as [`SigningRules::new`] does, and for `open.account.xiaomi.com` alone.
    pub fn new(
        client_id: impl Into<String>,
        client_secret: impl Into<ClientSecret>,
        redirect_uri: impl Into<String>,
    ) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            redirect_uri: Some(redirect_uri.into()),
            token_url: TOKEN_URL.to_owned(),
            authorize_url: AUTHORIZE_URL.to_owned(),
            scope: None,
            send_token_type: true,
            rules: SigningRules::new(),
            allowed: AllowedAuthorities::of_host(API),
        }
    }

    /// Another token endpoint that speaks as Xiaomi's does. A query in the URL is kept (RFC 6749
    /// §3.2).
    pub fn with_token_url(mut self, url: impl Into<String>) -> Self {
        self.token_url = url.into();
        self
    }

    /// Where users are sent to agree, if it is not Xiaomi's own page.
    pub fn with_authorize_url(mut self, url: impl Into<String>) -> Self {
        self.authorize_url = url.into();
        self
    }

    /// The scopes that users are asked for, as numbers with spaces between them: `"1 3"`.
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Sends no redirect URI to the token endpoint.
    pub fn without_redirect_uri(mut self) -> Self {
        self.redirect_uri = None;
        self
    }

    /// Whether `token_type=mac` is sent (the default). Xiaomi does not document it, but most of
    /// its SDKs send it.
    pub fn send_token_type(mut self, send: bool) -> Self {
        self.send_token_type = send;
        self
    }

    /// Signs by these rules.
    pub fn with_signing_rules(mut self, rules: SigningRules) -> Self {
        self.rules = rules;
        self
    }

    /// Allows this `host` or `host:port` too.
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

impl Provider for Xiaomi {
    type Credential = Credential;

    fn client_id(&self) -> &str {
        &self.client_id
    }

    fn client_secret(&self) -> Option<&ClientSecret> {
        Some(&self.client_secret)
    }

    fn check(&self) -> Result<(), EndpointError> {
        let wrong = |kind, detail| Err(EndpointError::new(kind, detail));
        if self.client_id.is_empty() {
            return wrong(EndpointErrorKind::Client, "client_id: empty");
        }
        if self.client_secret.expose_secret().is_empty() {
            return wrong(EndpointErrorKind::Client, "client_secret: empty");
        }
        if self.redirect_uri.as_deref() == Some("") {
            return wrong(EndpointErrorKind::RedirectUri, "redirect_uri: empty");
        }
        Ok(())
    }

    fn authorities(&self) -> &AllowedAuthorities {
        &self.allowed
    }

    fn token_url(&self, _: GrantType) -> &str {
        &self.token_url
    }

    fn requests_per_second(&self) -> Option<NonZeroU32> {
        REQUESTS_PER_SECOND
    }

    fn token_request(
        &self,
        presented: Presented<'_>,
        _: Fresh,
    ) -> Result<Request<Bytes>, SignError> {
        token_request(self, presented)
    }

    fn token_answer(&self, _: Presented<'_>, answer: &Response<Bytes>) -> Outcome {
        read_answer(answer)
    }

    fn authorize_url(&self, request: &AuthorizeRequest<'_>) -> Option<String> {
        Some(authorize_url(self, request.state))
    }

    fn credential(&self, grant: &Grant) -> Result<Credential, SignError> {
        let access = grant.require_access()?;
        let key = access.prepare_key()?;
        Ok(Credential::new(&access.access_token, key).with_client_id(&self.client_id))
    }

    #[inline]
    fn needs_body(&self, method: &Method, headers: &HeaderMap) -> BodyNeeded {
        if self.rules.signs_form() && is_form(method, headers) {
            BodyNeeded::UpTo(FORM_CAP)
        } else {
            BodyNeeded::No
        }
    }

    #[inline]
    fn sign(
        &self,
        credential: &Credential,
        request: &RequestParts<'_>,
        fresh: Fresh,
    ) -> Result<Signed, SignError> {
        self.rules.sign(credential, request, &Nonce::fresh(fresh))
    }

    #[inline]
    fn read_head(&self, status: StatusCode, _: &HeaderMap) -> Head {
        refusals::read_head(status)
    }

    #[inline]
    fn read_body(&self, status: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<Refusal> {
        refusals::read_body(status, body)
    }
}

impl fmt::Debug for Xiaomi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URLs: they are not checked yet, and may have a password in them.
        f.debug_struct("Xiaomi")
            .field("client_id", &self.client_id)
            .field("redirect_uri", &self.redirect_uri)
            .field("scope", &self.scope)
            .field("send_token_type", &self.send_token_type)
            .field("rules", &self.rules)
            .field("allowed", &self.allowed)
            .finish_non_exhaustive()
    }
}

/// A POST with the pairs of a form in its body.
/// A form whose pairs are signed: only a `POST` has one.
pub(crate) fn is_form(method: &Method, headers: &HeaderMap) -> bool {
    let form = b"application/x-www-form-urlencoded";
    let kind = headers.get(header::CONTENT_TYPE);
    method == Method::POST
        && kind.is_some_and(|value| {
            let essence = value.as_bytes().split(|byte| *byte == b';').next();
            essence.is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(form))
        })
}
