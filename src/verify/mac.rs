use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use subtle::{Choice, ConstantTimeEq as _};

use super::VerifyError;
use crate::sign::Tag;

/// The longest MAC read: that of HMAC-SHA-512, should it ever join.
const MAX_MAC: usize = 64;

/// A MAC as a peer has sent it. Compared in constant time; `Debug` shows nothing.
#[derive(Clone)]
pub struct Mac(Vec<u8>);

impl Mac {
    /// Takes the same time wherever the two differ.
    pub(super) fn matches(&self, tag: &Tag) -> Choice {
        self.0.as_slice().ct_eq(tag.as_bytes())
    }
}

impl FromStr for Mac {
    type Err = VerifyError;

    /// Reads padded standard base64.
    fn from_str(text: &str) -> Result<Self, VerifyError> {
        if text.is_empty() {
            return Err(VerifyError::malformed("mac", "is empty"));
        }
        if text.len() > MAX_MAC.div_ceil(3) * 4 {
            return Err(VerifyError::malformed("mac", "is longer than any MAC"));
        }
        match BASE64_STANDARD.decode(text) {
            Ok(bytes) => Ok(Self(bytes)),
            Err(_) => Err(VerifyError::malformed("mac", "is not base64")),
        }
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
        let mac: Mac = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=".parse().unwrap();
        assert!(bool::from(mac.matches(&Tag::HmacSha1([0; 20]))));
        assert!(!bool::from(mac.matches(&Tag::HmacSha1([1; 20]))));
        let short: Mac = "AAAA".parse().unwrap();
        assert!(!bool::from(short.matches(&Tag::HmacSha1([0; 20]))));
        assert_eq!(format!("{mac:?}"), "[redacted]");
    }
}
