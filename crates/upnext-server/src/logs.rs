//! Logging to stderr, as text or as one JSON object per line.

use crate::Server;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The least severe level that is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// Failures only.
    Error,
    /// Also warnings, such as responses with status 5xx.
    Warn,
    /// Also every request.
    #[default]
    Info,
    /// Also broken connections.
    Debug,
}

/// Maximum number of lines that wait to be written: about a second of a busy server.
const WAITING_LINES: usize = 8_192;

/// Counter of dropped lines.
static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// Keeps the thread that writes log lines alive; dropping it writes the lines that are waiting.
#[must_use = "log lines are written while this is held"]
pub struct LogGuard(#[allow(dead_code, reason = "dropping it is its use")] WorkerGuard);

impl LogGuard {
    /// Logs an error of the program around the server.
    pub fn error(&self, message: &str) {
        tracing::error!("{message}");
    }

    /// Logs a warning of the program around the server.
    pub fn warn(&self, message: &str) {
        tracing::warn!("{message}");
    }

    /// Logs where a server listens.
    pub fn listening(&self, server: &Server) {
        tracing::info!(url = server.url(), admin_url = server.admin_url(), "listening");
    }
}

/// Sends the log lines of this process to stderr while the returned guard is held. Only the first call has an effect.
///
/// A separate thread writes the lines, so that no request waits for a slow reader of stderr or fails if it is closed.
/// Lines that do not fit into its queue of 8,192 are dropped and counted in the metrics.
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
        // Printing a write error would panic if stderr is closed.
        .log_internal_errors(false);
    let started = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    // A second subscriber is refused, and the first stays in use.
    if started.is_ok() {
        _ = LOST.set(counter);
    }
    LogGuard(guard)
}

/// Number of log lines that were dropped.
pub(crate) fn lost_lines() -> u64 {
    LOST.get().map_or(0, |counter| counter.dropped_lines() as u64)
}
