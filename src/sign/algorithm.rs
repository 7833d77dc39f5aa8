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
    type Err = UnknownAlgorithm;

    /// Compares trimmed and without case: `HmacSha1`, `HmacSHA1`, `" HMacSha1"` are what
    /// the Xiaomi documents and servers write, `hmac-sha-1` the IETF drafts.
    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        let name = name.trim();
        if name.eq_ignore_ascii_case("hmacsha1") || name.eq_ignore_ascii_case("hmac-sha-1") {
            Ok(Self::HmacSha1)
        } else {
            Err(UnknownAlgorithm {
                name: name.chars().take(32).collect(),
            })
        }
    }
}

/// The provider named an algorithm this crate does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAlgorithm {
    /// At most 32 characters: a server chose them.
    name: String,
}

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "mac_algorithm: {:?} is not known; hmac-sha-1 is",
            self.name
        )
    }
}

impl std::error::Error for UnknownAlgorithm {}

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
    fn an_unknown_algorithm_is_named() {
        let error = "HmacMd5".parse::<Algorithm>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "mac_algorithm: \"HmacMd5\" is not known; hmac-sha-1 is"
        );
    }
}
