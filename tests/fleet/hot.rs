//! One account, many processes that all find out at once.

use std::time::Duration;

use tower_mac_auth::testing::Fault;

use crate::backend::Backend;
use crate::child::{Order, Outcome};
use crate::report::tell;
use crate::scene::Scene;

const PROCESSES: usize = 8;
const COPIES: usize = 4;
/// How long the token endpoint takes.
const LATENCY: Duration = Duration::from_millis(400);

pub async fn run(backend: Backend, rounds: usize) {
    let account = "hot".to_owned();
    let mut scene = Scene::new(&backend.spec, vec![account.clone()]).await;
    // Well above the latency on a busy machine: no fault is wanted here.
    scene.answer_timeout = Duration::from_secs(20);
    let mut fleet = Vec::new();
    for _ in 0..PROCESSES {
        fleet.push(scene.worker().await);
    }
    // Connections open first, so that what is measured is the wait.
    for child in &mut fleet {
        assert_eq!(child.get(&account).await, Outcome::Served);
    }
    scene.provider.fault_always(Fault::Delay(LATENCY));
    let mut took = Vec::new();
    for round in 1..=rounds {
        scene.provider.expire_access_tokens();
        let copies = COPIES;
        for child in &mut fleet {
            let account = account.clone();
            child.tell(&Order::Get { account, copies }).await;
        }
        for child in &mut fleet {
            for answer in child.answers().await {
                assert_eq!(answer.outcome, Outcome::Served);
                took.push(answer.took);
            }
        }
        assert_eq!(scene.provider.presentations().len(), round);
        let generation = scene.record(&account).await.generation.number();
        assert_eq!(generation, round as u64 + 1);
    }
    assert!(scene.provider.presented_twice().is_empty());
    took.sort_unstable();
    let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
    tell(format_args!(
        "{:?}: {rounds} rotations, {} waiters, the endpoint takes {LATENCY:?}: median {median:.0?}, worst {worst:.0?}",
        backend.kind,
        took.len(),
    ));
    let strict = LATENCY * 3 / 2 + Duration::from_millis(50);
    let quiet = std::env::var("FLEET_STRICT").is_ok();
    let bound = if quiet { strict } else { strict * 4 };
    assert!(worst <= bound, "{worst:?}");
}
