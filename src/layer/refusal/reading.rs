//! How far the body of a response is read, and what is made of it.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame};

use super::head::{content_length, has_no_body, may_be_json};
use crate::body::{Kept, ReadAhead};

use crate::provider::json::is_unfinished_object;
use crate::provider::{Head, Provider, Refusal};
use crate::token::content_coding::{self, CodingFault, Decoded};

/// A refusal is at most this long, in bytes, as it comes and decoded.
pub(super) const MAX_LEN: usize = 4096;
const MAX_BYTES: u64 = MAX_LEN as u64;
/// Bounds what empty frames can cost.
const MAX_FRAMES: u32 = 256;

/// The inspection of a response: of its head, and of as much of its body as the provider wants and
/// the rules of [`Provider::read_body`] allow. Whatever is read is given back with the response.
///
/// The response is beside it and stays where it is: nearly always the reading is
/// [clear](Self::is_clear) at once, and all that is left is to hand it on. One chunk takes no
/// allocation.
pub(crate) struct Reading {
    bytes: u64,
    frames: u32,
    look: Look,
    /// The length, where it is known.
    length: Option<u64>,
    refusal: Option<Refusal>,
    /// More is to be read.
    open: bool,
}

type PolledFrame<B> = Result<Frame<<B as Body>::Data>, <B as Body>::Error>;

/// How much of the body is looked at before the verdict.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// It stands. If it is a refusal the body is still read to its end, for the connection.
    Decided,
    /// On while it is an unfinished JSON object, so that no other stream is held up.
    Object,
    Whole,
}

/// There is an object in the body that goes on.
struct Unfinished;

impl Reading {
    #[inline]
    pub(crate) fn new<P, B>(provider: &P, response: &Response<ReadAhead<B>>) -> Self
    where
        P: Provider,
        B: Body,
    {
        let status = response.status();
        let (refusal, look) = match provider.read_head(status, response.headers()) {
            Head::Verdict(refusal) => (refusal, Look::Decided),
            Head::Read { otherwise } => (otherwise, Look::Whole),
        };
        let mut reading = Self {
            bytes: 0,
            frames: 0,
            look,
            length: None,
            refusal,
            open: false,
        };
        let body = &response.body().rest;
        if reading.is_settled() || has_no_body(status) || body.is_end_stream() {
            return reading;
        }
        let hint = body.size_hint();
        reading.length = hint.exact().or_else(|| content_length(response.headers()));
        if hint.lower().max(reading.length.unwrap_or(0)) > MAX_BYTES {
            return reading;
        }
        let error = status.is_client_error() || status.is_server_error();
        if reading.look == Look::Whole && reading.length.is_none() && !error {
            reading.look = Look::Object;
        }
        reading.open = true;
        reading
    }

    /// Reads what is there; ready when no more is to be read.
    #[inline]
    pub(crate) fn advance<P, B>(
        &mut self,
        provider: &P,
        response: &mut Response<ReadAhead<B>>,
        cx: &mut Context<'_>,
    ) -> Poll<()>
    where
        P: Provider,
        B: Body + Unpin,
    {
        while self.open {
            match Pin::new(&mut response.body_mut().rest).poll_frame(cx) {
                Poll::Ready(Some(frame)) => self.keep(provider, response, frame),
                Poll::Ready(None) => {
                    response.body_mut().ended = true;
                    self.open = false;
                }
                Poll::Pending if self.is_worth_waiting(response.headers()) => return Poll::Pending,
                Poll::Pending => self.open = false,
            }
        }
        self.decide(provider, response);
        Poll::Ready(())
    }

    #[inline]
    fn keep<P, B>(
        &mut self,
        provider: &P,
        response: &mut Response<ReadAhead<B>>,
        frame: PolledFrame<B>,
    ) where
        P: Provider,
        B: Body,
    {
        let body = response.body_mut();
        match &frame {
            Ok(frame) => {
                self.frames += 1;
                let len = frame.data_ref().map_or(0, Buf::remaining);
                self.bytes = self.bytes.saturating_add(len as u64);
            }
            Err(_) => body.ended = true,
        }
        body.kept.push(frame);
        if self.bytes > MAX_BYTES || self.frames == MAX_FRAMES {
            // Whatever its length said, this is no refusal.
            self.look = Look::Decided;
            self.open = false;
            return;
        }
        let at_end = body.is_read();
        let is_all = at_end || self.has_its_length();
        if is_all || self.look == Look::Object {
            self.look_at(provider, response, is_all);
        }
        self.open = !at_end && !self.is_settled();
    }

    /// Asks the provider, once, about the bytes there are.
    pub(super) fn decide<P, B>(&mut self, provider: &P, response: &Response<ReadAhead<B>>)
    where
        P: Provider,
        B: Body,
    {
        self.look_at(provider, response, true);
    }

    /// The same, but an object that is not finished is left until there is more, unless the bytes
    /// are all there will be.
    #[inline]
    fn look_at<P, B>(&mut self, provider: &P, response: &Response<ReadAhead<B>>, is_all: bool)
    where
        P: Provider,
        B: Body,
    {
        if self.look == Look::Decided || (self.bytes == 0 && !is_all) {
            return;
        }
        self.look = Look::Decided;
        if self.bytes == 0 {
            return;
        }
        let (status, headers) = (response.status(), response.headers());
        let found = match &response.body().kept {
            // Nearly always: nothing to be gathered, and the text itself, so that not even its
            // coding is asked for.
            Kept::Chunk(data)
                if is_all && is_contiguous(data) && data.chunk().first() == Some(&b'{') =>
            {
                provider.read_body(status, headers, data.chunk())
            }
            kept => {
                let Ok(found) = self.ask(provider, status, headers, kept, is_all) else {
                    self.look = Look::Object;
                    return;
                };
                found
            }
        };
        // Looked up only where it matters.
        if found != self.refusal && content_coding::is_known(headers) && may_be_json(headers) {
            self.refusal = found;
        }
    }

    /// What the provider says about the text in what was read; what is known already if there is
    /// none.
    #[inline(never)]
    fn ask<P, D, E>(
        &self,
        provider: &P,
        status: StatusCode,
        headers: &HeaderMap,
        kept: &Kept<D, E>,
        is_all: bool,
    ) -> Result<Option<Refusal>, Unfinished>
    where
        P: Provider,
        D: Buf,
    {
        let gathered;
        let body = match kept {
            Kept::Chunk(data) if is_contiguous(data) => data.chunk(),
            kept => match gather(kept) {
                Some(bytes) => {
                    gathered = bytes;
                    &gathered
                }
                None => return Ok(self.refusal),
            },
        };
        let decoded = content_coding::decode(headers, body, MAX_LEN);
        let text = match &decoded {
            None => body,
            Some(Decoded {
                fault: Some(CodingFault::Unknown | CodingFault::TooLong),
                ..
            }) => return Ok(self.refusal),
            Some(Decoded { text, .. }) => text,
        };
        if !is_all && is_unfinished_object(text) {
            return Err(Unfinished);
        }
        if text.is_empty() {
            return Ok(self.refusal);
        }
        Ok(provider.read_body(status, headers, text))
    }

    /// Nothing that is still to come can matter. The response is no refusal, so the request is not
    /// resent, and the connection need not be read to the end of the body first.
    fn is_settled(&self) -> bool {
        self.look == Look::Decided && self.refusal.is_none()
    }

    fn has_its_length(&self) -> bool {
        self.length.is_some_and(|length| self.bytes >= length)
    }

    fn is_worth_waiting(&mut self, headers: &HeaderMap) -> bool {
        if !content_coding::is_known(headers) {
            self.look = Look::Decided;
        }
        !self.is_settled() && !self.has_its_length() && may_be_json(headers)
    }

    /// No more is to be read.
    pub(super) const fn is_over(&self) -> bool {
        !self.open
    }

    /// No more is to be read, and nothing that was says that the response is a refusal.
    #[inline]
    pub(crate) const fn is_clear(&self) -> bool {
        !self.open && self.refusal.is_none()
    }

    /// What was found so far.
    pub(super) const fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }
}

fn is_contiguous(data: &impl Buf) -> bool {
    data.chunk().len() == data.remaining()
}

/// The chunks as one piece; `None` when a buffer does not show all it holds without being
/// consumed.
#[cold]
fn gather<D: Buf, E>(kept: &Kept<D, E>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for data in kept.chunks() {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = data.chunks_vectored(&mut slices);
        let before = bytes.len();
        for slice in &slices[..count] {
            bytes.extend_from_slice(slice);
        }
        if bytes.len() - before != data.remaining() {
            return None;
        }
    }
    Some(bytes)
}
