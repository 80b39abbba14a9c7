//! Handling of Ctrl-C: the first requests a stop, the second ends the process.

use crate::embedded;
use anyhow::Context;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// The flag that the running command looks at: set by Ctrl-C after [`listen`], or by the program of which this one is a part.
static STOP: LazyLock<RwLock<Arc<AtomicBool>>> = LazyLock::new(RwLock::default);

/// Installs the handler, once per process, and returns the flag that the first Ctrl-C sets, with this message. In a call by
/// another program, which has a handler of its own, that one sets the flag.
pub(crate) fn listen(message: &'static str) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = flag();
    if embedded::is_embedded() {
        return Ok(stop);
    }
    let asked = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("{message}; once more to stop at once");
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(stop)
}

/// Gives the next command a flag of its own.
pub(crate) fn replace(stop: Arc<AtomicBool>) {
    *STOP.write().unwrap_or_else(PoisonError::into_inner) = stop;
}

fn flag() -> Arc<AtomicBool> {
    Arc::clone(&STOP.read().unwrap_or_else(PoisonError::into_inner))
}

/// The result of an observer: break after Ctrl-C. Without a handler, Ctrl-C ends the process anyway.
pub(crate) fn check() -> ControlFlow<()> {
    if flag().load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
