//! The rotation between processes that share a store, in every order in which it can happen, by a
//! model checker.
//!
//! What is checked is what is shipped: a process of the model asks the crate's own `decide` what to
//! do about a record, and the store moves by the crate's own transitions ([`store`]). Only the world
//! around them is the model's: which step of a flight comes after which ([`process`], with the places
//! in `src/account` it stands for), and what happens besides ([`state`], [`world`]). At any moment:
//!
//! - a process may crash, or pause for longer than its lease, its time to answer, or any deadline;
//! - a request or an answer of the token endpoint may be lost or late, or the client be refused;
//! - a write may seem to fail, and land at once, later, or never: only in place of what it was to
//!   replace. Its process looks, and if its own write stands it was the reply that was lost;
//! - a deadline, a back-off or the minute before a second presentation may be over, however short it
//!   was: a clock that jumps can do no more, but for being set back, which is a [`World`];
//! - the user may authorize again, or revoke.
//!
//! Crashes, losses, refusals and failing writes are counted as faults and bounded; pauses are not.
//! The presenter's own look at the clock before it sends may be left out or not: nothing rests on it.
//! What must hold in each state is in [`properties`]: among it that from every state, once faults
//! stop, the account comes to its last generation, to doubt, or to an end. [`rules`] has the
//! protocols in which the checker must find a token presented twice; `scripts/mutants` breaks ours.
//!
//! Not in the model: a store that loses what it took (but for the last write, under one process that
//! lives), and an answer that brings a refresh token and no key.
//!
//! `cargo test --all-features --test suite exhaustive -- --nocapture` says how many states there
//! are; with `MODEL_DEPTH=long` it looks further, for some minutes. In the debug profile all of it takes
//! some 60 s of one core. `last` is the last generation, of which the first is 1:
//!
//! | policy, world | processes | last | faults | decisions | states |
//! |---|---|---|---|---|---|
//! | never | 2 | 3 | 2 | 0 | 10,525 |
//! | never | 3 | 3 | 2 | 0 | 67,403 |
//! | never | 2 | 4 | 1 | 1 | 51,784 |
//! | never | 2 | 3 | 1 | 2 | 36,402 |
//! | hold until dead | 2 | 2 | 2 | 0 | 57,363 |
//! | hold until dead | 3 | 2 | 1 | 0 | 128,538 |
//! | hold until dead | 2 | 2 | 1 | 1 | 61,936 |
//! | hold until dead, clock is set back | 2 | 2 | 2 | 0 | 58,473 |
//! | hold until dead, lively | 2 | 2 | 2 | 0 | 53,405 |
//! | within a minute | 2 | 2 | 2 | 0 | 86,491 |
//! | never, store forgets | 1 | 3 | 3 | 0 | 7,012 |
//! | hold until dead, store forgets | 1 | 2 | 4 | 0 | 32,157 |

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
