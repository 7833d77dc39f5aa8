use std::fmt;

use super::base64::Base64;
use super::encode::UPPER_HEX;
use super::hmac::{Hmac, Sha1, Sha256, Sha512};
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
    HmacSha1(Hmac<Sha1, 64, 20>),
    HmacSha256(Hmac<Sha256, 64, 32>),
    HmacSha512(Hmac<Sha512, 128, 64>),
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
        Ok(Self(match algorithm {
            Algorithm::HmacSha1 => Prepared::HmacSha1(Hmac::new(key)),
            Algorithm::HmacSha256 => Prepared::HmacSha256(Hmac::new(key)),
            Algorithm::HmacSha512 => Prepared::HmacSha512(Hmac::new(key)),
        }))
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
            Prepared::HmacSha256(_) => Algorithm::HmacSha256,
            Prepared::HmacSha512(_) => Algorithm::HmacSha512,
        }
    }

    /// The MAC of `message`, in padded standard base64: what a canonical string should give, to
    /// see why a request does not verify.
    pub fn mac(&self, message: &[u8]) -> String {
        let base64 = self.base64(message);
        base64.as_bytes().iter().copied().map(char::from).collect()
    }

    /// The MAC of `message` in hexadecimal, in lower case.
    pub fn hex(&self, message: &[u8]) -> String {
        hex(self.tag(message).as_bytes())
    }

    /// The MAC of `message` in hexadecimal, in upper case.
    pub fn upper_hex(&self, message: &[u8]) -> String {
        hexadecimal(self.tag(message).as_bytes(), UPPER_HEX)
    }

    #[inline]
    fn tag(&self, message: &[u8]) -> Tag {
        match &self.0 {
            Prepared::HmacSha1(hmac) => Tag::HmacSha1(hmac.mac(message)),
            Prepared::HmacSha256(hmac) => Tag::HmacSha256(hmac.mac(message)),
            Prepared::HmacSha512(hmac) => Tag::HmacSha512(hmac.mac(message)),
        }
    }

    /// The MAC of `message` in padded standard base64.
    #[inline]
    pub(crate) fn base64(&self, message: &[u8]) -> Base64 {
        match &self.0 {
            Prepared::HmacSha1(hmac) => Base64::of::<6, 32, 20>(&hmac.mac(message)),
            Prepared::HmacSha256(hmac) => Base64::of::<9, 48, 32>(&hmac.mac(message)),
            Prepared::HmacSha512(hmac) => Base64::of::<18, 96, 64>(&hmac.mac(message)),
        }
    }

    /// The MAC, if it is of SHA-1. Its bytes go from the hash into registers, which those of any
    /// [`Tag`] do not.
    #[inline]
    pub(crate) fn sha1_tag(&self, message: &[u8]) -> Option<[u8; 20]> {
        match &self.0 {
            Prepared::HmacSha1(hmac) => Some(hmac.mac(message)),
            _ => None,
        }
    }
}

/// Bytes in hexadecimal, in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    hexadecimal(bytes, b"0123456789abcdef")
}

fn hexadecimal(bytes: &[u8], digits: &[u8; 16]) -> String {
    let digit = |value: u8| char::from(digits[usize::from(value & 15)]);
    let pairs = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)]);
    pairs.collect()
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacKey({}, [redacted])", self.algorithm())
    }
}

/// The bytes of a MAC.
#[derive(Clone, Copy)]
enum Tag {
    HmacSha1([u8; 20]),
    HmacSha256([u8; 32]),
    HmacSha512([u8; 64]),
}

impl Tag {
    #[inline]
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::HmacSha1(bytes) => bytes,
            Self::HmacSha256(bytes) => bytes,
            Self::HmacSha512(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;
    use crate::sign::SignErrorKind;

    fn key(text: &str) -> Result<MacKey, SignError> {
        MacKey::new(Algorithm::HmacSha1, &MacKeyText::new(text))
    }

    /// Case 2 of RFC 2202 and of RFC 4231.
    #[test]
    fn each_mac_is_the_one_of_its_rfc() {
        for (algorithm, hex) in [
            (
                Algorithm::HmacSha1,
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            ),
            (
                Algorithm::HmacSha256,
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                Algorithm::HmacSha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549\
                 758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            let key = MacKey::new(algorithm, &MacKeyText::new("Jefe")).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            let message = b"what do ya want for nothing?";
            assert_eq!(key.hex(message), hex);
            assert_eq!(key.upper_hex(message), hex.to_uppercase());
            let mac = BASE64_STANDARD.decode(key.mac(message)).unwrap();
            assert_eq!(mac, key.tag(message).as_bytes());
        }
        let mac = key("Jefe").unwrap().mac(b"what do ya want for nothing?");
        assert_eq!(mac, "7/zfauXrL6LSdBbV8YTfnCWafHk=");
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
