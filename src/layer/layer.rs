use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::authority::{AllowedAuthorities, AllowedAuthoritiesError};
use super::config::Config;
use super::identity::Identity;
use super::refusal::XiaomiRefusals;
use super::service::MacAuth;
use crate::account::Account;
use crate::sign::XiaomiOpenApi;

/// How much of a request body is kept to be sent again, unless told otherwise.
const RESEND_CAP: usize = 64 * 1024;
/// How long a response may be held up to see whether it is a refusal.
const INSPECTION_LIMIT: Duration = Duration::from_secs(1);

/// Signs every request that goes through, has a refused credential refreshed once, and sends the
/// refused request again.
/// See the [module docs](super).
#[derive(Clone, Debug)]
#[must_use]
pub struct MacAuthLayer<Sch = XiaomiOpenApi, P = XiaomiRefusals, A = Account> {
    config: Config<Sch, P, A>,
}

impl<A: Identity> MacAuthLayer<XiaomiOpenApi, XiaomiRefusals, A> {
    /// For the Xiaomi Open API: its signature, its refusals, and `open.account.xiaomi.com` as the
    /// one host allowed. [`allow`](Self::allow) names others.
    ///
    /// Signs as the [`Account`] it is given or, given [`PerRequest`](super::PerRequest), as the one
    /// that each request brings.
    pub fn xiaomi(identity: A) -> Self {
        Self::new(
            identity,
            XiaomiOpenApi::new(),
            XiaomiRefusals,
            AllowedAuthorities::xiaomi(),
        )
    }
}

impl<Sch, P, A: Identity> MacAuthLayer<Sch, P, A> {
    /// For any provider: whose credential signs, how the provider wants requests signed, how it
    /// refuses them, where it lives.
    pub fn new(identity: A, scheme: Sch, refusals: P, allowed: AllowedAuthorities) -> Self {
        let config = Config {
            identity,
            scheme,
            refusals,
            allowed,
            resend_cap: RESEND_CAP,
            inspection_limit: INSPECTION_LIMIT,
            report_every_response: false,
        };
        Self { config }
    }

    /// Signs with this scheme instead.
    pub fn scheme<T>(self, scheme: T) -> MacAuthLayer<T, P, A> {
        let Self { config } = self;
        MacAuthLayer {
            config: Config {
                identity: config.identity,
                scheme,
                refusals: config.refusals,
                allowed: config.allowed,
                resend_cap: config.resend_cap,
                inspection_limit: config.inspection_limit,
                report_every_response: config.report_every_response,
            },
        }
    }

    /// Allows these hosts, and no others.
    pub fn allowed_authorities(mut self, allowed: AllowedAuthorities) -> Self {
        self.config.allowed = allowed;
        self
    }

    /// Allows this `host` or `host:port` too.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn allow(mut self, authority: &str) -> Result<Self, AllowedAuthoritiesError> {
        self.config.allowed = self.config.allowed.allow(authority)?;
        Ok(self)
    }

    /// How many bytes of a request body are kept, while they are sent, to be sent again; a longer body
    /// is sent once. Default: 64 KiB. With 0 no request is sent again, not
    /// even one without a body, and nothing is kept or cloned: a refusal goes back to the caller,
    /// while the credential is refreshed for the next request.
    pub fn resend_cap(mut self, bytes: usize) -> Self {
        self.config.resend_cap = bytes;
        self
    }

    /// How long a response may be held up while its body, which could be a refusal, arrives.
    /// Default: 1 s.
    pub fn inspection_limit(mut self, limit: Duration) -> Self {
        self.config.inspection_limit = limit;
        self
    }

    /// Puts [`Generation`](crate::store::Generation) and [`Attempt`](super::Attempt) into the
    /// extensions of every response, at the price of some allocations each. Default: only of a
    /// response that is a refusal, or whose request was sent again.
    pub fn report_every_response(mut self, report: bool) -> Self {
        self.config.report_every_response = report;
        self
    }
}

impl<S, Sch: Clone, P: Clone, A: Identity> Layer<S> for MacAuthLayer<Sch, P, A> {
    type Service = MacAuth<S, Sch, P, A>;

    fn layer(&self, inner: S) -> Self::Service {
        MacAuth::new(inner, Arc::new(self.config.clone()))
    }
}
