//! The server: it binds an address, accepts connections, and shuts down gracefully.

mod connection;
mod gate;
mod signals;
mod stream;
mod tls;

use crate::api::router;
use crate::keys::ApiKeys;
use crate::metrics::Metrics;
use crate::service::Service;
use crate::{Error, ServerConfig};
use connection::Connections;
use gate::Gate;
use hyper_util::server::graceful::GracefulShutdown;
use signals::{Action, Signals};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tls::Tls;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

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

/// A server that has loaded its models and answers requests; [`run`](Server::run) waits for its end, and watches files until
/// then.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    has_tls: bool,
    service: Arc<Service>,
    signals: Arc<Handling>,
    accepting: JoinHandle<()>,
    stop: watch::Sender<bool>,
    runtime: Runtime,
}

/// What signals act on.
#[derive(Debug, Default)]
struct Handling {
    tls: Option<Arc<Tls>>,
    /// Set when everything is loaded.
    service: OnceLock<Arc<Service>>,
    /// Whether a signal to reload came before.
    reload: AtomicBool,
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
    /// Binds the address and loads the certificate, models and lists. Signals are handled from the beginning: SIGTERM and
    /// Ctrl-C end the loading, and SIGHUP is followed when it is done. Meanwhile `/healthz` is answered 200, and all else
    /// 503; afterwards, requests are answered. Sessions of before are read while the server runs.
    ///
    /// # Errors
    /// For an invalid configuration, a model that cannot be served, an address that cannot be bound or that others can
    /// reach without a key, and files or stores that cannot be opened; [`Error::Stopped`] after a signal to stop.
    ///
    /// # Panics
    /// Within a runtime of tokio.
    pub fn bind(setup: Setup) -> Result<Self, Error> {
        let Setup { model, name, listen, config, keys, allow_open } = setup;
        config.validate()?;
        if keys.data.is_empty() && !listen.ip().is_loopback() && !allow_open {
            return Err(Error::OpenToAll { address: listen });
        }
        let is_local = keys.data.is_empty() && !allow_open;
        let failed = |action| move |source| Error::System { action, source };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.http_threads())
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(failed("start the HTTP threads"))?;
        let entered = runtime.enter();
        let signals = Signals::listen().map_err(failed("listen to signals"))?;
        // The address first, so that one in use is reported before a model is loaded.
        let refused = |source| Error::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed("listen"))?;
        let tls = Tls::of(&config)?.map(Arc::new);
        let has_tls = tls.is_some();

        let stop = watch::Sender::new(false);
        let handling = Arc::new(Handling { tls: tls.clone(), ..Handling::default() });
        tokio::spawn(handle_signals(signals, Arc::clone(&handling), stop.clone()));
        let (metrics, gate) = (Arc::new(Metrics::new()), Arc::<Gate>::default());
        let connections = Connections::new(&config, &metrics, tls, Arc::clone(&gate));
        let accepting =
            accept(listener, config.clone(), Arc::clone(&handling), connections, stop.subscribe());
        let accepting = tokio::spawn(accepting);
        let loading = move || Service::load(&model, name, config, (keys, is_local), metrics).map(Arc::new);
        let loading = tokio::task::spawn_blocking(loading);
        drop(entered);
        let mut stopped = stop.subscribe();
        let loaded = runtime.block_on(async {
            tokio::select! {
                loaded = loading => loaded.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic())),
                _ = stopped.wait_for(|&stop| stop) => Err(Error::Stopped),
            }
        });
        let service = match loaded {
            Ok(service) => service,
            Err(error) => {
                // The thread that loads ends with the process.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        _ = handling.service.set(Arc::clone(&service));
        gate.open(router(&service));
        Ok(Self { address, has_tls, service, signals: handling, accepting, stop, runtime })
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server's URL, made of the scheme and the address.
    pub fn url(&self) -> String {
        let scheme = if self.has_tls { "https" } else { "http" };
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
    /// [`Error::System`] if threads or signal handlers cannot be created, and [`Error::Lost`] at the end if the session file
    /// lacks events.
    pub fn run(self) -> Result<(), Error> {
        let Self { service, signals, accepting, runtime, .. } = self;
        let reload = signals.reload.swap(false, Ordering::SeqCst);
        runtime.block_on(async {
            if service.changing.lock().await.any() {
                tokio::spawn(Arc::clone(&service).watch_lists());
            }
            if service.config.watch_models {
                tokio::spawn(Arc::clone(&service).watch_models());
                tokio::spawn(Arc::clone(&service).watch_keys());
            }
            tokio::spawn(Arc::clone(&service).watch_store());
            if reload {
                let service = Arc::clone(&service);
                tokio::spawn(async move { service.reload_all().await });
            }
            _ = accepting.await;
        });
        // Explicitly, since others may still hold the service, such as a task that loads a model.
        let lost = service.close();
        // Tasks in flight are cancelled, and blocking ones, such as loading from a slow disk, are not waited for.
        runtime.shutdown_timeout(Duration::from_millis(100));
        if lost > 0 { Err(Error::Lost { changes: lost }) } else { Ok(()) }
    }
}

/// Handles signals until one of them stops the server.
async fn handle_signals(mut signals: Signals, handling: Arc<Handling>, stop: watch::Sender<bool>) {
    while let Action::Reload = signals.next().await {
        // The certificate first: its files are small. After an error, which is logged, the old one stays.
        if let Some(tls) = &handling.tls {
            tls.reload();
        }
        handling.reload.store(true, Ordering::SeqCst);
        // In a separate task: loading may take seconds, during which a signal to stop must be handled.
        if let Some(service) = handling.service.get().map(Arc::clone) {
            handling.reload.store(false, Ordering::SeqCst);
            tokio::spawn(async move { service.reload_all().await });
        }
    }
    stop.send_replace(true);
}

/// Accepts connections until `stop`, then waits for open ones to finish.
async fn accept(
    listener: tokio::net::TcpListener,
    config: ServerConfig,
    handling: Arc<Handling>,
    connections: Connections,
    mut stop: watch::Receiver<bool>,
) {
    let (connections, graceful) = (Arc::new(connections), GracefulShutdown::new());
    let closing = watch::Sender::new(false);
    let drained = async {
        // A closed channel means stop, too.
        _ = stop.wait_for(|&stop| stop).await;
        if let Some(service) = handling.service.get() {
            service.stop();
        }
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
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
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
            connections.answer((stream, peer), watcher, closing).await;
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
