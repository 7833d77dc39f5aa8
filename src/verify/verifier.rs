use http::request::Parts;
use memchr::memchr;
use subtle::ConstantTimeEq as _;

use super::stamp::Signed;
use super::{MacAuthorization, VerifyError, VerifyErrorKind};
use crate::provider::RequestParts;
use crate::provider::http_mac::{Draft, body_hash, write_request_string};
use crate::provider::xiaomi::{Signer, SigningRules, is_form};
use crate::sign::encode::{pairs, stands_for};
use crate::sign::{Algorithm, MacKey, Text};

/// Checks that a request was signed with a key: as Xiaomi's clients sign, or by one revision of
/// draft-ietf-oauth-v2-http-mac. A header of another kind is refused.
///
/// It takes the path and the query as they arrived, with what a signer has put into the query, and the
/// host and the port that the client has named in `Host`.
#[derive(Clone, Debug)]
pub struct Verifier {
    expected: Expected,
}

#[derive(Clone, Debug)]
enum Expected {
    Xiaomi(SigningRules),
    HttpMac(Draft),
}

impl Verifier {
    /// A verifier that reads requests as [`SigningRules::new`] signs them.
    pub fn new() -> Self {
        Self::with_rules(SigningRules::new())
    }

    /// A verifier that reads requests as `rules` sign them. With [`SigningRules::query_credentials`] a
    /// `token` in the query, which is signed, must be the access token of the header, which is not. Whether
    /// there is one does not matter.
    pub const fn with_rules(rules: SigningRules) -> Self {
        Self {
            expected: Expected::Xiaomi(rules),
        }
    }

    /// A verifier that reads requests as this revision signs them.
    pub const fn http_mac(draft: Draft) -> Self {
        Self {
            expected: Expected::HttpMac(draft),
        }
    }

    /// Whether the MAC of a request is over its body, too, whose head this is.
    pub(super) fn signs_body(&self, head: &Parts) -> bool {
        match &self.expected {
            Expected::Xiaomi(rules) => rules.signs_form() && is_form(&head.method, &head.headers),
            Expected::HttpMac(_) => false,
        }
    }

    /// Whether requests are Xiaomi's.
    pub(super) const fn is_xiaomi(&self) -> bool {
        matches!(self.expected, Expected::Xiaomi(_))
    }

    /// Checks that `authorization` has the MAC of `request` under `key`, and the hash of its body if it
    /// has any: a request whose body is not [given](RequestParts::with_body) has none, and an empty
    /// body. Takes the same time wherever two MACs or two hashes differ.
    ///
    /// # Errors
    ///
    /// `Malformed` if the header is of another kind; `WrongMac`, `WrongBody` and `WrongToken`;
    /// `Unsignable` if the request has a part no client could have signed.
    pub fn check(
        &self,
        key: &MacKey,
        request: &RequestParts<'_>,
        authorization: &MacAuthorization,
    ) -> Result<(), VerifyError> {
        self.check_mac([Some(key), None], request, authorization)?;
        let body = request.body.unwrap_or_default();
        Self::check_body(key.algorithm(), body, authorization)
    }

    /// Checks the MAC alone, under each of these keys: which of them it is of. That takes as long whichever
    /// it is.
    pub(super) fn check_mac(
        &self,
        keys: [Option<&MacKey>; 2],
        request: &RequestParts<'_>,
        authorization: &MacAuthorization,
    ) -> Result<usize, VerifyError> {
        let mut text = Text::new();
        match (&self.expected, authorization.signed()?) {
            (Expected::Xiaomi(rules), Signed::Xiaomi(nonce)) => {
                let query = request.query.unwrap_or_default();
                if rules.puts_query_credentials() && !names_no_other_token(query, authorization) {
                    return Err(WRONG_TOKEN);
                }
                let token = authorization.bare_token().unwrap_or_default();
                let client = Signer::Client {
                    token: token.as_bytes(),
                };
                rules.write(&mut text, client, request, nonce, &mut None)
            }
            (Expected::HttpMac(draft), Signed::HttpMac(attributes))
                if attributes.draft() == *draft =>
            {
                write_request_string(&attributes, request, &mut text)
            }
            _ => {
                let reason = "is of another kind than expected";
                return Err(VerifyError::malformed("authorization", reason));
            }
        }
        .map_err(VerifyError::unsignable)?;
        let mac = authorization.mac();
        let matches = |key: &MacKey| mac.matches(&key.base64(text.as_slice()));
        let [one, other] = keys.map(|key| key.is_some_and(|key| matches(key).into()));
        match (one, other) {
            (true, _) => Ok(0),
            (false, true) => Ok(1),
            (false, false) => Err(wrong_mac()),
        }
    }

    /// Checks the hash of the body, if one is signed.
    pub(super) fn check_body(
        algorithm: Algorithm,
        body: &[u8],
        authorization: &MacAuthorization,
    ) -> Result<(), VerifyError> {
        let Some(bodyhash) = authorization.bodyhash() else {
            return Ok(());
        };
        let expected = body_hash(algorithm, body);
        if expected.as_bytes().ct_eq(bodyhash.as_bytes()).into() {
            return Ok(());
        }
        let reason = "is not the one of this body";
        Err(VerifyError::new(
            VerifyErrorKind::WrongBody,
            "bodyhash",
            reason,
        ))
    }
}

/// Whether the query, which is signed, names the access token of the header, which is not, or none.
fn names_no_other_token(query: &str, authorization: &MacAuthorization) -> bool {
    // As it is nearly always.
    if let Some(token) = authorization.bare_token() {
        let mut rest = query.as_bytes();
        loop {
            let value = rest.strip_prefix(b"token=");
            let after = value.and_then(|value| value.strip_prefix(token.as_bytes()));
            if matches!(after, Some([] | [b'&', ..])) {
                return true;
            }
            match memchr(b'&', rest) {
                Some(at) => rest = &rest[at + 1..],
                None => break,
            }
        }
    }
    let token = authorization.access_token().expose_secret();
    let named = pairs(query).filter(|(name, _)| stands_for(name, "token"));
    let mut named = named.peekable();
    named.peek().is_none() || named.any(|(_, value)| stands_for(value, token))
}

const WRONG_TOKEN: VerifyError = VerifyError::new(
    VerifyErrorKind::WrongToken,
    "token",
    "is not the one in the header",
);

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
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

    const TOKEN: &str = "eJxjYGAQydknLLCFsVyIR-DxSqdTnQFGfX4yDAwMjAzxQJIheJfnRTDtvAhMM8SE_2FgWDw7Rg3MYzdUMFIwVjABMplzE5MBClYRuw";

    fn request() -> RequestParts<'static> {
        RequestParts::new("GET", "open.account.xiamomi.com", "/user/profile").with_query(QUERY)
    }

    fn key() -> MacKey {
        let key = MacKeyText::new("ORhx44qK6Alqf8vt2rGB5f-oPq0");
        MacKey::new(Algorithm::HmacSha1, &key).unwrap()
    }

    fn check(request: &RequestParts<'_>, nonce: &str) -> Result<(), VerifyError> {
        let mac = "9uvros2WcjMaJ3pH25eQZU9p5pA%3D";
        let header = format!("MAC access_token={TOKEN},nonce=\"{nonce}\",mac=\"{mac}\"");
        Verifier::new().check(&key(), request, &header.parse().unwrap())
    }

    #[test]
    fn published_vector_1_verifies() {
        check(&request(), "2870867952176701445:23282360").unwrap();
    }

    #[test]
    fn another_token_than_the_one_that_is_signed_is_refused() {
        let check = |query, token: &str| {
            let header = format!("MAC access_token={token},nonce=1,mac=AAAA");
            let request = RequestParts::new("GET", "h", "/").with_query(query);
            let checked = Verifier::new().check(&key(), &request, &header.parse().unwrap());
            checked.unwrap_err().kind()
        };
        for (query, token) in [
            ("", "T"),
            ("a=b&tokens=x", "T"),
            ("token=T", "T"),
            ("a=b&token=T&c=d", "T"),
            ("token=x&token=T", "T"),
            ("%74oken=T", "T"),
            ("token=a%2Fb", "a/b"),
            ("token=%54", "T"),
        ] {
            assert_eq!(check(query, token), VerifyErrorKind::WrongMac, "{query}");
        }
        let rules = SigningRules::new().query_credentials(false);
        let header = "MAC access_token=T,nonce=1,mac=AAAA".parse().unwrap();
        let request = RequestParts::new("GET", "h", "/").with_query("token=x");
        let checked = Verifier::with_rules(rules).check(&key(), &request, &header);
        assert_eq!(checked.unwrap_err().kind(), VerifyErrorKind::WrongMac);
        for query in [
            "token=x",
            "token=",
            "token",
            "%74oken=x",
            "token=Tx&a=T",
            "a=b&token=t",
        ] {
            assert_eq!(check(query, "T"), VerifyErrorKind::WrongToken, "{query}");
        }
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

    /// The request with a body that revision 00 has in its own example, and its hash and MAC.
    fn with_body(body: &[u8]) -> RequestParts<'_> {
        let request = RequestParts::new("POST", "example.com", "/request");
        request.with_port(80).with_body(body)
    }

    const BODY: &[u8] = b"hello=world%21";
    const V00: &str = "MAC id=\"jd93dh9dh39D\", nonce=\"273156:di3hvdf8\", \
        bodyhash=\"k9kbtCIy0CkI3/FEfpS/oIDjk6k=\", mac=\"W7bdMZbv9UWOTadASIQHagZyirA=\"";
    const V01: &str = "MAC id=\"h480djs93hd8\", ts=\"264095\", nonce=\"7d8f3e4a\", ext=\"a,b,c\", \
        mac=\"+txL5oOFHGYjrfdNYH5VEzROaBY=\"";

    fn check_http_mac(
        (draft, key): (Draft, &str),
        request: &RequestParts<'_>,
        header: &str,
    ) -> Result<(), VerifyError> {
        let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new(key)).unwrap();
        Verifier::http_mac(draft).check(&key, request, &header.parse().unwrap())
    }

    #[test]
    fn a_body_is_checked_by_its_hash() {
        let check = |request: &RequestParts<'_>, header: &str| {
            check_http_mac((Draft::V00, "8yfrufh348h"), request, header)
        };
        check(&with_body(BODY), V00).unwrap();
        let none = RequestParts::new("POST", "example.com", "/request").with_port(80);
        for request in [with_body(b""), with_body(b"hello=world%22"), none] {
            let refused = check(&request, V00).unwrap_err();
            assert_eq!(refused.kind(), VerifyErrorKind::WrongBody);
            assert_eq!(refused.to_string(), "bodyhash: is not the one of this body");
        }
        // The hash itself is signed, so it can neither be changed nor left out.
        let other = V00.replace("k9kb", "k9kc");
        let left_out = V00.replace("bodyhash", "x");
        for header in [other, left_out] {
            let refused = check(&with_body(BODY), &header).unwrap_err();
            assert_eq!(refused.kind(), VerifyErrorKind::WrongMac);
        }
    }

    #[test]
    fn every_part_of_a_draft_is_checked() {
        let post = |host, path| RequestParts::new("POST", host, path).with_port(80);
        let query = "b5=%3D%253D&a3=a&c%40=&a2=r%20b&c2&a3=2+q";
        let good = post("example.com", "/request").with_query(query);
        let check = |request: &RequestParts<'_>, header: &str| {
            check_http_mac((Draft::V01, "489dks293j39"), request, header).map_err(|e| e.kind())
        };
        assert_eq!(check(&good, V01), Ok(()));
        for request in [
            RequestParts::new("PUT", "example.com", "/request")
                .with_port(80)
                .with_query(query),
            post("example.org", "/request").with_query(query),
            post("example.com", "/Request").with_query(query),
            post("example.com", "/request").with_query("a3=a&b5=%3D%253D&c%40=&a2=r%20b&c2&a3=2+q"),
            post("example.com", "/request"),
            good.with_port(443),
        ] {
            assert_eq!(check(&request, V01), Err(VerifyErrorKind::WrongMac));
        }
        for (from, to) in [
            ("264095", "264096"),
            ("7d8f", "7d8e"),
            ("a,b,c", "a,b"),
            ("+txL", "+txM"),
        ] {
            let header = V01.replace(from, to);
            assert_eq!(check(&good, &header), Err(VerifyErrorKind::WrongMac));
        }
        let no_ext = V01.replace("ext=\"a,b,c\", ", "");
        assert_eq!(check(&good, &no_ext), Err(VerifyErrorKind::WrongMac));
    }

    #[test]
    fn a_header_of_another_kind_is_refused() {
        let xiaomi = "MAC access_token=T,nonce=\"1%3A2\",mac=\"9uvros2WcjMaJ3pH25eQZU9p5pA%3D\"";
        for (verifier, good) in [
            (Verifier::new(), xiaomi),
            (Verifier::http_mac(Draft::V00), V00),
            (Verifier::http_mac(Draft::V01), V01),
        ] {
            for header in [xiaomi, V00, V01] {
                let refused = verifier.check(&key(), &with_body(BODY), &header.parse().unwrap());
                let kind = refused.unwrap_err().kind();
                assert_eq!(kind == VerifyErrorKind::WrongMac, header == good);
                assert_eq!(kind == VerifyErrorKind::Malformed, header != good);
            }
        }
    }
}
