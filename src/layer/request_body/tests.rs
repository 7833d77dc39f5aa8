use std::convert::Infallible;
use std::error::Error;
use std::marker::PhantomPinned;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use pin_project_lite::pin_project;
use proptest::prelude::*;
use tokio_test::{assert_pending, assert_ready, task};

use super::*;
use crate::body::scripted::{Scripted, Seen, Step, data, drain, expected, length, poll, trailers};

const CAP: usize = 64 * 1024;

fn resendable(body: Scripted, cap: usize) -> (RequestBody<Scripted>, ResendHandle<Scripted>) {
    let (body, handle) = RequestBody::resendable(body, cap);
    (
        body,
        handle.expect("it fits the cap as far as anyone knows"),
    )
}

fn text(bytes: &'static str) -> Seen {
    Seen::Data(Bytes::from_static(bytes.as_bytes()))
}

fn error_kind(body: &mut RequestBody<Scripted>) -> RequestBodyErrorKind {
    match poll(body) {
        Poll::Ready(Some(Err(error))) => error.kind(),
        other => panic!("no error: {other:?}"),
    }
}

pin_project! {
    struct NotUnpin {
        #[pin]
        body: Scripted,
        #[pin]
        pinned: PhantomPinned,
    }
}

impl Body for NotUnpin {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.project().body.poll_frame(cx)
    }
}

#[test]
fn it_is_send_sync_and_unpin_for_a_body_that_is_neither_sync_nor_unpin() {
    fn is<T: Send + Sync + Unpin + 'static>() {}
    is::<RequestBody<Scripted>>();
    is::<ResendHandle<Scripted>>();
    is::<RequestBody<NotUnpin>>();
}

#[test]
fn it_takes_two_words_whatever_the_body() {
    let words = |size: usize| size / size_of::<usize>();
    assert_eq!(words(size_of::<RequestBody<Empty<Bytes>>>()), 2);
    assert_eq!(words(size_of::<RequestBody<Full<Bytes>>>()), 2);
}

#[test]
fn its_error_suits_any_client() {
    fn suits<B>(_: &RequestBody<B>)
    where
        RequestBody<B>: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
    }
    suits(&RequestBody::once(Full::<Bytes>::default()));
    suits(&RequestBody::<hyper::body::Incoming>::empty());
    suits(&RequestBody::<
        http_body_util::combinators::BoxBody<Bytes, Box<dyn Error + Send + Sync>>,
    >::empty());
}

#[test]
fn an_empty_body_costs_nothing_and_is_resendable() {
    let counted = allocation_counter::measure(|| {
        let (body, handle) = RequestBody::resendable(Empty::<Bytes>::new(), CAP);
        let handle = handle.unwrap();
        assert!(handle.is_resendable());
        for body in [body, handle.take_over().unwrap()] {
            assert!(body.is_end_stream());
            assert_eq!(body.size_hint().exact(), Some(0));
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_body_sent_once_is_not_copied() {
    let chunk = Bytes::from_static(b"payload");
    let mut body = RequestBody::once(Full::new(chunk.clone()));
    let counted = allocation_counter::measure(|| {
        assert_eq!(body.size_hint().exact(), Some(7));
        let Poll::Ready(Some(Ok(frame))) = poll(&mut body) else {
            panic!("no frame");
        };
        assert_eq!(frame.data_ref().unwrap().as_ptr(), chunk.as_ptr());
        assert!(body.is_end_stream());
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_chunk_sent_again_is_not_copied() {
    let chunk = Bytes::from_static(b"payload");
    let (mut first, handle) = RequestBody::resendable(Full::new(chunk.clone()), CAP);
    let _ = poll(&mut first);
    let mut second = handle.unwrap().take_over().unwrap();
    assert_eq!(second.size_hint().exact(), Some(7));
    let Poll::Ready(Some(Ok(frame))) = poll(&mut second) else {
        panic!("no frame");
    };
    assert_eq!(frame.data_ref().unwrap().as_ptr(), chunk.as_ptr());
    assert!(second.is_end_stream());
}

#[test]
fn data_of_any_kind_of_buffer_are_sent() {
    let split = Full::new(bytes::Buf::chain(&b"ab"[..], &b"cd"[..]));
    let mut body = RequestBody::once(split);
    assert_eq!(drain(&mut body), (vec![text("abcd")], true));
}

#[test]
fn a_body_that_is_not_unpin_is_sent_again_too() {
    let body = NotUnpin {
        body: Scripted::new([data("a"), data("b")]),
        pinned: PhantomPinned,
    };
    let (first, handle) = RequestBody::resendable(body, CAP);
    drop(first);
    let second = handle.unwrap().take_over().unwrap();
    let mut collected = task::spawn(Box::pin(second).collect());
    let collected = assert_ready!(collected.poll()).unwrap();
    assert_eq!(collected.to_bytes(), "ab");
}

#[test]
fn a_superseded_body_is_woken_and_ends_with_an_error() {
    let source = Scripted::new([data("a"), Step::Pending, data("b")]);
    let (mut first, handle) = resendable(source, CAP);
    assert_eq!(drain_one(&mut first), text("a"));
    let mut waiting = task::spawn(first.frame());
    assert_pending!(waiting.poll());

    let mut second = handle.take_over().unwrap();
    assert!(waiting.is_woken());
    let error = assert_ready!(waiting.poll()).unwrap().unwrap_err();
    assert_eq!(error.kind(), RequestBodyErrorKind::Superseded);
    drop(waiting);
    assert_eq!(drain(&mut first), (vec![], true));
    assert_eq!(drain(&mut second), (vec![text("a"), text("b")], true));
}

#[test]
fn a_superseded_body_never_looks_complete_before_its_error() {
    let (mut first, handle) = resendable(Scripted::new([data("a")]).length_known(true), CAP);
    drain(&mut first);
    assert!(first.is_end_stream());
    let _second = handle.take_over().unwrap();
    assert!(!first.is_end_stream());
    assert_eq!(first.size_hint().exact(), None);
    assert_eq!(error_kind(&mut first), RequestBodyErrorKind::Superseded);
}

#[test]
fn the_new_attempt_is_woken_by_the_source() {
    let source = Scripted::new([Step::Pending, Step::Pending, data("a")]);
    let waker = source.waker();
    let (mut first, handle) = resendable(source, CAP);
    assert_pending!(poll(&mut first));
    let mut second = handle.take_over().unwrap();
    let mut waiting = task::spawn(second.frame());
    assert_pending!(waiting.poll());
    waker.lock().unwrap().take().unwrap().wake();
    assert!(waiting.is_woken());
    assert!(assert_ready!(waiting.poll()).unwrap().is_ok());
}

#[test]
fn a_body_known_to_exceed_the_cap_is_not_kept() {
    let source = Scripted::new([data("abcd")]).length_known(true);
    let (mut body, handle) = RequestBody::resendable(source, 3);
    assert!(handle.is_none());
    assert_eq!(body.size_hint().exact(), Some(4));
    assert_eq!(drain(&mut body), (vec![text("abcd")], true));
}

#[test]
fn a_body_that_outgrows_the_cap_is_sent_whole_and_not_resendable() {
    let (mut body, handle) = resendable(Scripted::new([data("ab"), data("cd"), data("e")]), 3);
    assert_eq!(drain_one(&mut body), text("ab"));
    assert!(handle.is_resendable());
    assert_eq!(drain(&mut body), (vec![text("cd"), text("e")], true));
    assert!(!handle.is_resendable());
    assert!(handle.take_over().is_none());
}

#[test]
fn chunks_past_the_cap_are_freed_at_once() {
    let chunk = Bytes::from(vec![0; 100]);
    let steps = [Step::Data(chunk.clone()), data("b")];
    let (mut body, _handle) = resendable(Scripted::new(steps), 100);
    assert!(poll(&mut body).is_ready());
    assert!(!chunk.is_unique(), "kept to be sent again");
    assert!(poll(&mut body).is_ready());
    assert!(chunk.is_unique());
}

#[test]
fn without_a_handle_nothing_is_kept() {
    let chunk = Bytes::from(vec![0; 100]);
    let steps = [Step::Data(chunk.clone()), data("b")];
    let (mut first, handle) = resendable(Scripted::new(steps), CAP);
    assert!(poll(&mut first).is_ready());
    let mut second = handle.take_over().unwrap();
    drop(handle);
    assert_eq!(
        drain(&mut second).0.len(),
        2,
        "the prefix was still to be sent"
    );
    assert!(chunk.is_unique());
}

#[test]
fn frames_without_end_are_not_kept_without_end() {
    let steps = std::iter::repeat_n(data(""), 5000).chain([data("a")]);
    let (mut body, handle) = resendable(Scripted::new(steps), CAP);
    assert_eq!(drain(&mut body).0.len(), 5001);
    assert!(!handle.is_resendable());
}

#[test]
fn trailers_count_against_the_cap() {
    let (mut body, handle) = resendable(Scripted::new([data("a"), trailers("long")]), 8);
    assert_eq!(drain(&mut body).0.len(), 2);
    assert!(!handle.is_resendable());
}

#[test]
fn an_error_of_the_source_is_handed_through_and_not_sent_again() {
    let steps = [data("a"), Step::Error("disk on fire")];
    for cap in [0, CAP] {
        let (mut body, handle) = RequestBody::resendable(Scripted::new(steps.clone()), cap);
        assert_eq!(drain_one(&mut body), text("a"));
        let Poll::Ready(Some(Err(error))) = poll(&mut body) else {
            panic!("no error");
        };
        assert_eq!(error.kind(), RequestBodyErrorKind::Body);
        assert_eq!(error.source().unwrap().to_string(), "disk on fire");
        assert!(handle.is_none_or(|handle| handle.take_over().is_none()));
    }
}

#[test]
fn a_source_that_panics_is_an_error_from_then_on() {
    let (mut first, handle) = resendable(Scripted::new([data("a"), Step::Panic]), CAP);
    assert_eq!(drain_one(&mut first), text("a"));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut first))).is_err());
    assert!(!first.is_end_stream());
    assert_eq!(error_kind(&mut first), RequestBodyErrorKind::Panicked);
    assert!(handle.take_over().is_none());
}

#[test]
fn debug_shows_nothing_of_the_body() {
    let body = Full::new(Bytes::from_static(b"SECRET"));
    let (body, _handle) = RequestBody::<Full<Bytes>>::resendable(body, CAP);
    assert_eq!(format!("{body:?}"), "RequestBody(resendable)");
}

fn drain_one(body: &mut RequestBody<Scripted>) -> Seen {
    match poll(body) {
        Poll::Ready(Some(frame)) => crate::body::scripted::seen(frame),
        other => panic!("no frame: {other:?}"),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let chunk = proptest::collection::vec(any::<u8>(), 0..20).prop_map(|c| Step::Data(c.into()));
    let step = prop_oneof![3 => chunk, 1 => Just(Step::Pending)];
    (proptest::collection::vec(step, 0..12), any::<bool>()).prop_map(|(mut steps, end)| {
        steps.extend(end.then(|| trailers("end")));
        steps
    })
}

proptest! {
    #[test]
    fn any_body_taken_over_anywhere_arrives_exactly(
        steps in steps(),
        length_known: bool,
        end_known: bool,
        take_overs in proptest::collection::vec(0_usize..16, 0..5),
    ) {
        let whole = expected(&steps);
        let total = length(&steps);
        let source = Scripted::new(steps).length_known(length_known).end_known(end_known);
        let (mut body, handle) = RequestBody::resendable(source, CAP);
        let handle = handle.unwrap();
        for polls in take_overs {
            let mut at = 0;
            let mut sent = 0;
            for _ in 0..polls {
                if length_known {
                    prop_assert_eq!(body.size_hint().exact(), Some(total - sent));
                }
                let ended = body.is_end_stream();
                match poll(&mut body) {
                    Poll::Pending => {}
                    Poll::Ready(None) => {
                        prop_assert_eq!(at, whole.len());
                        break;
                    }
                    Poll::Ready(Some(frame)) => {
                        prop_assert!(!ended);
                        if let Some(data) = frame.as_ref().unwrap().data_ref() {
                            sent += data.len() as u64;
                        }
                        prop_assert_eq!(&crate::body::scripted::seen(frame), &whole[at]);
                        at += 1;
                    }
                }
            }
            let next = handle.take_over().unwrap();
            let mut old = std::mem::replace(&mut body, next);
            if !old.is_end_stream() {
                prop_assert_eq!(error_kind(&mut old), RequestBodyErrorKind::Superseded);
            }
            prop_assert!(matches!(poll(&mut old), Poll::Ready(None)));
        }
        let mut all = Vec::new();
        loop {
            let (frames, ended) = drain(&mut body);
            all.extend(frames);
            if ended { break }
        }
        prop_assert_eq!(all, whole);
        prop_assert!(body.is_end_stream());
    }

    #[test]
    fn any_cap_lets_the_body_through_whole(steps in steps(), cap in 0_usize..120, length_known: bool) {
        let whole = expected(&steps);
        let fits = length(&steps) <= cap as u64;
        let ends = steps.iter().any(|step| matches!(step, Step::Trailers(_)));
        let source = Scripted::new(steps).length_known(length_known);
        let (mut body, handle) = RequestBody::resendable(source, cap);
        let mut all = Vec::new();
        loop {
            let (frames, ended) = drain(&mut body);
            all.extend(frames);
            if ended { break }
        }
        prop_assert_eq!(&all, &whole);
        match handle.and_then(|handle| handle.take_over()) {
            Some(mut again) => {
                prop_assert!(fits);
                prop_assert_eq!(drain(&mut again), (whole, true));
            }
            None => prop_assert!(!fits || ends || cap == 0),
        }
    }
}

#[test]
fn an_infallible_body_needs_no_error_of_its_own() {
    fn takes(_: impl Body<Data = Bytes, Error = RequestBodyError>) {}
    takes(RequestBody::once(
        Full::new(Bytes::new()).map_err(|never: Infallible| never),
    ));
}
