use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest as _, Sha1};
use sha2::{Sha256, Sha512};

use crate::sign::Algorithm;

/// The value of `bodyhash`: the hash of the whole body, by the hash function of the key's algorithm, in
/// base64. That of an empty body is not empty.
pub(crate) fn body_hash(algorithm: Algorithm, body: &[u8]) -> String {
    match algorithm {
        Algorithm::HmacSha1 => BASE64_STANDARD.encode(Sha1::digest(body)),
        Algorithm::HmacSha256 => BASE64_STANDARD.encode(Sha256::digest(body)),
        Algorithm::HmacSha512 => BASE64_STANDARD.encode(Sha512::digest(body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of the draft's own request, and what FIPS 180-4 gives for nothing and for `abc`.
    #[test]
    fn each_hash_is_the_published_one() {
        for (algorithm, body, hash) in [
            (
                Algorithm::HmacSha1,
                "hello=world%21",
                "k9kbtCIy0CkI3/FEfpS/oIDjk6k=",
            ),
            (Algorithm::HmacSha1, "", "2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
            (
                Algorithm::HmacSha256,
                "",
                "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            ),
            (
                Algorithm::HmacSha256,
                "abc",
                "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
            ),
            (
                Algorithm::HmacSha512,
                "abc",
                "3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==",
            ),
        ] {
            assert_eq!(body_hash(algorithm, body.as_bytes()), hash, "{algorithm}");
        }
    }
}
