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
use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

use crate::sign::Algorithm;
use crate::store::error::corrupt;
use crate::store::{AccessGrant, Grant, SealedGrant, Secrets, StoreError};

/// A later form gets another number.
const PLAIN: u8 = 1;
const SEALED: u8 = 2;
/// Where form and checksum end.
const HEAD: usize = 21;

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
    subject: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    client_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "BTreeMap::is_empty")]
    extras: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainAccess<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    mac_key: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    algorithm: Option<Cow<'a, str>>,
}

impl Grant {
    /// The grant as bytes for a store to keep, secrets in the clear. They are zeroized when dropped.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let plain = Plain {
            access: self.access.as_ref().map(|access| PlainAccess {
                token: access.access_token.expose_secret().into(),
                mac_key: access.mac_key.as_ref().map(|it| it.expose_secret().into()),
                algorithm: access.algorithm.map(|it| it.as_str().into()),
            }),
            refresh_token: self
                .refresh_token
                .as_ref()
                .map(|it| it.expose_secret().into()),
            scope: self.scope.as_deref().map(Into::into),
            subject: self.subject.as_deref().map(Into::into),
            client_id: self.client_id.as_deref().map(Into::into),
            extras: self
                .extras
                .iter()
                .map(|(name, value)| (name.into(), value.expose_secret().into()))
                .collect(),
        };
        // Twice: a buffer that grows leaves its secrets behind in the memory it gave back.
        let mut length = Count(0);
        write_json(&plain, &mut length);
        let mut bytes = begin(PLAIN, length.0);
        write_json(&plain, &mut *bytes);
        end(bytes)
    }
}

impl Secrets {
    /// The secrets as bytes for a store to keep: in the clear, unless they are sealed. They are
    /// zeroized when dropped.
    ///
    /// # Errors
    ///
    /// If they [cannot be read](Secrets::Unreadable): nothing may be written in their place but
    /// what a revocation leaves.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        match self {
            Self::Open(grant) => Ok(grant.to_bytes()),
            Self::Sealed(sealed) => {
                let mut bytes = begin(SEALED, sealed.as_bytes().len());
                bytes.extend_from_slice(sealed.as_bytes());
                Ok(end(bytes))
            }
            Self::Unreadable(why) => Err(why.clone()),
        }
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. What was sealed comes back sealed, and what
    /// this version cannot read is [`Secrets::Unreadable`].
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let read = || {
            let form = *bytes.first().ok_or("the grant is empty")?;
            if form != PLAIN && form != SEALED {
                return Err("the grant is of another version of this crate");
            }
            let damaged = "the grant is damaged or cut short";
            let (head, rest) = bytes.split_at_checked(HEAD).ok_or(damaged)?;
            if head[1..] != checksum(form, rest) {
                return Err(damaged);
            }
            if form == SEALED {
                return Ok(Self::Sealed(SealedGrant::new(rest)));
            }
            plain(rest).map(Self::Open)
        };
        read().unwrap_or_else(|why| Self::Unreadable(corrupt(why)))
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

/// What the parser complains of may quote a secret, so nothing of that is told.
fn plain(json: &[u8]) -> Result<Grant, &'static str> {
    let plain: Plain<'_> =
        serde_json::from_slice(json).map_err(|_| "the grant cannot be parsed")?;
    let access = plain.access.map(|access| {
        let algorithm = access.algorithm.map(|it| Algorithm::from_str(&it));
        Ok::<_, &'static str>(AccessGrant {
            access_token: access.token.into_owned().into(),
            mac_key: access.mac_key.map(|it| it.into_owned().into()),
            algorithm: algorithm
                .transpose()
                .map_err(|_| "the grant's mac_algorithm is unknown")?,
        })
    });
    let extras = plain.extras.into_iter();
    Ok(Grant {
        access: access.transpose()?,
        refresh_token: plain.refresh_token.map(|it| it.into_owned().into()),
        scope: plain.scope.map(Cow::into_owned),
        subject: plain.subject.map(Cow::into_owned),
        client_id: plain.client_id.map(Into::into),
        extras: extras
            .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
            .collect(),
    })
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
    use crate::store::StoreErrorKind;
    use crate::token::TokenSet;

    fn grant() -> Grant {
        let tokens = TokenSet::mac("AT-1", "KEY-1", "RT-\"1\\\u{fc}", Duration::from_secs(1));
        Grant {
            scope: Some("1 3".to_owned()),
            extras: [("id_token".to_owned(), "ID-1".into())].into(),
            ..tokens.into()
        }
    }

    fn each_form() -> [Secrets; 3] {
        [
            Secrets::Open(grant()),
            Secrets::Sealed(SealedGrant::new(*b"sealed")),
            Secrets::Open(Grant::default()),
        ]
    }

    fn comes_back(secrets: &Secrets) -> bool {
        match (Secrets::from_bytes(&secrets.to_bytes().unwrap()), secrets) {
            (Secrets::Open(read), Secrets::Open(written)) => read == *written,
            (Secrets::Sealed(read), Secrets::Sealed(written)) => read == *written,
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_grant_comes_back_as_it_went(
            refresh in proptest::option::of(".*"),
            access in proptest::option::of((".*", proptest::option::of(".*"))),
            scope in proptest::option::of(".*"), subject in proptest::option::of(".*"),
            client_id in proptest::option::of(".*"),
            extras in proptest::collection::btree_map(".*", ".*", 0..3),
        ) {
            let secrets = Secrets::Open(Grant {
                access: access.map(|(token, key)| AccessGrant {
                    access_token: token.into(),
                    algorithm: key.as_ref().map(|_| Algorithm::HmacSha1),
                    mac_key: key.map(Into::into),
                }),
                refresh_token: refresh.map(Into::into),
                scope,
                subject,
                client_id: client_id.map(Into::into),
                extras: extras.into_iter().map(|(name, it)| (name, it.into())).collect(),
            });
            prop_assert!(comes_back(&secrets));
        }

        #[test]
        fn whatever_stands_there_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Secrets::from_bytes(&bytes);
        }
    }

    #[test]
    fn each_form_comes_back_as_it_went() {
        for secrets in each_form() {
            assert!(comes_back(&secrets), "{secrets:?}");
        }
    }

    #[test]
    fn what_was_cut_short_or_is_of_another_version_cannot_be_read() {
        for secrets in each_form() {
            let bytes = secrets.to_bytes().unwrap();
            for length in 0..bytes.len() {
                let cut = Secrets::from_bytes(&bytes[..length]);
                assert!(matches!(cut, Secrets::Unreadable(_)), "{length}: {cut:?}");
                assert_eq!(cut.grant().unwrap_err().kind(), StoreErrorKind::Corrupt);
                // So nobody writes it back.
                assert!(cut.to_bytes().is_err());
            }
            let mut later = bytes.to_vec();
            later[0] = 9;
            let Secrets::Unreadable(why) = Secrets::from_bytes(&later) else {
                panic!("it was read")
            };
            assert!(why.to_string().contains("another version"), "{why}");
        }
    }

    #[test]
    fn a_grant_of_which_a_bit_was_flipped_cannot_be_read() {
        for secrets in each_form() {
            let bytes = secrets.to_bytes().unwrap();
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let read = Secrets::from_bytes(&flipped);
                assert!(matches!(read, Secrets::Unreadable(_)), "bit {bit}");
            }
        }
    }

    #[test]
    fn the_buffer_of_a_grant_never_grows() {
        let bytes = grant().to_bytes();
        assert_eq!(bytes.len(), bytes.capacity());
    }
}
