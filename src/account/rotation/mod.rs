//! The rotation: what a process decides about a record, and the task that carries it out.
//!
//! ```text
//! task ──▶ decide (pure)
//!   │
//!   ├────▶ presentation ──▶ commit ──▶ journal
//!   └────▶ ending
//! ```

mod commit;
#[cfg_attr(
    not(feature = "testing"),
    allow(unreachable_pub, reason = "public as `testing::rotation`")
)]
pub(crate) mod decide;
mod ending;
mod failure;
mod flight;
mod issued;
mod journal;
mod lives;
mod look;
mod presentation;
mod presented;
mod step;
mod task;
mod write_back;

pub(super) use commit::{Committed, OtherUser, Pending};
pub(super) use decide::Presented;
pub(super) use ending::Ending;
pub(super) use journal::OptionalJournal;
pub(super) use lives::Lives;
pub(super) use look::look;
pub(super) use presented::PresentedTokens;
pub(super) use step::bounded;
pub(super) use task::launch;
