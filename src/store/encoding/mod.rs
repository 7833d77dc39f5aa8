//! Records and grants as bytes.

pub(super) mod envelope;
mod grant;
mod record;
