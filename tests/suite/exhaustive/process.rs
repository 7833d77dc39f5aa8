//! What a process does between two steps of the store: what the crate's own `decide` says, and the
//! steps of the flight that carries it out.

use std::time::Duration;

use tower_mac_auth::account::InDoubtPolicy;
use tower_mac_auth::testing::rotation::{
    Decision, LeaseFrom, Presented, View, WATCH_BEFORE, decide,
};

use super::protocol::{Action, Protocol};
use super::state::{Flight, Process, Request, State, Task, Unsure};
use super::store::{Age, Command, Grants, Held};

/// What a process sees beside the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    pub access_is_dead: bool,
    /// Whether it has watched the doubt for [`WATCH_BEFORE`].
    pub watched: bool,
}

impl Protocol {
    /// What process `p` does next if nothing goes wrong.
    pub fn goes_on(&self, state: &State, p: usize) -> Option<Action> {
        match state.processes[p].flight {
            Flight::Idle => {
                let sight = Sight {
                    access_is_dead: true,
                    watched: self.may_have_watched(state),
                };
                self.look(state, p, sight).map(|_| Action::Look(p, sight))
            }
            Flight::Cleared(_) => Some(Action::Present(p)),
            Flight::Sent(_) => None,
            _ => Some(Action::Step(p)),
        }
    }

    /// Whether somebody may have watched the doubt for long enough. Where nobody pauses for so
    /// long, whoever has the answer has brought it to the store by then, and whoever waits for it
    /// has given up.
    pub fn may_have_watched(&self, state: &State) -> bool {
        let (lineage, next) = (state.row.lineage, state.row.generation + 1);
        let may_commit = |it: &Process| it.may_commit(lineage, next);
        !self.world.is_lively || !state.processes.iter().any(may_commit)
    }

    /// What `Flight::fly` decides. A process that reads acts on it later, when the record may have
    /// moved.
    pub fn look(&self, state: &State, p: usize, sight: Sight) -> Option<Flight> {
        let (row, process) = (&state.row, &state.processes[p]);
        if process.is_ahead(row) || row.generation >= self.bounds.last {
            return None;
        }
        let acquiring = |doubted, reminds| Flight::Acquiring {
            of: row.version,
            doubted,
            reminds,
        };
        if self.rules.takes_over(row) {
            return Some(acquiring(false, false));
        }
        let view = View {
            access_is_dead: sight.access_is_dead,
            presented: process.remembers(row.generation),
            policy: self.policy,
            watched: if sight.watched {
                WATCH_BEFORE
            } else {
                Duration::ZERO
            },
            watch_for: WATCH_BEFORE,
        };
        match decide(&row.record(), &view) {
            Decision::Wait(_) | Decision::Stop(_) => None,
            Decision::Doubt => row.lease.map(|lease| Flight::Doubting { lease }),
            Decision::Remind => Some(acquiring(false, true)),
            Decision::Acquire(from) => Some(acquiring(from == LeaseFrom::InDoubt, false)),
        }
    }

    /// The step of the store that a flight is about to take.
    pub fn command(&self, flight: Flight) -> Option<Command> {
        Some(match flight {
            Flight::Acquiring { of, doubted, .. } => Command::Acquire { of, doubted },
            Flight::Doubting { lease } => Command::Doubt { lease },
            Flight::Leased(held) if self.rules.write_intent() => Command::Intend(held),
            Flight::Reminding(held) => Command::Intend(held),
            Flight::Withdrawing(held) => Command::Release(held),
            Flight::Issued(held, token) => Command::Commit(Grants::rotated(held, token)),
            Flight::Refused(held) => Command::Reject(held),
            Flight::Idle | Flight::Leased(_) | Flight::Cleared(_) | Flight::Sent(_) => return None,
        })
    }

    /// The flight takes its next step of the store: `apply`.
    pub fn step(&self, state: &mut State, p: usize) {
        let flight = state.processes[p].flight;
        let unsure = state.processes[p].unsure.take();
        let done = match self.command(flight) {
            _ if !self.rules.may_commit(&state.row, flight) => false,
            Some(command) if unsure.is_some_and(|it| it.stands(&state.row)) => {
                state.write_again(command);
                true
            }
            Some(command) => {
                self.rules.take_over(&mut state.row, command);
                state.take(command)
            }
            None => self.rules.check(&mut state.row, flight),
        };
        state.processes[p].flight = match flight {
            Flight::Acquiring { reminds, .. } if done => {
                let held = Held::of(&state.row);
                if reminds {
                    Flight::Reminding(held)
                } else {
                    Flight::Leased(held)
                }
            }
            Flight::Reminding(held) if done => Flight::Doubting { lease: held.id },
            Flight::Leased(held) if done || self.rules.ignore_refusal() => Flight::Cleared(held),
            // Landed, or round the loop to the next read, which adopts what is newer.
            _ => Flight::Idle,
        };
    }

    /// The store fails the flight's step. What it was to write may land yet; the process does not
    /// know, and looks.
    pub fn step_fails(&self, state: &mut State, p: usize) {
        state.faults -= 1;
        let Some(command) = self.command(state.processes[p].flight) else {
            return;
        };
        match state.send_off(command) {
            Some((version, row)) => {
                let lease = matches!(command, Command::Acquire { .. }).then(|| Held::of(&row));
                state.processes[p].unsure = Some(Unsure { version, lease });
            }
            None => state.processes[p].step_failed(None),
        }
    }

    /// The one place where a refresh token is presented.
    pub fn present(&self, state: &mut State, p: usize) {
        let process = &mut state.processes[p];
        let Flight::Cleared(held) = process.flight else {
            return;
        };
        process.flight = Flight::Sent(held);
        let is_hasty = self.policy == InDoubtPolicy::HoldUntilDead
            && held.presented_again
            && held.intended != Some(Age::Old);
        state.disobeyed |= is_hasty
            || match process.remembers(held.generation) {
                Presented::No => false,
                Presented::Once => !held.presented_again,
                Presented::ForGood => true,
            };
        let (lease, token) = (held.id, held.token);
        state.count(token, held.presented_again);
        state.requests.push(Request { lease, token });
    }
}

impl Process {
    /// The store stays away, so the flight's step has failed. `asked`: for this lease.
    pub fn step_failed(&mut self, asked: Option<Held>) {
        match std::mem::take(&mut self.flight) {
            Flight::Acquiring { reminds: false, .. } => {
                self.tasks.extend(asked.map(Task::GiveBack));
            }
            // Whether the intent stands is not known; that nothing was sent is.
            Flight::Leased(held) => self.flight = Flight::Withdrawing(held),
            Flight::Withdrawing(held) => self.tasks.push(Task::GiveBack(held)),
            Flight::Issued(held, token) => {
                self.tasks.push(Task::Rotated(Grants::rotated(held, token)));
            }
            _ => {}
        }
    }

    /// Not connected; or paused for too long since the intent, and noticed.
    pub fn give_up(&mut self) {
        if let Flight::Leased(held) | Flight::Cleared(held) = self.flight {
            self.flight = Flight::Withdrawing(held);
        }
    }

    /// The answer is lost, as far as this process knows.
    pub fn time_out(&mut self) {
        if let Flight::Sent(held) = self.flight {
            self.remember(held.generation, held.presented_again);
            self.flight = Flight::Doubting { lease: held.id };
        }
    }

    /// Whether it is about to present a refresh token, or waits for the answer or has it: that would
    /// become this generation.
    fn may_commit(&self, lineage: u8, generation: u8) -> bool {
        let waits = match self.flight {
            Flight::Cleared(held) | Flight::Sent(held) => held.generation + 1 == generation,
            _ => false,
        };
        waits || self.brings(lineage, generation)
    }

    /// Whether it has what becomes this generation of a lineage.
    pub fn brings(&self, lineage: u8, generation: u8) -> bool {
        let is = |it: Grants| (it.lineage, it.generation) == (lineage, generation);
        let task = |task: &Task| matches!(task, Task::Rotated(grants) if is(*grants));
        let issued = match self.flight {
            Flight::Issued(held, token) => is(Grants::rotated(held, token)),
            _ => false,
        };
        issued || self.tasks.iter().any(task)
    }
}
