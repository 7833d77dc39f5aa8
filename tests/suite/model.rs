//! Fleets that live through random faults of the provider and the store, clocks that are set, and
//! callers that go away.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_core::future::BoxFuture;
use http::{StatusCode, Uri};
use tower::{Layer, ServiceExt};
use tower_mac_auth::account::{Account, InDoubtPolicy};
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::provider::xiaomi::ErrorCode;
use tower_mac_auth::store::{AccountName, Record, Status};
use tower_mac_auth::testing::{Fault, InProcess, Provider, TestClock};
use tower_mac_auth::token::{Connection, TokenEndpoint, TokenSet, Transport, TransportError};

use crate::faulty::{Faulty, How, Step};
use crate::world::{HOST, HOUR, get, record};

const GRACE: Duration = Duration::from_secs(120);

fn one_of<T: Clone>(choices: &[T]) -> T {
    choices[fastrand::usize(..choices.len())].clone()
}

fn up_to(secs: u64) -> Duration {
    Duration::from_millis(fastrand::u64(..secs * 1000))
}

/// Connects slowly now and then, longer than a lease, while it is told to.
struct Slow(InProcess, Arc<AtomicBool>);

impl Transport for Slow {
    fn connect<'a>(
        &'a self,
        url: &'a Uri,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, TransportError>> {
        Box::pin(async move {
            if self.1.load(Ordering::Relaxed) && fastrand::u8(..4) == 0 {
                tokio::time::sleep(up_to(70)).await;
            }
            self.0.connect(url).await
        })
    }
}

fn endpoint(provider: &Provider, slow: &Arc<AtomicBool>) -> TokenEndpoint {
    TokenEndpoint::builder(provider.xiaomi())
        .requests_per_second(None)
        .transport(Slow(provider.transport(), Arc::clone(slow)))
        .build()
        .unwrap()
}

struct Member {
    account: Account,
    clock: TestClock,
}

struct Model {
    provider: Provider,
    tokens: TokenSet,
    slow: Arc<AtomicBool>,
    store: Faulty,
    store_clock: TestClock,
    members: Vec<Member>,
    policy: InDoubtPolicy,
    /// No answer is lost and no clock set: then no account may end in doubt.
    gentle: bool,
    revoked: bool,
}

impl Model {
    async fn new() -> Self {
        let policy = one_of(&[
            InDoubtPolicy::Never,
            InDoubtPolicy::HoldUntilDead,
            InDoubtPolicy::ReplayWithin(GRACE),
        ]);
        let true_clock = TestClock::new();
        let provider = Provider::builder()
            .clock(true_clock)
            .lifetime(one_of(&[Duration::from_secs(90), HOUR, HOUR * 87_600]))
            .reuse_kills_grant(policy == InDoubtPolicy::Never && fastrand::bool())
            .rotation_kills_access_token(fastrand::bool())
            .build();
        let store_clock = TestClock::new();
        store_clock.advance(up_to(86_400));
        let store = Faulty::new(store_clock.clone());
        let tokens = provider.issue(HOUR);
        let slow = Arc::new(AtomicBool::new(true));
        let mut members = Vec::new();
        for _ in 0..fastrand::usize(1..=3) {
            let clock = TestClock::new();
            let account = Account::builder(endpoint(&provider, &slow))
                .clock(clock.clone())
                .store(store.clone())
                .tokens(tokens.clone())
                .min_rotation_interval(one_of(&[Duration::ZERO, Duration::from_secs(60)]))
                .in_doubt(policy)
                .open("user")
                .await
                .unwrap();
            members.push(Member { account, clock });
        }
        let gentle = fastrand::bool();
        Self {
            provider,
            tokens,
            slow,
            store,
            store_clock,
            members,
            policy,
            gentle,
            revoked: false,
        }
    }

    fn member(&self) -> &Member {
        &self.members[fastrand::usize(..self.members.len())]
    }

    async fn serves(&self, member: &Member) -> bool {
        let layer = MacAuthLayer::new(member.account.clone())
            .allow(HOST)
            .unwrap();
        let answer = layer.layer(self.provider.api()).oneshot(get("/")).await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    fn fail_provider(&self) {
        let mut faults = vec![
            Fault::ConnectionRefused,
            Fault::Delay(up_to(15)),
            Fault::Delay(up_to(15)).consumed(),
            Fault::RateLimited { retry_after: None },
            Fault::RateLimited {
                retry_after: Some(up_to(15)),
            },
        ];
        if !self.gentle {
            faults.extend([
                Fault::Hang,
                Fault::Hang.consumed(),
                Fault::Reset,
                Fault::ConsumedThenReset,
                Fault::Empty200,
                Fault::CutShort,
                Fault::WrongAlgorithm,
                Fault::ServerError(StatusCode::BAD_GATEWAY),
                Fault::RefuseWith(ErrorCode::RefreshTokenRejected),
                Fault::RefuseWith(ErrorCode::from_code(1)),
            ]);
        }
        self.provider.fault_next(one_of(&faults));
    }

    fn fail_store(&self) {
        let step = one_of(&[
            Step::Read,
            Step::Acquire,
            Step::Intend,
            Step::Commit,
            Step::Release,
            Step::Doubt,
            Step::Reject,
            Step::Revoke,
        ]);
        let how = [How::Before, How::After, How::Hang, How::Late(up_to(40))];
        self.store.fail(step, one_of(&how));
    }

    fn set_a_clock(&self) {
        let member = self.member();
        // A store's clock that is set says nothing true about how long ago it was.
        let lying = !matches!(self.policy, InDoubtPolicy::ReplayWithin(_));
        let clock = if lying && fastrand::u8(..4) == 0 {
            &self.store_clock
        } else {
            &member.clock
        };
        let by = up_to(one_of(&[5, 120, 86_400]));
        if fastrand::bool() {
            clock.advance(by);
        } else {
            clock.set_back(by);
        }
    }

    async fn something_happens(&mut self) {
        match fastrand::u8(..20) {
            0..=6 => {
                let member = self.member();
                let patience = up_to(one_of(&[1, 30, 200]));
                let _ = tokio::time::timeout(patience, self.serves(member)).await;
            }
            7 | 8 => self.fail_provider(),
            9..=11 => self.fail_store(),
            12 | 13 => self.provider.expire_access_tokens(),
            14 if !self.gentle => self.set_a_clock(),
            15 => {
                let code = self
                    .provider
                    .authorization_code_of(&self.tokens.access_token);
                let authorize = self.member().account.authorize(code.unwrap());
                if tokio::time::timeout(up_to(60), authorize)
                    .await
                    .is_ok_and(|it| it.is_ok())
                {
                    self.revoked = false;
                }
            }
            16 if fastrand::u8(..4) == 0 => {
                self.revoked = true;
                let _ = tokio::time::timeout(up_to(60), self.member().account.revoke()).await;
            }
            17 => {
                let account = &self.member().account;
                drop(account.refresh_if_current(account.generation()));
            }
            _ => tokio::time::sleep(up_to(one_of(&[1, 60, 4_000]))).await,
        }
        self.store.take_steps();
    }

    async fn record(&self) -> Record {
        let name = AccountName::new("user").unwrap();
        record(&self.store.inner(), &name).await
    }

    fn check_presentations(&self) {
        let mut first = HashMap::new();
        for presented in self.provider.presentations() {
            let token = presented.token.expose_secret().to_owned();
            let first = *first.entry(token).or_insert(presented.at);
            let allowed = match self.policy {
                InDoubtPolicy::Never => 1,
                _ => 2,
            };
            assert!(presented.times <= allowed, "{presented:?}");
            if presented.times == 2 && matches!(self.policy, InDoubtPolicy::ReplayWithin(_)) {
                let after = presented.at.saturating_since(first);
                assert!(after <= GRACE, "{after:?} after the first: {presented:?}");
            }
        }
    }

    async fn live(mut self) {
        for _ in 0..fastrand::usize(5..60) {
            self.something_happens().await;
        }
        self.slow.store(false, Ordering::Relaxed);
        self.provider.clear_faults();
        self.store.clear_faults();
        for _ in 0..25 {
            tokio::time::sleep(Duration::from_secs(360)).await;
            for member in &self.members {
                let _ = self.serves(member).await;
            }
            self.store.take_steps();
        }
        self.check_presentations();
        let record = self.record().await;
        match record.status {
            Status::Leased | Status::Sending => panic!("left halfway: {record:?}"),
            Status::InDoubt => assert!(!self.gentle, "{record:?}"),
            Status::Revoked => assert!(self.revoked || !self.gentle, "{record:?}"),
            Status::Active => {
                for member in &self.members {
                    assert!(self.serves(member).await, "{record:?}");
                }
            }
        }
        for member in &self.members {
            let shutdown = tokio::time::timeout(HOUR, member.account.shutdown());
            assert!(shutdown.await.is_ok(), "shutdown hangs");
        }
        tokio::task::yield_now().await;
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        assert_eq!(tasks, 0, "left over");
    }
}

#[test]
fn whatever_happens_no_token_is_presented_twice_and_every_account_lives_on() {
    let seeds = |name, default| {
        std::env::var(name).map_or(default, |text: String| text.parse::<u64>().unwrap())
    };
    let from = seeds("MODEL_FROM", 0);
    for seed in from..from + seeds("MODEL_SEEDS", 80) {
        let lived = std::panic::catch_unwind(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            fastrand::seed(seed);
            runtime.block_on(async { Model::new().await.live().await });
        });
        assert!(lived.is_ok(), "seed {seed}");
    }
}
