use serde::Serialize;
use tower_mac_auth::Timestamp;

const MINUTES: usize = 60;

/// One minute, in counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Minute {
    /// When it began, in seconds since 1970.
    pub(super) at: u64,
    /// Requests that the API answered.
    pub(super) requests: u64,
    /// Of these, those that were signed anew and sent again.
    pub(super) resent: u64,
    /// Of these, those to which the API refused the credential in the end.
    pub(super) refusals: u64,
    /// Requests that were not sent, or not answered.
    pub(super) not_sent: u64,
    /// Refreshes that brought new tokens.
    pub(super) refreshes: u64,
    /// Refreshes that brought none.
    pub(super) refresh_failures: u64,
}

/// The last hour. It takes the same room however much happens.
#[derive(Debug)]
pub(super) struct History([Minute; MINUTES]);

impl Default for History {
    fn default() -> Self {
        Self([Minute::default(); MINUTES])
    }
}

impl History {
    /// The minute of `now`.
    pub(super) fn minute(&mut self, now: Timestamp) -> &mut Minute {
        let number = now.as_secs() / 60;
        let at = number * 60;
        // It is less than 60.
        let place = usize::try_from(number % MINUTES as u64).unwrap_or_default();
        let minute = &mut self.0[place];
        if minute.at != at {
            *minute = Minute {
                at,
                ..Minute::default()
            };
        }
        minute
    }

    /// The hour that ends with `now`, the oldest minute first.
    pub(super) fn hour(&self, now: Timestamp) -> Vec<Minute> {
        let last = now.as_secs() / 60;
        let first = last.saturating_sub(MINUTES as u64 - 1);
        let minutes = (first..=last).map(|number| {
            let at = number * 60;
            let place = usize::try_from(number % MINUTES as u64).unwrap_or_default();
            let known = self.0.get(place).filter(|minute| minute.at == at);
            known.copied().unwrap_or(Minute {
                at,
                ..Minute::default()
            })
        });
        minutes.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let mut history = History::default();
        let start = 1_700_000_040;
        for minute in 0..100 {
            let now = Timestamp::from_secs(start + 60 * minute);
            history.minute(now).requests += minute;
            history.minute(now).requests += 1;
        }
        let hour = history.hour(Timestamp::from_secs(start + 60 * 99));
        assert_eq!(hour.len(), 60);
        let counts: Vec<_> = hour.iter().map(|minute| minute.requests).collect();
        assert_eq!(counts, (41..=100).collect::<Vec<_>>());
        assert!(hour.is_sorted_by_key(|minute| minute.at));
    }

    #[test]
    fn a_minute_in_which_nothing_happened_is_empty() {
        let mut history = History::default();
        let start = Timestamp::from_secs(1_700_000_000);
        history.minute(start).refreshes += 1;
        let later = Timestamp::from_secs(1_700_000_000 + 3600);
        let counted = |hour: Vec<Minute>| hour.iter().map(|minute| minute.refreshes).sum::<u64>();
        assert_eq!(counted(history.hour(start)), 1);
        assert_eq!(counted(history.hour(later)), 0);
    }
}
