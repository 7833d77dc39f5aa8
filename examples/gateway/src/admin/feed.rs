//! What happens: counted, told to who listens, and remembered as far as a commit is owed. The log has
//! it from the library.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{Counter, counter, describe_counter};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tower_mac_auth::account::{AccountEvent, Event, Events};
use tower_mac_auth::store::{AccountName, Generation};
use tower_mac_auth::{Clock as _, SystemClock};

use super::history::{History, Minute};
use crate::proxy::Outcome;

/// How many events a slow listener may fall behind.
const BEHIND: usize = 256;

/// An event of an account, as it is told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Told {
    pub(super) account: Option<String>,
    pub(super) kind: &'static str,
    pub(super) generation: Option<u64>,
    /// In milliseconds since 1970.
    pub(super) at: u64,
    pub(super) text: String,
}

/// See the module docs.
#[derive(Debug)]
pub(crate) struct Feed {
    told: broadcast::Sender<Arc<Told>>,
    history: Mutex<History>,
    owed: Mutex<BTreeMap<AccountName, Generation>>,
    /// By the first digit of the status.
    requests: [Counter; 6],
    numbers: Option<PrometheusHandle>,
}

const ENDED: &str = "the grant was ended here";
const REQUESTS: &str = "mac_gateway_requests_total";

/// In seconds: from a step of a store near by to a token endpoint that hardly answers.
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

impl Feed {
    pub(crate) fn new() -> Self {
        // Buckets, which instances can be added up by, as quantiles cannot.
        let numbers = PrometheusBuilder::new().set_buckets(&BUCKETS);
        let numbers = numbers.and_then(PrometheusBuilder::install_recorder).ok();
        describe_counter!(
            REQUESTS,
            "Requests to the gateway, by the class of the status that the caller got"
        );
        let of = |status| counter!(REQUESTS, "status" => status);
        Self {
            told: broadcast::Sender::new(BEHIND),
            history: Mutex::default(),
            owed: Mutex::default(),
            requests: ["other", "1xx", "2xx", "3xx", "4xx", "5xx"].map(of),
            numbers,
        }
    }

    /// Counts a request.
    pub(crate) fn count(&self, outcome: Outcome) {
        let class = usize::from(outcome.status.as_u16() / 100);
        let [other, ..] = &self.requests;
        self.requests.get(class).unwrap_or(other).increment(1);
        self.minute(|minute| {
            if outcome.sent {
                minute.requests += 1;
            } else {
                minute.not_sent += 1;
            }
            minute.resent += u64::from(outcome.resent);
            minute.refusals += u64::from(outcome.refused);
        });
    }

    /// Tells of events until the accounts have no more, or until the end, and then those that are
    /// there already.
    pub(crate) async fn follow(
        self: Arc<Self>,
        mut events: Events<AccountEvent>,
        end: CancellationToken,
    ) {
        while let Some(Some(event)) = end.run_until_cancelled(events.next()).await {
            self.take(event);
        }
        while let Some(event) = events.try_next() {
            self.take(event);
        }
    }

    /// Accounts with tokens that the store may not have.
    pub(crate) fn owed(&self) -> Vec<(AccountName, Generation)> {
        let owed = lock(&self.owed);
        owed.iter().map(|(name, it)| (name.clone(), *it)).collect()
    }

    /// Tells of the end of an account that is not open here, and so does not tell by itself.
    pub(super) fn tell_revoked(&self, account: &AccountName, generation: Generation) {
        let told = Told {
            account: Some(account.as_str().to_owned()),
            kind: "revoked",
            generation: Some(generation.number()),
            at: SystemClock.now().as_millis(),
            text: ENDED.to_owned(),
        };
        let _ = self.told.send(Arc::new(told));
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<Told>> {
        self.told.subscribe()
    }

    pub(super) fn history(&self) -> Vec<Minute> {
        lock(&self.history).hour(SystemClock.now())
    }

    pub(super) fn numbers(&self) -> Option<PrometheusHandle> {
        self.numbers.clone()
    }

    fn minute(&self, change: impl FnOnce(&mut Minute)) {
        change(lock(&self.history).minute(SystemClock.now()));
    }

    fn take(&self, happened: AccountEvent) {
        let AccountEvent { account, event, .. } = happened;
        match &event {
            Event::Refreshed { .. } => self.minute(|minute| minute.refreshes += 1),
            Event::RefreshFailed { .. } | Event::InDoubt { .. } => {
                self.minute(|minute| minute.refresh_failures += 1);
            }
            _ => {}
        }
        if let Some(account) = &account {
            self.keep_account_of(account, &event);
        }
        let told = told(account, &event);
        // Perhaps nobody listens.
        let _ = self.told.send(Arc::new(told));
    }

    fn keep_account_of(&self, account: &AccountName, event: &Event) {
        let mut owed = lock(&self.owed);
        match event {
            Event::CommitDelayed { generation, .. } => {
                owed.insert(account.clone(), *generation);
            }
            Event::Refreshed { generation, .. }
            | Event::Adopted { generation, .. }
            | Event::Authorized { generation, .. }
            | Event::Revoked { generation, .. }
                if owed.get(account).is_some_and(|owed| owed <= generation) =>
            {
                owed.remove(account);
            }
            _ => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn told(account: Option<AccountName>, event: &Event) -> Told {
    let (generation, text) = match event {
        Event::Refreshed { generation, .. } => (Some(*generation), "new tokens sign".to_owned()),
        Event::Adopted { generation, .. } => {
            let text = "a newer credential was found in the store";
            (Some(*generation), text.to_owned())
        }
        Event::Authorized { generation, .. } => {
            (Some(*generation), "a user authorized it".to_owned())
        }
        Event::RefreshFailed {
            generation, error, ..
        } => {
            let cause = error.source().map(|cause| format!(": {cause}"));
            let text = format!("{error}{}", cause.unwrap_or_default());
            (Some(*generation), text)
        }
        Event::InDoubt {
            generation, why, ..
        } => (Some(*generation), why.clone()),
        Event::ReauthorizationRequired { may_recover, .. } => {
            let text = if *may_recover {
                "the refresh token may be spent: unless it comes right by itself, the user must authorize again"
            } else {
                "the refresh token is of no use: the user must authorize again"
            };
            (None, text.to_owned())
        }
        Event::RejectedFresh { generation, .. } => {
            let text = "the API refused a credential that is new: refreshing cannot fix that";
            (Some(*generation), text.to_owned())
        }
        Event::CommitDelayed { generation, .. } => {
            let text = "the store could not take new tokens yet: do not kill this process now";
            (Some(*generation), text.to_owned())
        }
        Event::ClockCorrected { offset_secs, .. } => {
            (None, format!("the API's clock is {offset_secs} s ahead"))
        }
        Event::Revoked { generation, .. } => (Some(*generation), ENDED.to_owned()),
        Event::Lagged { missed, .. } => (None, format!("{missed} events were missed")),
        _ => (None, "an event that this gateway does not know".to_owned()),
    };
    Told {
        account: account.map(|name| name.as_str().to_owned()),
        kind: event.as_str(),
        generation: generation.map(Generation::number),
        at: SystemClock.now().as_millis(),
        text,
    }
}
