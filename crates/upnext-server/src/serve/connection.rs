//! The handling of one connection: a handshake if TLS is on, then requests until one side closes it.

use super::gate::{Gate, Port};
use super::places::{IDLE, Places, Taken};
use super::sending::Sending;
use super::stream::TimedStream;
use super::tls::Tls;
use crate::ServerConfig;
use crate::metrics::Metrics;
use crate::requests::Peer;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

/// Maximum number of requests that one HTTP/2 connection sends at a time.
const STREAMS: u32 = 64;

/// Time between two looks at how long a client has been idle, or has not read; less for shorter limits.
const TICK: Duration = Duration::from_secs(2);

/// The state that all connections of a port share.
pub(super) struct Connections {
    http: auto::Builder<TokioExecutor>,
    port: Port,
    gate: Arc<Gate>,
    tls: Option<Arc<Tls>>,
    places: Arc<Places>,
    header_limit: Duration,
    write_limit: Duration,
    metrics: Arc<Metrics>,
}

impl Connections {
    pub(super) fn new(
        (port, most): (Port, usize),
        config: &ServerConfig,
        metrics: &Arc<Metrics>,
        tls: Option<Arc<Tls>>,
        gate: Arc<Gate>,
    ) -> Self {
        let header_limit = Duration::from_millis(config.header_timeout_ms);
        let mut http = auto::Builder::new(TokioExecutor::new());
        let header_bytes = config.max_header_bytes;
        http.http1().timer(TokioTimer::new()).header_read_timeout(header_limit).max_buf_size(header_bytes);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX));
        Self {
            http,
            port,
            gate,
            tls,
            places: Places::new(most, metrics),
            header_limit,
            write_limit: Duration::from_millis(config.write_timeout_ms),
            metrics: Arc::clone(metrics),
        }
    }

    /// The places of its connections.
    pub(super) fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// Handles the requests of a connection until it is closed. `closing` closes it after the requests in flight, and before
    /// a finished TLS handshake at once.
    pub(super) async fn answer(
        &self,
        (stream, peer): (TcpStream, SocketAddr),
        taken: Taken,
        closing: watch::Receiver<bool>,
    ) {
        let _open = Open::new(&self.metrics);
        if let Err(error) = self.speak((stream, peer), taken, closing).await {
            tracing::debug!(%error, "a connection broke");
        }
    }

    async fn speak(
        &self,
        (stream, peer): (TcpStream, SocketAddr),
        taken: Taken,
        mut closing: watch::Receiver<bool>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        // Responses are written as a whole, so that Nagle's algorithm would only delay them.
        _ = stream.set_nodelay(true);
        let stream = TimedStream::new(stream, self.write_limit);
        let Some(tls) = &self.tls else { return self.requests((stream, peer), taken, closing).await };
        let handshake = tokio::time::timeout(self.header_limit, tls.acceptor().accept(stream));
        let stream = tokio::select! {
            done = handshake => done.map_err(|_| "the client did not finish the TLS handshake in time")??,
            // There is no request yet that a stopping server would have to answer.
            _ = closing.wait_for(|&closing| closing) => return Ok(()),
            () = taken.place().is_to_leave() => return Ok(()),
        };
        self.requests((stream, peer), taken, closing).await
    }

    async fn requests(
        &self,
        (stream, peer): (impl AsyncRead + AsyncWrite + Unpin + Send + 'static, SocketAddr),
        taken: Taken,
        mut closing: watch::Receiver<bool>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer.ip()));
            let (gate, port, answering) = (Arc::clone(&self.gate), self.port, taken.answering());
            async move {
                let response = gate.answer(port, request).await;
                Ok::<_, Infallible>(response.map(|body| Sending::new(body, answering)))
            }
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let mut ticks = tokio::time::interval(self.header_limit.min(self.write_limit).min(TICK) / 2);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Requests in flight are answered, and no others are taken; the connection is closed at this time, if none is left.
        let mut ends: Option<Instant> = None;
        loop {
            let until = tokio::select! {
                biased;
                done = connection.as_mut() => return done,
                _ = closing.wait_for(|&closing| closing), if ends.is_none() => self.header_limit,
                () = taken.place().is_to_leave(), if ends.is_none() => IDLE,
                _ = ticks.tick() => {
                    // HTTP/1 has these limits itself: not HTTP/2, and not a client that never says what it speaks.
                    if taken.place().stuck_for().is_some_and(|stuck| stuck >= self.write_limit) {
                        return Err("the client does not read its answer".into());
                    }
                    match (taken.place().idle_for(), ends) {
                        (Some(_), Some(ends)) if ends <= Instant::now() => {
                            return Err("the client has not closed the connection in time".into());
                        }
                        (Some(idle), None) if idle >= self.header_limit => self.header_limit,
                        _ => continue,
                    }
                }
            };
            ends = Some(Instant::now() + until);
            connection.as_mut().graceful_shutdown();
        }
    }
}

/// Counts a connection as open until it is dropped, after a panic too.
struct Open<'m>(&'m Metrics);

impl<'m> Open<'m> {
    fn new(metrics: &'m Metrics) -> Self {
        metrics.connections().inc();
        Self(metrics)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections().dec();
    }
}
