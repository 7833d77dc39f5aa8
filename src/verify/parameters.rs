//! The list of parameters in an `Authorization` header (RFC 9110 §11.2).

use memchr::{memchr, memchr3};

use super::VerifyError;

/// Those that mean something, as they were sent.
#[derive(Default)]
pub(super) struct Parameters<'a> {
    pub(super) access_token: Option<&'a str>,
    pub(super) id: Option<&'a str>,
    pub(super) ts: Option<&'a str>,
    pub(super) nonce: Option<&'a str>,
    pub(super) bodyhash: Option<&'a str>,
    pub(super) ext: Option<&'a str>,
    pub(super) mac: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    /// Reads the value of a header. White space and the order do not matter, unknown parameters are
    /// ignored.
    ///
    /// No value may have a backslash: Xiaomi form-encodes what is in quotes, the drafts forbid it. In the
    /// three that have a fast way it is seen by whoever reads the value.
    ///
    /// # Errors
    ///
    /// Names `authorization` when it is not of the scheme `MAC` or not a list of parameters, or the
    /// parameter that is there twice.
    #[inline]
    pub(super) fn read(value: &'a str) -> Result<Self, VerifyError> {
        let mut rest = after_scheme(value)?;
        let mut all = Self::default();
        while !rest.is_empty() {
            // As Xiaomi's clients write them, so that nothing has to be looked for.
            let quoted = if let Some(rest) = rest.strip_prefix("access_token=\"") {
                Some(("access_token", &mut all.access_token, rest))
            } else if let Some(rest) = rest.strip_prefix("nonce=\"") {
                Some(("nonce", &mut all.nonce, rest))
            } else {
                rest.strip_prefix("mac=\"")
                    .map(|rest| ("mac", &mut all.mac, rest))
            };
            let (field, slot, (text, after)) = match quoted {
                Some((field, slot, rest)) => (field, slot, until_quote(rest)?),
                None => match all.named(rest)? {
                    (Some((field, slot)), text) => (field, slot, text),
                    (None, (_, after)) => {
                        rest = after_comma(after)?;
                        continue;
                    }
                },
            };
            if slot.replace(text).is_some() {
                return Err(VerifyError::malformed(field, "is there twice"));
            }
            rest = after_comma(after)?;
        }
        Ok(all)
    }

    /// Where the first `name = "value"` or `name = value` belongs, if it means something; its value, and
    /// what follows.
    fn named(&mut self, text: &'a str) -> Result<(Option<Slot<'_, 'a>>, Split<'a>), VerifyError> {
        let (name, value) = split(text, memchr(b'=', text.as_bytes())).ok_or(NOT_A_LIST)?;
        let (name, value) = (name.trim_ascii(), value.trim_ascii_start());
        let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
            until_quote(quoted)?
        } else {
            let end = memchr3(b',', b' ', b'\t', value.as_bytes());
            value.split_at(end.unwrap_or(value.len()))
        };
        let slots = [
            ("id", &mut self.id),
            ("ts", &mut self.ts),
            ("mac", &mut self.mac),
            ("ext", &mut self.ext),
            ("nonce", &mut self.nonce),
            ("bodyhash", &mut self.bodyhash),
            ("access_token", &mut self.access_token),
        ];
        let slot = slots
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        if has_backslash(value) || (slot.is_none() && !is_token(name)) {
            return Err(NOT_A_LIST);
        }
        Ok((slot, (value, after)))
    }
}

/// The name of a parameter, and where its value goes.
type Slot<'s, 'a> = (&'static str, &'s mut Option<&'a str>);

/// A text, and what follows it.
type Split<'a> = (&'a str, &'a str);

pub(super) const NOT_A_LIST: VerifyError =
    VerifyError::malformed("authorization", "is not a list of name=\"value\"");

/// Whether it may be the name of a parameter.
fn is_token(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !name.is_empty() && name.bytes().all(good)
}

pub(super) fn has_backslash(value: &str) -> bool {
    memchr(b'\\', value.as_bytes()).is_some()
}

/// What follows the scheme (RFC 9110 §11.4), which is compared without case.
#[inline]
fn after_scheme(value: &str) -> Result<&str, VerifyError> {
    if let Some(parameters) = value.strip_prefix("MAC ") {
        return Ok(parameters.trim_ascii_start());
    }
    let value = value.trim_ascii();
    let end = value.find([' ', '\t']).unwrap_or(value.len());
    let (scheme, parameters) = value.split_at(end);
    if scheme.eq_ignore_ascii_case("MAC") {
        Ok(parameters.trim_ascii_start())
    } else {
        let reason = "is not of the scheme MAC";
        Err(VerifyError::malformed("authorization", reason))
    }
}

/// What is in the quotes of which the first is behind us, and what follows them.
#[inline]
fn until_quote(quoted: &str) -> Result<Split<'_>, VerifyError> {
    split(quoted, memchr(b'"', quoted.as_bytes())).ok_or(NOT_A_LIST)
}

/// What follows the comma that `rest` begins with, unless it ends.
#[inline]
fn after_comma(rest: &str) -> Result<&str, VerifyError> {
    let rest = rest.trim_ascii_start();
    match rest.strip_prefix(',') {
        Some(after) => Ok(after.trim_ascii_start()),
        None if rest.is_empty() => Ok(rest),
        None => Err(NOT_A_LIST),
    }
}

/// What is before the ASCII character at `at`, and what is after it.
#[inline]
fn split(text: &str, at: Option<usize>) -> Option<Split<'_>> {
    let at = at?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}
