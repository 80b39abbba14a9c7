//! An HTTP server for session-based recommendations, and a load generator for it (`docs/http.md`, `docs/load.md`).
//!
//! Routes parse a request and pass it to the engine, whose threads compute in batches. Sessions are stored as item ids,
//! not hidden states, so the model can be replaced between two requests. No other crate of the workspace speaks HTTP.
//! [`load`] is the load generator.
//!
//! ```no_run
//! use upnext_server::{Server, ServerConfig, Setup};
//!
//! let config = ServerConfig { model: Some("model".into()), ..ServerConfig::default() };
//! let server = Server::bind(Setup { config, ..Setup::default() })?;
//! println!("{}", server.url());
//! server.run()?;
//! # Ok::<(), upnext_server::Error>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod api;
mod callers;
mod config;
mod engine;
mod error;
mod event_log;
mod examples;
mod exclusive;
mod items;
mod keys;
mod lists;
pub mod load;
mod logs;
mod metrics;
mod models;
mod new_items;
mod page;
mod pem;
mod problem;
mod reload;
mod requests;
mod serve;
mod service;
mod sessions;
mod stamp;
mod threads;

pub use config::{ServerConfig, SessionSync};
pub use error::Error;
pub use keys::{ApiKeys, Keys};
pub use logs::{LogFormat, LogGuard, LogLevel, log_to_stderr};
pub use serve::{Server, Setup, Stopper};
pub use sessions::StoreUrl;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex` and ignores poisoning: no critical section of this crate can leave its data half changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// CRC-32 of `bytes`.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
