//! From an address to answered connections, until somebody asks to stop.

mod connection;
mod signals;
mod stream;
mod tls;

use crate::keys::ApiKeys;
use crate::service::Service;
use crate::{Error, ServerConfig};
use connection::Connections;
use hyper_util::server::graceful::GracefulShutdown;
use signals::{Asked, Signals};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tls::Tls;
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
    tls: Option<Arc<Tls>>,
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
    /// Loads the certificate, the model, the lists and the sessions, and takes the address. Connections wait from here on.
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
        let tls = Tls::of(&config)?.map(Arc::new);

        let service = Arc::new(Service::load(&model, name, config, keys)?);
        Ok(Self { listener, address, service, tls, stop: watch::Sender::new(false) })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is found, by the address that it listens on.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Answers until SIGTERM, Ctrl-C or the [`Stopper`], then finishes what is in flight; SIGHUP loads certificate and model
    /// anew.
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
        // Whoever still holds the service, such as a model that is being loaded, keeps neither log from its end.
        service.close();
        // What is still in flight ends here. A model that is being loaded from a slow disk keeps nobody waiting.
        runtime.shutdown_timeout(Duration::from_millis(100));
        Ok(())
    }
}

/// Stops and reloads as the operating system asks.
fn listen_to_signals(
    service: &Arc<Service>,
    tls: Option<&Arc<Tls>>,
    stop: &watch::Sender<bool>,
) -> std::io::Result<()> {
    let mut signals = Signals::listen()?;
    let (service, tls, stop) = (Arc::clone(service), tls.cloned(), stop.clone());
    tokio::spawn(async move {
        while let Asked::Reload = signals.next().await {
            // The certificate first: its files are small. What went wrong is in the log, and the old one goes on.
            if let Some(tls) = &tls {
                tls.reload();
            }
            // A model may take seconds, in which the server must hear that it is to stop.
            let service = Arc::clone(&service);
            tokio::spawn(async move { service.reload_all().await });
        }
        stop.send_replace(true);
    });
    Ok(())
}

/// Accepts connections until it is to stop, then lets those that are open finish.
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
        // That the channel has closed is a wish to stop, too.
        _ = stop.wait_for(|&stop| stop).await;
        service.stop();
        tokio::time::sleep(Duration::from_millis(config.drain_ms)).await;
    };
    tokio::pin!(drained);
    let slots = Arc::new(Semaphore::new(config.max_connections));
    loop {
        // Connections beyond the limit wait in the system's queue, and cost nothing here.
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
                // Such as too many open files: trying again at once would fail at once.
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
