//! What a process does between two steps of the store: steps 0 to 8 of the rotation, as
//! `src/account` takes them.

use tower_mac_auth::store::Status;

use super::protocol::{Action, Protocol};
use super::state::{Flight, Process, Request, State, Task};
use super::store::{Answer, Command, Grants, Held};

impl Protocol {
    /// What process `p` does next if nothing goes wrong.
    pub fn goes_on(&self, state: &State, p: usize) -> Option<Action> {
        match state.processes[p].flight {
            Flight::Idle => self.look(state, p).map(|_| Action::Look(p)),
            Flight::Cleared(_) => Some(Action::Present(p)),
            Flight::Sent(_) => None,
            _ => Some(Action::Step(p)),
        }
    }

    /// `Flight::next_step`. A process that reads acts on it later, when the record may have moved.
    pub fn look(&self, state: &State, p: usize) -> Option<Flight> {
        let (row, process) = (&state.row, &state.processes[p]);
        if process.is_ahead(row) || row.generation >= self.bounds.last {
            return None;
        }
        let (generation, fence) = (row.generation, row.fence);
        let may_replay = self.replays && process.memory != Some((generation, true));
        let acquiring = |doubted| Flight::Acquiring {
            generation,
            doubted,
        };
        match row.status {
            Status::Sending | Status::Leased if row.in_time => None,
            Status::Sending if self.rules.resend() => Some(acquiring(false)),
            Status::Sending => Some(Flight::Doubting { generation, fence }),
            Status::InDoubt => (may_replay && !row.replayed).then(|| acquiring(true)),
            Status::Leased if row.replayed && !may_replay => None,
            Status::Active | Status::Leased => Some(acquiring(false)),
            Status::Revoked => None,
        }
    }

    /// The step of the store that a flight is about to take.
    pub fn command(&self, flight: Flight) -> Option<Command> {
        Some(match flight {
            Flight::Acquiring {
                generation,
                doubted,
            } => Command::Acquire {
                generation,
                doubted,
            },
            Flight::Doubting { generation, fence } => Command::Doubt { generation, fence },
            Flight::Leased(held) if self.rules.write_intent() => Command::Intend(held),
            Flight::Withdrawing(held) => Command::Release(held),
            Flight::Issued(held, token) => Command::Commit(Grants::rotated(held, token)),
            Flight::Refused(held) => Command::Reject(held),
            Flight::Idle | Flight::Leased(_) | Flight::Cleared(_) | Flight::Sent(_) => return None,
        })
    }

    /// The flight takes its next step of the store.
    pub fn step(&self, state: &mut State, p: usize) {
        let flight = state.processes[p].flight;
        let answer = match self.command(flight) {
            _ if !self.rules.may_commit(&state.row, flight) => Answer::Refused,
            Some(command) => {
                self.rules.take_over(&mut state.row, command);
                state.take(command)
            }
            None => self.rules.check(&mut state.row, flight),
        };
        state.processes[p].flight = match (flight, answer) {
            (Flight::Acquiring { .. }, Answer::Granted(held)) => Flight::Leased(held),
            (Flight::Leased(held), Answer::Done) => Flight::Cleared(held),
            (Flight::Leased(held), _) if self.rules.ignore_refusal() => Flight::Cleared(held),
            // Landed, or round the loop to the next read, which adopts what is newer.
            _ => Flight::Idle,
        };
    }
}

impl Process {
    /// The store failed the flight's step.
    pub fn step_failed(&mut self) {
        match std::mem::take(&mut self.flight) {
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
            let (generation, fence) = (held.generation, held.fence);
            self.remember(generation, held.replayed);
            self.flight = Flight::Doubting { generation, fence };
        }
    }
}

impl State {
    /// The one place where a refresh token is presented.
    pub fn present(&mut self, p: usize) {
        if let Flight::Cleared(held) = self.processes[p].flight {
            let Held { fence, token, .. } = held;
            self.count(token, held.replayed);
            self.requests.push(Request { fence, token });
            self.processes[p].flight = Flight::Sent(held);
        }
    }
}
