//! What a file says of itself: what it is, of which version, and whether it is whole.
//!
//! ```text
//! tower-mac-auth record 1 <SHA-1 of all the rest, the kind and the version>
//! {"account":"user-42","generation":7,…}
//! <the grant, base64>
//! ```

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

use crate::sign::hex;
use crate::store::error::unavailable;
use crate::store::{Secrets, StoreError};

const MAGIC: &str = "tower-mac-auth";
/// A file of a later version is not read, and so not written over.
const VERSION: &str = "1";

/// The file's bytes.
pub(in crate::store) fn wrap(
    kind: &str,
    header: &impl Serialize,
    secrets: &Secrets,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let header = serde_json::to_vec(header);
    let header =
        header.map_err(|it| unavailable("the record cannot be encoded").with_source(it))?;
    let grant = secrets.to_bytes()?;
    let grant = Zeroizing::new(BASE64_STANDARD.encode(&*grant));
    let parts = [&header, &b"\n"[..], grant.as_bytes(), b"\n"];
    let mut hash = begin(kind);
    for part in parts {
        hash.update(part);
    }
    let first = format!("{MAGIC} {kind} {VERSION} {}\n", hex(&hash.finalize()));
    // Of its full size at once: a buffer that grows leaves secrets behind.
    let length = first.len() + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    bytes.extend_from_slice(first.as_bytes());
    for part in parts {
        bytes.extend_from_slice(part);
    }
    Ok(bytes)
}

/// Header and secrets, or why the file cannot be read. Shows nothing of what is in it.
pub(in crate::store) fn unwrap<H: DeserializeOwned>(
    kind: &str,
    bytes: &[u8],
) -> Result<(H, Secrets), String> {
    if bytes.is_empty() {
        return Err("it is empty".to_owned());
    }
    let damaged = || "it is damaged or cut short".to_owned();
    let (first, rest) = split_line(bytes).ok_or_else(damaged)?;
    let first = std::str::from_utf8(first).map_err(|_| damaged())?;
    let mut words = first.split(' ');
    if words.next() != Some(MAGIC) || words.next() != Some(kind) {
        return Err(format!("it is no {kind} of {MAGIC}, or damaged"));
    }
    let version = words.next().ok_or_else(damaged)?;
    if version != VERSION {
        let version: u32 = version.parse().map_err(|_| damaged())?;
        return Err(format!(
            "it is of version {version}, this program knows {VERSION}"
        ));
    }
    let mut hash = begin(kind);
    hash.update(rest);
    if words.next() != Some(&hex(&hash.finalize())) || words.next().is_some() {
        return Err(damaged());
    }
    let (header, rest) = split_line(rest).ok_or_else(damaged)?;
    let (grant, rest) = split_line(rest).ok_or_else(damaged)?;
    if !rest.is_empty() {
        return Err(damaged());
    }
    // The checksum holds, so a file that cannot be parsed was not written by this version.
    let strange = || "it is not of this version's making".to_owned();
    let header = serde_json::from_slice(header).map_err(|_| strange())?;
    let grant = Zeroizing::new(BASE64_STANDARD.decode(grant).map_err(|_| strange())?);
    Ok((header, Secrets::from_bytes(&grant)))
}

fn begin(kind: &str) -> Sha1 {
    Sha1::new_with_prefix(format!("{kind} {VERSION}\n"))
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}
