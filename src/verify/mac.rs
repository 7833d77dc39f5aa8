use std::fmt;
use std::str::FromStr;

use subtle::{Choice, ConstantTimeEq as _};

use super::VerifyError;
use crate::sign::base64::{Base64, MAX_BASE64, is_base64};

/// A MAC as a peer has sent it: base64, which is not decoded, for what it is compared with is the text
/// that a signer makes. Compared in constant time; `Debug` shows nothing.
#[derive(Clone)]
pub struct Mac(Words);

/// The text, and zeroes: words, because each takes as long to compare in constant time as a byte.
type Words = [u64; MAX_BASE64 / 8];

/// `text` is as long as a MAC at most.
#[inline]
fn words(text: &[u8]) -> Words {
    let mut words = [0; MAX_BASE64 / 8];
    let (eights, rest) = text.as_chunks();
    for (word, eight) in words.iter_mut().zip(eights) {
        *word = u64::from_le_bytes(*eight);
    }
    if let Some(word) = words.get_mut(eights.len()) {
        for byte in rest.iter().rev() {
            *word = *word << 8 | u64::from(*byte);
        }
    }
    words
}

impl Mac {
    /// Takes the same time wherever the two differ.
    pub(super) fn matches(&self, mac: &Base64) -> Choice {
        self.0.ct_eq(&words(mac.as_bytes()))
    }

    pub(super) fn read(text: &[u8]) -> Result<Self, VerifyError> {
        if text.is_empty() {
            return Err(VerifyError::malformed("mac", "is empty"));
        }
        if text.len() > MAX_BASE64 {
            return Err(VerifyError::malformed("mac", "is longer than any MAC"));
        }
        if !is_base64(text) {
            return Err(VerifyError::malformed("mac", "is not base64"));
        }
        Ok(Self(words(text)))
    }
}

impl FromStr for Mac {
    type Err = VerifyError;

    /// Reads padded standard base64.
    fn from_str(text: &str) -> Result<Self, VerifyError> {
        Self::read(text.as_bytes())
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MacKeyText;
    use crate::sign::{Algorithm, MacKey};

    #[test]
    fn a_mac_that_is_not_base64_is_refused_by_name() {
        for (text, error) in [
            ("", "mac: is empty"),
            ("m/M1Ia6fOBfKWUbae5G5UXnqh5I", "mac: is not base64"),
            ("m_M1Ia6fOBfKWUbae5G5UXnqh5I=", "mac: is not base64"),
            (&"A".repeat(92), "mac: is longer than any MAC"),
        ] {
            assert_eq!(text.parse::<Mac>().unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn a_mac_matches_itself_alone() {
        let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new("k")).unwrap();
        let mac: Mac = key.mac(b"one").parse().unwrap();
        assert!(bool::from(mac.matches(&key.base64(b"one"))));
        assert!(!bool::from(mac.matches(&key.base64(b"other"))));
        let short: Mac = "AAAA".parse().unwrap();
        assert!(!bool::from(short.matches(&key.base64(b"one"))));
    }
}
