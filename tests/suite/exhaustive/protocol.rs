//! What may happen next, as the model checker asks it: each process goes on, and anything may go
//! wrong between two of its steps.

use std::collections::HashSet;
use std::sync::Mutex;

use stateright::{Model, Property};
use tower_mac_auth::account::InDoubtPolicy;

use super::process::Sight;
use super::properties;
use super::rules::Rules;
use super::state::{Flight, Process, State, Written};
use super::store::{Command, Row, Token};

#[derive(Debug)]
pub struct Protocol {
    pub rules: Rules,
    /// The access token may be dead at any moment.
    pub policy: InDoubtPolicy,
    pub world: World,
    pub bounds: Bounds,
    /// Hashes of the states from which the account is known to settle.
    pub settling: Mutex<HashSet<u64>>,
}

/// What the world may do besides.
#[derive(Clone, Copy, Debug, Default)]
pub struct World {
    /// No process pauses for as long as a doubt is watched for.
    pub is_lively: bool,
    /// The store's clock is set back, which counts as a fault. (If it is set forward, or one of a
    /// process's jumps, then a time is over too early; and each may be, in every world.)
    pub clock_jumps: bool,
    /// The store goes back to what stood before its last write, which counts as a fault; and no
    /// process crashes, for then its memory would be gone as well.
    pub store_forgets: bool,
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
    Look(usize, Sight),
    Step(usize),
    /// The store fails the process's step, which may happen now, later, or never. The process does
    /// not know, and looks.
    StepFails(usize),
    /// It cannot even look.
    StaysAway(usize),
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
    BackOffEnds,
    /// The time after which a token is presented again.
    MinutePasses,
    ClockIsSetBack,
    StoreForgets,
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let token = Token { line: 0, number: 0 };
        let row = Row::first(token);
        vec![State {
            row,
            older: None,
            limbo: Vec::new(),
            processes: vec![Process::default(); self.bounds.processes.into()],
            requests: Vec::new(),
            newest: vec![token],
            presented: Vec::new(),
            written: vec![(row.generation, Written::Grant(token))],
            disobeyed: false,
            faults: self.bounds.faults,
            decisions: self.bounds.decisions,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let faulty = state.faults > 0;
        for (p, process) in state.processes.iter().enumerate() {
            match process.flight {
                Flight::Idle => actions.extend(self.looks(state, p)),
                _ => actions.extend(self.goes_on(state, p)),
            }
            match process.flight {
                _ if process.unsure.is_some() => actions.push(Action::StaysAway(p)),
                Flight::Leased(_) | Flight::Cleared(_) => actions.push(Action::GivesUp(p)),
                Flight::Sent(_) if self.rules.write_intent() => actions.push(Action::TimesOut(p)),
                _ => {}
            }
            if self.rules.renew(process.flight) {
                actions.push(Action::Renew(p));
            }
            if faulty && process.unsure.is_none() && self.command(process.flight).is_some() {
                actions.push(Action::StepFails(p));
            }
            if faulty && !self.world.store_forgets && *process != Process::default() {
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
        self.times(state, actions);
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        self.act(&mut state, action);
        if !self.world.store_forgets {
            state.older = None;
        }
        state.normalise();
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(self)
    }
}

impl Protocol {
    pub fn new(rules: Rules, policy: InDoubtPolicy, world: World, bounds: Bounds) -> Self {
        Self {
            rules,
            policy,
            world,
            bounds,
            settling: Mutex::default(),
        }
    }

    pub fn presents_again(&self) -> bool {
        self.policy != InDoubtPolicy::Never
    }

    /// The looks of process `p`, by what it sees beside the record where that counts.
    fn looks(&self, state: &State, p: usize) -> Vec<Action> {
        let counts = self.presents_again() && state.row.record().is_in_doubt();
        let sights = if counts { 4 } else { 1 };
        (0..sights)
            .map(|bits| Sight {
                access_is_dead: bits & 1 > 0,
                watched: bits & 2 > 0,
            })
            .filter(|sight| !sight.watched || self.may_have_watched(state))
            .filter(|sight| self.look(state, p, *sight).is_some())
            .map(|sight| Action::Look(p, sight))
            .collect()
    }

    /// What the time may do.
    pub fn times(&self, state: &State, actions: &mut Vec<Action>) {
        let (row, faulty) = (&state.row, state.faults > 0);
        if row.in_time {
            actions.push(Action::DeadlinePasses);
        } else if faulty && self.world.clock_jumps && row.status.is_rotating() {
            actions.push(Action::ClockIsSetBack);
        }
        if row.backing_off {
            actions.push(Action::BackOffEnds);
        }
        if self.presents_again() {
            actions.push(Action::MinutePasses);
        }
        if faulty && self.world.store_forgets && state.older.is_some() {
            actions.push(Action::StoreForgets);
        }
    }

    fn act(&self, state: &mut State, action: Action) {
        match action {
            Action::Look(p, sight) => {
                state.name_row();
                let flight = self.look(state, p, sight).unwrap_or_default();
                // Who waits for the answer says so itself.
                state.disobeyed |= matches!(flight, Flight::Doubting { .. }) && state.row.in_time;
                state.processes[p].flight = flight;
            }
            Action::Step(p) => self.step(state, p),
            Action::StepFails(p) => self.step_fails(state, p),
            Action::StaysAway(p) => {
                let asked = state.processes[p].unsure.take();
                state.processes[p].step_failed(asked.and_then(|asked| asked.lease));
            }
            Action::GivesUp(p) => state.processes[p].give_up(),
            Action::Present(p) => self.present(state, p),
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
                state.send_off(Command::Revoke { lines });
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
            Action::Land(l) => state.land(l),
            Action::Lose(l) => {
                state.limbo.remove(l);
            }
            Action::DeadlinePasses => state.row.in_time = false,
            Action::BackOffEnds => state.row.backing_off = false,
            Action::MinutePasses => state.age(),
            Action::ClockIsSetBack => {
                state.faults -= 1;
                state.row.in_time = true;
            }
            Action::StoreForgets => {
                state.faults -= 1;
                state.row = state.older.take().unwrap_or(state.row);
                state.limbo.clear();
            }
        }
    }
}
