use std::time::Duration;

use redis::Cmd;
use redis::aio::MultiplexedConnection;
use sha2::{Digest as _, Sha256};

use super::RedisStore;
use super::link::Kind;
use crate::Timestamp;
use crate::sign::hex;
use crate::verify::{ClaimError, MacAuthorization, NonceStore, VerifyError, check_window};

/// Nonces that many servers claim together, in Redis: each works once, whichever server it comes to.
///
/// A nonce is one key, named by a hash of nonce and token, whose value is random, and ends by itself once
/// it is too old to be taken. The user of the connection needs the right to `SET` and `GET` them, and
/// the server must evict nothing, as for a [`RedisStore`], whose connection and checks these are.
///
/// If Redis cannot be reached, no request is let through.
#[derive(Clone, Debug)]
pub struct RedisNonces {
    store: RedisStore,
    window: Duration,
}

impl RedisNonces {
    /// Accepts nonces up to `window` from the current time. The servers that share them have to have
    /// the same window.
    pub const fn new(store: RedisStore, window: Duration) -> Self {
        Self { store, window }
    }

    fn key(&self, authorization: &MacAuthorization) -> String {
        let mut hash = Sha256::new();
        for part in [
            authorization.access_token().expose_secret(),
            authorization.ts().unwrap_or_default(),
            authorization.nonce(),
        ] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        let mut key = self.store.0.keys.of("nonce:");
        key.push_str(&hex(&hash.finalize()[..16]));
        key
    }
}

impl NonceStore for RedisNonces {
    async fn claim(
        &self,
        authorization: &MacAuthorization,
        now: Timestamp,
    ) -> Result<(), ClaimError> {
        check_window(authorization, now, self.window).map_err(ClaimError::Refused)?;
        // As long as it could still be taken, from the future end of the window to the past one.
        let lives = self.window.saturating_mul(2).as_millis() + 60_000;
        let lives = u64::try_from(lives).unwrap_or(u64::MAX);
        let key = &self.key(authorization);
        // By which a claim is known that is made again, because its answer did not come.
        let id = getrandom::u64().map_err(|error| ClaimError::Unavailable(error.into()))?;
        let id = &id.to_string();
        let set = |condition| {
            let mut set = Cmd::new();
            set.arg("SET").arg(key).arg(id);
            set.arg(condition).arg("PX").arg(lives);
            set
        };
        let claim = |mut connection: MultiplexedConnection| async move {
            let first = set("NX");
            let first: Option<String> = first.query_async(&mut connection).await?;
            if first.is_some() {
                return Ok(true);
            }
            let get = Cmd::new().arg("GET").arg(key).take();
            let claimed: Option<String> = get.query_async(&mut connection).await?;
            if claimed.as_ref() != Some(id) {
                return Ok(false);
            }
            // Once more, so that replicas confirm it to this connection.
            set("XX").query_async::<()>(&mut connection).await?;
            Ok(true)
        };
        match self.store.0.link.run(Kind::Repeatable, claim).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ClaimError::Refused(VerifyError::REPLAYED)),
            Err(error) => Err(ClaimError::Unavailable(error.into())),
        }
    }
}
