//! An answer as it came: its coding, its length, the pause that it asks for.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use http::header::{DATE, HeaderMap, RETRY_AFTER};
use http::{Response, StatusCode};

use super::MAX_ANSWER_LEN;
use super::content_coding::{CodingFault, decode};
use crate::provider::{Ambiguous, AmbiguousKind, Outcome, Presented, Provider, RateLimited};

/// The shortest and the longest pause that an endpoint may ask for by `Retry-After`. A shorter one
/// would have it asked in a loop; a longer one would let one bad answer shut all accounts out.
const PAUSES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// What an answer says that came as it was sent.
pub(super) fn read_answer<P: Provider>(
    provider: &P,
    presented: Presented<'_>,
    answer: Response<Bytes>,
) -> Outcome {
    if answer.body().len() > MAX_ANSWER_LEN && answer.status() != StatusCode::TOO_MANY_REQUESTS {
        return Outcome::Ambiguous(too_long());
    }
    let pause = retry_after(answer.headers());
    let outcome = match decode(answer.headers(), answer.body(), MAX_ANSWER_LEN) {
        None => provider.token_answer(presented, &answer),
        Some(decoded) => {
            let answer = answer.map(|_| Bytes::from_owner(decoded.text));
            let outcome = provider.token_answer(presented, &answer);
            match decoded.fault {
                Some(fault) => damaged(outcome, coding_fault(fault)),
                None => outcome,
            }
        }
    };
    match outcome {
        Outcome::RateLimited(limited) => {
            let pause = limited.retry_after().or(pause);
            let pause = pause.map(|pause| pause.clamp(*PAUSES.start(), *PAUSES.end()));
            Outcome::RateLimited(RateLimited::new(pause))
        }
        // The provider says so of a request that was sent.
        Outcome::Unsent(_) => {
            let kind = AmbiguousKind::Unreadable;
            Outcome::Ambiguous(Ambiguous::new(kind, "the answer cannot be read"))
        }
        outcome => outcome,
    }
}

/// What an answer that is not whole says, or not what its head says, may be wrong. Only the next refresh
/// token is kept.
fn damaged(outcome: Outcome, fault: Ambiguous) -> Outcome {
    let next = match outcome {
        Outcome::RateLimited(limited) => return Outcome::RateLimited(limited),
        Outcome::Ambiguous(known) if matches!(known.kind(), AmbiguousKind::Status(_)) => {
            return Outcome::Ambiguous(known);
        }
        Outcome::Ambiguous(known) => known.into_next_refresh_token(),
        Outcome::Tokens(tokens) => tokens.refresh_token,
        Outcome::Refused(_) | Outcome::Unsent(_) => None,
    };
    Outcome::Ambiguous(fault.with_next(next))
}

fn coding_fault(fault: CodingFault) -> Ambiguous {
    match fault {
        CodingFault::Unknown => Ambiguous::new(AmbiguousKind::Field, "content-encoding: not known"),
        CodingFault::Damaged => {
            let detail = "the answer is not what its content-encoding says, or is cut short";
            Ambiguous::new(AmbiguousKind::Unreadable, detail)
        }
        CodingFault::TooLong => too_long(),
    }
}

pub(super) fn too_long() -> Ambiguous {
    let detail = "the answer is longer than 64 KiB";
    Ambiguous::new(AmbiguousKind::TooLong, detail)
}

/// The pause that the answer asks for. If it names a date, the pause is counted from the answer's own
/// `Date`: the server's clock wrote both, and ours may be wrong.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| Some(headers.get(name)?.to_str().ok()?.trim());
    let asked = text(RETRY_AFTER)?;
    if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits for a number are too long a pause.
        return Some(Duration::from_secs(asked.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(asked).ok()?;
    let now = httpdate::parse_http_date(text(DATE)?).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}
