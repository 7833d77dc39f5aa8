use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};

use super::ext::Ext;
use super::refusals::Words;
use super::stamp::Stamp;
use super::token_answer::with_key;
use super::{Credential, Draft, ISSUED_AT, body_hash};
use crate::provider::{
    AllowedAuthorities, AuthorizeRequest, BodyNeeded, EndpointError, EndpointErrorKind, Fresh,
    Grant, GrantType, Head, OAuth2, Outcome, Presented, Provider, Refusal, RequestParts, Signed,
};
use crate::sign::SignError;
use crate::{ClientSecret, Extra, Timestamp};

/// A client of an API that checks requests by draft-ietf-oauth-v2-http-mac. See the [module
/// docs](super).
#[derive(Clone)]
#[must_use]
pub struct HttpMac {
    oauth2: OAuth2,
    draft: Draft,
    /// The longest body that is hashed, if any is.
    longest_body: Option<usize>,
    ext: Ext,
    words: Words,
}

impl HttpMac {
    /// With tokens that this client gets, signing by this revision. The tokens are to be of the type
    /// `mac`, unless the client [names](OAuth2::with_token_type) another.
    pub fn new(oauth2: OAuth2, draft: Draft) -> Self {
        Self {
            oauth2: oauth2.with_usual_token_type("mac"),
            draft,
            longest_body: None,
            ext: Ext::Text(String::new()),
            words: Words::default(),
        }
    }

    /// Signs bodies as well, by a hash in `bodyhash`, which revision 00 alone has. Off by default. If it is
    /// on, a body is read whole before the request is sent, and one of more than `longest` bytes is
    /// refused. A request without a body has the hash of nothing, so that nobody can add one.
    pub fn with_body_hash(mut self, longest: usize) -> Self {
        self.longest_body = Some(longest);
        self
    }

    /// Sends this in `ext`, in each request, and signs it. What is in it, the server says. By default
    /// there is none.
    ///
    /// # Errors
    ///
    /// Names `ext` when it has a character that the drafts do not allow in an attribute.
    pub fn with_ext(mut self, ext: impl Into<String>) -> Result<Self, SignError> {
        self.ext = Ext::text(ext.into())?;
        Ok(self)
    }

    /// Sends in `ext` what `ext_of` makes of each request. If that is empty, there is none; if it has a
    /// character that the drafts do not allow in an attribute, the request is not signed. The body is
    /// among the parts only [with its hash](Self::with_body_hash).
    ///
    /// ```
    /// use tower_mac_auth::provider::http_mac::Draft;
    /// use tower_mac_auth::provider::{HttpMac, OAuth2};
    ///
    /// let oauth2 = OAuth2::new("https://server.example.com/token", "s6BhdRkqt3");
    /// let provider = HttpMac::new(oauth2, Draft::V01).with_ext_of(|request| {
    ///     let tenant = request.headers.and_then(|headers| headers.get("x-tenant"));
    ///     tenant.and_then(|tenant| tenant.to_str().ok()).unwrap_or_default().to_owned()
    /// });
    /// ```
    pub fn with_ext_of(
        mut self,
        ext_of: impl Fn(&RequestParts<'_>) -> String + Send + Sync + 'static,
    ) -> Self {
        self.ext = Ext::Function(Arc::new(ext_of));
        self
    }

    /// What a 401 means whose `error` has this word in it, in whatever case; `None` if it is no refusal.
    /// The last one said counts first, before the [words that are known](super#what-is-refused).
    pub fn with_refusal(mut self, word: &str, refusal: impl Into<Option<Refusal>>) -> Self {
        self.words.add(word, refusal.into());
        self
    }
}

impl Provider for HttpMac {
    type Credential = Credential;

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
        if self.longest_body.is_some() && self.draft != Draft::V00 {
            let detail = "body_hash: revision 00 alone has one";
            return Err(EndpointError::new(EndpointErrorKind::Provider, detail));
        }
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
        let outcome = self.oauth2.token_answer(presented, answer);
        with_key(self.draft, outcome, answer)
    }

    fn authorize_url(&self, request: &AuthorizeRequest<'_>) -> Option<String> {
        self.oauth2.authorize_url(request)
    }

    fn uses_code_challenge(&self) -> bool {
        self.oauth2.uses_code_challenge()
    }

    fn credential(&self, grant: &Grant) -> Result<Credential, SignError> {
        let access = grant.require_access()?;
        let credential = Credential::new(&access.access_token, access.prepare_key()?)?;
        match self.draft {
            Draft::V00 => Ok(credential.with_issued_at(issued_at(grant)?)),
            Draft::V01 => Ok(credential),
        }
    }

    #[inline]
    fn needs_body(&self, _: &Method, _: &HeaderMap) -> BodyNeeded {
        self.longest_body.map_or(BodyNeeded::No, BodyNeeded::UpTo)
    }

    #[inline]
    fn sign(
        &self,
        credential: &Credential,
        request: &RequestParts<'_>,
        fresh: Fresh,
    ) -> Result<Signed, SignError> {
        let stamp = Stamp::fresh(self.draft, fresh, credential.issued_at())?;
        let ext = self.ext.of(request)?;
        let attributes = stamp.attributes(&ext);
        if self.longest_body.is_none() {
            return credential.sign(request, &attributes);
        }
        let body = request.body.ok_or_else(|| SignError::missing("body"))?;
        let bodyhash = body_hash(credential.key().algorithm(), body);
        credential.sign(request, &attributes.with_bodyhash(&bodyhash)?)
    }

    #[inline]
    fn read_head(&self, status: StatusCode, headers: &HeaderMap) -> Head {
        self.words.read_head(status, headers)
    }
}

/// When the key of `grant` was issued.
fn issued_at(grant: &Grant) -> Result<Timestamp, SignError> {
    let text = grant.extras.get(ISSUED_AT).map(Extra::expose_secret);
    match text {
        None | Some("") => Err(SignError::missing(ISSUED_AT)),
        Some(text) => match text.parse() {
            Ok(secs) => Ok(Timestamp::from_secs(secs)),
            Err(_) => Err(SignError::malformed(ISSUED_AT, "is not in whole seconds")),
        },
    }
}

impl fmt::Debug for HttpMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpMac")
            .field("oauth2", &self.oauth2)
            .field("draft", &self.draft)
            .field("longest_body", &self.longest_body)
            .field("ext", &self.ext)
            .field("words", &self.words)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::TokenSet;
    use crate::provider::http_mac::Attributes;
    use crate::sign::{Algorithm, SignErrorKind};

    const NOW: Timestamp = Timestamp::from_secs(1_336_363_200);

    fn oauth2() -> OAuth2 {
        OAuth2::new("https://as.example/token", "id").with_client_secret("s")
    }

    fn v00() -> HttpMac {
        HttpMac::new(oauth2(), Draft::V00)
    }

    fn v01() -> HttpMac {
        HttpMac::new(oauth2(), Draft::V01)
    }

    /// One whose key is a minute old.
    fn grant() -> Grant {
        let tokens = TokenSet::new("h480djs93hd8");
        let mut tokens = tokens.with_mac_key("489dks293j39", Algorithm::HmacSha1);
        let at = NOW.as_secs() - 60;
        let at = Extra::new(at.to_string());
        tokens.extras.insert(ISSUED_AT.to_owned(), at);
        Grant::from(tokens)
    }

    fn sign(provider: &HttpMac, request: &RequestParts<'_>) -> Result<String, SignError> {
        let credential = provider.credential(&grant())?;
        let signed = provider.sign(&credential, request, Fresh::at(NOW).with_random(0))?;
        Ok(signed.authorization().unwrap().to_str().unwrap().to_owned())
    }

    fn get() -> RequestParts<'static> {
        RequestParts::new("GET", "example.com", "/resource/1").with_port(80)
    }

    /// What attributes made by hand give.
    fn by_hand(provider: &HttpMac, attributes: &Attributes<'_>) -> String {
        let credential = provider.credential(&grant()).unwrap();
        let signed = credential.sign(&get(), attributes).unwrap();
        signed.authorization().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn each_revision_signs_what_is_new_in_its_own_way() {
        let attributes = Attributes::v00("60:aaaaaaaaaaaaaaaa").unwrap();
        assert_eq!(sign(&v00(), &get()).unwrap(), by_hand(&v00(), &attributes));
        let attributes = Attributes::v01("1336363200", "aaaaaaaaaaaaaaaa").unwrap();
        assert_eq!(sign(&v01(), &get()).unwrap(), by_hand(&v01(), &attributes));
    }

    #[test]
    fn ext_is_a_text_or_made_of_the_request() {
        let with = |ext| {
            let attributes = Attributes::v01("1336363200", "aaaaaaaaaaaaaaaa").unwrap();
            by_hand(&v01(), &attributes.with_ext(ext).unwrap())
        };
        let text = v01().with_ext("a,b,c").unwrap();
        assert_eq!(sign(&text, &get()).unwrap(), with("a,b,c"));
        let function = v01().with_ext_of(|request| request.path.to_owned());
        assert_eq!(sign(&function, &get()).unwrap(), with("/resource/1"));
        let none = v01().with_ext_of(|_| String::new());
        assert_eq!(sign(&none, &get()).unwrap(), with(""));

        let error = "ext: has a character that cannot be quoted at byte 1";
        let refused = v01().with_ext("a\"").unwrap_err();
        assert_eq!(refused.to_string(), error);
        let odd = v01().with_ext_of(|_| "a\n".to_owned());
        assert_eq!(sign(&odd, &get()).unwrap_err().to_string(), error);
    }

    #[test]
    fn a_body_is_hashed_if_it_is_to_be_and_nothing_too() {
        let hashing = v00().with_body_hash(1024);
        assert!(hashing.check().is_ok());
        let needed = hashing.needs_body(&Method::GET, &HeaderMap::new());
        assert_eq!(needed, BodyNeeded::UpTo(1024));
        for body in ["", "hello=world%21"] {
            let hash = body_hash(Algorithm::HmacSha1, body.as_bytes());
            let attributes = Attributes::v00("60:aaaaaaaaaaaaaaaa").unwrap();
            let attributes = attributes.with_bodyhash(&hash).unwrap();
            let request = get().with_body(body.as_bytes());
            assert_eq!(
                sign(&hashing, &request).unwrap(),
                by_hand(&hashing, &attributes)
            );
        }
        let error = sign(&hashing, &get()).unwrap_err();
        assert_eq!(error.to_string(), "body: is missing");

        let needed = v00().needs_body(&Method::POST, &HeaderMap::new());
        assert_eq!(needed, BodyNeeded::No);
        let request = get().with_body(&b"x"[..]);
        assert!(!sign(&v00(), &request).unwrap().contains("bodyhash"));
    }

    #[test]
    fn revision_01_hashes_no_body() {
        let wrong = v01().with_body_hash(1024);
        let error = wrong.check().unwrap_err();
        assert_eq!(error.to_string(), "body_hash: revision 00 alone has one");
        let request = get().with_body(&b"x"[..]);
        let error = sign(&wrong, &request).unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::Conflict);
    }

    #[test]
    fn revision_00_has_to_know_when_the_key_was_issued() {
        for (text, error) in [
            (None, "mac_issued_at: is missing"),
            (Some(""), "mac_issued_at: is missing"),
            (Some("canary"), "mac_issued_at: is not in whole seconds"),
            (Some("-1"), "mac_issued_at: is not in whole seconds"),
        ] {
            let mut grant = grant();
            grant.extras.remove(ISSUED_AT);
            if let Some(text) = text {
                grant.extras.insert(ISSUED_AT.to_owned(), Extra::new(text));
            }
            let refused = v00().credential(&grant).unwrap_err();
            assert_eq!(refused.to_string(), error);
            assert!(v01().credential(&grant).is_ok());
        }
    }

    #[test]
    fn what_a_grant_lacks_is_named() {
        let bare = Grant::from(TokenSet::new("a"));
        for (grant, error) in [
            (Grant::default(), "access_token: is missing"),
            (bare, "mac_key: is missing"),
        ] {
            assert_eq!(v01().credential(&grant).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn what_is_said_of_the_client_is_said_of_the_provider() {
        let client = oauth2()
            .with_refresh_url("https://as.example/renew")
            .with_authorize_url("https://as.example/authorize")
            .allow("api.example")
            .unwrap();
        let provider = HttpMac::new(client.clone(), Draft::V01);
        assert_eq!(provider.client_id(), "id");
        assert_eq!(provider.client_secret(), client.client_secret());
        assert!(provider.check().is_ok());
        let broken = HttpMac::new(client.clone().with_client_secret(""), Draft::V01);
        assert!(broken.check().is_err());
        assert_eq!(provider.authorities(), client.authorities());
        for grant_type in [GrantType::RefreshToken, GrantType::AuthorizationCode] {
            assert_eq!(provider.token_url(grant_type), client.token_url(grant_type));
        }
        let request = AuthorizeRequest::new("s");
        let url = provider.authorize_url(&request);
        assert_eq!(url, client.authorize_url(&request));
        assert!(provider.uses_code_challenge());
        let token = crate::RefreshToken::new("r");
        let request = |request: Result<Request<Bytes>, SignError>| request.unwrap().into_body();
        assert_eq!(
            request(provider.token_request((&token).into(), Fresh::at(NOW))),
            request(client.token_request((&token).into(), Fresh::at(NOW)))
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let client = oauth2().with_client_secret("canary");
        let provider = HttpMac::new(client, Draft::V00);
        let provider = provider.with_ext("canary").unwrap();
        let shown = format!(
            "{provider:?} {:?}",
            v01().with_ext_of(|_| "canary".to_owned())
        );
        assert!(
            shown.contains("V00") && !shown.contains("canary"),
            "{shown}"
        );
    }
}
