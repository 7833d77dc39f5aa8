//! A [tower] layer for OAuth 2 APIs that authenticate each request with a MAC.
//!
//! [tower]: https://docs.rs/tower

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod account;
mod clock;
pub mod layer;
mod secret;
pub mod sign;
pub mod store;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
pub mod token;
#[cfg(feature = "verify")]
#[cfg_attr(docsrs, doc(cfg(feature = "verify")))]
pub mod verify;

pub use clock::{Clock, SystemClock, Timestamp};
pub use secret::{AccessToken, AuthorizationCode, ClientSecret, MacKeyText, RefreshToken};
