//! The rotation between processes that share a store, in every order in which it can happen, by a
//! model checker.
//!
//! The store is the crate's own steps on a small record ([`store`]); what a process does between
//! two of them is written down again ([`process`], [`state`], [`world`]), each state with the place
//! it stands for in `src/account`. At any moment:
//!
//! - a process may crash, or be paused for longer than its lease or its time to answer;
//! - a request or an answer of the token endpoint may be lost or late, or the client be refused;
//! - a step of the store may seem to fail, and be done at once, later, or never;
//! - the user may authorize again, or revoke.
//!
//! Crashes, losses, refusals and failing steps are counted as faults and bounded; pauses are not.
//! What must hold in each state is in [`properties`]: among it that from every state, once faults
//! stop, the account comes to its last generation, to doubt, or to an end. [`rules`] has the
//! protocols in which the checker must find a token presented twice.
//!
//! Not in the model: a store that loses what it took, `InDoubtPolicy::ReplayWithin`, back-off (it
//! ends at any moment here), and an answer that brings a refresh token and no key.
//!
//! `cargo test --all-features --test suite exhaustive -- --nocapture` says how many states there
//! are; with `MODEL_DEPTH=long` it looks further, for some minutes. In the debug profile all of it takes
//! some 11 s of one core. `last` is the last generation, of which the first is 1:
//!
//! | policy | processes | last | faults | decisions | states |
//! |---|---|---|---|---|---|
//! | never | 2 | 3 | 2 | 0 | 8,595 |
//! | never | 3 | 3 | 2 | 0 | 46,081 |
//! | never | 2 | 4 | 1 | 1 | 55,069 |
//! | never | 2 | 3 | 1 | 2 | 38,614 |
//! | hold until dead | 2 | 2 | 2 | 0 | 37,737 |
//! | hold until dead | 3 | 2 | 1 | 0 | 66,143 |
//! | hold until dead | 2 | 2 | 1 | 1 | 38,694 |

mod process;
mod properties;
mod protocol;
mod rules;
mod state;
mod store;
mod world;

use stateright::{Checker, HasDiscoveries, Model};

use properties::PRESENTED_ONCE;
use protocol::{Bounds, Protocol};
use rules::Rules;

const NEVER: bool = false;
const HOLD_UNTIL_DEAD: bool = true;

/// Explores all there is within `bounds`, and asserts what must hold.
fn explore(replays: bool, bounds: Bounds) {
    let checker = Protocol::new(Rules::Intent, replays, bounds)
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    eprintln!("replays: {replays}, {bounds:?}: {states} states, {depth} steps deep");
    checker.assert_properties();
}

/// How far to look; further if the environment says so.
fn bounds(usual: [u8; 4], long: [u8; 4]) -> Bounds {
    let is_long = std::env::var("MODEL_DEPTH").is_ok_and(|depth| depth == "long");
    let [processes, last, faults, decisions] = if is_long { long } else { usual };
    Bounds {
        processes,
        last,
        faults,
        decisions,
    }
}

#[test]
fn two_processes_present_each_token_once() {
    explore(NEVER, bounds([2, 3, 2, 0], [2, 4, 4, 0]));
}

#[test]
fn three_processes_present_each_token_once() {
    explore(NEVER, bounds([3, 3, 2, 0], [3, 3, 3, 0]));
}

#[test]
fn a_token_in_doubt_is_replayed_once() {
    explore(HOLD_UNTIL_DEAD, bounds([2, 2, 2, 0], [2, 3, 2, 0]));
}

#[test]
fn three_processes_replay_a_token_in_doubt_once() {
    explore(HOLD_UNTIL_DEAD, bounds([3, 2, 1, 0], [3, 2, 2, 0]));
}

#[test]
fn no_late_step_undoes_what_the_user_decided() {
    explore(NEVER, bounds([2, 4, 1, 1], [2, 4, 2, 1]));
}

#[test]
fn a_decision_ends_a_doubt_that_may_be_replayed() {
    explore(HOLD_UNTIL_DEAD, bounds([2, 2, 1, 1], [2, 3, 1, 1]));
}

#[test]
fn of_two_decisions_the_later_counts() {
    explore(NEVER, bounds([2, 3, 1, 2], [2, 3, 2, 2]));
}

#[test]
fn without_an_intent_that_holds_a_token_is_presented_twice() {
    for rules in [
        Rules::LockAndReread,
        Rules::RenewedLock,
        Rules::FencedCommit,
        Rules::IntentIgnored,
        Rules::IntentExpires,
    ] {
        // No fault is needed: a pause will do.
        let bounds = bounds([2, 2, 0, 0], [3, 3, 0, 0]);
        let checker = Protocol::new(rules, NEVER, bounds)
            .checker()
            .spawn_bfs()
            .join();
        let found = checker.discovery(PRESENTED_ONCE);
        let run = found.expect("the checker sees it").into_actions();
        eprintln!("{rules:?}: {} steps: {run:?}", run.len());
    }
}
