use super::verifier::wrong_mac;
use super::{Mac, VerifyError};
use crate::ClientSecret;
use crate::provider::RequestParts;
use crate::provider::xiaomi::{Nonce, Signer, SigningRules};
use crate::sign::{Algorithm, MacKey, SignError, Text};

/// Checks the callbacks Xiaomi signs with the client's secret.
///
/// The vector that Xiaomi has published for callbacks holds only with an empty line in place of the
/// host, though the document beside it prints a host. So either is accepted: the callback's own host
/// or the empty line.
///
/// ```
/// use tower_mac_auth::ClientSecret;
/// use tower_mac_auth::provider::RequestParts;
/// use tower_mac_auth::verify::CallbackVerifier;
///
/// let verifier = CallbackVerifier::new(&ClientSecret::new("ORhx44qK6Alqf8vt2rGB5f-oPq0"))?;
/// let callback = RequestParts::new("GET", "app.example.com", "/xm")
///     .with_query("code=93D6A6663C1095587F68281E654D5526&xmResult=true&xmUserId=1909031");
/// let nonce = "5964262989045079397:24012419".parse()?;
/// let mac = "m/M1Ia6fOBfKWUbae5G5UXnqh5I=".parse()?;
/// verifier.check(&callback, &nonce, &mac)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CallbackVerifier {
    key: MacKey,
    rules: SigningRules,
}

impl CallbackVerifier {
    /// For callbacks to the client that has `secret`.
    ///
    /// # Errors
    ///
    /// Names `client_secret` when it is empty or longer than 4 KiB.
    pub fn new(secret: &ClientSecret) -> Result<Self, SignError> {
        Ok(Self {
            key: MacKey::of_secret(Algorithm::HmacSha1, secret)?,
            rules: SigningRules::new(),
        })
    }

    /// Checks that `mac` is the MAC of `callback` and `nonce`, with the callback's host or without.
    /// Takes the same time wherever the two differ.
    ///
    /// # Errors
    ///
    /// `WrongMac` if it is neither; `Unsignable` if the callback has a part that could not have
    /// been signed.
    pub fn check(
        &self,
        callback: &RequestParts<'_>,
        nonce: &Nonce,
        mac: &Mac,
    ) -> Result<(), VerifyError> {
        let expected = |signer| {
            let mut text = Text::new();
            let written = self
                .rules
                .write(&mut text, signer, callback, nonce, &mut None);
            let mac = written.map(|()| self.key.base64(text.as_slice()));
            mac.map_err(VerifyError::unsignable)
        };
        let mut matches = mac.matches(&expected(Signer::Xiaomi)?);
        if !callback.host.is_empty() {
            let client = Signer::Client { token: b"" };
            matches |= mac.matches(&expected(client)?);
        }
        if matches.into() {
            Ok(())
        } else {
            Err(wrong_mac())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MacKeyText;
    use crate::verify::VerifyErrorKind;

    const SECRET: &str = "ORhx44qK6Alqf8vt2rGB5f-oPq0";
    const QUERY: &str = "code=93D6A6663C1095587F68281E654D5526&xmResult=true&xmUserId=1909031";

    fn check(host: &str, path: &str, mac: &str) -> Result<(), VerifyError> {
        let verifier = CallbackVerifier::new(&ClientSecret::new(SECRET)).unwrap();
        let callback = RequestParts::new("GET", host, path).with_query(QUERY);
        let nonce = "5964262989045079397:24012419".parse().unwrap();
        verifier.check(&callback, &nonce, &mac.parse().unwrap())
    }

    /// Published vector 2.
    #[test]
    fn a_callback_signed_without_a_host_is_accepted() {
        check("app.example.com", "/xm", "m/M1Ia6fOBfKWUbae5G5UXnqh5I=").unwrap();
        check("", "/xm", "m/M1Ia6fOBfKWUbae5G5UXnqh5I=").unwrap();
    }

    #[test]
    fn a_callback_signed_with_its_host_is_accepted() {
        let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new(SECRET)).unwrap();
        let text = format!("5964262989045079397:24012419\nGET\napp.example.com\n/xm\n{QUERY}\n");
        let mac = key.mac(text.as_bytes());
        check("app.example.com", "/xm", &mac).unwrap();
        let refused = check("other.example.com", "/xm", &mac).unwrap_err();
        assert_eq!(refused.kind(), VerifyErrorKind::WrongMac);
    }

    #[test]
    fn a_callback_to_another_path_is_refused() {
        let refused = check("", "/mx", "m/M1Ia6fOBfKWUbae5G5UXnqh5I=").unwrap_err();
        assert_eq!(refused.kind(), VerifyErrorKind::WrongMac);
    }

    #[test]
    fn an_empty_secret_is_refused_by_name() {
        let refused = CallbackVerifier::new(&ClientSecret::new("")).unwrap_err();
        assert_eq!(refused.to_string(), "client_secret: is empty");
    }
}
