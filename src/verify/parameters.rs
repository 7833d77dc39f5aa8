//! The list of parameters in an `Authorization` header (RFC 9110 §11.2).

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
    /// # Errors
    ///
    /// Names `authorization` when it is not of the scheme `MAC` or not a list of parameters, or the
    /// parameter that is there twice.
    pub(super) fn read(value: &'a str) -> Result<Self, VerifyError> {
        let mut rest = after_scheme(value)?;
        let mut all = Self::default();
        while !rest.is_empty() {
            let (name, text, after) = first(rest)?;
            let slot = match name.to_ascii_lowercase().as_str() {
                "access_token" => Some(("access_token", &mut all.access_token)),
                "id" => Some(("id", &mut all.id)),
                "ts" => Some(("ts", &mut all.ts)),
                "nonce" => Some(("nonce", &mut all.nonce)),
                "bodyhash" => Some(("bodyhash", &mut all.bodyhash)),
                "ext" => Some(("ext", &mut all.ext)),
                "mac" => Some(("mac", &mut all.mac)),
                _ => None,
            };
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

/// What follows the scheme (RFC 9110 §11.4), which is compared without case.
fn after_scheme(value: &str) -> Result<&str, VerifyError> {
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
fn first(text: &str) -> Result<(&str, &str, &str), VerifyError> {
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
    // What is in quotes has no need of backslashes: Xiaomi form-encodes it, the drafts forbid them.
    if name.is_empty()
        || !name.bytes().all(is_name)
        || memchr::memchr(b'\\', value.as_bytes()).is_some()
    {
        return Err(odd);
    }
    Ok((name, value, after))
}
