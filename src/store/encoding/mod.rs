//! Records and grants as bytes.

pub(super) mod envelope;
mod grant;
mod record;

use std::fmt::Write as _;

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
