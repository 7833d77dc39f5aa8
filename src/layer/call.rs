//! What one call works with.

use std::sync::Arc;

use http::{Response, header};

use super::config::Config;
use super::error::AuthError;
use super::identity::Identity;
use crate::Timestamp;
use crate::account::{Account, Refresh, Signer};
use crate::provider::Refusal;
use crate::store::Generation;

/// The layer's configuration, and whose credential signs this call.
pub(super) struct Call<A: Identity> {
    pub(super) config: Arc<Config<A>>,
    account: A::OfRequest,
}

impl<A: Identity> Call<A> {
    /// # Errors
    ///
    /// If it is not clear who signs a request that brought this account, or none.
    #[inline]
    pub(super) fn new(
        config: &Arc<Config<A>>,
        brought: Option<Account<A::Provider>>,
    ) -> Result<Self, AuthError> {
        let account = config.identity.of_request(brought)?;
        let config = Arc::clone(config);
        Ok(Self { config, account })
    }

    /// The account that signs, at each attempt.
    #[inline]
    pub(super) fn account(&self) -> &Account<A::Provider> {
        self.config.identity.account(&self.account)
    }

    /// How the provider signs, and says no.
    #[inline]
    pub(super) fn provider(&self) -> &A::Provider {
        self.account().provider()
    }

    /// Does about a refusal of `generation` what helps; the refresh is what the next attempt has to
    /// wait for. To be called even if this request is not sent again: the next one gains by it.
    pub(super) fn remedy<B>(
        &self,
        refusal: Refusal,
        generation: Generation,
        response: &Response<B>,
    ) -> Option<Refresh> {
        match refusal {
            Refusal::TokenRejected => Some(self.account().refresh_if_current(generation)),
            Refusal::SignatureRejected => {
                if let Some(time) = server_time(response) {
                    self.account().correct_clock(time);
                }
                match self.account().signer() {
                    Signer::Ready(_) => None,
                    // It ended meanwhile.
                    Signer::Wait(refresh) => Some(refresh),
                }
            }
        }
    }
}

/// The server's clock, as `Date` (RFC 9110 §6.6.1) tells it; nothing if a cache has kept the
/// response, which `Age` says (RFC 9111 §5.1).
fn server_time<B>(response: &Response<B>) -> Option<Timestamp> {
    let mut ages = response.headers().get_all(header::AGE).iter();
    if ages.any(|age| age.as_bytes() != b"0") {
        return None;
    }
    let date = response.headers().get(header::DATE)?.to_str().ok()?;
    httpdate::parse_http_date(date).ok().map(Timestamp::from)
}
