//! Reading from a response whether the provider refused the credential.

mod head;
mod inspect;
mod reading;

pub(crate) use self::inspect::{Inspect, Inspected, Inspection, settle};
pub(crate) use self::reading::Reading;
