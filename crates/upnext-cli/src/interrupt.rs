//! Handling of Ctrl-C: the first requests a stop, the second ends the process.

use anyhow::Context;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether Ctrl-C was pressed after [`listen`].
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Installs the handler, once per process. The first Ctrl-C sets the returned flag and prints `message`.
pub(crate) fn listen(message: &'static str) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        INTERRUPTED.store(true, Ordering::SeqCst);
        if asked.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("{message}; once more to stop at once");
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(stop)
}

/// The result of an observer: break after Ctrl-C. Without a handler, Ctrl-C ends the process anyway.
pub(crate) fn check() -> ControlFlow<()> {
    if INTERRUPTED.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
