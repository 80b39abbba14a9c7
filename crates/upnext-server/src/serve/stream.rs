//! A stream with a time limit on writes, for clients that read too slowly.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// A TCP stream with a limit on the time from the first write that has to wait until everything written has been sent.
/// Reading a byte now and then does not extend it, so that a client cannot hold a response in memory for longer.
///
/// TLS is layered above this stream, so that the limit applies to what is really sent, including the handshake and the
/// closing alert. In a stream above TLS, a write would seem finished once rustls has buffered it, and a flush of that
/// buffer would count as one wait however much the client reads meanwhile.
#[derive(Debug)]
pub(super) struct TimedStream {
    stream: TcpStream,
    limit: Duration,
    /// The timer that runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl TimedStream {
    pub(super) fn new(stream: TcpStream, limit: Duration) -> Self {
        Self { stream, limit, waiting: None }
    }

    /// Returns the outcome of a write, or an error if the limit has passed.
    fn timed<T>(&mut self, outcome: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_pending() {
            let limit = self.limit;
            self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        }
        let too_late = self.waiting.as_mut().is_some_and(|waiting| waiting.as_mut().poll(context).is_ready());
        if too_late {
            let error = io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer");
            return Poll::Ready(Err(error));
        }
        outcome
    }

    /// Returns the outcome of a flush; a finished flush stops the timer.
    fn flushed(&mut self, outcome: Poll<io::Result<()>>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if outcome.is_ready() {
            self.waiting = None;
        }
        self.timed(outcome, context)
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.timed(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.timed(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.flushed(outcome, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
        self.flushed(outcome, context)
    }
}
