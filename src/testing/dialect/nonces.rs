use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crate::Timestamp;
use crate::verify::MacAuthorization;

/// The nonces seen, by their minutes.
///
/// This is not a [`ReplayGuard`](crate::verify::ReplayGuard), which remembers nonces for each token: a
/// client that resends a request with the next token and the old nonce is to be caught here. Nor does
/// a `ReplayGuard` go back in time, as tests do.
#[derive(Default)]
pub(in crate::testing) struct Nonces(BTreeMap<u64, HashSet<String>>);

impl Nonces {
    /// `false` if it was seen before. Those too old to get this far are forgotten.
    pub(super) fn first_use(
        &mut self,
        authorization: &MacAuthorization,
        now: Timestamp,
        window: Duration,
    ) -> bool {
        let oldest = now.saturating_sub(window).as_secs() / 60;
        if self.0.keys().next().is_some_and(|first| *first < oldest) {
            self.0 = self.0.split_off(&oldest);
        }
        let signed = authorization.signed_within();
        let minute = signed.map_or(0, |(start, _)| start.as_secs() / 60);
        let seen = self.0.entry(minute).or_default();
        seen.insert(authorization.nonce().to_owned())
    }
}
