use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::KeyInit as _;
use hmac::block_api::HmacCore;
use hmac::digest::Output;
use hmac::digest::block_api::{Buffer, FixedOutputCore as _, UpdateCore as _};
use sha1::Sha1;

use super::{Algorithm, SignError};
use crate::{ClientSecret, MacKeyText};

/// No provider issues a longer key; a longer text is a mistake or an attack.
const MAX_KEY: usize = 4096;

/// A MAC key made ready: the HMAC state after the key's own two blocks.
///
/// Made once per token; a signature clones the state. Zeroized when dropped, and `Debug` shows
/// the algorithm alone.
#[derive(Clone)]
pub struct MacKey(Prepared);

#[derive(Clone)]
enum Prepared {
    /// The bare core: `Hmac` would carry, and copy, an empty block with it.
    HmacSha1(HmacCore<Sha1>),
}

impl MacKey {
    /// Prepares `key` for `algorithm`. The key is the UTF-8 text itself, never base64-decoded:
    /// both vectors Xiaomi has published hold only so.
    ///
    /// # Errors
    ///
    /// Names `mac_key` when it is empty or longer than 4 KiB.
    pub fn new(algorithm: Algorithm, key: &MacKeyText) -> Result<Self, SignError> {
        Self::prepare(algorithm, "mac_key", key.expose_secret())
    }

    fn prepare(algorithm: Algorithm, field: &'static str, key: &str) -> Result<Self, SignError> {
        let key = key.as_bytes();
        if key.is_empty() {
            return Err(SignError::empty(field));
        }
        if key.len() > MAX_KEY {
            return Err(SignError::too_long(field, "is longer than 4 KiB"));
        }
        match algorithm {
            Algorithm::HmacSha1 => HmacCore::new_from_slice(key)
                .map(|state| Self(Prepared::HmacSha1(state)))
                .map_err(|_| SignError::malformed(field, "has a length HMAC cannot take")),
        }
    }

    /// The same, of a client's secret, where that is what signs.
    ///
    /// # Errors
    ///
    /// Names `client_secret` when it is empty or longer than 4 KiB.
    pub fn of_secret(algorithm: Algorithm, secret: &ClientSecret) -> Result<Self, SignError> {
        Self::prepare(algorithm, "client_secret", secret.expose_secret())
    }

    /// The algorithm the key is for.
    pub const fn algorithm(&self) -> Algorithm {
        match self.0 {
            Prepared::HmacSha1(_) => Algorithm::HmacSha1,
        }
    }

    /// The MAC of `message`, in padded standard base64: what a canonical string should give, to
    /// see why a request does not verify.
    pub fn mac(&self, message: &[u8]) -> String {
        BASE64_STANDARD.encode(self.tag(message).as_bytes())
    }

    #[inline]
    pub(crate) fn tag(&self, message: &[u8]) -> Tag {
        match &self.0 {
            Prepared::HmacSha1(state) => {
                let mut state = state.clone();
                let mut block = Buffer::<HmacCore<Sha1>>::default();
                block.digest_blocks(message, |blocks| state.update_blocks(blocks));
                let mut tag = Output::<HmacCore<Sha1>>::default();
                state.finalize_fixed_core(&mut block, &mut tag);
                Tag::HmacSha1(tag)
            }
        }
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacKey({}, [redacted])", self.algorithm())
    }
}

/// The longest MAC, in bytes.
pub(crate) const MAX_TAG: usize = 20;

/// The bytes of a MAC.
#[derive(Clone, Copy)]
pub(crate) enum Tag {
    HmacSha1(Output<HmacCore<Sha1>>),
}

impl Tag {
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::HmacSha1(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::SignErrorKind;

    fn key(text: &str) -> Result<MacKey, SignError> {
        MacKey::new(Algorithm::HmacSha1, &MacKeyText::new(text))
    }

    /// RFC 2202, case 2.
    #[test]
    fn the_mac_is_the_one_of_rfc_2202() {
        assert_eq!(
            key("Jefe").unwrap().mac(b"what do ya want for nothing?"),
            "7/zfauXrL6LSdBbV8YTfnCWafHk="
        );
    }

    #[test]
    fn a_key_of_4_kib_is_taken() {
        assert!(key(&"k".repeat(4096)).is_ok());
    }

    #[test]
    fn an_empty_key_is_refused_by_name() {
        let error = key("").unwrap_err();
        assert_eq!(error.to_string(), "mac_key: is empty");
    }

    #[test]
    fn a_key_of_10_kib_is_refused_by_name() {
        let error = key(&"k".repeat(10 * 1024)).unwrap_err();
        assert_eq!(error.kind(), SignErrorKind::TooLong);
        assert_eq!(error.to_string(), "mac_key: is longer than 4 KiB");
    }

    #[test]
    fn debug_never_shows_the_key() {
        let shown = format!("{:?}", key("sesame").unwrap());
        assert_eq!(shown, "MacKey(hmac-sha-1, [redacted])");
    }
}
