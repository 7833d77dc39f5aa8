//! An authorization code, and what goes with it.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::CodeVerifier;

/// An authorization code (RFC 6749 §4.1.2): works once, for minutes.
///
/// Zeroized when dropped; `Debug` prints `[redacted]`; there is no `Display`; equality takes the same
/// time wherever two texts of one length differ.
#[derive(Clone)]
pub struct AuthorizationCode {
    text: Zeroizing<String>,
    verifier: Option<CodeVerifier>,
}

impl AuthorizationCode {
    /// Takes the text over as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: Zeroizing::new(text.into()),
            verifier: None,
        }
    }

    /// With the verifier whose challenge was sent when the code was asked for.
    #[must_use]
    pub fn with_verifier(mut self, verifier: impl Into<CodeVerifier>) -> Self {
        self.verifier = Some(verifier.into());
        self
    }

    /// The text itself. Do not log it.
    pub fn expose_secret(&self) -> &str {
        &self.text
    }

    /// The verifier, if one goes with it.
    pub fn verifier(&self) -> Option<&CodeVerifier> {
        self.verifier.as_ref()
    }
}

impl PartialEq for AuthorizationCode {
    fn eq(&self, other: &Self) -> bool {
        let same_text: bool = self.text.as_bytes().ct_eq(other.text.as_bytes()).into();
        same_text && self.verifier == other.verifier
    }
}

impl Eq for AuthorizationCode {}

impl fmt::Debug for AuthorizationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<String> for AuthorizationCode {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for AuthorizationCode {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl CodeVerifier {
    /// A new one, of 256 random bits: 43 characters.
    ///
    /// # Panics
    ///
    /// If the operating system has no random bytes to give.
    pub fn random() -> Self {
        Self::new(random_text())
    }

    /// Its `S256` challenge (RFC 7636 §4.2).
    pub fn challenge(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(self.expose_secret()))
    }

    /// Whether it is what RFC 7636 §4.1 wants.
    pub(crate) fn is_valid(&self) -> bool {
        let text = self.expose_secret();
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
    }
}

/// 256 random bits, from the operating system, as 43 characters that no encoding changes.
pub(crate) fn random_text() -> String {
    let mut bits = Zeroizing::new([0; 32]);
    let filled = getrandom::fill(&mut *bits);
    assert!(
        filled.is_ok(),
        "the operating system has no random bytes to give"
    );
    BASE64_URL_SAFE_NO_PAD.encode(*bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, Appendix B.
    #[test]
    fn the_published_challenge_is_that_of_the_published_verifier() {
        let octets = [
            116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212,
            37, 77, 105, 214, 191, 240, 91, 88, 5, 88, 83, 132, 141, 121,
        ];
        let verifier = CodeVerifier::new(BASE64_URL_SAFE_NO_PAD.encode(octets));
        assert_eq!(
            verifier.expose_secret(),
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        );
        assert_eq!(
            verifier.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
        assert!(verifier.is_valid());
    }

    #[test]
    fn a_random_verifier_is_valid_and_comes_once() {
        let (one, other) = (CodeVerifier::random(), CodeVerifier::random());
        assert!(one.is_valid() && other.is_valid());
        assert_ne!(one, other);
    }

    #[test]
    fn only_43_to_128_unreserved_characters_are_a_verifier() {
        for (text, valid) in [
            ("a".repeat(42), false),
            ("a".repeat(43), true),
            ("-._~".repeat(32), true),
            ("a".repeat(129), false),
            (format!("{}+", "a".repeat(42)), false),
            (format!("{}\n", "a".repeat(43)), false),
            ("é".repeat(43), false),
        ] {
            assert_eq!(CodeVerifier::new(text.as_str()).is_valid(), valid, "{text}");
        }
    }

    #[test]
    fn a_code_is_its_text_and_its_verifier_and_shows_neither() {
        let code = AuthorizationCode::new("canary").with_verifier("canary");
        assert_eq!(format!("{code:?}"), "[redacted]");
        assert_eq!(code, code.clone());
        assert_ne!(code, AuthorizationCode::new("canary"));
        assert_ne!(
            code,
            AuthorizationCode::new("other").with_verifier("canary")
        );
    }
}
