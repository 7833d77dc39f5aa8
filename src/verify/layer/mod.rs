//! The middleware of a server.

mod answer;
mod check;
mod config;
mod not_verified;
mod received;
mod service;

#[cfg(feature = "testing")]
pub(crate) use self::answer::Denial;
pub use self::config::VerifyMacLayer;
pub use self::not_verified::NotVerified;
pub use self::service::{Verified, VerifyMac};
