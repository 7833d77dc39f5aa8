//! The pairs of a query or a form: found, checked, and compared.

use std::cmp::Ordering;

use crate::sign::SignError;
use crate::sign::class::BARE;
use crate::sign::encode::{Decoded, OddBytes, escaped};
use crate::sign::spill::Spill;

/// The pairs of one request; more than 32 are rare.
pub(super) type Pairs<'a> = Spill<Pair<'a>, 32>;

/// One `name=value`, as it was found.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    /// The first eight bytes of the decoded name, zeroes after its end: settles most comparisons.
    pub(super) key: u64,
    /// The pair, still encoded.
    text: &'a [u8],
    /// The length of the name in `text`, still encoded; 64 KiB is the most there is of pairs.
    name_len: u32,
    /// The name has no escape and no `+`: encoded and decoded are the same.
    plain_name: bool,
    /// The name is already what would be signed.
    pub(super) canonical_name: bool,
    /// `text` is.
    pub(super) canonical: bool,
}

impl<'a> Pair<'a> {
    /// A pair that is already in canonical form, with a name that needs no escape.
    pub(super) fn prepared(text: &'a [u8], name_len: usize) -> Self {
        Self {
            key: key(text.iter().take(name_len).copied()),
            text,
            name_len: short(name_len),
            plain_name: true,
            canonical_name: true,
            canonical: true,
        }
    }

    #[inline]
    pub(super) const fn text(&self) -> &'a [u8] {
        self.text
    }

    #[inline]
    pub(super) fn name(&self) -> &'a [u8] {
        self.text.get(..self.name_len as usize).unwrap_or_default()
    }

    /// Empty too when there is no `=`.
    #[inline]
    pub(super) fn value(&self) -> &'a [u8] {
        self.text
            .get(self.name_len as usize + 1..)
            .unwrap_or_default()
    }

    /// Whether both names are the same once decoded.
    #[inline]
    pub(super) fn same_name(&self, other: &Self) -> bool {
        self.key == other.key && self.cmp_names(other) == Ordering::Equal
    }

    /// By the bytes of the decoded names.
    #[inline]
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key).then_with(|| self.cmp_names(other))
    }

    #[inline]
    pub(super) fn cmp_names(&self, other: &Self) -> Ordering {
        if self.plain_name && other.plain_name {
            self.name().cmp(other.name())
        } else {
            Decoded(self.name()).cmp(Decoded(other.name()))
        }
    }
}

/// A length that has been checked against the limit of 64 KiB; half the width makes a pair one
/// that is cheap to move.
fn short(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// The first eight bytes of `decoded_name`, zeroes after its end.
fn key(decoded_name: impl Iterator<Item = u8>) -> u64 {
    let mut key = [0; 8];
    for (slot, byte) in key.iter_mut().zip(decoded_name) {
        *slot = byte;
    }
    u64::from_be_bytes(key)
}

/// [`key`] of the first `name_len` bytes of `text`, which need no decoding.
#[inline]
pub(super) fn plain_key(text: &[u8], name_len: usize) -> u64 {
    match text.first_chunk() {
        Some(_) if name_len == 0 => 0,
        Some(head) => {
            let after = 8 - name_len.min(8);
            u64::from_be_bytes(*head) >> (8 * after) << (8 * after)
        }
        None => key(text.iter().take(name_len).copied()),
    }
}

/// Finds the pairs of `text`; an empty segment is not a pair. `field` is what an error names.
///
/// # Errors
///
/// Those of `each`. Unless `accept_malformed`, also the first byte that no encoder would have left:
/// a `%` that begins no escape, a control character or space, or anything beyond ASCII. A `#` in a
/// query is always refused, because what follows it would not be sent.
#[inline]
pub(super) fn each_pair<'a>(
    field: &'static str,
    text: &'a [u8],
    accept_malformed: bool,
    mut each: impl FnMut(Pair<'a>) -> Result<(), SignError>,
) -> Result<(), SignError> {
    let mut odd = OddBytes::new(text);
    let mut start = 0;
    while start < text.len() {
        let mut name_len = None;
        let (mut plain_name, mut canonical_name, mut canonical) = (true, true, true);
        let end = loop {
            let at = odd.next();
            match text.get(at) {
                None | Some(b'&') => break at,
                Some(b'=') if name_len.is_none() => {
                    name_len = Some(at - start);
                    canonical_name = canonical;
                }
                Some(b'+') => plain_name &= name_len.is_some(),
                Some(b'%') => {
                    plain_name &= name_len.is_some();
                    match text.get(at + 1..at + 3) {
                        Some(&[high, low]) if escaped(high, low).is_some() => {
                            canonical &= is_canonical_escape(high, low);
                        }
                        _ if accept_malformed => canonical = false,
                        _ => return Err(SignError::malformed(field, "bad percent escape").at(at)),
                    }
                }
                Some(b'#') if field == "query" => {
                    return Err(SignError::malformed(field, "begins a fragment").at(at));
                }
                Some(b'!'..=b'~') => canonical = false,
                Some(_) if accept_malformed => canonical = false,
                Some(byte) => return Err(SignError::malformed(field, unfit(*byte)).at(at)),
            }
        };
        let segment = text.get(start..end).unwrap_or_default();
        if !segment.is_empty() {
            if name_len.is_none() {
                // A name alone is signed as `name=`.
                (canonical_name, canonical) = (canonical, false);
            }
            let name_len = name_len.unwrap_or(segment.len());
            let name = segment.get(..name_len).unwrap_or_default();
            each(Pair {
                key: if plain_name {
                    plain_key(segment, name_len)
                } else {
                    key(Decoded(name))
                },
                text: segment,
                name_len: short(name_len),
                plain_name,
                canonical_name,
                canonical,
            })?;
        }
        start = end + 1;
    }
    Ok(())
}

/// Whether form encoding would write `%` and these digits, and not the byte itself, `+`, or
/// small letters.
fn is_canonical_escape(high: u8, low: u8) -> bool {
    escaped(high, low).is_some_and(|byte| byte != b' ' && !BARE.has(byte))
        && !high.is_ascii_lowercase()
        && !low.is_ascii_lowercase()
}

#[cold]
const fn unfit(byte: u8) -> &'static str {
    if byte.is_ascii() {
        "control character or space"
    } else {
        "non-ASCII byte that is not percent-encoded"
    }
}
