//! The store is gone under load.

use std::time::Duration;

use crate::backend::Backend;
use crate::child::{Child, Order, Outcome};
use crate::report::tell;
use crate::scene::Scene;

const PROCESSES: usize = 4;

/// What requests take.
struct Latency {
    count: usize,
    median: Duration,
    p99: Duration,
}

pub async fn run(backend: Backend, time: Duration) {
    let account = "live".to_owned();
    let scene = Scene::new(&backend.spec, vec![account.clone()]).await;
    let mut fleet = Vec::new();
    for _ in 0..PROCESSES {
        fleet.push(scene.worker().await);
    }
    load(&mut fleet, &account, time / 4).await;
    let before = load(&mut fleet, &account, time).await;
    backend.stop().await;
    let gone = load(&mut fleet, &account, time).await;
    // Without the store nobody can know who else presents the token: nobody does.
    scene.provider.expire_access_tokens();
    let refused = fleet[0].get(&account).await;
    assert_eq!(refused, Outcome::Refresh("Store".to_owned()));
    assert!(scene.provider.presentations().is_empty());
    backend.start().await;
    for (what, latency) in [("before", &before), ("gone", &gone)] {
        tell(format_args!(
            "{:?}, the store {what}: {} requests, p50 {:.2?}, p99 {:.2?}",
            backend.kind, latency.count, latency.median, latency.p99,
        ));
    }
    // Requests would wait for seconds if they asked a store that is gone.
    assert!(gone.p99 < before.p99 * 5 + Duration::from_millis(100));
    for child in &mut fleet {
        scene.comes_alive(child, &account).await;
    }
    assert_eq!(scene.provider.presentations().len(), 1);
}

/// A worker that says nothing for longer is taken for dead.
const BREATH: Duration = Duration::from_secs(10);

/// All of them are served.
async fn load(fleet: &mut [Child], account: &str, time: Duration) -> Latency {
    let (mut took, mut left) = (Vec::new(), time);
    while !left.is_zero() {
        let time = left.min(BREATH);
        left -= time;
        for child in &mut *fleet {
            let account = account.to_owned();
            child.tell(&Order::Load { account, time }).await;
        }
        for child in &mut *fleet {
            for answer in child.answers().await {
                assert_eq!(answer.outcome, Outcome::Served);
                took.push(answer.took);
            }
        }
    }
    took.sort_unstable();
    Latency {
        count: took.len(),
        median: took[took.len() / 2],
        p99: took[took.len() * 99 / 100],
    }
}
