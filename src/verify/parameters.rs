//! The list of parameters in an `Authorization` header (RFC 9110 §11.2).

use memchr::{memchr, memchr2, memchr3};

use super::VerifyError;

/// Those that mean something, as they were sent.
#[derive(Default)]
pub(super) struct Parameters<'a> {
    pub(super) access_token: Option<&'a [u8]>,
    pub(super) id: Option<&'a [u8]>,
    pub(super) ts: Option<&'a [u8]>,
    pub(super) nonce: Option<&'a [u8]>,
    pub(super) bodyhash: Option<&'a [u8]>,
    pub(super) ext: Option<&'a [u8]>,
    pub(super) mac: Option<&'a [u8]>,
}

impl<'a> Parameters<'a> {
    /// Reads the value of a header. White space and the order do not matter, unknown parameters are
    /// ignored.
    ///
    /// # Errors
    ///
    /// Names `authorization` when it is not of the scheme `MAC` or not a list of parameters, or the
    /// parameter that is there twice.
    pub(super) fn read(value: &'a [u8]) -> Result<Self, VerifyError> {
        let mut rest = after_scheme(value)?;
        let mut all = Self::default();
        while !rest.is_empty() {
            let [name, text, after] = first(rest)?;
            let slot = match name.len() {
                2 if is(name, b"id") => Some(("id", &mut all.id)),
                2 if is(name, b"ts") => Some(("ts", &mut all.ts)),
                3 if is(name, b"mac") => Some(("mac", &mut all.mac)),
                3 if is(name, b"ext") => Some(("ext", &mut all.ext)),
                5 if is(name, b"nonce") => Some(("nonce", &mut all.nonce)),
                8 if is(name, b"bodyhash") => Some(("bodyhash", &mut all.bodyhash)),
                12 if is(name, b"access_token") => Some(("access_token", &mut all.access_token)),
                _ => None,
            };
            if slot.is_none() && !is_token(name) {
                return Err(NOT_A_LIST);
            }
            if let Some((field, slot)) = slot
                && slot.replace(text).is_some()
            {
                return Err(VerifyError::malformed(field, "is there twice"));
            }
            rest = after;
        }
        Ok(all)
    }
}

const NOT_A_LIST: VerifyError =
    VerifyError::malformed("authorization", "is not a list of name=\"value\"");

/// Names are compared without case; as it is sent nearly always, at once.
fn is(name: &[u8], known: &[u8]) -> bool {
    name == known || name.eq_ignore_ascii_case(known)
}

/// Whether it may be the name of a parameter.
fn is_token(name: &[u8]) -> bool {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !name.is_empty() && name.iter().all(good)
}

/// What follows the scheme (RFC 9110 §11.4), which is compared without case.
fn after_scheme(value: &[u8]) -> Result<&[u8], VerifyError> {
    let value = value.trim_ascii();
    let end = memchr2(b' ', b'\t', value).unwrap_or(value.len());
    let (scheme, parameters) = value.split_at(end);
    if is(scheme, b"MAC") {
        Ok(parameters.trim_ascii_start())
    } else {
        let reason = "is not of the scheme MAC";
        Err(VerifyError::malformed("authorization", reason))
    }
}

/// The first `name = "value"` or `name = value`, and what follows its comma.
///
/// What is in quotes has no need of backslashes: Xiaomi form-encodes it, the drafts forbid them.
fn first(text: &[u8]) -> Result<[&[u8]; 3], VerifyError> {
    let Some((name, value)) = split(text, memchr(b'=', text)) else {
        return Err(NOT_A_LIST);
    };
    let value = value.trim_ascii_start();
    let (value, after) = if let Some(quoted) = value.strip_prefix(b"\"") {
        let end = memchr2(b'"', b'\\', quoted);
        let end = end.filter(|end| quoted.get(*end) == Some(&b'"'));
        split(quoted, end).ok_or(NOT_A_LIST)?
    } else {
        let end = memchr3(b',', b' ', b'\t', value).unwrap_or(value.len());
        let (value, after) = value.split_at(end);
        if memchr(b'\\', value).is_some() {
            return Err(NOT_A_LIST);
        }
        (value, after)
    };
    let after = after.trim_ascii_start();
    let after = match after.strip_prefix(b",") {
        Some(after) => after.trim_ascii_start(),
        None if after.is_empty() => after,
        None => return Err(NOT_A_LIST),
    };
    Ok([name.trim_ascii(), value, after])
}

/// What is before the byte at `at`, and what is after it.
fn split(text: &[u8], at: Option<usize>) -> Option<(&[u8], &[u8])> {
    let at = at?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}
