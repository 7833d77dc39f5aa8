//! All there is at one moment: the store, the processes, the provider, and what is under way
//! between them.

use std::hash::Hash;

use tower_mac_auth::store::Status;

use super::store::{Answer, Command, Grants, Held, Row, Token};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub row: Row,
    /// Steps whose process was told that they failed: each may land yet, or never.
    pub limbo: Vec<Command>,
    pub processes: Vec<Process>,
    /// Presentations that the provider has not seen yet.
    pub requests: Vec<Request>,
    /// The newest refresh token of each authorization; all older ones are spent.
    pub newest: Vec<Token>,
    /// How often each refresh token was presented: first, and as the policy's replay.
    pub presented: Vec<(Token, u8, u8)>,
    /// What the store was made to say, in order of generations.
    pub written: Vec<(u8, Written)>,
    /// How many faults, and decisions of the user, may still happen.
    pub faults: u8,
    pub decisions: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    pub fence: u8,
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
    pub tasks: Vec<Task>,
    /// `account::presented`: the generation whose refresh token may be spent, and whether for good.
    pub memory: Option<(u8, bool)>,
}

/// Where a flight stands between two steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flight {
    /// Before `Flight::fly` reads; also: no flight.
    #[default]
    Idle,
    /// `Flight::fly` has read, and `next_step` said `Step::Lease`.
    Acquiring { generation: u8, doubted: bool },
    /// `next_step` said `Step::Doubt`; or `Flight::doubt`, of an answer that is lost.
    Doubting { generation: u8, fence: u8 },
    /// `Flight::rotate` connects, and then writes the intent.
    Leased(Held),
    /// `Flight::rotate` past the intent, about to look at the clock and to call `present`.
    Cleared(Held),
    /// `Flight::unsent`: nothing was sent, so the lease is given back.
    Withdrawing(Held),
    /// In `Flight::present`.
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
    /// Drops what can no longer matter, and numbers and sorts what is left, so that states that
    /// differ only in names are one.
    pub fn normalise(&mut self) {
        let row = self.row;
        let stale = |held: &Held| held.fence != row.fence;
        self.limbo.retain(|command| match command {
            Command::Acquire { generation, .. } => *generation == row.generation,
            Command::Intend(held) | Command::Release(held) | Command::Reject(held) => !stale(held),
            Command::Doubt { fence, .. } => *fence == row.fence,
            Command::Commit(grants) => grants.generation > row.generation,
            Command::Revoke { .. } => true,
        });
        for process in &mut self.processes {
            process.tasks.retain(|task| match task {
                Task::GiveBack(held) => !stale(held),
                Task::Rotated(grants) => grants.generation > row.generation,
                Task::Authorized { .. } => true,
            });
            process.tasks.sort_unstable();
            process.memory = process.memory.filter(|it| it.0 >= row.generation);
        }
        let (processes, newest) = (&self.processes, &self.newest);
        self.requests.retain(|request| {
            let awaited = |process: &Process| process.awaits(request);
            newest.contains(&request.token) || processes.iter().any(awaited)
        });
        self.rank_fences();
        self.limbo.sort_unstable();
        self.requests.sort_unstable();
        self.processes.sort_unstable();
    }

    /// Fences are only compared, so their ranks will do; the row's stays the highest.
    fn rank_fences(&mut self) {
        let mut fences = Vec::with_capacity(8);
        self.each_fence(&mut |fence| fences.push(*fence));
        fences.sort_unstable();
        fences.dedup();
        self.each_fence(&mut |fence| {
            let rank = fences.binary_search(fence).unwrap();
            *fence = u8::try_from(rank).unwrap();
        });
    }

    fn each_fence(&mut self, each: &mut impl FnMut(&mut u8)) {
        each(&mut self.row.fence);
        for command in &mut self.limbo {
            match command {
                Command::Intend(held) | Command::Release(held) | Command::Reject(held) => {
                    each(&mut held.fence);
                }
                Command::Doubt { fence, .. } => each(fence),
                Command::Acquire { .. } | Command::Commit(_) | Command::Revoke { .. } => {}
            }
        }
        for process in &mut self.processes {
            match &mut process.flight {
                Flight::Leased(held)
                | Flight::Cleared(held)
                | Flight::Withdrawing(held)
                | Flight::Sent(held)
                | Flight::Issued(held, _)
                | Flight::Refused(held) => each(&mut held.fence),
                Flight::Doubting { fence, .. } => each(fence),
                Flight::Idle | Flight::Acquiring { .. } => {}
            }
            for task in &mut process.tasks {
                if let Task::GiveBack(held) = task {
                    each(&mut held.fence);
                }
            }
        }
        for request in &mut self.requests {
            each(&mut request.fence);
        }
    }

    /// One step of the store, and what it wrote.
    pub fn take(&mut self, command: Command) -> Answer {
        let before = (self.row.generation, self.row.token);
        let answer = self.row.take(command);
        if (self.row.generation, self.row.token) != before {
            let written = match (self.row.token, command) {
                (None, Command::Revoke { lines }) => Written::Revoked { lines },
                (token, _) => Written::Grant(token.unwrap()),
            };
            self.written.push((self.row.generation, written));
        }
        answer
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

    pub fn count(&mut self, token: Token, replay: bool) {
        let at = match self.presented.binary_search_by_key(&token, |it| it.0) {
            Ok(at) => at,
            Err(at) => {
                self.presented.insert(at, (token, 0, 0));
                at
            }
        };
        let (_, first, replays) = &mut self.presented[at];
        *if replay { replays } else { first } += 1;
    }

    /// The provider said that the presentation was none: the client's configuration is wrong.
    pub fn uncount(&mut self, token: Token, replay: bool) {
        for (of, first, replays) in &mut self.presented {
            if *of == token {
                *if replay { replays } else { first } -= 1;
            }
        }
    }

    /// Whether the record's refresh token stands for good: nothing says that it may be spent.
    pub fn stands_as_good(&self) -> bool {
        match self.row.status {
            Status::Active => true,
            Status::Leased => !self.row.replayed,
            Status::Sending | Status::InDoubt | Status::Revoked => false,
        }
    }
}

impl Process {
    pub fn awaits(&self, request: &Request) -> bool {
        matches!(self.flight, Flight::Sent(held) if held.fence == request.fence)
    }

    /// `Presented::note`.
    pub fn remember(&mut self, generation: u8, for_good: bool) {
        let again = self.memory.is_some_and(|it| it.0 == generation);
        self.memory = Some((generation, for_good || again));
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
