//! What is true in every state, and what must be seen to happen, lest the model be empty.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use stateright::{Model, Property};
use tower_mac_auth::store::Status;

use super::protocol::{Action, Protocol};
use super::rules::Rules;
use super::state::{Flight, Process, State, Written};

pub const PRESENTED_ONCE: &str = "a refresh token is presented once";

pub fn of(protocol: &Protocol) -> Vec<Property<Protocol>> {
    let once = Property::always(PRESENTED_ONCE, presented_once);
    if protocol.rules != Rules::Intent {
        // Alone, so that the checker stops at the first run that breaks it, which is a shortest.
        return vec![once];
    }
    let mut properties = vec![
        once,
        Property::always(
            "a grant is committed once, a generation is one grant",
            one_grant,
        ),
        Property::always("nothing late undoes what the user decided", decisions_hold),
        Property::always(
            "nobody does what the record or its memory speaks against",
            |_, state: &State| !state.disobeyed,
        ),
        Property::always("once faults stop, the account settles", settles),
        Property::sometimes(
            "the last generation is reached",
            |protocol: &Protocol, state: &State| state.row.generation >= protocol.bounds.last,
        ),
        Property::sometimes("an answer is late", |_, state: &State| {
            state
                .requests
                .iter()
                .any(|it| !state.processes.iter().any(|process| process.awaits(it)))
        }),
    ];
    if protocol.world.store_forgets {
        let name = "the store is reminded of a doubt";
        properties.push(Property::sometimes(name, |_, state: &State| {
            let reminds = |it: &Process| matches!(it.flight, Flight::Reminding(_));
            state.processes.iter().any(reminds)
        }));
    } else {
        properties.extend([
            Property::always("nothing is lost silently", nothing_lost),
            Property::always("the store knows of each doubt", doubts_known),
        ]);
    }
    if protocol.world.is_lively {
        let name = "a token is not presented again while its answer is at hand";
        properties.push(Property::always(name, answers_count));
    }
    if protocol.bounds.faults > 0 {
        let name = "a write stands that seemed to fail";
        properties.push(Property::sometimes(name, |_, state: &State| {
            let unsure = |it: &Process| it.unsure.is_some_and(|it| it.stands(&state.row));
            state.processes.iter().any(unsure)
        }));
    }
    if protocol.presents_again() {
        let name = "a token in doubt is presented again";
        properties.push(Property::sometimes(name, |_, state: &State| {
            state.presented.iter().any(|it| it.2 > 0)
        }));
    }
    if protocol.bounds.decisions > 0 && protocol.bounds.faults > 0 {
        let name = "an authorization waits for the store";
        properties.push(Property::sometimes(name, |_, state: &State| {
            state.processes.iter().any(|it| it.is_ahead(&state.row)) && state.newest.len() > 1
        }));
    }
    properties
}

/// Once, and once more out of doubt if the policy says so.
fn presented_once(protocol: &Protocol, state: &State) -> bool {
    let again = u8::from(protocol.presents_again());
    state
        .presented
        .iter()
        .all(|(_, first, more)| *first <= 1 && *more <= again)
}

fn one_grant(_: &Protocol, state: &State) -> bool {
    let written = &state.written;
    let rises = written.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let is_grant = |it: &Written| matches!(it, Written::Grant(_));
    let again = |at: usize| written[..at].iter().any(|it| it.1 == written[at].1);
    let twice = (0..written.len()).any(|at| is_grant(&written[at].1) && again(at));
    rises && !twice
}

/// What is written after a grant is of the same authorization or a later one; after a revocation,
/// of one that came after it. (A revocation itself may come late: it ends what it finds.)
fn decisions_hold(_: &Protocol, state: &State) -> bool {
    let mut lowest = 0;
    state.written.iter().all(|(_, written)| {
        let holds = !matches!(written, Written::Grant(token) if token.line < lowest);
        lowest = match written {
            Written::Grant(token) => token.line,
            Written::Revoked { lines } => lowest.max(*lines),
        };
        holds
    })
}

/// Where the record does not speak of doubt or an end, its refresh token is the newest. So the only
/// copy of a newer one is never lost without the record saying so.
fn nothing_lost(_: &Protocol, state: &State) -> bool {
    let good = |token| state.newest.contains(token);
    !state.stands_as_good() || state.row.token.as_ref().is_some_and(good)
}

/// No process has to `Remind` the store: that is for a store that loses what it took.
fn doubts_known(_: &Protocol, state: &State) -> bool {
    let remembers = |it: &Process| it.memory.is_some_and(|it| it.0 == state.row.generation);
    !state.stands_as_good() || !state.processes.iter().any(remembers)
}

/// Where nobody pauses for long: who presents again leaves nobody behind with what the first time
/// brought.
fn answers_count(_: &Protocol, state: &State) -> bool {
    let again = |it: &Process| match it.flight {
        Flight::Sent(held) if held.presented_again => Some(held),
        _ => None,
    };
    state.processes.iter().filter_map(again).all(|held| {
        let brings = |it: &Process| it.brings(held.lineage, held.generation + 1);
        !state.processes.iter().any(brings)
    })
}

/// From here, with nothing going wrong any more, all comes to rest, and the account is at its last
/// generation, in doubt for good, or revoked.
fn settles(protocol: &Protocol, state: &State) -> bool {
    let mut known = protocol.settling.lock().unwrap();
    let mut state = state.clone();
    let mut walked = Vec::new();
    // Far more than it takes: what goes on for longer goes round in a circle.
    while walked.len() < 200 {
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        let hash = hasher.finish();
        walked.push(hash);
        let next = if known.contains(&hash) {
            None
        } else {
            calm(protocol, &state)
        };
        match next {
            Some(next) => state = next,
            None if known.contains(&hash) || is_settled(protocol, &state) => {
                known.extend(walked);
                return true;
            }
            None => return false,
        }
    }
    false
}

/// The next state if nothing goes wrong: time passes only when all wait for it.
fn calm(protocol: &Protocol, state: &State) -> Option<State> {
    let mut actions = Vec::new();
    if !state.limbo.is_empty() {
        actions.push(Action::Lose(0));
    }
    if !state.requests.is_empty() {
        actions.push(Action::Serve(0));
    }
    for (p, process) in state.processes.iter().enumerate() {
        if !process.tasks.is_empty() {
            actions.push(Action::Task(p, 0));
        }
        actions.extend(protocol.goes_on(state, p));
        if matches!(process.flight, Flight::Sent(_)) {
            actions.push(Action::TimesOut(p));
        }
    }
    actions.extend([
        Action::BackOffEnds,
        Action::DeadlinePasses,
        Action::MinutePasses,
    ]);
    actions
        .into_iter()
        .find_map(|action| protocol.next_state(state, action))
}

fn is_settled(protocol: &Protocol, state: &State) -> bool {
    let row = &state.row;
    match row.status {
        Status::Active => row.generation >= protocol.bounds.last && nothing_lost(protocol, state),
        Status::InDoubt | Status::Revoked => true,
        Status::Leased => !row.in_time && row.record().is_in_doubt(),
        Status::Sending => false,
    }
}
