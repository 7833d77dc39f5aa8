use std::time::Duration;

use crate::provider::AllowedAuthorities;

/// What all services of a layer share.
#[derive(Clone, Debug)]
pub(super) struct Config<A> {
    pub(super) identity: A,
    pub(super) allowed: AllowedAuthorities,
    pub(super) resend_cap: usize,
    pub(super) inspection_limit: Duration,
    pub(super) report_every_attempt: bool,
}
