use super::RotationState;
use crate::store::Generation;

/// What came of asking for a newer credential.
#[derive(Debug)]
pub(in crate::account) enum Join {
    /// There is one already.
    Newer(Generation),
    /// A flight is under way and will tell.
    Joined,
    /// The caller must start the flight; its waiter is in.
    Lead,
    /// No flight may start.
    Grounded(RotationState),
    /// The account is shut down.
    Closed,
}
