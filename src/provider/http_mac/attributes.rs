use std::borrow::Cow;
use std::fmt;

use super::Draft;
use super::request_string::write_request_string;
use crate::provider::RequestParts;
use crate::sign::class::Class;
use crate::sign::{SignError, Text};

/// What goes into the header of one request beside the key's id and the MAC, and is signed.
///
/// A [provider](super::HttpMac) makes new ones for each request. To make them by hand is for
/// comparing with what somebody else has signed. An empty `bodyhash` or `ext` is none.
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct Attributes<'a> {
    /// `nonce`; in revision 01 after `ts` and a line feed, as they are signed.
    pub(super) stamp: Cow<'a, [u8]>,
    /// The length of `ts`; 0 in revision 00, which has none.
    pub(super) ts_len: usize,
    /// Of revision 00; empty if there is none, and so is `ext`.
    pub(super) bodyhash: &'a [u8],
    pub(super) ext: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Those of revision 00. A server wants the nonce to be `<age>:<random>`, the age being the seconds
    /// since the key was issued; here it may be any text.
    ///
    /// # Errors
    ///
    /// Names `nonce` when it is empty, or has a character that the drafts do not allow in an attribute:
    /// a control character, a quote, a backslash, or one beyond ASCII.
    pub fn v00(nonce: &'a str) -> Result<Self, SignError> {
        Ok(Self {
            stamp: required("nonce", nonce)?.into(),
            ts_len: 0,
            bodyhash: b"",
            ext: b"",
        })
    }

    /// Those of revisions 01 and 02. `ts` is in seconds since the Unix epoch.
    ///
    /// # Errors
    ///
    /// Names `ts` when it is not a whole, positive number without leading zeroes, or `nonce` as in
    /// [`v00`](Self::v00).
    pub fn v01(ts: &str, nonce: &'a str) -> Result<Self, SignError> {
        let digits = required("ts", ts)?;
        if digits[0] == b'0' || !digits.iter().all(u8::is_ascii_digit) {
            return Err(SignError::malformed("ts", "is not a positive number"));
        }
        let attributes = Self::v00(nonce)?;
        Ok(Self {
            stamp: [digits, b"\n", &attributes.stamp].concat().into(),
            ts_len: digits.len(),
            ..attributes
        })
    }

    /// With a hash of the body, of which revision 01 knows nothing.
    ///
    /// # Errors
    ///
    /// Names `bodyhash` when it has a character as in [`v00`](Self::v00), or there is a timestamp.
    pub fn with_bodyhash(mut self, bodyhash: &'a str) -> Result<Self, SignError> {
        if self.ts_len > 0 && !bodyhash.is_empty() {
            return Err(SignError::conflict("bodyhash", "has no place beside ts"));
        }
        self.bodyhash = quotable("bodyhash", bodyhash)?;
        Ok(self)
    }

    /// With what the server and its clients have agreed on for `ext`.
    ///
    /// # Errors
    ///
    /// Names `ext` when it has a character as in [`v00`](Self::v00).
    pub fn with_ext(mut self, ext: &'a str) -> Result<Self, SignError> {
        self.ext = quotable("ext", ext)?;
        Ok(self)
    }

    /// Which revision they are of.
    pub const fn draft(&self) -> Draft {
        match self.ts_len {
            0 => Draft::V00,
            _ => Draft::V01,
        }
    }

    /// The nonce alone.
    #[inline]
    pub(super) fn nonce(&self) -> &[u8] {
        match self.ts_len {
            0 => &self.stamp,
            len => self.stamp.get(len + 1..).unwrap_or_default(),
        }
    }

    /// Empty in revision 00.
    #[inline]
    pub(super) fn ts(&self) -> &[u8] {
        self.stamp.get(..self.ts_len).unwrap_or_default()
    }

    /// The normalized request string: what is signed of `request` and these.
    ///
    /// # Errors
    ///
    /// Names the part of the request that cannot be signed, and why.
    pub fn canonical(&self, request: &RequestParts<'_>) -> Result<String, SignError> {
        let mut text = Text::new();
        write_request_string(self, request, &mut text)?;
        Ok(String::from_utf8_lossy(text.as_slice()).into_owned())
    }
}

impl fmt::Debug for Attributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is in `ext` is between the server and the user.
        f.debug_struct("Attributes")
            .field("stamp", &String::from_utf8_lossy(&self.stamp))
            .finish_non_exhaustive()
    }
}

fn required<'a>(field: &'static str, text: &'a str) -> Result<&'a [u8], SignError> {
    if text.is_empty() {
        return Err(SignError::empty(field));
    }
    quotable(field, text)
}

/// The `plain-string` of the drafts, or nothing: it is quoted without an escape.
pub(super) fn quotable<'a>(field: &'static str, text: &'a str) -> Result<&'a [u8], SignError> {
    let quoted = Class::of([(b' ', b'!'), (b'#', b'['), (b']', b'~')]);
    let text = text.as_bytes();
    if quoted.has_all(text) {
        return Ok(text);
    }
    let at = quoted.first_other(text).unwrap_or(0);
    Err(SignError::malformed(field, "has a character that cannot be quoted").at(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_quoted_is_refused_by_name() {
        let v00 = |nonce| Attributes::v00(nonce).map(|_| ()).unwrap_err().to_string();
        let v01 = |ts| {
            Attributes::v01(ts, "n")
                .map(|_| ())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(v00(""), "nonce: is empty");
        for (text, at) in [
            ("a\"b", 1),
            ("a\\", 1),
            ("\n", 0),
            ("abc\u{7f}", 3),
            ("é", 0),
            ("a\tb", 1),
        ] {
            let error =
                |field| format!("{field}: has a character that cannot be quoted at byte {at}");
            assert_eq!(v00(text), error("nonce"));
            assert_eq!(v01(text), error("ts"));
            let good = Attributes::v00("1:a").unwrap();
            let refused = good.clone().with_ext(text).unwrap_err();
            assert_eq!(refused.to_string(), error("ext"));
            let refused = good.with_bodyhash(text).unwrap_err();
            assert_eq!(refused.to_string(), error("bodyhash"));
        }
        for text in ["", "0", "01", "1.5", "-1", "+1", " 1", "1 ", "x"] {
            assert!(v01(text).starts_with("ts: "), "{text}");
        }
    }

    #[test]
    fn every_character_that_the_drafts_allow_is_taken() {
        let all: String = (' '..='~').filter(|c| !"\"\\".contains(*c)).collect();
        let attributes = Attributes::v00(&all).unwrap();
        let attributes = attributes.with_ext(&all).unwrap();
        assert_eq!(attributes.with_bodyhash(&all).unwrap().draft(), Draft::V00);
    }

    #[test]
    fn a_timestamp_and_a_hash_of_the_body_do_not_go_together() {
        let attributes = Attributes::v01("1336363200", "dj83hs9s").unwrap();
        assert_eq!(attributes.draft(), Draft::V01);
        let refused = attributes.clone().with_bodyhash("x").unwrap_err();
        assert_eq!(refused.to_string(), "bodyhash: has no place beside ts");
        assert_eq!(attributes.clone().with_bodyhash("").unwrap(), attributes);
    }

    #[test]
    fn debug_does_not_show_ext() {
        let attributes = Attributes::v01("1", "n")
            .unwrap()
            .with_ext("canary")
            .unwrap();
        assert_eq!(
            format!("{attributes:?}"),
            "Attributes { stamp: \"1\\nn\", .. }"
        );
    }
}
