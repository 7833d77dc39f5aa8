//! The secrets of a record as bytes: what a store keeps as one column, field or file, and never
//! looks into.
//!
//! ```text
//! 1 byte    which form the rest has
//! 20 bytes  SHA-1 of the form and of what follows
//! the rest  JSON, or what a sealing store made
//! ```
//!
//! The checksum is for damage: a token with a bit flipped is a token still, and to present it would
//! lose the grant. It stops nobody who writes to the store.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

use super::{AccessGrant, Grant, Record, StoreError, StoreErrorKind};
use crate::sign::Algorithm;

/// A later form gets another. (1 and 2 had no checksum, and were never released.)
const PLAIN: u8 = 3;
const SEALED: u8 = 4;
/// All of them.
pub(super) const FORMS: [u8; 2] = [PLAIN, SEALED];
/// Where form and checksum end.
const HEAD: usize = 21;

/// A [`Grant`] that a key is needed to read: opaque bytes of a sealing store.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedGrant(Box<[u8]>);

impl SealedGrant {
    /// Takes sealed bytes over.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into().into_boxed_slice())
    }

    /// The sealed bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SealedGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[sealed, {} bytes]", self.0.len())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    access: Option<PlainAccess<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    scope: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    open_id: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    client_id: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainAccess<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    #[serde(borrow)]
    mac_key: Cow<'a, str>,
    #[serde(borrow)]
    algorithm: Cow<'a, str>,
}

impl Grant {
    /// The grant as bytes for a store to keep, secrets in the clear unless it is sealed. They are
    /// zeroized when dropped.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        if let Some(sealed) = &self.sealed {
            let mut bytes = begin(SEALED, sealed.as_bytes().len());
            bytes.extend_from_slice(sealed.as_bytes());
            return end(bytes);
        }
        let plain = Plain {
            access: self.access.as_ref().map(|access| PlainAccess {
                token: access.access_token.expose_secret().into(),
                mac_key: access.mac_key.expose_secret().into(),
                algorithm: access.algorithm.as_str().into(),
            }),
            refresh_token: self
                .refresh_token
                .as_ref()
                .map(|it| it.expose_secret().into()),
            scope: self.scope.as_deref().map(Into::into),
            open_id: self.open_id.as_deref().map(Into::into),
            client_id: self.client_id.as_deref().map(Into::into),
        };
        // Twice: a buffer that grows leaves its secrets behind in the memory it gave back.
        let mut length = Count(0);
        write_json(&plain, &mut length);
        let mut bytes = begin(PLAIN, length.0);
        write_json(&plain, &mut *bytes);
        end(bytes)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. What was sealed comes back sealed.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Corrupt`] if the bytes are none of a grant that this version can read. The
    /// error shows none of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let form = *bytes.first().ok_or_else(|| corrupt("the grant is empty"))?;
        if !FORMS.contains(&form) {
            return Err(corrupt("the grant is of another version of this crate"));
        }
        let damaged = || corrupt("the grant is damaged or cut short");
        let (head, rest) = bytes.split_at_checked(HEAD).ok_or_else(damaged)?;
        if head[1..] != checksum(form, rest) {
            return Err(damaged());
        }
        if form == PLAIN {
            return plain(rest);
        }
        Ok(Self {
            sealed: Some(SealedGrant::new(rest)),
            ..Self::default()
        })
    }

    /// Reads the grant of a record that [supersedes](super::Commit::Superseded) a commit. That is
    /// decided whether or not the bytes can be read, and a caller that got an error would try
    /// again for ever: so what cannot be read becomes a grant that no account takes.
    pub fn superseding(bytes: &[u8]) -> Self {
        // None of the bytes: they may be secrets, and what is sealed is not wiped.
        Self::from_bytes(bytes).unwrap_or_else(|_| Self {
            sealed: Some(SealedGrant::new([])),
            ..Self::default()
        })
    }
}

impl Record {
    /// The record, if this client can use its grant.
    pub(crate) fn usable_by(mut self, client_id: &Arc<str>) -> Result<Self, StoreError> {
        if let Some(sealed) = &self.grant.sealed {
            return Err(corrupt(if sealed.as_bytes().is_empty() {
                "its grant is damaged, or of another version of this crate"
            } else {
                "it is sealed, and the store that was given has no key that opens it"
            }));
        }
        if let Some(owner) = &mut self.grant.client_id {
            if owner != client_id {
                let what = "the account is another client's; each client needs a store of its own";
                let whose = format!("client {owner:?}, not {client_id:?}");
                return Err(StoreError::new(StoreErrorKind::Unsuitable, what).with_source(whose));
            }
            // One text for all accounts.
            *owner = Arc::clone(client_id);
        }
        Ok(self)
    }
}

/// Bytes of this form, with room for so many more and for nothing else.
fn begin(form: u8, length: usize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD + length));
    bytes.push(form);
    bytes.resize(HEAD, 0);
    bytes
}

/// The same, with the checksum where there was room for it.
fn end(mut bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    let checksum = checksum(bytes[0], &bytes[HEAD..]);
    bytes[1..HEAD].copy_from_slice(&checksum);
    bytes
}

fn checksum(form: u8, rest: &[u8]) -> [u8; HEAD - 1] {
    Sha1::new_with_prefix([form])
        .chain_update(rest)
        .finalize()
        .into()
}

fn plain(json: &[u8]) -> Result<Grant, StoreError> {
    // What the parser complains of may quote a secret: only where it stopped is told.
    let plain: Plain<'_> = serde_json::from_slice(json).map_err(|error| {
        let at = format!("line {}, column {}", error.line(), error.column());
        corrupt("the grant cannot be parsed").with_source(at)
    })?;
    let access = plain.access.map(|access| {
        let algorithm = Algorithm::from_str(&access.algorithm)
            .map_err(|_| corrupt("the grant's mac_algorithm is unknown"))?;
        Ok(AccessGrant {
            access_token: access.token.into_owned().into(),
            mac_key: access.mac_key.into_owned().into(),
            algorithm,
        })
    });
    Ok(Grant {
        access: access.transpose()?,
        refresh_token: plain.refresh_token.map(|it| it.into_owned().into()),
        scope: plain.scope.map(Cow::into_owned),
        open_id: plain.open_id.map(Cow::into_owned),
        client_id: plain.client_id.map(Into::into),
        sealed: None,
    })
}

fn corrupt(what: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, what)
}

/// Texts and options alone cannot fail to become JSON, nor can these writers.
fn write_json(plain: &Plain<'_>, writer: impl std::io::Write) {
    let written = serde_json::to_writer(writer, plain);
    debug_assert!(written.is_ok());
}

/// Counts what is written.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::Timestamp;
    use crate::store::{Fence, Generation, Issued};
    use crate::token::TokenSet;

    fn grant() -> Grant {
        let tokens = TokenSet::new("AT-1", "KEY-1", "RT-\"1\\\u{fc}", Duration::from_secs(1));
        Grant {
            scope: Some("1 3".to_owned()),
            ..tokens.into()
        }
    }

    proptest! {
        #[test]
        fn a_grant_comes_back_as_it_went(
            refresh in proptest::option::of(".*"), access in proptest::option::of((".*", ".*")),
            scope in proptest::option::of(".*"), open_id in proptest::option::of(".*"),
            client_id in proptest::option::of(".*"),
        ) {
            let grant = Grant {
                access: access.map(|(token, key)| AccessGrant {
                    access_token: token.into(),
                    mac_key: key.into(),
                    algorithm: Algorithm::HmacSha1,
                }),
                refresh_token: refresh.map(Into::into),
                scope,
                open_id,
                client_id: client_id.map(Into::into),
                sealed: None,
            };
            prop_assert_eq!(Grant::from_bytes(&grant.to_bytes()).unwrap(), grant);
        }

        #[test]
        fn whatever_stands_there_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Grant::from_bytes(&bytes);
        }
    }

    #[test]
    fn what_is_sealed_stays_sealed() {
        let sealed = Grant {
            sealed: Some(SealedGrant::new(*b"sealed")),
            ..Grant::default()
        };
        assert_eq!(Grant::from_bytes(&sealed.to_bytes()).unwrap(), sealed);
    }

    #[test]
    fn a_grant_that_supersedes_and_cannot_be_read_is_of_use_to_nobody() {
        let mut bytes = grant().to_bytes();
        assert_eq!(Grant::superseding(&bytes), grant());
        bytes[0] = 9;
        for unreadable in [&bytes[..], b""] {
            let grant = Grant::superseding(unreadable);
            assert!(grant != Grant::default() && grant.access.is_none());
            let issued = Issued::authorized(Generation::FIRST, grant, None);
            let record = Record::active(issued, Fence::default(), Timestamp::EPOCH);
            let error = record.usable_by(&"client".into()).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt);
            assert!(error.to_string().contains("damaged"), "{error}");
        }
    }

    #[test]
    fn a_grant_that_was_cut_short_is_an_error_that_shows_no_secret() {
        let bytes = grant().to_bytes();
        for length in 0..bytes.len() {
            let error = Grant::from_bytes(&bytes[..length]).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt);
            let text = format!("{error:?}");
            assert!(
                !["AT-1", "KEY-1", "RT-"].iter().any(|it| text.contains(it)),
                "{text}"
            );
        }
        let mut later = bytes.to_vec();
        later[0] = 9;
        let error = Grant::from_bytes(&later).unwrap_err().to_string();
        assert!(error.contains("another version"), "{error}");
    }

    #[test]
    fn a_grant_of_which_a_bit_was_flipped_is_an_error_that_shows_no_secret() {
        let sealed = Grant {
            sealed: Some(SealedGrant::new(*b"sealed")),
            ..Grant::default()
        };
        for grant in [grant(), sealed, Grant::default()] {
            let bytes = grant.to_bytes();
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let error = Grant::from_bytes(&flipped).unwrap_err();
                assert_eq!(error.kind(), StoreErrorKind::Corrupt, "bit {bit}");
                let text = format!("{error:?}");
                assert!(!text.contains("AT-") && !text.contains("RT-"), "{text}");
            }
        }
    }

    #[test]
    fn the_buffer_of_a_grant_never_grows() {
        let bytes = grant().to_bytes();
        assert_eq!(bytes.len(), bytes.capacity());
    }
}
