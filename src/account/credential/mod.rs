//! What signs now; whether it may, and whether it may be renewed.

mod access;
mod cell;
mod join;
mod looks;
mod primitives;
mod rotation_state;
mod snapshot;

pub(super) use access::Access;
pub(super) use cell::Cell;
pub(super) use join::Join;
pub(super) use primitives::Loaded;
pub(super) use rotation_state::{Pause, RotationState};
pub(super) use snapshot::Snapshot;
