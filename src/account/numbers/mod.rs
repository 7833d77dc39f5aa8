//! What happened so far, and where the accounts stand, in numbers.
//!
//! [`Accounts::stats`](super::Accounts::stats) counts what happened in this process, [`Accounts::census`](super::Accounts::census) says where the open
//! accounts stand, and [`Accounts::check_store`](super::Accounts::check_store) whether the store will do. With the feature `metrics`
//! they go to the recorder of the [`metrics`](https://docs.rs/metrics) facade, whenever
//! `Accounts::record_metrics` is called; the two durations are recorded as they end. No label has the
//! name of an account. With `AccountsBuilder::metrics_label` each has a label `client` besides.
//!
//! Names in `_total` are counters, in `_duration_seconds` histograms, and all others gauges.
//!
//! | name | labels | page somebody if |
//! |---|---|---|
//! | `mac_auth_requests_total` | `outcome`: `sent`, `resent`, `refused`, `not_sent`; `signed` by `Account::sign` | |
//! | `mac_auth_refusals_total` | `reason`: `token_rejected`, `signature_rejected`, and `rejected_fresh`, which are among `token_rejected` | |
//! | `mac_auth_refreshes_total` | `outcome`: `refreshed`, `adopted`, `unsent`, `rate_limited`, `refused`, `in_doubt`, `rejected`, `failed` | **`in_doubt` grows** |
//! | `mac_auth_reauthorization_required_total` | | **it grows** |
//! | `mac_auth_commits_delayed` | | **it is not 0 for a minute**: only this process has the new tokens |
//! | `mac_auth_last_refresh_success_timestamp_seconds` | | **it is older than half a token's life, or absent as long** (it is, until the first), while requests are sent |
//! | `mac_auth_last_refresh_failure_timestamp_seconds` | | |
//! | `mac_auth_refresh_duration_seconds` | | |
//! | `mac_auth_refresh_waiters` | | |
//! | `mac_auth_accounts` | `access`: `live`, `aging`, `dead`; `rotation`: `idle`, `in_flight`, `backing_off`, `in_doubt`, `revoked` | |
//! | `mac_auth_access_token_seconds_left_min`: `inf` where no token lives, or none ends | | |
//! | `mac_auth_clock_offset_seconds` | | |
//! | `mac_auth_store_step_duration_seconds` | `step`: `load`, `replace`, `list` | |

mod census;
mod counters;
#[cfg(feature = "metrics")]
mod measured;
#[cfg(feature = "metrics")]
mod metrics;
mod sharded;
mod stats;

pub use self::census::Census;
pub(crate) use self::counters::Counters;
pub(super) use self::counters::Guard;
#[cfg(feature = "metrics")]
pub(super) use self::measured::Measured;
#[cfg(feature = "metrics")]
pub(super) use self::metrics::Whose;
pub use self::stats::{Refreshes, Refusals, Requests, Stats};
