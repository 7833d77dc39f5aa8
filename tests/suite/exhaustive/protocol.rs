//! What may happen next, as the model checker asks it: each process goes on, and anything may go
//! wrong between two of its steps.

use std::collections::HashSet;
use std::sync::Mutex;

use stateright::{Model, Property};

use super::properties;
use super::rules::Rules;
use super::state::{Flight, Process, State, Written};
use super::store::{Command, Row, Token};

#[derive(Debug)]
pub struct Protocol {
    pub rules: Rules,
    /// `InDoubtPolicy::HoldUntilDead`, and the access token may be dead at any moment; if not,
    /// `InDoubtPolicy::Never`.
    pub replays: bool,
    pub bounds: Bounds,
    /// Hashes of the states from which the account is known to settle.
    pub settling: Mutex<HashSet<u64>>,
}

/// How far to look.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub processes: u8,
    /// The generation that nobody wants to replace; there is one at the start.
    pub last: u8,
    pub faults: u8,
    /// Authorizations and revocations.
    pub decisions: u8,
}

/// The numbers are those of a process, of one of its tasks, of a request, of a step in limbo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Look(usize),
    Step(usize),
    /// The process is told that its step failed: it may happen later, or never.
    StepFails(usize),
    GivesUp(usize),
    /// The first byte leaves.
    Present(usize),
    TimesOut(usize),
    Renew(usize),
    Task(usize, usize),
    TaskFails(usize, usize),
    Crash(usize),
    Authorize(usize),
    Revoke(usize),
    RevokeFails(usize),
    /// The provider sees the request, and its answer arrives if still awaited.
    Serve(usize),
    LoseRequest(usize),
    LoseAnswer(usize),
    /// Refused for the client's configuration: the refresh token is not spent.
    Decline(usize),
    Land(usize),
    Lose(usize),
    DeadlinePasses,
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let token = Token { line: 0, number: 0 };
        let row = Row::first(token);
        vec![State {
            row,
            limbo: Vec::new(),
            processes: vec![Process::default(); self.bounds.processes.into()],
            requests: Vec::new(),
            newest: vec![token],
            presented: Vec::new(),
            written: vec![(row.generation, Written::Grant(token))],
            faults: self.bounds.faults,
            decisions: self.bounds.decisions,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let faulty = state.faults > 0;
        for (p, process) in state.processes.iter().enumerate() {
            if let Some(action) = self.goes_on(state, p) {
                actions.push(action);
            }
            match process.flight {
                Flight::Leased(_) | Flight::Cleared(_) => actions.push(Action::GivesUp(p)),
                Flight::Sent(_) if self.rules.write_intent() => actions.push(Action::TimesOut(p)),
                _ => {}
            }
            if self.rules.renew(process.flight) {
                actions.push(Action::Renew(p));
            }
            if faulty && self.command(process.flight).is_some() {
                actions.push(Action::StepFails(p));
            }
            if faulty && *process != Process::default() {
                actions.push(Action::Crash(p));
            }
            for task in 0..process.tasks.len() {
                actions.push(Action::Task(p, task));
                if faulty {
                    actions.push(Action::TaskFails(p, task));
                }
            }
            // `authorize::catch_up` brings the store up to this process first.
            if state.decisions > 0 && !state.is_deciding() && !process.is_ahead(&state.row) {
                actions.extend([Action::Authorize(p), Action::Revoke(p)]);
                if faulty {
                    actions.push(Action::RevokeFails(p));
                }
            }
        }
        for (r, request) in state.requests.iter().enumerate() {
            actions.push(Action::Serve(r));
            if faulty {
                actions.extend([Action::LoseRequest(r), Action::LoseAnswer(r)]);
                if state.processes.iter().any(|it| it.awaits(request)) {
                    actions.push(Action::Decline(r));
                }
            }
        }
        for l in 0..state.limbo.len() {
            actions.extend([Action::Land(l), Action::Lose(l)]);
        }
        if state.row.in_time {
            actions.push(Action::DeadlinePasses);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        self.act(&mut state, action);
        state.normalise();
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(self)
    }
}

impl Protocol {
    pub fn new(rules: Rules, replays: bool, bounds: Bounds) -> Self {
        Self {
            rules,
            replays,
            bounds,
            settling: Mutex::default(),
        }
    }

    fn act(&self, state: &mut State, action: Action) {
        match action {
            Action::Look(p) => {
                state.processes[p].flight = self.look(state, p).unwrap_or_default();
            }
            Action::Step(p) => self.step(state, p),
            Action::StepFails(p) => {
                state.faults -= 1;
                state.limbo.extend(self.command(state.processes[p].flight));
                state.processes[p].step_failed();
            }
            Action::GivesUp(p) => state.processes[p].give_up(),
            Action::Present(p) => state.present(p),
            Action::TimesOut(p) => state.processes[p].time_out(),
            Action::Renew(p) => Rules::do_renew(&mut state.row, state.processes[p].flight),
            Action::Crash(p) => {
                state.faults -= 1;
                state.processes[p] = Process::default();
            }
            Action::Task(p, t) => state.do_task(p, t),
            Action::TaskFails(p, t) => state.fail_task(p, t),
            Action::Authorize(p) => state.authorize(p),
            Action::Revoke(_) => {
                state.decisions -= 1;
                let lines = state.lines();
                state.take(Command::Revoke { lines });
            }
            Action::RevokeFails(_) => {
                state.decisions -= 1;
                state.faults -= 1;
                let lines = state.lines();
                state.limbo.push(Command::Revoke { lines });
            }
            Action::Serve(r) => state.serve(r),
            Action::LoseRequest(r) => {
                state.faults -= 1;
                state.requests.remove(r);
            }
            Action::LoseAnswer(r) => {
                state.faults -= 1;
                let request = state.requests.remove(r);
                state.spend(request.token);
            }
            Action::Decline(r) => state.decline(r),
            Action::Land(l) => {
                let command = state.limbo.remove(l);
                state.take(command);
            }
            Action::Lose(l) => {
                state.limbo.remove(l);
            }
            Action::DeadlinePasses => state.row.in_time = false,
        }
    }
}
