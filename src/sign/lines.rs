//! The lines of the canonical string that are checked as they are written: method, host, path.

use super::SignError;
use super::class::Class;
use super::encode::Text;

/// Of a host that is written as it is.
const PLAIN_HOST: Class<3> = Class::of([(b'a', b'z'), (b'0', b'9'), (b'-', b'.')]);
/// What is visible, but for `?` and `#`.
const PATH: Class<3> = Class::of([(b'!', b'"'), (b'$', b'>'), (b'@', b'~')]);

/// Upper-cased, between the ends of its own line and the one before; only the token characters of
/// RFC 9110 §5.6.2.
#[inline]
pub(crate) fn write_method(method: &str, out: &mut Text) -> Result<(), SignError> {
    // The copies of a known length take no call.
    match method {
        "GET" => out.extend(b"\nGET\n"),
        "POST" => out.extend(b"\nPOST\n"),
        _ => write_other_method(method, out)?,
    }
    Ok(())
}

#[inline(never)]
fn write_other_method(method: &str, out: &mut Text) -> Result<(), SignError> {
    if method.is_empty() {
        return Err(SignError::empty("method"));
    }
    out.push(b'\n');
    for (at, byte) in method.bytes().enumerate() {
        let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if !token {
            return Err(SignError::malformed("method", "not a token character").at(at));
        }
        out.push(byte.to_ascii_uppercase());
    }
    out.push(b'\n');
    Ok(())
}

/// Lower-cased, without the port; an IPv6 address keeps its brackets.
#[expect(clippy::inline_always, reason = "as for `checked_path`")]
#[inline(always)]
pub(crate) fn write_host(host: &str, out: &mut Text) -> Result<(), SignError> {
    let host = host.as_bytes();
    if PLAIN_HOST.has_all(host) && !host.is_empty() {
        out.extend(host);
        return Ok(());
    }
    write_odd_host(host, out)
}

#[cold]
fn write_odd_host(host: &[u8], out: &mut Text) -> Result<(), SignError> {
    let end = if host.first() == Some(&b'[') {
        let bracket = host.iter().position(|byte| *byte == b']');
        bracket.ok_or(SignError::malformed("host", "has no closing bracket"))? + 1
    } else {
        let colon = host.iter().position(|byte| *byte == b':');
        colon.unwrap_or(host.len())
    };
    let (name, port) = host.split_at(end);
    if name.is_empty() {
        return Err(SignError::empty("host"));
    }
    for (at, byte) in name.iter().enumerate() {
        if !byte.is_ascii_graphic() || b"/?#@\\\"<>^`{|}".contains(byte) {
            return Err(SignError::malformed("host", "not a host's character").at(at));
        }
        out.push(byte.to_ascii_lowercase());
    }
    match port {
        [] => Ok(()),
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => Ok(()),
        _ => Err(SignError::malformed("host", "port is not a number").at(end)),
    }
}

/// The path as it is signed and sent. Into each of its callers, which otherwise would share it: that
/// takes 44 instructions more, with [`write_host`].
#[expect(clippy::inline_always, reason = "measured")]
#[inline(always)]
pub(crate) fn checked_path(path: &str) -> Result<&[u8], SignError> {
    if path.is_empty() {
        return Ok(b"/");
    }
    let path = path.as_bytes();
    if !PATH.has_all(path) {
        let at = PATH.first_other(path).unwrap_or(0);
        return Err(SignError::malformed("path", "not a path's character").at(at));
    }
    if path[0] != b'/' && path != b"*" {
        return Err(SignError::malformed("path", "does not begin with a slash"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(
        write: impl FnOnce(&mut Text) -> Result<(), SignError>,
    ) -> Result<String, SignError> {
        let mut text = Text::new();
        write(&mut text)?;
        Ok(String::from_utf8(text.as_slice().to_vec()).unwrap())
    }

    #[test]
    fn a_method_is_upper_cased() {
        assert_eq!(
            written(|out| write_method("pAtch-1", out)).unwrap(),
            "\nPATCH-1\n"
        );
    }

    #[test]
    fn a_method_with_odd_bytes_is_refused_by_name() {
        for (method, error) in [
            ("", "method: is empty"),
            ("GET ", "method: not a token character at byte 3"),
            ("G\nT", "method: not a token character at byte 1"),
            ("é", "method: not a token character at byte 0"),
        ] {
            let refused = written(|out| write_method(method, out)).unwrap_err();
            assert_eq!(refused.to_string(), error);
        }
    }

    #[test]
    fn a_host_is_lowered_and_loses_its_port() {
        for (host, line) in [
            ("open.account.xiaomi.com", "open.account.xiaomi.com"),
            ("Open.Account.Xiaomi.COM:443", "open.account.xiaomi.com"),
            ("localhost:", "localhost"),
            ("127.0.0.1:8080", "127.0.0.1"),
            ("[2001:DB8::1]:8080", "[2001:db8::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(written(|out| write_host(host, out)).unwrap(), line);
        }
    }

    #[test]
    fn a_host_with_odd_bytes_is_refused_by_name() {
        for (host, error) in [
            ("", "host: is empty"),
            (":443", "host: is empty"),
            ("a b", "host: not a host's character at byte 1"),
            ("a\nb", "host: not a host's character at byte 1"),
            ("user@host", "host: not a host's character at byte 4"),
            ("a/b", "host: not a host's character at byte 1"),
            ("é", "host: not a host's character at byte 0"),
            ("host:8o", "host: port is not a number at byte 4"),
            ("::1", "host: is empty"),
            ("[::1", "host: has no closing bracket"),
            ("[::1]x", "host: port is not a number at byte 5"),
        ] {
            let refused = written(|out| write_host(host, out)).unwrap_err();
            assert_eq!(refused.to_string(), error);
        }
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        assert_eq!(checked_path(""), Ok(&b"/"[..]));
        for path in ["/", "*", "/a//b/../c;v=1", "/%e7%94", "/a+b%zz"] {
            assert_eq!(checked_path(path), Ok(path.as_bytes()));
        }
    }

    #[test]
    fn a_path_with_odd_bytes_is_refused_by_name() {
        for (path, error) in [
            ("/a b", "path: not a path's character at byte 2"),
            ("/a\n", "path: not a path's character at byte 2"),
            ("/\u{7f}", "path: not a path's character at byte 1"),
            ("/é", "path: not a path's character at byte 1"),
            ("/a?b", "path: not a path's character at byte 2"),
            ("/a#b", "path: not a path's character at byte 2"),
            ("a", "path: does not begin with a slash"),
        ] {
            assert_eq!(checked_path(path).unwrap_err().to_string(), error);
        }
    }
}
