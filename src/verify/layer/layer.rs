use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::config::Config;
use super::service::VerifyMac;
use crate::verify::{KeyLookup, NonceStore, Verifier};
use crate::{Clock, SystemClock};

/// How much of a body is read that is signed.
const BODY_CAP: usize = 64 * 1024;

/// Lets only requests through that were signed with the key of their access token, and each once. See
/// the [module docs](crate::verify#in-a-server).
#[must_use]
pub struct VerifyMacLayer<L, N> {
    pub(crate) config: Arc<Config<L, N>>,
}

impl<L: KeyLookup, N: NonceStore> VerifyMacLayer<L, N> {
    /// Checks requests as this verifier does, with the keys that are looked up, and claims their
    /// nonces there.
    pub fn new(verifier: Verifier, lookup: L, nonces: N) -> Self {
        Self {
            config: Arc::new(Config {
                verifier,
                lookup: Arc::new(lookup),
                nonces: Arc::new(nonces),
                clock: Arc::new(SystemClock),
                host: None,
                default_port: None,
                body_cap: BODY_CAP,
                report_only: false,
            }),
        }
    }

    fn change(&mut self) -> &mut Config<L, N> {
        Arc::make_mut(&mut self.config)
    }

    /// The clock that the moments of requests are compared with. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.change().clock = Arc::new(clock);
        self
    }

    /// The host that clients sign, with its port if that is not the usual one: for a server that is
    /// known by another name than its requests have when they arrive, behind a proxy that changes
    /// `Host`. Default: what the request says.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.change().host = Some(host.into().into());
        self
    }

    /// The port that clients sign if the host names none: the drafts sign one. Default: 80 if the request
    /// says `http` and no [host](Self::host) is given, 443 if not. Say it where a proxy ends TLS.
    pub fn default_port(mut self, port: u16) -> Self {
        self.change().default_port = Some(port);
        self
    }

    /// How many bytes of a body are read if the body is signed; a longer one is answered with 413. All
    /// other bodies are passed on as they come. Default: 64 KiB.
    pub fn body_cap(mut self, bytes: usize) -> Self {
        self.change().body_cap = bytes;
        self
    }

    /// Lets each request through, and only says what would have become of it: a request that would
    /// have been refused has [`NotVerified`](super::NotVerified) in its extensions, and a `tracing`
    /// event at level `WARN`. For the days before clients must sign. Default: off.
    pub fn report_only(mut self, report: bool) -> Self {
        self.change().report_only = report;
        self
    }
}

impl<L, N> Clone for VerifyMacLayer<L, N> {
    fn clone(&self) -> Self {
        Self {
            config: Arc::clone(&self.config),
        }
    }
}

impl<L, N> fmt::Debug for VerifyMacLayer<L, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyMacLayer")
            .field("verifier", &self.config.verifier)
            .field("host", &self.config.host)
            .field("report_only", &self.config.report_only)
            .finish_non_exhaustive()
    }
}

impl<S, L, N> Layer<S> for VerifyMacLayer<L, N> {
    type Service = VerifyMac<S, L, N>;

    fn layer(&self, inner: S) -> Self::Service {
        VerifyMac::new(inner, Arc::clone(&self.config))
    }
}
