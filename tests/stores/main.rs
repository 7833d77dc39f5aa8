//! The promises of the stores that many processes share, kept against real servers.
//!
//! `scripts/test` starts the servers. Without one, a test that needs it is ignored.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub
)]

#[cfg(all(feature = "postgres", feature = "testing"))]
mod postgres;
#[cfg(all(feature = "redis", feature = "testing"))]
mod redis;
