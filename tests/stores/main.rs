//! The promises of the stores that many processes share, kept against real servers.
//!
//! `scripts/test` starts the servers. A test whose server was not named is skipped, and says so,
//! unless `TOWER_MAC_AUTH_REQUIRE_SERVERS` is set.
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
