//! Ctrl-C: the first asks to stop, the second stops at once.

use anyhow::Context;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether Ctrl-C has been pressed while somebody listened.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Listens for Ctrl-C, once a process; the flag is set by the first, which is answered with `message`.
pub(crate) fn listen(message: &'static str) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        ASKED.store(true, Ordering::SeqCst);
        if asked.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("{message}; once more to stop at once");
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(stop)
}

/// What an observer answers: stop, once Ctrl-C has been pressed. Where nobody listens, Ctrl-C ends the process by itself.
pub(crate) fn unless_asked() -> ControlFlow<()> {
    if ASKED.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
