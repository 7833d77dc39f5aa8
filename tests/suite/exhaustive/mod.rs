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

mod normal;
mod process;
mod properties;
mod protocol;
mod rules;
mod state;
mod store;
mod world;

use stateright::{Checker, HasDiscoveries, Model};
use tower_mac_auth::account::InDoubtPolicy;
use tower_mac_auth::testing::rotation::PRESENT_AGAIN_AFTER;

use properties::PRESENTED_ONCE;
use protocol::{Bounds, Protocol, World};
use rules::Rules;

const NEVER: InDoubtPolicy = InDoubtPolicy::Never;
const HOLD_UNTIL_DEAD: InDoubtPolicy = InDoubtPolicy::HoldUntilDead;
const WITHIN_A_MINUTE: InDoubtPolicy = InDoubtPolicy::ReplayWithin(PRESENT_AGAIN_AFTER);

/// Explores all there is within `bounds`, and asserts what must hold.
fn explore(policy: InDoubtPolicy, world: World, bounds: Bounds) {
    let checker = Protocol::new(Rules::Intent, policy, world, bounds)
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    eprintln!("{policy:?}, {world:?}, {bounds:?}: {states} states, {depth} steps deep");
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
    explore(NEVER, World::default(), bounds([2, 3, 2, 0], [2, 4, 4, 0]));
}

#[test]
fn three_processes_present_each_token_once() {
    explore(NEVER, World::default(), bounds([3, 3, 2, 0], [3, 3, 3, 0]));
}

#[test]
fn a_token_in_doubt_is_presented_again_once() {
    let world = World::default();
    explore(HOLD_UNTIL_DEAD, world, bounds([2, 2, 2, 0], [2, 3, 2, 0]));
}

#[test]
fn three_processes_present_a_token_in_doubt_again_once() {
    let world = World::default();
    explore(HOLD_UNTIL_DEAD, world, bounds([3, 2, 1, 0], [3, 2, 2, 0]));
}

#[test]
fn a_token_is_presented_again_once_within_a_grace_window() {
    let world = World::default();
    explore(WITHIN_A_MINUTE, world, bounds([2, 2, 2, 0], [2, 3, 2, 0]));
}

#[test]
fn a_clock_that_is_set_back_has_no_token_presented_once_more() {
    let world = World {
        clock_jumps: true,
        ..World::default()
    };
    explore(HOLD_UNTIL_DEAD, world, bounds([2, 2, 2, 0], [2, 2, 3, 0]));
}

#[test]
fn an_answer_at_hand_comes_before_a_second_presentation() {
    let world = World {
        is_lively: true,
        ..World::default()
    };
    explore(HOLD_UNTIL_DEAD, world, bounds([2, 2, 2, 0], [3, 2, 2, 0]));
}

#[test]
fn a_process_that_lives_reminds_a_store_that_forgot() {
    let world = World {
        store_forgets: true,
        ..World::default()
    };
    explore(NEVER, world, bounds([1, 3, 3, 0], [1, 3, 4, 0]));
    explore(HOLD_UNTIL_DEAD, world, bounds([1, 2, 4, 0], [1, 3, 5, 0]));
}

#[test]
fn no_late_step_undoes_what_the_user_decided() {
    explore(NEVER, World::default(), bounds([2, 4, 1, 1], [2, 4, 2, 1]));
}

#[test]
fn a_decision_ends_a_doubt_that_may_be_presented_again() {
    let world = World::default();
    explore(HOLD_UNTIL_DEAD, world, bounds([2, 2, 1, 1], [2, 3, 1, 1]));
}

#[test]
fn of_two_decisions_the_later_counts() {
    explore(NEVER, World::default(), bounds([2, 3, 1, 2], [2, 3, 2, 2]));
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
        let checker = Protocol::new(rules, NEVER, World::default(), bounds)
            .checker()
            .spawn_bfs()
            .join();
        let found = checker.discovery(PRESENTED_ONCE);
        let run = found.expect("the checker sees it").into_actions();
        eprintln!("{rules:?}: {} steps: {run:?}", run.len());
    }
}
