//! Handling of Ctrl-C: the first requests a stop, the second ends the process.

use crate::embedded;
use anyhow::Context;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

/// Whether Ctrl-C was pressed after [`listen`], or a program of which this one is a part has asked for a stop.
static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Installs the handler, once per process, and returns the flag that the first Ctrl-C sets, with this message. In a call by
/// another program, which has a handler of its own, [`set`] sets the flag.
pub(crate) fn listen(message: &'static str) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::clone(&INTERRUPTED);
    if embedded::is_embedded() {
        return Ok(stop);
    }
    ctrlc::set_handler(move || {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("{message}; once more to stop at once");
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(stop)
}

/// Requests a stop, or withdraws the request.
pub(crate) fn set(stop: bool) {
    INTERRUPTED.store(stop, Ordering::SeqCst);
}

/// The result of an observer: break after Ctrl-C. Without a handler, Ctrl-C ends the process anyway.
pub(crate) fn check() -> ControlFlow<()> {
    if INTERRUPTED.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
