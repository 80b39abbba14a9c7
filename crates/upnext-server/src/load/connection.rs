//! One connection to the server, which sends requests one after the other, each with a time-out.

use super::tls::Tls;
use crate::Keys;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

/// Path and body of a click's request, and the key of its event.
pub(super) struct Request {
    pub(super) path: String,
    pub(super) body: String,
    pub(super) key: Option<String>,
}

/// A request with the time at which it is due.
pub(super) struct Click {
    pub(super) due: Instant,
    pub(super) request: Request,
}

/// The times and the outcome of a click.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) due: Instant,
    /// When it was sent: later than due if its connection or the generator was busy.
    pub(super) sent: Instant,
    pub(super) done: Instant,
    pub(super) outcome: Outcome,
}

/// The outcome of a click.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// A complete response with this status.
    Status(u16),
    /// No response within the time-out.
    TimedOut,
    /// The connection could not be opened, or broke.
    Broken,
    /// Not sent, since its connection was not free within the time-out.
    NotSent,
}

/// The headers that all requests share.
#[derive(Clone)]
pub(super) struct Message {
    host: HeaderValue,
    key: Option<HeaderValue>,
}

impl Message {
    /// The headers for a host, with the first key.
    pub(super) fn new(host: &str, keys: &Keys) -> upnext_core::Result<Self> {
        let host = HeaderValue::from_str(host)
            .map_err(|_| upnext_core::Error::config("URL", "the host cannot stand in a header"))?;
        Ok(Self { host, key: keys.bearer() })
    }

    fn with(&self, request: Request) -> Result<hyper::Request<Full<Bytes>>, hyper::http::Error> {
        let mut builder = hyper::Request::builder()
            .method(Method::POST)
            .uri(request.path)
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            builder = builder.header(AUTHORIZATION, key);
        }
        if let Some(key) = request.key {
            builder = builder.header("idempotency-key", key);
        }
        builder.body(Full::new(Bytes::from(request.body)))
    }
}

/// A connection that is opened when it is needed, and reopened after it broke.
pub(super) struct Connection {
    target: SocketAddr,
    tls: Option<Tls>,
    message: Message,
    timeout: Duration,
    answers: UnboundedSender<Answer>,
    open: Option<Open>,
}

impl Connection {
    pub(super) fn new(
        target: SocketAddr,
        tls: Option<Tls>,
        message: Message,
        timeout: Duration,
        answers: UnboundedSender<Answer>,
    ) -> Self {
        Self { target, tls, message, timeout, answers, open: None }
    }

    /// Sends clicks one after the other until the channel is closed.
    pub(super) async fn run(mut self, mut clicks: UnboundedReceiver<Click>) {
        while let Some(Click { due, request }) = clicks.recv().await {
            let sent = Instant::now();
            let outcome = if sent.saturating_duration_since(due) >= self.timeout {
                // A visitor would have given up. Otherwise the clicks of an overload would pile up without limit.
                Outcome::NotSent
            } else {
                // Counted from the time of sending: a time-out from the due time would break the connection for clicks
                // that are sent late.
                match tokio::time::timeout(self.timeout, self.send(request)).await {
                    Ok(Ok(status)) => Outcome::Status(status.as_u16()),
                    Ok(Err(_)) => Outcome::Broken,
                    Err(_) => Outcome::TimedOut,
                }
            };
            if matches!(outcome, Outcome::Broken | Outcome::TimedOut) {
                // A late response would be taken for that of the next request.
                self.open = None;
            }
            // Never fails: the receiver outlives the connections.
            _ = self.answers.send(Answer { due, sent, done: Instant::now(), outcome });
        }
    }

    async fn send(&mut self, request: Request) -> Result<StatusCode, Box<dyn std::error::Error>> {
        let request = self.message.with(request)?;
        let response = self.opened().await?.send_request(request).await?;
        let status = response.status();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(status)
    }

    async fn opened(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Box<dyn std::error::Error>> {
        // The server may have closed it meanwhile.
        let usable = match &mut self.open {
            Some(open) => open.requests.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            self.open = Some(Open::to(self.target, self.tls.as_ref()).await?);
        }
        Ok(&mut self.open.as_mut().ok_or("the connection has gone")?.requests)
    }
}

/// An open connection and the task that reads and writes.
pub(super) struct Open {
    requests: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

impl Open {
    /// Sends requests over it.
    pub(super) fn requests(&mut self) -> &mut SendRequest<Full<Bytes>> {
        &mut self.requests
    }

    pub(super) async fn to(
        target: SocketAddr,
        tls: Option<&Tls>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let stream = connected(target).await?;
        match tls {
            Some(tls) => Self::over(tls.begin(stream).await?).await,
            None => Self::over(stream).await,
        }
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let (requests, connection) = handshake(TokioIo::new(stream)).await?;
        // Its errors are reported by the requests, too.
        let task = tokio::task::spawn_local(async move { _ = connection.await });
        Ok(Self { requests, task })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connected(target: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Checks that the server completes a TLS handshake with a trusted certificate.
pub(super) async fn trusted(target: SocketAddr, tls: &Tls, limit: Duration) -> std::io::Result<()> {
    let handshake = async { tls.begin(connected(target).await?).await.map(drop) };
    tokio::time::timeout(limit, handshake).await?
}
