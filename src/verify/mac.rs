use std::fmt;
use std::str::FromStr;

use subtle::{Choice, ConstantTimeEq as _};

use super::VerifyError;
use crate::sign::base64::{ALPHANUMERIC, Base64, MAX_BASE64, is_base64};

/// A MAC as a peer has sent it: base64, which is not decoded, for what it is compared with is the text
/// that a signer makes. Compared in constant time; `Debug` shows nothing.
#[derive(Clone)]
pub struct Mac(Text);

/// The text, and zeroes.
type Text = [u8; MAX_BASE64];

/// The characters of a MAC of SHA-1 without the padding.
const SHA1: usize = 27;

impl Mac {
    /// Takes the same time wherever the two differ.
    #[inline]
    pub(super) fn matches(&self, mac: &Base64) -> Choice {
        // Words, because each takes as long to compare in constant time as a byte.
        let words = |text: &Text| -> [u64; MAX_BASE64 / 8] {
            let mut words = [0; MAX_BASE64 / 8];
            for (word, eight) in words.iter_mut().zip(text.as_chunks().0) {
                *word = u64::from_le_bytes(*eight);
            }
            words
        };
        let pairs = words(&self.0).into_iter().zip(words(mac.padded()));
        let differ = pairs.fold(0, |differ, (one, other)| differ | (one ^ other));
        differ.ct_eq(&0)
    }

    /// A MAC of SHA-1 as it is form-encoded, if only its padding has an escape: nearly every second one.
    #[inline]
    pub(super) fn usual_encoded(encoded: &[u8]) -> Option<Self> {
        let (characters, padding): (&[u8; SHA1], _) = encoded.split_first_chunk()?;
        if padding != b"%3D" || !ALPHANUMERIC.has_all(characters) {
            return None;
        }
        let mut text = [0; MAX_BASE64];
        text[..SHA1].copy_from_slice(characters);
        text[SHA1] = b'=';
        Some(Self(text))
    }
}

impl FromStr for Mac {
    type Err = VerifyError;

    /// Reads padded standard base64.
    fn from_str(text: &str) -> Result<Self, VerifyError> {
        let text = text.as_bytes();
        if text.is_empty() {
            return Err(VerifyError::malformed("mac", "is empty"));
        }
        if text.len() > MAX_BASE64 {
            return Err(VerifyError::malformed("mac", "is longer than any MAC"));
        }
        if !is_base64(text) {
            return Err(VerifyError::malformed("mac", "is not base64"));
        }
        let mut padded = [0; MAX_BASE64];
        padded[..text.len()].copy_from_slice(text);
        Ok(Self(padded))
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
