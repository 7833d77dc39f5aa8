use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Request;

use super::error::{AuthError, Cause};
use super::sign::sign;
use crate::account::{Account, Refresh, Signer};
use crate::provider::{AllowedAuthorities, BodyNeeded, Provider};
use crate::sign::{SignError, SignErrorKind};
use crate::store::Generation;

/// Signs a request, as soon as there is a live credential: ends with the generation that signed.
/// See [`Account::sign`].
#[must_use = "nothing is signed unless this is awaited"]
pub struct SignRequest<'a, P: Provider, B> {
    account: &'a Account<P>,
    request: &'a mut Request<B>,
    body: Option<&'a [u8]>,
    allowed: Option<&'a AllowedAuthorities>,
    /// `None` if a credential may be there.
    refresh: Option<Refresh>,
}

impl<P: Provider> Account<P> {
    /// Signs a request for a client that is no tower service: the client sends it then, as it is.
    ///
    /// It waits for a live credential, as the [layer](super::MacAuthLayer) does, and refuses what the
    /// layer refuses: a host that is not among the provider's
    /// [authorities](Provider::authorities), say. The body is not looked at, so that `B` may be
    /// anything; where a provider [signs it too](Provider::needs_body), give it to
    /// [`body`](SignRequest::body).
    ///
    /// What a layer does after a refusal is for the client to do: have the credential
    /// [refreshed](Self::refresh_if_current), or the [clock](Self::correct_clock) corrected, and send
    /// **the request as it was before**, signed anew, once more. However many clients do so at once,
    /// one refresh is made.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// # use std::time::Duration;
    /// # use tower_mac_auth::testing::{Api, Provider as TestingProvider};
    /// # type BoxError = Box<dyn std::error::Error + Send + Sync>;
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use tower_mac_auth::account::Account;
    /// use tower_mac_auth::provider::{Head, Provider, Refusal};
    ///
    /// /// Sends `request`; again, if what signed it was refused.
    /// async fn call<P: Provider>(
    ///     account: &Account<P>,
    ///     request: Request<Bytes>,
    ///     http_client: &HttpClient,
    /// ) -> Result<Response<Bytes>, BoxError> {
    ///     let mut signed = request.clone();
    ///     let generation = account.sign(&mut signed).await?;
    ///     let response = http_client.send(signed).await?;
    ///     match refusal(account.provider(), &response) {
    ///         Some(Refusal::TokenRejected) => {
    ///             if account.refresh_if_current(generation).await.is_err() {
    ///                 return Ok(response);
    ///             }
    ///         }
    ///         Some(Refusal::SignatureRejected) => account.correct_clock(response.headers()),
    ///         _ => return Ok(response),
    ///     }
    ///     let mut signed = request;
    ///     account.sign(&mut signed).await?;
    ///     http_client.send(signed).await
    /// }
    ///
    /// fn refusal<P: Provider>(provider: &P, response: &Response<Bytes>) -> Option<Refusal> {
    ///     let (status, headers, body) = (response.status(), response.headers(), response.body());
    ///     match provider.read_head(status, headers) {
    ///         Head::Verdict(refusal) => refusal,
    ///         // Refusals are short.
    ///         Head::Read { otherwise } if body.is_empty() || body.len() > 4096 => otherwise,
    ///         _ => provider.read_body(status, headers, body),
    ///     }
    /// }
    /// #
    /// # struct HttpClient(Api);
    /// # impl HttpClient {
    /// #     async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
    /// #         use http_body_util::{BodyExt, Full};
    /// #         use tower::ServiceExt;
    /// #         let response = self.0.clone().oneshot(request.map(Full::new)).await?;
    /// #         let (head, body) = response.into_parts();
    /// #         Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    /// #     }
    /// # }
    /// # let provider = TestingProvider::new();
    /// # let http_client = HttpClient(provider.api());
    /// # let account = Account::builder(provider.endpoint())
    /// #     .tokens(provider.issue(Duration::from_secs(3600)))
    /// #     .open("user-42")
    /// #     .await?;
    ///
    /// # provider.expire_access_tokens();
    /// let request = Request::get("https://open.account.xiaomi.com/lamp").body(Bytes::new())?;
    /// let response = call(&account, request, &http_client).await?;
    /// assert_eq!(response.status(), 200);
    /// # assert_eq!(provider.presentations().len(), 1);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// [`AuthError`] says why the request was not signed. It is as it was then, and not to be sent.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: as long as the future is not done, the request is as it was, and a refresh that
    /// was waited for goes on.
    pub fn sign<'a, B>(&'a self, request: &'a mut Request<B>) -> SignRequest<'a, P, B> {
        SignRequest {
            account: self,
            request,
            body: None,
            allowed: None,
            refresh: None,
        }
    }
}

impl<'a, P: Provider, B> SignRequest<'a, P, B> {
    /// The whole body, as it will be sent: for providers that [sign it](Provider::needs_body). Others
    /// do not look at it. An empty one is given, too.
    pub fn body(mut self, body: &'a [u8]) -> Self {
        self.body = Some(body);
        self
    }

    /// Allows these hosts, and no others. Default: the provider's
    /// [authorities](Provider::authorities).
    pub fn allowed_authorities(mut self, allowed: &'a AllowedAuthorities) -> Self {
        self.allowed = Some(allowed);
        self
    }

    fn poll_signed(&mut self, cx: &mut Context<'_>) -> Poll<Result<Generation, AuthError>> {
        loop {
            if let Some(refresh) = &mut self.refresh {
                let refreshed = ready!(Pin::new(refresh).poll(cx));
                self.refresh = None;
                refreshed?;
            }
            match self.account.signer() {
                Signer::Ready(ready) => {
                    let body = self.signed_body()?;
                    let providers = || self.account.provider().authorities();
                    let allowed = self.allowed.unwrap_or_else(providers);
                    sign(self.account, allowed, &ready, self.request, body)?;
                    return Poll::Ready(Ok(ready.generation()));
                }
                // It is dead, or ended meanwhile.
                Signer::Wait(refresh) => self.refresh = Some(refresh),
            }
        }
    }

    /// The body, if it is signed.
    fn signed_body(&self) -> Result<Option<&'a [u8]>, AuthError> {
        let (provider, request) = (self.account.provider(), &self.request);
        match (
            provider.needs_body(request.method(), request.headers()),
            self.body,
        ) {
            (BodyNeeded::No, _) => Ok(None),
            (BodyNeeded::UpTo(most), Some(body)) if body.len() > most => {
                Err(Cause::BodyTooLong(most).into())
            }
            (BodyNeeded::UpTo(_), Some(body)) => Ok(Some(body)),
            (BodyNeeded::UpTo(_), None) => {
                let reason = "is signed, and was not given";
                Err(SignError::new(SignErrorKind::Empty, "body", reason).into())
            }
        }
    }
}

impl<P: Provider, B> Future for SignRequest<'_, P, B> {
    type Output = Result<Generation, AuthError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let signed = ready!(self.poll_signed(cx));
        let counters = self.account.counters();
        if signed.is_ok() {
            counters.signed();
        } else {
            counters.not_sent();
        }
        Poll::Ready(signed)
    }
}

impl<P: Provider, B> fmt::Debug for SignRequest<'_, P, B> {
    /// Without the request: its query may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignRequest")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}
