use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Random text with every character that a sloppy encoder gets wrong.
pub(super) fn odd_text() -> String {
    format!("{}+/=", BASE64_STANDARD.encode(random::<15>()))
}

pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fastrand::fill(&mut bytes);
    bytes
}
