//! The numbers, as the `metrics` facade takes them.

use std::sync::Once;
use std::time::Duration;

use metrics::{
    Label, SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use super::{Census, Stats};
use crate::account::{Account, Accounts};
use crate::provider::Provider;

const REQUESTS: &str = "mac_auth_requests_total";
const REFUSALS: &str = "mac_auth_refusals_total";
const REFRESHES: &str = "mac_auth_refreshes_total";
const REAUTHORIZATIONS: &str = "mac_auth_reauthorization_required_total";
const WAITERS: &str = "mac_auth_refresh_waiters";
const COMMITS_DELAYED: &str = "mac_auth_commits_delayed";
const CLOCK_OFFSET: &str = "mac_auth_clock_offset_seconds";
const LAST_SUCCESS: &str = "mac_auth_last_refresh_success_timestamp_seconds";
const LAST_FAILURE: &str = "mac_auth_last_refresh_failure_timestamp_seconds";
const ACCOUNTS: &str = "mac_auth_accounts";
const SHORTEST_LIFE: &str = "mac_auth_access_token_seconds_left_min";
const REFRESH_DURATION: &str = "mac_auth_refresh_duration_seconds";
const STORE_STEP_DURATION: &str = "mac_auth_store_step_duration_seconds";

/// Whose numbers they are, if that is said.
#[derive(Clone, Default)]
pub(in crate::account) struct Whose(Option<SharedString>);

impl Whose {
    pub(in crate::account) fn client(client: String) -> Self {
        Self(Some(client.into()))
    }

    /// The labels of a number, these among them.
    fn labels<const N: usize>(&self, labels: [(&'static str, &'static str); N]) -> Vec<Label> {
        let client = self.0.clone().map(|client| Label::new("client", client));
        let labels = labels.map(|(name, value)| Label::from_static_parts(name, value));
        labels.into_iter().chain(client).collect()
    }

    pub(super) fn refresh_took(&self, took: Duration) {
        histogram!(REFRESH_DURATION, self.labels([])).record(took);
    }

    pub(super) fn store_step_took(&self, step: &'static str, took: Duration) {
        histogram!(STORE_STEP_DURATION, self.labels([("step", step)])).record(took);
    }
}

impl<P: Provider> Accounts<P> {
    /// Hands the numbers of now to the recorder of the [`metrics`] facade. Call it before each scrape,
    /// or every few seconds. The table of names is in the [module docs](super).
    ///
    /// It looks at each open account, as [`census`](Self::census) does. Of several `Accounts` in one
    /// process each must have a [label](crate::account::AccountsBuilder::metrics_label) of its own.
    pub fn record_metrics(&self) {
        let whose = &self.0.context().counters.whose;
        record(whose, &self.stats());
        record_census(whose, &self.census());
    }
}

impl<P: Provider> Account<P> {
    /// The same as [`Accounts::record_metrics`], for an account that is not one of [`Accounts`].
    pub fn record_metrics(&self) {
        let whose = &self.0.context.counters.whose;
        record(whose, &self.stats());
        let mut census = Census::default();
        census.count(self, self.0.clock.now());
        record_census(whose, &census);
    }
}

fn record(whose: &Whose, stats: &Stats) {
    describe();
    let requests = stats.requests;
    for (outcome, count) in [
        ("sent", requests.sent),
        ("resent", requests.resent),
        ("refused", requests.refused),
        ("not_sent", requests.not_sent),
        ("signed", requests.signed),
    ] {
        let labels = whose.labels([("outcome", outcome)]);
        counter!(REQUESTS, labels).absolute(count);
    }
    let refusals = stats.refusals;
    for (reason, count) in [
        ("token_rejected", refusals.token_rejected),
        ("signature_rejected", refusals.signature_rejected),
        ("rejected_fresh", refusals.rejected_fresh),
    ] {
        let labels = whose.labels([("reason", reason)]);
        counter!(REFUSALS, labels).absolute(count);
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
        let labels = whose.labels([("outcome", outcome)]);
        counter!(REFRESHES, labels).absolute(count);
    }
    counter!(REAUTHORIZATIONS, whose.labels([])).absolute(stats.reauthorization_required);
    #[expect(clippy::cast_precision_loss, reason = "some seconds")]
    let clock_offset = stats.clock_offset_secs as f64;
    for (name, value) in [
        (WAITERS, float(stats.waiting)),
        (COMMITS_DELAYED, float(stats.commits_delayed)),
        (CLOCK_OFFSET, clock_offset),
    ] {
        gauge!(name, whose.labels([])).set(value);
    }
    for (name, at) in [
        (LAST_SUCCESS, stats.last_refreshed_at),
        (LAST_FAILURE, stats.last_refresh_failed_at),
    ] {
        if let Some(at) = at {
            gauge!(name, whose.labels([])).set(float(at.as_secs()));
        }
    }
}

fn record_census(whose: &Whose, census: &Census) {
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
            let labels = whose.labels([("access", access), ("rotation", rotation)]);
            gauge!(ACCOUNTS, labels).set(float(count));
        }
    }
    // Where no token ends, none ends soon.
    let left = census
        .shortest_life
        .map_or(f64::INFINITY, |left| left.as_secs_f64());
    gauge!(SHORTEST_LIFE, whose.labels([])).set(left);
}

#[expect(clippy::cast_precision_loss, reason = "what a recorder takes")]
const fn float(count: u64) -> f64 {
    count as f64
}

/// Says what the numbers are, once.
fn describe() {
    static DESCRIBED: Once = Once::new();
    DESCRIBED.call_once(|| {
        describe_counter!(REQUESTS, "Requests, by what became of them");
        describe_counter!(REFUSALS, "Responses that refused a credential, by reason");
        describe_counter!(REFRESHES, "Refreshes, by what became of them");
        describe_counter!(
            REAUTHORIZATIONS,
            "Refreshes that found that a user must authorize again"
        );
        describe_histogram!(REFRESH_DURATION, Unit::Seconds, "How long refreshes took");
        describe_histogram!(
            STORE_STEP_DURATION,
            Unit::Seconds,
            "How long steps of the store took"
        );
        describe_gauge!(WAITERS, "Requests that wait for a refresh");
        describe_gauge!(
            COMMITS_DELAYED,
            "New credentials that the store has not taken"
        );
        describe_gauge!(
            CLOCK_OFFSET,
            Unit::Seconds,
            "What is added to the clock in nonces"
        );
        describe_gauge!(
            LAST_SUCCESS,
            Unit::Seconds,
            "When this process last rotated a credential"
        );
        describe_gauge!(
            LAST_FAILURE,
            Unit::Seconds,
            "When a refresh by this process last failed"
        );
        describe_gauge!(
            ACCOUNTS,
            "Open accounts, by whether they may sign and rotate"
        );
        describe_gauge!(
            SHORTEST_LIFE,
            Unit::Seconds,
            "The shortest time left to an access token that lives"
        );
    });
}
