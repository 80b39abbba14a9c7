//! From an address to answered connections, until somebody asks to stop.

mod stream;

use crate::api::router;
use crate::keys::ApiKeys;
use crate::service::Service;
use crate::{Error, ServerConfig};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use stream::TimedStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};

/// What to serve, where, and to whom.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The model's folder.
    pub model: PathBuf,
    /// The name in every answer; `None`: that of the folder.
    pub name: Option<String>,
    /// The address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Every limit.
    pub config: ServerConfig,
    /// Who may ask.
    pub keys: ApiKeys,
    /// Listen where other machines can ask although there is no key.
    pub allow_open: bool,
}

/// A server that has its model and its address, and has not begun to answer.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    service: Arc<Service>,
    stop: watch::Sender<bool>,
}

/// Asks a server to stop, from anywhere.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Lets the server answer what it has read, and end.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Server {
    /// Loads the model, the lists and the sessions, and takes the address. Connections wait from here on.
    ///
    /// # Errors
    /// For limits that make no sense, a model that cannot be served, an address that cannot be had or that others can
    /// reach without a key, and files that cannot be read.
    pub fn bind(setup: Setup) -> Result<Self, Error> {
        let Setup { model, name, listen, config, keys, allow_open } = setup;
        config.validate()?;
        if keys.data.is_empty() && !listen.ip().is_loopback() && !allow_open {
            return Err(Error::OpenToAll { address: listen });
        }
        // The address first: that it is taken should not take the time of loading a model to find out.
        let refused = |source| Error::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;

        let service = Arc::new(Service::load(&model, name, config, keys)?);
        Ok(Self { listener, address, service, stop: watch::Sender::new(false) })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Answers until SIGTERM, Ctrl-C or the [`Stopper`], then finishes what is in flight; SIGHUP loads the model anew.
    ///
    /// # Errors
    /// If the system gives no threads or signals.
    pub fn run(self) -> Result<(), Error> {
        let failed = |action| move |source| Error::System { action, source };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.service.config.http_threads())
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(failed("start the HTTP threads"))?;
        let Self { listener, service, stop, .. } = self;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(failed("listen"))?;
            listen_to_signals(&service, &stop).map_err(failed("listen to signals"))?;
            if service.changing.lock().await.any() {
                tokio::spawn(Arc::clone(&service).watch_lists());
            }
            if service.config.watch_models {
                tokio::spawn(Arc::clone(&service).watch_models());
            }
            if let Err(error) = service.sessions.ready().await {
                tracing::warn!(%error, "the session store does not answer: the server is not ready until it does");
            }
            accept(listener, &service, stop.subscribe()).await;
            Ok(())
        })
        // The runtime ends here, and with it what was still in flight after the time for that.
    }
}

/// SIGTERM and Ctrl-C stop, SIGHUP reloads.
fn listen_to_signals(service: &Arc<Service>, stop: &watch::Sender<bool>) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hang_up = signal(SignalKind::hangup())?;
    let (service, stop) = (Arc::clone(service), stop.clone());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => service.reload_all().await,
            }
        }
        stop.send_replace(true);
    });
    Ok(())
}

/// Accepts connections until it is to stop, then lets those that are open finish.
async fn accept(listener: tokio::net::TcpListener, service: &Arc<Service>, mut stop: watch::Receiver<bool>) {
    let config = &service.config;
    let connection = connection_builder(config);
    let write_limit = Duration::from_millis(config.write_timeout_ms);
    let (router, graceful) = (router(service), GracefulShutdown::new());
    let slots = Arc::new(Semaphore::new(config.max_connections));
    loop {
        // Connections beyond the limit wait in the system's queue, and cost nothing here.
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            _ = stop.wait_for(|&stop| stop) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                // Such as too many open files: trying again at once would fail at once.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Answers are written whole, so waiting for more to send would only delay them.
        _ = stream.set_nodelay(true);
        let io = TokioIo::new(TimedStream::new(stream, write_limit));
        let open = graceful.watch(connection.serve_connection(io, service_of(&router)));
        let metrics = Arc::clone(&service.metrics);
        tokio::spawn(async move {
            metrics.connections().inc();
            if let Err(error) = open.await {
                tracing::debug!(%error, "a connection broke");
            }
            metrics.connections().dec();
            drop(slot);
        });
    }
    service.stop();
    drop(listener);
    let limit = Duration::from_millis(config.shutdown_timeout_ms);
    tracing::info!("stopping: what is in flight is finished");
    if tokio::time::timeout(limit, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were not finished in time");
    }
}

fn service_of(router: &Router) -> TowerToHyperService<Router> {
    TowerToHyperService::new(router.clone())
}

fn connection_builder(config: &ServerConfig) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(config.header_timeout_ms))
        .max_buf_size(config.max_header_bytes);
    builder
}
