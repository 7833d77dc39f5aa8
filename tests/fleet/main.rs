//! The rotation with real processes: workers that share a store, are killed, stopped and cut off,
//! and a strict provider on a socket that counts what each of them presents.
//!
//! Each test is made for each store; those that need a server are ignored unless asked for, as
//! `scripts/test` and `scripts/soak` do, which start them. Linux alone ends a process with its
//! parent, whatever becomes of that, so it is made there.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub
)]

mod backend;
mod child;
mod crash_points;
mod gone;
mod hot;
mod report;
mod scene;
mod stops;
mod storm;
mod worker;

/// One at a time: they measure, and restart servers.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A process of the tests below; by itself it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the tests start it"]
async fn worker() {
    if let Ok(orders) = std::env::var(child::ORDERS) {
        worker::run(serde_json::from_str(&orders).unwrap()).await;
    }
}

macro_rules! each_store {
    ($($name:ident $(: #[$ignore:meta])?),+) => {$(
        mod $name {
            use crate::backend::{Backend, Kind};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $(#[$ignore])?
            async fn a_process_killed_at_any_step_presents_no_token_twice() {
                let _alone = crate::ALONE.lock().await;
                let backend = Backend::new(Kind::$name).await;
                crate::crash_points::run(backend).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $(#[$ignore])?
            async fn a_fleet_under_faults_presents_each_token_once_and_loses_no_account() {
                let _alone = crate::ALONE.lock().await;
                let backend = Backend::new(Kind::$name).await;
                crate::storm::short(backend).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $(#[$ignore])?
            async fn one_hot_account_is_served_to_all_processes_by_one_presentation() {
                let _alone = crate::ALONE.lock().await;
                let backend = Backend::new(Kind::$name).await;
                crate::hot::run(backend, 5).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $(#[$ignore])?
            async fn a_store_that_is_gone_holds_up_no_live_token() {
                let _alone = crate::ALONE.lock().await;
                let backend = Backend::new(Kind::$name).await;
                crate::gone::run(backend, std::time::Duration::from_secs(2)).await;
            }
        }
    )+};
}

each_store!(
    file,
    postgres: #[ignore = "needs a PostgreSQL server: scripts/test"],
    redis: #[ignore = "needs a Redis server: scripts/test"]
);

/// `scripts/soak [minutes]`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes as long as FLEET_MINUTES says: scripts/soak"]
async fn soak() {
    let _alone = ALONE.lock().await;
    report::soak().await;
}
