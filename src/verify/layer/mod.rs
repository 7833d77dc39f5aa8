//! The middleware of a server.

mod answer;
mod check;
mod config;
mod received;
mod service;

pub use self::config::VerifyMacLayer;
pub use self::service::{NotVerified, Verified, VerifyMac};
