//! The server: it binds an address, accepts connections, and shuts down gracefully.

mod connection;
mod gate;
mod places;
mod sending;
mod signals;
mod stream;
mod tls;

use crate::api::routes;
use crate::keys::ApiKeys;
use crate::metrics::Metrics;
use crate::service::Service;
use crate::{Error, ServerConfig};
use connection::Connections;
use gate::{Gate, Port};
use signals::{Action, Signals};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tls::Tls;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Number of connections that wait to be accepted: as many as the system lets wait (`somaxconn`).
const BACKLOG: u32 = 65_535;

/// Maximum number of open connections of operators.
const ADMIN_CONNECTIONS: usize = 64;

/// Everything that a [`Server`] is started with.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// What is served and where, threads, limits, files and stores.
    pub config: ServerConfig,
    /// The accepted keys. Where there are none of a kind, those of `keys_file` and `admin_keys_file` are read.
    pub keys: ApiKeys,
}

/// A server that has loaded its models and answers requests; [`run`](Server::run) waits for its end, and watches files until
/// then.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    has_tls: bool,
    service: Arc<Service>,
    signals: Arc<Handling>,
    accepting: Vec<JoinHandle<()>>,
    stop: watch::Sender<Stop>,
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

/// How far a server has been told to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
enum Stop {
    #[default]
    Run,
    /// To say that it is not ready, and to stop after `drain_ms`.
    Drain,
    /// To accept no more connections, and to answer what is in flight.
    Now,
}

/// A handle that stops a [`Server`] from any thread.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<Stop>);

impl Stopper {
    /// Starts a graceful shutdown: requests in flight are answered, then [`Server::run`] returns.
    pub fn stop(&self) {
        self.0.send_replace(Stop::Now);
    }

    /// Starts a graceful shutdown that load balancers can follow, as SIGTERM does: `/readyz` answers 503, and everything else
    /// is answered for `drain_ms`.
    pub fn drain(&self) {
        stop_further(&self.0);
    }
}

/// Tells a server to drain, and one that does to stop.
fn stop_further(stop: &watch::Sender<Stop>) {
    stop.send_modify(|stop| *stop = if *stop == Stop::Run { Stop::Drain } else { Stop::Now });
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
        let Setup { config, keys } = setup;
        config.validate()?;
        let keys = keys.or_of_files(&config)?;
        let ports: Vec<(Port, SocketAddr)> = std::iter::once((Port::Main, config.listen))
            .chain(config.admin_listen.map(|address| (Port::Admin, address)))
            .collect();
        let open = ports.iter().find(|(_, address)| !address.ip().is_loopback());
        if let Some(&(_, address)) = open.filter(|_| keys.data.is_empty() && !config.allow_open) {
            return Err(Error::OpenToAll { address });
        }
        let failed = |action| move |source| Error::System { action, source };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.http_threads())
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(failed("start the HTTP threads"))?;
        let entered = runtime.enter();
        let signals = Signals::listen().map_err(failed("listen to signals"))?;
        // The addresses first, so that one in use is reported before a model is loaded.
        let listeners = ports.iter().map(|&(port, address)| Ok((port, listen(address)?)));
        let listeners: Vec<(Port, TcpListener)> = listeners.collect::<Result<_, Error>>()?;
        let addresses: Vec<SocketAddr> = listeners
            .iter()
            .map(|(_, listener)| listener.local_addr().map_err(failed("listen")))
            .collect::<Result<_, Error>>()?;
        let tls = Tls::of(&config)?.map(Arc::new);
        let has_tls = tls.is_some();

        let stop = watch::Sender::new(Stop::Run);
        let handling = Arc::new(Handling { tls: tls.clone(), ..Handling::default() });
        tokio::spawn(handle_signals(signals, Arc::clone(&handling), stop.clone()));
        let (metrics, gate) = (Arc::new(Metrics::new()), Arc::<Gate>::default());
        let mut accepting = Vec::with_capacity(listeners.len());
        for (port, listener) in listeners {
            let most = match port {
                Port::Main => config.max_connections,
                Port::Admin => ADMIN_CONNECTIONS,
            };
            let connections =
                Connections::new((port, most), &config, &metrics, tls.clone(), Arc::clone(&gate));
            let accept =
                accept(listener, config.clone(), Arc::clone(&handling), connections, stop.subscribe());
            accepting.push(tokio::spawn(accept));
        }
        if let Some(tls) = tls {
            tls.tell(&metrics);
        }
        let loading = move || Service::load(config, keys, metrics).map(Arc::new);
        let loading = tokio::task::spawn_blocking(loading);
        drop(entered);
        let mut stopped = stop.subscribe();
        let loaded = runtime.block_on(async {
            tokio::select! {
                loaded = loading => loaded.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic())),
                _ = stopped.wait_for(|&stop| stop != Stop::Run) => Err(Error::Stopped),
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
        gate.open(routes(&service));
        let admin_address = addresses.get(1).copied();
        Ok(Self {
            address: addresses[0],
            admin_address,
            has_tls,
            service,
            signals: handling,
            accepting,
            stop,
            runtime,
        })
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The second address, for health checks, metrics and admin calls, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The server's URL, made of the scheme and the address.
    pub fn url(&self) -> String {
        self.url_of(self.address)
    }

    /// The URL of the second address, if there is one.
    pub fn admin_url(&self) -> Option<String> {
        self.admin_address.map(|address| self.url_of(address))
    }

    fn url_of(&self, address: SocketAddr) -> String {
        let scheme = if self.has_tls { "https" } else { "http" };
        format!("{scheme}://{address}")
    }

    /// A handle that stops the server.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Runs the server until Ctrl-C, SIGTERM and `drain_ms`, or a [`Stopper`], and then finishes requests in flight. SIGHUP reloads
    /// the certificate and the models.
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
            if service.new_items.has_file() {
                tokio::spawn(Arc::clone(&service).watch_items());
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
            for port in accepting {
                _ = port.await;
            }
        });
        // Explicitly, since others may still hold the service, such as a task that loads a model.
        let lost = service.close();
        // Tasks in flight are cancelled, and blocking ones, such as loading from a slow disk, are not waited for.
        runtime.shutdown_timeout(Duration::from_millis(100));
        if lost > 0 { Err(Error::Lost { changes: lost }) } else { Ok(()) }
    }
}

/// Listens on an address.
fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let socket = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restarted server takes the address although connections of the one before are being closed. On Windows, it would
        // take the address of a server that runs.
        #[cfg(not(windows))]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    socket().map_err(|source| Error::Listen { address, source })
}

/// Handles signals until the server has stopped.
async fn handle_signals(mut signals: Signals, handling: Arc<Handling>, stop: watch::Sender<Stop>) {
    loop {
        match signals.next().await {
            Action::Drain => stop_further(&stop),
            Action::Stop => _ = stop.send_replace(Stop::Now),
            Action::Reload => {
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
        }
    }
}

/// Accepts connections until `stop`, then waits for open ones to finish.
async fn accept(
    listener: TcpListener,
    config: ServerConfig,
    handling: Arc<Handling>,
    connections: Connections,
    mut stop: watch::Receiver<Stop>,
) {
    let connections = Arc::new(connections);
    let closing = watch::Sender::new(false);
    let drained = async {
        // A closed channel means stop, too.
        _ = stop.wait_for(|&stop| stop != Stop::Run).await;
        if let Some(service) = handling.service.get() {
            service.stop();
        }
        let drain = Duration::from_millis(config.drain_ms);
        _ = tokio::time::timeout(drain, stop.wait_for(|&stop| stop == Stop::Now)).await;
    };
    tokio::pin!(drained);
    loop {
        // Connections beyond the limit, of which none is idle, wait in the system's queue, where they cost nothing.
        let next = async {
            let accepted = listener.accept().await?;
            Ok::<_, std::io::Error>((accepted, connections.places().take().await))
        };
        let accepted = tokio::select! {
            next = next => next,
            () = &mut drained => break,
        };
        let (accepted, taken) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                // With an error such as too many open files, an immediate retry would fail, too.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (connections, closing) = (Arc::clone(&connections), closing.subscribe());
        tokio::spawn(async move { connections.answer(accepted, taken, closing).await });
    }
    closing.send_replace(true);
    drop(listener);
    let limit = Duration::from_millis(config.shutdown_timeout_ms);
    tracing::info!("stopping: what is in flight is finished");
    if tokio::time::timeout(limit, connections.places().all_left()).await.is_err() {
        tracing::warn!("some requests were not finished in time");
    }
}
