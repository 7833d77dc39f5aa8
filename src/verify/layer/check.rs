//! Whether a request is let through.

use std::hint::black_box;
use std::sync::LazyLock;

use bytes::Bytes;
use http::request::Parts;
use http_body::Body;

use super::answer::Denial;
use super::config::Config;
use super::received;
use crate::body::Unread;
use crate::sign::{Algorithm, MacKey};
use crate::verify::{ClaimError, KeyLookup, MacAuthorization, NonceStore, TokenKeys, Verifier};
use crate::{MacKeyText, ReadAhead};

/// What a request is checked with whose token is not known, so that it takes as long. Nobody knows it.
static DECOY: LazyLock<MacKey> = LazyLock::new(|| {
    let text = MacKeyText::new(fastrand::u128(..).to_string());
    let decoy = MacKey::new(Algorithm::HmacSha1, &text);
    decoy.unwrap_or_else(|_| unreachable!("a number is a key"))
});

impl<L: KeyLookup, N: NonceStore> Config<L, N> {
    /// Who calls, and what that request alone is signed with. A body that is signed is read, and is
    /// there to be read again.
    pub(crate) async fn check<B>(
        &self,
        head: &Parts,
        body: &mut ReadAhead<B>,
    ) -> Result<(L::Caller, MacAuthorization), Denial>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let authorization = received::authorization(head)?;
        let host = received::host(head, self.host.as_deref(), self.default_port)?;
        let found = self.lookup.look_up(authorization.access_token().clone());
        let found = found.await;
        let found = found.map_err(|error| Denial::Unavailable(error.into()))?;
        let parts = received::parts(head, &host);
        let Some(keys) = found else {
            // A token that nobody knows costs as much as one whose MAC is wrong.
            let checked = self
                .verifier
                .check_mac([Some(&DECOY), None], &parts, &authorization);
            let _ = black_box(checked);
            return Err(Denial::Token);
        };
        let TokenKeys {
            caller,
            key,
            former,
        } = keys;
        let signed = if self.verifier.signs_body(head) {
            Some(self.read(body).await?)
        } else {
            None
        };
        let parts = parts.with_body(signed.as_deref());
        let keys = [Some(&key), former.as_ref()];
        let macs = keys.map(|key| key.map(|key| &key.key));
        let matched = self.verifier.check_mac(macs, &parts, &authorization);
        // The one that it was signed with: the moment counts from when that was issued.
        let matched = keys.get(matched.map_err(Denial::Signature)?);
        let key = matched.copied().flatten().unwrap_or(&key);
        let authorization = match key.issued_at {
            Some(issued_at) => authorization.with_issued_at(issued_at),
            None => authorization,
        };
        // Only of whoever can sign is more read, or remembered: nobody else is to fill the memory.
        if authorization.bodyhash().is_some() {
            let body = self.read(body).await?;
            Verifier::check_body(key.key.algorithm(), &body, &authorization)
                .map_err(Denial::Signature)?;
        }
        let claimed = self.nonces.claim(&authorization, self.clock.now()).await;
        match claimed {
            Ok(()) => Ok((caller, authorization)),
            Err(ClaimError::Refused(error)) => Err(Denial::Signature(error)),
            Err(ClaimError::Unavailable(error)) => Err(Denial::Unavailable(error)),
        }
    }

    async fn read<B>(&self, body: &mut ReadAhead<B>) -> Result<Bytes, Denial>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        body.read(self.body_cap)
            .await
            .map_err(|unread| match unread {
                Unread::TooLong => Denial::TooLong,
                Unread::Broken => Denial::Broken,
            })
    }
}
