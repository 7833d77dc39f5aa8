//! What the rounds of a storm came to, and the long form of all tests.

use std::time::{Duration, Instant};

use crate::backend::{Backend, Kind};
use crate::{crash_points, gone, hot, storm};

/// Says something whether or not the test fails: the harness holds back what is printed.
pub fn tell(line: std::fmt::Arguments<'_>) {
    use std::io::Write as _;

    let _ = writeln!(std::io::stderr(), "{line}");
}

/// What happened, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub kills: usize,
    pub pauses: usize,
    pub faults: usize,
    pub store_restarts: usize,
    pub authorizations: usize,
    pub presentations: usize,
    pub rotations: usize,
    pub twice: usize,
    pub live: usize,
    pub in_doubt: usize,
}

impl Tally {
    pub const HEAD: &str = "store    | rotations | kills | pauses | replies lost | store restarts | authorized anew | presentations | presented twice | accounts live | in doubt";

    pub fn row(&self, kind: Kind) -> String {
        format!(
            "{:8} | {:9} | {:5} | {:6} | {:12} | {:14} | {:15} | {:13} | {:15} | {:13} | {:8}",
            format!("{kind:?}"),
            self.rotations,
            self.kills,
            self.pauses,
            self.faults,
            self.store_restarts,
            self.authorizations,
            self.presentations,
            self.twice,
            self.live,
            self.in_doubt,
        )
    }

    fn add(&mut self, other: Self) {
        let Self {
            kills,
            pauses,
            faults,
            store_restarts,
            authorizations,
            presentations,
            rotations,
            twice,
            live,
            in_doubt,
        } = other;
        self.kills += kills;
        self.pauses += pauses;
        self.faults += faults;
        self.store_restarts += store_restarts;
        self.authorizations += authorizations;
        self.presentations += presentations;
        self.rotations += rotations;
        self.twice += twice;
        self.live += live;
        self.in_doubt += in_doubt;
    }
}

/// A round is as long as the provider's memory of it may grow.
const ROUND: Duration = Duration::from_secs(30);
/// Long enough for tokens in doubt to be presented again.
const LONG_ROUND: Duration = Duration::from_secs(150);

/// How long the store is away.
const GONE: Duration = Duration::from_secs(60);

/// So many minutes of storm for each store, and the other tests before it. With
/// `FLEET_POLICY=hold`, the storm alone, under the default policy for tokens in doubt.
#[expect(clippy::disallowed_methods, reason = "how long it lasts")]
pub async fn soak() {
    let minutes = std::env::var("FLEET_MINUTES").expect("scripts/soak sets it");
    let time = Duration::from_secs(60 * minutes.parse::<u64>().expect("minutes"));
    let mut rows = Vec::new();
    let hold = std::env::var("FLEET_POLICY").is_ok_and(|policy| policy == "hold");
    let (parts, length) = if hold { (0, LONG_ROUND) } else { (3, ROUND) };
    for kind in [Kind::file, Kind::postgres, Kind::redis] {
        for part in 0..parts {
            let backend = Backend::new(kind).await;
            match part {
                0 => crash_points::run(backend).await,
                1 => hot::run(backend, 25).await,
                _ => gone::run(backend, GONE).await,
            }
        }
        let backend = Backend::new(kind).await;
        let (began, mut tally) = (Instant::now(), Tally::default());
        while began.elapsed() < time {
            let round = length.min(time);
            tally.add(storm::round(&backend, fastrand::u64(..), round, hold).await);
        }
        rows.push(tally.row(kind));
    }
    tell(format_args!("\n{}\n{}", Tally::HEAD, rows.join("\n")));
}
