//! Recommendations over HTTP, while the session goes on (`docs/http.md`).
//!
//! A request runs through the routes to the engine, whose threads compute in batches; sessions are kept as item
//! histories, so that the model can be replaced between two requests. This is the only crate that knows HTTP. [`load`] is the other side: what asks.
//!
//! ```no_run
//! use upnext_server::{ApiKeys, Server, ServerConfig, Setup};
//!
//! let server = Server::bind(Setup {
//!     model: "model".into(),
//!     name: None,
//!     listen: ([127, 0, 0, 1], 8080).into(),
//!     config: ServerConfig::default(),
//!     keys: ApiKeys::default(),
//!     allow_open: false,
//! })?;
//! println!("{}", server.url());
//! server.run()?;
//! # Ok::<(), upnext_server::Error>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod api;
mod config;
mod engine;
mod error;
mod event_log;
mod exclusive;
mod items;
mod keys;
mod lists;
pub mod load;
mod logs;
mod metrics;
mod models;
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

/// The contents of a lock. A thread that panicked left them whole: no change under a lock of this crate can be half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The CRC-32 of some bytes.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
