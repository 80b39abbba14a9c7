//! Where log lines go: to stderr, as text or as one JSON object a line.

use std::sync::OnceLock;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what may fail soon, such as answers of 5xx.
    Warn,
    /// And every request.
    #[default]
    Info,
    /// And connections that broke.
    Debug,
}

/// Lines that may wait to be written: a second of the busiest server.
const WAITING_LINES: usize = 8_192;

/// Counts the lines that were lost.
static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// Keeps log lines going to stderr; when it is dropped, those that wait are written.
#[must_use = "log lines are written while this is held"]
pub struct LogGuard(#[allow(dead_code, reason = "dropping it is its use")] WorkerGuard);

/// Sends the log lines of this process to stderr, while what is returned is held; only the first call of a process has an
/// effect.
///
/// A thread of its own writes them: whoever reads them may stall or end, and no request waits for it or fails with it.
/// Lines beyond those that can wait are lost, and counted in the metrics.
pub fn log_to_stderr(format: LogFormat, level: LogLevel) -> LogGuard {
    let level = match level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
    };
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(std::io::stderr());
    let counter = writer.error_counter();
    let lines = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_max_level(level)
        .with_target(false)
        // An error that cannot be written must not be printed: that panics where stderr is closed.
        .log_internal_errors(false);
    let started = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    // A second subscriber is refused: the first goes on.
    if started.is_ok() {
        _ = LOST.set(counter);
    }
    LogGuard(guard)
}

/// Number of log lines that were lost.
pub(crate) fn lost_lines() -> u64 {
    LOST.get().map_or(0, |counter| counter.dropped_lines() as u64)
}
