use std::mem;
use std::str::FromStr;
use std::time::Duration;

use http::HeaderValue;
use zeroize::Zeroizing;

use super::parameters::{NOT_A_LIST, Parameters, has_backslash};
use super::stamp::{Signed, Stamp};
use super::{Mac, VerifyError};
use crate::provider::http_mac::Draft;
use crate::provider::xiaomi::Nonce;
use crate::sign::class::BARE;
use crate::sign::encode::Decoded;
use crate::{AccessToken, Timestamp};

/// No client sends a longer header; common servers take no longer one either.
const MAX_HEADER: usize = 16 * 1024;

const MISSING: &str = "is missing";

/// An `Authorization: MAC …` header, taken apart: one of Xiaomi's, which has an `access_token`, or one
/// of draft-ietf-oauth-v2-http-mac, which has an `id`.
///
/// White space and the order of the parameters do not matter, unknown ones are ignored; `Debug`
/// shows no more than what makes the request differ from every other.
#[derive(Clone, Debug)]
pub struct MacAuthorization {
    access_token: AccessToken,
    stamp: Stamp,
    mac: Mac,
    issued_at: Option<Timestamp>,
}

impl MacAuthorization {
    /// Reads the value of an `Authorization` header.
    ///
    /// The nonce may be any text here; [`check_window`](super::check_window) wants the strict
    /// form.
    ///
    /// # Errors
    ///
    /// Names `authorization` when it is not of the scheme `MAC` or not a list of parameters, or
    /// the parameter that is missing, twice there, or not to be read.
    pub fn parse(value: &str) -> Result<Self, VerifyError> {
        if value.len() > MAX_HEADER {
            let reason = "is longer than 16 KiB";
            return Err(VerifyError::malformed("authorization", reason));
        }
        let parameters = Parameters::read(value)?;
        match (parameters.access_token, parameters.id) {
            (Some(token), _) => Self::xiaomi(token, &parameters),
            (None, Some(id)) => Self::http_mac(id, &parameters),
            (None, None) => Err(VerifyError::malformed("access_token", MISSING)),
        }
    }

    #[inline]
    fn xiaomi(access_token: &str, parameters: &Parameters<'_>) -> Result<Self, VerifyError> {
        if access_token.is_empty() {
            return Err(VerifyError::malformed("access_token", "is empty"));
        }
        // What most tokens are.
        let bare_token = BARE.has_all(access_token.as_bytes());
        let token = if bare_token {
            access_token.to_owned()
        } else {
            decoded("access_token", access_token)?
        };
        let nonce = required("nonce", parameters.nonce)?;
        let mac = required("mac", parameters.mac)?;
        let nonce = match Nonce::usual_encoded(nonce.as_bytes()) {
            Some(nonce) => nonce,
            None => Nonce::verbatim(&decoded("nonce", nonce)?).map_err(VerifyError::unsignable)?,
        };
        let mac = match Mac::usual_encoded(mac.as_bytes()) {
            Some(mac) => mac,
            None => decoded("mac", mac)?.parse()?,
        };
        Ok(Self::new(token, Stamp::Xiaomi { nonce, bare_token }, mac))
    }

    fn http_mac(id: &str, parameters: &Parameters<'_>) -> Result<Self, VerifyError> {
        if id.is_empty() {
            return Err(VerifyError::malformed("id", "is empty"));
        }
        if has_backslash(id) {
            return Err(NOT_A_LIST);
        }
        let nonce = required("nonce", parameters.nonce)?;
        let mac = required("mac", parameters.mac)?;
        let stamp = Stamp::HttpMac {
            ts: parameters.ts.map(str::to_owned),
            nonce: nonce.to_owned(),
            bodyhash: parameters.bodyhash.unwrap_or_default().to_owned(),
            ext: parameters.ext.unwrap_or_default().to_owned(),
        };
        stamp.signed().map_err(VerifyError::unsignable)?;
        Ok(Self::new(id.to_owned(), stamp, mac.parse()?))
    }

    #[inline]
    fn new(access_token: String, stamp: Stamp, mac: Mac) -> Self {
        Self {
            access_token: AccessToken::new(access_token),
            stamp,
            mac,
            issued_at: None,
        }
    }

    /// With the moment when the key was issued, by the clock of this server: the age in a nonce of
    /// revision 00 counts from there.
    #[must_use]
    pub fn with_issued_at(mut self, issued_at: Timestamp) -> Self {
        self.issued_at = Some(issued_at);
        self
    }

    /// The access token, which is the drafts' `id`: finds the key.
    pub const fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    /// The revision of the drafts; `None` if it is Xiaomi's.
    pub const fn draft(&self) -> Option<Draft> {
        match self.stamp {
            Stamp::Xiaomi { .. } => None,
            Stamp::HttpMac { ts: None, .. } => Some(Draft::V00),
            Stamp::HttpMac { ts: Some(_), .. } => Some(Draft::V01),
        }
    }

    /// The nonce.
    pub fn nonce(&self) -> &str {
        match &self.stamp {
            Stamp::Xiaomi { nonce, .. } => nonce.as_str(),
            Stamp::HttpMac { nonce, .. } => nonce,
        }
    }

    /// The timestamp, in seconds since the Unix epoch: of revision 01.
    pub fn ts(&self) -> Option<&str> {
        match &self.stamp {
            Stamp::HttpMac { ts, .. } => ts.as_deref(),
            Stamp::Xiaomi { .. } => None,
        }
    }

    /// The hash of the body, if one is signed: of revision 00.
    pub fn bodyhash(&self) -> Option<&str> {
        match &self.stamp {
            Stamp::HttpMac { bodyhash, .. } if !bodyhash.is_empty() => Some(bodyhash),
            _ => None,
        }
    }

    /// What the client has put into `ext`: of both revisions.
    pub fn ext(&self) -> Option<&str> {
        match &self.stamp {
            Stamp::HttpMac { ext, .. } if !ext.is_empty() => Some(ext),
            _ => None,
        }
    }

    /// The MAC.
    pub const fn mac(&self) -> &Mac {
        &self.mac
    }

    /// The access token, if form encoding leaves it as it is.
    pub(super) fn bare_token(&self) -> Option<&str> {
        let bare_token = matches!(self.stamp, Stamp::Xiaomi { bare_token, .. } if bare_token);
        bare_token.then(|| self.access_token.expose_secret())
    }

    /// What is signed beside the request.
    pub(super) fn signed(&self) -> Result<Signed<'_>, VerifyError> {
        self.stamp.signed().map_err(VerifyError::unsignable)
    }

    /// When the client signed the request, as it says: where that begins, and how long it takes.
    pub(crate) fn signed_within(&self) -> Result<(Timestamp, Duration), VerifyError> {
        self.stamp.signed_within(self.issued_at)
    }
}

impl FromStr for MacAuthorization {
    type Err = VerifyError;

    fn from_str(value: &str) -> Result<Self, VerifyError> {
        Self::parse(value)
    }
}

impl TryFrom<&HeaderValue> for MacAuthorization {
    type Error = VerifyError;

    fn try_from(value: &HeaderValue) -> Result<Self, VerifyError> {
        Self::parse(text("authorization", value.as_bytes())?)
    }
}

fn required<'a>(field: &'static str, text: Option<&'a str>) -> Result<&'a str, VerifyError> {
    text.ok_or(VerifyError::malformed(field, MISSING))
}

fn text<'a>(field: &'static str, bytes: &'a [u8]) -> Result<&'a str, VerifyError> {
    str::from_utf8(bytes).map_err(|_| VerifyError::malformed(field, "is not UTF-8"))
}

/// Undoes the form encoding. A percent sign that begins no escape is one.
fn decoded(field: &'static str, encoded: &str) -> Result<String, VerifyError> {
    if has_backslash(encoded) {
        return Err(NOT_A_LIST);
    }
    if encoded.contains([',', ' ', '\t']) {
        return Err(VerifyError::malformed(field, "is not form-encoded"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(encoded.len()));
    bytes.extend(Decoded(encoded.as_bytes()));
    String::from_utf8(mem::take(&mut bytes))
        .map_err(|_| VerifyError::malformed(field, "is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::provider::RequestParts;
    use crate::verify::{Verifier, check_window};

    const MAC: &str = "9uvros2WcjMaJ3pH25eQZU9p5pA%3D";

    #[test]
    fn white_space_and_order_do_not_matter() {
        for value in [
            format!("MAC access_token=\"T%7E+1\", nonce=\"1%3A2\",mac=\"{MAC}\""),
            format!("mac  mac=\"{MAC}\" ,nonce = \"1%3A2\",\taccess_token=\"T%7E+1\" "),
            format!("MAC id=\"x\", access_token=T%7E+1,NONCE=1%3a2, mac={MAC},"),
        ] {
            let authorization = MacAuthorization::parse(&value).unwrap();
            assert_eq!(authorization.access_token().expose_secret(), "T~ 1");
            assert_eq!(authorization.nonce(), "1:2");
        }
    }

    #[test]
    fn a_header_that_cannot_be_read_is_refused_by_name() {
        for (value, error) in [
            ("", "authorization: is not of the scheme MAC"),
            ("Bearer abc", "authorization: is not of the scheme MAC"),
            ("MAC", "access_token: is missing"),
            (
                "MAC access_token=\"T",
                "authorization: is not a list of name=\"value\"",
            ),
            (
                "MAC access_token",
                "authorization: is not a list of name=\"value\"",
            ),
            (
                "MAC access_token=\"T\" x",
                "authorization: is not a list of name=\"value\"",
            ),
            (
                "MAC access_token=\"\",nonce=1,mac=AAAA",
                "access_token: is empty",
            ),
            ("MAC access_token=\"T\"", "nonce: is missing"),
            ("MAC access_token=\"T\",nonce=\"1:2\"", "mac: is missing"),
            ("MAC access_token=\"%FF\"", "access_token: is not UTF-8"),
            ("MAC nonce=\"1\",nonce=\"2\"", "nonce: is there twice"),
            (
                "MAC access_token=\"T\",nonce=\"1%0A2\",mac=\"AAAA\"",
                "nonce: could not have been signed",
            ),
            (
                "MAC access_token=\"T\",nonce=\"1:2\",mac=\"!\"",
                "mac: is not base64",
            ),
        ] {
            let refused = MacAuthorization::parse(value).unwrap_err();
            assert_eq!(refused.to_string(), error, "{value}");
        }
        let long = "MAC ".repeat(MAX_HEADER);
        let refused = MacAuthorization::parse(&long).unwrap_err();
        assert_eq!(refused.to_string(), "authorization: is longer than 16 KiB");
    }

    #[test]
    fn debug_shows_neither_token_nor_mac() {
        let value = format!("MAC access_token=\"canary\",nonce=\"1:2\",mac=\"{MAC}\"");
        let shown = format!("{:?}", MacAuthorization::parse(&value).unwrap());
        assert!(
            !shown.contains("canary") && !shown.contains("9uvros"),
            "{shown}"
        );
    }

    const DRAFT_MAC: &str = "SLDJd4mg43cjQfElUs3Qub4L6xE=";

    #[test]
    fn what_the_drafts_say_is_read_as_it_is() {
        let header = format!(
            "MAC ext=\"a, +%20=b\",nonce=\"264095:dj83hs9s\", bodyhash=k9k=, id=\"h+1\", mac={DRAFT_MAC}"
        );
        let authorization = MacAuthorization::parse(&header).unwrap();
        assert_eq!(authorization.draft(), Some(Draft::V00));
        assert_eq!(authorization.access_token().expose_secret(), "h+1");
        assert_eq!(authorization.nonce(), "264095:dj83hs9s");
        assert_eq!(authorization.bodyhash(), Some("k9k="));
        assert_eq!(authorization.ext(), Some("a, +%20=b"));
        assert_eq!(authorization.ts(), None);

        let header = format!("mac MAC=\"{DRAFT_MAC}\", TS=\"1336363200\", Nonce=n, ID=i, ext=\"\"");
        let authorization = MacAuthorization::parse(&header).unwrap();
        assert_eq!(authorization.draft(), Some(Draft::V01));
        assert_eq!(authorization.ts(), Some("1336363200"));
        assert_eq!(authorization.ext(), None);
        assert_eq!(authorization.bodyhash(), None);
        let shown = format!("{authorization:?}");
        assert!(!shown.contains("SLDJ") && shown.contains("1336363200"));

        let xiaomi = format!("MAC id=\"x, y\", access_token=T, nonce=1, ts=\"\", mac={DRAFT_MAC}");
        let xiaomi = MacAuthorization::parse(&xiaomi).unwrap();
        assert_eq!((xiaomi.draft(), xiaomi.ts()), (None, None));
    }

    #[test]
    fn a_draft_s_header_that_cannot_be_read_is_refused_by_name() {
        for (text, error) in [
            ("id=\"\"", "id: is empty"),
            ("id=i", "nonce: is missing"),
            ("id=i, nonce=n", "mac: is missing"),
            (
                "id=i, nonce=\"\", mac=AAAA",
                "nonce: could not have been signed",
            ),
            ("id=i, id=i", "id: is there twice"),
            ("id=i, ts=1, ts=2", "ts: is there twice"),
            (
                "id=i, ts=x, nonce=n, mac=AAAA",
                "ts: could not have been signed",
            ),
            (
                "id=i, ts=\"\", nonce=n, mac=AAAA",
                "ts: could not have been signed",
            ),
            (
                "id=i, ts=1, nonce=n, bodyhash=x, mac=AAAA",
                "bodyhash: could not have been signed",
            ),
            (
                "id=i, nonce=n, ext=\"\u{7f}\", mac=AAAA",
                "ext: could not have been signed",
            ),
            ("id=i, nonce=n, mac=\"!\"", "mac: is not base64"),
            (
                "id=\"i\\\"\", nonce=n",
                "authorization: is not a list of name=\"value\"",
            ),
            (
                "ext=\"a\\\", access_token=T, nonce=1, mac=AAAA",
                "authorization: is not a list of name=\"value\"",
            ),
            (
                "access_token=\"T\\\", nonce=1, mac=AAAA",
                "authorization: is not a list of name=\"value\"",
            ),
            (
                "access_token=T, nonce=\"1\\\", mac=AAAA",
                "authorization: is not a list of name=\"value\"",
            ),
        ] {
            let refused = MacAuthorization::parse(&format!("MAC {text}")).unwrap_err();
            assert_eq!(refused.to_string(), error, "{text}");
        }
    }

    #[test]
    fn what_is_form_encoded_has_neither_commas_nor_spaces() {
        for text in ["access_token=\"a,b\"", "access_token=\"a b\""] {
            let refused = MacAuthorization::parse(&format!("MAC {text}")).unwrap_err();
            assert_eq!(refused.to_string(), "access_token: is not form-encoded");
        }
    }

    /// What a header is made of, and what spoils one.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "(id|ts|nonce|bodyhash|ext|mac|access_token|x)=\"?[0-9a-zA-Z:+/=,% ]{0,12}\"?, ?",
            Just("mac=\"SLDJd4mg43cjQfElUs3Qub4L6xE=\", ".to_owned()),
            Just("nonce=\"264095:dj83hs9s\", ".to_owned()),
            "\\PC{0,6}",
        ];
        proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    /// Whatever was read can be checked, by any verifier and at any time.
    fn check(value: &str) {
        let Ok(authorization) = MacAuthorization::parse(value) else {
            return;
        };
        let key = crate::MacKeyText::new("k");
        let key = crate::sign::MacKey::new(crate::sign::Algorithm::HmacSha1, &key).unwrap();
        let request = RequestParts::new("GET", "h", "/");
        let authorization = authorization.with_issued_at(Timestamp::from_secs(1));
        for verifier in [
            Verifier::new(),
            Verifier::http_mac(Draft::V00),
            Verifier::http_mac(Draft::V01),
        ] {
            assert!(verifier.check(&key, &request, &authorization).is_err());
        }
        for now in [Timestamp::EPOCH, Timestamp::MAX] {
            let _ = check_window(&authorization, now, Duration::from_secs(60));
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(value: String, tail: Vec<u8>, pieces in pieces()) {
            check(&value);
            check(&format!("MAC {value}"));
            check(&format!("MAC {pieces}"));
            if let Ok(value) = HeaderValue::from_bytes(&[b"MAC ", tail.as_slice()].concat()) {
                let _ = MacAuthorization::try_from(&value);
            }
        }
    }
}
