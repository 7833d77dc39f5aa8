use super::{Mac, VerifyError, VerifyErrorKind};
use crate::provider::RequestParts;
use crate::provider::xiaomi::{HostLine, Nonce, SigningRules};
use crate::sign::MacKey;

/// Checks that a request was signed with a key.
///
/// It takes the query as it arrived, with `clientId` and `token` in it.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    rules: SigningRules,
}

impl Verifier {
    /// A verifier that reads requests as [`SigningRules::new`] signs them.
    pub fn new() -> Self {
        Self::default()
    }

    /// A verifier that reads requests as `rules` sign them. The knobs for empty values,
    /// forms and malformed queries count, [`SigningRules::query_credentials`] does not.
    pub const fn with_rules(rules: SigningRules) -> Self {
        Self { rules }
    }

    /// Checks that `mac` is the MAC of `request` and `nonce` under `key`. Takes the same time
    /// wherever the two differ.
    ///
    /// # Errors
    ///
    /// `WrongMac` if it is not; `Unsignable` if the request has a part no client could have
    /// signed.
    pub fn check(
        &self,
        key: &MacKey,
        request: &RequestParts<'_>,
        nonce: &Nonce,
        mac: &Mac,
    ) -> Result<(), VerifyError> {
        let tag = self
            .rules
            .tag(key, HostLine::Given, request, nonce)
            .map_err(VerifyError::unsignable)?;
        if mac.matches(&tag).into() {
            Ok(())
        } else {
            Err(wrong_mac())
        }
    }
}

pub(super) const fn wrong_mac() -> VerifyError {
    let reason = "is not the one of this request";
    VerifyError::new(VerifyErrorKind::WrongMac, "mac", reason)
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;
    use crate::MacKeyText;
    use crate::sign::Algorithm;

    /// Published vector 1; the host is misspelt there, and only so does the MAC hold.
    const QUERY: &str = "clientId=179887661252608&token=eJxjYGAQydknLLCFsVyIR-DxSqdTnQFGfX4yDAwMjAzxQJIheJfnRTDtvAhMM8SE_2FgWDw7Rg3MYzdUMFIwVjABMplzE5MBClYRuw";

    fn request() -> RequestParts<'static> {
        RequestParts::new("GET", "open.account.xiamomi.com", "/user/profile").with_query(QUERY)
    }

    fn check(request: &RequestParts<'_>, nonce: &str) -> Result<(), VerifyError> {
        let key = MacKeyText::new("ORhx44qK6Alqf8vt2rGB5f-oPq0");
        let key = MacKey::new(Algorithm::HmacSha1, &key).unwrap();
        let mac = "9uvros2WcjMaJ3pH25eQZU9p5pA=".parse().unwrap();
        Verifier::new().check(&key, request, &nonce.parse().unwrap(), &mac)
    }

    #[test]
    fn published_vector_1_verifies() {
        check(&request(), "2870867952176701445:23282360").unwrap();
    }

    #[test]
    fn a_change_to_any_part_is_noticed() {
        let nonce = "2870867952176701445:23282360";
        for request in [
            RequestParts {
                method: "POST",
                ..request()
            },
            RequestParts {
                host: "open.account.xiaomi.com",
                ..request()
            },
            RequestParts {
                path: "/user/profil",
                ..request()
            },
            RequestParts {
                query: Some("clientId=179887661252608"),
                ..request()
            },
        ] {
            let refused = check(&request, nonce).unwrap_err();
            assert_eq!(refused.kind(), VerifyErrorKind::WrongMac);
        }
        assert!(check(&request(), "2870867952176701445:23282361").is_err());
    }

    #[test]
    fn a_request_that_could_not_have_been_signed_says_why() {
        let request = RequestParts {
            query: Some("a=%zz"),
            ..request()
        };
        let refused = check(&request, "1:2").unwrap_err();
        assert_eq!(refused.to_string(), "query: could not have been signed");
        assert_eq!(
            refused.source().unwrap().to_string(),
            "query: bad percent escape at byte 2"
        );
    }
}
