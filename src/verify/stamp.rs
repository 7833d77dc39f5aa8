use std::fmt;
use std::time::Duration;

use super::VerifyError;
use crate::Timestamp;
use crate::provider::http_mac::Attributes;
use crate::provider::xiaomi::Nonce;
use crate::sign::SignError;

/// What is signed beside the request.
#[derive(Clone)]
pub(super) enum Stamp {
    Xiaomi {
        nonce: Nonce,
        /// The access token is spelt alike in a query.
        bare_token: bool,
    },
    HttpMac {
        /// Of revision 01, and what tells it from 00.
        ts: Option<String>,
        nonce: String,
        bodyhash: String,
        ext: String,
    },
}

/// A [`Stamp`], as what a signer of its kind takes.
pub(super) enum Signed<'a> {
    Xiaomi(&'a Nonce),
    HttpMac(Attributes<'a>),
}

impl Stamp {
    pub(super) fn signed(&self) -> Result<Signed<'_>, SignError> {
        match self {
            Self::Xiaomi { nonce, .. } => Ok(Signed::Xiaomi(nonce)),
            Self::HttpMac {
                ts,
                nonce,
                bodyhash,
                ext,
            } => {
                let attributes = match ts {
                    None => Attributes::v00(nonce)?,
                    Some(ts) => Attributes::v01(ts, nonce)?,
                };
                let attributes = attributes.with_bodyhash(bodyhash)?.with_ext(ext)?;
                Ok(Signed::HttpMac(attributes))
            }
        }
    }

    /// When the client signed the request, as it says: where that begins, and how long it takes. `issued_at`
    /// is when the key was.
    pub(super) fn signed_within(
        &self,
        issued_at: Option<Timestamp>,
    ) -> Result<(Timestamp, Duration), VerifyError> {
        let malformed = VerifyError::malformed;
        let second = |at| (at, Duration::from_secs(1));
        match self {
            Self::Xiaomi { nonce, .. } => {
                let reason = "must be <signed 64-bit number>:<minutes>";
                let minutes = nonce.minutes().ok_or(malformed("nonce", reason))?;
                let at = Timestamp::from_secs(minutes.saturating_mul(60));
                Ok((at, Duration::from_secs(60)))
            }
            Self::HttpMac { ts: Some(ts), .. } => {
                let secs = ts.parse().map_err(|_| malformed("ts", "is too long"))?;
                Ok(second(Timestamp::from_secs(secs)))
            }
            Self::HttpMac { nonce, .. } => {
                let age = age_in(nonce).ok_or(malformed("nonce", "must be <age>:<random>"))?;
                let issued_at = issued_at.ok_or(malformed("issued_at", "is missing"))?;
                Ok(second(issued_at.saturating_add(Duration::from_secs(age))))
            }
        }
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xiaomi { nonce, .. } => nonce.fmt(f),
            // What is in `ext` is between the server and its client.
            Self::HttpMac { ts, nonce, .. } => f
                .debug_struct("HttpMac")
                .field("ts", ts)
                .field("nonce", nonce)
                .finish_non_exhaustive(),
        }
    }
}

/// The age in a nonce of revision 00.
fn age_in(nonce: &str) -> Option<u64> {
    let (age, random) = nonce.split_once(':')?;
    // `parse` would take a plus sign.
    let digits = age.bytes().all(|byte| byte.is_ascii_digit());
    let age = age.parse().ok().filter(|_| digits)?;
    (!random.is_empty()).then_some(age)
}
