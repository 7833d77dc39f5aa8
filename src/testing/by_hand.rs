//! What clients do, step by step, for the tests of this room.

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{Request, Response};
use http_body_util::Full;
use tower::ServiceExt;

use super::Provider;
use crate::provider::RequestParts;
use crate::provider::xiaomi::{Credential, Nonce, SigningRules};
use crate::sign::MacKey;
use crate::token::{Outcome, TokenEndpoint, TokenSet};
use crate::{AccessToken, RefreshToken};

pub(super) fn refresh_token(tokens: &TokenSet) -> RefreshToken {
    tokens.refresh_token.clone().unwrap()
}

/// Presents a refresh token.
pub(super) async fn refresh<P: crate::provider::Provider>(
    endpoint: &TokenEndpoint<P>,
    token: &RefreshToken,
) -> Outcome {
    match endpoint.connect().await {
        Ok(connected) => connected.refresh(token).await,
        Err(unsent) => Outcome::Unsent(unsent),
    }
}

/// The same, where tokens are expected.
pub(super) async fn rotated<P: crate::provider::Provider>(
    endpoint: &TokenEndpoint<P>,
    tokens: &TokenSet,
) -> TokenSet {
    match refresh(endpoint, &refresh_token(tokens)).await {
        Outcome::Tokens(next) => next,
        other => panic!("{other:?}"),
    }
}

pub(super) fn refused_with(outcome: &Outcome) -> Option<u32> {
    match outcome {
        Outcome::Refused(refusal) => refusal.code().parse().ok(),
        _ => None,
    }
}

/// A client that signs; what it does wrong is set by the test.
pub(super) struct Client {
    provider: Provider,
    pub(super) access_token: AccessToken,
    key: MacKey,
    pub(super) rules: SigningRules,
}

impl Client {
    pub(super) fn new(provider: &Provider, tokens: &TokenSet) -> Self {
        Self {
            provider: provider.clone(),
            access_token: tokens.access_token.clone(),
            key: MacKey::new(tokens.algorithm.unwrap(), tokens.mac_key.as_ref().unwrap()).unwrap(),
            rules: SigningRules::new(),
        }
    }

    pub(super) fn nonce(&self) -> Nonce {
        Nonce::fresh(self.provider.config().clock.now())
    }

    /// A signed request; `path` may have a query.
    pub(super) fn request(
        &self,
        nonce: &Nonce,
        authority: &str,
        path: &str,
        body: &'static str,
    ) -> Request<Full<Bytes>> {
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        let credential = Credential::new(&self.access_token, self.key.clone())
            .with_client_id(self.provider.client_id());
        let parts = RequestParts::new("POST", authority, path)
            .with_query(query)
            .with_body(body.as_bytes());
        let signed = self.rules.sign(&credential, &parts, nonce).unwrap();
        let target = match signed.path_and_query() {
            Some(target) => target.to_string(),
            None => format!("{path}?{}", query.unwrap_or_default()),
        };
        Request::post(format!("http://{authority}{target}"))
            .header(AUTHORIZATION, signed.authorization().unwrap())
            .header(HOST, authority)
            .body(Full::from(body))
            .unwrap()
    }

    /// One good call in process.
    pub(super) async fn call(&self) -> Response<Full<Bytes>> {
        let request = self.request(&self.nonce(), "api.example", "/lamp?b=2&a=%2B", "on");
        self.send(request).await
    }

    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Full<Bytes>> {
        self.provider.api().oneshot(request).await.unwrap()
    }

    /// The code and the reason of the last refusal.
    pub(super) fn last_refusal(&self) -> (u32, String) {
        let refused = self.provider.refused();
        let last = refused.last().unwrap();
        (last.code.code(), last.reason.clone())
    }
}
