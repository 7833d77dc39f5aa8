//! The middleware of a server.

mod answer;
mod check;
mod config;
#[expect(
    clippy::module_inception,
    reason = "each middleware is a folder with these files"
)]
mod layer;
mod not_verified;
mod received;
mod service;

#[cfg(feature = "testing")]
pub(crate) use self::answer::Denial;
pub use self::layer::VerifyMacLayer;
pub use self::not_verified::NotVerified;
pub use self::service::{Verified, VerifyMac};
