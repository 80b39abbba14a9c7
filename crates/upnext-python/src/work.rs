//! Work that takes long: without the interpreter's lock, stopped by Ctrl-C, and with messages to the thread that waits for it.

use crate::errors::OrRaise;
use pyo3::prelude::*;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// How often signals are looked for.
const EVERY: Duration = Duration::from_millis(50);

/// What asks a work to stop.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks to stop.
    fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// The answer of an observer.
    pub(crate) fn check(&self) -> ControlFlow<()> {
        if self.0.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The flag itself.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

/// The result of `work`, which runs on another thread, and the exception that has stopped it. This thread looks for signals
/// meanwhile, and calls `handle` for the messages that the work passes to its second argument, which waits for it; an
/// exception of `handle`, and `false`, stop the work.
///
/// Python handles signals on its main thread only: on others, Ctrl-C does not stop the work.
pub(crate) fn observed<T: Send, M: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Stop, &dyn Fn(M)) -> T + Send,
    mut handle: impl FnMut(M) -> PyResult<bool>,
) -> (T, Option<PyErr>) {
    let stop = Stop::default();
    let (sender, mut receiver) = sync_channel::<(M, SyncSender<()>)>(0);
    let mut raised = None;
    let result = std::thread::scope(|scope| {
        let for_work = stop.clone();
        let worker = scope.spawn(move || {
            // The end of this thread drops the sender, also by a panic, which ends the loop below.
            let tell = |message| {
                let (done, is_done) = sync_channel(0);
                if sender.send((message, done)).is_ok() {
                    // An error means that `done` was dropped: the message has been handled.
                    _ = is_done.recv();
                }
            };
            work(&for_work, &tell)
        });
        loop {
            let received;
            (received, receiver) = py.detach(move || receive(receiver));
            match received {
                Ok((message, done)) => {
                    if raised.is_none() {
                        match handle(message) {
                            Ok(true) => {}
                            Ok(false) => stop.set(),
                            Err(error) => {
                                raised = Some(error);
                                stop.set();
                            }
                        }
                    }
                    drop(done);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
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

/// Waits for a message, for a while.
#[allow(clippy::type_complexity)] // the receiver comes back, since only its owner can use it
fn receive<M>(receiver: Receiver<M>) -> (Result<M, RecvTimeoutError>, Receiver<M>) {
    (receiver.recv_timeout(EVERY), receiver)
}

/// As [`observed`], without messages.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Stop) -> T + Send,
) -> (T, Option<PyErr>) {
    observed(py, |stop, _: &dyn Fn(())| work(stop), |()| Ok(true))
}

/// As [`interruptible`], for work of the library that is worth nothing if it is stopped.
pub(crate) fn whole<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Stop) -> upnext_core::Result<T> + Send,
) -> PyResult<T> {
    let (result, raised) = interruptible(py, work);
    match raised {
        Some(error) => Err(error),
        None => result.or_raise(py),
    }
}

/// The number of threads: as given, or all cores.
pub(crate) fn threads(given: Option<usize>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    given.unwrap_or_else(cores).max(1)
}
