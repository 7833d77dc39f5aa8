use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Generate, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::store::error::{corrupt, unavailable};
use crate::store::{AccountName, Generation, Grant, SealedGrant, Secrets, StoreError};

/// Separates these seals from whatever else a key may be used for.
const DOMAIN: &[u8] = b"tower-mac-auth grant 1";
/// Of XChaCha20-Poly1305: long enough to be drawn at random for each seal.
const NONCE_LEN: usize = 24;

/// A key of 256 bits that seals grants. Zeroized when dropped; `Debug` prints `[redacted]`.
#[derive(Clone)]
pub struct SealingKey(XChaCha20Poly1305);

impl SealingKey {
    /// Takes 32 bytes that nobody can guess.
    pub fn from_bytes(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// Reads 32 bytes in base64 (RFC 4648 §4, padded), as `openssl rand -base64 32` writes them.
    ///
    /// # Errors
    ///
    /// If the text is anything else. The error does not show it.
    pub fn from_base64(text: &str) -> Result<Self, KeyringError> {
        let bytes = STANDARD.decode(text.trim()).map(Zeroizing::new);
        let key = bytes
            .as_ref()
            .ok()
            .and_then(|it| it.as_slice().try_into().ok());
        key.map(Self::from_bytes)
            .ok_or(KeyringError("the key is not 32 bytes in base64"))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The keys of a [`SealedStore`](super::SealedStore), by their ids: one seals, all open.
///
/// To change the key: add the new one as a [retired](Self::with_retired) one everywhere, then make it
/// the first and retire the old one. Each rotation seals anew, and
/// [`reseal`](super::SealedStore::reseal) does for accounts that nobody uses; then nothing needs the old
/// key.
#[derive(Clone, Debug)]
pub struct Keyring {
    current: (String, SealingKey),
    retired: Vec<(String, SealingKey)>,
}

impl Keyring {
    /// A ring whose one key seals and opens. The `id` is written with each grant, in the clear.
    ///
    /// # Errors
    ///
    /// If the id is empty or longer than 255 bytes.
    pub fn new(id: impl Into<String>, key: SealingKey) -> Result<Self, KeyringError> {
        let current = (checked(id.into())?, key);
        let retired = Vec::new();
        Ok(Self { current, retired })
    }

    /// Adds a key that opens and does not seal.
    ///
    /// # Errors
    ///
    /// If the id is empty, longer than 255 bytes, or in the ring already.
    pub fn with_retired(
        mut self,
        id: impl Into<String>,
        key: SealingKey,
    ) -> Result<Self, KeyringError> {
        let id = checked(id.into())?;
        if self.key(&id).is_some() {
            return Err(KeyringError("the key id is in the keyring already"));
        }
        self.retired.push((id, key));
        Ok(self)
    }

    /// The id of the key that seals.
    pub fn current_id(&self) -> &str {
        &self.current.0
    }

    fn key(&self, id: &str) -> Option<&SealingKey> {
        let mut keys = std::iter::once(&self.current).chain(&self.retired);
        keys.find(|key| key.0 == id).map(|key| &key.1)
    }

    /// Seals for one generation of one account: it opens as no other.
    pub(in crate::store) fn seal(
        &self,
        account: &AccountName,
        generation: Generation,
        grant: &Grant,
    ) -> Result<Secrets, StoreError> {
        let (id, key) = &self.current;
        let no_randomness = unavailable("the system has no randomness to seal with");
        let nonce = XNonce::try_generate().map_err(|error| no_randomness.with_source(error))?;
        let aad = aad(account, generation);
        let payload = Payload {
            msg: &grant.to_bytes(),
            aad: &aad,
        };
        let sealed = key.0.encrypt(&nonce, payload);
        let sealed = sealed.map_err(|_| unavailable("the grant is too long to seal"))?;
        let id_len = u8::try_from(id.len()).unwrap_or(u8::MAX);
        let bytes = [&[id_len], id.as_bytes(), nonce.as_slice(), &sealed].concat();
        Ok(Secrets::Sealed(SealedGrant::new(bytes)))
    }

    pub(in crate::store) fn open(
        &self,
        account: &AccountName,
        generation: Generation,
        sealed: &SealedGrant,
    ) -> Result<Secrets, StoreError> {
        let (id, nonce, sealed) =
            parts(sealed.as_bytes()).ok_or_else(|| corrupt("the seal is cut short"))?;
        let key = self.key(id).ok_or_else(|| {
            let source = format!("key id {id:?}");
            corrupt("it is sealed with a key that is not in the keyring").with_source(source)
        })?;
        let aad = aad(account, generation);
        let payload = Payload {
            msg: sealed,
            aad: &aad,
        };
        let opened = key.0.decrypt(&XNonce::from(*nonce), payload);
        let plain = opened.map(Zeroizing::new).map_err(|_| {
            let what = "the seal does not open: a wrong key, or a record that was changed";
            corrupt(what).with_source(format!("key id {id:?}"))
        })?;
        Ok(Secrets::from_bytes(&plain))
    }
}

impl SealedGrant {
    /// The id of the key that a [`SealedStore`](super::SealedStore) has sealed it with; `None` if it is
    /// not of its making.
    pub fn key_id(&self) -> Option<&str> {
        parts(self.as_bytes()).map(|(id, ..)| id)
    }
}

/// The id of the key, the nonce, the rest.
fn parts(sealed: &[u8]) -> Option<(&str, &[u8; NONCE_LEN], &[u8])> {
    let (id_len, rest) = sealed.split_first()?;
    let (id, rest) = rest.split_at_checked(usize::from(*id_len))?;
    let (nonce, rest) = rest.split_first_chunk()?;
    Some((std::str::from_utf8(id).ok()?, nonce, rest))
}

fn aad(account: &AccountName, generation: Generation) -> Vec<u8> {
    let generation = generation.number().to_be_bytes();
    [DOMAIN, &generation, account.as_str().as_bytes()].concat()
}

fn checked(id: String) -> Result<String, KeyringError> {
    match id.len() {
        0 => Err(KeyringError("the key id is empty")),
        1..=255 => Ok(id),
        _ => Err(KeyringError("the key id is longer than 255 bytes")),
    }
}

/// A key or its id cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringError(&'static str);

impl fmt::Display for KeyringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keyring: {}", self.0)
    }
}

impl std::error::Error for KeyringError {}
