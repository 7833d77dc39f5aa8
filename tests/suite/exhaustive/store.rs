//! The store of the model: a record small enough to keep by the million, moved by the crate's own
//! transitions, so that the model cannot drift from them.

use std::time::Duration;

use tower_mac_auth::store::{
    Draft, Generation, Grant, Issued, Loaded, Record, Standing, Status, Version,
};
use tower_mac_auth::testing::rotation::{
    Lease, LeaseFrom, PRESENT_AGAIN_AFTER, Wanted, acquire, commit, doubt, intend, reject, release,
    revoke,
};
use tower_mac_auth::{RefreshToken, Timestamp};

/// A refresh token: the `number`-th of the `line`-th authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    pub line: u8,
    pub number: u8,
}

/// How long ago a refresh token was about to be presented: less than
/// [`PRESENT_AGAIN_AFTER`], or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Age {
    Recent,
    Old,
}

/// A [`Record`] without what nothing is decided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pub version: u8,
    pub generation: u8,
    pub lineage: u8,
    pub status: Status,
    pub token: Option<Token>,
    pub lease: Option<u8>,
    /// Whether somebody rotates, and the deadline is still to come.
    pub in_time: bool,
    pub backing_off: bool,
    pub presented_again: bool,
    pub intended: Option<Age>,
}

/// A [`Lease`], and what the record it was taken on says of the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Held {
    pub id: u8,
    pub generation: u8,
    pub lineage: u8,
    pub token: Token,
    pub presented_again: bool,
    pub intended: Option<Age>,
}

/// A grant on its way into the store: [`Issued`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Grants {
    pub generation: u8,
    pub lineage: u8,
    pub token: Token,
}

/// A transition, and who asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Command {
    /// Of the write `of`; 0: of one that stands no more.
    Acquire {
        of: u8,
        doubted: bool,
    },
    Intend(Held),
    Release(Held),
    Doubt {
        lease: u8,
    },
    Reject(Held),
    Commit(Grants),
    /// When the user had authorized so often.
    Revoke {
        lines: u8,
    },
}

/// All happens at this moment: whether a deadline is past is kept, not when.
const NOW: Timestamp = Timestamp::from_secs(1_000_000);
const AHEAD: Duration = Duration::from_secs(60);
/// The version of a write that stands no more.
const GONE: Version = Version::from_number(u64::MAX);

impl Row {
    /// The first authorization's.
    pub fn first(token: Token) -> Self {
        let first = Issued::authorized(Generation::FIRST, grant(token), None);
        Self::of(&Draft::issued(version(0), first).at(NOW))
    }

    /// What the crate's own function makes of it in the write `number`; `None` if its guard does
    /// not hold.
    pub fn moved(&self, command: Command, number: u8) -> Option<Self> {
        let (record, write) = (self.record(), version(number));
        let draft = match command {
            Command::Acquire { of, doubted } => {
                let wanted = Wanted {
                    of: if of == 0 { GONE } else { version(of) },
                    owner: "",
                    length: AHEAD,
                    from: if doubted {
                        LeaseFrom::InDoubt
                    } else {
                        LeaseFrom::Active
                    },
                };
                acquire(&record, write, wanted)
            }
            Command::Intend(held) => intend(&record, write, &held.lease(), AHEAD),
            Command::Release(held) => release(&record, write, &held.lease(), AHEAD, ""),
            Command::Doubt { lease } => doubt(&record, write, Some(version(lease)), ""),
            Command::Reject(held) => reject(&record, write, &held.lease(), ""),
            Command::Commit(grants) => commit(&Standing::Record(record), write, &grants.issued()),
            Command::Revoke { .. } => Some(revoke(&Loaded::record(record, NOW), write)),
        };
        Some(Self::of(&draft?.at(NOW)))
    }

    fn of(record: &Record) -> Self {
        let token = record.grant().unwrap().refresh_token.as_ref();
        Self {
            version: small(record.version.number()),
            generation: small(record.generation.number()),
            lineage: small(record.lineage.number()),
            status: record.status,
            token: token.map(Token::of),
            lease: record.lease.map(|lease| small(lease.number())),
            in_time: record.status.is_rotating() && !record.is_past_deadline(),
            backing_off: record.is_backing_off(),
            presented_again: record.presented_again,
            intended: record.intended_at.map(Age::of),
        }
    }

    /// The record that the crate decides about.
    pub fn record(&self) -> Record {
        let (generation, lineage) = (number(self.generation), number(self.lineage));
        let grant = self.token.map(grant).unwrap_or_default();
        let issued = Issued::rotated(generation, lineage, grant, None);
        let mut record = Draft::issued(version(self.version), issued).at(NOW);
        record.status = self.status;
        record.lease = self.lease.map(version);
        if self.in_time {
            record.deadline = NOW.saturating_add(AHEAD);
        }
        if self.backing_off {
            record.not_before = NOW.saturating_add(AHEAD);
        }
        record.presented_again = self.presented_again;
        record.intended_at = self.intended.map(Age::at);
        record
    }
}

impl Age {
    fn of(moment: Timestamp) -> Self {
        if NOW.saturating_since(moment) < PRESENT_AGAIN_AFTER {
            Self::Recent
        } else {
            Self::Old
        }
    }

    fn at(self) -> Timestamp {
        match self {
            Self::Recent => NOW,
            Self::Old => NOW.saturating_sub(PRESENT_AGAIN_AFTER),
        }
    }
}

impl Held {
    /// Of a row that somebody has just leased.
    pub fn of(row: &Row) -> Self {
        let lease = Lease::of(row.record()).unwrap();
        let row = Row::of(&lease.record);
        Self {
            id: small(lease.id.number()),
            generation: row.generation,
            lineage: row.lineage,
            token: row.token.unwrap(),
            presented_again: row.presented_again,
            intended: row.intended,
        }
    }

    fn lease(self) -> Lease {
        let row = Row {
            version: self.id,
            generation: self.generation,
            lineage: self.lineage,
            status: Status::Leased,
            token: Some(self.token),
            lease: Some(self.id),
            in_time: true,
            backing_off: false,
            presented_again: self.presented_again,
            intended: self.intended,
        };
        Lease::of(row.record()).unwrap()
    }
}

impl Grants {
    /// What a rotation under this lease brings.
    pub fn rotated(held: Held, token: Token) -> Self {
        Self {
            generation: held.generation + 1,
            lineage: held.lineage,
            token,
        }
    }

    /// What the user decides over this row.
    pub fn authorized(row: &Row, token: Token) -> Self {
        Self::first_of_a_line(number(row.generation).decided(), token)
    }

    /// What the user decided a while ago, to go over this row.
    pub fn authorized_before(row: &Row, token: Token) -> Self {
        Self::first_of_a_line(number(row.generation).next(), token)
    }

    fn first_of_a_line(generation: Generation, token: Token) -> Self {
        let generation = small(generation.number());
        Self {
            generation,
            lineage: generation,
            token,
        }
    }

    pub fn stands(self, row: &Row) -> bool {
        self.generation == row.generation && Some(self.token) == row.token
    }

    fn issued(self) -> Issued {
        let (generation, lineage) = (number(self.generation), number(self.lineage));
        Issued::rotated(generation, lineage, grant(self.token), None)
    }
}

impl Token {
    pub fn next(self) -> Self {
        Self {
            number: self.number + 1,
            ..self
        }
    }

    fn of(token: &RefreshToken) -> Self {
        let (line, number) = token.expose_secret().split_once('.').unwrap();
        Self {
            line: line.parse().unwrap(),
            number: number.parse().unwrap(),
        }
    }
}

fn grant(token: Token) -> Grant {
    Grant::from(RefreshToken::new(format!(
        "{}.{}",
        token.line, token.number
    )))
}

fn number(generation: u8) -> Generation {
    Generation::from_number(generation.into())
}

fn version(number: u8) -> Version {
    Version::from_number(number.into())
}

fn small(number: u64) -> u8 {
    u8::try_from(number).unwrap()
}
