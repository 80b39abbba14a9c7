//! Work that takes long: without the interpreter's lock, and interrupted by Ctrl-C.

use pyo3::prelude::*;
use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Duration;

/// How often signals are looked for.
const EVERY: Duration = Duration::from_millis(100);

/// What asks a work to stop.
#[derive(Default)]
pub(crate) struct Stop {
    is_set: AtomicBool,
    /// What is called besides.
    also: OnceLock<fn()>,
}

impl Stop {
    /// Asks to stop.
    pub(crate) fn set(&self) {
        self.is_set.store(true, Ordering::Relaxed);
        if let Some(also) = self.also.get() {
            also();
        }
    }

    /// Has a function called when the work is asked to stop.
    pub(crate) fn also(&self, function: fn()) {
        _ = self.also.set(function);
    }

    /// The answer of an observer.
    pub(crate) fn check(&self) -> ControlFlow<()> {
        if self.is_set.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// The result of `work`, which runs on another thread while this one looks for signals, with the exception of the signal that
/// has stopped it. Python handles signals on its main thread only: on others, nothing stops the work.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Stop) -> T + Send,
) -> (T, Option<PyErr>) {
    let (stop, is_done) = (Stop::default(), AtomicBool::new(false));
    let (mut raised, caller) = (None, std::thread::current());
    let result = std::thread::scope(|scope| {
        let (stop, is_done) = (&stop, &is_done);
        let worker = scope.spawn(move || {
            let _wakes = WakeOnDrop { is_done, caller };
            work(stop)
        });
        while !is_done.load(Ordering::Acquire) {
            py.detach(|| std::thread::park_timeout(EVERY));
            if let Err(error) = py.check_signals() {
                raised.get_or_insert(error);
                stop.set();
            }
        }
        py.detach(|| worker.join())
    });
    match result {
        Ok(result) => (result, raised),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Wakes the caller at the end of a work, also by a panic.
struct WakeOnDrop<'a> {
    is_done: &'a AtomicBool,
    caller: Thread,
}

impl Drop for WakeOnDrop<'_> {
    fn drop(&mut self) {
        self.is_done.store(true, Ordering::Release);
        self.caller.unpark();
    }
}

/// As [`interruptible`], for work of the library that is worth nothing if it is stopped.
pub(crate) fn whole<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Stop) -> upnext_core::Result<T> + Send,
) -> PyResult<T> {
    let (result, raised) = interruptible(py, work);
    match raised {
        Some(error) => Err(error),
        None => crate::errors::OrRaise::or_raise(result, py),
    }
}

/// The number of threads: as given, or all cores.
pub(crate) fn threads(given: Option<usize>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    given.unwrap_or_else(cores).max(1)
}
