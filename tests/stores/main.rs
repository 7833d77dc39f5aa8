//! The promises of the stores, kept against real servers: `scripts/test` starts them.
#![cfg(feature = "testing")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub
)]

#[cfg(feature = "postgres")]
mod postgres;
