use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::config::Config;
use super::identity::{Identity, PerRequest};
use super::service::MacAuth;
use crate::account::Account;
use crate::provider::{AllowedAuthorities, AllowedAuthoritiesError, Provider};

/// How much of a request body is kept to be sent again, unless told otherwise.
const RESEND_CAP: usize = 64 * 1024;
/// How long a response may be held up to see whether it is a refusal.
const INSPECTION_LIMIT: Duration = Duration::from_secs(1);

/// Signs every request that goes through, has a refused credential refreshed once, and sends the
/// refused request again.
/// See the [module docs](super).
#[derive(Clone, Debug)]
#[must_use]
pub struct MacAuthLayer<A = Account> {
    config: Arc<Config<A>>,
}

impl<P: Provider> MacAuthLayer<Account<P>> {
    /// Signs as this account, and for the [hosts](Provider::authorities) of its provider.
    pub fn new(account: Account<P>) -> Self {
        let allowed = account.provider().authorities().clone();
        Self::with(account, allowed)
    }
}

impl<P: Provider> MacAuthLayer<PerRequest<P>> {
    /// Signs each request as the account that it brings in its extensions, for the
    /// [hosts](Provider::authorities) of this provider, whose client the account must be of: see
    /// [`PerRequest`].
    pub fn per_request(provider: &P) -> Self {
        Self::with(PerRequest::new(provider), provider.authorities().clone())
    }
}

impl<A: Identity> MacAuthLayer<A> {
    fn with(identity: A, allowed: AllowedAuthorities) -> Self {
        let config = Config {
            identity,
            allowed,
            // Over `http`, too: they hold nothing of ours.
            unsigned: AllowedAuthorities::default().allow_plain_http(true),
            resend_cap: RESEND_CAP,
            inspection_limit: INSPECTION_LIMIT,
            report_every_attempt: false,
        };
        Self {
            config: Arc::new(config),
        }
    }

    fn change(&mut self) -> &mut Config<A> {
        Arc::make_mut(&mut self.config)
    }

    /// Allows these hosts, and no others.
    pub fn allowed_authorities(mut self, allowed: AllowedAuthorities) -> Self {
        self.change().allowed = allowed;
        self
    }

    /// Allows this `host` or `host:port` too.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn allow(mut self, authority: &str) -> Result<Self, AllowedAuthoritiesError> {
        let config = self.change();
        config.allowed = mem::take(&mut config.allowed).allow(authority)?;
        Ok(self)
    }

    /// Lets requests to this `host` or `host:port` through as they are: no credential is added, none
    /// is waited for, and their responses are not read. It is for what an API links or redirects to, a
    /// CDN for example. They need no account. A host that is allowed is signed for all the same.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn allow_unsigned(mut self, authority: &str) -> Result<Self, AllowedAuthoritiesError> {
        let config = self.change();
        config.unsigned = mem::take(&mut config.unsigned).allow(authority)?;
        Ok(self)
    }

    /// How many bytes of a request body are kept, while they are sent, to be sent again; a longer body
    /// is sent once. Default: 64 KiB. With 0 no request is sent again, not
    /// even one without a body, and nothing is kept or cloned: a refusal goes back to the caller,
    /// while the credential is refreshed for the next request.
    pub fn resend_cap(mut self, bytes: usize) -> Self {
        self.change().resend_cap = bytes;
        self
    }

    /// How long a response may be held up while its body, which could be a refusal, arrives.
    /// Default: 1 s.
    ///
    /// With zero no response is held up, and only what comes along with its head is read. Make
    /// such a layer, of the same account, for long polls and event streams that are typed as JSON:
    /// their first byte may come late.
    pub fn inspection_limit(mut self, limit: Duration) -> Self {
        self.change().inspection_limit = limit;
        self
    }

    /// Puts [`Generation`](crate::store::Generation) and [`Attempt`](super::Attempt) into the
    /// extensions of every request that the inner service gets, and of every response, at the price
    /// of some allocations each. Default: only of a request that is sent again and its response, and
    /// of a response that is a refusal.
    pub fn report_every_attempt(mut self, report: bool) -> Self {
        self.change().report_every_attempt = report;
        self
    }
}

impl<S, A: Identity> Layer<S> for MacAuthLayer<A> {
    type Service = MacAuth<S, A>;

    fn layer(&self, inner: S) -> Self::Service {
        MacAuth::new(inner, Arc::clone(&self.config))
    }
}
