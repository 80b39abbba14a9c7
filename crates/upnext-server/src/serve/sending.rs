//! The body of a response, which counts as being sent until its last part has been taken.

use super::places::Answering;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Maximum size of a part. In HTTP/2, a part is taken when the client has room for its first byte: the rest of it waits in memory,
/// and the parts after it only where they are.
const PART: usize = 16 << 10;

/// A body with the request that it answers.
pub(super) struct Sending {
    body: Body,
    /// What is left of the last part of `body`.
    rest: Bytes,
    answering: Answering,
}

impl Sending {
    pub(super) fn new(body: Body, answering: Answering) -> Self {
        answering.send();
        Self { body, rest: Bytes::new(), answering }
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.answering.send();
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return other,
            }
        }
        let length = self.rest.len().min(PART);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}
