//! Whether a request is let through.

use bytes::Bytes;
use http::request::Parts;

use super::answer::Denial;
use super::config::Config;
use super::received;
use crate::verify::{
    ClaimError, KeyLookup, MacAuthorization, NonceStore, TokenKeys, VerifyErrorKind,
};

impl<L: KeyLookup, N: NonceStore> Config<L, N> {
    /// Who calls. `body` is there if it is signed.
    pub(super) async fn check(
        &self,
        head: &Parts,
        authorization: MacAuthorization,
        body: Option<&Bytes>,
    ) -> Result<L::Caller, Denial> {
        let host = received::host(head, self.host.as_deref(), self.default_port)?;
        let found = self.lookup.look_up(authorization.access_token().clone());
        let found = found
            .await
            .map_err(|error| Denial::Unavailable(error.into()))?;
        let parts = received::parts(head, &host, body.map(|body| &**body));
        let issued_at = found.as_ref().and_then(|keys| keys.issued_at);
        let authorization = match issued_at {
            Some(issued_at) => authorization.with_issued_at(issued_at),
            None => authorization,
        };
        let keys = found.as_ref().map(|keys| (&keys.key, keys.former.as_ref()));
        // A token that nobody knows costs as much as one whose MAC is wrong.
        let (key, former) = keys.unwrap_or((&self.decoy, None));
        let mut checked = self.verifier.check(key, &parts, &authorization);
        if let (Err(error), Some(former)) = (&checked, former)
            && error.kind() == VerifyErrorKind::WrongMac
        {
            checked = self.verifier.check(former, &parts, &authorization);
        }
        let Some(TokenKeys { caller, .. }) = found else {
            return Err(Denial::Token);
        };
        checked.map_err(Denial::Signature)?;
        // Only now: whoever cannot sign must not fill the memory.
        let claimed = self.nonces.claim(&authorization, self.clock.now()).await;
        match claimed {
            Ok(()) => Ok(caller),
            Err(ClaimError::Refused(error)) => Err(Denial::Signature(error)),
            Err(ClaimError::Unavailable(error)) => Err(Denial::Unavailable(error)),
        }
    }
}
