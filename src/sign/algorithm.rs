use std::fmt;
use std::str::FromStr;

/// The MAC algorithm a token is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-1 (RFC 2104), the one the Xiaomi Open API issues.
    HmacSha1,
}

impl Algorithm {
    /// The name as the IETF drafts spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha1 => "hmac-sha-1",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    /// Compares trimmed and without case: `HmacSha1`, `HmacSHA1`, `" HMacSha1"` are what
    /// the Xiaomi documents and servers write, `hmac-sha-1` the IETF drafts.
    fn from_str(name: &str) -> Result<Self, AlgorithmError> {
        let name = name.trim();
        if name.eq_ignore_ascii_case("hmacsha1") || name.eq_ignore_ascii_case("hmac-sha-1") {
            Ok(Self::HmacSha1)
        } else {
            Err(AlgorithmError(()))
        }
    }
}

/// An algorithm was named that this crate does not know. The name is not shown: whoever answered
/// chose it, and may have put a secret there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlgorithmError(());

impl fmt::Display for AlgorithmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mac_algorithm: not known; hmac-sha-1 is")
    }
}

impl std::error::Error for AlgorithmError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_seen_in_the_wild_is_read() {
        for name in [
            "HmacSha1",
            "HmacSHA1",
            "HMacSha1",
            " HmacSha1",
            "hmac-sha-1",
            "HMACSHA1\n",
        ] {
            assert_eq!(name.parse(), Ok(Algorithm::HmacSha1), "{name:?}");
        }
    }

    #[test]
    fn of_an_unknown_algorithm_only_the_field_is_named() {
        let error = "CANARY".parse::<Algorithm>().unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            shown.starts_with("mac_algorithm: ") && !shown.contains("CANARY"),
            "{shown}"
        );
    }
}
