//! What one call works with.

use std::sync::Arc;

use http::Response;

use super::common::Common;
use super::config::Config;
use super::error::AuthError;
use super::identity::Identity;
use crate::account::{Account, Counters, Refresh, Signer};
use crate::provider::Refusal;
use crate::store::Generation;

/// What is the same in all calls, and whose credential signs this one.
pub(super) struct Call<S, A: Identity> {
    pub(super) common: Arc<Common<S, A>>,
    account: A::OfRequest,
}

impl<S, A: Identity> Call<S, A> {
    /// # Errors
    ///
    /// If it is not clear who signs a request that brought this account, or none.
    #[inline]
    pub(super) fn new(
        common: &Arc<Common<S, A>>,
        brought: Option<Account<A::Provider>>,
    ) -> Result<Self, AuthError> {
        let account = common.config.identity.of_request(brought)?;
        let common = Arc::clone(common);
        Ok(Self { common, account })
    }

    /// How the layer was set up.
    #[inline]
    pub(super) fn config(&self) -> &Config<A> {
        &self.common.config
    }

    /// The account that signs, at each attempt.
    #[inline]
    pub(super) fn account(&self) -> &Account<A::Provider> {
        self.config().identity.account(&self.account)
    }

    #[inline]
    pub(super) fn counters(&self) -> &Counters {
        self.account().counters()
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
        self.counters().refusal(refusal);
        match refusal {
            Refusal::TokenRejected => Some(self.account().refresh_if_current(generation)),
            Refusal::SignatureRejected => {
                self.account().correct_clock(response.headers());
                match self.account().signer() {
                    Signer::Ready(_) => None,
                    // It ended meanwhile.
                    Signer::Wait(refresh) => Some(refresh),
                }
            }
        }
    }
}
