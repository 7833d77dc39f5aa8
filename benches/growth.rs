//! How the cost grows with the work: signing by the pairs of a query, finding an account by how many are
//! open, a storm by the requests that are refused at once, and a rotation by the processes that want it.
//! Prints each point and the slope of
//! all on logarithmic scales (1: the cost grows as the work does), and writes `growth.svg` beside this.
//!
//! A "process" is a store opened apart on one directory: locks belong to open files, so they keep each
//! other out as processes do. `cargo bench --manifest-path benches/Cargo.toml --bench growth`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench may stop, tells, and takes the time"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::Empty;
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt};
use tower_mac_auth::account::{Account, Accounts};
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::provider::xiaomi::SigningRules;
use tower_mac_auth::store::FileStore;
use tower_mac_auth::testing::Provider;
use tower_mac_auth::token::TokenSet;

mod common;

const HOUR: Duration = Duration::from_secs(3600);

fn main() {
    let test = std::env::args().any(|argument| argument == "--test");
    let most = |sizes: &[usize]| sizes[..if test { 2 } else { sizes.len() }].to_vec();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let series = [
        Series::measure(
            "a signature, by the pairs of its query",
            &most(&[1, 10, 100, 1000]),
            sign,
        ),
        Series::measure(
            "an account by its name, by how many are open",
            &most(&[1, 100, 10_000, 100_000, 1_000_000]),
            |count| runtime.block_on(find(count)),
        ),
        Series::measure(
            "a storm, by the requests that are refused at once",
            &most(&[1, 10, 100, 1000, 10_000, 100_000]),
            |count| runtime.block_on(storm(count)),
        ),
        Series::measure(
            "a rotation, by the processes that want it",
            &most(&[1, 2, 4, 8, 16, 32]),
            |count| runtime.block_on(processes(count)),
        ),
    ];
    for series in &series {
        println!("{}", series.told());
    }
    if !test {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/growth.svg");
        std::fs::write(path, plot(&series)).unwrap();
    }
}

/// Points of work and of the seconds it took.
struct Series {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

impl Series {
    /// The median of five for each size.
    #[expect(clippy::cast_precision_loss, reason = "at most a million")]
    fn measure(name: &'static str, sizes: &[usize], once: impl Fn(usize) -> Duration) -> Self {
        let point = |size: &usize| {
            let mut times: Vec<_> = (0..5).map(|_| once(*size)).collect();
            times.sort();
            (*size as f64, times[2].as_secs_f64())
        };
        let points = sizes.iter().map(point).collect();
        Self { name, points }
    }

    /// By least squares on logarithmic scales.
    #[expect(clippy::cast_precision_loss, reason = "a few points")]
    fn slope(&self) -> f64 {
        let logs: Vec<_> = self.points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
        let mean =
            |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / logs.len() as f64;
        let (x, y) = (mean(|it| it.0), mean(|it| it.1));
        let above: f64 = logs.iter().map(|it| (it.0 - x) * (it.1 - y)).sum();
        let below: f64 = logs.iter().map(|it| (it.0 - x).powi(2)).sum();
        above / below
    }

    fn told(&self) -> String {
        let mut text = format!("{}: slope {:.2};", self.name, self.slope());
        for (size, secs) in &self.points {
            write!(text, " {size}: {:.2} us;", secs * 1e6).unwrap();
        }
        text
    }
}

/// One signature of a query with so many pairs, as they come from a caller.
fn sign(pairs: usize) -> Duration {
    let query: Vec<_> = (0..pairs)
        .map(|pair| format!("name{pair}=value-{pair}"))
        .collect();
    let uri: Uri = format!("https://api.example/a?{}", query.join("&"))
        .parse()
        .unwrap();
    let (rules, credential) = (SigningRules::new(), common::credential());
    let (mut target, mut headers) = (uri.clone(), HeaderMap::new());
    let rounds = u32::try_from(20_000 / (10 + pairs)).unwrap();
    let began = Instant::now();
    for _ in 0..rounds {
        common::with_credentials(
            black_box(&rules),
            black_box(&credential),
            black_box(&uri),
            &mut target,
            &mut headers,
        );
    }
    began.elapsed() / rounds
}

/// One of so many accounts, in random order.
async fn find(count: usize) -> Duration {
    let provider = Provider::new();
    let accounts = Accounts::builder(provider.endpoint()).capacity(2 * count);
    let accounts = accounts.build();
    let name = |number: usize| format!("user-{number:07}");
    for number in 0..count {
        let tokens = TokenSet::mac(common::TOKEN, common::MAC_KEY, common::TOKEN, HOUR);
        accounts.install(&name(number), tokens).await.unwrap();
    }
    let names: Vec<_> = (0..100_000)
        .map(|_| name(fastrand::usize(..count)))
        .collect();
    let began = Instant::now();
    for name in &names {
        assert!(black_box(accounts.peek(black_box(name))).is_some());
    }
    began.elapsed() / u32::try_from(names.len()).unwrap()
}

/// From the end of the token until all requests have succeeded.
async fn storm(count: usize) -> Duration {
    let provider = Provider::new();
    let account = Account::builder(provider.endpoint()).tokens(provider.issue(HOUR));
    let account = account.open("bench").await.unwrap();
    let layer = MacAuthLayer::new(account.clone())
        .allow("api.example")
        .unwrap();
    let client = layer.layer(provider.api());
    provider.expire_access_tokens();
    let began = Instant::now();
    let mut requests = JoinSet::new();
    for _ in 0..count {
        let request = Request::get("https://api.example/user/profile").body(Empty::<Bytes>::new());
        requests.spawn(client.clone().oneshot(request.unwrap()));
    }
    while let Some(response) = requests.join_next().await {
        assert_eq!(response.unwrap().unwrap().status(), StatusCode::OK);
    }
    let took = began.elapsed();
    assert_eq!(provider.presentations().len(), 1);
    account.shutdown().await;
    took
}

/// From the end of the token until each process has had a request succeed.
async fn processes(count: usize) -> Duration {
    let provider = Provider::new();
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut clients = Vec::new();
    let mut accounts = Vec::new();
    for number in 0..count {
        let store = FileStore::open(scratch.path()).await.unwrap();
        let mut account = Account::builder(provider.endpoint()).store(store);
        if number == 0 {
            account = account.tokens(provider.issue(HOUR));
        }
        let account = account.open("bench").await.unwrap();
        let layer = MacAuthLayer::new(account.clone())
            .allow("api.example")
            .unwrap();
        clients.push(layer.layer(provider.api()));
        accounts.push(account);
    }
    provider.expire_access_tokens();
    let began = Instant::now();
    let mut requests = JoinSet::new();
    for client in clients {
        let request = Request::get("https://api.example/user/profile").body(Empty::<Bytes>::new());
        requests.spawn(client.oneshot(request.unwrap()));
    }
    while let Some(response) = requests.join_next().await {
        assert_eq!(response.unwrap().unwrap().status(), StatusCode::OK);
    }
    let took = began.elapsed();
    assert_eq!(provider.presentations().len(), 1);
    for account in accounts {
        account.shutdown().await;
    }
    took
}

/// One frame for each series, side by side, both scales logarithmic.
fn plot(series: &[Series]) -> String {
    let width = 15 + 315 * series.len();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} 300\" role=\"img\" \
                   font-family=\"sans-serif\" font-size=\"11\" fill=\"#5b6068\">\
                   <title>How the cost grows with the work</title>"
    );
    for (place, one) in (0..).zip(series) {
        let left = 50.0 + 315.0 * f64::from(place);
        let range = |of: fn(&(f64, f64)) -> f64| {
            let logs = one.points.iter().map(of).map(f64::ln);
            logs.fold((f64::MAX, f64::MIN), |(low, high), log| {
                (low.min(log), high.max(log))
            })
        };
        let (x, y) = (range(|it| it.0), range(|it| it.1));
        let at = |value: f64, (low, high): (f64, f64)| (value.ln() - low) / (high - low);
        let points: Vec<_> = one
            .points
            .iter()
            .map(|(size, secs)| (left + 240.0 * at(*size, x), 240.0 - 180.0 * at(*secs, y)))
            .collect();
        let line: Vec<_> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        write!(
            svg,
            "<text x=\"{left}\" y=\"20\">{}</text><text x=\"{left}\" y=\"36\">slope {:.2}</text>\
             <polyline points=\"{}\" fill=\"none\" stroke=\"#1f5fbf\" stroke-width=\"2\"/>",
            one.name,
            one.slope(),
            line.join(" ")
        )
        .unwrap();
        for ((x, y), (size, secs)) in points.iter().zip(&one.points) {
            write!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#1f5fbf\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
                 <text x=\"{x:.1}\" y=\"265\" text-anchor=\"middle\">{}</text>",
                y - 8.0,
                short(*secs),
                work(*size)
            )
            .unwrap();
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn work(size: f64) -> String {
    match size {
        1e6.. => format!("{}M", size / 1e6),
        1e4.. => format!("{}k", size / 1e3),
        _ => size.to_string(),
    }
}

fn short(secs: f64) -> String {
    match secs {
        1e-3.. => format!("{:.1} ms", secs * 1e3),
        1e-6.. => format!("{:.1} us", secs * 1e6),
        _ => format!("{:.0} ns", secs * 1e9),
    }
}
