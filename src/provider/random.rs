//! Random bits for nonces.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use fastrand::Rng;

thread_local! {
    /// Where this thread's generator stands. It is our own, seeded from the operating system's
    /// randomness: fastrand's is seeded from the clock and the number of the thread, which two
    /// machines of one image may share, and anybody may seed it.
    static GENERATOR: Cell<u64> = Cell::new(RandomState::new().hash_one(()));
}

#[inline]
pub(super) fn random() -> u64 {
    GENERATOR.with(|state| {
        let mut generator = Rng::with_seed(state.get());
        let random = generator.u64(..);
        state.set(generator.get_seed());
        random
    })
}
