//! All there is at one moment: the store, the processes, the provider, and what is under way
//! between them.

use std::hash::Hash;

use tower_mac_auth::store::Status;
use tower_mac_auth::testing::rotation::Presented;

use super::store::{Age, Command, Grants, Held, Row, Token};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub row: Row,
    /// What stood before the last write, if the store may go back to it.
    pub older: Option<Row>,
    /// Writes whose process was told that they failed, over what stands: each may land yet, or
    /// never.
    pub limbo: Vec<Write>,
    pub processes: Vec<Process>,
    /// Presentations that the provider has not seen yet.
    pub requests: Vec<Request>,
    /// The newest refresh token of each authorization; all older ones are spent.
    pub newest: Vec<Token>,
    /// How often each refresh token was presented: first, and again out of doubt.
    pub presented: Vec<(Token, u8, u8)>,
    /// What the store was made to say, in order of generations.
    pub written: Vec<(u8, Written)>,
    /// Whether something was done that the record, or the memory of who did it, speaks against.
    pub disobeyed: bool,
    /// How many faults, and decisions of the user, may still happen.
    pub faults: u8,
    pub decisions: u8,
}

/// A replacement of what stands, on its way into the store. 0: nobody looks for its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Write {
    pub version: u8,
    pub command: Command,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    /// Under which it was sent.
    pub lease: u8,
    pub token: Token,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Written {
    Grant(Token),
    /// When there were so many authorizations.
    Revoked {
        lines: u8,
    },
}

/// One process: its flight, its detached tasks, its memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    pub flight: Flight,
    /// Set while the flight does not know what came of its step.
    pub unsure: Option<Unsure>,
    pub tasks: Vec<Task>,
    /// `PresentedTokens`: of which generation.
    pub memory: Option<(u8, Presented)>,
}

/// A write that seemed to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Unsure {
    /// If this stands, it did not. 0: it does not stand, and cannot any more.
    pub version: u8,
    /// The lease that it is to take.
    pub lease: Option<Held>,
}

/// Where a flight stands between two steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flight {
    /// Before `Flight::fly` reads; also: no flight.
    #[default]
    Idle,
    /// `Flight::fly` has read, and `decide` said `Decision::Acquire`, or `Decision::Remind`.
    Acquiring {
        of: u8,
        doubted: bool,
        reminds: bool,
    },
    /// `decide` said `Decision::Doubt`; or `Flight::doubt`, of an answer that is lost.
    Doubting { lease: u8 },
    /// `Flight::rotate` connects, and then writes the intent.
    Leased(Held),
    /// `Flight::reminds` writes an intent that it will call in doubt.
    Reminding(Held),
    /// `Flight::rotate` past the intent, about to look at the clock and to present.
    Cleared(Held),
    /// `Flight::unsent`: nothing was sent, so the lease is given back.
    Withdrawing(Held),
    /// In `Connected::refresh`.
    Sent(Held),
    /// `Flight::issued`: the answer is in memory, about to be committed.
    Issued(Held, Token),
    /// `Flight::spent`: refused, about to be rejected.
    Refused(Held),
}

/// What goes on after the flight has landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Task {
    /// `commit::give_back`.
    GiveBack(Held),
    /// `Pending::until_durable` of a rotation.
    Rotated(Grants),
    /// `Pending` of an authorization decided when the lineage `over` stood; `old` once the store
    /// has failed it: published, and no longer above everything.
    Authorized { grants: Grants, over: u8, old: bool },
}

impl State {
    /// One transition, written.
    pub fn take(&mut self, command: Command) -> bool {
        let version = self.draw();
        self.write(Write { version, command })
    }

    /// Somebody is to know the row by its version.
    pub fn name_row(&mut self) {
        if self.row.version == 0 {
            self.row.version = self.draw();
        }
    }

    /// One that was under way lands.
    pub fn land(&mut self, l: usize) {
        let mut write = self.limbo.remove(l);
        if write.version == 0 {
            write.version = self.draw();
        }
        self.write(write);
    }

    /// Writes what a transition makes of the row, if its guard holds.
    fn write(&mut self, Write { version, command }: Write) -> bool {
        let before = self.row;
        let Some(row) = before.moved(command, version) else {
            return false;
        };
        self.disobeyed |=
            matches!(command, Command::Acquire { .. }) && (before.in_time || before.backing_off);
        if (row.generation, row.token) != (before.generation, before.token) {
            let written = match (row.token, command) {
                (None, Command::Revoke { lines }) => Written::Revoked { lines },
                (token, _) => Written::Grant(token.unwrap()),
            };
            self.written.push((row.generation, written));
        }
        self.older = (row.generation == before.generation).then_some(before);
        self.row = row;
        // Each was to replace what stood until now.
        self.limbo.clear();
        true
    }

    /// What stands is written once more by whoever wrote it: times that begin with the write begin
    /// anew.
    pub fn write_again(&mut self, command: Command) {
        self.row.version = self.draw();
        self.row.in_time = self.row.status.is_rotating();
        if let Command::Intend(_) = command {
            self.row.intended = Some(Age::Recent);
        }
        self.limbo.clear();
    }

    /// Draws a version for what `command` writes, and has it under way for good. `None`: there is
    /// nothing to be written.
    pub fn send_off(&mut self, command: Command) -> Option<(u8, Row)> {
        let version = self.draw();
        let row = self.row.moved(command, version)?;
        self.limbo.push(Write { version, command });
        Some((version, row))
    }

    /// How many authorizations there have been.
    pub fn lines(&self) -> u8 {
        u8::try_from(self.newest.len()).unwrap()
    }

    /// Whether the user waits for a decision to take effect: what is decided at the same moment may
    /// count in any order.
    pub fn is_deciding(&self) -> bool {
        let deciding = |task: &Task| matches!(task, Task::Authorized { old: false, .. });
        self.processes
            .iter()
            .any(|it| it.tasks.iter().any(deciding))
    }

    pub fn count(&mut self, token: Token, again: bool) {
        let at = match self.presented.binary_search_by_key(&token, |it| it.0) {
            Ok(at) => at,
            Err(at) => {
                self.presented.insert(at, (token, 0, 0));
                at
            }
        };
        let (_, first, more) = &mut self.presented[at];
        *if again { more } else { first } += 1;
    }

    /// The provider said that the presentation was none: the client's configuration is wrong.
    pub fn uncount(&mut self, token: Token, again: bool) {
        for (of, first, more) in &mut self.presented {
            if *of == token {
                *if again { more } else { first } -= 1;
            }
        }
    }

    /// Whether the record's refresh token stands for good: nothing says that it may be spent.
    pub fn stands_as_good(&self) -> bool {
        match self.row.status {
            Status::Active => true,
            Status::Leased => !self.row.presented_again,
            Status::Sending | Status::InDoubt | Status::Revoked => false,
        }
    }
}

impl Unsure {
    pub fn stands(self, row: &Row) -> bool {
        self.version != 0 && self.version == row.version
    }
}

impl Process {
    pub fn awaits(&self, request: &Request) -> bool {
        matches!(self.flight, Flight::Sent(held) if held.id == request.lease)
    }

    /// `PresentedTokens::note`.
    pub fn remember(&mut self, generation: u8, for_good: bool) {
        let presented = match self.remembers(generation) {
            Presented::No if !for_good => Presented::Once,
            _ => Presented::ForGood,
        };
        self.memory = Some((generation, presented));
    }

    /// `PresentedTokens::of`.
    pub fn remembers(&self, generation: u8) -> Presented {
        match self.memory {
            Some((of, presented)) if of == generation => presented,
            _ => Presented::No,
        }
    }

    /// Whether this process signs with a grant that the store has yet to take.
    pub fn is_ahead(&self, row: &Row) -> bool {
        self.tasks.iter().any(|task| match task {
            Task::Rotated(grants)
            | Task::Authorized {
                grants, old: true, ..
            } => grants.generation > row.generation,
            _ => false,
        })
    }
}
