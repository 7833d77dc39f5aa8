//! The middleware of a server.

mod answer;
mod check;
mod config;
mod received;
mod service;

#[cfg(feature = "testing")]
pub(crate) use self::answer::Denial;
pub use self::config::VerifyMacLayer;
pub use self::service::{NotVerified, Verified, VerifyMac};
