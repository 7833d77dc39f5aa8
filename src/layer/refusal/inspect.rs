//! Looking into the body of a response without holding it up.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::reading::Reading;
use crate::body::ReadAhead;
use crate::provider::{Provider, Refusal};

/// What was found, and the response as it came.
pub(crate) struct Inspected<B: Body> {
    pub(crate) refusal: Option<Refusal>,
    pub(crate) response: Response<ReadAhead<B>>,
}

/// What [`settle`] came to.
pub(crate) enum Inspection<B: Body> {
    /// All that had to be seen was there.
    Done(Inspected<B>),
    /// The body has to be waited for.
    Waiting(Inspect<B>),
}

/// An inspection that waits for more of the body. One allocation, made when it had to wait, so
/// that it weighs a pointer in the future that holds it.
pub(crate) struct Inspect<B: Body>(Pin<Box<Waiting<B>>>);

pin_project! {
    struct Waiting<B>
    where
        B: Body,
    {
        // `None` once it is done.
        state: Option<(Reading, Response<ReadAhead<B>>)>,
        #[pin]
        limit: Sleep,
    }
}

/// Ends a reading that was not [clear](Reading::is_clear). A body that is not there yet is waited
/// for, for `limit` in all; then what is known decides.
///
/// # Panics
///
/// If it has to wait outside of a tokio runtime with its timer on.
#[cold]
pub(crate) fn settle<P, B>(
    provider: &P,
    limit: Duration,
    mut reading: Reading,
    response: Response<ReadAhead<B>>,
    cx: &mut Context<'_>,
) -> Inspection<B>
where
    P: Provider,
    B: Body + Unpin,
{
    if limit.is_zero() {
        reading.decide(provider, &response);
    }
    if reading.is_over() || limit.is_zero() {
        let refusal = reading.refusal();
        return Inspection::Done(Inspected { refusal, response });
    }
    let mut inspect = Inspect(Box::pin(Waiting {
        state: Some((reading, response)),
        limit: tokio::time::sleep(limit),
    }));
    // The timer has to know whom to wake.
    match inspect.poll_limit(provider, cx) {
        Poll::Ready(inspected) => Inspection::Done(inspected),
        Poll::Pending => Inspection::Waiting(inspect),
    }
}

impl<B: Body + Unpin> Inspect<B> {
    /// Goes on. Not to be polled again once it was ready: it stays pending then.
    pub(crate) fn poll<P>(&mut self, provider: &P, cx: &mut Context<'_>) -> Poll<Inspected<B>>
    where
        P: Provider,
    {
        if let Some((reading, response)) = self.0.as_mut().project().state
            && reading.advance(provider, response, cx).is_ready()
        {
            return self.take();
        }
        self.poll_limit(provider, cx)
    }

    fn poll_limit<P>(&mut self, provider: &P, cx: &mut Context<'_>) -> Poll<Inspected<B>>
    where
        P: Provider,
    {
        let waiting = self.0.as_mut().project();
        if waiting.limit.poll(cx).is_pending() {
            return Poll::Pending;
        }
        if let Some((reading, response)) = waiting.state {
            reading.decide(provider, response);
        }
        self.take()
    }

    fn take(&mut self) -> Poll<Inspected<B>> {
        match self.0.as_mut().project().state.take() {
            Some((reading, response)) => Poll::Ready(Inspected {
                refusal: reading.refusal(),
                response,
            }),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use bytes::Bytes;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::{HeaderMap, Request, StatusCode};
    use http_body_util::{BodyExt, Full};
    use proptest::prelude::*;
    use tokio_test::{assert_ready, task};

    use super::super::reading::MAX_LEN;
    use super::*;
    use crate::body::scripted::{Scripted, Seen, Step, data, drain, expected, length, trailers};
    use crate::provider::{
        AllowedAuthorities, Fresh, Grant, GrantType, Head, Outcome, Presented, RequestParts,
        Signed, Xiaomi,
    };
    use crate::sign::SignError;
    use Refusal::{SignatureRejected, TokenRejected};

    const LIMIT: Duration = Duration::from_secs(1);
    const TOKEN: &str = r#"{"result":"error","code":96008}"#;
    const SIGNATURE: &str = r#"{"result":"error","code":96012}"#;

    fn response<B>(status: u16, headers: &[(&str, &str)], body: B) -> Response<B> {
        let builder = Response::builder().status(status);
        headers
            .iter()
            .fold(builder, |builder, (name, value)| {
                builder.header(*name, *value)
            })
            .body(body)
            .unwrap()
    }

    fn xiaomi() -> Xiaomi {
        Xiaomi::new("1", "secret", "https://client.example/")
    }

    /// Reads nothing but the head.
    struct OnlyHead(Xiaomi);
    impl Provider for OnlyHead {
        type Credential = ();
        fn client_id(&self) -> &str {
            self.0.client_id()
        }
        fn authorities(&self) -> &AllowedAuthorities {
            self.0.authorities()
        }
        fn token_url(&self, grant_type: GrantType) -> &str {
            self.0.token_url(grant_type)
        }
        fn token_request(
            &self,
            presented: Presented<'_>,
            fresh: Fresh,
        ) -> Result<Request<Bytes>, SignError> {
            self.0.token_request(presented, fresh)
        }
        fn token_answer(&self, presented: Presented<'_>, answer: &Response<Bytes>) -> Outcome {
            self.0.token_answer(presented, answer)
        }
        fn credential(&self, _: &Grant) -> Result<(), SignError> {
            Ok(())
        }
        fn sign(&self, (): &(), _: &RequestParts<'_>, _: Fresh) -> Result<Signed, SignError> {
            Ok(Signed::new())
        }
        fn read_head(&self, status: StatusCode, _: &HeaderMap) -> Head {
            let refused = status == StatusCode::UNAUTHORIZED;
            Head::Verdict(refused.then_some(TokenRejected))
        }
        fn read_body(&self, _: StatusCode, _: &HeaderMap, _: &[u8]) -> Option<Refusal> {
            unreachable!("it was not to be read")
        }
    }

    async fn run<B: Body + Unpin>(provider: impl Provider, response: Response<B>) -> Inspected<B> {
        let mut response = Some(response);
        let mut waiting = None;
        std::future::poll_fn(|cx| {
            if let Some(response) = response.take() {
                let mut response = response.map(ReadAhead::new);
                let mut reading = Reading::new(&provider, &response);
                let _ = reading.advance(&provider, &mut response, cx);
                match settle(&provider, LIMIT, reading, response, cx) {
                    Inspection::Done(inspected) => return Poll::Ready(inspected),
                    Inspection::Waiting(inspect) => {
                        waiting = Some(inspect);
                        return Poll::Pending;
                    }
                }
            }
            waiting.as_mut().unwrap().poll(&provider, cx)
        })
        .await
    }

    /// The verdict on a response that must not have to wait, and must come back whole.
    fn at_once(status: u16, headers: &[(&str, &str)], steps: &[Step]) -> Option<Refusal> {
        let body = Scripted::new(steps.to_vec());
        let mut run = task::spawn(run(xiaomi(), response(status, headers, body)));
        let inspected = assert_ready!(run.poll());
        let mut body = inspected.response.into_body();
        let mut frames = drain(&mut body).0;
        frames.extend(drain(&mut body).0);
        assert_eq!(frames, expected(steps));
        inspected.refusal
    }

    #[test]
    fn a_refusal_is_found_whatever_the_status_and_given_back_whole() {
        for status in [200, 206, 302, 400, 401, 403, 500, 503] {
            let steps = [data(TOKEN)];
            assert_eq!(
                at_once(status, &[], &steps),
                Some(TokenRejected),
                "{status}"
            );
            let steps = [data(SIGNATURE), trailers("end")];
            assert_eq!(
                at_once(status, &[], &steps),
                Some(SignatureRejected),
                "{status}"
            );
        }
    }

    #[test]
    fn a_bare_401_rejects_the_token() {
        assert_eq!(at_once(401, &[], &[]), Some(TokenRejected));
        assert_eq!(at_once(401, &[], &[data("<html>")]), Some(TokenRejected));
        assert_eq!(at_once(403, &[], &[]), None);
        assert_eq!(at_once(401, &[], &[data("{\"code\":96001}")]), None);
    }

    #[test]
    fn a_refusal_in_pieces_is_put_together() {
        let steps = [
            data("&&&START&&&{\"co"),
            data(""),
            data("de\":\"960"),
            data("12\"}\n"),
        ];
        assert_eq!(at_once(400, &[], &steps), Some(SignatureRejected));
        let length = [("content-length", "31")];
        assert_eq!(at_once(200, &length, &steps), Some(SignatureRejected));
    }

    /// The verdict on a success without a length that comes in two pieces, cut at `at`; it must
    /// come back whole.
    async fn in_two(
        headers: &[(&str, &str)],
        body: &[u8],
        at: usize,
        pause: bool,
    ) -> Option<Refusal> {
        let (first, second) = body.split_at(at);
        let [first, second] =
            [first, second].map(|piece| Step::Data(Bytes::copy_from_slice(piece)));
        let steps = if pause {
            vec![first, Step::Yield, second]
        } else {
            vec![first, second]
        };
        let answer = response(200, headers, Scripted::new(steps.clone()));
        let inspected = run(xiaomi(), answer).await;
        let mut body = inspected.response.into_body();
        assert_eq!(drain(&mut body), (expected(&steps), true), "{at}");
        inspected.refusal
    }

    #[tokio::test(start_paused = true)]
    async fn where_a_refusal_is_cut_and_how_soon_the_rest_comes_decide_nothing() {
        let text = "\u{feff} &&&START&&& {\"data\":{\"a\":[1]},\"code\":96008}\n";
        for pause in [false, true] {
            for at in 0..text.len() {
                let found = in_two(&[], text.as_bytes(), at, pause).await;
                assert_eq!(found, Some(TokenRejected), "{at}");
            }
            let compressed = gzip(text);
            let headers = [("content-encoding", "gzip")];
            for at in 0..compressed.len() {
                let found = in_two(&headers, &compressed, at, pause).await;
                assert_eq!(found, Some(TokenRejected), "{at}");
            }
        }
    }

    #[test]
    fn a_stream_that_is_no_unfinished_object_is_released_at_once() {
        for first in [
            "<html>",
            "[",
            "{}",
            "{\"code\":0}",
            "{\"code\":0}\n{\"code\":",
            "{not json",
            "data: {",
            "&&&START&&&{}",
        ] {
            let plain = ("content-encoding", "identity");
            let in_gzip = ("content-encoding", "gzip");
            let compressed = gzip(first).into();
            for (coding, first) in [(plain, first.into()), (in_gzip, compressed)] {
                let source = Scripted::new([Step::Data(first), Step::Panic]);
                let mut run = task::spawn(run(xiaomi(), response(200, &[coding], source)));
                assert_eq!(assert_ready!(run.poll()).refusal, None);
            }
        }
    }

    #[test]
    fn an_object_longer_than_a_refusal_is_not_read_on() {
        let chunk = || Step::Data(format!("{{\"a\":\"{}", "x".repeat(MAX_LEN / 2)).into());
        let source = Scripted::new([chunk(), chunk(), Step::Panic]);
        let mut run = task::spawn(run(xiaomi(), response(200, &[], source)));
        assert_eq!(assert_ready!(run.poll()).refusal, None);
    }

    #[test]
    fn a_large_body_is_not_touched() {
        let steps = [Step::Panic];
        for status in [200, 400] {
            let body = Scripted::new(steps.clone());
            let response = response(status, &[("content-length", "4097")], body);
            let mut run = task::spawn(run(xiaomi(), response));
            assert_eq!(assert_ready!(run.poll()).refusal, None);
        }
        let body = Full::new(Bytes::from(vec![b' '; 4097]));
        let mut run = task::spawn(run(xiaomi(), response(401, &[], body)));
        let inspected = assert_ready!(run.poll());
        assert_eq!(inspected.refusal, Some(TokenRejected));
        assert_eq!(inspected.response.body().size_hint().exact(), Some(4097));
    }

    #[test]
    fn a_response_that_has_no_body_is_not_waited_for() {
        for status in [204, 304] {
            assert_eq!(at_once(status, &[], &[Step::Pending]), None);
        }
        // As a client presents the answer to HEAD: no body, but the length it would have.
        let body = Scripted::new([]).end_known(true);
        let answer = response(200, &[("content-length", "31")], body);
        let mut run = task::spawn(run(xiaomi(), answer));
        let inspected = assert_ready!(run.poll());
        assert!(inspected.response.body().is_end_stream());
    }

    #[test]
    fn what_cannot_be_a_refusal_is_not_waited_for() {
        for kind in [
            "text/event-stream",
            "Text/Event-Stream; charset=utf-8",
            "application/octet-stream",
            "image/png",
            "video/mp4",
            "application/grpc",
            "application/grpc+proto",
        ] {
            let kind = [("content-type", kind)];
            let steps = [Step::Pending, data(TOKEN)];
            assert_eq!(at_once(200, &kind, &steps), None, "{kind:?}");
            assert_eq!(at_once(401, &kind, &steps), Some(TokenRejected), "{kind:?}");
            // Nor is it one if it is there.
            assert_eq!(at_once(200, &kind, &steps[1..]), None, "{kind:?}");
        }
        let unknown = [("content-encoding", "compress")];
        assert_eq!(at_once(200, &unknown, &[Step::Pending, data(TOKEN)]), None);
        assert_eq!(at_once(200, &unknown, &[data(TOKEN)]), None);
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn a_compressed_refusal_is_read_and_given_back_as_it_came() {
        let in_gzip = [("content-encoding", "gzip")];
        for status in [200, 400, 401, 500] {
            let steps = [Step::Data(gzip(SIGNATURE).into())];
            let refusal = at_once(status, &in_gzip, &steps);
            assert_eq!(refusal, Some(SignatureRejected), "{status}");
        }
        // It was decoded on the way.
        let refusal = at_once(200, &in_gzip, &[data(TOKEN)]);
        assert_eq!(refusal, Some(TokenRejected));
        // Another code speaks for the token of a 401, as it does in plain text.
        let other = gzip(r#"{"code":96001}"#);
        assert_eq!(at_once(401, &in_gzip, &[Step::Data(other.into())]), None);
        let twice = [
            ("content-encoding", "identity"),
            ("content-encoding", "x-gzip"),
        ];
        let whole = gzip(TOKEN);
        let length = whole.len().to_string();
        let (first, second) = whole.split_at(9);
        let steps = [first, second].map(|piece| Step::Data(Bytes::copy_from_slice(piece)));
        let headers = [&twice[..], &[("content-length", &length)]].concat();
        assert_eq!(at_once(200, &headers, &steps), Some(TokenRejected));
    }

    #[test]
    fn a_compressed_body_is_decoded_no_further_than_a_refusal_is_long() {
        let in_gzip = [("content-encoding", "gzip")];
        for (spaces, refusal) in [
            (MAX_LEN - TOKEN.len(), Some(TokenRejected)),
            (MAX_LEN + 1 - TOKEN.len(), None),
            (1 << 24, None),
        ] {
            let text = format!("{}{TOKEN}", " ".repeat(spaces));
            let mut body = gzip(&text);
            body.truncate(MAX_LEN);
            let steps = [Step::Data(body.into())];
            let mut found = None;
            let counted = allocation_counter::measure(|| found = at_once(400, &in_gzip, &steps));
            assert_eq!(found, refusal, "{spaces}");
            assert!(counted.bytes_max < 100_000, "{counted:?}");
        }
    }

    #[test]
    fn a_compressed_body_that_is_none_says_nothing() {
        let in_gzip = [("content-encoding", "gzip")];
        let no_gzip = [data("\u{1f}no gzip")];
        assert_eq!(at_once(200, &in_gzip, &no_gzip), None);
        assert_eq!(at_once(401, &in_gzip, &no_gzip), Some(TokenRejected));
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_be_a_refusal_is_waited_for() {
        for headers in [
            &[][..],
            &[("content-type", "application/json;charset=UTF-8")],
            &[("content-type", "application/problem+json")],
            &[
                ("content-type", "TEXT/html"),
                ("content-encoding", "Identity"),
            ],
        ] {
            let body = Scripted::new([Step::Yield, data(TOKEN)]);
            let inspected = run(xiaomi(), response(200, headers, body)).await;
            assert_eq!(inspected.refusal, Some(TokenRejected), "{headers:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_ends_with_the_body() {
        let source = Scripted::new([data("{\"code\":"), Step::Pending, data("96008}")]);
        let waker = source.waker();
        let mut run = task::spawn(run(xiaomi(), response(400, &[], source)));
        assert!(run.poll().is_pending());
        assert!(!run.is_woken());
        waker.lock().unwrap().take().unwrap().wake();
        assert!(run.is_woken());
        assert_eq!(assert_ready!(run.poll()).refusal, Some(TokenRejected));
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_ends_with_the_limit_and_the_response_is_whole() {
        for (status, sent, refusal) in [
            (401, "{\"code\":", Some(TokenRejected)),
            (401, SIGNATURE, Some(SignatureRejected)),
            (400, "{\"code\":", None),
            (400, TOKEN, Some(TokenRejected)),
            (200, "", None),
            (200, "{\"code\":", None),
        ] {
            // Pending when it is first polled, and when the limit wakes the task.
            let steps = [data(sent), Step::Pending, Step::Pending, data("late")];
            let answer = response(status, &[], Scripted::new(steps.clone()));
            let mut run = task::spawn(run(xiaomi(), answer));
            assert!(run.poll().is_pending());
            tokio::time::advance(LIMIT.mul_f32(0.99)).await;
            assert!(!run.is_woken(), "{status}");
            tokio::time::advance(LIMIT).await;
            assert!(run.is_woken(), "{status}");
            let inspected = assert_ready!(run.poll());
            assert_eq!(inspected.refusal, refusal, "{status}");
            let mut body = inspected.response.into_body();
            assert_eq!(drain(&mut body), (expected(&steps), true));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_read_to_its_end_so_that_the_connection_can_be_used_again() {
        let body = Scripted::new([data(TOKEN), Step::Yield, trailers("end")]);
        let inspected = run(xiaomi(), response(200, &[], body)).await;
        assert_eq!(inspected.refusal, Some(TokenRejected));
        // The script panics if its end is polled for twice: it has been.
        assert!(inspected.response.body().size_hint().exact().is_some());

        for (status, left) in [(401, Some(3)), (200, None)] {
            let body = Scripted::new([data("a"), Step::Yield, data("bc")]);
            let inspected = run(OnlyHead(xiaomi()), response(status, &[], body)).await;
            assert_eq!(
                inspected.response.body().size_hint().exact(),
                left,
                "{status}"
            );
        }
    }

    #[test]
    fn a_body_that_has_its_length_is_not_waited_for() {
        for refusal in [TOKEN, "{}"] {
            let length = refusal.len().to_string();
            let steps = [data(refusal), Step::Pending];
            at_once(200, &[("content-length", &length)], &steps);
        }
    }

    #[test]
    fn a_body_that_lies_about_its_length_is_bounded_and_given_back() {
        let flood: Vec<_> =
            std::iter::repeat_n(Step::Data(vec![b' '; 1024].into()), 1024).collect();
        for status in [200, 400] {
            let mut left = 0;
            let length = [("content-length", "100")];
            let answer = response(status, &length, Scripted::new(flood.clone()));
            let mut run = task::spawn(run(xiaomi(), answer));
            let inspected = assert_ready!(run.poll());
            assert_eq!(inspected.refusal, None);
            assert!(inspected.response.body().size_hint().lower() <= 5 * 1024);
            for frame in drain(&mut inspected.response.into_body()).0 {
                if let Seen::Data(data) = frame {
                    left += data.len();
                }
            }
            assert_eq!(left, 1024 * 1024);
        }
        let short = [data("{\"code\":"), Step::Error("reset")];
        let length = [("content-length", "4096")];
        assert_eq!(at_once(200, &length, &short), None);
        assert_eq!(at_once(401, &length, &short), Some(TokenRejected));
        assert_eq!(
            at_once(400, &[("content-length", "x")], &[data(TOKEN)]),
            Some(TokenRejected)
        );
    }

    #[test]
    fn empty_frames_without_end_are_not_read_without_end() {
        let steps: Vec<_> = std::iter::repeat_n(data(""), 2000)
            .chain([data(TOKEN)])
            .collect();
        assert_eq!(at_once(200, &[], &steps), None);
    }

    #[test]
    fn a_buffer_in_pieces_is_looked_at_as_a_whole() {
        let body = Full::new(bytes::Buf::chain(&b"{\"code\":9"[..], &b"6008}"[..]));
        let mut run = task::spawn(run(xiaomi(), response(200, &[], body)));
        let inspected = assert_ready!(run.poll());
        assert_eq!(inspected.refusal, Some(TokenRejected));
        let mut body = task::spawn(inspected.response.into_body().collect());
        assert_eq!(
            assert_ready!(body.poll()).unwrap().to_bytes(),
            "{\"code\":96008}"
        );
    }

    #[test]
    fn a_success_that_is_there_costs_no_allocation() {
        let text = format!(
            r#"{{"result":"ok","code":0,"data":"{}"}}"#,
            "x96".repeat(600)
        );
        let answer = response(
            200,
            &[("content-type", "application/json")],
            Full::new(Bytes::from(text)),
        );
        let mut answer = Some(answer);
        let mut done = None;
        let client = xiaomi();
        let counted = allocation_counter::measure(|| {
            let cx = &mut Context::from_waker(std::task::Waker::noop());
            let mut answer = answer.take().unwrap().map(ReadAhead::new);
            let mut reading = Reading::new(&client, &answer);
            assert!(reading.advance(&client, &mut answer, cx).is_ready());
            assert!(reading.is_clear());
            done = Some(answer);
        });
        assert_eq!(counted.count_total, 0);
    }

    #[test]
    fn waiting_weighs_a_pointer() {
        assert_eq!(
            size_of::<Inspect<hyper::body::Incoming>>(),
            size_of::<usize>()
        );
    }

    proptest! {
        #[test]
        fn any_response_is_given_back_whole(
            status in proptest::sample::select(vec![200, 204, 400, 401, 500]),
            steps in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(any::<u8>(), 0..3000).prop_map(|c| Step::Data(c.into())),
                    Just(data(TOKEN)),
                    Just(Step::Yield),
                    Just(Step::Pending),
                ],
                0..6,
            ),
            end in proptest::sample::select(vec![None, Some(trailers("end")), Some(Step::Error("reset"))]),
            claimed in proptest::option::of(0_u64..5000),
            length_known: bool,
            end_known: bool,
        ) {
            let breaks_off = matches!(end, Some(Step::Error(_)));
            let steps: Vec<_> = steps.into_iter().chain(end).collect();
            let source = Scripted::new(steps.clone()).length_known(length_known).end_known(end_known);
            let mut answer = response(status, &[], source);
            if let Some(claimed) = claimed {
                answer.headers_mut().insert("content-length", claimed.into());
            }
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            let inspected = runtime.block_on(run(xiaomi(), answer));
            let mut body = inspected.response.into_body();
            if length_known {
                let exact = body.size_hint().exact();
                // Once it broke off, nobody knows.
                prop_assert!(exact == Some(length(&steps)) || breaks_off && exact.is_none());
            }
            let mut all = Vec::new();
            loop {
                let (frames, ended) = drain(&mut body);
                all.extend(frames);
                if ended { break }
            }
            prop_assert_eq!(all, expected(&steps));
            prop_assert!(body.is_end_stream());
        }
    }
}
