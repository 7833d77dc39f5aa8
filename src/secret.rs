//! Text that must not leak: zeroized when dropped, never printed, compared in
//! constant time.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

macro_rules! secret_text {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// Zeroized when dropped; `Debug` prints `[redacted]`; there is no `Display`; equality
        /// takes the same time wherever two texts of one length differ.
        #[derive(Clone)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// Takes the text over as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(Zeroizing::new(text.into()))
            }

            /// The text itself. Do not log it.
            pub fn expose_secret(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[redacted]")
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::new(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
    )*};
}

secret_text! {
    /// An access token: names the grant in each signed request.
    AccessToken;
    /// The `mac_key` as the provider sent it: the key is this text, never base64-decoded.
    MacKeyText;
    /// A refresh token: works once.
    RefreshToken;
    /// The client's secret at the token endpoint.
    ClientSecret;
    /// Proves that whoever brings an authorization code is who asked for it (RFC 7636): 43 to 128
    /// characters `A-Z a-z 0-9 - . _ ~`. What goes out with the question is its
    /// [challenge](CodeVerifier::challenge), and the verifier itself goes
    /// [with the code](crate::AuthorizationCode::with_verifier).
    CodeVerifier;
    /// A value that a provider sent beside the tokens: an `id_token`, an `instance_url`. It may be a
    /// secret, so it is kept like one.
    Extra;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_text() {
        assert_eq!(format!("{:?}", RefreshToken::new("R-1")), "[redacted]");
    }

    #[test]
    fn equality_is_of_the_whole_text() {
        assert_eq!(MacKeyText::new("abc"), MacKeyText::from("abc"));
        assert_ne!(MacKeyText::new("abc"), MacKeyText::new("abd"));
        assert_ne!(MacKeyText::new("abc"), MacKeyText::new("ab"));
    }
}
