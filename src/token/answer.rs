//! An answer as it came: its coding, its length, the pause that it asks for.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, RETRY_AFTER};
use http::{Response, StatusCode};

use super::content_coding::{CodingFault, decode};
use super::transport::SendErrorKind;
use super::{MAX_ANSWER_LEN, SendError};
use crate::provider::{
    Ambiguous, AmbiguousKind, Meaning, Outcome, Presented, Provider, RateLimited, SharedError,
    Unsent, UnsentKind, date, http_date,
};

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
        Outcome::RateLimited(known) => rate_limited(known.retry_after().or(pause)),
        Outcome::Refused(refused) if refused.meaning() == Meaning::TryLater => rate_limited(pause),
        // The provider says so of a request that was sent.
        Outcome::Unsent(_) => {
            let kind = AmbiguousKind::Unreadable;
            Outcome::Ambiguous(Ambiguous::new(kind, "the answer cannot be read"))
        }
        outcome => outcome,
    }
}

fn rate_limited(pause: Option<Duration>) -> Outcome {
    let pause = pause.map(|pause| pause.clamp(*PAUSES.start(), *PAUSES.end()));
    Outcome::RateLimited(RateLimited::new(pause))
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

/// What became of a request that has no answer.
pub(super) fn not_answered(error: SendError) -> Outcome {
    let SendError { kind, source } = error;
    let source = source.map(SharedError::from);
    let (kind, detail) = match kind {
        SendErrorKind::NotSent => {
            return Outcome::Unsent(Unsent::new(UnsentKind::ConnectionClosed, source));
        }
        SendErrorKind::Lost => (
            AmbiguousKind::Lost,
            "the connection failed before the answer was read",
        ),
        SendErrorKind::Timeout => (AmbiguousKind::Timeout, "no answer in time"),
        SendErrorKind::TooLong => return Outcome::Ambiguous(too_long().with_source(source)),
    };
    Outcome::Ambiguous(Ambiguous::new(kind, detail).with_source(source))
}

fn too_long() -> Ambiguous {
    let detail = "the answer is longer than 64 KiB";
    Ambiguous::new(AmbiguousKind::TooLong, detail)
}

/// The pause that the answer asks for. If it names a date, the pause is counted from the answer's own
/// `Date`: the server's clock wrote both, and ours may be wrong.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits for a number are too long a pause.
        return Some(Duration::from_secs(asked.parse().unwrap_or(u64::MAX)));
    }
    let until = http_date(asked)?;
    Some(until.saturating_since(date(headers)?))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use http::header::DATE;

    use super::*;
    use crate::RefreshToken;
    use crate::provider::{Bearer, OAuth2, Xiaomi};

    const WHOLE: &str = r#"{"access_token":"AT-canary-1","expires_in":360000,"refresh_token":"RT-canary-1","mac_key":"MK-canary-1"}"#;

    fn read(answer: Response<Bytes>) -> Outcome {
        let token = RefreshToken::new("R");
        read_answer(&Xiaomi::new("1", "s", "r"), (&token).into(), answer)
    }

    fn coded(status: u16, coding: &'static str, body: Vec<u8>) -> Response<Bytes> {
        let response = Response::builder().status(status);
        response
            .header("content-encoding", coding)
            .body(body.into())
            .unwrap()
    }

    fn gzip(body: &str) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(body.as_bytes()).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_within_bounds() {
        const DAY: &str = "Sun, 06 Nov 1994";
        let date = |time: &str| format!("{DAY} {time} GMT");
        let now = date("08:49:37");
        for (asked, pause) in [
            ("120".to_owned(), Some(120)),
            (" 7 ".to_owned(), Some(7)),
            ("0".to_owned(), Some(1)),
            ("86400".to_owned(), Some(3600)),
            ("99999999999999999999999".to_owned(), Some(3600)),
            (date("08:50:07"), Some(30)),
            (date("08:00:00"), Some(1)),
            (date("23:00:00"), Some(3600)),
            ("-1".to_owned(), None),
            ("soon".to_owned(), None),
            (String::new(), None),
        ] {
            let answer = Response::builder()
                .status(429)
                .header(DATE, &now)
                .header(RETRY_AFTER, &asked)
                .body(Bytes::new());
            let Outcome::RateLimited(limited) = read(answer.unwrap()) else {
                panic!("{asked}")
            };
            let pause = pause.map(Duration::from_secs);
            assert_eq!(limited.retry_after(), pause, "{asked}");
        }
        // Nobody knows how far off a date is by a clock that is not shown.
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, now.parse().unwrap());
        assert_eq!(retry_after(&headers), None);
    }

    #[test]
    fn a_refusal_that_asks_to_try_later_is_a_rate_limit() {
        let oauth2 = OAuth2::new("https://as.example/token", "id")
            .with_error("slow_down", Meaning::TryLater)
            .with_status(StatusCode::SERVICE_UNAVAILABLE, Meaning::TryLater);
        let bearer = Bearer::new(oauth2);
        for (status, body) in [(400, r#"{"error":"slow_down"}"#), (503, "<html>")] {
            let answer = Response::builder().status(status).header(RETRY_AFTER, "30");
            let answer = answer.body(Bytes::from(body)).unwrap();
            let token = RefreshToken::new("R");
            let outcome = read_answer(&bearer, (&token).into(), answer);
            let Outcome::RateLimited(limited) = outcome else {
                panic!("{outcome:?}")
            };
            assert_eq!(limited.retry_after(), Some(Duration::from_secs(30)));
        }
    }

    #[test]
    fn a_body_over_the_cap_is_not_read() {
        let at_cap = format!("{WHOLE}{}", " ".repeat(MAX_ANSWER_LEN - WHOLE.len()));
        let outcome = read(Response::new(at_cap.clone().into()));
        assert!(matches!(outcome, Outcome::Tokens(_)), "{outcome:?}");
        let Outcome::Ambiguous(over) = read(Response::new(format!("{at_cap} ").into())) else {
            panic!("it was read")
        };
        assert_eq!(over.kind(), AmbiguousKind::TooLong);
    }

    #[test]
    fn a_compressed_answer_is_read() {
        let Outcome::Tokens(tokens) = read(coded(200, "gzip", gzip(WHOLE))) else {
            panic!("no tokens");
        };
        assert_eq!(tokens.access_token.expose_secret(), "AT-canary-1");
        let refusal = gzip(r#"{"error":96009}"#);
        let outcome = read(coded(400, "x-gzip", refusal));
        assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    }

    #[test]
    fn a_compressed_answer_that_cannot_be_used_says_why_and_loses_no_token_that_was_whole() {
        let long = gzip(&format!("{WHOLE}{}", " ".repeat(MAX_ANSWER_LEN)));
        let mut cut = gzip(WHOLE);
        cut.truncate(cut.len() - 8);
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        for (answer, kind, text, kept) in [
            (
                coded(200, "compress", gzip(WHOLE)),
                AmbiguousKind::Field,
                "content-encoding: not known",
                false,
            ),
            (
                coded(200, "gzip", long),
                AmbiguousKind::TooLong,
                "64 KiB",
                true,
            ),
            (
                coded(200, "gzip", cut),
                AmbiguousKind::Unreadable,
                "content-encoding",
                true,
            ),
            (
                coded(503, "gzip", gzip("<html>")),
                AmbiguousKind::Status(unavailable),
                "503",
                false,
            ),
        ] {
            let Outcome::Ambiguous(ambiguous) = read(answer) else {
                panic!("no tokens could be used");
            };
            assert_eq!(ambiguous.kind(), kind);
            assert!(ambiguous.to_string().contains(text), "{ambiguous}");
            assert_eq!(
                ambiguous.next_refresh_token().is_some(),
                kept,
                "{ambiguous}"
            );
        }
    }
}
