//! The server: it binds an address, accepts connections, and shuts down gracefully.

mod connection;
mod signals;
mod stream;
mod tls;

use crate::keys::ApiKeys;
use crate::service::Service;
use crate::{Error, ServerConfig};
use connection::Connections;
use hyper_util::server::graceful::GracefulShutdown;
use signals::{Action, Signals};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tls::Tls;
use tokio::sync::{Semaphore, watch};

/// Everything that a [`Server`] is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The folder of the first model.
    pub model: PathBuf,
    /// The model's name in responses; `None`: the name of its folder.
    pub name: Option<String>,
    /// The address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Threads, limits, files and stores.
    pub config: ServerConfig,
    /// The accepted keys.
    pub keys: ApiKeys,
    /// Allow an address that other machines can reach although there are no data keys.
    pub allow_open: bool,
}

/// A server that has loaded its models and is bound to its address; [`run`](Server::run) starts it.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    service: Arc<Service>,
    stop: watch::Sender<bool>,
}

/// A handle that stops a [`Server`] from any thread.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Starts a graceful shutdown: requests in flight are answered, then [`Server::run`] returns.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Server {
    /// Binds the address and loads the certificate, models, lists and sessions. Connections wait until
    /// [`run`](Self::run).
    ///
    /// # Errors
    /// For an invalid configuration, a model that cannot be served, an address that cannot be bound or that others can
    /// reach without a key, and files or stores that cannot be opened.
    pub fn bind(setup: Setup) -> Result<Self, Error> {
        let Setup { model, name, listen, config, keys, allow_open } = setup;
        config.validate()?;
        if keys.data.is_empty() && !listen.ip().is_loopback() && !allow_open {
            return Err(Error::OpenToAll { address: listen });
        }
        // The address first, so that one in use is reported before a model is loaded.
        let refused = |source| Error::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let tls = Tls::of(&config)?.map(Arc::new);

        let service = Arc::new(Service::load(&model, name, config, keys)?);
        Ok(Self { listener, address, service, tls, stop: watch::Sender::new(false) })
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server's URL, made of the scheme and the address.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// A handle that stops the server.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Runs the server until SIGTERM, Ctrl-C or a [`Stopper`], and then finishes requests in flight. SIGHUP reloads the
    /// certificate and the models.
    ///
    /// # Errors
    /// [`Error::System`] if threads or signal handlers cannot be created.
    pub fn run(self) -> Result<(), Error> {
        let failed = |action| move |source| Error::System { action, source };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.service.config.http_threads())
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(failed("start the HTTP threads"))?;
        let Self { listener, tls, service, stop, .. } = self;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(failed("listen"))?;
            listen_to_signals(&service, tls.as_ref(), &stop).map_err(failed("listen to signals"))?;
            if service.changing.lock().await.any() {
                tokio::spawn(Arc::clone(&service).watch_lists());
            }
            if service.config.watch_models {
                tokio::spawn(Arc::clone(&service).watch_models());
            }
            if let Err(error) = service.sessions.ready().await {
                tracing::warn!(%error, "the session store does not answer: the server is not ready until it does");
            }
            accept(listener, &service, Connections::new(&service, tls), stop.subscribe()).await;
            Ok::<_, Error>(())
        })?;
        // Explicitly, since others may still hold the service, such as a task that loads a model.
        service.close();
        // Tasks in flight are cancelled, and blocking ones, such as loading from a slow disk, are not waited for.
        runtime.shutdown_timeout(Duration::from_millis(100));
        Ok(())
    }
}

/// Handles signals in a background task.
fn listen_to_signals(
    service: &Arc<Service>,
    tls: Option<&Arc<Tls>>,
    stop: &watch::Sender<bool>,
) -> std::io::Result<()> {
    let mut signals = Signals::listen()?;
    let (service, tls, stop) = (Arc::clone(service), tls.cloned(), stop.clone());
    tokio::spawn(async move {
        while let Action::Reload = signals.next().await {
            // The certificate first: its files are small. After an error, which is logged, the old one stays.
            if let Some(tls) = &tls {
                tls.reload();
            }
            // In a separate task: loading may take seconds, during which a signal to stop must be handled.
            let service = Arc::clone(&service);
            tokio::spawn(async move { service.reload_all().await });
        }
        stop.send_replace(true);
    });
    Ok(())
}

/// Accepts connections until `stop`, then waits for open ones to finish.
async fn accept(
    listener: tokio::net::TcpListener,
    service: &Arc<Service>,
    connections: Connections,
    mut stop: watch::Receiver<bool>,
) {
    let config = &service.config;
    let (connections, graceful) = (Arc::new(connections), GracefulShutdown::new());
    let closing = watch::Sender::new(false);
    let drained = async {
        // A closed channel means stop, too.
        _ = stop.wait_for(|&stop| stop).await;
        service.stop();
        tokio::time::sleep(Duration::from_millis(config.drain_ms)).await;
    };
    tokio::pin!(drained);
    let slots = Arc::new(Semaphore::new(config.max_connections));
    loop {
        // Connections beyond the limit wait in the system's queue, where they cost nothing.
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            () = &mut drained => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                // With an error such as too many open files, an immediate retry would fail, too.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (connections, watcher, closing) =
            (Arc::clone(&connections), graceful.watcher(), closing.subscribe());
        tokio::spawn(async move {
            connections.answer(stream, watcher, closing).await;
            drop(slot);
        });
    }
    closing.send_replace(true);
    drop(listener);
    let limit = Duration::from_millis(config.shutdown_timeout_ms);
    tracing::info!("stopping: what is in flight is finished");
    if tokio::time::timeout(limit, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were not finished in time");
    }
}
