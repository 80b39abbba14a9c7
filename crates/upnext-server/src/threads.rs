//! Threads of the server's own, apart from those that speak HTTP.

use crate::Error;
use std::thread::JoinHandle;

/// Starts a thread; `action` is what the error says was tried.
pub(crate) fn start(
    name: impl Into<String>,
    action: &'static str,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Error> {
    let named = std::thread::Builder::new().name(name.into());
    named.spawn(run).map_err(|source| Error::System { action, source })
}

/// Waits for the end of a thread, and logs one by a panic.
pub(crate) fn join(thread: JoinHandle<()>, what: &str) {
    if thread.join().is_err() {
        tracing::error!("{what} ended by a panic");
    }
}
