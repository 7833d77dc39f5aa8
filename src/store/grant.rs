//! What is secret in a record, and how it comes to be there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Generation, StoreError, StoreErrorKind};
use crate::sign::Algorithm;
use crate::token::TokenSet;
use crate::{AccessToken, Extra, MacKeyText, RefreshToken};

/// The access half of a grant: what signs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessGrant {
    /// Names the grant in each signed request.
    pub access_token: AccessToken,
    /// Signs each request; `None` if no key was issued with the token.
    pub mac_key: Option<MacKeyText>,
    /// What the key is for; `None` without one.
    pub algorithm: Option<Algorithm>,
}

impl AccessGrant {
    /// An access token without a key of its own.
    pub fn new(access_token: impl Into<AccessToken>) -> Self {
        Self {
            access_token: access_token.into(),
            mac_key: None,
            algorithm: None,
        }
    }

    /// With the key that was issued for it.
    #[must_use]
    pub fn with_mac_key(mut self, mac_key: impl Into<MacKeyText>, algorithm: Algorithm) -> Self {
        self.mac_key = Some(mac_key.into());
        self.algorithm = Some(algorithm);
        self
    }
}

/// The secrets of a record, and what came with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// What signs; `None` if only a refresh token is held.
    pub access: Option<AccessGrant>,
    /// What buys the next grant, once.
    pub refresh_token: Option<RefreshToken>,
    /// The scopes granted, as the provider wrote them.
    pub scope: Option<String>,
    /// The provider's pseudonymous id of the user.
    pub open_id: Option<String>,
    /// The id of the client that it was issued to, which alone can use it: an account of another
    /// refuses it. `None`, of a grant that no account has written, is anybody's.
    pub client_id: Option<Arc<str>>,
    /// What else the provider sent with the tokens, by its name in the answer.
    pub extras: BTreeMap<String, Extra>,
}

impl Grant {
    /// Whether both hold the same refresh token.
    pub(crate) fn has_tokens_of(&self, other: &Self) -> bool {
        self.refresh_token == other.refresh_token
    }
}

impl From<TokenSet> for Grant {
    fn from(tokens: TokenSet) -> Self {
        let access = AccessGrant::new(tokens.access_token);
        Self {
            access: Some(access.with_mac_key(tokens.mac_key, tokens.algorithm)),
            refresh_token: tokens.refresh_token,
            scope: tokens.scope,
            open_id: tokens.open_id,
            ..Self::default()
        }
    }
}

impl From<RefreshToken> for Grant {
    /// A bare refresh token: the first use buys the access half.
    fn from(refresh_token: RefreshToken) -> Self {
        Self {
            refresh_token: Some(refresh_token),
            ..Self::default()
        }
    }
}

/// What a record holds in the place of its secrets. There is nothing else: whoever wraps a store must
/// know what to do with each.
#[derive(Clone, Debug)]
pub enum Secrets {
    /// The grant, in the clear.
    Open(Grant),
    /// A grant that a key is needed to read: what a sealing store wrote, and nobody has opened.
    Sealed(SealedGrant),
    /// Bytes that are no grant to whoever reads, and why. The rest of the record can be read, so it
    /// tells what supersedes what; but no account takes it, and only a revocation replaces it.
    Unreadable(StoreError),
}

impl Secrets {
    /// The grant, if it can be read.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](StoreErrorKind::Corrupt) if it is sealed, or cannot be read.
    pub fn grant(&self) -> Result<&Grant, StoreError> {
        match self {
            Self::Open(grant) => Ok(grant),
            _ => Err(self.unreadable()),
        }
    }

    /// Why there is no grant to be read.
    pub(super) fn unreadable(&self) -> StoreError {
        match self {
            Self::Unreadable(why) => why.clone(),
            _ => StoreError::new(
                StoreErrorKind::Corrupt,
                "it is sealed, and the store that was given has no key that opens it",
            ),
        }
    }

    /// Whether they are this grant, in the clear.
    pub fn are(&self, other: &Grant) -> bool {
        matches!(self, Self::Open(grant) if grant == other)
    }
}

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

/// A grant as it is issued: what [`RecordStore::commit`](super::RecordStore::commit) writes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Issued {
    /// The generation it becomes.
    pub generation: Generation,
    /// See [`Record::lineage`](super::Record::lineage).
    pub lineage: Generation,
    /// The secrets.
    pub grant: Grant,
    /// The rest of the access token's life; `None` without one, or if it is not known.
    pub expires_in: Option<Duration>,
    /// The rest of the refresh token's life; `None` without one, or if it is not known.
    pub refresh_expires_in: Option<Duration>,
}

impl Issued {
    /// By a user's authorization, or given to the program at its start.
    pub fn authorized(
        generation: Generation,
        grant: impl Into<Grant>,
        expires_in: Option<Duration>,
    ) -> Self {
        Self::rotated(generation, generation, grant, expires_in)
    }

    /// By the token endpoint for the refresh token of a grant of this lineage.
    pub fn rotated(
        generation: Generation,
        lineage: Generation,
        grant: impl Into<Grant>,
        expires_in: Option<Duration>,
    ) -> Self {
        Self {
            generation,
            lineage,
            grant: grant.into(),
            expires_in,
            refresh_expires_in: None,
        }
    }
}
