use std::borrow::Cow;
use std::str::FromStr;

use http::HeaderValue;
use percent_encoding::percent_decode_str;

use super::{Mac, VerifyError};
use crate::AccessToken;
use crate::provider::xiaomi::Nonce;

/// No client sends a longer header; common servers take no longer one either.
const MAX_HEADER: usize = 16 * 1024;

/// An `Authorization: MAC …` header, taken apart.
///
/// White space and the order of the parameters do not matter, unknown ones are ignored; `Debug`
/// shows the nonce alone.
#[derive(Clone, Debug)]
pub struct MacAuthorization {
    access_token: AccessToken,
    nonce: Nonce,
    mac: Mac,
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
        const MISSING: &str = "is missing";
        if value.len() > MAX_HEADER {
            let reason = "is longer than 16 KiB";
            return Err(VerifyError::malformed("authorization", reason));
        }
        let mut rest = parameters_of(value)?;
        let (mut access_token, mut nonce, mut mac) = (None, None, None);
        while !rest.is_empty() {
            let (name, text, after) = first_parameter(rest)?;
            let slot = match name.to_ascii_lowercase().as_str() {
                "access_token" => Some(("access_token", &mut access_token)),
                "nonce" => Some(("nonce", &mut nonce)),
                "mac" => Some(("mac", &mut mac)),
                _ => None,
            };
            if let Some((field, slot)) = slot
                && slot.replace(decoded(field, text)?).is_some()
            {
                return Err(VerifyError::malformed(field, "is there twice"));
            }
            rest = after;
        }
        let token = access_token.ok_or(VerifyError::malformed("access_token", MISSING))?;
        if token.is_empty() {
            return Err(VerifyError::malformed("access_token", "is empty"));
        }
        let nonce = nonce.ok_or(VerifyError::malformed("nonce", MISSING))?;
        let mac = mac.ok_or(VerifyError::malformed("mac", MISSING))?;
        Ok(Self {
            access_token: AccessToken::new(token),
            nonce: Nonce::verbatim(&nonce).map_err(VerifyError::unsignable)?,
            mac: mac.parse()?,
        })
    }

    /// The access token: finds the key.
    pub const fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    /// The nonce.
    pub const fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// The MAC.
    pub const fn mac(&self) -> &Mac {
        &self.mac
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
        match value.to_str() {
            Ok(value) => Self::parse(value),
            Err(_) => Err(VerifyError::malformed("authorization", "is not ASCII")),
        }
    }
}

/// What follows the scheme (RFC 9110 §11.4), which is compared without case.
fn parameters_of(value: &str) -> Result<&str, VerifyError> {
    let value = value.trim();
    let (scheme, parameters) = value.split_once([' ', '\t']).unwrap_or((value, ""));
    if scheme.eq_ignore_ascii_case("MAC") {
        Ok(parameters.trim_start())
    } else {
        let reason = "is not of the scheme MAC";
        Err(VerifyError::malformed("authorization", reason))
    }
}

/// The first `name = "value"` or `name = value`, and what follows its comma.
fn first_parameter(text: &str) -> Result<(&str, &str, &str), VerifyError> {
    let odd = VerifyError::malformed("authorization", "is not a list of name=\"value\"");
    let Some((name, value)) = text.split_once('=') else {
        return Err(odd);
    };
    let value = value.trim_start();
    let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
        quoted.split_once('"').ok_or(odd.clone())?
    } else {
        value.split_at(value.find([',', ' ', '\t']).unwrap_or(value.len()))
    };
    let after = after.trim_start();
    let after = match after.strip_prefix(',') {
        Some(after) => after.trim_start(),
        None if after.is_empty() => after,
        None => return Err(odd),
    };
    let name = name.trim();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    // What is in quotes is form-encoded, so it has no need of backslashes, nor of commas.
    if name.is_empty() || !name.bytes().all(is_name) || value.contains(['\\', ',', ' ', '\t']) {
        return Err(odd);
    }
    Ok((name, value, after))
}

/// Undoes the form encoding.
fn decoded(field: &'static str, text: &str) -> Result<String, VerifyError> {
    let text = text.replace('+', " ");
    match percent_decode_str(&text).decode_utf8() {
        Ok(text) => Ok(Cow::into_owned(text)),
        Err(_) => Err(VerifyError::malformed(field, "is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            assert_eq!(authorization.nonce().as_str(), "1:2");
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

    proptest! {
        #[test]
        fn no_header_makes_it_panic(value: String, tail: Vec<u8>) {
            let _ = MacAuthorization::parse(&value);
            let _ = MacAuthorization::parse(&format!("MAC {value}"));
            if let Ok(value) = HeaderValue::from_bytes(&[b"MAC ", tail.as_slice()].concat()) {
                let _ = MacAuthorization::try_from(&value);
            }
        }
    }
}
