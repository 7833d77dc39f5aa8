//! Remembering nonces: what one costs among 10,000, a million and 10 million that are remembered, and
//! the memory of each, which is printed.
//!
//! `cargo bench --manifest-path benches/Cargo.toml --bench nonces`. With `-- --test` a hundredth of
//! them will do.

#![expect(clippy::unwrap_used, reason = "a bench may stop")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use tower_mac_auth::Timestamp;
use tower_mac_auth::verify::{MacAuthorization, ReplayGuard};

const WINDOW: Duration = Duration::from_secs(600);
const MINUTE: u64 = 24_000_000;
/// Nonces of one sample.
const BATCH: usize = 10_000;

fn header(number: usize) -> MacAuthorization {
    // Over the ten minutes of the window.
    let minute = MINUTE + number as u64 % 10;
    format!(
        "MAC access_token=\"T\",nonce=\"{number}:{minute}\",mac=\"9uvros2WcjMaJ3pH25eQZU9p5pA=\""
    )
    .parse()
    .unwrap()
}

const fn now() -> Timestamp {
    Timestamp::from_secs(60 * (MINUTE + 5))
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
fn admit(guard: &ReplayGuard, headers: &[MacAuthorization]) -> Duration {
    let began = Instant::now();
    for header in headers {
        guard.admit(black_box(header), now()).unwrap();
    }
    began.elapsed()
}

fn all(criterion: &mut Criterion) {
    let tried = std::env::args().any(|argument| argument == "--test");
    let mut group = criterion.benchmark_group("nonces");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(BATCH as u64));
    let guard = ReplayGuard::new(WINDOW, 100_000_000);
    let mut made = 0;
    let mut more = |count: usize| -> Vec<MacAuthorization> {
        let from = made;
        made += count;
        (from..made).map(header).collect()
    };
    let (mut longest, mut held, mut counted) = (Duration::ZERO, 0, 0);
    for remembered in [10_000, 1_000_000, 10_000_000] {
        let remembered = if tried { remembered / 100 } else { remembered };
        while guard.len() < remembered {
            let headers = more(BATCH.min(remembered - guard.len()));
            let admitted = || longest = longest.max(admit(&guard, &headers));
            held += allocation_counter::measure(admitted).bytes_current;
            counted += headers.len();
        }
        #[expect(clippy::cast_precision_loss, reason = "printed with one digit")]
        let each = held as f64 / counted as f64;
        println!("{remembered} remembered: {each:.1} bytes each, {longest:?} for {BATCH} at most");
        group.bench_function(BenchmarkId::from_parameter(remembered), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| admit(&guard, &more(BATCH))).sum());
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = all
}
criterion_main!(benches);
