//! The numbers, as the `metrics` facade takes them.

use std::sync::Once;
use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::{Census, Stats};
use crate::Timestamp;
use crate::account::{Account, Accounts};
use crate::provider::Provider;

const REFRESH_DURATION: &str = "mac_auth_refresh_duration_seconds";
const STORE_STEP_DURATION: &str = "mac_auth_store_step_duration_seconds";

pub(super) fn refresh_took(took: Duration) {
    histogram!(REFRESH_DURATION).record(took);
}

pub(super) fn store_step_took(step: &'static str, took: Duration) {
    histogram!(STORE_STEP_DURATION, "step" => step).record(took);
}

impl<P: Provider> Accounts<P> {
    /// Hands the numbers of now to the recorder of the [`metrics`] facade. Call it before each scrape,
    /// or every few seconds. The table of names is in the [module docs](super).
    ///
    /// It looks at each open account, as [`census`](Self::census) does.
    pub fn record_metrics(&self) {
        record(&self.stats());
        record_census(&self.census());
    }
}

impl<P: Provider> Account<P> {
    /// The same as [`Accounts::record_metrics`], for an account that is not one of [`Accounts`].
    pub fn record_metrics(&self) {
        record(&self.stats());
        let status = self.status();
        let place = (status.access.as_str(), status.rotation.as_str(), 1);
        let left = |until: Timestamp| until.saturating_since(self.0.clock.now());
        record_census(&Census {
            accounts: vec![place],
            shortest_life: self.expires_at().map(left),
        });
    }
}

fn record(stats: &Stats) {
    describe();
    let requests = stats.requests;
    for (outcome, count) in [
        ("sent", requests.sent),
        ("resent", requests.resent),
        ("refused", requests.refused),
        ("not_sent", requests.not_sent),
    ] {
        counter!("mac_auth_requests_total", "outcome" => outcome).absolute(count);
    }
    let refusals = stats.refusals;
    for (reason, count) in [
        ("token_rejected", refusals.token_rejected),
        ("signature_rejected", refusals.signature_rejected),
        ("rejected_fresh", refusals.rejected_fresh),
    ] {
        counter!("mac_auth_refusals_total", "reason" => reason).absolute(count);
    }
    let refreshes = stats.refreshes;
    for (outcome, count) in [
        ("refreshed", refreshes.refreshed),
        ("adopted", refreshes.adopted),
        ("unsent", refreshes.unsent),
        ("rate_limited", refreshes.rate_limited),
        ("refused", refreshes.refused),
        ("in_doubt", refreshes.in_doubt),
        ("rejected", refreshes.rejected),
        ("failed", refreshes.failed),
    ] {
        counter!("mac_auth_refreshes_total", "outcome" => outcome).absolute(count);
    }
    counter!("mac_auth_reauthorization_required_total").absolute(stats.reauthorization_required);
    gauge!("mac_auth_refresh_waiters").set(float(stats.waiting));
    gauge!("mac_auth_commits_delayed").set(float(stats.commits_delayed));
    #[expect(clippy::cast_precision_loss, reason = "some seconds")]
    gauge!("mac_auth_clock_offset_seconds").set(stats.clock_offset_secs as f64);
    for (name, at) in [
        (
            "mac_auth_last_refresh_success_timestamp_seconds",
            stats.last_refreshed_at,
        ),
        (
            "mac_auth_last_refresh_failure_timestamp_seconds",
            stats.last_refresh_failed_at,
        ),
    ] {
        if let Some(at) = at {
            gauge!(name).set(float(at.as_secs()));
        }
    }
}

fn record_census(census: &Census) {
    const ACCESS: [&str; 3] = ["live", "aging", "dead"];
    const ROTATION: [&str; 5] = ["idle", "in_flight", "backing_off", "in_doubt", "revoked"];
    // All of them: one where there is no account any more would else stay as it was.
    for access in ACCESS {
        for rotation in ROTATION {
            let place = census
                .accounts
                .iter()
                .find(|place| (place.0, place.1) == (access, rotation));
            let count = place.map_or(0, |place| place.2);
            gauge!("mac_auth_accounts", "access" => access, "rotation" => rotation)
                .set(float(count));
        }
    }
    // Where no token ends, none ends soon.
    let left = census
        .shortest_life
        .map_or(f64::INFINITY, |left| left.as_secs_f64());
    gauge!("mac_auth_access_token_seconds_left_min").set(left);
}

#[expect(clippy::cast_precision_loss, reason = "what a recorder takes")]
const fn float(count: u64) -> f64 {
    count as f64
}

/// Says what the numbers are, once.
fn describe() {
    static DESCRIBED: Once = Once::new();
    DESCRIBED.call_once(|| {
        describe_counter!(
            "mac_auth_requests_total",
            "Requests, by what became of them"
        );
        describe_counter!(
            "mac_auth_refusals_total",
            "Responses that refused a credential, by reason"
        );
        describe_counter!(
            "mac_auth_refreshes_total",
            "Refreshes, by what became of them"
        );
        describe_counter!(
            "mac_auth_reauthorization_required_total",
            "Refreshes that found that a user must authorize again"
        );
        describe_histogram!(REFRESH_DURATION, Unit::Seconds, "How long refreshes took");
        describe_histogram!(
            STORE_STEP_DURATION,
            Unit::Seconds,
            "How long steps of the store took"
        );
        describe_gauge!(
            "mac_auth_refresh_waiters",
            "Requests that wait for a refresh"
        );
        describe_gauge!(
            "mac_auth_commits_delayed",
            "New credentials that the store has not taken"
        );
        describe_gauge!(
            "mac_auth_clock_offset_seconds",
            Unit::Seconds,
            "What is added to the clock in nonces"
        );
        describe_gauge!(
            "mac_auth_last_refresh_success_timestamp_seconds",
            Unit::Seconds,
            "When this process last rotated a credential"
        );
        describe_gauge!(
            "mac_auth_last_refresh_failure_timestamp_seconds",
            Unit::Seconds,
            "When a refresh by this process last failed"
        );
        describe_gauge!(
            "mac_auth_accounts",
            "Open accounts, by whether they may sign and rotate"
        );
        describe_gauge!(
            "mac_auth_access_token_seconds_left_min",
            Unit::Seconds,
            "The shortest time left to an access token that lives"
        );
    });
}
