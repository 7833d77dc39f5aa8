//! What happens besides a flight's steps: the provider answers, detached tasks go on, users decide.

use super::state::{Flight, State, Task};
use super::store::{Command, Grants, Token};

impl State {
    /// The provider issues the next refresh token for this one. `None`: it is spent.
    pub fn spend(&mut self, token: Token) -> Option<Token> {
        let newest = self.newest.iter_mut().find(|newest| **newest == token)?;
        *newest = token.next();
        Some(*newest)
    }

    /// The provider answers, in time or to nobody.
    pub fn serve(&mut self, r: usize) {
        let request = self.requests.remove(r);
        let issued = self.spend(request.token);
        let awaiting = self.processes.iter_mut().find(|it| it.awaits(&request));
        let Some(process) = awaiting else { return };
        let Flight::Sent(held) = process.flight else {
            return;
        };
        if let Some(token) = issued {
            process.flight = Flight::Issued(held, token);
        } else {
            process.remember(held.generation, true);
            process.flight = Flight::Refused(held);
        }
    }

    /// The provider refuses to look at the refresh token, and says so.
    pub fn decline(&mut self, r: usize) {
        self.faults -= 1;
        let request = self.requests.remove(r);
        let awaiting = self.processes.iter_mut().find(|it| it.awaits(&request));
        let Some(process) = awaiting else { return };
        if let Flight::Sent(held) = process.flight {
            process.flight = Flight::Withdrawing(held);
            self.uncount(held.token, held.presented_again);
        }
    }

    /// `authorize::exchange`: the store was read, and the code has brought a grant.
    pub fn authorize(&mut self, p: usize) {
        self.decisions -= 1;
        let token = Token {
            line: self.lines(),
            number: 0,
        };
        self.newest.push(token);
        self.processes[p].tasks.push(Task::Authorized {
            grants: Grants::authorized(&self.row, token),
            over: self.row.lineage,
            old: false,
        });
    }

    /// One attempt of a detached task, or of `Pending::commit_or_publish` for an authorization.
    pub fn do_task(&mut self, p: usize, t: usize) {
        let task = self.processes[p].tasks.remove(t);
        let done = self.take(task.command());
        if let (false, Task::Authorized { grants, over, old }) = (done, task) {
            // `Pending::attempt`: ours already; or outranked, and then again above what stands;
            // or overtaken by a newer decision, whose grant this process signs with from here on.
            let stands = grants.stands(&self.row);
            if !stands && (!old || self.row.lineage == over) {
                let grants = if old {
                    Grants::authorized_before(&self.row, grants.token)
                } else {
                    Grants::authorized(&self.row, grants.token)
                };
                let again = Task::Authorized { grants, over, old };
                self.processes[p].tasks.push(again);
            }
        }
    }

    /// The store fails a detached task, which goes on trying.
    pub fn fail_task(&mut self, p: usize, t: usize) {
        self.faults -= 1;
        self.send_off(self.processes[p].tasks[t].command());
        if let Task::Authorized { old, .. } = &mut self.processes[p].tasks[t] {
            *old = true;
        }
    }
}

impl Task {
    fn command(self) -> Command {
        match self {
            Self::GiveBack(held) => Command::Release(held),
            Self::Rotated(grants) | Self::Authorized { grants, .. } => Command::Commit(grants),
        }
    }
}
