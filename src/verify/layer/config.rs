use std::sync::Arc;

use crate::Clock;
use crate::verify::Verifier;

/// What all services of a layer share.
pub(crate) struct Config<L, N> {
    pub(super) verifier: Verifier,
    pub(super) lookup: Arc<L>,
    pub(super) nonces: Arc<N>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) host: Option<Box<str>>,
    pub(super) default_port: Option<u16>,
    pub(super) body_cap: usize,
    pub(super) report_only: bool,
}

impl<L, N> Clone for Config<L, N> {
    fn clone(&self) -> Self {
        Self {
            verifier: self.verifier.clone(),
            lookup: Arc::clone(&self.lookup),
            nonces: Arc::clone(&self.nonces),
            clock: Arc::clone(&self.clock),
            host: self.host.clone(),
            default_port: self.default_port,
            body_cap: self.body_cap,
            report_only: self.report_only,
        }
    }
}
