use std::fmt;
use std::str::FromStr;

/// The MAC algorithm a token is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-1 (RFC 2104), the one the Xiaomi Open API issues.
    HmacSha1,
    /// HMAC with SHA-256 (RFC 4868), the other one of the IETF drafts.
    HmacSha256,
    /// HMAC with SHA-512 (RFC 4868).
    HmacSha512,
}

impl Algorithm {
    /// The name as the IETF drafts spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha1 => "hmac-sha-1",
            Self::HmacSha256 => "hmac-sha-256",
            Self::HmacSha512 => "hmac-sha-512",
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

    /// Compares trimmed, without case, and without the hyphens: `HmacSha1`, `HmacSHA1`, `" HMacSha1"`
    /// are what the Xiaomi documents and servers write, `hmac-sha-1` the IETF drafts, `HMAC-SHA256`
    /// many others.
    fn from_str(name: &str) -> Result<Self, AlgorithmError> {
        let is = |known: &str| {
            let letters = name.trim().bytes().filter(|byte| !b"-_".contains(byte));
            letters
                .map(|byte| byte.to_ascii_lowercase())
                .eq(known.bytes())
        };
        let known = [
            ("hmacsha1", Self::HmacSha1),
            ("hmacsha256", Self::HmacSha256),
            ("hmacsha512", Self::HmacSha512),
        ];
        let found = known.into_iter().find(|(known, _)| is(known));
        found.map_or(Err(AlgorithmError(())), |(_, algorithm)| Ok(algorithm))
    }
}

/// An algorithm was named that this crate does not know. The name is not shown: whoever answered
/// chose it, and may have put a secret there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlgorithmError(());

impl fmt::Display for AlgorithmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mac_algorithm: not known; hmac-sha-1, -256 and -512 are")
    }
}

impl std::error::Error for AlgorithmError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_seen_in_the_wild_is_read() {
        for (algorithm, names) in [
            (
                Algorithm::HmacSha1,
                &[
                    "HmacSha1",
                    "HmacSHA1",
                    "HMacSha1",
                    " HmacSha1",
                    "hmac-sha-1",
                    "HMAC-SHA1",
                    "HMACSHA1\n",
                ][..],
            ),
            (
                Algorithm::HmacSha256,
                &["hmac-sha-256", "HmacSHA256", "HMAC-SHA256", "HMAC_SHA256"],
            ),
            (
                Algorithm::HmacSha512,
                &["hmac-sha-512", "HmacSHA512", "hmac-sha512"],
            ),
        ] {
            for name in names {
                assert_eq!(name.parse(), Ok(algorithm), "{name:?}");
            }
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
        }
    }

    #[test]
    fn what_is_not_a_spelling_of_one_is_refused() {
        for name in [
            "",
            "-",
            "hmac",
            "sha1",
            "HmacSha",
            "HmacSha11",
            "HmacSha-512/256",
            "HmacMd5",
            "hmac sha1",
            "plain",
        ] {
            assert_eq!(
                name.parse::<Algorithm>(),
                Err(AlgorithmError(())),
                "{name:?}"
            );
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
