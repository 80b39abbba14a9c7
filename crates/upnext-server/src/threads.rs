//! Starting and joining the server's own threads, as opposed to those of the tokio runtime.

use crate::Error;
use std::thread::JoinHandle;

/// Starts a named thread. On failure, `action` becomes the action of [`Error::System`].
pub(crate) fn start(
    name: impl Into<String>,
    action: &'static str,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Error> {
    let named = std::thread::Builder::new().name(name.into());
    named.spawn(run).map_err(|source| Error::System { action, source })
}

/// Waits for a thread to end, and logs a panic. `what` names the thread in the log.
pub(crate) fn join(thread: JoinHandle<()>, what: &str) {
    if thread.join().is_err() {
        tracing::error!("{what} ended by a panic");
    }
}
