use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use compact_str::CompactString;

use super::SealedGrant;
use crate::sign::Algorithm;
use crate::token::TokenSet;
use crate::{AccessToken, MacKeyText, RefreshToken, Timestamp};

/// Names an account in a store: one grant of one user to one client.
///
/// 1 to 512 bytes of text without control characters. Slashes, dots and
/// non-ASCII text are fine: a store that makes file names or keys of it encodes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountName(CompactString);

impl AccountName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 512;

    /// Checks and takes the name.
    ///
    /// # Errors
    ///
    /// If the name is empty, longer than [`AccountName::MAX_LEN`], or has control characters.
    pub fn new(name: &str) -> Result<Self, AccountNameError> {
        if name.is_empty() {
            Err(AccountNameError("is empty"))
        } else if name.len() > Self::MAX_LEN {
            Err(AccountNameError("is longer than 512 bytes"))
        } else if name.chars().any(char::is_control) {
            Err(AccountNameError("has a control character"))
        } else {
            Ok(Self(CompactString::new(name)))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A map by names finds one by its text.
impl Borrow<str> for AccountName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text cannot name an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountNameError(&'static str);

impl fmt::Display for AccountNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account name: {}", self.0)
    }
}

impl std::error::Error for AccountNameError {}

/// Counts the credentials of an account: 1, 2, 3…, one more at each rotation.
///
/// Every signed request knows the generation that signed it, so a refusal that comes late cannot
/// throw a newer credential away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    /// The first generation.
    pub const FIRST: Self = Self(1);

    /// The generation with this number, as a store keeps it.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number, as a store keeps it.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The one a rotation makes of this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The one a user's decision makes of this: two up, so that a rotation still under way, which
    /// will commit one up, can neither undo it nor share its number.
    #[must_use]
    pub const fn decided(self) -> Self {
        self.next().next()
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Grows with each lease: tells one holder from the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(u64);

impl Fence {
    /// The fence with this number, as a store keeps it.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number, as a store keeps it.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The next lease's.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Where a record stands in the rotation. See the [module docs](super).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Nobody rotates.
    Active,
    /// Somebody prepares to; nothing was sent. Ends by its deadline.
    Leased,
    /// The refresh token is being presented, or was when its presenter died.
    Sending,
    /// The refresh token was presented and the answer is lost: it may be spent.
    InDoubt,
    /// The refresh token is of no use: the account needs a new authorization.
    Revoked,
}

impl Status {
    /// Whether somebody is about to rotate, or rotates. Who waits for the record waits for the end
    /// of this, so a store need not wake anybody for it.
    pub const fn is_rotating(self) -> bool {
        matches!(self, Self::Leased | Self::Sending)
    }
}

/// The access half of a grant: what signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessGrant {
    /// Names the grant in each signed request.
    pub access_token: AccessToken,
    /// Signs each request.
    pub mac_key: MacKeyText,
    /// What the key is for.
    pub algorithm: Algorithm,
}

/// The secrets of a record: what a store seals as one blob.
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
    /// All of the above, if a sealing store wrote it and nobody has opened it: then they are empty.
    /// Without a byte, of a grant that cannot be read and [supersedes](super::Commit::Superseded).
    pub sealed: Option<SealedGrant>,
}

impl From<TokenSet> for Grant {
    fn from(tokens: TokenSet) -> Self {
        Self {
            access: Some(AccessGrant {
                access_token: tokens.access_token,
                mac_key: tokens.mac_key,
                algorithm: tokens.algorithm,
            }),
            refresh_token: tokens.refresh_token,
            scope: tokens.scope,
            open_id: tokens.open_id,
            client_id: None,
            sealed: None,
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

/// A grant as it is issued: what [`RotationStore::commit`](super::RotationStore::commit) writes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Issued {
    /// The generation it becomes.
    pub generation: Generation,
    /// See [`Record::lineage`].
    pub lineage: Generation,
    /// The secrets.
    pub grant: Grant,
    /// The rest of the access token's life; `None` if the grant has none.
    pub expires_in: Option<Duration>,
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
        let grant = grant.into();
        Self {
            generation,
            lineage,
            grant,
            expires_in,
        }
    }
}

/// The durable record of an account, as it stood at [`Record::now`].
#[derive(Clone, Debug)]
pub struct Record {
    /// Which credential this is.
    pub generation: Generation,
    /// Where it stands in the rotation.
    pub status: Status,
    /// The secrets.
    pub grant: Grant,
    /// The generation of the authorization that this one descends from: its own, unless a
    /// rotation made it. It tells a newer decision of the user from further rotations of an old one.
    pub lineage: Generation,
    /// When this generation was written.
    pub issued_at: Timestamp,
    /// When the access token ends; `None` without one.
    pub expires_at: Option<Timestamp>,
    /// The latest lease.
    pub fence: Fence,
    /// Who holds or held it: a name for people, not for decisions.
    pub owner: Option<String>,
    /// When the lease, or the time to answer, ends.
    pub deadline: Timestamp,
    /// When the refresh token was last about to be presented.
    pub intended_at: Option<Timestamp>,
    /// Whether it was already replayed out of doubt.
    pub replayed: bool,
    /// Nobody rotates before.
    pub not_before: Timestamp,
    /// Failures since this generation was written.
    pub fails: u32,
    /// The latest failure, for people; no secrets.
    pub last_error: Option<String>,
    /// The store's clock when the record was read. All times above are of this clock.
    pub now: Timestamp,
}

impl Record {
    /// No lease, answer or back-off lasts longer.
    pub const LONGEST_WAIT: Duration = Duration::from_secs(3600);

    /// A record that was just written: active, no lease, no failures.
    pub fn active(issued: Issued, fence: Fence, now: Timestamp) -> Self {
        Self {
            generation: issued.generation,
            status: Status::Active,
            grant: issued.grant,
            lineage: issued.lineage,
            issued_at: now,
            expires_at: issued.expires_in.map(|rest| now.saturating_add(rest)),
            fence,
            owner: None,
            deadline: now,
            intended_at: None,
            replayed: false,
            not_before: Timestamp::EPOCH,
            fails: 0,
            last_error: None,
            now,
        }
    }

    /// Whether the lease, or the time to answer, is over.
    pub fn is_past_deadline(&self) -> bool {
        !self.is_ahead(self.deadline)
    }

    /// Whether the account backs off from rotating.
    pub fn is_backing_off(&self) -> bool {
        self.is_ahead(self.not_before)
    }

    /// Whether what was issued is safe where this record stands: it is this, or this is newer.
    /// Another grant of the same generation and lineage is neither.
    pub(crate) fn settles(
        &self,
        generation: Generation,
        lineage: Generation,
        grant: &Grant,
    ) -> bool {
        self.generation > generation || self.lineage != lineage || self.grant == *grant
    }

    /// Whether `moment` is still to come. Nothing is written more than an hour ahead: what seems
    /// to be was written before the store's clock was set back, and no longer counts.
    fn is_ahead(&self, moment: Timestamp) -> bool {
        let left = moment.saturating_since(self.now);
        !left.is_zero() && left <= Self::LONGEST_WAIT
    }
}

/// The right to rotate one generation, until its deadline.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The generation to rotate.
    pub generation: Generation,
    /// Tells this lease from every other.
    pub fence: Fence,
    /// What there is to rotate, as it stood when the lease was taken.
    pub record: Record,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_account_name_is_taken_and_a_bad_one_named() {
        for name in ["user-42", "a/b", "../..", "小米", " "] {
            assert_eq!(AccountName::new(name).unwrap().as_str(), name);
        }
        for (name, why) in [
            ("", "empty"),
            ("a\nb", "control"),
            (&"x".repeat(4096), "512 bytes"),
        ] {
            let error = AccountName::new(name).unwrap_err().to_string();
            assert!(
                error.starts_with("account name: ") && error.contains(why),
                "{error}"
            );
        }
    }

    #[test]
    fn a_record_prints_no_secret() {
        let tokens = TokenSet::new("AT-1", "KEY-1", "RT-1", Duration::from_secs(1));
        let record = Record::active(
            Issued::authorized(Generation::FIRST, tokens, None),
            Fence::default(),
            Timestamp::from_secs(1),
        );
        let text = format!("{record:?}");
        assert!(!text.contains("AT-1") && !text.contains("KEY-1") && !text.contains("RT-1"));
    }
}
