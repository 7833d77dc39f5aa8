//! The store of the model: a record small enough to keep by the million, moved by the crate's own
//! steps ([`Record::acquire`] and its like), so that the model cannot drift from them.

use std::time::Duration;

use tower_mac_auth::store::{
    Commit, Fence, Generation, Grant, Guarded, Issued, Lease, LeaseFrom, Record, Status,
};
use tower_mac_auth::{RefreshToken, Timestamp};

/// A refresh token: the `number`-th of the `line`-th authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    pub line: u8,
    pub number: u8,
}

/// A [`Record`] without what no step decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pub generation: u8,
    pub lineage: u8,
    pub status: Status,
    pub token: Option<Token>,
    pub fence: u8,
    /// Whether the deadline is still to come.
    pub in_time: bool,
    pub replayed: bool,
}

/// A [`Lease`], and what the record it was taken on says of the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Held {
    pub generation: u8,
    pub lineage: u8,
    pub fence: u8,
    pub token: Token,
    pub replayed: bool,
}

/// A grant on its way into the store: [`Issued`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Grants {
    pub generation: u8,
    pub lineage: u8,
    pub token: Token,
}

/// A step of the store, as it is on its way there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Command {
    Acquire {
        generation: u8,
        doubted: bool,
    },
    Intend(Held),
    Release(Held),
    Doubt {
        generation: u8,
        fence: u8,
    },
    Reject(Held),
    Commit(Grants),
    /// When the user had authorized so often.
    Revoke {
        lines: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Granted(Held),
    Done,
    Refused,
}

/// All steps happen at this moment: whether a deadline is past is kept, not when.
const NOW: Timestamp = Timestamp::from_secs(1_000_000);
const AHEAD: Duration = Duration::from_secs(60);

impl Row {
    /// The first authorization's.
    pub fn first(token: Token) -> Self {
        let first = Issued::authorized(Generation::FIRST, grant(token), None);
        Self::of(&Record::active(first, Fence::default(), NOW))
    }

    /// One step, by the crate's own function.
    pub fn take(&mut self, command: Command) -> Answer {
        let mut record = self.record();
        let done = |guarded| match guarded {
            Guarded::Done => Answer::Done,
            Guarded::Refused => Answer::Refused,
        };
        let answer = match command {
            Command::Acquire {
                generation,
                doubted,
            } => {
                let from = if doubted {
                    LeaseFrom::InDoubt
                } else {
                    LeaseFrom::Active
                };
                match record.acquire(number(generation), "", AHEAD, from) {
                    Some(lease) => Answer::Granted(Held::of(&lease)),
                    None => Answer::Refused,
                }
            }
            Command::Intend(held) => done(record.intend(&held.lease(), AHEAD)),
            Command::Release(held) => done(record.release(&held.lease(), Duration::ZERO, "")),
            Command::Doubt { generation, fence } => {
                done(record.doubt(number(generation), Fence::from_number(fence.into()), ""))
            }
            Command::Reject(held) => done(record.reject(&held.lease(), "")),
            Command::Commit(grants) => match Record::commit(Some(&record), grants.issued(), NOW) {
                Commit::Committed(committed) => {
                    record = committed;
                    Answer::Done
                }
                Commit::Superseded(_) => Answer::Refused,
            },
            Command::Revoke { .. } => {
                record = Record::revoke(Some(&record), NOW);
                Answer::Done
            }
        };
        *self = Self::of(&record);
        answer
    }

    fn of(record: &Record) -> Self {
        Self {
            generation: small(record.generation.number()),
            lineage: small(record.lineage.number()),
            status: record.status,
            token: record.grant.refresh_token.as_ref().map(Token::of),
            fence: small(record.fence.number()),
            in_time: !record.is_past_deadline(),
            replayed: record.replayed,
        }
    }

    fn record(&self) -> Record {
        let (generation, lineage) = (number(self.generation), number(self.lineage));
        let grant = self.token.map(grant).unwrap_or_default();
        let issued = Issued::rotated(generation, lineage, grant, None);
        let mut record = Record::active(issued, Fence::from_number(self.fence.into()), NOW);
        record.status = self.status;
        record.replayed = self.replayed;
        if self.in_time {
            record.deadline = NOW.saturating_add(AHEAD);
        }
        record
    }
}

impl Held {
    fn of(lease: &Lease) -> Self {
        let row = Row::of(&lease.record);
        Self {
            generation: row.generation,
            lineage: row.lineage,
            fence: small(lease.fence.number()),
            token: row.token.unwrap(),
            replayed: row.replayed,
        }
    }

    fn lease(self) -> Lease {
        let row = Row {
            generation: self.generation,
            lineage: self.lineage,
            status: Status::Leased,
            token: Some(self.token),
            fence: self.fence,
            in_time: true,
            replayed: self.replayed,
        };
        let record = row.record();
        Lease {
            generation: record.generation,
            fence: record.fence,
            record,
        }
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

fn small(number: u64) -> u8 {
    u8::try_from(number).unwrap()
}
