//! A fleet of processes on one store, and everything that can happen to it, by the choice of a seed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::task::JoinSet;
use tower_mac_auth::store::Status;
use tower_mac_auth::testing::{Fault, Presentation, Presented};

use crate::backend::{Backend, Kind};
use crate::child::{Child, Order, Outcome};
use crate::report::{Tally, tell};
use crate::scene::{ANSWER_TIMEOUT, Scene, speaks_oauth2};
use crate::stops::LEASE;

const PROCESSES: usize = 8;
/// The first of them is hot: see the worker.
const ACCOUNTS: usize = 8;
/// Longer than every lease and every intent.
const PAUSE: Duration = LEASE.saturating_add(ANSWER_TIMEOUT).saturating_add(LEASE);

pub async fn short(backend: Backend) {
    let seed = std::env::var("FLEET_SEED").map_or_else(
        |_| fastrand::u64(..),
        |seed| seed.parse().expect("FLEET_SEED is a number"),
    );
    let tally = round(&backend, seed, Duration::from_secs(8), false).await;
    tell(format_args!("{}\n{}", Tally::HEAD, tally.row(backend.kind)));
}

/// One round: faults for so long, then the account of what they did. `may_present_again`: under the
/// default policy, so that a token in doubt may be presented once more, and no third time.
pub async fn round(backend: &Backend, seed: u64, time: Duration, may_present_again: bool) -> Tally {
    let dialect = if speaks_oauth2() { "oauth2" } else { "xiaomi" };
    let kind = backend.kind;
    tell(format_args!(
        "{kind:?}: FLEET_DIALECT={dialect} FLEET_SEED={seed}"
    ));
    let mut random = fastrand::Rng::with_seed(seed);
    let accounts = (0..ACCOUNTS).map(|number| format!("{seed}-{number}"));
    let mut scene = Scene::with(&backend.spec, accounts.collect(), |provider| {
        provider.reuse_kills_grant(!may_present_again)
    })
    .await;
    scene.may_present_again = may_present_again;
    scene.journal = random.bool().then(|| backend.journal.clone());
    let scene = Arc::new(scene);
    let mut storm = Storm {
        random,
        fleet: Vec::new(),
        paused: Vec::new(),
        healing: HashSet::new(),
        healers: JoinSet::new(),
        losses: Vec::new(),
        tally: Tally::default(),
        scene: Arc::clone(&scene),
    };
    for _ in 0..PROCESSES {
        let child = storm.start().await;
        storm.fleet.push(child);
    }
    let mut crashes = JoinSet::new();
    let (began, mut restart_at) = (now(), time / 3);
    while began.elapsed() < time {
        if began.elapsed() >= restart_at {
            restart_at += Duration::from_secs(20);
            if backend.kind != Kind::file {
                storm.tally.store_restarts += 1;
                crashes.spawn(backend.crash());
            }
        }
        storm.happens().await;
        let pause = storm.random.u64(5..40);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    let left = scene.provider.clear_faults().len();
    let met = storm.losses.len() - left;
    storm.tally.faults = storm.losses[..met].iter().filter(|lost| **lost).count();
    crashes.join_all().await;
    storm.end().await
}

#[expect(clippy::disallowed_methods, reason = "how long the storm lasts")]
fn now() -> Instant {
    Instant::now()
}

struct Storm {
    scene: Arc<Scene>,
    random: fastrand::Rng,
    fleet: Vec<Child>,
    /// Which are stopped, and since when.
    paused: Vec<(usize, Instant)>,
    /// Whose users are about to agree anew.
    healing: HashSet<String>,
    healers: JoinSet<String>,
    /// Whether each fault so far loses the reply, or delays it past all patience.
    losses: Vec<bool>,
    tally: Tally,
}

impl Storm {
    async fn start(&self) -> Child {
        let mut child = Child::start(&self.scene.orders(None));
        child.tell(&Order::Storm).await;
        child
    }

    /// One thing.
    async fn happens(&mut self) {
        let (index, account) = (
            self.random.usize(..PROCESSES),
            self.random.usize(..ACCOUNTS),
        );
        let (fault, loses) = self.fault();
        let provider = &self.scene.provider;
        match self.random.u32(..1000) {
            0..150 => provider.expire_access_tokens(),
            150..500 => self.refuse(account).await,
            500..560 => {
                self.losses.push(loses);
                provider.fault_next(fault);
            }
            560..590 => self.replace(index).await,
            590..605 if self.paused.len() < 2 && !self.is_paused(index) => {
                self.fleet[index].pause().await;
                self.paused.push((index, now()));
                self.tally.pauses += 1;
            }
            _ => self.heal(account).await,
        }
        self.resume();
    }

    /// A fault, and whether the token is consumed and the client does not learn of it in time.
    fn fault(&mut self) -> (Fault, bool) {
        let delay = Duration::from_millis(self.random.u64(10..3000));
        match self.random.u32(..8) {
            0 => (Fault::Reset, false),
            1 | 2 => (Fault::ConsumedThenReset, true),
            3 => (Fault::Hang, false),
            4 => (Fault::Hang.consumed(), true),
            5 => (Fault::ServerError(StatusCode::BAD_GATEWAY).consumed(), true),
            6 => (Fault::Delay(delay), false),
            _ => (Fault::Delay(delay).consumed(), delay > ANSWER_TIMEOUT),
        }
    }

    /// Ends the access token of one account.
    async fn refuse(&self, account: usize) {
        let name = &self.scene.accounts[account];
        if let Some(record) = self.scene.try_record(name).await
            && let Some(access) = &record.grant().unwrap().access
        {
            self.scene
                .provider
                .expire_access_token(&access.access_token);
        }
    }

    async fn replace(&mut self, index: usize) {
        self.paused.retain(|(paused, _)| *paused != index);
        let fresh = self.start().await;
        std::mem::replace(&mut self.fleet[index], fresh)
            .kill()
            .await;
        self.tally.kills += 1;
    }

    fn is_paused(&self, index: usize) -> bool {
        self.paused.iter().any(|(paused, _)| *paused == index)
    }

    fn resume(&mut self) {
        let fleet = &self.fleet;
        self.paused.retain(|(index, since)| {
            let wait = since.elapsed() < PAUSE;
            if !wait {
                fleet[*index].resume();
            }
            wait
        });
    }

    /// If the account can go on no more, its user agrees anew.
    async fn heal(&mut self, account: usize) {
        while let Some(healed) = self.healers.try_join_next() {
            self.healing.remove(&healed.unwrap());
        }
        let name = self.scene.accounts[account].clone();
        if self.healing.contains(&name) {
            return;
        }
        let Some(record) = self.scene.try_record(&name).await else {
            return;
        };
        let ended = if self.scene.may_present_again {
            Status::Revoked
        } else {
            Status::InDoubt
        };
        if record.status == ended {
            self.tally.authorizations += 1;
            self.healing.insert(name.clone());
            let scene = Arc::clone(&self.scene);
            self.healers.spawn(async move {
                // If it fails, the account is found in doubt again.
                let _ = scene.authorize(&name).await;
                name
            });
        }
        // Nothing ends a grant here but a token that is presented twice.
        let twice = || self.scene.provider.presented_twice();
        let lost = record.status == Status::Revoked && !self.scene.may_present_again;
        assert!(!lost, "{:#?}", twice());
    }

    /// Kills them all. What is left is for a process that was not there.
    async fn end(mut self) -> Tally {
        for child in self.fleet {
            child.kill().await;
        }
        while self.healers.join_next().await.is_some() {}
        let scene = self.scene;
        scene.provider.expire_access_tokens();
        let mut fresh = scene.worker().await;
        for account in &scene.accounts {
            let outcome = fresh.get(account).await;
            if scene.may_present_again && outcome != Outcome::Served {
                // Its one more presentation is to come, or has been refused.
                self.tally.in_doubt += 1;
            } else if outcome == Outcome::Refresh("InDoubt".to_owned()) {
                let record = scene.record(account).await;
                assert_eq!(record.status, Status::InDoubt, "{account}");
                self.tally.in_doubt += 1;
            } else {
                scene.comes_alive(&mut fresh, account).await;
                self.tally.live += 1;
            }
        }
        let presentations = scene.provider.presentations();
        let twice = scene.provider.presented_twice();
        self.tally.presentations = presentations.len();
        self.tally.rotations = presentations
            .iter()
            .filter(|presentation| presentation.outcome == Presented::Rotated)
            .count();
        self.tally.twice = twice.len();
        if scene.may_present_again {
            for again in &twice {
                assert_late(again, &presentations);
            }
        } else {
            assert!(twice.is_empty(), "{twice:#?}");
        }
        self.tally
    }
}

/// A second presentation, and no third, comes a minute after the first.
fn assert_late(again: &Presentation, all: &[Presentation]) {
    let first = all.iter().find(|first| first.token == again.token).unwrap();
    let after = again.at.saturating_since(first.at);
    // What is between the intent, from which the minute is counted, and the arrival.
    let minute = Duration::from_secs(60).checked_sub(ANSWER_TIMEOUT).unwrap();
    assert!(again.times == 2 && after >= minute, "{after:?}: {again:#?}");
}
