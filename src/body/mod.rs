//! What bodies of requests and of responses have in common.

mod read_ahead;
#[cfg(test)]
pub(crate) mod scripted;
pub(crate) mod size_hint;

pub use self::read_ahead::ReadAhead;
pub(crate) use self::read_ahead::{Kept, Unread};
