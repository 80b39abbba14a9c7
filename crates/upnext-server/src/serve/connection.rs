//! The handling of one connection: a handshake if TLS is on, then requests until one side closes it.

use super::gate::Gate;
use super::stream::TimedStream;
use super::tls::Tls;
use crate::ServerConfig;
use crate::metrics::Metrics;
use crate::requests::Peer;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// The state that all connections share.
pub(super) struct Connections {
    http: http1::Builder,
    gate: Arc<Gate>,
    tls: Option<Arc<Tls>>,
    header_limit: Duration,
    write_limit: Duration,
    metrics: Arc<Metrics>,
}

impl Connections {
    pub(super) fn new(
        config: &ServerConfig,
        metrics: &Arc<Metrics>,
        tls: Option<Arc<Tls>>,
        gate: Arc<Gate>,
    ) -> Self {
        let header_limit = Duration::from_millis(config.header_timeout_ms);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(header_limit).max_buf_size(config.max_header_bytes);
        Self {
            http,
            gate,
            tls,
            header_limit,
            write_limit: Duration::from_millis(config.write_timeout_ms),
            metrics: Arc::clone(metrics),
        }
    }

    /// Handles the requests of a connection until it is closed. Before a finished TLS handshake, `closing` closes it.
    pub(super) async fn answer(
        &self,
        (stream, peer): (TcpStream, SocketAddr),
        watcher: Watcher,
        closing: watch::Receiver<bool>,
    ) {
        let _open = Open::new(&self.metrics);
        if let Err(error) = self.speak((stream, peer), watcher, closing).await {
            tracing::debug!(%error, "a connection broke");
        }
    }

    async fn speak(
        &self,
        (stream, peer): (TcpStream, SocketAddr),
        watcher: Watcher,
        mut closing: watch::Receiver<bool>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        // Responses are written as a whole, so that Nagle's algorithm would only delay them.
        _ = stream.set_nodelay(true);
        let stream = TimedStream::new(stream, self.write_limit);
        let Some(tls) = &self.tls else { return self.requests((stream, peer), watcher).await };
        let handshake = tokio::time::timeout(self.header_limit, tls.acceptor().accept(stream));
        let stream = tokio::select! {
            done = handshake => done.map_err(|_| "the client did not finish the TLS handshake in time")??,
            // There is no request yet that a stopping server would have to answer.
            _ = closing.wait_for(|&closing| closing) => return Ok(()),
        };
        self.requests((stream, peer), watcher).await
    }

    async fn requests(
        &self,
        (stream, peer): (impl AsyncRead + AsyncWrite + Unpin + Send + 'static, SocketAddr),
        watcher: Watcher,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer.ip()));
            let gate = Arc::clone(&self.gate);
            async move { gate.answer(request).await }
        });
        Ok(watcher.watch(self.http.serve_connection(TokioIo::new(stream), service)).await?)
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
